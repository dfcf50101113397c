//! What lists are asked for: how much, from where on, and which. A parameter that a list does not know is
//! refused, for whoever gave it means something by it.

use acme::Problem;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::catalog::Catalog;
use crate::store::{CertificateFilter, Page};

/// What every list understands.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    /// How many at the most, up to 1000.
    #[serde(default = "default_limit")]
    limit: u32,
    /// The `next` of the page before.
    #[serde(default)]
    after: i64,
}

/// What the list of issued certificates understands.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Certificates {
    /// How many at the most, up to 1000.
    #[serde(default = "default_limit")]
    limit: u32,
    /// The `next` of the page before.
    #[serde(default)]
    after: i64,
    /// Only those that carry exactly this name or address.
    #[serde(default)]
    names: Option<String>,
    /// Only those of this authority.
    #[serde(default)]
    authority: Option<String>,
    /// Only those that follow this profile.
    #[serde(default)]
    profile: Option<String>,
    /// Only those that are so now.
    #[serde(default)]
    status: Option<Status>,
    /// Only those that expire within this time, such as `30d`, the soonest first.
    #[serde(default)]
    expiring_within: Option<String>,
}

/// How an issued certificate is.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "CertificateStatus")]
enum Status {
    Valid,
    Expired,
    Revoked,
}

/// What the list of found certificates, and that of what ends soon, understand.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ends {
    /// How many at the most, up to 1000.
    #[serde(default = "default_limit")]
    limit: u32,
    /// The `next` of the page before.
    #[serde(default)]
    after: i64,
    /// Only those that expire within this time, such as `30d`, the soonest first.
    #[serde(default)]
    expiring_within: Option<String>,
    /// Only those of this owner.
    #[serde(default)]
    pub(super) owner: Option<String>,
}

/// What the audit log understands.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    /// How many at the most, up to 1000.
    #[serde(default = "default_limit")]
    limit: u32,
    /// Only what was done to this, as `certificate/01ab...` or `managed/shop`.
    #[serde(default)]
    pub(super) subject: Option<String>,
    /// Only what was done before the event of this id.
    #[serde(default = "end")]
    pub(super) before: i64,
}

impl Listing {
    pub(super) fn page(&self) -> Page {
        page(self.limit, self.after)
    }
}

impl Certificates {
    pub(super) fn page(&self) -> Page {
        page(self.limit, self.after)
    }

    /// Which certificates are meant; none: there can be no such.
    ///
    /// # Errors
    /// When a time is none, or one question contradicts another.
    pub(super) fn filter(
        &self,
        catalog: &Catalog,
        now: Timestamp,
    ) -> Result<Option<CertificateFilter>, Problem> {
        let authority = match &self.authority {
            Some(name) => match catalog.authorities.get(name) {
                Some(authority) => Some(authority.id),
                None => return Ok(None),
            },
            None => None,
        };
        let until = until(self.expiring_within.as_deref(), now)?;
        let expires_within = match (until, self.status) {
            (Some(_), Some(Status::Expired | Status::Revoked)) => {
                let why = "what expired or was revoked does not expire any more: give status or \
                           expiring_within";
                return Err(Problem::malformed(why));
            }
            (Some(until), _) => Some((now, until)),
            (None, Some(Status::Valid)) => Some((now, Timestamp::MAX)),
            (None, Some(Status::Expired)) => Some((Timestamp::UNIX_EPOCH, now)),
            (None, _) => None,
        };
        Ok(Some(CertificateFilter {
            name: self.names.clone(),
            authority,
            profile: self.profile.clone(),
            expires_within,
            revoked: matches!(self.status, Some(Status::Revoked)),
        }))
    }
}

impl Ends {
    pub(super) fn page(&self) -> Page {
        page(self.limit, self.after)
    }

    /// Before when what is listed ends, if that is asked.
    pub(super) fn until(&self, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
        until(self.expiring_within.as_deref(), now)
    }
}

impl Log {
    pub(super) fn limit(&self) -> u32 {
        page(self.limit, 0).limit
    }
}

fn page(limit: u32, after: i64) -> Page {
    Page { after, limit: limit.clamp(1, MAX_LIMIT) }
}

fn until(within: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = within else { return Ok(None) };
    let within = ca::duration::parse(text).map_err(|e| Problem::malformed(e.to_string()))?;
    now.checked_add(within).map(Some).map_err(|e| Problem::malformed(e.to_string()))
}

fn default_limit() -> u32 {
    100
}

fn end() -> i64 {
    i64::MAX
}

const MAX_LIMIT: u32 = 1000;
