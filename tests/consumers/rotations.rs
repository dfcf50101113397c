//! A hundred rotations under constant traffic: each token is verified by everybody until it expires,
//! and none is refused before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::crowd::Consumer;
use super::keysets::{ALL, Issuer, Keyset, Token, now, times};
use crate::program::succeed;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_valid_token_is_refused_through_a_hundred_rotations() {
    let one = ["ES256", "RS256", "EdDSA", "PS256", "ES384", "ES256", "EdDSA", "ES256", "RS256"];
    let mut keysets: Vec<_> =
        one.iter().enumerate().map(|(n, algorithm)| (format!("k{n}"), vec![*algorithm])).collect();
    keysets.push(("mixed".into(), vec!["RS256", "PS256", "ES256", "ES384", "EdDSA"]));
    keysets.push(("quantum".into(), vec!["ML-DSA-44", "ML-DSA-65", "ML-DSA-87"]));
    let mut issuer = Issuer::start("consumers-rotations", &keysets, &times("15s", "4s", ALL)).await;
    issuer.put_edge().await;
    let issuer = Arc::new(issuer);
    let consumers = Arc::new(Consumer::all(&issuer));
    let ledger = Arc::new(Ledger::default());
    let begun = Instant::now();
    let mut traffic = JoinSet::new();
    for keyset in &issuer.keysets {
        let shift = PACE.mul_f64(f64::from(u32::try_from(traffic.len()).expect("few")) / 11.0);
        let (issuer, consumers) = (Arc::clone(&issuer), Arc::clone(&consumers));
        let (keyset, ledger) = (keyset.clone(), Arc::clone(&ledger));
        traffic.spawn(async move {
            tokio::time::sleep(shift).await;
            let mut checks = JoinSet::new();
            while begun.elapsed() < LONGEST && ledger.rotations() < ROTATIONS {
                for algorithm in &keyset.algorithms {
                    let token = issuer.sign(&keyset, algorithm).await;
                    ledger.signed(&keyset, &token);
                    follow(&mut checks, &consumers, &keyset, &token, &ledger);
                }
                tokio::time::sleep(PACE).await;
            }
            checks.join_all().await;
        });
    }
    traffic.join_all().await;
    ledger.print(begun.elapsed());
    let refused = ledger.refused.lock().expect("no panic");
    let some = &refused[..refused.len().min(20)];
    assert!(refused.is_empty(), "{} refused, such as {some:#?}", refused.len());
    assert!(ledger.rotations() >= ROTATIONS, "{} rotations", ledger.rotations());
    let proven = ["audit", "--json", "--subject", "keyset/k0"];
    let proven = succeed(&mut issuer.scene.server.command(proven));
    assert!(proven.contains("keyset.prove"), "the edge was looked at");
    for consumer in consumers.iter() {
        let verified = ledger.verified.lock().expect("no panic")[consumer.name];
        assert!(verified > 500, "{} verified {verified}", consumer.name);
    }
}

/// Has everybody who can verify a token now, on its way and shortly before its end.
fn follow(
    checks: &mut JoinSet<()>,
    consumers: &Arc<Vec<Consumer>>,
    keyset: &Keyset,
    token: &Token,
    ledger: &Arc<Ledger>,
) {
    for place in 0..consumers.len() {
        if !consumers[place].knows(token.algorithm) {
            continue;
        }
        let (consumers, ledger) = (Arc::clone(consumers), Arc::clone(ledger));
        let (keyset, token) = (keyset.clone(), token.clone());
        checks.spawn(async move {
            let life = token.expires - now();
            for share in [0.0, 0.4, 0.75] {
                let at = token.expires - life * (1.0 - share);
                tokio::time::sleep(Duration::from_secs_f64((at - now()).max(0.0))).await;
                let said = consumers[place].verify(&keyset, &token).await;
                ledger.said(consumers[place].name, &keyset, &token, said);
            }
        });
    }
}

/// What was seen.
#[derive(Default)]
struct Ledger {
    /// The keys that signed, by keyset and algorithm.
    keys: Mutex<BTreeMap<(String, &'static str), BTreeSet<String>>>,
    verified: Mutex<BTreeMap<&'static str, usize>>,
    refused: Mutex<Vec<String>>,
    /// Answers that came too late to be judged.
    late: Mutex<usize>,
}

impl Ledger {
    fn signed(&self, keyset: &Keyset, token: &Token) {
        let place = (keyset.name.clone(), token.algorithm);
        let mut keys = self.keys.lock().expect("no panic");
        keys.entry(place).or_default().insert(token.kid.clone());
    }

    /// Keys that took the place of another.
    fn rotations(&self) -> usize {
        self.keys.lock().expect("no panic").values().map(|kids| kids.len() - 1).sum()
    }

    fn said(&self, by: &'static str, keyset: &Keyset, token: &Token, said: Result<(), String>) {
        match said {
            Ok(()) => *self.verified.lock().expect("no panic").entry(by).or_default() += 1,
            // It may have been asked before the end, and looked at its clock after it.
            Err(_) if now() > token.expires - 0.2 => *self.late.lock().expect("no panic") += 1,
            Err(why) => {
                let left = token.expires - now();
                let Token { algorithm, kid, .. } = token;
                let name = &keyset.name;
                self.refused.lock().expect("no panic").push(format!(
                    "{by}, {name}, {algorithm}, {kid}, {left:.1} s before its end: {why}"
                ));
            }
        }
    }

    fn print(&self, took: Duration) {
        println!(
            "{} rotations in {} s; verified {:?}; {} answers too late to be judged",
            self.rotations(),
            took.as_secs(),
            self.verified.lock().expect("no panic"),
            self.late.lock().expect("no panic")
        );
    }
}

const ROTATIONS: usize = 100;
/// Between two tokens of a key.
const PACE: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(170);
