//! People and their sessions, as the API shows them.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// Somebody who may sign in.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Person {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) display_name: String,
    /// `active` or `disabled`.
    pub(crate) state: &'static str,
    pub(crate) roles: Vec<&'static str>,
    pub(crate) groups: Vec<String>,
    pub(crate) created_at: Timestamp,
    /// When they first came in.
    pub(crate) entered_at: Option<Timestamp>,
    /// Until when the link that lets them in is good.
    pub(crate) invited_until: Option<Timestamp>,
    /// Those that are good; only where one person is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sessions: Option<Vec<Session>>,
    /// Only where one person is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) passkeys: Option<Vec<Passkey>>,
    /// What lets them in once, in the answer that made it and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) link: Option<String>,
}

/// A passkey of a person.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Passkey {
    pub(crate) id: i64,
    pub(crate) name: String,
    /// Whether it is on several devices of its owner.
    pub(crate) backed_up: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) used_at: Timestamp,
}

/// One's own passkeys.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Passkeys {
    pub(crate) items: Vec<Passkey>,
}

/// A passkey that is no more.
#[derive(Serialize, JsonSchema)]
pub(crate) struct RemovedPasskey {
    pub(crate) id: i64,
}

/// What a browser is asked for (Web Authentication §5.1.8 and §5.1.9), as its own functions take it.
#[derive(JsonSchema)]
pub(crate) struct PasskeyOptions {
    #[expect(dead_code, reason = "it describes what the crate gives as JSON")]
    challenge: String,
}

/// A session of a person.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Session {
    pub(crate) id: i64,
    pub(crate) person: String,
    /// How they came in.
    pub(crate) way: String,
    pub(crate) created_at: Timestamp,
    pub(crate) used_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) stepped_up_at: Option<Timestamp>,
    pub(crate) user_agent: Option<String>,
    /// `live` or `expired`, in a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<&'static str>,
}

/// Who asks. What follows `stepped_up_at` is there for people in a session only.
#[derive(Serialize, JsonSchema)]
pub(crate) struct OwnSession {
    /// What the audit log calls them.
    pub(crate) who: String,
    pub(crate) roles: Vec<&'static str>,
    pub(crate) groups: Vec<String>,
    pub(crate) stepped_up_at: Option<Timestamp>,
    #[serde(flatten)]
    pub(crate) session: Option<EnteredSession>,
}

/// What the pages of a session must know.
#[derive(Serialize, JsonSchema)]
pub(crate) struct EnteredSession {
    pub(crate) name: String,
    pub(crate) display_name: String,
    /// What requests of its pages that change something carry as `X-CSRF-Token`.
    pub(crate) csrf_token: String,
    pub(crate) way: String,
    pub(crate) expires_at: Timestamp,
}
