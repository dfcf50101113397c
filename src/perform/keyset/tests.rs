//! Keysets on virtual time: who signs, what is published, and what is destroyed.

mod endings;
mod nodes;
mod published;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use jwks::{Phase, Served};
use serde_json::json;

use super::{KeysetError, Known, SignError, enlist, replace, roll_back, rotate, signer};
use crate::catalog::{Declared, parse};
use crate::node::Node;
use crate::node::tests::node_on;
use crate::perform::establish;
use crate::perform::removal::prune;
use crate::store::SigningKeyRow;
use crate::worker::start_due;

#[tokio::test]
async fn every_token_verifies_until_it_expires_through_months_of_rotations() {
    let stage = Stage::new("rotate_every = \"7d\"").await;
    let mut tokens: Vec<(String, Timestamp)> = Vec::new();
    let mut signers = BTreeSet::new();
    let step = SignedDuration::from_mins(31);
    let end = stage.now() + SignedDuration::from_hours(90 * 24);
    while stage.now() < end {
        stage.work().await;
        let kid = stage.sign().await.expect("a key signs");
        signers.insert(kid.clone());
        tokens.push((kid, stage.now() + SignedDuration::from_mins(10)));
        let published = stage.published();
        tokens.retain(|(_, expires)| *expires > stage.now());
        for (kid, expires) in &tokens {
            assert!(published.contains(kid), "{kid} is gone before {expires}, at {}", stage.now());
        }
        stage.pass(step);
    }
    assert!((12..=14).contains(&signers.len()), "{} keys in 90 days", signers.len());
    let keys = stage.known().keys;
    for row in &keys {
        assert_eq!(row.sealed_key.is_some(), row.key.is_private_kept(), "{:?}", row.key);
    }
    let gone = keys.iter().filter(|row| row.key.phase == Phase::Gone).count();
    assert!(gone >= signers.len() - 3, "{gone} of {} are gone", signers.len());
}

#[tokio::test]
async fn no_key_signs_before_each_edge_serves_it() {
    let stage = Stage::new("edges = [\"http://127.0.0.1:9/jwks.json\"]").await;
    for _ in 0..20 {
        stage.work().await;
        assert!(matches!(stage.sign().await, Err(SignError::NoKey)));
        stage.pass(SignedDuration::from_mins(11));
    }
    let known = stage.known();
    assert_eq!(known.keys[0].key.phase, Phase::Announced);
    assert!(known.row.error.expect("it says why").contains("127.0.0.1:9"));
    assert_eq!(stage.published().len(), 1, "it is published, so that the edge can get it");

    stage.declare("").await;
    stage.work().await;
    stage.sign().await.expect("without the edge it signs");
}

#[tokio::test]
async fn a_lease_is_stored_once_for_many_signatures_and_ends_with_the_key() {
    let stage = Stage::new("rotate_every = \"7d\"").await;
    stage.work().await;
    for _ in 0..50 {
        stage.sign().await.expect("a key signs");
    }
    let leases = async || {
        let events = stage.node.store.events(None, i64::MAX, 10_000).await.expect("a read");
        events.iter().filter(|event| event.action == "keyset.lease").count()
    };
    assert_eq!(leases().await, 1);
    let until = stage.known().keys[0].key.last_signature_at.expect("it signed");
    assert_eq!(until, stage.now() + SignedDuration::from_mins(10));
    stage.pass(SignedDuration::from_mins(10));
    stage.sign().await.expect("a key signs");
    assert_eq!(leases().await, 2);
}

#[tokio::test]
async fn who_comes_while_a_key_is_replaced_gets_a_signature_by_the_next() {
    let stage = Stage::new("rotate_every = \"7d\"").await;
    stage.work().await;
    let old = stage.sign().await.expect("a key signs");
    let before = stage.node.keysets.load();
    for _ in 0..8 {
        stage.pass(SignedDuration::from_hours(24));
        stage.work().await;
    }
    // What is published is behind what is stored.
    stage.node.keysets.restore(before);
    let new = stage.sign().await.expect("the next key signs");
    assert_ne!(new, old);
}

