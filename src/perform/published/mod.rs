//! What CAs outside publish about revocation, fetched from where their certificates say it is, over
//! plain HTTP as RFC 5280 §4.2.1.13 has it: everything is signed, and believed only if it verifies.
//! Each CRL is fetched once for all the certificates that name it, and kept for a while, as is the
//! failure to get it. Nothing is stored, and nothing is decided about a managed certificate.

mod fetch;
mod shelf;
#[cfg(test)]
pub(super) mod tests;

use std::sync::Arc;

use ca::{Certificate, RevocationList, ocsp};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use fetch::Fetcher;
use shelf::{Kept, Shelf};

/// The CRLs at hand.
pub(crate) struct Published {
    fetcher: Fetcher,
    lists: Shelf<Key, Arc<RevocationList>>,
    downloads: Semaphore,
}

/// A CRL: where it is, and the fingerprint of the issuer's certificate by which it was verified.
type Key = (String, [u8; 32]);

impl Default for Published {
    fn default() -> Self {
        Self {
            fetcher: Fetcher::default(),
            lists: Shelf::new(MAX_LISTS, MAX_SIZE),
            downloads: Semaphore::new(DOWNLOADS),
        }
    }
}

impl Published {
    /// The CRL at `url`, signed by `issuer` and current.
    ///
    /// # Errors
    /// Why it cannot be had; also for a while after it could not.
    pub(super) async fn list(
        &self,
        url: &str,
        issuer: &Certificate,
        now: Timestamp,
    ) -> Result<Arc<RevocationList>, String> {
        let key = (url.to_owned(), issuer.fingerprint());
        let make = async {
            let list = self.download(url, issuer, now).await;
            let until = match &list {
                // As long as clocks may differ, one is read that has just ended.
                Ok(list) => list.next_update().clamp(now + SHORTLY, now + FRESH),
                Err(_) => now + REST,
            };
            let size = list.as_ref().map_or(0, |list| list.size());
            Kept { value: list, until, size }
        };
        self.lists.take(key, now, make).await
    }

    /// At most `most` octets of what is at `url`, as it is now.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub(super) async fn document(
        &self,
        url: &str,
        most: usize,
        now: Timestamp,
    ) -> Result<Vec<u8>, String> {
        self.fetcher.get(url, most, now).await
    }

    /// What the OCSP responder at `url` says of `certificate`. It is not kept: each look at a
    /// certificate asks for another.
    ///
    /// # Errors
    /// Why there is no answer that could be believed.
    pub(super) async fn status(
        &self,
        url: &str,
        certificate: &Certificate,
        issuer: &Certificate,
        now: Timestamp,
    ) -> Result<ocsp::Status, String> {
        let request = ocsp::request(certificate, issuer).map_err(|error| error.to_string())?;
        let body = ("application/ocsp-request", request);
        let answer = self.fetcher.post(url, body, ocsp::MAX_RESPONSE, now).await?;
        ocsp::read(&answer, certificate, issuer, now).map_err(|error| format!("{url}: {error}"))
    }

    async fn download(
        &self,
        url: &str,
        issuer: &Certificate,
        now: Timestamp,
    ) -> Result<Arc<RevocationList>, String> {
        let _turn = self.downloads.acquire().await.map_err(|error| error.to_string())?;
        let der = self.fetcher.get(url, ca::revocation_list::MAX_LIST, now).await?;
        let issuer = issuer.clone();
        // A large one takes longer than other steps should wait for.
        let read = move || RevocationList::read(der, &issuer, now);
        let list = tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())?;
        list.map(Arc::new).map_err(|error| format!("{url}: {error}"))
    }
}

/// For how long a CRL is as good as fetched: a CA that revokes in a hurry publishes at once, and does
/// not wait for nextUpdate.
const FRESH: SignedDuration = SignedDuration::from_hours(1);
const SHORTLY: SignedDuration = SignedDuration::from_mins(1);
/// For how long one that could not be had is not asked for again.
const REST: SignedDuration = SignedDuration::from_mins(10);
/// Let's Encrypt has 128 for each of its issuers.
const MAX_LISTS: usize = 1024;
/// Octets of all CRLs that are kept.
const MAX_SIZE: usize = 64 * 1024 * 1024;
/// CRLs fetched and read at once, each of which takes memory.
const DOWNLOADS: usize = 4;
