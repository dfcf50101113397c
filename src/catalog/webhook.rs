//! What is declared of a webhook: who is told elsewhere, of what, and how they know it is us.

use std::path::PathBuf;

use jwks::token::Pattern;
use notices::{Kind, Severity};
use serde::{Deserialize, Serialize};
use url::Url;

use super::keyset::patterns;
use super::receiver::{check_events, check_path, owns, wants};

/// An address that is told of events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookSpec {
    /// What everything else calls it.
    pub(crate) name: String,
    /// Where messages are posted to.
    pub(crate) url: String,
    /// A file with the secrets that messages are signed with, one a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret_file: Option<PathBuf>,
    /// The environment variable that holds one, in place of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret_env: Option<String>,
    /// Which events it is told of.
    #[serde(default = "default_events", with = "patterns")]
    pub(crate) events: Vec<Pattern>,
    /// Of those, only what happens to these.
    #[serde(default, with = "patterns", skip_serializing_if = "Vec::is_empty")]
    pub(crate) subjects: Vec<Pattern>,
    /// Of those, only what belongs to these.
    #[serde(default, with = "patterns", skip_serializing_if = "Vec::is_empty")]
    pub(crate) owners: Vec<Pattern>,
    /// Of those, only what is as grave as this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) severity: Option<Severity>,
    /// PEM certificates to trust for it, in place of the system's roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) roots: Option<PathBuf>,
}

impl WebhookSpec {
    /// Whether it is told when `event` happens to `subject`, which is `owner`'s.
    pub(crate) fn wants(&self, event: &str, subject: &str, owner: Option<&str>) -> bool {
        let Some(kind) = Kind::of(event) else { return false };
        self.severity.is_none_or(|least| kind.severity >= least)
            && wants(&self.events, &self.subjects, event, subject)
            && (self.owners.is_empty() || owns(&self.owners, owner))
    }

    /// Whether it could work.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        let url = Url::parse(&self.url).map_err(|e| format!("url {:?}: {e}", self.url))?;
        if url.host().is_none() || !matches!(url.scheme(), "https" | "http") {
            return Err("url must be an https or http URL".into());
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err("url must be without user, password and fragment".into());
        }
        match (&self.secret_file, &self.secret_env) {
            (Some(file), None) => check_path("secret_file", file)?,
            (None, Some(_)) => {}
            _ => return Err("set either secret_file or secret_env: messages are signed".into()),
        }
        check_events(&self.events)
    }
}

fn default_events() -> Vec<Pattern> {
    "keyset.emergency".parse().into_iter().collect()
}
