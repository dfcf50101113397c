//! What is signed for kube-apiserver and what is not, how its keys are written, and how it is counted in.

use data_encoding::BASE64URL_NOPAD;
use jiff::{SignedDuration, Timestamp};
use jwks::consumer::{Cache, UnknownKid};
use jwks::kubernetes::{BadClaims, CLOCK, count_in, knows, sign};
use jwks::token::{BadToken, Bounds};
use jwks::{Algorithm, Consumer, Kid, Policy, PrivateKey, Settings, Signer};
use serde_json::{Value, json};

#[test]
fn claims_are_signed_as_they_are_given() {
    let key = PrivateKey::generate(Algorithm::Es256, 2048).expect("a key");
    let public = key.public_key().clone();
    let signer = Signer::new(key, Kid::of(&public));
    // White space and order are kube-apiserver's own.
    let claims = claims(json!({}));
    let given = BASE64URL_NOPAD.encode(claims.replace(",", " , ").as_bytes());
    let payload = bounds().service_account(&given, now()).expect("within bounds");
    let signed = sign(&signer, &payload).expect("signed");
    let header = BASE64URL_NOPAD.decode(signed.header.as_bytes()).expect("base64url");
    let header: Value = serde_json::from_slice(&header).expect("JSON");
    let kid = signer.kid().as_str();
    assert_eq!(header, json!({ "alg": "ES256", "kid": kid, "typ": "JWT" }));
    let signature = BASE64URL_NOPAD.decode(signed.signature.as_bytes()).expect("base64url");
    let input = format!("{}.{given}", signed.header);
    assert!(public.verifies(Algorithm::Es256, input.as_bytes(), &signature));
}

#[test]
fn what_the_bounds_and_the_clock_do_not_allow_is_refused() {
    let judge = |more: Value| {
        let given = BASE64URL_NOPAD.encode(claims(more).as_bytes());
        bounds().service_account(&given, now()).err()
    };
    let at = now().as_second();
    assert_eq!(judge(json!({})), None);
    assert_eq!(judge(json!({ "iat": at + 60, "exp": at + 3660 })), None, "its clock is ahead");
    assert_eq!(judge(json!({ "iat": at - 600, "exp": at + 1 })), None, "or behind");
    assert!(matches!(judge(json!({ "iat": at + 61 })), Some(BadClaims::Ahead(_))));
    assert!(matches!(judge(json!({ "exp": at + 3601 })), Some(BadClaims::Lifetime { .. })));
    assert!(matches!(judge(json!({ "exp": i64::MAX })), Some(BadClaims::Lifetime { .. })));
    assert!(matches!(judge(json!({ "iat": i64::MAX })), Some(BadClaims::Ahead(_))));
    assert!(matches!(judge(json!({ "iat": at - 60, "exp": at })), Some(BadClaims::Past)));
    assert!(matches!(judge(json!({ "iss": "https://b" })), Some(BadClaims::Issuer { .. })));
    for (name, value) in [("sub", json!("system:node:a")), ("aud", json!(["other"]))] {
        let bad = judge(json!({ name: value }));
        assert!(matches!(bad, Some(BadClaims::Claims(BadToken::NotAllowed(..)))), "{bad:?}");
    }
    for (name, value) in [
        ("iat", Value::Null),
        ("exp", json!("soon")),
        ("exp", json!(1.5e9)),
        ("nbf", json!(-1)),
        ("iss", json!(7)),
        ("sub", Value::Null),
    ] {
        let bad = judge(json!({ name: value }));
        assert!(matches!(bad, Some(BadClaims::Claims(BadToken::Claim(..)))), "{name}: {bad:?}");
    }
    let long = judge(json!({ "more": "x".repeat(4096) }));
    assert!(matches!(long, Some(BadClaims::Claims(BadToken::TooLarge(..)))), "{long:?}");
    for text in ["e30=", "e3+", "e31", "\u{e9}"] {
        let bad = bounds().service_account(text, now());
        assert_eq!(bad, Err(BadClaims::Encoding), "{text}");
    }
}

#[test]
fn keys_are_written_as_others_read_them() {
    // RFC 8410 §10.1, RFC 7515 A.3 and what `openssl pkey -pubout` makes of it.
    let ec = jwks::Jwk::parse(
        r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
    );
    let spki = data_encoding::BASE64.encode(&ec.expect("a key").key.spki());
    assert_eq!(
        spki,
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEXH8UTNG72b\
         focs3+257rn0s2ldbqkLJK2KRiMohYjlrQ=="
    );
    let ed = jwks::Jwk::parse(
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
    );
    let spki = data_encoding::HEXLOWER.encode(&ed.expect("a key").key.spki());
    let x = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    assert_eq!(spki, format!("302a300506032b6570032100{x}"));
    for algorithm in Algorithm::ALL {
        let key = PrivateKey::generate(algorithm, 3072).expect("a key");
        let spki = key.public_key().spki();
        // The outer length covers all of it.
        let (length, head) = match spki[1] {
            0x82 => (usize::from(spki[2]) << 8 | usize::from(spki[3]), 4),
            0x81 => (usize::from(spki[2]), 3),
            short => (usize::from(short), 2),
        };
        assert_eq!((spki[0], spki.len()), (0x30, head + length), "{algorithm}");
    }
}

#[test]
fn its_cache_and_its_clock_count() {
    let usual = |max_age| {
        let month = SignedDuration::from_hours(720);
        let hour = SignedDuration::from_hours(1);
        Settings { max_age, ..Settings::new(Algorithm::Es256, month, hour) }
    };
    let with = |mut settings: Settings| {
        count_in(&mut settings);
        Policy::new(settings).expect("it can be kept")
    };
    for minutes in [1, 5, 30] {
        let max_age = SignedDuration::from_mins(minutes);
        let (policy, without) = (with(usual(max_age)), Policy::new(usual(max_age)).expect("one"));
        let least = max_age.max(SignedDuration::from_secs(180));
        assert_eq!(policy.lead().staleness, least);
        assert!(policy.lead().total() > without.lead().total() + least);
        assert_eq!(policy.retirement().total(), without.retirement().total() + CLOCK);
    }
    let twice = Settings {
        consumers: vec![Consumer::named("kubernetes", None).expect("it is in the table")],
        ..usual(SignedDuration::from_mins(5))
    };
    let policy = with(twice);
    let [only] = policy.settings().consumers.as_slice() else { panic!("it counts once") };
    assert_eq!(only.cache, Cache::For(SignedDuration::from_mins(5)));
    assert_eq!(only.unknown_kid, UnknownKid::Refetch);
    let known: Vec<_> = Algorithm::ALL.into_iter().filter(|one| knows(*one)).collect();
    assert_eq!(known, [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384]);
}

fn claims(more: Value) -> String {
    let at = now().as_second();
    let mut claims = json!({
        "aud": ["https://a"], "exp": at + 3600, "iat": at, "iss": "https://a", "nbf": at,
        "sub": "system:serviceaccount:shop:web",
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        claims[name.as_str()] = value.clone();
    }
    claims.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
    claims.to_string()
}

fn bounds() -> Bounds {
    Bounds {
        issuer: "https://a".into(),
        longest: SignedDuration::from_hours(1),
        audiences: vec!["https://*".parse().expect("a pattern")],
        subjects: vec!["system:serviceaccount:*".parse().expect("a pattern")],
        max_payload: Bounds::MAX_PAYLOAD,
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("an instant")
}
