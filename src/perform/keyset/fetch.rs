//! HTTP to edges, as consumers fetch: bounded in time, size and redirects, which never lead from https
//! to http; trusting the system's roots, or those that are declared. How often an edge is asked is not
//! decided here: keys are due when they are.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use reqwest::header::{ACCEPT, AGE, CACHE_CONTROL, CONTENT_TYPE, HeaderMap};
use reqwest::redirect::{Attempt, Policy};
use url::Url;

use crate::catalog::digest_of;
use crate::node::Node;
use crate::perform::outgoing::{self, BadBody, causes, is_loopback};

/// The ways to edges.
#[derive(Default)]
pub(crate) struct Edges {
    /// To this machine or to others, by what is trusted.
    clients: Mutex<HashMap<(bool, [u8; 32]), reqwest::Client>>,
}

/// By which roots an edge's certificate is verified: DER, or none for those of the system.
pub(super) struct Trust(Option<Vec<Vec<u8>>>);

impl Trust {
    /// What is declared: an authority here by its name, or a file with roots in PEM, which is read each
    /// time. What an authority certifies is trusted, and not what is certified beside it.
    ///
    /// # Errors
    /// When the file cannot be read, in words.
    pub(super) fn declared(node: &Node, roots: Option<&str>) -> Result<Self, String> {
        let Some(roots) = roots else { return Ok(Self(None)) };
        if let Some(authority) = node.catalog.load().authorities.get(roots) {
            return Ok(Self(Some(vec![authority.ca.certificate().der().to_vec()])));
        }
        let fault = |why: String| format!("edge_roots {roots}: {why}; name a PEM file");
        // What is no file has no end, or waits for somebody.
        if !std::fs::metadata(roots).map_err(|e| fault(e.to_string()))?.is_file() {
            return Err(fault("it is no file".to_owned()));
        }
        let file = std::fs::File::open(roots).map_err(|e| fault(e.to_string()))?;
        let mut pem = String::new();
        file.take(MAX_ROOTS + 1).read_to_string(&mut pem).map_err(|e| fault(e.to_string()))?;
        if pem.len() as u64 > MAX_ROOTS {
            return Err(fault(format!("it has more than {MAX_ROOTS} octets")));
        }
        let roots = ca::Certificate::from_pem(&pem).map_err(|e| fault(e.to_string()))?;
        Ok(Self(Some(roots.iter().map(|root| root.der().to_vec()).collect())))
    }
}

/// What an edge answered with status 200.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) body: Vec<u8>,
    /// In seconds (RFC 9111 §5.1).
    pub(super) age: Option<u64>,
    pub(super) cache_control: String,
    pub(super) html: bool,
}

impl Answer {
    /// Whether it is a page, by what it says or by how it begins.
    pub(super) fn is_html(&self) -> bool {
        self.html || self.body.trim_ascii_start().starts_with(b"<")
    }

    /// How old a copy may be that was taken from it, at least: how old this one is, and until when it
    /// may be used (RFC 9111 §4.2.1, RFC 5861 §3).
    pub(super) fn kept(&self) -> SignedDuration {
        let fresh = self.seconds("max-age").max(self.seconds("s-maxage"));
        let fresh = fresh.saturating_add(self.seconds("stale-while-revalidate"));
        let most = fresh.max(self.age.unwrap_or(0)).min(LONGEST);
        SignedDuration::from_secs(most.cast_signed())
    }

    /// The fields that say so.
    pub(super) fn said(&self) -> String {
        let control = (!self.cache_control.is_empty())
            .then(|| format!("Cache-Control: {}", self.cache_control));
        let age = self.age.map(|age| format!("Age: {age}"));
        control.into_iter().chain(age).collect::<Vec<_>>().join("; ")
    }

    /// The argument of a directive of its Cache-Control; none is zero, and no end is for ever.
    fn seconds(&self, directive: &str) -> u64 {
        let argument = self.cache_control.split(',').find_map(|element| {
            let (name, argument) = element.split_once('=')?;
            name.trim().eq_ignore_ascii_case(directive).then(|| argument.trim().trim_matches('"'))
        });
        argument.map_or(0, seconds)
    }
}

