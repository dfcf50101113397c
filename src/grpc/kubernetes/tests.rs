//! A cluster on virtual time: what kube-apiserver does, done by a client with stubs of its own, through
//! weeks of rotations.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::catalog::parse;
use crate::grpc::sockets;
use crate::node::Node;
use crate::perform::{establish, keyset};
use crate::worker::start_due;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_token_is_good_at_the_cluster_and_beyond_it_through_weeks_of_rotations() {
    let mut stage = Stage::set("ES256").await;
    let mut kids = std::collections::BTreeSet::new();
    stage.live(SignedDuration::from_hours(15 * 24), &mut kids).await;
    assert!((6..=8).contains(&kids.len()), "{} keys in 15 days", kids.len());

    // Another algorithm: the key that is there signs until the new one may.
    stage.declare("RS256").await;
    stage.live(SignedDuration::from_hours(3), &mut kids).await;
    let last = stage.ask("token", json!({}));
    let header = last["token"].as_str().and_then(|token| token.split('.').next()).expect("one");
    let header = data_encoding::BASE64URL_NOPAD.decode(header.as_bytes()).expect("base64url");
    assert!(String::from_utf8_lossy(&header).contains("RS256"));
}

struct Stage {
    node: Arc<Node>,
    clock: Arc<AtomicI64>,
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    /// Tokens that have not expired.
    tokens: Vec<(Value, Timestamp)>,
}

impl Stage {
    async fn set(algorithm: &str) -> Self {
        let (node, clock) = crate::node::tests::node().await;
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join("target/venv/bin/python");
        let mut child = Command::new("timeout")
            .args(["--kill-after=5", "300"])
            .arg(&python)
            .arg(root.join("tests/kubernetes/apiserver.py"))
            .arg(node.config.data_dir.join("run/signer.sock"))
            .arg(ISSUER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}; run `tests/run tools`", python.display()));
        let to = child.stdin.take().expect("a pipe");
        let from = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut stage = Self { node, clock, child, to, from, tokens: Vec::new() };
        assert_eq!(stage.hear()["ready"], true);
        stage.declare(algorithm).await;
        stage.work().await;
        assert_eq!(stage.ask("start", json!({}))["longest"], 3600);
        stage
    }

    async fn declare(&self, algorithm: &str) {
        let socket = self.node.config.data_dir.join("run/signer.sock");
        let text = format!(
            "[[keyset]]\nname = \"cluster\"\nissuer = {ISSUER:?}\nalgorithm = {algorithm:?}\n\
             rotate_every = \"2d\"\nkubernetes = {{ socket = {socket:?} }}\n"
        );
        let wanted = parse([("a.toml", text.as_str())]).expect("parses");
        wanted.check().expect("sound");
        let standing = establish::declared(&self.node).await.expect("readable");
        let catalog = establish::apply(&self.node, "admin", &standing, &wanted).await;
        self.node.catalog.replace(catalog.expect("stands"));
        keyset::enlist(&self.node, "admin").await.expect("enlisted");
        sockets::converge(&self.node).await;
    }

    /// Lives for so long: in small steps where something happens, in large ones where nothing does.
    async fn live(&mut self, time: SignedDuration, kids: &mut std::collections::BTreeSet<String>) {
        let end = self.now() + time;
        while self.now() < end {
            self.work().await;
            let fetches = self.ask("tick", json!({}))["fetches"].clone();
            let token = self.ask("token", json!({}));
            kids.insert(token["kid"].as_str().unwrap_or_else(|| panic!("{token}")).to_owned());
            let expires = self.now() + SignedDuration::from_hours(1);
            self.tokens.push((token["token"].clone(), expires));
            let now = self.now();
            self.tokens.retain(|(_, expires)| *expires > now);
            for (token, expires) in self.tokens.clone() {
                for verifier in ["review", "cloud"] {
                    let verdict = self.ask(verifier, json!({ "token": token }));
                    let is_good = verdict["sub"] == "system:serviceaccount:shop:web";
                    assert!(is_good, "{verifier} at {now}, before {expires}: {verdict}");
                }
            }
            let after = self.ask("tick", json!({}))["fetches"].clone();
            assert_eq!(fetches, after, "no token came before its key, at {now}");
            let next = self.next().map_or(SignedDuration::MAX, |at| at.duration_since(now));
            let minutes = if next < SignedDuration::from_mins(45) { 4 } else { 29 };
            self.clock.fetch_add(minutes * 60, Ordering::SeqCst);
        }
    }

    async fn work(&self) {
        for _ in 0..2 {
            start_due(&self.node);
            self.node.steps.rest(Duration::from_secs(60)).await;
        }
    }

    fn next(&self) -> Option<Timestamp> {
        self.node.store.keyset_by_name("cluster").expect("a read").expect("enlisted").due_at
    }

    fn now(&self) -> Timestamp {
        self.node.world.now()
    }

    fn ask(&mut self, what: &str, mut how: Value) -> Value {
        how["do"] = what.into();
        how["at"] = self.now().as_second().into();
        writeln!(self.to, "{how}").expect("it listens");
        self.hear()
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.from.read_line(&mut line).expect("it answers");
        serde_json::from_str(&line)
            .unwrap_or_else(|e| panic!("{e}: {line:?}; run `tests/run tools`"))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.node.config.data_dir);
    }
}

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
