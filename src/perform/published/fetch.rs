//! Plain HTTP to where certificates point: bounded in time, size and redirects. A host that does not
//! answer is left alone for a while, so that what is behind it is not waited for again and again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::{Attempt, Policy};
use url::{Position, Url};

use crate::perform::outgoing::{self, BadBody, causes, is_loopback};

/// The way out.
#[derive(Default)]
pub(super) struct Fetcher {
    /// To other machines, by a proxy where the environment names one; and to this one.
    clients: [OnceLock<reqwest::Client>; 2],
    /// Hosts that did not answer, until when they are left alone.
    resting: Mutex<HashMap<String, Timestamp>>,
}

impl Fetcher {
    /// Gets at most `most` octets from `url`.
    ///
    /// # Errors
    /// In words, when it cannot be had.
    pub(super) async fn get(
        &self,
        url: &str,
        most: usize,
        now: Timestamp,
    ) -> Result<Vec<u8>, String> {
        let url = Url::parse(url).map_err(|error| format!("{url:?} is no URL: {error}"))?;
        let request = self.client(&url)?.get(url.clone());
        self.exchange(&url, request, most, now).await
    }

    /// Sends `body` to `url`; gets at most `most` octets.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub(super) async fn post(
        &self,
        url: &str,
        (kind, body): (&'static str, Vec<u8>),
        most: usize,
        now: Timestamp,
    ) -> Result<Vec<u8>, String> {
        let url = Url::parse(url).map_err(|error| format!("{url:?} is no URL: {error}"))?;
        let request = self.client(&url)?.post(url.clone()).header(CONTENT_TYPE, kind).body(body);
        self.exchange(&url, request, most, now).await
    }

    async fn exchange(
        &self,
        url: &Url,
        request: reqwest::RequestBuilder,
        most: usize,
        now: Timestamp,
    ) -> Result<Vec<u8>, String> {
        let host = &url[..Position::BeforePath];
        if let Some(until) = self.resting(host, now) {
            return Err(format!("{host} did not answer, and is left alone until {until}"));
        }
        let said = |error: reqwest::Error| {
            if error.is_connect() || error.is_timeout() {
                self.rest(host, now);
            }
            format!("{url}: {}", causes(&error))
        };
        let response = request.send().await.map_err(said)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(format!("{url}: status {}", response.status()));
        }
        outgoing::body(response, most).await.map_err(|bad| match bad {
            BadBody::Broken(error) => said(error),
            BadBody::TooLarge => format!("{url}: more than {most} octets"),
        })
    }

    fn client(&self, url: &Url) -> Result<reqwest::Client, String> {
        let direct = is_loopback(url);
        let place = &self.clients[usize::from(direct)];
        if let Some(client) = place.get() {
            return Ok(client.clone());
        }
        let builder = outgoing::client(direct, CONNECT, EXCHANGE);
        let builder = builder.redirect(Policy::custom(follow)).read_timeout(CONNECT);
        let client = builder.build().map_err(|error| causes(&error))?;
        Ok(place.get_or_init(|| client).clone())
    }

    fn resting(&self, host: &str, now: Timestamp) -> Option<Timestamp> {
        lock(&self.resting).get(host).copied().filter(|until| *until > now)
    }

    fn rest(&self, host: &str, now: Timestamp) {
        let mut resting = lock(&self.resting);
        resting.retain(|_, until| *until > now);
        resting.insert(host.to_owned(), now + REST);
    }
}

/// HTTPS would need trust that is nowhere declared, and adds none to what is signed.
fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    if attempt.url().scheme() != "http" {
        attempt.error("it redirects to what is not http://")
    } else if attempt.previous().len() > REDIRECTS {
        attempt.error("it redirects too often")
    } else {
        attempt.follow()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is known is as good after a panic as before it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const CONNECT: Duration = Duration::from_secs(10);
/// Of a whole answer, which may be large.
const EXCHANGE: Duration = Duration::from_secs(30);
const REST: SignedDuration = SignedDuration::from_mins(10);
const REDIRECTS: usize = 3;
