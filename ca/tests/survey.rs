//! Certificates as they are found: what is read of them, and what is wrong with them.

mod bench;

use bench::{Bench, NOW, day, id, ids, key};
use ca::survey::{Anchors, Flaw, Strength, Survey, flaws, strength};
use ca::{Certificate, KeyAlgorithm, Profile, Signer};
use jiff::{SignedDuration, Timestamp};

/// Version 1, a negative serial number, RSA with 1024 bits, SHA-1; by `openssl x509 -set_serial -5`.
const OLD: &str = "
MIIBtzCCASACAfswDQYJKoZIhvcNAQEFBQAwIzEMMAoGA1UECgwDT2xkMRMwEQYD
VQQDDAp2MS5leGFtcGxlMCAXDTI2MTEyNDE2MTc0OVoYDzIxMjYxMDMxMTYxNzQ5
WjAjMQwwCgYDVQQKDANPbGQxEzARBgNVBAMMCnYxLmV4YW1wbGUwgZ8wDQYJKoZI
hvcNAQEBBQADgY0AMIGJAoGBAMiW0KqQbFuROSKbEgr3oIyKCHL71L9riujhvL6L
lp2ksqECES2G2IP2xps0t0qlrBE1Ab+mDHG7PrnU4/3TzvggjD8UyQblC6QsBTeJ
aqNC4Pnaw26q3Z2lnu1d58SC+u2qZQnxAxjYZkePbvuQKw9Q1uT65QwfWPd69pFq
uBlvAgMBAAEwDQYJKoZIhvcNAQEFBQADgYEAISFnAedXkCALyT0PZZmV3J0bV9Sn
jYs7+pKpnIs+QZ++SYm0Lwsz1lnXx/sKsqGj0iyoMjyl4yDan081gtltLQAeVEMT
k8NVyHqmmmHridido7t/Ma48mEZ4KfWVITgvmT+hlSuspGxF+tx4o/10fAAR2SS5
QmnP/OvABnNozy4=";

/// P-521, signed by itself, with names of every kind; by `openssl req -x509`.
const ODD: &str = "
MIICTzCCAbCgAwIBAgIUBL/AVBRcARorBCBv0cd17LvWgo0wCgYIKoZIzj0EAwIw
FzEVMBMGA1UEAwwMcDUyMS5leGFtcGxlMCAXDTI2MTEyNDE2MTc0OVoYDzIxMjYx
MDMxMTYxNzQ5WjAXMRUwEwYDVQQDDAxwNTIxLmV4YW1wbGUwgZswEAYHKoZIzj0C
AQYFK4EEACMDgYYABAHfxlmnsvfNN6pIj1Dj1V6uU7YuBrdfsQiSOMXg2TPNOhPL
zUPFMMn3b7BRuvvi/E1ym3nVsoJVAgwEk7lvagt3EQDF36Z8yFCZoCuEsniRq/QI
Dm8O+YoqvS7HKmh6Gprm0poUzrCPlwFAFGqz2qLqrnvVmKWT7XCqAcgRqyNVurU7
qaOBlDCBkTAdBgNVHQ4EFgQUY+cp1CA/pod/nF6FZRhXgoHjLQYwHwYDVR0jBBgw
FoAUY+cp1CA/pod/nF6FZRhXgoHjLQYwDwYDVR0TAQH/BAUwAwEB/zA+BgNVHREE
NzA1gg9feC5wNTIxLmV4YW1wbGWCDioucDUyMS5leGFtcGxlhwQKAAABhgxzcGlm
ZmU6Ly9hL2IwCgYIKoZIzj0EAwIDgYwAMIGIAkIBqCcrGBc45mI9IKZZVMl3vihY
DoH9HSucL2tjhCdhb7r3lU7/iNvGZmJF1lNQYTqTNgNJcPTbc/Y/kbj9DUVty2gC
QgHIt/IpaoJjUyRXsHbaSk30v13z2ru6L4FRW4KD8LPOrU9ve6A9gtL+hnII/lCg
Qq2tgu1eWMs9MjYoECJ0VAwP/A==";

fn der(base64: &str) -> Vec<u8> {
    let text: String = base64.split_ascii_whitespace().collect();
    data_encoding::BASE64.decode(text.as_bytes()).expect("base64")
}

fn judged(chain: &[&Certificate], asked: Option<&str>, trusted: &[&Certificate]) -> Vec<Flaw> {
    judged_at(NOW + SignedDuration::from_hours(1), chain, asked, trusted)
}

fn judged_at(
    now: Timestamp,
    chain: &[&Certificate],
    asked: Option<&str>,
    trusted: &[&Certificate],
) -> Vec<Flaw> {
    let ders: Vec<_> = chain.iter().map(|certificate| certificate.der()).collect();
    let surveys: Vec<_> = ders.iter().map(|der| Survey::of(der).expect("readable")).collect();
    let anchors = Anchors::new(trusted.iter().copied().cloned());
    flaws(&ders, &surveys, asked, &anchors, now)
}

#[test]
fn what_would_never_be_issued_here_is_read_all_the_same() {
    let old = Survey::of(&der(OLD)).expect("readable");
    assert!(Certificate::from_der(&der(OLD)).is_err());
    assert_eq!((old.key.as_str(), old.key_bits), ("rsa1024", 1024));
    assert_eq!((old.signature.as_str(), old.serial.as_str()), ("rsa-sha1", "fb"));
    assert_eq!((old.names, old.is_ca, old.self_issued), (vec!["v1.example".into()], false, true));
    let odd = Survey::of(&der(ODD)).expect("readable");
    assert_eq!((odd.key.as_str(), odd.key_bits), ("p521", 521));
    assert_eq!(odd.signature, "ecdsa-sha256");
    assert_eq!(odd.names, ["_x.p521.example", "*.p521.example", "10.0.0.1", "spiffe://a/b"]);
    assert_eq!(odd.called(), "_x.p521.example");
    assert!(odd.is_ca && !odd.is_post_quantum());
}

