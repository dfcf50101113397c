//! The events that somebody may be told of: how grave each is, what it begins or ends, and what it
//! means.

use std::fmt;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// How grave an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It goes as it should.
    Info,
    /// It may mend itself.
    Warning,
    /// Something does not do what it is for, or soon will not.
    Failure,
    /// Somebody must act now: no quiet time holds it up.
    Emergency,
}

impl Severity {
    /// What it is called in declarations, and where it is stored.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Failure => "failure",
            Self::Emergency => "emergency",
        }
    }

    /// The severity of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Info, Self::Warning, Self::Failure, Self::Emergency];
        all.into_iter().find(|severity| severity.name() == name)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an event does to the troubles of its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is told, and that is all.
    Happens,
    /// It begins a trouble of this name, which lasts until it is ended.
    Begins(&'static str),
    /// It ends the trouble of this name.
    Ends(&'static str),
    /// It ends every trouble of its subject.
    EndsAll,
}

/// An event that somebody may be told of.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// As the audit log calls it.
    pub event: &'static str,
    /// How grave it is.
    pub severity: Severity,
    /// What it begins or ends.
    pub effect: Effect,
    /// How long a trouble may mend itself before people are told.
    pub patience: SignedDuration,
    /// What happened, in words that follow the subject.
    pub meaning: &'static str,
}

impl Kind {
    /// The kind of an event; `None`: nobody is told of it.
    #[must_use]
    pub fn of(event: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.event == event)
    }
}

const fn kind(
    event: &'static str,
    severity: Severity,
    effect: Effect,
    patience: i64,
    meaning: &'static str,
) -> Kind {
    Kind { event, severity, effect, patience: SignedDuration::from_mins(patience), meaning }
}

use Effect::{Begins, Ends, EndsAll, Happens};
use Severity::{Emergency, Failure, Info, Warning};

/// Every event that somebody may be told of. A new one is a line here.
pub const KINDS: &[Kind] = &[
    kind("rotation.fail", Failure, Begins("rotation"), 0, "a rotation failed"),
    kind("rotation.not-obtained", Failure, Begins("rotation"), 10, "no new certificate is given"),
    kind("rotation.refuted", Warning, Happens, 0, "the new version is not served everywhere"),
    kind("rotation.revert", Failure, Happens, 0, "targets go back to the version before"),
    kind("rotation.stuck", Failure, Begins("rotation"), 0, "a target cannot be rolled back"),
    kind(
        "rotation.revoke-failed",
        Failure,
        Begins("revocation"),
        10,
        "what it replaced is not revoked",
    ),
    kind("rotation.begin", Info, Happens, 0, "a rotation begins"),
    kind("rotation.deploy", Info, Happens, 0, "targets are given a version"),
    kind("rotation.prove", Info, EndsAll, 0, "every target is proven to serve it"),
    kind("rotation.retire", Info, Ends("revocation"), 0, "the version before is retired"),
    kind("version.revoked", Failure, Begins("version"), 0, "what it serves was revoked"),
    kind(
        "placement.drift",
        Failure,
        Begins("target"),
        0,
        "a target serves or holds something else",
    ),
    kind("placement.unreachable", Warning, Begins("target"), 10, "a target cannot be looked at"),
    kind("placement.restored", Info, Ends("target"), 0, "a target serves it again"),
    kind("certificate.withdraw", Info, EndsAll, 0, "it is not declared any more"),
    kind(
        "endpoint.failing",
        Failure,
        Begins("endpoint"),
        10,
        "it cannot be reached, or clients refuse what it shows",
    ),
    kind("endpoint.restored", Info, Ends("endpoint"), 0, "clients take what it shows again"),
    kind("endpoint.changed", Info, Happens, 0, "it shows another certificate"),
    kind("expiry.notice", Warning, Begins("end"), 0, "its end comes near"),
    kind("expiry.urgent", Failure, Begins("end"), 0, "its end is very near"),
    kind("expiry.expired", Failure, Begins("end"), 0, "it has ended"),
    kind("expiry.resolved", Info, Ends("end"), 0, "it was replaced, or stands nowhere any more"),
    kind("keyset.emergency", Emergency, Happens, 0, "a key was taken out, and a fresh one signs"),
    kind("keyset.unproven", Warning, Begins("edge"), 10, "an edge does not serve the next key"),
    kind("keyset.unplaced", Failure, Begins("signer"), 0, "a signer target does not hold its keys"),
    kind("keyset.announce", Info, Happens, 0, "the next key is published"),
    kind("keyset.prove", Info, Ends("edge"), 0, "every edge serves the next key"),
    kind("keyset.place", Info, Ends("signer"), 0, "its signer targets hold their keys"),
    kind("keyset.export", Info, Happens, 0, "a signer target is given a key"),
    kind("keyset.sign", Info, Happens, 0, "another key signs"),
    kind("keyset.retire", Info, Happens, 0, "a key signs no more"),
    kind("keyset.remove", Info, Happens, 0, "a key is published no more"),
    kind("keyset.rotate", Info, Happens, 0, "an operator asked for the next key"),
    kind("keyset.roll-back", Info, Ends("edge"), 0, "an operator withdrew a key"),
    kind("keyset.undeclare", Info, EndsAll, 0, "it is not declared any more"),
    kind("approval.ask", Warning, Begins("approval"), 0, "somebody must agree to a request"),
    kind("approval.approve", Info, Happens, 0, "somebody agreed to a request"),
    kind("approval.deny", Info, Ends("approval"), 0, "somebody did not agree to a request"),
    kind("approval.withdraw", Info, Ends("approval"), 0, "a request was taken back"),
    kind("approval.use", Info, Ends("approval"), 0, "what was agreed to is done"),
    kind(
        "approval.break-glass",
        Emergency,
        Happens,
        0,
        "something is done without the approval it needs",
    ),
];
