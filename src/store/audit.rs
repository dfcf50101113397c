//! The audit event: who did what to what. It is part of every commit, so that what happened and
//! the record of it become durable in the same instant.

use serde_json::Value;

/// Who acts, and the HTTP request that asked for it, if one did.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Actor {
    name: String,
    request: Option<String>,
}

impl Actor {
    /// Whoever is called `name`, asked by HTTP request `id`.
    pub(crate) fn asked_by(name: &str, id: &str) -> Self {
        Self { name: name.to_owned(), request: Some(id.to_owned()) }
    }
}

impl From<String> for Actor {
    fn from(name: String) -> Self {
        Self { name, request: None }
    }
}

impl From<&str> for Actor {
    fn from(name: &str) -> Self {
        name.to_owned().into()
    }
}

/// One audit record, before it has a number and a time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    /// Who acted: `account/7`, `admin`, `worker`, `serve`.
    pub(crate) actor: String,
    /// What was done, as `noun.verb`: `order.create`, `certificate.issue`.
    pub(crate) action: &'static str,
    /// What it was done to: `order/12`, `certificate/03ab…`.
    pub(crate) subject: String,
    /// The HTTP request that asked for it, if one did.
    pub(crate) request: Option<String>,
    /// The rotation it is part of.
    pub(crate) rotation: Option<i64>,
    /// What else an auditor needs; never a secret. `Null` when there is nothing to add.
    pub(crate) detail: Value,
}

impl Event {
    /// `actor` did `action` to `subject`.
    pub(crate) fn new(
        actor: impl Into<Actor>,
        action: &'static str,
        subject: impl Into<String>,
    ) -> Self {
        let (Actor { name, request }, subject) = (actor.into(), subject.into());
        Self { actor: name, action, subject, request, rotation: None, detail: Value::Null }
    }

    /// The same event with what else an auditor needs.
    pub(crate) fn with(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }

    /// The same event, part of rotation `id`.
    pub(crate) fn of_rotation(mut self, id: i64) -> Self {
        self.rotation = Some(id);
        self
    }

    /// The same event, asked for by HTTP request `id`.
    pub(crate) fn asked_by(mut self, id: &str) -> Self {
        self.request = Some(id.to_owned());
        self
    }
}

/// One audit record as it is stored.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Recorded {
    /// Its place in the log.
    pub(crate) id: i64,
    /// When, in Unix seconds.
    pub(crate) at: i64,
    /// Who acted.
    pub(crate) actor: String,
    /// What was done.
    pub(crate) action: String,
    /// What it was done to.
    pub(crate) subject: String,
    /// The HTTP request that asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<String>,
    /// The rotation it is part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rotation: Option<i64>,
    /// What else an auditor needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<Value>,
}
