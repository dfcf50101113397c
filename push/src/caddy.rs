//! Targets of kind `caddy`, over its admin API: one item of `apps.tls.certificates.load_pem`, found again
//! by an `@id` of ours. Nothing else of the configuration is written, and that item only as long as nobody
//! changed it in between. Caddy takes the whole configuration anew, or refuses it and keeps the old.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use zeroize::Zeroizing;

use crate::error::PushError;
use crate::placement::{Mode, Placed, Placement, absolute};
use crate::spec::{default_timeout, is_default_timeout, limit};
use crate::{Bundle, Delivery, Observed, Receipt, Target, pair};

mod admin;

use admin::{Admin, Answer, Change};

/// What a target of kind `caddy` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Caddy {
    /// Its admin API: the path of a Unix socket, or `http://` with an address of this machine.
    pub admin: String,
    /// The `@id` of the item that is ours.
    pub id: String,
    /// Tags of the certificate, for policies that choose by them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// A directory of releases for certificate and key as well, for a Caddy that reads them when it
    /// starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// The user who owns what is written there, by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The group of what is written there, by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Permission bits of what is written there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// How long each answer may take.
    #[serde(
        default = "default_timeout",
        skip_serializing_if = "is_default_timeout",
        with = "ca::duration"
    )]
    pub timeout: SignedDuration,
}

impl Caddy {
    pub(crate) const FIELDS: &[&str] =
        &["admin", "id", "tags", "directory", "owner", "group", "mode", "timeout"];

    pub(crate) fn check(&self) -> Result<(), String> {
        Admin::check(&self.admin)?;
        absolute("directory", self.directory.as_deref())?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if self.id.is_empty() || self.id.len() > MAX_ID || !self.id.bytes().all(plain) {
            return Err(format!(
                "id = {:?} must be 1 to {MAX_ID} letters, digits, hyphens and underscores",
                self.id
            ));
        }
        Ok(())
    }

    fn admin(&self) -> Admin {
        Admin::new(&self.admin, limit(self.timeout))
    }

    /// How and for whom files are written.
    fn placement(&self) -> Placement {
        Placement {
            directory: self.directory.clone(),
            owner: self.owner.clone(),
            group: self.group.clone(),
            mode: self.mode,
            ..Placement::default()
        }
    }

    fn path(&self) -> String {
        format!("/id/{}", self.id)
    }

    async fn deliver(&self, delivery: &Delivery<'_>) -> Result<Receipt, PushError> {
        let wanted = self.wanted(delivery.bundle)?;
        let before = self.found().await.map_err(PushError::untouched)?;
        let differs = before.is_none_or(|before| before.item.certificate != wanted.certificate);
        let placed = match &self.directory {
            Some(_) => self.placement().put(delivery).await.map_err(PushError::untouched)?,
            None => Placed::default(),
        };
        let told = self.tell(&wanted).await;
        let receipt = placed.keep_if(told.map(|()| String::new())).await?;
        Ok(Receipt { changed: receipt.changed || differs, ..receipt })
    }

    fn wanted(&self, bundle: &Bundle) -> Result<Item, PushError> {
        let key = bundle.key_pem().ok_or_else(|| {
            PushError::no_key("Caddy takes certificate and key together over its admin API")
        })?;
        let (id, tags) = (self.id.clone(), self.tags.clone());
        Ok(Item { id, certificate: bundle.fullchain_pem(), key, tags })
    }

    /// Puts the item in its place. If somebody changes something there at the same time, it is looked
    /// at again.
    async fn tell(&self, wanted: &Item) -> Result<(), PushError> {
        let admin = self.admin();
        for _ in 0..TRIES {
            let found = self.found().await.map_err(PushError::untouched)?;
            let answer = match found {
                Some(found) => {
                    // Not by the id, which Caddy resolves before it compares, so that it might write
                    // over whatever is in its place by then.
                    let patch = Change { method: "PATCH", only_if: Some(found.tag) };
                    admin.change(&found.path, patch, wanted.json()).await?
                }
                None => self.add(&admin, wanted).await?,
            };
            match answer.status {
                200 => return Ok(()),
                _ if is_overtaken(&answer) => sleep(AGAIN).await,
                _ => return Err(refused(&answer)),
            }
        }
        Err(self.overtaken())
    }

    fn overtaken(&self) -> PushError {
        PushError::Busy(format!(
            "others change the configuration of the Caddy at {} all the time; nothing was changed",
            self.admin
        ))
    }

