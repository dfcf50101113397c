//! Sets as they are published and as strangers serve them.

use data_encoding::BASE64;
use jwks::discovery::{openid_configuration, server_metadata};
use jwks::set::{BadSet, Bundle, Profile, Published, Served};
use jwks::{Algorithm, Jwk, Kid, PrivateKey};
use serde_json::{Value, json};

const RSA_7638: &str = r#"{"kty":"RSA","e":"AQAB","alg":"RS256","kid":"2011-04-29",
    "n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}"#;
const ED25519_8037: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn jwk(algorithm: Algorithm) -> Jwk {
    let key = PrivateKey::generate(algorithm, 2048).expect("a key");
    Jwk::new(key.public_key().clone(), algorithm, None).expect("a JWK")
}

#[test]
fn thumbprints_are_those_of_the_rfcs() {
    for (text, thumbprint) in [
        (RSA_7638, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
        (ED25519_8037, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
    ] {
        assert_eq!(Jwk::parse(text).expect("a JWK").key.thumbprint(), thumbprint);
    }
    // RFC 9964's ML-DSA-44 key is made from a seed of zeros.
    let key = PrivateKey::from_secret(Algorithm::MlDsa44, &[0; 32]).expect("a key");
    assert_eq!(key.public_key().thumbprint(), "T4xl70S7MT6Zeq6r9V9fPJGVn76wfnXJ21-gyo0Gu6o");
}

#[test]
fn the_rfc_8037_signature_verifies_under_both_names() {
    let key = Jwk::parse(ED25519_8037).expect("a JWK").key;
    let text =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let signature = data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).expect("base64url");
    let input = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    for algorithm in Algorithm::ALL {
        let same = matches!(algorithm, Algorithm::EdDsa | Algorithm::Ed25519);
        assert_eq!(key.verifies(algorithm, input, &signature), same, "{algorithm}");
    }
}

#[test]
fn the_same_keys_give_the_same_bytes_with_members_in_order() {
    let key = Jwk::parse(ED25519_8037).expect("a JWK").key;
    let jwk = Jwk::new(key, Algorithm::EdDsa, Some("one".parse().expect("a kid"))).expect("a JWK");
    let set = Published::new(std::slice::from_ref(&jwk), Profile::Classical).expect("a set");
    assert_eq!(
        String::from_utf8_lossy(&set.body),
        r#"{"keys":[{"kty":"OKP","use":"sig","alg":"EdDSA","kid":"one","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#
    );
    assert_eq!(set, Published::new(std::slice::from_ref(&jwk), Profile::Classical).expect("a set"));
    assert!(set.etag.starts_with('"') && set.etag.ends_with('"') && set.etag.len() == 45);
    let empty = Published::new(&[], Profile::Classical).expect("a set");
    assert_ne!(empty.etag, set.etag);
    assert_eq!(Jwk::parse(&jwk.to_string()), Ok(jwk), "what is stored is read back");
}

#[test]
fn a_bundle_has_its_sequence_and_its_own_use() {
    let bundle = Bundle { sequence: 7, refresh_hint: 300 };
    let set = bundle.publish(&[jwk(Algorithm::Es256)], Profile::Classical).expect("a bundle");
    let body: Value = serde_json::from_slice(&set.body).expect("JSON");
    assert_eq!(body["spiffe_sequence"], 7);
    assert_eq!(body["spiffe_refresh_hint"], 300);
    assert_eq!(body["keys"][0]["use"], "jwt-svid");
    assert!(body["keys"][0]["kid"].is_string());
}

#[test]
fn a_chain_is_published_with_its_thumbprint_and_read_back() {
    let mut jwk = jwk(Algorithm::Es256);
    // A certificate has the key's own octets somewhere.
    let leaf = [&[0x30, 0x59], jwk.key.spki().as_slice(), &[0]].concat();
    jwk.x5c = vec![leaf.clone(), vec![0x30, 1, 2]];
    let set = Published::new(std::slice::from_ref(&jwk), Profile::Classical).expect("a set");
    let body: Value = serde_json::from_slice(&set.body).expect("JSON");
    assert_eq!(body["keys"][0]["x5c"], json!([BASE64.encode(&leaf), "MAEC"]));
    assert_eq!(body["keys"][0]["x5t#S256"].as_str().map(str::len), Some(43));
    let bundle = Bundle { sequence: 1, refresh_hint: 300 };
    let set = bundle.publish(std::slice::from_ref(&jwk), Profile::Classical).expect("a bundle");
    assert!(!String::from_utf8_lossy(&set.body).contains("x5c"), "a bundle has none for JWT-SVIDs");

    jwk.x5c.swap(0, 1);
    let other = Published::new(std::slice::from_ref(&jwk), Profile::Classical);
    assert_eq!(other.map(drop), Err(BadSet::Certificate(jwk.kid.expect("a kid"))));
}

#[test]
fn the_lint_refuses_what_would_hurt_consumers() {
    let (one, two, quantum) =
        (jwk(Algorithm::Es256), jwk(Algorithm::Es384), jwk(Algorithm::MlDsa65));
    let publish = |keys: &[Jwk], profile| Published::new(keys, profile).map(|_| ());
    let kid = |jwk: &Jwk| jwk.kid.clone().expect("a kid");
    let twin = Jwk { kid: one.kid.clone(), ..two.clone() };
    assert_eq!(publish(&[one.clone(), two.clone()], Profile::Classical), Ok(()));
    assert_eq!(publish(std::slice::from_ref(&quantum), Profile::PostQuantum), Ok(()));
    assert_eq!(publish(&[one.clone(), twin], Profile::Classical), Err(BadSet::SameKid(kid(&one))));
    assert_eq!(
        publish(&[one.clone(), quantum.clone()], Profile::Classical),
        Err(BadSet::Profile(kid(&quantum)))
    );
    assert_eq!(
        publish(&[quantum, one.clone()], Profile::PostQuantum),
        Err(BadSet::Profile(kid(&one)))
    );
    let unnamed = Jwk { kid: None, ..one.clone() };
    assert_eq!(publish(&[unnamed], Profile::Classical), Err(BadSet::Unnamed));
    let confused = Jwk { alg: Some(Algorithm::Rs256), ..one };
    assert!(publish(&[confused], Profile::Classical).is_err(), "an EC key for RS256");
    let many: Vec<Jwk> =
        (0..101).map(|n| Jwk { kid: format!("{n}").parse().ok(), ..two.clone() }).collect();
    assert_eq!(publish(&many, Profile::Classical), Err(BadSet::TooMany(101)));
}

#[test]
fn a_key_that_is_not_understood_harms_no_other() {
    let good: Value = serde_json::from_str(ED25519_8037).expect("JSON");
    let strange = [
        json!({"kty": "AKP", "pub": "AA"}),
        json!({"kty": "AKP", "alg": "ML-DSA-99", "pub": "AA"}),
        json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}),
        json!({"kty": "OKP", "crv": "Ed448", "x": "AA"}),
        json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}),
        json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}),
        json!({"kty": "EC", "crv": "P-256", "x": "A".repeat(43), "y": "A".repeat(43)}),
        json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}),
        json!({"kty": "RSA", "n": 1, "e": null}),
        json!({"kty": "future", "kid": 5}),
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo="}),
        json!({}),
        json!("key"),
        json!(null),
    ];
    for key in strange {
        let body = json!({"keys": [key, good]}).to_string();
        let served = Served::parse(body.as_bytes()).expect(&body);
        assert_eq!((served.keys.len(), served.ignored, served.leaked), (1, 1, None), "{body}");
    }
}

