//! A key that is bad: taken out, it is trusted no longer than was promised at the time, by anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;

use super::crowd::Consumer;
use super::keysets::{ALL, Issuer, Keyset, Token, now, times};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_key_is_trusted_no_longer_than_promised() {
    let keysets = [("ec".to_owned(), vec!["ES256"]), ("rsa".to_owned(), vec!["RS256"])];
    // Tokens live for longer than any promise here, so that it is not their end that is seen.
    let times = times("3m", "2m", ALL);
    let issuer = Issuer::start("consumers-emergencies", &keysets, &times).await;
    let consumers = Arc::new(Consumer::all(&issuer));
    let mut watched = JoinSet::new();
    let over = Arc::new(AtomicBool::new(false));
    let mut promises = Vec::new();
    for keyset in &issuer.keysets {
        let bad = issuer.sign(keyset, keyset.algorithms[0]).await;
        for (place, consumer) in consumers.iter().enumerate() {
            let said = consumer.verify(keyset, &bad).await;
            said.unwrap_or_else(|why| panic!("{} before: {why}", consumer.name));
            let (consumers, over) = (Arc::clone(&consumers), Arc::clone(&over));
            let (keyset, bad) = (keyset.clone(), bad.clone());
            watched.spawn(async move {
                (keyset.name.clone(), place, watch(&consumers[place], &keyset, &bad, &over).await)
            });
        }
        let mut arguments = vec!["rotate", &keyset.name, "--emergency"];
        if keyset.name == "ec" {
            arguments.extend(["--compromised", &bad.kid]);
        }
        let shown = issuer.scene.server.json(arguments);
        promises.push((keyset, bad, promised(&shown, now())));
    }
    tokio::time::sleep(Duration::from_secs(12)).await;
    over.store(true, Ordering::SeqCst);
    for (keyset, place, last) in watched.join_all().await {
        let name = consumers[place].name;
        let (.., promise) = promises.iter().find(|(of, ..)| of.name == keyset).expect("a promise");
        let Some((_, until)) = promise.iter().find(|(consumer, _)| consumer == name) else {
            assert!(matches!(name, "go-oidc" | "mod_auth_openidc"), "{name} was promised nothing");
            assert!(last > now() - 2.0, "{name} is better than the table says of it");
            continue;
        };
        println!("{keyset}: {name} trusted it until {:.1} s before the promised end", until - last);
        assert!(last <= *until, "{name} trusts it {:.1} s longer than promised", last - until);
    }
    // Those that keep what they know drop it with the first key that they do not know.
    for (keyset, bad, _) in &promises {
        let good = issuer.sign(keyset, bad.algorithm).await;
        for consumer in consumers.iter() {
            let said = consumer.verify(keyset, &good).await;
            said.unwrap_or_else(|why| panic!("{} afterwards: {why}", consumer.name));
            let said = consumer.verify(keyset, bad).await;
            said.expect_err(&format!("{} still trusts the bad key", consumer.name));
        }
    }
}

/// When a consumer was asked for the last time of those at which it accepted a token.
async fn watch(consumer: &Consumer, keyset: &Keyset, token: &Token, over: &AtomicBool) -> f64 {
    let mut last = 0.0;
    while !over.load(Ordering::SeqCst) {
        let asked = now();
        if consumer.verify(keyset, token).await.is_ok() {
            last = asked;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    last
}

/// Until when each consumer may go on, by what the command said; none of those that go on for ever.
fn promised(shown: &Value, from: f64) -> Vec<(String, f64)> {
    let lines = shown["exposure"].as_array().expect("exposure").iter();
    let lines = lines.map(|line| line.as_str().expect("a line"));
    lines
        .filter_map(|line| {
            let (name, rest) = line.split_once(" may trust it for ")?;
            let (time, _) = rest.split_once(" s more: ")?;
            Some((name.to_owned(), from + time.parse::<f64>().expect("seconds")))
        })
        .collect()
}
