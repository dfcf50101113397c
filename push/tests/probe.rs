//! What the probe calls the things it can meet.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use push::probe::{Expected, Found, Probe, Proof, prove, sight, wait_until_proven};
use rustls::version::{TLS12, TLS13};

use crate::peer::{Always, Peer, builder, certified, config};
use crate::scene::{Issuer, PATIENCE, once, port};

fn probe(hosts: &[&Peer]) -> Probe {
    let mut probe = once(1, &["shop.test"]);
    probe.hosts = hosts.iter().map(|peer| peer.address.to_string()).collect();
    probe
}

fn found(proof: &Proof) -> Vec<Found> {
    proof.sightings.iter().map(|seen| seen.found.clone()).collect()
}

#[tokio::test]
async fn a_stale_replica_behind_the_same_name_is_found() {
    let issuer = Issuer::new();
    let (new, old) = (issuer.bundle(&["shop.test"]), issuer.bundle(&["shop.test"]));
    let good = Peer::serve(&new);
    let stale = Peer::start("127.0.0.2:0", config(certified(&old, &old)), |_| true);
    let expected = Expected::of(&new, &[old.fingerprint()]);
    let proof = prove(&probe(&[&good, &stale]), &expected).await;
    assert!(!proof.proven);
    assert_eq!(found(&proof), [Found::New, Found::Old], "{proof}");
    assert!(proof.to_string().contains(&stale.address.to_string()), "{proof}");
    assert!(!proof.to_string().contains(&good.address.to_string()), "{proof}");
}

