//! Two nodes on one store, and who asks for something while another is at work. What fences them is
//! the version of each row, which is the same on any store.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use jwks::Phase;

use super::{Stage, enlist, replace, rotate};
use crate::perform::keyset::catch_up;
use crate::store::Actor;

#[tokio::test]
async fn two_nodes_on_one_store_rotate_once_and_what_one_retires_the_other_does_not_sign_with() {
    let stage = Stage::new("rotate_every = \"7d\"").await;
    let other = stage.beside().await;
    let mut signers = BTreeSet::new();
    let mut tokens: Vec<(String, Timestamp)> = Vec::new();
    let (step, end) =
        (SignedDuration::from_mins(37), stage.now() + SignedDuration::from_hours(40 * 24));
    while stage.now() < end {
        // Both find the same due, at the same time.
        tokio::join!(stage.work(), other.work());
        for node in [&stage, &other] {
            let kid = node.sign().await.expect("a key signs");
            let row = stage.row(&kid);
            assert_eq!(row.key.phase, Phase::Signing, "{kid} signs on one node and is retired");
            tokens.push((kid.clone(), stage.now() + SignedDuration::from_mins(10)));
            signers.insert(kid);
        }
        tokens.retain(|(_, expires)| *expires > stage.now());
        for (kid, _) in &tokens {
            assert!(stage.published().contains(kid) && other.published().contains(kid));
        }
        stage.pass(step);
    }
    let known = stage.known();
    let signed = known.keys.iter().filter(|row| row.key.signing_from.is_some()).count();
    assert_eq!(signed, signers.len(), "no key signed that was not seen to");
    assert!((5..=7).contains(&signed), "{signed} keys in 40 days");
    let waiting = known.keys.len() - signed;
    assert!(waiting <= 1, "{waiting} keys wait");
}

#[tokio::test]
async fn a_node_that_missed_a_switch_signs_under_its_lease_alone_and_then_with_the_new_key() {
    let stage = Stage::new("rotate_every = \"7d\"").await;
    stage.work().await;
    let other = stage.beside().await;
    let old = other.sign().await.expect("a key signs");
    replace(&stage.node, "auth", &"admin".into(), None).await.expect("replaced");
    let new = stage.sign().await.expect("a key signs");
    assert_ne!(old, new);
    // It has heard of nothing; a look, which each tick takes, is enough.
    catch_up(&other.node).expect("read");
    assert_eq!(other.sign().await.expect("a key signs"), new);
    assert!(!other.published().contains(&old), "nor does it publish what is compromised");

    rotate(&stage.node, "auth", &"admin".into()).await.expect("asked for");
    let newest = stage.until_other(&new).await;
    assert_eq!(stage.row(&new).key.phase, Phase::Retiring);
    // This one never looks: its lease is long over, and it gets no other for what has retired.
    assert_eq!(other.sign().await.expect("a key signs"), newest);
    let under_lease = stage.row(&new).key.last_signature_at.expect("it signed");
    assert!(stage.row(&new).key.gone_at.expect("it retires") > under_lease);
}

#[tokio::test]
async fn what_is_asked_for_while_a_step_is_stored_is_not_lost() {
    let stage = Stage::new("rotate_every = \"7d\"").await;
    stage.work().await;
    let (admin, mut asked) = (Actor::from("admin"), tokio::task::JoinSet::new());
    for count in 0..24 {
        let (node, admin) = (Arc::clone(&stage.node), admin.clone());
        asked.spawn(async move {
            match count % 3 {
                0 => rotate(&node, "auth", &admin).await,
                1 => replace(&node, "auth", &admin, None).await.map(drop),
                _ => enlist(&node, "admin").await,
            }
        });
    }
    stage.work().await;
    for outcome in asked.join_all().await {
        outcome.expect("decided anew, not lost");
    }
    stage.work().await;
    let signs = stage.known().keys.iter().filter(|row| row.key.phase == Phase::Signing).count();
    assert_eq!(signs, 1);
}
