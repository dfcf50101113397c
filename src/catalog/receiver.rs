//! Whoever is told of events: webhooks, which are programs, and people by mail or chat. What people
//! are told, and when, is declared alike for both.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use jwks::token::Pattern;
use notices::{KINDS, Kind, Severity};
use renew::window::{Window, all_closed};
use serde::{Deserialize, Serialize};

use super::Catalog;
use super::keyset::patterns;
use super::mail::MailSpec;
use super::webhook::WebhookSpec;

/// Of what people are told, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Audience {
    /// Which events they are told of.
    #[serde(default = "all_events", with = "patterns")]
    pub(crate) events: Vec<Pattern>,
    /// Of those, only what happens to these.
    #[serde(default, with = "patterns", skip_serializing_if = "Vec::is_empty")]
    pub(crate) subjects: Vec<Pattern>,
    /// Of those, only what belongs to these.
    #[serde(default, with = "patterns", skip_serializing_if = "Vec::is_empty")]
    pub(crate) owners: Vec<Pattern>,
    /// Of those, only what is as grave as this.
    #[serde(default = "default_severity")]
    pub(crate) severity: Severity,
    /// How long what happens waits, so that more of it goes into the same message.
    #[serde(default = "default_wait", with = "ca::duration")]
    pub(crate) wait: SignedDuration,
    /// How often what lasts is told again.
    #[serde(default = "default_repeat", with = "ca::duration")]
    pub(crate) repeat: SignedDuration,
    /// When they are told of nothing but emergencies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) quiet: Vec<Window>,
}

impl Audience {
    /// The end of the quiet time that `now` is in.
    pub(crate) fn quiet_until(&self, now: Timestamp) -> Option<Timestamp> {
        all_closed(&self.quiet, now).filter(|end| *end > now)
    }

    /// Whether it could work.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        check_events(&self.events)?;
        for (what, value, least, most) in [
            ("wait", self.wait, SignedDuration::ZERO, SignedDuration::from_hours(1)),
            ("repeat", self.repeat, SignedDuration::from_hours(1), SignedDuration::from_hours(720)),
        ] {
            if value < least || value > most {
                let (least, most) = (ca::duration::format(least), ca::duration::format(most));
                return Err(format!("{what} must lie between {least} and {most}"));
            }
        }
        if all_closed(&self.quiet, Timestamp::UNIX_EPOCH).is_none() {
            return Err("quiet leaves no time in which anything is told; leave some".into());
        }
        Ok(())
    }

    fn wants(&self, event: &str, subject: &str, owner: Option<&str>) -> bool {
        let grave = Kind::of(event).is_some_and(|kind| kind.severity >= self.severity);
        grave
            && wants(&self.events, &self.subjects, event, subject)
            && (self.owners.is_empty() || owns(&self.owners, owner))
    }
}

/// A room of a chat that takes what Slack's incoming webhooks take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChatSpec {
    /// What everything else calls it.
    pub(crate) name: String,
    /// A file with the URL that messages are posted to: it is a secret.
    pub(crate) url_file: PathBuf,
    /// PEM certificates to trust for it, in place of the system's roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) roots: Option<PathBuf>,
    #[serde(flatten)]
    pub(crate) audience: Audience,
}

impl ChatSpec {
    /// Whether it could work.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        check_path("url_file", &self.url_file)?;
        self.audience.check()
    }
}

/// Whoever is told of events.
#[derive(Clone, Debug)]
pub(crate) enum Receiver {
    Webhook(Arc<WebhookSpec>),
    Mail(Arc<MailSpec>),
    Chat(Arc<ChatSpec>),
}

impl Receiver {
    /// What it is declared as.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Mail(_) => "mail",
            Self::Chat(_) => "chat",
        }
    }

    /// What everything else calls it.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Webhook(spec) => &spec.name,
            Self::Mail(spec) => &spec.name,
            Self::Chat(spec) => &spec.name,
        }
    }

    /// Of what it is told and when, if people read it.
    pub(crate) fn audience(&self) -> Option<&Audience> {
        match self {
            Self::Webhook(_) => None,
            Self::Mail(spec) => Some(&spec.audience),
            Self::Chat(spec) => Some(&spec.audience),
        }
    }
}

