//! What is declared of what is watched: addresses whose certificates somebody else may look after, and
//! when whoever answers for a certificate is told that its end is near.

use std::path::PathBuf;

use jiff::SignedDuration;
use jwks::token::Pattern;
use push::probe::host_and_port;
use push::probe::starttls::StartTls;
use renew::alarm::{Lead, Leads};
use serde::{Deserialize, Serialize};

use super::keyset::patterns;

/// A TLS address that is watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndpointSpec {
    /// What everything else calls it.
    pub(crate) name: String,
    /// `host:port`; every address of a host is looked at.
    pub(crate) address: String,
    /// The server name to ask for; none: the host, if it is no address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sni: Option<String>,
    /// What is spoken before TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) starttls: Option<StartTls>,
    /// How often it is looked at.
    #[serde(default = "default_every", with = "ca::duration")]
    pub(crate) every: SignedDuration,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
    /// PEM roots that its clients trust, in place of the system's and those here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) roots: Option<PathBuf>,
}

impl EndpointSpec {
    /// Whether it makes sense by itself.
    ///
    /// # Errors
    /// A sentence that says what does not, and what to write.
    pub(crate) fn check(&self) -> Result<(), String> {
        host_and_port(&self.address)?;
        if !(SHORTEST..=LONGEST).contains(&self.every) {
            let [shortest, longest] = [SHORTEST, LONGEST].map(ca::duration::format);
            return Err(format!("every must lie between {shortest} and {longest}"));
        }
        if self.roots.as_ref().is_some_and(|roots| !roots.is_absolute()) {
            return Err("roots must be the whole path, from / on".into());
        }
        Ok(())
    }

    /// The server name to ask for.
    pub(crate) fn asked(&self) -> Option<&str> {
        let host = host_and_port(&self.address).ok().map(|(host, _)| host);
        let named = host.filter(|host| host.parse::<std::net::IpAddr>().is_err());
        self.sni.as_deref().or(named)
    }
}

/// When who is told of an end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlertSpec {
    /// What everything else calls it.
    pub(crate) name: String,
    /// Whose certificates it is for; none: everybody's.
    #[serde(default, with = "patterns", skip_serializing_if = "Vec::is_empty")]
    pub(crate) owners: Vec<Pattern>,
    /// How long before an end somebody should plan for it.
    #[serde(default = "default_notice")]
    pub(crate) notice: Lead,
    /// How long before an end somebody should act.
    #[serde(default = "default_urgent")]
    pub(crate) urgent: Lead,
}

impl AlertSpec {
    /// When which level begins.
    pub(crate) fn leads(&self) -> Leads {
        Leads { notice: self.notice, urgent: self.urgent }
    }

    /// Whether it is for certificates of this owner; those of nobody are of the owner ``.
    pub(crate) fn is_for(&self, owner: Option<&str>) -> bool {
        let owner = owner.unwrap_or_default();
        self.owners.is_empty() || self.owners.iter().any(|pattern| pattern.allows(owner))
    }
}

fn default_every() -> SignedDuration {
    SignedDuration::from_hours(1)
}

fn default_notice() -> Lead {
    Leads::default().notice
}

fn default_urgent() -> Lead {
    Leads::default().urgent
}

const SHORTEST: SignedDuration = SignedDuration::from_secs(10);
const LONGEST: SignedDuration = SignedDuration::from_hours(366 * 24);