#[tokio::test]
async fn several_matches_over_a_time_are_wanted_from_every_address() {
    let issuer = Issuer::new();
    let bundle = issuer.bundle(&["shop.test"]);
    let (one, two) = (Peer::serve(&bundle), Peer::serve(&bundle));
    let mut probe = probe(&[&one, &two]);
    probe.matches = 4;
    probe.over = Duration::from_millis(600);
    let begun = Instant::now();
    let proof = prove(&probe, &Expected::of(&bundle, &[])).await;
    assert!(proof.proven && begun.elapsed() >= probe.over, "{proof}");
    assert!(proof.sightings.iter().all(|seen| seen.handshakes == 4 && seen.millis >= 600));
    assert_eq!(one.resumed.load(Ordering::Relaxed) + two.resumed.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn no_session_is_resumed_because_that_shows_no_certificate() {
    let bundle = Issuer::new().bundle(&["shop.test"]);
    // In TLS 1.2 the client has what it needs for resumption when the first handshake ends.
    let resolver = Arc::new(Always(Arc::new(certified(&bundle, &bundle))));
    let config = builder(&[&TLS12]).with_no_client_auth().with_cert_resolver(resolver);
    let peer = Peer::start("127.0.0.1:0", config, |_| true);
    let mut probe = probe(&[&peer]);
    probe.matches = 4;
    let proof = prove(&probe, &Expected::of(&bundle, &[])).await;
    assert!(proof.proven, "{proof}");
    assert_eq!(peer.resumed.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_chain_of_strangers_is_told_from_one_with_the_root_added() {
    let (issuer, stranger) = (Issuer::new(), Issuer::new());
    let bundle = issuer.bundle(&["shop.test"]);
    let expected = Expected::of(&bundle, &[]);
    let foreign = stranger.bundle(&["shop.test"]).chain()[0].der().to_vec();
    let mut wrong = certified(&bundle, &bundle);
    wrong.cert[1] = foreign.into();
    let peer = Peer::start("127.0.0.1:0", config(wrong), |_| true);
    let proof = prove(&probe(&[&peer]), &expected).await;
    assert_eq!(found(&proof), [Found::Chain { served: 1, expected: 1 }], "{proof}");
    let mut rooted = certified(&bundle, &bundle);
    rooted.cert.push(issuer.root().der().to_vec().into());
    let peer = Peer::start("127.0.0.1:0", config(rooted), |_| true);
    let proof = prove(&probe(&[&peer]), &expected).await;
    assert!(proof.proven, "{proof}");
}

#[tokio::test]
async fn a_target_that_is_down_is_waited_for_until_the_window_is_over() {
    let bundle = Issuer::new().bundle(&["shop.test"]);
    let window = Duration::from_secs(2);
    let begun = Instant::now();
    let proof =
        wait_until_proven(&once(port(), &["shop.test"]), &Expected::of(&bundle, &[]), window).await;
    let took = begun.elapsed();
    assert!(!proof.proven && matches!(found(&proof)[..], [Found::Unreachable(_)]), "{proof}");
    assert!(took >= window / 2 && took < window + Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn a_target_that_comes_up_late_is_proven() {
    let bundle = Issuer::new().bundle(&["shop.test"]);
    let port = port();
    let late = {
        let bundle = bundle.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Peer::start(&format!("127.0.0.1:{port}"), config(certified(&bundle, &bundle)), |_| true)
        })
    };
    let expected = Expected::of(&bundle, &[]);
    let proof = wait_until_proven(&once(port, &["shop.test"]), &expected, PATIENCE).await;
    assert!(proof.proven, "{proof}");
    drop(late.await.expect("it was up"));
}

#[tokio::test]
async fn nothing_to_look_at_proves_nothing() {
    let bundle = Issuer::new().bundle(&["shop.test"]);
    let proof = prove(&probe(&[]), &Expected::of(&bundle, &[])).await;
    assert!(!proof.proven && proof.to_string().contains("set probe"), "{proof}");
    let mut lost = probe(&[]);
    lost.hosts = vec!["no-such-host.invalid:443".to_owned()];
    let proof = prove(&lost, &Expected::of(&bundle, &[])).await;
    assert!(matches!(found(&proof)[..], [Found::Unreachable(_)]), "{proof}");
}

#[tokio::test]
async fn a_server_with_somebody_elses_key_is_no_proof() {
    let issuer = Issuer::new();
    let (bundle, other) = (issuer.bundle(&["shop.test"]), issuer.bundle(&["shop.test"]));
    for version in [&TLS12, &TLS13] {
        let resolver = Arc::new(Always(Arc::new(certified(&bundle, &other))));
        let config = builder(&[version]).with_no_client_auth().with_cert_resolver(resolver);
        let peer = Peer::start("127.0.0.1:0", config, |_| true);
        let proof = prove(&probe(&[&peer]), &Expected::of(&bundle, &[])).await;
        assert!(matches!(found(&proof)[..], [Found::Alert(_)]), "{version:?} {proof}");
    }
}

#[tokio::test]
async fn a_server_that_wants_a_client_certificate_is_still_seen() {
    let issuer = Issuer::new();
    let bundle = issuer.bundle(&["shop.test"]);
    for version in [&TLS12, &TLS13] {
        let mut roots = rustls::RootCertStore::empty();
        let root = issuer.root().der().to_vec();
        roots.add(root.into()).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let resolver = Arc::new(Always(Arc::new(certified(&bundle, &bundle))));
        let config = builder(&[version])
            .with_client_cert_verifier(verifier.build().expect("a verifier"))
            .with_cert_resolver(resolver);
        let peer = Peer::start("127.0.0.1:0", config, |_| true);
        let proof = prove(&probe(&[&peer]), &Expected::of(&bundle, &[])).await;
        assert!(proof.proven, "{version:?} {proof}");
    }
}

#[tokio::test]
async fn what_is_no_tls_or_says_nothing_is_told_apart() {
    let bundle = Issuer::new().bundle(&["shop.test"]);
    let expected = Expected::of(&bundle, &[]);
    let config = || config(certified(&bundle, &bundle));
    let plain = Peer::start("127.0.0.1:0", config(), |stream| {
        crate::peer::say(stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
        std::thread::sleep(Duration::from_millis(100));
        false
    });
    let proof = prove(&probe(&[&plain]), &expected).await;
    assert!(proof.to_string().contains("does not speak TLS"), "{proof}");
    let mute = Peer::start("127.0.0.1:0", config(), |_| {
        std::thread::sleep(Duration::from_secs(1));
        false
    });
    let mut short = probe(&[&mute]);
    short.timeout = Duration::from_millis(300);
    let proof = prove(&short, &expected).await;
    assert!(proof.to_string().contains("no answer within 0.3 s"), "{proof}");
}

#[tokio::test]
async fn another_certificate_is_named_and_a_single_one_is_the_default() {
    let issuer = Issuer::new();
    let (bundle, other) = (issuer.bundle(&["shop.test"]), issuer.bundle(&["blog.test"]));
    let peer = Peer::serve(&other);
    let proof = prove(&probe(&[&peer]), &Expected::of(&bundle, &[])).await;
    assert_eq!(found(&proof), [Found::Default], "{proof}");

    // Shown for this name alone, it is no default.
    let mut by_name = rustls::server::ResolvesServerCertUsingSni::new();
    let shop = issuer.bundle(&["shop.test"]);
    by_name.add("shop.test", certified(&shop, &shop)).expect("a name");
    let config =
        builder(rustls::ALL_VERSIONS).with_no_client_auth().with_cert_resolver(Arc::new(by_name));
    let peer = Peer::start("127.0.0.1:0", config, |_| true);
    let proof = prove(&probe(&[&peer]), &Expected::of(&bundle, &[])).await;
    match &found(&proof)[..] {
        [Found::Other { fingerprint, subject, not_after }] => {
            assert_eq!(*fingerprint, data_encoding::HEXLOWER.encode(&shop.fingerprint()));
            assert_eq!((subject.as_str(), *not_after), ("shop.test", Some(shop.not_after())));
        }
        _ => panic!("{proof}"),
    }
    let text = serde_json::to_string(&proof).expect("JSON");
    assert_eq!(serde_json::from_str::<Proof>(&text).expect("JSON"), proof);
}

#[tokio::test]
async fn one_sight_shows_the_whole_chain_whoever_issued_it() {
    let bundle = Issuer::new().bundle(&["shop.test"]);
    let peer = Peer::serve(&bundle);
    let seen = sight(peer.address, None, None, PATIENCE).await.expect("TLS");
    let chain: Vec<&[u8]> = seen.chain.iter().map(|one| one.as_ref()).collect();
    assert_eq!(chain, [bundle.leaf().der(), bundle.chain()[0].der()]);
    assert_eq!(seen.version, Some(rustls::ProtocolVersion::TLSv1_3));
}
