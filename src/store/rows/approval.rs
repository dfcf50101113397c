//! The row of a request that somebody must agree to.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::types::Value;
use serde::{Deserialize, Serialize};

use super::{Columns, Stored, at, json, text};

/// A request that waits for approval, or had it.
#[derive(Clone, Debug)]
pub(crate) struct ApprovalRow {
    pub(crate) id: i64,
    pub(crate) version: i64,
    /// Who asked, as the audit log calls them.
    pub(crate) asked_by: String,
    /// The actions that need it.
    pub(crate) actions: BTreeSet<String>,
    /// What they would be done to.
    pub(crate) subjects: BTreeSet<String>,
    /// Method and path.
    pub(crate) route: String,
    /// SHA-256 of method, path and body.
    pub(crate) digest: [u8; 32],
    pub(crate) reason: String,
    /// How many must agree.
    pub(crate) needed: u8,
    /// Who said what.
    pub(crate) decisions: Vec<Opinion>,
    pub(crate) state: ApprovalState,
    pub(crate) created_at: Timestamp,
    /// Until when it can be agreed to and done.
    pub(crate) expires_at: Timestamp,
}

/// What somebody said to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Opinion {
    /// Who, as the audit log calls them.
    pub(crate) by: String,
    pub(crate) agreed: bool,
    pub(crate) comment: String,
    pub(crate) at: Timestamp,
}

/// Where a request stands; that it has expired is told by the clock alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ApprovalState {
    /// Somebody must agree still.
    Open,
    /// It can be done, once.
    Approved,
    Denied,
    /// Whoever asked wants it no more.
    Withdrawn,
    /// It was done.
    Used,
}

impl ApprovalState {
    const ALL: [Self; 5] = [Self::Open, Self::Approved, Self::Denied, Self::Withdrawn, Self::Used];

    /// As it is shown and stored.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Withdrawn => "withdrawn",
            Self::Used => "used",
        }
    }
}

impl std::str::FromStr for ApprovalState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|state| state.name() == text);
        known.ok_or_else(|| format!("there is no state {text:?} of an approval"))
    }
}

impl ApprovalRow {
    /// One word for how it is.
    pub(crate) fn status(&self, now: Timestamp) -> &'static str {
        let waits = matches!(self.state, ApprovalState::Open | ApprovalState::Approved);
        if waits && self.expires_at <= now { "expired" } else { self.state.name() }
    }
}

impl Stored for ApprovalRow {
    const TABLE: &'static str = "approval";
    const COLUMNS: &'static [&'static str] = &[
        "asked_by",
        "actions",
        "subjects",
        "route",
        "digest",
        "reason",
        "needed",
        "decisions",
        "state",
        "created_at",
        "expires_at",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            text(&self.asked_by),
            json(&self.actions),
            json(&self.subjects),
            text(&self.route),
            self.digest.to_vec().into(),
            text(&self.reason),
            i64::from(self.needed).into(),
            json(&self.decisions),
            text(self.state.name()),
            at(self.created_at),
            at(self.expires_at),
        ]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            version,
            asked_by: c.next()?,
            actions: c.json()?,
            subjects: c.json()?,
            route: c.next()?,
            digest: c.bytes()?,
            reason: c.next()?,
            needed: c.next()?,
            decisions: c.json()?,
            state: {
                let word: String = c.next()?;
                c.parse(&word)?
            },
            created_at: c.time()?,
            expires_at: c.time()?,
        })
    }
}
