//! Certificates as clients send them to revocation, or as they are found anywhere, and their parts where
//! no signature stands in the way. What is read must be what was given.
#![no_main]

use acme::challenge::{ACME_TLS_ALPN, KeyAuthorization, Shown, judge_tls_alpn01};
use ca::survey::{Anchors, Survey, flaws};
use ca::{Certificate, Intended, PublicKey, SignatureAlgorithm};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(certificate) = Certificate::from_der(data) {
        assert_eq!(certificate.der(), data);
        assert!(Survey::of(data).is_ok(), "what is strict is lenient too");
        let _ = (certificate.subject(), certificate.issuer(), certificate.is_self_issued());
        let _ = (certificate.not_before(), certificate.not_after(), certificate.is_ca());
        let _ = certificate.verify_issued_by(&certificate);
        for name in certificate.identifiers() {
            let _ = certificate.constraints().permits(name);
        }
        let again = Certificate::from_pem(&certificate.pem()).expect("its own PEM");
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].der(), data);
        let _ = Intended::parse(certificate.tbs());
    }
    if let Ok(survey) = Survey::of(data) {
        let _ = (survey.called(), survey.is_post_quantum());
        let (anchors, now) = (Anchors::default(), survey.not_before);
        let _ = flaws(&[data, data], &[survey.clone(), survey], Some("a.example"), &anchors, now);
    }
    let _ = Intended::parse(data);
    let _ = SignatureAlgorithm::from_identifier(data);
    if let Ok(key) = PublicKey::from_spki(data) {
        assert_eq!(key.spki(), data);
        let _ = ca::weak::check_numbers(&key);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        for certificate in Certificate::from_pem(text).into_iter().flatten() {
            assert!(Certificate::from_der(certificate.der()).is_ok());
        }
        let _ = ca::BlockedKeys::parse(text);
    }
    let key = acme::Jwk::parse(KEY).expect("a key");
    let expected = KeyAuthorization::new("token", &key);
    let name = ca::Identifier::parse("a.example").expect("a name");
    let (protocol, certificate) = (Some(ACME_TLS_ALPN), Some(data));
    let shown = Shown { protocol, certificate, is_self_signed: true };
    let judged = judge_tls_alpn01(&expected, &name, &shown);
    assert!(judged.is_err(), "nobody knows the digest by chance");
});

const KEY: &str =
    r#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
