//! Signed requests: which are taken apart, which keys and signatures are accepted, and what is said
//! of the others (RFC 8555 §6.2 to §6.5).

use acme::jws::MAX_BODY;
use acme::{Algorithm, Jwk, Jws, KeyReference, Problem, ProblemType};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use x509_cert::der::{Decode, Encode};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use crate::signer::{ACCOUNT, Signer, URL, b64};

fn parse(jws: &Value) -> Result<Jws, Problem> {
    Jws::parse(jws.to_string().as_bytes())
}

fn refused(jws: &Value) -> Problem {
    parse(jws).expect_err("refused")
}

#[test]
fn every_algorithm_signs_requests() {
    for algorithm in Algorithm::SIGNATURES {
        let signer = Signer::new(*algorithm);
        let jws = parse(&signer.by_jwk(URL, b"{}")).expect("well-formed");
        assert_eq!(jws.header.algorithm, *algorithm);
        assert_eq!(jws.header.key, KeyReference::Jwk(signer.public()));
        assert_eq!(jws.payload, b"{}");
        assert_eq!(jws.verify(&signer.public()), Ok(()), "{algorithm}");

        let jws = parse(&signer.by_kid(URL, b"")).expect("well-formed");
        assert_eq!(jws.header.key, KeyReference::Kid(ACCOUNT.into()));
        assert_eq!(jws.header.required_nonce(), Ok("bm9uY2U"));
        assert!(jws.payload.is_empty());
        assert_eq!(jws.verify(&signer.public()), Ok(()), "{algorithm}");
    }
}

#[test]
fn another_key_does_not_verify() {
    let (one, other) = (Signer::new(Algorithm::Es256), Signer::new(Algorithm::Es256));
    let jws = parse(&one.by_kid(URL, b"")).expect("well-formed");
    assert_eq!(jws.verify(&other.public()).expect_err("forged").kind, ProblemType::Malformed);
}

#[test]
fn nothing_signed_can_be_changed() {
    let signer = Signer::new(Algorithm::Es256);
    let good = signer.by_kid(URL, b"{\"a\":1}");
    for (member, value) in [
        ("payload", b64(b"{\"a\":2}")),
        ("payload", String::new()),
        ("signature", b64(&[0; 64])),
        ("signature", b64(&[0xff; 64])),
        ("signature", b64(b"short")),
        ("signature", String::new()),
        (
            "protected",
            b64(json!({"alg": "ES256", "kid": ACCOUNT, "url": "https://ca.example/else"})
                .to_string()
                .as_bytes()),
        ),
    ] {
        let mut changed = good.clone();
        changed[member] = value.into();
        assert!(parse(&changed).expect("well-formed").verify(&signer.public()).is_err());
    }
}

#[test]
fn the_algorithm_must_suit_the_key() {
    let signer = Signer::new(Algorithm::Es256);
    let header = json!({"alg": "ES384", "jwk": signer.jwk, "nonce": "AA", "url": URL});
    let jws = parse(&signer.sign(&header, b"")).expect("well-formed");
    let problem = jws.verify(&signer.public()).expect_err("wrong algorithm");
    assert_eq!(problem.kind, ProblemType::BadSignatureAlgorithm);
    assert_eq!(problem.algorithms, ["ES256"]);
}

#[test]
fn algorithms_not_accepted_are_refused_with_those_that_are() {
    let signer = Signer::new(Algorithm::Es256);
    for algorithm in ["none", "None", "", "HS256", "HS512", "RS1", "RS512", "ES256K", "es256"] {
        let header = json!({"alg": algorithm, "jwk": signer.jwk, "nonce": "AA", "url": URL});
        let problem = refused(&signer.sign(&header, b""));
        assert_eq!(problem.kind, ProblemType::BadSignatureAlgorithm, "{algorithm}");
        assert_eq!(problem.algorithms, ["ES256", "ES384", "ES512", "EdDSA", "RS256", "PS256"]);
    }
}

