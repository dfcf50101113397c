//! CRLs from a real HTTP server, which counts who asks.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ca::crl::{self, Scope};
use ca::issue::{self, Request};
use ca::{Authority, KeyAlgorithm, MemorySigner, Pointers, Profile, RevocationReason, Revoked};
use ca::{Serial, Signer, Urls};

use super::*;
use crate::world::World;

pub(in crate::perform) const NOW: Timestamp = Timestamp::constant(1_795_176_000, 0);
const DAY: SignedDuration = SignedDuration::from_hours(24);

#[tokio::test]
async fn ten_thousand_looks_at_once_are_one_request() {
    let outside = Outside::new();
    outside.publish(&[]);
    let published = Arc::new(Published::default());
    let mut looks = tokio::task::JoinSet::new();
    for _ in 0..10_000 {
        let (published, outside) = (Arc::clone(&published), outside.clone());
        looks.spawn(async move { outside.list(&published, NOW).await.map(|list| list.entries()) });
    }
    assert!(looks.join_all().await.into_iter().all(|entries| entries == Ok(0)));
    assert_eq!(outside.server.asked(), 1);
}

#[tokio::test]
async fn a_list_is_fetched_again_within_hours_and_says_what_is_new() {
    let outside = Outside::new();
    let published = Published::default();
    outside.publish(&[]);
    assert_eq!(outside.found(&published, NOW).await, Ok(None));
    outside.publish(&[outside.leaf.serial()]);
    let minutes = SignedDuration::from_mins;
    assert_eq!(outside.found(&published, NOW + minutes(59)).await, Ok(None));
    let found = outside.found(&published, NOW + minutes(60)).await;
    assert_eq!(found, Ok(Some(NOW - DAY)));
    assert_eq!(outside.server.asked(), 2);
}