impl Edges {
    /// What is at `url` now.
    ///
    /// # Errors
    /// In words, when it cannot be had.
    pub(super) async fn get(&self, url: &str, trust: &Trust) -> Result<Answer, String> {
        let url = Url::parse(url).map_err(|error| format!("it is no URL: {error}"))?;
        let request = self.client(&url, trust)?.get(url).header(ACCEPT, "application/json");
        let said = |error: reqwest::Error| causes(&error.without_url());
        let response = request.send().await.map_err(said)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(format!("it answers with status {}", response.status()));
        }
        let headers = response.headers();
        let mut answer = Answer {
            body: Vec::new(),
            age: headers.get(AGE).and_then(|age| age.to_str().ok()).map(seconds),
            cache_control: joined(headers),
            html: headers.get(CONTENT_TYPE).is_some_and(|kind| {
                kind.to_str().is_ok_and(|kind| kind.trim().starts_with("text/html"))
            }),
        };
        answer.body = outgoing::body(response, MAX_SET).await.map_err(|bad| match bad {
            BadBody::Broken(error) => said(error),
            BadBody::TooLarge => {
                format!("it answers with more than the {MAX_SET} octets that a set may have")
            }
        })?;
        Ok(answer)
    }

    fn client(&self, url: &Url, trust: &Trust) -> Result<reqwest::Client, String> {
        let direct = is_loopback(url);
        let key = (direct, digest_of(&trust.0));
        // A map of clients is as good after a panic as before it.
        let clients = || self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients().get(&key) {
            return Ok(client.clone());
        }
        let builder = outgoing::client(direct, CONNECT, EXCHANGE);
        let mut builder = builder.redirect(Policy::custom(follow)).read_timeout(CONNECT);
        if let Some(roots) = &trust.0 {
            builder = outgoing::trusting(builder, roots.iter().map(Vec::as_slice))?;
        }
        let client = builder.build().map_err(|error| causes(&error))?;
        let mut clients = clients();
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        clients.insert(key, client.clone());
        Ok(client)
    }
}

/// What was fetched over https is not to be replaced by what anybody on the way can write.
fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let was_secure = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    match attempt.url().scheme() {
        "https" => {}
        "http" if !was_secure => {}
        _ => return attempt.error("it redirects to what is not https"),
    }
    if attempt.previous().len() > REDIRECTS {
        return attempt.error("it redirects too often");
    }
    attempt.follow()
}

/// All its Cache-Control fields as one, as far as they are text.
fn joined(headers: &HeaderMap) -> String {
    let fields = headers.get_all(CACHE_CONTROL).iter().filter_map(|field| field.to_str().ok());
    fields.collect::<Vec<_>>().join(", ").chars().take(MAX_FIELD).collect()
}

/// RFC 9111 §1.2.2: a number that is too large is the largest; what is none is stale already.
fn seconds(text: &str) -> u64 {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    if is_number { text.parse().unwrap_or(u64::MAX) } else { 0 }
}

const CONNECT: Duration = Duration::from_secs(10);
/// Of a whole answer.
const EXCHANGE: Duration = Duration::from_secs(30);
const REDIRECTS: usize = 3;
/// As much as is read of a set.
const MAX_SET: usize = 256 * 1024;
const MAX_ROOTS: u64 = 1024 * 1024;
const MAX_FIELD: usize = 256;
const MAX_CLIENTS: usize = 64;
/// Ten years, in seconds.
const LONGEST: u64 = 3653 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perform::published::tests::{Answer as Given, Server};

    async fn said(given: Given) -> String {
        let server = Server::start();
        server.answers(given);
        let url = format!("http://{}/set", server.address);
        let answer = Edges::default().get(&url, &Trust(None)).await;
        answer.map_or_else(|why| why, |answer| format!("{} octets", answer.body.len()))
    }

    #[tokio::test]
    async fn an_answer_is_bounded_and_a_refusal_said() {
        assert_eq!(said(Given::Body(vec![b' '; MAX_SET])).await, "262144 octets");
        for (given, what) in [
            (Given::Body(vec![b' '; MAX_SET + 1]), "more than the 262144 octets"),
            (Given::Status("404 Not Found"), "status 404"),
            (Given::Status("302 Found\r\nLocation: /again"), "too often"),
            (Given::Status("302 Found\r\nLocation: ftp://localhost/"), "redirect"),
        ] {
            let said = said(given).await;
            assert!(said.contains(what), "{what}: {said}");
        }
    }

    #[tokio::test]
    async fn a_silent_host_is_asked_again_whenever_its_key_is_due() {
        let edges = Edges::default();
        for _ in 0..2 {
            let why = edges.get("http://127.0.0.1:9/", &Trust(None)).await.err();
            assert!(why.expect("nobody is there").contains("refused"));
        }
    }
}
