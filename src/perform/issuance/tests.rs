//! Issuance that was interrupted, on a node of its own.

use std::collections::BTreeMap;

use ca::{KeyAlgorithm, MemorySigner, Signer};

use super::*;
use crate::catalog::{Catalog, parse};
use crate::node::tests::{account, node};
use crate::perform::establish;

/// An order interrupted between its intent and its certificate.
async fn interrupted(node: &Node) -> i64 {
    let (account, now) = (account(node).await, node.world.now());
    let catalog = node.catalog.load();
    let signer = MemorySigner::generate(KeyAlgorithm::EcdsaP256).expect("a key");
    let names = [Identifier::parse("a.example").expect("a name")];
    let commission = Commission {
        authority: &catalog.authorities["internal"],
        profile: &catalog.profiles["default"],
        account: Some(account.id),
    };
    let request = Request {
        public_key: signer.public_key(),
        identifiers: &names,
        not_before: None,
        not_after: None,
        must_staple: false,
        blocked: &node.blocked,
    };
    let intent = Intent::decide(node, &commission, &request).expect("permitted");
    let order = Order {
        id: node.store.id(),
        version: 0,
        account: account.id,
        phase: Phase::Processing,
        identifiers: names.iter().map(Into::into).collect(),
        profile: "default".into(),
        replaces: None,
        not_before: None,
        not_after: None,
        certificate: Some(intent.row.id),
        error: None,
        created_at: now,
        expires_at: now + SignedDuration::from_hours(1),
        due_at: Some(now),
    };
    let commit = Commit::new(Event::new("test", "order.finalize", "order/1"));
    let commit = commit.put(intent.row).put(order.clone());
    node.store.commit(commit, now).await.expect("stored");
    order.id
}

fn due(node: &Node) -> Vec<i64> {
    {
        let due = node.store.due::<Order>(node.world.now(), (0, 0), 9).expect("read");
        due.into_iter().map(|(_, id)| id).collect()
    }
}

#[tokio::test]
async fn an_interrupted_order_is_completed_under_another_serial() {
    let (node, _) = node().await;
    let id = interrupted(&node).await;
    let first = node.store.order(id).expect("read").expect("there").0.certificate;
    assert_eq!(due(&node), [id]);
    resume(Arc::clone(&node), id).await;
    let (order, _) = node.store.order(id).expect("read").expect("there");
    assert_eq!((order.phase, due(&node).len()), (Phase::Issued, 0));
    assert_ne!(order.certificate, first);
}

#[tokio::test]
async fn an_interrupted_order_that_policy_refuses_now_ends() {
    let (node, _) = node().await;
    let id = interrupted(&node).await;
    let stricter = "[[profile]]\nname = 'default'\nnames.forbidden = ['a.example']";
    let wanted = parse([("a.toml", stricter)]).expect("parses");
    let standing = establish::declared(&node).await.expect("defaults");
    let catalog = establish::apply(&node, "admin", &standing, &wanted).await.expect("stands");
    node.catalog.replace(catalog);
    resume(Arc::clone(&node), id).await;
    let (order, _) = node.store.order(id).expect("read").expect("there");
    assert_eq!((order.phase, due(&node).len()), (Phase::Failed, 0));
    assert!(order.error.is_some_and(|error| error.detail.contains("a.example")));
    let intended = order.certificate.map(|id| node.store.certificate(id).expect("read"));
    let intended = intended.flatten().expect("there");
    assert_eq!(intended.phase, CertificatePhase::Abandoned);
}

#[tokio::test]
async fn an_order_of_a_directory_that_was_removed_ends() {
    let (node, _) = node().await;
    let id = interrupted(&node).await;
    let standing = node.catalog.load();
    let (authorities, profiles) = (standing.authorities.clone(), standing.profiles.clone());
    let directories = BTreeMap::new();
    node.catalog.replace(Catalog { authorities, profiles, directories, ..Catalog::default() });
    resume(Arc::clone(&node), id).await;
    let (order, _) = node.store.order(id).expect("read").expect("there");
    assert_eq!((order.phase, due(&node).len()), (Phase::Failed, 0));
    assert!(order.error.is_some_and(|error| error.detail.contains("removed")));
    let intended = order.certificate.map(|id| node.store.certificate(id).expect("read"));
    assert_eq!(intended.flatten().expect("there").phase, CertificatePhase::Abandoned);
}
