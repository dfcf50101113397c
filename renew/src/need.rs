//! What a managed certificate needs: an ordered list of checks, each of which gives its cause in
//! words. The first that finds something decides.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::moment::Suggestion;

/// What is known of one version of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Counted from 1.
    pub number: u32,
    /// First second of validity.
    pub not_before: Timestamp,
    /// Last second of validity.
    pub not_after: Timestamp,
    /// Digest of what was asked for: names, key policy, profile.
    pub request: [u8; 32],
    /// Who issued it, by the name under which it was declared.
    pub issuer: String,
    /// Whether its issuer, or we, revoked it.
    pub revoked: bool,
    /// When it was obtained.
    pub obtained_at: Timestamp,
    /// When its share of life is spent; stored when it was obtained.
    pub renew_at: Timestamp,
    /// What its CA suggests instead.
    pub suggestion: Option<Suggestion>,
}

impl Version {
    /// Whether it can be served at `now`.
    #[must_use]
    pub fn is_usable(&self, now: Timestamp) -> bool {
        !self.revoked && now < self.not_after
    }

    /// When it is to be renewed: at its moment, but never at once after it was obtained, or a CA that
    /// always says "now" would be asked again and again.
    #[must_use]
    pub fn moment(&self) -> Timestamp {
        let moment = match &self.suggestion {
            Some(suggestion) => suggestion.moment(self.not_before, self.not_after),
            None => self.renew_at,
        };
        let life = self.not_after.duration_since(self.not_before);
        let young = (life / 20).clamp(SignedDuration::ZERO, YOUNG);
        moment.max(self.obtained_at.checked_add(young).unwrap_or(Timestamp::MAX))
    }
}

/// What an operator wants now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Wish {
    /// A new version, now.
    Renew,
    /// A new version with a new key, now; the old one is revoked as soon as nobody serves it.
    Emergency {
        /// Why the old one is revoked, a reason of RFC 5280 §5.3.1.
        reason: String,
    },
    /// An older version in place of the current one.
    RollBack {
        /// Its number.
        to: u32,
    },
}

/// Why a certificate is rotated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "cause")]
pub enum Cause {
    /// There is none yet.
    First,
    /// An operator asked.
    Asked,
    /// An operator asked for an emergency rotation.
    Emergency {
        /// Why the old one is revoked.
        reason: String,
    },
    /// An operator asked for an older version.
    RollBack,
    /// What is served was revoked.
    Revoked,
    /// What is served has expired.
    Expired,
    /// Something else is declared than is served.
    Changed,
    /// A version was obtained and did not reach its targets yet.
    Unproven,
    /// A target does not serve what the others serve: it is new, or was tampered with.
    Unserved,
    /// The CA suggests it (RFC 9773).
    Suggested,
    /// Its share of life is spent.
    Lifetime,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("there is no version yet"),
            Self::Asked => f.write_str("an operator asked for it"),
            Self::Emergency { reason } => write!(f, "emergency: {reason}"),
            Self::RollBack => f.write_str("an operator asked for an older version"),
            Self::Revoked => f.write_str("the version served was revoked"),
            Self::Expired => f.write_str("the version served has expired"),
            Self::Changed => f.write_str("something else is declared than is served"),
            Self::Unproven => f.write_str("the newest version is not served everywhere yet"),
            Self::Unserved => f.write_str("a target does not serve the current version"),
            Self::Suggested => f.write_str("its CA suggests renewal now"),
            Self::Lifetime => f.write_str("its share of life is spent"),
        }
    }
}

impl Cause {
    /// The names of all causes.
    pub const NAMES: [&str; 11] = [
        "first",
        "asked",
        "emergency",
        "roll-back",
        "revoked",
        "expired",
        "changed",
        "unproven",
        "unserved",
        "suggested",
        "lifetime",
    ];

    /// Its name, without the words that came with it: what rotations are counted by.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Asked => "asked",
            Self::Emergency { .. } => "emergency",
            Self::RollBack => "roll-back",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Changed => "changed",
            Self::Unproven => "unproven",
            Self::Unserved => "unserved",
            Self::Suggested => "suggested",
            Self::Lifetime => "lifetime",
        }
    }

    /// Whether it comes from an operator, whom no backoff holds up.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        matches!(self, Self::Asked | Self::Emergency { .. } | Self::RollBack)
    }

    /// Whether a rotation for this cause, whose next step has failed `attempts` times in a row, gives
    /// way to what an operator wants. An emergency waits for nothing less, and nothing takes its
    /// place, for it remembers what is to be revoked; one that would only be tried again later
    /// keeps nobody waiting.
    #[must_use]
    pub fn gives_way_to(&self, wish: &Wish, attempts: u32) -> bool {
        let fails = attempts > 0;
        match (matches!(self, Self::Emergency { .. }), wish) {
            (false, Wish::Emergency { .. }) => true,
            (true, Wish::Emergency { .. }) | (false, _) => fails,
            (true, _) => false,
        }
    }
}

