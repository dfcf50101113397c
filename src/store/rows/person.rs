//! The rows of people and of their sessions.

use jiff::{SignedDuration, Timestamp};
use rusqlite::types::Value;

use super::{Columns, Stored, at, json, maybe_at, text};
use crate::access::Role;

/// Somebody who may sign in.
#[derive(Clone, Debug)]
pub(crate) struct PersonRow {
    pub(crate) id: i64,
    pub(crate) version: i64,
    /// What the audit log and rules call them. Never given twice.
    pub(crate) name: String,
    /// What people call them.
    pub(crate) display_name: String,
    /// The roles that they have everywhere.
    pub(crate) roles: Vec<Role>,
    pub(crate) groups: Vec<String>,
    pub(crate) state: PersonState,
    pub(crate) created_at: Timestamp,
    /// When they last signed in.
    pub(crate) entered_at: Option<Timestamp>,
    /// The link that lets them in once, while there is one.
    pub(crate) invitation: Option<Invitation>,
}

/// Whether somebody may sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PersonState {
    Active,
    Disabled,
}

impl PersonState {
    /// As it is shown and stored.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }
}

/// What is kept of a link that lets somebody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Invitation {
    /// SHA-256 of its secret.
    pub(crate) hash: [u8; 32],
    pub(crate) expires_at: Timestamp,
}

/// A time in which somebody is signed in.
#[derive(Clone, Debug)]
pub(crate) struct SessionRow {
    pub(crate) id: i64,
    pub(crate) version: i64,
    /// The row of whose it is.
    pub(crate) person: i64,
    /// SHA-256 of its secret.
    pub(crate) hash: [u8; 32],
    /// How they signed in.
    pub(crate) way: String,
    pub(crate) created_at: Timestamp,
    /// When it was last used, give or take a minute.
    pub(crate) used_at: Timestamp,
    /// It is good for nothing from then on, however much it is used.
    pub(crate) expires_at: Timestamp,
    /// When they last proved again that it is they.
    pub(crate) stepped_up_at: Option<Timestamp>,
    /// What their browser calls itself, in short.
    pub(crate) user_agent: Option<String>,
}

impl SessionRow {
    /// Whether it is still good.
    pub(crate) fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at && now.duration_since(self.used_at) < IDLE
    }
}

impl Stored for PersonRow {
    const TABLE: &'static str = "person";
    const COLUMNS: &'static [&'static str] = &[
        "name",
        "display_name",
        "roles",
        "groups",
        "state",
        "created_at",
        "entered_at",
        "invitation_hash",
        "invitation_expires_at",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            text(&self.name),
            text(&self.display_name),
            json(&self.roles.iter().map(|role| role.name()).collect::<Vec<_>>()),
            json(&self.groups),
            text(self.state.name()),
            at(self.created_at),
            maybe_at(self.entered_at),
            self.invitation.map(|open| open.hash.to_vec()).into(),
            maybe_at(self.invitation.map(|open| open.expires_at)),
        ]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        let (name, display_name) = (c.next()?, c.next()?);
        let roles: Vec<String> = c.json()?;
        let roles: Result<_, _> = roles.iter().map(|role| c.parse(role)).collect();
        Ok(Self {
            id,
            version,
            name,
            display_name,
            roles: roles?,
            groups: c.json()?,
            state: c.named(|text| {
                [PersonState::Active, PersonState::Disabled].into_iter().find(|s| s.name() == text)
            })?,
            created_at: c.time()?,
            entered_at: c.maybe_time()?,
            invitation: match (c.maybe_bytes()?, c.maybe_time()?) {
                (Some(hash), Some(expires_at)) => Some(Invitation { hash, expires_at }),
                _ => None,
            },
        })
    }
}

impl Stored for SessionRow {
    const TABLE: &'static str = "session";
    const COLUMNS: &'static [&'static str] = &[
        "person",
        "hash",
        "way",
        "created_at",
        "used_at",
        "expires_at",
        "stepped_up_at",
        "user_agent",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            self.person.into(),
            self.hash.to_vec().into(),
            text(&self.way),
            at(self.created_at),
            at(self.used_at),
            at(self.expires_at),
            maybe_at(self.stepped_up_at),
            self.user_agent.clone().into(),
        ]
    }

    fn from_columns((id, version): (i64, i64), c: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id,
            version,
            person: c.next()?,
            hash: c.bytes()?,
            way: c.next()?,
            created_at: c.time()?,
            used_at: c.time()?,
            expires_at: c.time()?,
            stepped_up_at: c.maybe_time()?,
            user_agent: c.next()?,
        })
    }
}

/// A session that is not used for so long is over.
const IDLE: SignedDuration = SignedDuration::from_hours(1);
