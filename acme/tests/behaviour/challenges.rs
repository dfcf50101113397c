//! What clients show for their challenges, judged (RFC 8555 §8, RFC 8737, RFC 8738).

use acme::challenge::{
    ACME_TLS_ALPN, KeyAuthorization, Persist, Shown, dns_value, hashed_account_uris, http01_limit,
    http01_path, judge_dns_persist01, judge_http01, judge_tls_alpn01, judge_txt, persist_name,
    token,
};
use acme::{Algorithm, Jwk, ProblemType};
use jiff::Timestamp;

use crate::signer::Signer;

/// RFC 8555 §8.1 and §8.3 show this token; the key is RFC 8037's.
const TOKEN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";
const KEY: &str =
    r#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn expected() -> KeyAuthorization {
    KeyAuthorization::new(TOKEN, &Jwk::parse(KEY).expect("key"))
}

#[test]
fn a_key_authorization_is_token_and_thumbprint() {
    let text = format!("{TOKEN}.kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_eq!(expected().as_str(), text);
    assert_eq!(http01_path(TOKEN), format!("/.well-known/acme-challenge/{TOKEN}"));
    assert_eq!(token(&[0xff; 32]).len(), 43);
    assert_eq!(dns_value(&expected()).len(), 43);
}

#[test]
fn http_serves_the_key_authorization_and_nothing_else() {
    let right = expected().as_str().to_owned();
    for body in [right.clone(), format!("{right}\n"), format!("{right} \r\n\t")] {
        assert_eq!(judge_http01(&expected(), 200, body.as_bytes()), Ok(()));
    }
    for body in [String::new(), format!(" {right}"), format!("{right}x"), right[1..].into()] {
        let problem = judge_http01(&expected(), 200, body.as_bytes()).expect_err("wrong");
        assert_eq!(problem.kind, ProblemType::IncorrectResponse);
    }
    assert!(judge_http01(&expected(), 404, right.as_bytes()).is_err());
    let long = format!("{right}{}", " ".repeat(http01_limit(&expected()) - right.len()));
    let detail = judge_http01(&expected(), 200, long.as_bytes()).expect_err("a long body").detail;
    assert!(detail.contains("longer than"), "{detail}");
}

#[test]
fn dns_shows_the_digest() {
    assert_eq!(judge_txt(&expected(), "name", &[dns_value(&expected())]), Ok(()));
    assert!(judge_txt(&expected(), "name", &[expected().as_str()]).is_err());
}

#[test]
fn a_persistent_record_names_the_hashed_account() {
    let name = ca::DnsName::parse("*.example.com").expect("test name");
    let key = Signer::new(Algorithm::Es256).public();
    let uris = hashed_account_uris("https://ca.example/h/", &name, &key, "https://ca.example/a/1");
    assert_ne!(uris[0], uris[1]);
    let place = persist_name(&name);
    assert_eq!(place, "_validation-persist.example.com");
    let issuers = ["ca.example".to_owned()];
    let expected = Persist { issuer_domain_names: &issuers, account_uris: &uris, wildcard: true };
    let now = Timestamp::from_second(0).expect("in range");
    for uri in &uris {
        let record = format!("ca.example; accounturi={uri}; policy=wildcard");
        assert_eq!(judge_dns_persist01(&expected, &place, &[record], now), Ok(()));
    }
    let plain = ["ca.example; accounturi=https://ca.example/a/1; policy=wildcard"];
    let problem = judge_dns_persist01(&expected, &place, &plain, now).expect_err("-01");
    assert_eq!(problem.kind, ProblemType::Unauthorized);
}

/// DER of a certificate with these subjectAltNames (tag, octets) and acmeIdentifier extensions
/// (critical, value). Its signature is nonsense; whether
/// it is self-signed is said beside it.
fn certificate(names: &[(u8, &[u8])], identifiers: &[(bool, &[u8])]) -> Vec<u8> {
    let oid = |octets: &[u8]| tlv(0x06, octets);
    let ecdsa = tlv(0x30, &oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]));
    let validity = tlv(0x30, &tlv(0x17, b"260101000000Z").repeat(2));
    let curve =
        [oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]), oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7])];
    let key = tlv(0x30, &[tlv(0x30, &curve.concat()), tlv(0x03, &[0, 4, 1, 1])].concat());
    let mut extensions = Vec::new();
    if !names.is_empty() {
        let names: Vec<u8> = names.iter().flat_map(|(tag, octets)| tlv(*tag, octets)).collect();
        let value = tlv(0x04, &tlv(0x30, &names));
        extensions.extend(tlv(0x30, &[oid(&[0x55, 0x1d, 0x11]), value].concat()));
    }
    for (critical, value) in identifiers {
        let flag = if *critical { tlv(0x01, &[0xff]) } else { Vec::new() };
        let id = oid(&[0x2b, 6, 1, 5, 5, 7, 1, 0x1f]);
        extensions.extend(tlv(0x30, &[id, flag, tlv(0x04, value)].concat()));
    }
    let tbs = tlv(
        0x30,
        &[
            tlv(0xa0, &tlv(0x02, &[2])),
            tlv(0x02, &[1]),
            ecdsa.clone(),
            tlv(0x30, &[]),
            validity,
            tlv(0x30, &[]),
            key,
            tlv(0xa3, &tlv(0x30, &extensions)),
        ]
        .concat(),
    );
    tlv(0x30, &[tbs, ecdsa, tlv(0x03, &[0, 1])].concat())
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("short").to_be_bytes();
    match length {
        [0, short @ 0..128] => [&[tag, short], content].concat(),
        [0, low] => [&[tag, 0x81, low], content].concat(),
        [high, low] => [&[tag, 0x82, high, low][..], content].concat(),
    }
}