/// Everything that decides what a certificate needs.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The version that is served.
    pub current: Option<&'a Version>,
    /// A newer one that was never proven.
    pub candidate: Option<&'a Version>,
    /// Digest of what is declared now.
    pub request: [u8; 32],
    /// A digest that an operator rolled back from: while it is what is declared, neither that, nor
    /// an issuer that is not declared any more, nor a version that was obtained and not proven is
    /// a reason to leave the version gone back to.
    pub held: Option<[u8; 32]>,
    /// The issuers declared now.
    pub issuers: &'a [String],
    /// Whether a target does not serve the current version.
    pub unserved: bool,
    /// What an operator wants.
    pub wish: Option<&'a Wish>,
    /// After failures: not before then, unless asked.
    pub retry_at: Option<Timestamp>,
}

/// What to do about a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing before then.
    Nothing {
        /// When to look again; none: nothing ever comes of waiting.
        until: Option<Timestamp>,
    },
    /// Something, but what was tried failed and is left alone until then.
    Later {
        /// What it needs.
        cause: Cause,
        /// Until when.
        at: Timestamp,
    },
    /// A rotation.
    Rotate {
        /// Why.
        cause: Cause,
        /// The version to roll out if there is one already; none: obtain one.
        to: Option<u32>,
    },
}

/// What the certificate needs at `now`.
#[must_use]
pub fn need(facts: &Facts<'_>, now: Timestamp) -> Need {
    let found = CHECKS.iter().find_map(|check| check(facts, now));
    let Some((cause, to)) = found else {
        return Need::Nothing { until: facts.current.map(Version::moment) };
    };
    match facts.retry_at {
        Some(at) if at > now && !cause.is_asked() => Need::Later { cause, at },
        _ => Need::Rotate { cause, to },
    }
}

type Found = Option<(Cause, Option<u32>)>;

const CHECKS: [fn(&Facts<'_>, Timestamp) -> Found; 8] =
    [wished, first, revoked, changed, unproven, expired, moment, unserved];

fn wished(facts: &Facts<'_>, now: Timestamp) -> Found {
    Some(match facts.wish? {
        // What was obtained and reached nobody is as good as new.
        Wish::Renew => (Cause::Asked, facts.candidate_for(now)),
        Wish::Emergency { reason } => (Cause::Emergency { reason: reason.clone() }, None),
        Wish::RollBack { to } => (Cause::RollBack, Some(*to)),
    })
}

fn first(facts: &Facts<'_>, now: Timestamp) -> Found {
    facts.current.is_none().then(|| (Cause::First, facts.candidate_for(now)))
}

fn revoked(facts: &Facts<'_>, now: Timestamp) -> Found {
    facts.current?.revoked.then(|| (Cause::Revoked, facts.candidate_for(now)))
}

fn changed(facts: &Facts<'_>, now: Timestamp) -> Found {
    let current = facts.current?;
    let wanted = current.request == facts.request && facts.issuers.contains(&current.issuer);
    (!wanted && !facts.is_held()).then(|| (Cause::Changed, facts.candidate_for(now)))
}

fn unproven(facts: &Facts<'_>, now: Timestamp) -> Found {
    let candidate = facts.candidate_for(now).filter(|_| !facts.is_held())?;
    Some((Cause::Unproven, Some(candidate)))
}

fn expired(facts: &Facts<'_>, now: Timestamp) -> Found {
    (now >= facts.current?.not_after).then(|| (Cause::Expired, facts.candidate_for(now)))
}

fn moment(facts: &Facts<'_>, now: Timestamp) -> Found {
    let current = facts.current?;
    let cause = if current.suggestion.is_some() { Cause::Suggested } else { Cause::Lifetime };
    (now >= current.moment()).then(|| (cause, facts.candidate_for(now)))
}

fn unserved(facts: &Facts<'_>, _: Timestamp) -> Found {
    let current = facts.current.filter(|_| facts.unserved)?;
    Some((Cause::Unserved, Some(current.number)))
}

impl Facts<'_> {
    /// Whether an operator rolled back from what is declared.
    fn is_held(&self) -> bool {
        self.held == Some(self.request)
    }

    /// The candidate, if it is still worth rolling out: what is declared, usable, not due itself.
    fn candidate_for(&self, now: Timestamp) -> Option<u32> {
        let fit = |candidate: &&&Version| {
            candidate.request == self.request
                && candidate.is_usable(now)
                && now < candidate.moment()
                && self.issuers.contains(&candidate.issuer)
        };
        self.candidate.as_ref().filter(fit).map(|candidate| candidate.number)
    }
}

/// How long a version stands at least, if its life is not much longer itself.
const YOUNG: SignedDuration = SignedDuration::from_hours(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_name_that_is_known() {
        let reason = String::from("key-compromise");
        for (cause, name) in [
            (Cause::First, "first"),
            (Cause::Emergency { reason }, "emergency"),
            (Cause::RollBack, "roll-back"),
            (Cause::Lifetime, "lifetime"),
        ] {
            assert_eq!(cause.name(), name);
            assert!(Cause::NAMES.contains(&name));
        }
    }
}
