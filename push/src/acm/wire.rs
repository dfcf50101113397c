//! The calls to AWS: JSON by POST, signed, bounded both ways, and errors by what AWS said.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, StatusCode, Url, redirect::Policy};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::sleep;
use zeroize::Zeroizing;

use super::answer::{self, cause};
use super::credentials::Credentials;
use super::signature::{Scope, authorization};
use crate::command::without_keys;

/// ACM in one region.
pub(super) struct Wire {
    client: Client,
    endpoint: Url,
    /// As it is sent, and signed.
    host: String,
    region: String,
    credentials: Credentials,
}

/// Why a call gave nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing was asked: there was no connection.
    Unreachable(String),
    /// It was asked, and what became of it is not known.
    Lost(String),
    /// It has too much to do, and did nothing.
    Busy(String),
    /// It refused.
    Refused {
        /// AWS's word for why: `ResourceNotFoundException`.
        word: String,
        /// What it said.
        said: String,
    },
}

impl Failure {
    /// Whether there is nothing under the ARN that was named.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { word, .. } if word == MISSING)
    }
}

impl Wire {
    pub(super) fn new(
        endpoint: Url,
        region: &str,
        credentials: Credentials,
        limit: Duration,
    ) -> Result<Self, String> {
        let builder = Client::builder()
            .user_agent(concat!("perennial/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .timeout(limit);
        let builder = if endpoint.scheme() == "https" {
            builder.https_only(true)
        } else {
            builder.no_proxy()
        };
        let client = builder.build().map_err(|error| cause(&error))?;
        let name = endpoint.host_str().unwrap_or_default();
        let host = match endpoint.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        Ok(Self { client, endpoint, host, region: region.to_owned(), credentials })
    }

    /// Calls an action of ACM. It is asked again after a while where ACM says that it has too much to
    /// do.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        action: &str,
        body: Zeroizing<Vec<u8>>,
    ) -> Result<T, Failure> {
        let body = Bytes::from_owner(body);
        let mut pause = FIRST_PAUSE;
        for _ in 0..TRIES {
            match self.once(action, &body).await {
                Err(Failure::Busy(_)) => sleep(pause).await,
                other => return other,
            }
            pause *= 2;
        }
        self.once(action, &body).await
    }

    async fn once<T: DeserializeOwned>(&self, action: &str, body: &Bytes) -> Result<T, Failure> {
        // AWS takes a signature for some minutes from when it was made, by the real time: nothing here
        // is decided by it.
        let time = Timestamp::now().to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string();
        let target = format!("CertificateManager.{action}");
        let token = self.credentials.token.as_ref().map(|token| token.as_str());
        let mut headers = vec![("content-type", JSON), ("host", &self.host), ("x-amz-date", &time)];
        headers.extend(token.map(|token| ("x-amz-security-token", token)));
        headers.push(("x-amz-target", &target));
        let scope = Scope { time: &time, region: &self.region, service: SERVICE };
        let signed = authorization(&self.credentials, scope, &headers, body);
        let mut request = self
            .client
            .post(self.endpoint.clone())
            .header(CONTENT_TYPE, JSON)
            .header("x-amz-date", &time)
            .header("x-amz-target", &target)
            .header(AUTHORIZATION, sensitive(&signed)?);
        if let Some(token) = token {
            request = request.header("x-amz-security-token", sensitive(token)?);
        }
        let response = request.body(body.clone()).send().await.map_err(|error| {
            let why = cause(&error);
            if error.is_connect() { Failure::Unreachable(why) } else { Failure::Lost(why) }
        })?;
        let status = response.status();
        let said = answer::body(response, MAX_ANSWER).await.map_err(Failure::Lost)?;
        if !status.is_success() {
            return Err(refusal(status, &said));
        }
        serde_json::from_slice(&said)
            .map_err(|error| Failure::Lost(format!("the answer is not what ACM gives: {error}")))
    }
}

/// What was said with a status that is none of success.
fn refusal(status: StatusCode, said: &[u8]) -> Failure {
    #[derive(Deserialize)]
    struct Said {
        #[serde(rename = "__type")]
        word: Option<String>,
        #[serde(alias = "Message")]
        message: Option<String>,
    }
    let read = serde_json::from_slice::<Said>(said).ok();
    let (word, message) = read.map(|said| (said.word, said.message)).unwrap_or_default();
    // The word may come with the name of the service before it.
    let word = word.unwrap_or_default();
    let word = word.rsplit('#').next().unwrap_or_default().to_owned();
    // Who stands between may speak another language.
    let message = message.unwrap_or_else(|| String::from_utf8_lossy(said).into_owned());
    let plain = message.chars().filter(|one| !one.is_control());
    let message: String = plain.take(MAX_SAID).collect();
    // Of a signature that does not fit, all that was signed is quoted, the session's token too.
    let said = match word.contains("Signature") {
        true => format!("{status} {word}"),
        false => without_keys(&format!("{status} {word}: {message}")),
    };
    // A bare 503 may come after it was done, from whoever stands between.
    if status == StatusCode::TOO_MANY_REQUESTS
        || word.contains("Throttl")
        || word == "RequestLimitExceeded"
    {
        return Failure::Busy(said);
    }
    if status.is_server_error() { Failure::Lost(said) } else { Failure::Refused { word, said } }
}

fn sensitive(text: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(text).map_err(|_| Failure::Refused {
        word: String::new(),
        said: "the credentials have characters that none of AWS have".into(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

const SERVICE: &str = "acm";
const MISSING: &str = "ResourceNotFoundException";
const JSON: &str = "application/x-amz-json-1.1";
const CONNECT: Duration = Duration::from_secs(10);
/// A certificate with its chain has 2 MiB at the most there, and lists are paged.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
const MAX_SAID: usize = 1000;
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_aws_says_is_told_by_its_word_and_whether_it_did_anything() {
        let said = br#"{"__type":"com.amazon#LimitExceededException","message":"no more"}"#;
        match refusal(StatusCode::BAD_REQUEST, said) {
            Failure::Refused { word, said } => {
                assert_eq!(word, "LimitExceededException");
                assert!(said.contains("no more"), "{said}");
            }
            other => panic!("{other:?}"),
        }
        let said = br#"{"__type":"ThrottlingException","Message":"Rate exceeded"}"#;
        assert!(matches!(refusal(StatusCode::BAD_REQUEST, said), Failure::Busy(_)));
        assert!(matches!(refusal(StatusCode::FORBIDDEN, b"<html>"), Failure::Refused { .. }));
        // It may have been done.
        assert!(matches!(refusal(StatusCode::INTERNAL_SERVER_ERROR, said), Failure::Busy(_)));
        assert!(matches!(refusal(StatusCode::INTERNAL_SERVER_ERROR, b""), Failure::Lost(_)));
        assert!(matches!(refusal(StatusCode::SERVICE_UNAVAILABLE, b""), Failure::Lost(_)));
        // Such answers quote what was signed, and by whose session.
        let said =
            br#"{"__type":"InvalidSignatureException","message":"x-amz-security-token:FQo"}"#;
        match refusal(StatusCode::FORBIDDEN, said) {
            Failure::Refused { said, .. } => assert!(!said.contains("FQo"), "{said}"),
            other => panic!("{other:?}"),
        }
    }
}