#[test]
fn a_header_that_breaks_the_rules_is_malformed() {
    let signer = Signer::new(Algorithm::Es256);
    let good = json!({"alg": "ES256", "jwk": signer.jwk, "nonce": "AA", "url": URL});
    assert!(parse(&signer.sign(&good, b"")).is_ok());
    for (member, value) in [
        ("alg", Value::Null),
        ("alg", json!(1)),
        ("url", Value::Null),
        ("url", json!([URL])),
        ("kid", json!(ACCOUNT)),
        ("jwk", Value::Null),
        ("jwk", json!("text")),
        ("nonce", json!("")),
        ("nonce", json!("AA==")),
        ("nonce", json!("A")),
        ("nonce", json!("nonce!")),
        ("nonce", json!(1)),
        ("b64", json!(false)),
        ("crit", json!(["b64"])),
        ("crit", json!([])),
        ("crit", json!(["exp"])),
    ] {
        let mut header = good.clone();
        header[member] = value.clone();
        let problem = refused(&signer.sign(&header, b""));
        assert_eq!(problem.kind, ProblemType::Malformed, "{member} {value}");
    }
    let mut header = good;
    header["typ"] = json!("unknown members are ignored");
    assert!(parse(&signer.sign(&header, b"")).is_ok());
}

#[test]
fn a_request_without_nonce_is_for_the_caller_to_refuse() {
    let signer = Signer::new(Algorithm::Es256);
    let header = json!({"alg": "ES256", "jwk": signer.jwk, "url": URL});
    let jws = parse(&signer.sign(&header, b"")).expect("well-formed");
    assert_eq!(jws.header.required_nonce().expect_err("none").kind, ProblemType::BadNonce);
}

#[test]
fn the_url_must_be_the_one_it_was_sent_to() {
    let signer = Signer::new(Algorithm::Es256);
    let jws = parse(&signer.by_kid(URL, b"")).expect("well-formed");
    assert_eq!(jws.header.check_url(URL), Ok(()));
    for other in ["https://ca.example/acme/new-order", "", "https://ca.example/acme/new-account/"] {
        let problem = jws.header.check_url(other).expect_err("elsewhere");
        assert_eq!((problem.kind, problem.status), (ProblemType::Unauthorized, 403));
    }
}

#[test]
fn only_the_flattened_serialization_is_read() {
    let good = Signer::new(Algorithm::Es256).by_kid(URL, b"");
    let mut general = good.clone();
    general["signatures"] = json!([{"protected": good["protected"], "signature": "AA"}]);
    let mut unprotected = good.clone();
    unprotected["header"] = json!({"kid": "x"});
    let mut padded = good.clone();
    padded["payload"] = json!("AA==");
    let mut missing = good.clone();
    missing.as_object_mut().expect("object").remove("signature");
    for bad in [&general, &unprotected, &padded, &missing, &json!([good]), &json!("a.b.c")] {
        let problem = refused(bad);
        assert_eq!((problem.kind, problem.status), (ProblemType::Malformed, 400), "{bad}");
    }
    let compact = Jws::parse(b"eyJhbGciOiJFUzI1NiJ9.e30.AA");
    assert_eq!(compact.expect_err("compact").kind, ProblemType::Malformed);
}