const DNS: u8 = 0x82;
const IP: u8 = 0x87;

fn handshake(certificate: Option<&[u8]>) -> Shown<'_> {
    Shown { protocol: Some(ACME_TLS_ALPN), certificate, is_self_signed: true }
}

fn shown(name: &str, certificate: &[u8]) -> Result<(), String> {
    let identifier = ca::Identifier::parse(name).expect("test name");
    judge_tls_alpn01(&expected(), &identifier, &handshake(Some(certificate)))
        .map_err(|problem| problem.detail)
}

#[test]
fn tls_shows_the_digest_for_the_identifier() {
    let digest = tlv(0x04, &expected().digest());
    let good = &[(true, digest.as_slice())][..];
    assert_eq!(shown("a.example", &certificate(&[(DNS, b"a.example")], good)), Ok(()));
    assert_eq!(shown("a.example", &certificate(&[(DNS, b"A.Example")], good)), Ok(()));
    assert_eq!(shown("192.0.2.1", &certificate(&[(IP, &[192, 0, 2, 1])], good)), Ok(()));
    let six = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    assert_eq!(shown("2001:db8::1", &certificate(&[(IP, &six)], good)), Ok(()));
}

#[test]
fn each_rule_of_the_shown_certificate_counts() {
    let digest = tlv(0x04, &expected().digest());
    let other = tlv(0x04, &[7; 32]);
    let good = (true, digest.as_slice());
    let own = (DNS, b"a.example".as_slice());
    for (names, identifiers, why) in [
        (&[][..], &[good][..], "no subjectAltName"),
        (&[own, (DNS, b"b.example")], &[good], "2 names"),
        (&[(DNS, b"b.example")], &[good], "b.example and not a.example"),
        (&[(DNS, b"*.example")], &[good], "and not a.example"),
        (&[(IP, &[192, 0, 2, 1])], &[good], "192.0.2.1 and not a.example"),
        (&[(0x81, b"a@a.example")], &[good], "neither a DNS name nor an address"),
        (&[own], &[], "no acmeIdentifier"),
        (&[own], &[good, good], "more than one acmeIdentifier"),
        (&[own], &[(false, &digest)], "not critical"),
        (&[own], &[(true, &other)], "SHA-256"),
        (&[own], &[(true, &digest[2..])], "not an OCTET STRING"),
        (&[own], &[(true, &[])], "not an OCTET STRING"),
    ] {
        let detail = shown("a.example", &certificate(names, identifiers)).expect_err(why);
        assert!(detail.contains(why), "{detail}");
    }
    let der = certificate(&[own], &[good]);
    assert!(shown("192.0.2.1", &der).is_err());
    assert!(shown("a.example", &der[..der.len() - 1]).is_err());
    let identifier = ca::Identifier::parse("a.example").expect("test name");
    for protocol in [None, Some(b"h2".as_slice()), Some(b"")] {
        let shown = Shown { protocol, ..handshake(Some(&der)) };
        let problem = judge_tls_alpn01(&expected(), &identifier, &shown).expect_err("protocol");
        assert_eq!(problem.kind, ProblemType::Tls);
    }
    let none = judge_tls_alpn01(&expected(), &identifier, &handshake(None));
    assert_eq!(none.expect_err("none").kind, ProblemType::Tls);
    let issued = Shown { is_self_signed: false, ..handshake(Some(&der)) };
    let problem = judge_tls_alpn01(&expected(), &identifier, &issued).expect_err("issued");
    assert_eq!(problem.kind, ProblemType::IncorrectResponse);
    assert!(problem.detail.contains("not self-signed"), "{}", problem.detail);
}