impl Catalog {
    /// Whoever is told of events.
    pub(crate) fn receivers(&self) -> Vec<Receiver> {
        let webhooks = self.webhooks.values().map(|spec| Receiver::Webhook(Arc::clone(spec)));
        let mails = self.mails.values().map(|spec| Receiver::Mail(Arc::clone(spec)));
        let chats = self.chats.values().map(|spec| Receiver::Chat(Arc::clone(spec)));
        webhooks.chain(mails).chain(chats).collect()
    }

    /// The receiver of this name.
    pub(crate) fn receiver(&self, name: &str) -> Option<Receiver> {
        let webhook = self.webhooks.get(name).map(|spec| Receiver::Webhook(Arc::clone(spec)));
        let mail = || self.mails.get(name).map(|spec| Receiver::Mail(Arc::clone(spec)));
        let chat = || self.chats.get(name).map(|spec| Receiver::Chat(Arc::clone(spec)));
        webhook.or_else(mail).or_else(chat)
    }

    /// Who owns what an event happens to.
    pub(crate) fn owner_of(&self, subject: &str) -> Option<&str> {
        match subject.split_once('/')? {
            ("managed", name) => self.certificates.get(name)?.spec.owner.as_deref(),
            ("keyset", name) => self.keysets.get(name)?.spec.owner.as_deref(),
            ("endpoint", name) => self.endpoints.get(name)?.owner.as_deref(),
            _ => None,
        }
    }

    /// Whether what an event happens to is still declared, as far as that can be told.
    pub(crate) fn stands(&self, subject: &str) -> bool {
        match subject.split_once('/') {
            Some(("managed", name)) => self.certificates.contains_key(name),
            Some(("keyset", name)) => self.keysets.contains_key(name),
            Some(("endpoint", name)) => self.endpoints.contains_key(name),
            _ => true,
        }
    }

    /// Those of `receivers` that are told when `event` happens to `subject`, which `owner` answers for. Of people, those that name
    /// its owner; if there are none who want to know, those that name no owner at all.
    pub(crate) fn told<'a>(
        &self,
        receivers: &'a [Receiver],
        event: &str,
        subject: &str,
        owner: Option<&str>,
    ) -> Vec<&'a Receiver> {
        let wants = |receiver: &&Receiver| match receiver {
            Receiver::Webhook(spec) => spec.wants(event, subject, owner),
            _ => receiver.audience().is_some_and(|all| all.wants(event, subject, owner)),
        };
        let names_owner = |receiver: &Receiver| {
            receiver.audience().is_some_and(|audience| !audience.owners.is_empty())
        };
        let wanting: Vec<_> = receivers.iter().filter(wants).collect();
        let routed = wanting.iter().any(|receiver| names_owner(receiver));
        let is_told = |receiver: &&Receiver| {
            receiver.audience().is_none() || names_owner(receiver) || !routed
        };
        wanting.into_iter().filter(is_told).collect()
    }
}

/// Whether events and subjects name these.
pub(super) fn wants(events: &[Pattern], subjects: &[Pattern], event: &str, subject: &str) -> bool {
    events.iter().any(|pattern| pattern.allows(event))
        && (subjects.is_empty() || subjects.iter().any(|pattern| pattern.allows(subject)))
}

/// Whether `owner` is among them; what nobody owns is named by `*` alone.
pub(super) fn owns(owners: &[Pattern], owner: Option<&str>) -> bool {
    owners.iter().any(|pattern| pattern.allows(owner.unwrap_or_default()))
}

/// Whether somebody can be told of such events.
pub(super) fn check_events(events: &[Pattern]) -> Result<(), String> {
    let unknown = events.iter().find(|pattern| !KINDS.iter().any(|k| pattern.allows(k.event)));
    match unknown {
        Some(pattern) => Err(format!(
            "nobody is told of {:?}: events are {}",
            pattern.to_string(),
            KINDS.iter().map(|kind| kind.event).collect::<Vec<_>>().join(", ")
        )),
        None if events.is_empty() => Err("events is empty: name some".into()),
        None => Ok(()),
    }
}

pub(super) fn check_path(what: &str, path: &Path) -> Result<(), String> {
    if path.is_absolute() {
        return Ok(());
    }
    Err(format!("{what} must be the whole path, from / on"))
}

fn all_events() -> Vec<Pattern> {
    "*".parse().into_iter().collect()
}

fn default_severity() -> Severity {
    Severity::Warning
}

fn default_wait() -> SignedDuration {
    SignedDuration::from_secs(30)
}

fn default_repeat() -> SignedDuration {
    SignedDuration::from_hours(24)
}