    async fn add(&self, admin: &Admin, wanted: &Item) -> Result<Answer, PushError> {
        let list = admin.look(LIST).await.map_err(PushError::untouched)?;
        if list.status == 200 && list.body.starts_with(b"[") {
            let append = Change { method: "POST", only_if: Some(tag(&list)?.to_owned()) };
            return admin.change(LIST, append, wanted.json()).await;
        }
        // It refuses to make what is there already, so that needs no condition.
        let json = wanted.json();
        let mut listed = Zeroizing::new(Vec::with_capacity(json.len() + 2));
        listed.push(b'[');
        listed.extend_from_slice(&json);
        listed.push(b']');
        admin.change(LIST, Change { method: "PUT", only_if: None }, listed).await
    }

    /// The item, if it is there.
    async fn found(&self) -> Result<Option<Found>, PushError> {
        for _ in 0..TRIES {
            let answer = self.admin().look(&self.path()).await?;
            match answer.status {
                200 => {}
                404 => return Ok(None),
                _ if is_overtaken(&answer) => {
                    sleep(AGAIN).await;
                    continue;
                }
                _ => return Err(refused(&answer)),
            }
            let found = self.understood(&answer)?;
            // What is in its place by now may be another.
            if found.item.id == self.id {
                return Ok(Some(found));
            }
            sleep(AGAIN).await;
        }
        Err(self.overtaken())
    }

    fn understood(&self, answer: &Answer) -> Result<Found, PushError> {
        let tag = tag(answer)?;
        let path = tag.trim_matches('"').split(' ').next().unwrap_or_default();
        if !path.starts_with(&format!("{LIST}/")) {
            return Err(PushError::Declaration(format!(
                "the @id {:?} is something else's in the configuration of the Caddy at {}: choose another id",
                self.id, self.admin
            )));
        }
        let item = serde_json::from_slice(&answer.body).map_err(|_| PushError::Refused {
            what: format!(
                "the item {:?} of the Caddy at {} is not understood",
                self.id, self.admin
            ),
            output: "it has no certificate and key; remove it, and it is made anew".into(),
        })?;
        Ok(Found { item, path: path.to_owned(), tag: tag.to_owned() })
    }
}

impl Target for Caddy {
    fn push<'a>(
        &'a self,
        delivery: &'a Delivery<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Receipt, PushError>> + Send + 'a>> {
        Box::pin(self.deliver(delivery))
    }

    fn observe<'a>(
        &'a self,
    ) -> Pin<Box<dyn Future<Output = Result<Observed, PushError>> + Send + 'a>> {
        Box::pin(async move {
            let found = self.found().await?;
            Ok(found.map_or(Observed::Nothing, |Found { item, .. }| {
                pair::observed(Some(item.certificate.as_bytes()), Some(item.key.as_bytes()))
            }))
        })
    }
}

/// An item of the list, as it is now.
struct Found {
    item: Item,
    /// Where it is: its place in the list.
    path: String,
    tag: String,
}

/// What Caddy loads.
#[derive(Serialize, Deserialize)]
struct Item {
    #[serde(rename = "@id", default)]
    id: String,
    certificate: String,
    key: Zeroizing<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
}

impl Item {
    fn json(&self) -> Zeroizing<Vec<u8>> {
        // Reserved at once, with room for a backslash before each line feed: what grows leaves copies
        // of the key behind in freed memory.
        let tags: usize = self.tags.iter().map(|tag| tag.len() * 2 + 8).sum();
        let texts = self.certificate.len() + self.key.len();
        let mut out = Zeroizing::new(Vec::with_capacity(texts + texts / 16 + tags + 256));
        // Writing texts to memory does not fail.
        let _ = serde_json::to_writer(&mut *out, self);
        out
    }
}

fn tag(answer: &Answer) -> Result<&str, PushError> {
    answer.tag.as_deref().ok_or_else(|| {
        PushError::Declaration(
            "this Caddy does not say what its configuration is like (ETag), so that it could be \
             changed under somebody's hands: install 2.6 or newer"
                .into(),
        )
    })
}

/// Whether somebody was quicker: in the item, in the list, or in making the list.
fn is_overtaken(answer: &Answer) -> bool {
    let said = answer.text();
    answer.status == 412 || said.contains("already exists") || said.contains("out of bounds")
}

fn refused(answer: &Answer) -> PushError {
    PushError::Refused {
        what: format!("Caddy refused ({}) and goes on with what it had", answer.status),
        output: answer.text(),
    }
}

const LIST: &str = "/config/apps/tls/certificates/load_pem";
const MAX_ID: usize = 64;
const TRIES: u32 = 10;
const AGAIN: Duration = Duration::from_millis(50);
