//! The way back behind a switch, and the end of keys and keysets.

use std::sync::Arc;

use jiff::SignedDuration;
use jwks::Phase;

use super::{KeysetError, SignError, Stage, roll_back, rotate};
use crate::perform::retention::forget_ended;
use crate::store::Actor;

#[tokio::test]
async fn a_rotation_that_went_wrong_is_rolled_back_while_the_key_before_is_kept() {
    let stage = Stage::new("rotate_every = \"7d\"\ngrace = \"3h\"").await;
    stage.work().await;
    let old = stage.sign().await.expect("a key signs");
    let admin = Actor::from("admin");
    let refused = roll_back(&stage.node, "auth", &admin).await;
    assert!(matches!(refused, Ok(false)), "there is nothing to go back to");
    rotate(&stage.node, "auth", &admin).await.expect("asked for");
    let new = stage.until_other(&old).await;
    assert!(stage.row(&old).sealed_key.is_some(), "it is kept");
    stage.pass(SignedDuration::from_hours(2));
    stage.work().await;
    assert!(roll_back(&stage.node, "auth", &admin).await.expect("it is kept"));
    assert_eq!(stage.sign().await.expect("a key signs"), old, "at once");
    assert!(stage.row(&new).sealed_key.is_none(), "what failed does not sign again");
    for kid in [&old, &new] {
        assert!(stage.published().contains(kid), "tokens by both are out there");
    }
    rotate(&stage.node, "auth", &admin).await.expect("asked for");
    stage.until_other(&old).await;
    stage.pass(SignedDuration::from_hours(3));
    stage.work().await;
    assert!(stage.row(&old).sealed_key.is_none(), "nobody went back in time");
    assert!(!roll_back(&stage.node, "auth", &admin).await.expect("read"));
}

#[tokio::test]
async fn a_keyset_that_is_declared_no_more_verifies_until_its_last_token_is_over() {
    let stage = Stage::new("").await;
    stage.work().await;
    let kid = stage.sign().await.expect("a key signs");
    let expires = stage.now() + SignedDuration::from_mins(10);
    stage.undeclare().await;
    assert!(matches!(stage.sign().await, Err(SignError::NoKeyset)), "at once");
    stage.work().await;
    assert!(stage.row(&kid).sealed_key.is_none());
    let refused = rotate(&stage.node, "auth", &"admin".into()).await;
    assert!(matches!(refused, Err(KeysetError::Undeclared(_))));
    while stage.now() <= expires {
        assert!(stage.published().contains(&kid), "there is a token by it still");
        stage.pass(SignedDuration::from_mins(1));
        stage.work().await;
    }
    stage.pass(SignedDuration::from_mins(20));
    stage.work().await;
    assert!(!stage.node.keysets.load().contains_key("auth"), "nobody needs it any more");

    stage.declare("").await;
    stage.work().await;
    assert!(matches!(stage.sign().await, Err(SignError::NoKey)), "old sets are about");
    stage.pass(SignedDuration::from_mins(20));
    stage.work().await;
    assert_ne!(stage.sign().await.expect("a key signs"), kid);
}

#[tokio::test]
async fn keys_that_are_gone_are_forgotten_after_two_years_and_an_undeclared_keyset_with_its_last() {
    let stage = Stage::new("rotate_every = \"30d\"").await;
    let year = SignedDuration::from_hours(365 * 24);
    let start = stage.now();
    while stage.now() < start + year {
        stage.work().await;
        stage.sign().await.expect("a key signs");
        stage.pass(SignedDuration::from_hours(13));
    }
    let gone = || stage.known().keys.iter().filter(|row| row.key.phase == Phase::Gone).count();
    assert!(gone() >= 10, "{}", gone());
    stage.pass(SignedDuration::from_hours(24 * 690));
    forget_ended(Arc::clone(&stage.node)).await;
    assert!((1..=2).contains(&gone()), "{} are left that went less than two years ago", gone());
    stage.work().await;
    stage.sign().await.expect("a key signs");
    stage.undeclare().await;
    for _ in 0..2 {
        stage.work().await;
        stage.pass(SignedDuration::from_hours(1));
    }
    stage.work().await;
    stage.pass(year * 3);
    forget_ended(Arc::clone(&stage.node)).await;
    assert!(stage.node.store.keyset_by_name("auth").expect("read").is_none());
}