#[test]
fn what_is_no_certificate_says_so() {
    for garbage in [&b""[..], b"0", b"hello", &der(OLD)[..200], &vec![0x30; 70_000]] {
        let error = Survey::of(garbage).expect_err("garbage").to_string();
        assert!(error.starts_with("no certificate"), "{error}");
    }
}

#[test]
fn a_good_chain_has_no_flaw() {
    let bench = Bench::shared();
    let (issuing, root) = (bench.issuing.certificate(), bench.root.certificate());
    let names = ids(&["a.example.com", "*.b.example.com", "10.0.0.1"]);
    let leaf = bench.issue(&Profile::tls_server(), bench.leaf_key(), &names);
    for asked in ["a.example.com", "A.Example.Com.", "x.b.example.com", "10.0.0.1"] {
        assert_eq!(judged(&[&leaf, issuing], Some(asked), &[root]), [], "{asked}");
    }
    assert_eq!(judged(&[&leaf, issuing, root], None, &[root]), []);
    // Trusting the intermediate is enough.
    assert_eq!(judged(&[&leaf], None, &[issuing]), []);
}

#[test]
fn each_flaw_is_named() {
    let bench = Bench::shared();
    let (issuing, root) = (bench.issuing.certificate(), bench.root.certificate());
    let leaf = bench.issue(&Profile::tls_server(), bench.leaf_key(), &[id("a.example.com")]);
    for asked in ["b.example.com", "x.a.example.com", "example.com", "10.0.0.1"] {
        assert_eq!(judged(&[&leaf, issuing], Some(asked), &[root]), [Flaw::WrongName], "{asked}");
    }
    assert_eq!(judged(&[&leaf], None, &[root]), [Flaw::IncompleteChain]);
    assert_eq!(judged(&[&leaf, root], None, &[root]), [Flaw::BrokenChain]);
    assert_eq!(judged(&[&leaf, issuing, root], None, &[]), [Flaw::UntrustedRoot]);
    assert_eq!(judged(&[root], None, &[]), [Flaw::SelfSigned]);
    let after = leaf.not_after() + SignedDuration::from_secs(1);
    assert_eq!(judged_at(after, &[&leaf, issuing], None, &[root]), [Flaw::Expired]);
    assert_eq!(judged_at(day(-9), &[&leaf, issuing], None, &[root]), [Flaw::NotYetValid]);
    let over = judged_at(day(365 * 6), &[&leaf, issuing], None, &[root]);
    assert_eq!(over, [Flaw::Expired, Flaw::ChainExpired]);
}

#[test]
fn a_chain_by_another_key_of_the_same_name_is_broken() {
    let (bench, other) = (Bench::shared(), Bench::p256());
    let leaf = bench.issue(&Profile::tls_server(), bench.leaf_key(), &[id("a.example.com")]);
    let chain = [&leaf, other.issuing.certificate()];
    assert_eq!(judged(&chain, None, &[other.root.certificate()]), [Flaw::BrokenChain]);
}

#[test]
fn weak_keys_and_signatures_are_told() {
    let survey = Survey::of(&der(OLD)).expect("readable");
    let now = survey.not_before;
    let found = flaws(&[&der(OLD)], std::slice::from_ref(&survey), None, &Anchors::default(), now);
    // Its own signature on itself is trusted by nobody, so that SHA-1 does no harm.
    assert_eq!(found, [Flaw::WeakKey]);
    let signed = Survey { self_issued: false, ..survey };
    let found = flaws(&[&der(OLD)], &[signed], None, &Anchors::default(), now);
    assert_eq!(found, [Flaw::WeakKey, Flaw::WeakSignature]);
}

#[test]
fn keys_are_called_as_declarations_call_them() {
    for algorithm in bench::ALGORITHMS {
        let bench = Bench::shared();
        let names = [id("a.example.com")];
        let leaf = bench.issue(&Profile::tls_server(), key(algorithm).public_key(), &names);
        let survey = Survey::of(leaf.der()).expect("readable");
        assert_eq!(survey.key.parse::<KeyAlgorithm>(), Ok(algorithm));
        assert_eq!(survey.serial, leaf.serial().to_string());
    }
}

#[test]
fn algorithms_are_as_strong_as_they_are() {
    for (strong, names) in [
        (Strength::PostQuantum, &["mldsa65", "ML-DSA-44", "slhdsa-sha2-128s"][..]),
        (Strength::Classical, &["rsa2048", "rsa-sha256", "p256", "ecdsa-sha384", "EdDSA", "PS256"]),
        (Strength::Weak, &["rsa1024", "rsa-sha1", "ecdsa-sha1", "dsa", "dsa-sha256", "p192"]),
        (Strength::Unknown, &["1.2.3", ""]),
    ] {
        for name in names {
            assert_eq!(strength(name), strong, "{name}");
        }
    }
}

#[test]
fn a_stranger_cannot_write_to_the_terminal_of_who_lists_certificates() {
    let mut strange = der(OLD);
    let from = b"v1.example";
    while let Some(at) = strange.windows(from.len()).position(|part| part == from) {
        strange[at..at + from.len()].copy_from_slice(b"\x1b[2Jexampl");
    }
    let survey = Survey::of(&strange).expect("readable");
    let shown = format!("{}{}{}", survey.subject, survey.issuer, survey.names[0]);
    assert!(shown.contains("exampl") && !shown.contains(char::is_control), "{shown:?}");
}
