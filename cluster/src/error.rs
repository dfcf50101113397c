//! What can go wrong between us and an API server, by who is at fault; and how its own words, a
//! `Status`, are read. They are cut short, and what could be key material is left out of them.

use std::time::Duration;

use serde::Deserialize;

/// Why an API server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// What is declared, or the kubeconfig it names, cannot work: the operator's.
    #[error("{0}")]
    Declaration(String),
    /// It does not know who we are, though the credentials were read again.
    #[error(
        "the cluster does not accept our credentials (401: {0}): renew the token or the client certificate"
    )]
    Unauthorized(String),
    /// It knows who we are, and we may not.
    #[error("the cluster does not allow it (403: {0}): give the role these verbs")]
    Forbidden(String),
    /// The object, or its namespace, is not there.
    #[error("it is not there (404: {0})")]
    Missing(String),
    /// Fields that were to be applied are others'.
    #[error("{}", owned(managers, message))]
    Owned {
        /// The field managers they belong to.
        managers: Vec<String>,
        /// What the server said.
        message: String,
    },
    /// Someone else changed the object at the same time.
    #[error("someone else changed it at the same time (409: {0})")]
    Conflict(String),
    /// It, or an admission webhook, found something wrong with what was sent.
    #[error("the cluster refused it ({status}: {message})")]
    Invalid {
        /// The HTTP status.
        status: u16,
        /// What the server said.
        message: String,
    },
    /// The history from which a watch was to go on is gone.
    #[error("the cluster's history does not reach back that far (410)")]
    Gone,
    /// It has too much to do, and still had after it was left alone for as long as it said.
    #[error("the cluster has too much to do (429: {0})")]
    Busy(String),
    /// What it answered is longer than an answer may be.
    #[error("the cluster at {server} answered with more than {limit} bytes")]
    TooLarge {
        /// Its URL.
        server: String,
        /// How long an answer may be.
        limit: usize,
    },
    /// It cannot be reached.
    #[error("cannot reach the cluster at {server}: {why}")]
    Unreachable {
        /// Its URL.
        server: String,
        /// Why not.
        why: String,
    },
    /// It was reached, and did not answer in time.
    #[error("the cluster {cluster} did not answer within {} s", after.as_secs_f32())]
    TimedOut {
        /// Which: `of` its kubeconfig.
        cluster: String,
        /// How long it was given.
        after: Duration,
    },
    /// It failed, or what it said makes no sense.
    #[error("the cluster {cluster} failed: {what}")]
    Broken {
        /// Which: `at` its URL, or `of` its kubeconfig.
        cluster: String,
        /// What was wrong.
        what: String,
    },
}

impl ClusterError {
    /// Whether the server surely did not do what it was asked.
    #[must_use]
    pub fn is_without_effect(&self) -> bool {
        !matches!(self, Self::TimedOut { .. } | Self::Broken { .. } | Self::TooLarge { .. })
    }

    /// The server at this URL failed.
    pub(crate) fn broken(server: &str, what: impl Into<String>) -> Self {
        Self::Broken { cluster: format!("at {server}"), what: what.into() }
    }

    /// What an answer with this status says.
    pub(crate) fn answered(server: &str, status: u16, body: &[u8]) -> Self {
        let said: Status = serde_json::from_slice(body).unwrap_or_default();
        let managers = said.managers();
        let message = said.message();
        match status {
            401 => Self::Unauthorized(message),
            403 => Self::Forbidden(message),
            404 => Self::Missing(message),
            409 if !managers.is_empty() => Self::Owned { managers, message },
            409 => Self::Conflict(message),
            410 => Self::Gone,
            429 => Self::Busy(message),
            400..=499 => Self::Invalid { status, message },
            _ => Self::broken(server, format!("{status}: {message}")),
        }
    }
}

fn owned(managers: &[String], message: &str) -> String {
    format!("it belongs to {} (409: {message})", managers.join(", "))
}

/// The API's own form of an error (meta/v1 Status).
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    pub(crate) code: u16,
    message: String,
    details: Details,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    causes: Vec<Cause>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cause {
    reason: String,
    message: String,
}

impl Status {
    /// What it says, as it may stand in a log.
    pub(crate) fn message(&self) -> String {
        if self.message.is_empty() {
            return "it did not say why".into();
        }
        let words = self.message.split_inclusive([' ', '"', '\n']);
        // Server and webhooks may quote what they were sent; no word of theirs is as long as a key.
        let words = words.map(|word| if word.len() > LONGEST_WORD { "[...] " } else { word });
        let text: String = words.collect::<String>().chars().take(LONGEST_MESSAGE).collect();
        text.replace(['\n', '\r', '\t'], " ")
    }

    /// The field managers that a conflict is with.
    fn managers(&self) -> Vec<String> {
        let conflicts =
            self.details.causes.iter().filter(|cause| cause.reason == "FieldManagerConflict");
        let mut managers: Vec<String> = conflicts
            .map(|cause| {
                let quoted = cause.message.split('"').nth(1);
                quoted.unwrap_or(&cause.message).chars().take(LONGEST_NAME).collect()
            })
            .collect();
        managers.sort();
        managers.dedup();
        managers.truncate(MOST_MANAGERS);
        managers
    }
}

const LONGEST_MESSAGE: usize = 500;
const LONGEST_WORD: usize = 120;
const LONGEST_NAME: usize = 128;
const MOST_MANAGERS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> ClusterError {
        ClusterError::answered("https://c", status, body.as_bytes())
    }

    #[test]
    fn a_conflict_names_each_manager_once() {
        let error = answered(
            409,
            r#"{"kind":"Status","code":409,"message":"Apply failed with 2 conflicts","details":{"causes":[
                {"reason":"FieldManagerConflict","message":"conflict with \"cert-manager\" using v1","field":".data.tls.crt"},
                {"reason":"FieldManagerConflict","message":"conflict with \"cert-manager\" using v1","field":".data.tls.key"}]}}"#,
        );
        let ClusterError::Owned { managers, .. } = &error else { panic!("{error}") };
        assert_eq!(managers, &["cert-manager"]);
        assert!(matches!(answered(409, "{}"), ClusterError::Conflict(_)));
    }

    #[test]
    fn what_could_be_a_key_is_not_repeated() {
        let key = "QUJD".repeat(60);
        let body = format!(r#"{{"message":"data: Invalid value: \"{key}\": no"}}"#);
        let told = answered(422, &body).to_string();
        assert!(told.contains("Invalid value") && !told.contains("QUJDQUJD"), "{told}");
    }

    #[test]
    fn an_answer_that_is_no_status_is_told_by_its_code() {
        assert!(matches!(answered(502, "<html>"), ClusterError::Broken { .. }));
        assert!(matches!(answered(404, ""), ClusterError::Missing(_)));
        assert!(matches!(answered(410, "{"), ClusterError::Gone));
        assert!(matches!(answered(429, "{}"), ClusterError::Busy(_)));
    }
}
