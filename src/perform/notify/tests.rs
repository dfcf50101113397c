//! Messages on virtual time, to a real HTTP server that takes them, refuses them or leads elsewhere.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::catalog::{Catalog, parse};
use crate::node::Node;
use crate::perform::establish;
use crate::store::{Commit, Event};
use crate::worker::start_due;

const SECRET: [u8; 32] = [9; 32];

#[tokio::test]
async fn a_message_is_signed_and_delivered_once() {
    let receiver = Receiver::answering(&["204 No Content"]);
    let stage = Stage::new(&receiver.url).await;
    stage.tell("keyset.emergency", "keyset/auth").await;
    stage.work().await;
    stage.pass(3600);
    stage.work().await;
    let taken = receiver.taken();
    assert_eq!(taken.len(), 1);
    let (headers, body) = &taken[0];
    let field =
        |name: &str| headers.iter().find_map(|line| line.strip_prefix(name)).expect("there");
    let (id, second) = (field("webhook-id: "), field("webhook-timestamp: "));
    let signed = format!("{id}.{second}.{body}");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &SECRET);
    let signature = field("webhook-signature: ").strip_prefix("v1,").expect("v1");
    let signature = BASE64.decode(signature.as_bytes()).expect("base64");
    hmac::verify(&key, signed.as_bytes(), &signature).expect("it verifies");
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!((&body["id"], &body["type"]), (&json!(id), &json!("keyset.emergency")));
    assert_eq!(body["data"]["removed"], json!(["old"]));
    assert_eq!(second, stage.begun.to_string());
    assert!(stage.node.store.failing_notifications(10).expect("a read").is_empty());
}

#[tokio::test]
async fn what_is_refused_is_tried_again_under_its_id_and_given_up_after_days() {
    let receiver = Receiver::answering(&["500 Oops", "302 Found", "200 OK"]);
    let stage = Stage::new(&receiver.url).await;
    stage.tell("keyset.emergency", "keyset/auth").await;
    for seconds in [0, 6, 400] {
        stage.pass(seconds);
        stage.work().await;
    }
    let taken = receiver.taken();
    assert_eq!(taken.len(), 3, "the redirect was not followed");
    let ids: Vec<_> = taken
        .iter()
        .filter_map(|(headers, _)| headers.iter().find(|line| line.starts_with("webhook-id: ")))
        .collect();
    assert!(ids.windows(2).all(|two| two[0] == two[1]), "{ids:?}");
    assert!(taken.windows(2).all(|two| two[0].1 == two[1].1), "the same body");
    let rows = stage.node.store.notifications("ops", 10).expect("a read");
    assert!(rows[0].delivered_at.is_some() && rows[0].attempts == 3);

    let never = Receiver::answering(&["503 Later"]);
    let stage = Stage::new(&never.url).await;
    stage.tell("keyset.emergency", "keyset/auth").await;
    for _ in 0..200 {
        stage.work().await;
        stage.pass(3600);
    }
    assert_eq!(never.taken().len(), 10);
    let failing = stage.node.store.failing_notifications(10).expect("a read");
    assert_eq!(failing.len(), 1);
    assert_eq!(failing[0].due_at, None, "it was given up, and an operator is told");
    assert!(failing[0].error.as_ref().expect("why").contains("503"));
}

#[tokio::test]
async fn only_what_is_wanted_is_told_and_nothing_after_it_is_declared_no_more() {
    let receiver = Receiver::answering(&["200 OK"]);
    let stage = Stage::new(&receiver.url).await;
    for (event, subject) in [
        ("keyset.lease", "keyset/auth"),
        ("keyset.emergency", "keyset/other"),
        ("keyset.sign", "keyset/auth"),
        ("keyset.emergency", "keyset/auth"),
    ] {
        stage.tell(event, subject).await;
    }
    stage.work().await;
    assert_eq!(receiver.taken().len(), 1);
    stage.tell("keyset.emergency", "keyset/auth").await;
    // It is read, and not sent yet.
    stage.node.store.crash_after(1, true);
    stage.work().await;
    assert!(stage.node.store.recover());
    stage.node.catalog.replace(Catalog::default());
    stage.work().await;
    let rows = stage.node.store.notifications("ops", 10).expect("a read");
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0].due_at, rows[0].delivered_at), (None, None));
}

