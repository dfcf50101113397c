//! What is on record of one thing from its beginning to its end, on one page: its own events, and those of
//! what it came from and went to. It is put together from the audit log, which outlives what it tells of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use acme::Problem;
use axum::extract::State;
use ca::Serial;
use serde_json::Value;

use super::extract::Path;
use super::shape::{self, value};
use super::{Answer, missing, views};
use crate::http::error::unreadable;
use crate::node::Node;
use crate::perform::known;
use crate::store::{CertificateRow, Page, ReadError, Recorded};

/// What is on record of a thing.
pub(super) async fn lineage(
    State(node): State<Arc<Node>>,
    Path((kind, name)): Path<(String, String)>,
) -> Answer {
    Answer(tell(&node, &kind, &name).await)
}

async fn tell(node: &Node, kind: &str, name: &str) -> Result<Value, Problem> {
    let mut page = Told::new(node, format!("{kind}/{name}"));
    match kind {
        "certificate" => page.certificate(name).await,
        "managed" => page.managed(name).await,
        "key" => page.key(name).await,
        _ => page.add(&format!("{kind}/{name}"), |_| true).await.map(|_| ()),
    }
    .map_err(unreadable)?;
    if page.events.is_empty() {
        return Err(missing("record of", &format!("{kind}/{name}")));
    }
    Ok(value(&shape::Lineage {
        subject: page.subject,
        about: page.about.into_iter().collect(),
        items: page.events.values().map(views::recorded).collect(),
        cut: page.cut,
    }))
}

/// A page as it is put together.
struct Told<'a> {
    node: &'a Node,
    subject: String,
    /// Of what else its events are.
    about: BTreeSet<String>,
    events: BTreeMap<i64, Recorded>,
    /// Whether there are more events than a page has.
    cut: bool,
}

impl<'a> Told<'a> {
    fn new(node: &'a Node, subject: String) -> Self {
        Self { node, subject, about: BTreeSet::new(), events: BTreeMap::new(), cut: false }
    }

    /// Adds those events of a subject that belong here; gives all that were looked at.
    async fn add(
        &mut self,
        subject: &str,
        belongs: impl Fn(&Recorded) -> bool,
    ) -> Result<Vec<Recorded>, ReadError> {
        let events = self.node.store.events(Some(subject.to_owned()), i64::MAX, MOST).await?;
        self.cut |= events.len() == MOST as usize;
        let mut any = false;
        for event in events.iter().filter(|event| belongs(event)) {
            any = true;
            self.put(event.clone());
        }
        if any && subject != self.subject {
            self.about.insert(subject.to_owned());
        }
        Ok(events)
    }

    async fn add_rotation(&mut self, id: i64) -> Result<(), ReadError> {
        for event in self.node.store.events_of_rotation(id).await? {
            self.put(event);
        }
        self.about.insert(format!("rotation/{id}"));
        Ok(())
    }

    fn put(&mut self, event: Recorded) {
        if self.events.len() < MOST as usize {
            self.events.insert(event.id, event);
        } else {
            self.cut = true;
        }
    }

    /// A certificate: its order and account, or the rotation that it was issued for, and what that did with it.
    async fn certificate(&mut self, name: &str) -> Result<(), ReadError> {
        let row = match (name.parse::<i64>(), name.parse::<Serial>()) {
            (Ok(id), _) => self.node.store.certificate(id)?,
            (_, Ok(serial)) => self.node.store.certificate_by_serial(&serial)?,
            _ => None,
        };
        // Of a certificate that was forgotten there is its record.
        let serial = row.as_ref().map_or(name.to_owned(), |row| row.serial.to_string());
        self.subject = format!("certificate/{serial}");
        for event in self.add(&self.subject.clone(), |_| true).await? {
            let order = event.detail.as_ref().and_then(|detail| detail["order"].as_str());
            if let Some(order) = order {
                self.add(order, |_| true).await?;
            }
            let rotation = event.actor.strip_prefix("rotation/").and_then(|id| id.parse().ok());
            if let Some(rotation) = event.rotation.or(rotation) {
                self.add_rotation(rotation).await?;
            }
        }
        let Some(row) = row else { return Ok(()) };
        if let Some(account) = row.account {
            self.add(&format!("account/{account}"), |_| true).await?;
        }
        self.versions(&row).await
    }

    /// What was done with the version of a managed certificate that this is.
    async fn versions(&mut self, row: &CertificateRow) -> Result<(), ReadError> {
        let Some(der) = &row.der else { return Ok(()) };
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
        let Ok(fingerprint) = digest.as_ref().try_into() else { return Ok(()) };
        for id in self.node.store.managed_of_leaf(&fingerprint)? {
            let Some(managed) = self.node.store.managed(id)? else { continue };
            let versions = self.node.store.versions(id)?;
            for version in versions.iter().filter(|version| version.fingerprint == fingerprint) {
                let number = i64::from(version.number);
                let is = |event: &Recorded| {
                    event.detail.as_ref().is_some_and(|d| d["version"].as_i64() == Some(number))
                };
                self.add(&format!("managed/{}", managed.name), is).await?;
            }
        }
        Ok(())
    }

    /// A managed certificate: with every certificate issued here that was a version of it.
    async fn managed(&mut self, name: &str) -> Result<(), ReadError> {
        self.add(&self.subject.clone(), |_| true).await?;
        let Some(row) = self.node.store.managed_by_name(name)? else { return Ok(()) };
        for version in self.node.store.versions(row.id)?.iter().take(VERSIONS) {
            if let Some(leaf) = known::leaf(version) {
                self.add(&format!("certificate/{}", leaf.serial()), |_| true).await?;
            }
        }
        Ok(())
    }

    /// A signing key, by its `kid`: the events of its keyset that name it.
    async fn key(&mut self, kid: &str) -> Result<(), ReadError> {
        let page = Page { after: 0, limit: MOST };
        for keyset in self.node.store.keysets(page)? {
            let names = |event: &Recorded| {
                event.detail.as_ref().is_some_and(|detail| mentions(detail, kid))
            };
            self.add(&format!("keyset/{}", keyset.name), names).await?;
        }
        Ok(())
    }
}

/// Whether a text in what an event says is this, or a member is called so.
fn mentions(detail: &Value, text: &str) -> bool {
    match detail {
        Value::String(said) => said == text,
        Value::Array(items) => items.iter().any(|item| mentions(item, text)),
        Value::Object(members) => {
            members.iter().any(|(name, value)| name == text || mentions(value, text))
        }
        _ => false,
    }
}

/// So many events are on a page, and are looked at of each subject.
const MOST: u32 = 1000;
/// So many versions of a managed certificate are followed.
const VERSIONS: usize = 200;
