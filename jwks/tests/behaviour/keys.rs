//! Keys of every algorithm: made, sealed, read back, signing, named by thumbprint.

use jwks::export::{self, NotProven, is_signed_by};
use jwks::set::{Profile, Published, Served};
use jwks::token::{Bounds, Signer};
use jwks::{Algorithm, Jwk, Kid, PrivateKey};
use serde_json::Value;

use crate::start;

#[test]
fn a_key_of_every_algorithm_signs_what_its_published_half_verifies() {
    for algorithm in Algorithm::ALL {
        let made = PrivateKey::generate(algorithm, 2048).expect("a key");
        let secret = made.secret().expect("its octets");
        let key = PrivateKey::from_secret(algorithm, secret.expose()).expect("the same key");
        assert_eq!(key.public_key(), made.public_key());
        let jwk = Jwk::new(key.public_key().clone(), algorithm, None).expect("a JWK");
        let profile =
            if algorithm.is_classical() { Profile::Classical } else { Profile::PostQuantum };
        let set = Published::new(std::slice::from_ref(&jwk), profile).expect("a set");
        let served = Served::parse(&set.body).expect("a set");
        assert!(served.serves(&jwk), "{algorithm}");
        let signature = key.sign(b"message").expect("a signature");
        assert!(served.keys[0].key.verifies(algorithm, b"message", &signature), "{algorithm}");
        assert!(!served.keys[0].key.verifies(algorithm, b"massage", &signature), "{algorithm}");
    }
}

#[test]
fn a_private_key_is_written_with_the_members_of_its_type_and_no_others() {
    for algorithm in Algorithm::ALL {
        let key = PrivateKey::generate(algorithm, 2048).expect("a key");
        let kid = Kid::of(key.public_key());
        let written = export::jwk(&key, &kid).expect("a JWK");
        let mut jwk: Value = serde_json::from_slice(written.expose()).expect("JSON");
        assert_eq!(jwk["kid"], kid.as_str());
        let members = jwk.as_object_mut().expect("an object");
        let private: &[&str] = match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => &["d", "p", "q", "dp", "dq", "qi"],
            Algorithm::MlDsa44 | Algorithm::MlDsa65 | Algorithm::MlDsa87 => &["priv"],
            _ => &["d"],
        };
        let secret = key.secret().expect("its octets");
        for name in private {
            let text = members.remove(*name).expect(name);
            let octets =
                data_encoding::BASE64URL_NOPAD.decode(text.as_str().expect("text").as_bytes());
            let octets = octets.expect("base64url");
            let mut places = secret.expose().windows(octets.len());
            assert!(places.any(|place| place == octets), "{algorithm} {name}");
        }
        let public = Jwk::parse(&jwk.to_string()).expect("nothing private is left");
        assert_eq!(public.key, *key.public_key());
        let pem = export::pem(&key).expect("PEM");
        let pem = std::str::from_utf8(pem.expose()).expect("text");
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert!(pem.lines().all(|line| line.len() <= 64), "{algorithm}");
    }
}

#[test]
fn only_a_token_by_the_key_itself_proves_that_it_is_used() {
    let made = |algorithm| PrivateKey::generate(algorithm, 2048).expect("a key");
    let (key, other) = (made(Algorithm::Es256), made(Algorithm::Es256));
    let kid: Kid = "one".parse().expect("a kid");
    let jwk =
        Jwk::new(key.public_key().clone(), Algorithm::Es256, Some(kid.clone())).expect("a JWK");
    let bounds = Bounds {
        issuer: "https://a.example".into(),
        longest: jiff::SignedDuration::from_hours(1),
        audiences: vec!["*".parse().expect("a pattern")],
        subjects: vec!["*".parse().expect("a pattern")],
        max_payload: Bounds::MAX_PAYLOAD,
    };
    let payload = bounds.claims(b"{}", "id", start()).expect("within bounds");
    let token = Signer::new(key, kid.clone()).jwt(&payload).expect("a token");
    assert_eq!(is_signed_by(&token, &jwk), Ok(()));
    let named: Kid = "two".parse().expect("a kid");
    let second = Signer::new(made(Algorithm::Es256), named.clone()).jwt(&payload).expect("a token");
    assert_eq!(is_signed_by(&second, &jwk), Err(NotProven::Other(named)));
    let forged = Signer::new(other, kid).jwt(&payload).expect("a token");
    assert_eq!(is_signed_by(&forged, &jwk), Err(NotProven::Signature));
    for text in ["", "a.b.c", "e30.e30.e30", &token[..20], &format!("{token}.x")] {
        assert!(is_signed_by(text, &jwk).is_err(), "{text}");
    }
}