#[tokio::test]
async fn addresses_that_lead_to_the_machine_or_its_cloud_are_not_connected_to() {
    for (url, why) in [
        ("http://169.254.169.254/latest", "link-local"),
        ("http://[fd00:ec2::254]/", "metadata"),
        ("http://0.0.0.0:9/", "unspecified"),
    ] {
        let stage = Stage::new(url).await;
        let ops = stage.node.catalog.load().receiver("ops").expect("declared");
        let error = super::test(&stage.node, &ops).await.expect_err(url);
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_crash_between_delivery_and_its_record_delivers_the_same_message_again() {
    let receiver = Receiver::answering(&["200 OK"]);
    let stage = Stage::new(&receiver.url).await;
    stage.tell("keyset.emergency", "keyset/auth").await;
    stage.node.store.crash_after(1, true);
    stage.work().await;
    assert!(stage.node.store.recover());
    stage.work().await;
    let taken = receiver.taken();
    assert_eq!(taken.len(), 2);
    assert_eq!(taken[0].1, taken[1].1, "receivers know it by its id");
    stage.work().await;
    assert_eq!(receiver.taken().len(), 2);
}

/// A node that tells `ops` of emergencies of the keyset `auth`.
pub(in crate::perform) struct Stage {
    pub(in crate::perform) node: Arc<Node>,
    clock: Arc<AtomicI64>,
    begun: i64,
}

impl Stage {
    async fn new(url: &str) -> Self {
        let declared = format!("url = {url:?}\nsubjects = [\"keyset/auth\"]\n");
        Self::with(|secret| {
            format!("[[webhook]]\nname = \"ops\"\nsecret_file = {secret:?}\n{declared}")
        })
        .await
    }

    /// A node for which this is declared, by the path of a file with a secret.
    pub(in crate::perform) async fn with(declared: impl FnOnce(&Path) -> String) -> Self {
        let (node, clock) = crate::node::tests::node().await;
        let file = node.config.data_dir.join("secret");
        fs::write(&file, format!("whsec_{}\n", BASE64.encode(&SECRET))).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("private");
        let text = declared(&file);
        let wanted = parse([("a.toml", text.as_str())]).expect("parses");
        let standing = establish::declared(&node).await.expect("readable");
        standing.clone().with(&wanted).check().expect("it could work");
        let catalog = establish::apply(&node, "admin", &standing, &wanted).await;
        node.catalog.replace(catalog.expect("stands"));
        let begun = clock.load(Ordering::SeqCst);
        Self { node, clock, begun }
    }

    /// Something happens.
    async fn tell(&self, event: &'static str, subject: &str) {
        let news = json!({ "news": { "removed": ["old"] } });
        let commit = Commit::new(Event::new("test", event, subject).with(news));
        self.node.store.commit(commit, self.node.world.now()).await.expect("stored");
    }

    pub(in crate::perform) async fn work(&self) {
        start_due(&self.node);
        self.node.steps.rest(Duration::from_secs(60)).await;
    }

    pub(in crate::perform) fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.node.config.data_dir);
    }
}

pub(in crate::perform) type Taken = Vec<(Vec<String>, String)>;

/// A server that gives these answers in turn, the last one again and again.
pub(in crate::perform) struct Receiver {
    pub(in crate::perform) url: String,
    taken: Arc<Mutex<Taken>>,
}

impl Receiver {
    pub(in crate::perform) fn answering(answers: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let taken = Arc::new(Mutex::new(Taken::new()));
        let (shared, here) = (Arc::clone(&taken), url.clone());
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
                let mut headers = Vec::new();
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).expect("a line");
                    if line.trim_end().is_empty() {
                        break;
                    }
                    headers.push(line.trim_end().to_owned());
                }
                let length = headers.iter().find_map(|line| line.strip_prefix("content-length: "));
                let mut body = vec![0; length.expect("a length").parse().expect("a number")];
                reader.read_exact(&mut body).expect("a body");
                let mut taken = shared.lock().expect("no panic");
                let answer = answers[taken.len().min(answers.len() - 1)];
                taken.push((headers, String::from_utf8(body).expect("text")));
                drop(taken);
                let location = format!("Location: {here}\r\n");
                let answer = format!(
                    "HTTP/1.1 {answer}\r\n{location}Content-Length: 0\r\nConnection: close\r\n\r\n"
                );
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { url, taken }
    }

    pub(in crate::perform) fn taken(&self) -> Taken {
        self.taken.lock().expect("no panic").clone()
    }
}