#[test]
fn a_private_member_is_noticed_and_the_key_not_taken() {
    for member in ["d", "k", "priv", "p", "oth"] {
        let mut key: Value = serde_json::from_str(ED25519_8037).expect("JSON");
        key[member] = "AA".into();
        key["kid"] = "spilt".into();
        let served = Served::parse(json!({"keys": [key]}).to_string().as_bytes()).expect("a set");
        assert_eq!((served.keys.len(), served.leaked.as_deref()), (0, Some("spilt")), "{member}");
    }
}

#[test]
fn what_is_no_set_or_too_large_is_refused() {
    let deep = format!("{{\"keys\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    let large = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(256 * 1024));
    let many = json!({"keys": vec![json!({"kty": "x"}); 101]}).to_string();
    for body in [
        "",
        "[]",
        "{}",
        "null",
        r#"{"keys":{}}"#,
        r#"{"keys":[]"#,
        r#"{"keys":[]} x"#,
        r#"{"keys":[],"keys":[]}"#,
        r#"{"keys":[{"kty":"RSA","kty":"EC"}]}"#,
        "\u{feff}{}",
        "<html>",
        &deep,
        &large,
        &many,
    ] {
        assert!(Served::parse(body.as_bytes()).is_err(), "{}", &body[..body.len().min(60)]);
    }
    assert_eq!(Served::parse(br#"{"keys":[]}"#).map(|set| set.keys.len()), Ok(0));
}

#[test]
fn an_edge_serves_a_key_only_under_its_name_and_algorithm() {
    let ours = jwk(Algorithm::Ed25519);
    let serves = |served: &Jwk| {
        let set = Served { keys: vec![served.clone()], ignored: 0, leaked: None };
        set.serves(&ours)
    };
    assert!(serves(&ours));
    assert!(serves(&Jwk { alg: None, ..ours.clone() }), "it leaves alg out");
    assert!(!serves(&Jwk { alg: Some(Algorithm::EdDsa), ..ours.clone() }), "the other name");
    assert!(!serves(&Jwk { kid: None, ..ours.clone() }));
    assert!(!serves(&Jwk { kid: "other".parse().ok(), ..ours.clone() }));
    assert!(!serves(&Jwk { key: jwk(Algorithm::Ed25519).key, ..ours.clone() }), "another key");
}

#[test]
fn a_kid_is_short_and_printable() {
    for bad in ["", "a\nb", "\u{0}", &"k".repeat(257)] {
        assert!(bad.parse::<Kid>().is_err(), "{bad:?}");
    }
    assert_eq!("key 1/ü".parse::<Kid>().expect("a kid").as_str(), "key 1/ü");
}

#[test]
fn discovery_says_who_signs_and_where_the_set_is() {
    let (issuer, uri) = ("https://a.example", "https://a.example/jwks.json");
    let bytes = openid_configuration(issuer, uri, &[Algorithm::Es256, Algorithm::EdDsa]);
    let document: Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(
        document,
        json!({
            "issuer": issuer, "jwks_uri": uri, "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256", "EdDSA"],
        })
    );
    let document: Value = serde_json::from_slice(&server_metadata(issuer, uri)).expect("JSON");
    assert_eq!(document["issuer"], issuer);
    assert_eq!(document["response_types_supported"], json!([]));
}

#[test]
fn a_private_key_prints_nothing_of_itself() {
    let key = PrivateKey::from_secret(Algorithm::MlDsa44, &[7; 32]).expect("a key");
    assert!(format!("{key:?}").starts_with("PrivateKey(ML-DSA-44 "));
    assert_eq!(format!("{:?}", key.secret().expect("its octets")), "Secret");
    assert!(PrivateKey::from_secret(Algorithm::MlDsa44, &[7; 31]).is_err());
    assert!(PrivateKey::from_secret(Algorithm::Es256, b"nonsense").is_err());
    assert!(PrivateKey::generate(Algorithm::Rs256, 1024).is_err());
    let p256 = PrivateKey::generate(Algorithm::Es256, 0).expect("a key").secret().expect("octets");
    assert!(PrivateKey::from_secret(Algorithm::Es384, p256.expose()).is_err(), "another curve");
}