/// A node with the keyset `auth`.
pub(super) struct Stage {
    pub(super) node: Arc<Node>,
    clock: Arc<AtomicI64>,
}

impl Stage {
    pub(super) async fn new(more: &str) -> Self {
        let (node, clock) = crate::node::tests::node().await;
        let stage = Self { node, clock };
        stage.declare(more).await;
        stage
    }

    pub(super) async fn declare(&self, more: &str) {
        let wanted = Self::declaration(more);
        let standing = establish::declared(&self.node).await.expect("readable");
        let catalog = establish::apply(&self.node, "admin", &standing, &wanted).await;
        self.node.catalog.replace(catalog.expect("stands"));
        enlist(&self.node, "admin").await.expect("enlisted");
    }

    fn declaration(more: &str) -> Declared {
        let text = format!(
            "[[keyset]]\nname = \"auth\"\nissuer = \"https://auth.example.com\"\n\
             algorithm = \"ES256\"\ntoken_lifetime = \"10m\"\naudiences = [\"*\"]\n\
             subjects = [\"*\"]\n{more}\n"
        );
        parse([("a.toml", text.as_str())]).expect("parses")
    }

    /// Takes the keyset out of what is declared.
    async fn undeclare(&self) {
        let standing = establish::declared(&self.node).await.expect("readable");
        let mut whole = standing.clone();
        whole.keysets.clear();
        prune(&self.node, "admin".into(), &standing, &whole).await.expect("it may go");
        enlist(&self.node, "admin").await.expect("enlisted");
    }

    /// Another node on the same store, with the same clock.
    async fn beside(&self) -> Self {
        let node = node_on(self.node.config.data_dir.clone(), &self.clock).await;
        enlist(&node, "serve").await.expect("enlisted");
        Self { node, clock: Arc::clone(&self.clock) }
    }

    /// Works until another key than `kid` signs, and gives that one.
    async fn until_other(&self, kid: &str) -> String {
        for _ in 0..200 {
            self.pass(SignedDuration::from_mins(3));
            self.work().await;
            let signer = self.sign().await.expect("a key signs");
            if signer != kid {
                return signer;
            }
        }
        panic!("{kid} signs for ten hours");
    }

    /// What is stored of a key.
    fn row(&self, kid: &str) -> SigningKeyRow {
        let mut keys = self.known().keys.into_iter();
        keys.find(|row| row.key.kid.as_str() == kid).expect("a key")
    }

    pub(super) async fn work(&self) {
        for _ in 0..2 {
            start_due(&self.node);
            self.node.steps.rest(Duration::from_secs(20)).await;
        }
    }

    /// Signs a token, and gives the kid of the key that did.
    pub(super) async fn sign(&self) -> Result<String, SignError> {
        let (live, signer) = signer(&self.node, "auth", None).await?;
        let claims = json!({ "aud": "a", "sub": "b" }).to_string();
        let payload = live.keyset().bounds.claims(claims.as_bytes(), "id", self.now());
        signer.jwt(&payload.expect("within bounds")).expect("signed");
        Ok(signer.kid().to_string())
    }

    /// The kids that are published.
    pub(super) fn published(&self) -> Vec<String> {
        let body = self.node.keysets.load()["auth"].set.plain.octets.clone();
        let served = Served::parse(&body).expect("a set");
        served.keys.iter().filter_map(|key| Some(key.kid.as_ref()?.to_string())).collect()
    }

    pub(super) fn known(&self) -> Known {
        let row = self.node.store.keyset_by_name("auth").expect("a read").expect("enlisted");
        Known::of(&self.node, row).expect("a read")
    }

    pub(super) fn now(&self) -> Timestamp {
        self.node.world.now()
    }

    pub(super) fn pass(&self, time: SignedDuration) {
        self.clock.fetch_add(time.as_secs(), Ordering::SeqCst);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.node.config.data_dir);
    }
}
