//! Strangers who send consumers tokens with keys that nobody has, fetch sets as fast as they can, and
//! ask for signatures with tokens that are not good: the server goes on for everybody else.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use serde_json::json;
use tokio::task::JoinSet;

use super::crowd::Consumer;
use super::keysets::{Issuer, Keyset, Token, base, client, now};

const TIMES: &str = r#"rotate_every = "20s"
token_lifetime = "8s"
max_age = "1s"
lag = "4s"
skew = "0s"
signer_lag = "2s"
consumers = [
  { name = "jose", cache = "2s", cooldown = "2s" },
  { name = "jwks-rsa", cache = "2s" },
  { name = "pyjwt", cache = "2s", cooldown = "2s" },
  { name = "envoy", cache = "2s", skew = "1s" },
]
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_forged_tokens_and_fetches_stops_neither_rotations_nor_others() {
    let keysets = [("flooded".to_owned(), vec!["ES256"]), ("calm".to_owned(), vec!["ES256"])];
    let issuer = Arc::new(Issuer::start("consumers-flood", &keysets, TIMES).await);
    let consumers = Arc::new(Consumer::all(&issuer));
    let before = Use::of(&issuer);
    let flood = Arc::new(Flood::default());
    let mut strangers = JoinSet::new();
    let sample = issuer.sign(&issuer.keysets[0], "ES256").await;
    for place in 0..consumers.len() {
        let (consumers, flood) = (Arc::clone(&consumers), Arc::clone(&flood));
        let (keyset, sample) = (issuer.keysets[0].clone(), sample.clone());
        strangers.spawn(async move { flood.forge(&consumers[place], &keyset, &sample).await });
    }
    for number in 0..64 {
        let (issuer, flood) = (Arc::clone(&issuer), Arc::clone(&flood));
        strangers.spawn(async move { flood.ask(&issuer, number).await });
    }
    let (mut kids, mut slowest, mut most) = (BTreeMap::new(), Duration::ZERO, before);
    let begun = Instant::now();
    while begun.elapsed() < LONGEST {
        for keyset in &issuer.keysets {
            let token = issuer.sign(keyset, "ES256").await;
            for consumer in consumers.iter() {
                let said = consumer.verify(keyset, &token).await;
                let late = now() > token.expires - 0.2;
                assert!(said.is_ok() || late, "{}: {said:?}", consumer.name);
            }
            *kids.entry((keyset.name.clone(), token.kid)).or_insert(0) += 1;
        }
        let asked = Instant::now();
        others(&issuer).await;
        slowest = slowest.max(asked.elapsed());
        most = most.max(Use::of(&issuer));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    flood.over.store(true, Ordering::SeqCst);
    strangers.join_all().await;
    let (answers, forged) = (flood.answers.lock().expect("no panic"), &flood.forged);
    println!(
        "{answers:?} answers, {forged:?} forged tokens in {} s; others waited {} ms at most; \
         from {before:?} to {most:?}; keys {kids:?}",
        begun.elapsed().as_secs(),
        slowest.as_millis()
    );
    let asked: usize = answers.values().sum();
    assert!(asked > 2000 && forged.load(Ordering::SeqCst) > 200, "a flood");
    let allowed = ["jwks 200", "sign 401", "sign 413"];
    assert!(answers.keys().all(|answer| allowed.contains(&answer.as_str())), "{answers:?}");
    assert!(kids.len() >= 4, "both keysets were rotated: {kids:?}");
    assert!(slowest < Duration::from_secs(20), "others waited {slowest:?}");
    assert!(most.memory < before.memory + 200, "{most:?} after {before:?} MiB");
    assert!(most.files < before.files + 600, "{most:?} after {before:?} files");
}

/// What else the server is there for: asked on all three listeners.
async fn others(issuer: &Issuer) {
    let server = &issuer.scene.server;
    let ready = server.wrote();
    let line = ready.lines().find_map(|line| line.strip_prefix("ready ")).expect("a ready line");
    let field = |name| line.split(' ').find_map(|word| word.strip_prefix(name)).expect("a URL");
    let http = client(&server.trust);
    for url in [
        format!("{}/healthz", field("admin=")),
        format!("{}/metrics", field("admin=")),
        format!("{}/pki/bundle.pem", field("http=")),
        server.directory.clone(),
    ] {
        let answer = http.get(&url).send().await.unwrap_or_else(|e| panic!("{url}: {e:?}"));
        assert_eq!(answer.status(), 200, "{url}");
    }
}

#[derive(Default)]
struct Flood {
    over: AtomicBool,
    forged: AtomicUsize,
    answers: Mutex<BTreeMap<String, usize>>,
}

impl Flood {
    /// Shows a consumer tokens by keys that nobody has.
    async fn forge(&self, consumer: &Consumer, keyset: &Keyset, sample: &Token) {
        while !self.over.load(Ordering::SeqCst) {
            let number = self.forged.fetch_add(1, Ordering::SeqCst);
            let header = json!({ "alg": "ES256", "kid": format!("nobody-{number}"), "typ": "JWT" });
            let header = BASE64URL_NOPAD.encode(header.to_string().as_bytes());
            let (_, rest) = sample.text.split_once('.').expect("a token");
            let token = Token { text: format!("{header}.{rest}"), ..sample.clone() };
            let said = consumer.verify(keyset, &token).await;
            said.expect_err(&format!("{} accepts a forged token", consumer.name));
        }
    }

    /// Fetches, or asks for a signature with a token that is not good and much to read.
    async fn ask(&self, issuer: &Issuer, number: usize) {
        let http = client(&issuer.scene.server.trust);
        let sign = format!("{}/api/v1/keysets/flooded/sign", base(&issuer.scene));
        let large = vec![b' '; 900_000];
        while !self.over.load(Ordering::SeqCst) {
            let (what, request) = match number % 8 {
                0 => ("sign", http.post(&sign).bearer_auth("nobody").body(large.clone())),
                1 => ("sign", http.post(&sign).bearer_auth("nobody").body("{}")),
                _ => ("jwks", http.get(&issuer.keysets[0].url)),
            };
            let said = match request.send().await {
                Ok(answer) => format!("{what} {}", answer.status().as_u16()),
                Err(error) => format!("{what}: {error:?}"),
            };
            *self.answers.lock().expect("no panic").entry(said).or_default() += 1;
        }
    }
}

/// What the server's process uses.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
struct Use {
    /// In MiB.
    memory: usize,
    files: usize,
}

impl Use {
    fn of(issuer: &Issuer) -> Self {
        let process = format!("/proc/{}", issuer.scene.server.id());
        let status = fs::read_to_string(format!("{process}/status")).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
        let files = fs::read_dir(format!("{process}/fd")).expect("a process").count();
        Self { memory: kib / 1024, files }
    }

    fn max(self, other: Self) -> Self {
        Self { memory: self.memory.max(other.memory), files: self.files.max(other.files) }
    }
}

const LONGEST: Duration = Duration::from_secs(40);