#[test]
fn a_repeated_member_is_refused_wherever_it_stands() {
    let signer = Signer::new(Algorithm::Es256);
    let good = signer.by_kid(URL, b"").to_string();
    let twice = good.replacen('{', r#"{"payload":"AA","#, 1);
    assert!(Jws::parse(twice.as_bytes()).expect_err("twice").detail.contains("twice"));
    let header = format!(r#"{{"alg":"ES256","alg":"none","kid":"{ACCOUNT}","url":"{URL}"}}"#);
    let body = json!({"protected": b64(header.as_bytes()), "payload": "", "signature": "AA"});
    assert!(refused(&body).detail.contains("twice"));
}

#[test]
fn a_request_that_is_too_long_is_not_even_read() {
    let problem = Jws::parse(&vec![b' '; MAX_BODY + 1]).expect_err("too long");
    assert_eq!((problem.kind, problem.status), (ProblemType::Malformed, 413));
}

#[test]
fn unfit_keys_are_refused() {
    let ec = Signer::new(Algorithm::Es256).jwk;
    let rsa = Signer::new(Algorithm::Rs256).jwk;
    let okp = Signer::new(Algorithm::EdDsa).jwk;
    let modulus = |octets: usize| {
        let mut n = vec![0xff; octets];
        n[0] = 0x80;
        b64(&n)
    };
    for (key, member, value) in [
        (&ec, "d", json!("AA")),
        (&rsa, "p", json!("AA")),
        (&rsa, "oth", json!([])),
        (&ec, "use", json!("enc")),
        (&ec, "kty", json!("oct")),
        (&ec, "kty", json!("ec")),
        (&ec, "kty", Value::Null),
        (&ec, "crv", json!("P-384")),
        (&ec, "crv", json!("secp256k1")),
        (&ec, "x", ec["y"].clone()),
        (&ec, "x", json!(b64(&[0; 32]))),
        (&ec, "y", json!(b64(&[0xff; 32]))),
        (&ec, "y", json!(b64(&[1; 31]))),
        (&ec, "y", json!("")),
        (&ec, "y", json!(5)),
        (&okp, "crv", json!("Ed448")),
        (&okp, "crv", json!("X25519")),
        (&okp, "x", json!(b64(&[9; 31]))),
        (&okp, "x", json!(b64(&[0xff; 32]))),
        (&rsa, "e", json!(b64(&[3]))),
        (&rsa, "e", json!(b64(&[1, 0, 0]))),
        (&rsa, "e", json!(b64(&[0, 1, 0, 1]))),
        (&rsa, "e", json!(b64(&[1, 0, 0, 0, 1]))),
        (&rsa, "e", json!("")),
        (&rsa, "n", json!(modulus(255))),
        (&rsa, "n", json!(modulus(513))),
        (&rsa, "n", json!(format!("{}A", rsa["n"].as_str().expect("text")))),
    ] {
        let mut bad = key.clone();
        bad[member] = value.clone();
        let problem = Jwk::parse(&bad.to_string()).expect_err(member);
        assert_eq!(problem.kind, ProblemType::BadPublicKey, "{member} {value}");
    }
    assert_eq!(Jwk::parse("[]").expect_err("array").kind, ProblemType::Malformed);
    let mut large = rsa;
    large["n"] = json!(modulus(512));
    assert!(Jwk::parse(&large.to_string()).is_ok());
}

/// 33 and 31 octets make a point of the right length; each coordinate must be whole by itself.
#[test]
fn coordinates_are_not_borrowed_from_each_other() {
    let mut key = Signer::new(Algorithm::Es256).jwk;
    let octets = |member: &Value| {
        BASE64URL_NOPAD.decode(member.as_str().expect("text").as_bytes()).expect("base64url")
    };
    let point = [octets(&key["x"]), octets(&key["y"])].concat();
    key["x"] = json!(b64(&point[..33]));
    key["y"] = json!(b64(&point[33..]));
    assert_eq!(Jwk::parse(&key.to_string()).expect_err("shifted").kind, ProblemType::BadPublicKey);
}

#[test]
fn a_key_is_known_by_its_subject_public_key_info() {
    for algorithm in Algorithm::SIGNATURES {
        let key = Signer::new(*algorithm).public();
        let der = key.subject_public_key_info().expect("encodes");
        let spki = SubjectPublicKeyInfoOwned::from_der(&der).expect("reads back");
        assert_eq!(spki.to_der().expect("encodes"), der, "{algorithm}");
    }
}