#[tokio::test]
async fn what_cannot_be_had_or_does_not_verify_is_left_alone_for_a_while() {
    let outside = Outside::new();
    let other = Outside::new();
    let minutes = SignedDuration::from_mins;
    let published = Published::default();
    for (answer, why) in [
        (Answer::Status("404 Not Found"), "404"),
        (Answer::Body(b"nothing".to_vec()), "malformed"),
        (Answer::Body(other.signed(&[outside.leaf.serial()], NOW)), "signature"),
        (Answer::Body(outside.signed(&[outside.leaf.serial()], NOW - DAY * 9)), "out of date"),
        (Answer::Status("302 Found\r\nLocation: https://localhost/"), "not http://"),
        (Answer::Status("302 Found\r\nLocation: /again"), "too often"),
    ] {
        let published = Published::default();
        outside.server.answers(answer);
        let said = outside.found(&published, NOW).await.expect_err(why);
        assert!(said.contains(why), "{why}: {said}");
        let asked = outside.server.asked();
        assert_eq!(outside.found(&published, NOW + minutes(9)).await, Err(said));
        assert_eq!(outside.server.asked(), asked, "{why}");
    }
    outside.server.answers(Answer::Body(vec![0; ca::revocation_list::MAX_LIST + 1]));
    let said = outside.found(&published, NOW).await.expect_err("too large");
    assert!(said.contains("more than 33554432 octets"), "{said}");
    outside.publish(&[outside.leaf.serial()]);
    let found = outside.found(&published, NOW + minutes(10)).await;
    assert_eq!(found, Ok(Some(NOW - DAY)), "it is there again");
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_not_asked_for_its_other_lists_either() {
    let outside = Outside::new();
    let published = Published::default();
    let nobody = TcpListener::bind(("127.0.0.1", 0)).expect("a port").local_addr();
    let url = |path| format!("http://{}/{path}", nobody.as_ref().expect("an address"));
    let first = published.list(&url("one"), outside.issuer(), NOW).await.expect_err("nobody");
    assert!(first.contains("refused"), "{first}");
    let second = published.list(&url("two"), outside.issuer(), NOW).await.expect_err("nobody");
    assert!(second.contains("did not answer, and is left alone until"), "{second}");
}

/// A CA outside with one certificate, whose CRL is on a server of its own.
#[derive(Clone)]
pub(in crate::perform) struct Outside {
    pub(in crate::perform) server: Arc<Server>,
    authority: Arc<Authority>,
    pub(in crate::perform) leaf: Certificate,
    url: String,
    pub(in crate::perform) at: Timestamp,
    key: Arc<MemorySigner>,
}

impl Outside {
    pub(in crate::perform) fn new() -> Self {
        Self::issuing(NOW, &[])
    }

    /// One that issues at `at`, and whose certificates name `responders` as well.
    pub(in crate::perform) fn issuing(at: Timestamp, responders: &[String]) -> Self {
        let server = Arc::new(Server::start());
        let url = format!("http://{}/list.crl", server.address);
        let world = World::system();
        let signer = Arc::new(MemorySigner::generate(KeyAlgorithm::EcdsaP256).expect("a key"));
        let spec = ca::AuthoritySpec {
            subject: ca::Subject::new("Outside", None).expect("a name"),
            path_len: None,
            constraints: ca::NameConstraints::default(),
            lifetime: DAY * 365,
            backdate: DAY,
            ocsp: false,
        };
        let serial = || Serial::from_random(world.random());
        let root = ca::create_root(&spec, &*signer, serial(), at - DAY * 30).expect("a root");
        let ocsp = responders.to_vec();
        let urls = Urls { crl: vec![url.clone()], ocsp, ..Urls::default() };
        let authority =
            Authority::new(root, signer.clone(), Vec::new(), urls).expect("an authority");
        let key = MemorySigner::generate(KeyAlgorithm::EcdsaP256).expect("a key");
        let request = Request {
            public_key: key.public_key(),
            identifiers: &[ca::Identifier::parse("a.example.test").expect("a name")],
            not_before: None,
            not_after: None,
            must_staple: false,
            blocked: &ca::BlockedKeys::default(),
        };
        let profile = Profile::tls_server();
        let prepared = issue::prepare(&authority, &profile, &request, serial(), at);
        let leaf = issue::sign(&authority, prepared.expect("prepared")).expect("issued");
        Self { server, authority: Arc::new(authority), leaf, url, at, key: signer }
    }

    /// The authority's private key, as PEM.
    pub(in crate::perform) fn key_pem(&self) -> String {
        let der = self.key.pkcs8().expect("a key");
        let text = data_encoding::BASE64.encode(&der);
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
    }

    pub(in crate::perform) fn issuer(&self) -> &Certificate {
        self.authority.certificate()
    }

    pub(in crate::perform) fn signed(&self, revoked: &[Serial], at: Timestamp) -> Vec<u8> {
        let reason = RevocationReason::KeyCompromise;
        let entry = |serial: &Serial| Revoked { serial: *serial, at: at - DAY, reason };
        let scope = Scope { urls: vec![self.url.clone()], only_user_certificates: true };
        let entries = revoked.iter().map(entry);
        let list = crl::sign(&self.authority, entries, 1, at, at + DAY * 7, Some(&scope));
        list.expect("signed").into_der()
    }

    pub(in crate::perform) fn publish(&self, revoked: &[Serial]) {
        self.server.answers(Answer::Body(self.signed(revoked, NOW)));
    }

    async fn list(
        &self,
        published: &Published,
        now: Timestamp,
    ) -> Result<Arc<RevocationList>, String> {
        published.list(&self.url, self.issuer(), now).await
    }

    async fn found(
        &self,
        published: &Published,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, String> {
        let list = self.list(published, now).await?;
        let pointers = Pointers::of(&self.leaf).expect("pointers");
        Ok(list.find(&self.leaf, &pointers).expect("about it").map(|entry| entry.at))
    }
}

pub(in crate::perform) enum Answer {
    /// A status, and header fields after it.
    Status(&'static str),
    Body(Vec<u8>),
}

/// An HTTP server on a thread of its own that gives everybody one answer.
pub(in crate::perform) struct Server {
    pub(in crate::perform) address: SocketAddr,
    asked: Arc<AtomicUsize>,
    answer: Arc<Mutex<Answer>>,
}

impl Server {
    pub(in crate::perform) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (asked, answer) = <(Arc<AtomicUsize>, _)>::default();
        let answer = Arc::new(Mutex::new(Answer::Status(answer)));
        let server = Self { address, asked, answer };
        let (asked, answer) = (Arc::clone(&server.asked), Arc::clone(&server.answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                asked.fetch_add(1, Ordering::SeqCst);
                let mut head = [0; 4096];
                let _ = std::io::Read::read(&mut stream, &mut head);
                let (status, body) = match &*answer.lock().expect("no panic") {
                    Answer::Status(status) => (*status, Vec::new()),
                    Answer::Body(body) => ("200 OK", body.clone()),
                };
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                // Who has heard enough hangs up.
                let _ = stream.write_all(&[head.as_bytes(), &body].concat());
            }
        });
        server
    }

    pub(in crate::perform) fn answers(&self, answer: Answer) {
        *self.answer.lock().expect("no panic") = answer;
    }

    pub(in crate::perform) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}
