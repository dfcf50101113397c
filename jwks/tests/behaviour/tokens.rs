//! Which tokens are signed, and how they look.

use data_encoding::BASE64URL_NOPAD;
use jiff::SignedDuration;
use jwks::token::{BadToken, Bounds, Signer};
use jwks::{Algorithm, Kid, PrivateKey};
use serde_json::{Value, json};

use crate::start;

fn bounds() -> Bounds {
    Bounds {
        issuer: "https://auth.example.com".to_owned(),
        longest: SignedDuration::from_hours(1),
        audiences: ["api", "team-*"].map(|text| text.parse().expect("a pattern")).to_vec(),
        subjects: vec!["*".parse().expect("a pattern")],
        max_payload: 1024,
    }
}

fn signed(claims: &Value) -> Result<Value, BadToken> {
    let payload = bounds().claims(claims.to_string().as_bytes(), "drawn", start())?;
    Ok(serde_json::from_slice(payload.as_bytes()).expect("JSON"))
}

fn now() -> i64 {
    start().as_second()
}

#[test]
fn what_is_left_out_is_filled_in() {
    let claims = signed(&json!({"aud": "api", "scope": "read"})).expect("claims");
    assert_eq!(
        claims,
        json!({
            "aud": "api", "scope": "read", "iss": "https://auth.example.com", "jti": "drawn",
            "iat": now(), "nbf": now(), "exp": now() + 3600,
        })
    );
}

#[test]
fn what_is_within_bounds_is_kept_save_the_moment_of_issue() {
    let given = json!({
        "aud": ["api", "team-a"], "sub": "u", "jti": "mine", "iss": "https://auth.example.com",
        "iat": 5, "nbf": now() + 10, "exp": now() + 20,
    });
    let mut expected = given.clone();
    expected["iat"] = now().into();
    assert_eq!(signed(&given).expect("claims"), expected);
}

#[test]
fn what_is_out_of_bounds_is_refused_and_named() {
    for (claims, part) in [
        (json!({}), "\"aud\" is missing"),
        (json!({"aud": []}), "\"aud\""),
        (json!({"aud": "apis"}), "may not be \"apis\""),
        (json!({"aud": ["api", "other"]}), "may not be \"other\""),
        (json!({"aud": ["api", 1]}), "\"aud\""),
        (json!({"aud": {"api": 1}}), "\"aud\""),
        (json!({"aud": "api", "sub": ["a"]}), "\"sub\""),
        (json!({"aud": "api", "iss": "https://other"}), "\"iss\""),
        (json!({"aud": "api", "iss": null}), "\"iss\""),
        (json!({"aud": "api", "exp": now() + 3601}), "longer than 1 h"),
        (json!({"aud": "api", "exp": i64::MAX}), "longer than 1 h"),
        (json!({"aud": "api", "exp": now()}), "\"exp\" is in the past"),
        (json!({"aud": "api", "exp": 1.5e9}), "\"exp\" must be whole"),
        (json!({"aud": "api", "exp": "soon"}), "\"exp\" must be whole"),
        (json!({"aud": "api", "nbf": now() + 3600}), "\"nbf\""),
        (json!({"aud": "api", "jti": 7}), "\"jti\""),
        (json!([]), "no object"),
        (json!({"aud": "api", "x": "y".repeat(1024)}), "octets"),
    ] {
        let error = signed(&claims).expect_err(&claims.to_string()).to_string();
        assert!(error.contains(part), "{claims}: {error}");
    }
    let twice = br#"{"aud":"api","aud":"other"}"#;
    assert!(matches!(bounds().claims(twice, "j", start()), Err(BadToken::Json(_))));
    let added = json!({"aud": "api", "x": "y".repeat(980)}).to_string();
    assert!(added.len() <= 1024, "small enough before claims are added");
    assert!(matches!(bounds().claims(added.as_bytes(), "j", start()), Err(BadToken::TooLarge(..))));
}

#[test]
fn a_given_payload_is_signed_unless_it_would_outlive_its_key() {
    let long = json!({"exp": now() + 3601}).to_string().into_bytes();
    assert!(matches!(bounds().payload(long, start()), Err(BadToken::Lifetime(_))));
    for unclear in [r#"{"exp":1,"exp":99999999999}"#, r#"{"exp":"99999999999"}"#] {
        assert!(bounds().payload(unclear.into(), start()).is_err(), "{unclear}");
    }
    for payload in [b"any octets \xff".to_vec(), json!({"exp": now() + 3600}).to_string().into()] {
        assert_eq!(
            bounds().payload(payload.clone(), start()).expect("a payload").as_bytes(),
            payload
        );
    }
    assert!(matches!(
        bounds().payload(vec![0; 1025], start()),
        Err(BadToken::TooLarge(1025, 1024))
    ));
}

#[test]
fn a_payload_that_could_pass_as_claims_must_be_claims_that_are_allowed() {
    let opaque = |payload: &[u8]| bounds().opaque(payload.to_vec(), start());
    for fine in
        [b"any octets \xff".as_slice(), b"[1, {}]", b"\"{\"", b"", b"eyJhbGciOiJub25lIn0.e30."]
    {
        assert_eq!(opaque(fine).expect("no claims").as_bytes(), fine);
    }
    let claims = |changed: Value| {
        let mut claims = json!({
            "iss": "https://auth.example.com", "aud": "api", "sub": "a", "iat": now(),
            "exp": now() + 3600,
        });
        let members = claims.as_object_mut().expect("an object");
        for (name, value) in changed.as_object().expect("an object") {
            match value {
                Value::Null => _ = members.remove(name),
                _ => _ = members.insert(name.clone(), value.clone()),
            }
        }
        claims.to_string()
    };
    assert!(opaque(claims(json!({"extra": 1})).as_bytes()).is_ok());
    for bad in [
        json!({"iss": "https://other.example"}),
        json!({"iss": null}),
        json!({"aud": "elsewhere"}),
        json!({"aud": null}),
        json!({"exp": null}),
        json!({"exp": now() + 3601}),
        json!({"exp": now()}),
        json!({"iat": null}),
        json!({"iat": now() + 1}),
        json!({"nbf": "soon"}),
    ] {
        assert!(opaque(claims(bad.clone()).as_bytes()).is_err(), "{bad}");
    }
    // As lenient readers have it.
    let forged = r#"{"sub":"root"}"#;
    for before in ["", " \r\n\t", "\u{feff}", "\0", "/* a */", "// a\n"] {
        assert!(opaque(format!("{before}{forged}").as_bytes()).is_err(), "{before:?}");
    }
    for after in ["", ",", " // a", "x"] {
        assert!(opaque(format!("{forged}{after}").as_bytes()).is_err(), "{after:?}");
    }
    let wide: Vec<u8> = forged.encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert!(opaque(&wide).is_err());
    let marked: Vec<u8> =
        [0xfffe_u16].into_iter().chain(forged.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert!(opaque(&marked).is_err());
    assert!(opaque(br#"{"iss":"https://auth.example.com","iss":"x","aud":"api"}"#).is_err());
}

#[test]
fn a_token_is_a_compact_jws_that_its_key_verifies() {
    for algorithm in Algorithm::ALL {
        let key = PrivateKey::generate(algorithm, 2048).expect("a key");
        let public = key.public_key().clone();
        let signer = Signer::new(key, Kid::of(&public));
        let payload = bounds().claims(br#"{"aud":"api"}"#, "j", start()).expect("claims");
        for (token, typ) in [
            (signer.jwt(&payload).expect("a token"), Some("JWT")),
            (signer.jws(Some("at+jwt"), &payload).expect("a token"), Some("at+jwt")),
            (signer.jws(None, &payload).expect("a token"), None),
        ] {
            let parts: Vec<&str> = token.split('.').collect();
            let octets = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).expect("base64url");
            let header: Value = serde_json::from_slice(&octets(parts[0])).expect("JSON");
            assert_eq!(header["alg"], algorithm.name());
            assert_eq!(header["kid"], public.thumbprint());
            assert_eq!(header.get("typ").and_then(Value::as_str), typ);
            assert_eq!(octets(parts[1]), payload.as_bytes());
            let input = format!("{}.{}", parts[0], parts[1]);
            assert!(public.verifies(algorithm, input.as_bytes(), &octets(parts[2])));
            assert_eq!(parts.len(), 3);
        }
        assert_eq!(signer.jws(Some("a b"), &payload), Err(BadToken::Type));
    }
}

#[test]
fn a_pattern_is_exact_or_a_beginning() {
    for (pattern, text, allowed) in [
        ("api", "api", true),
        ("api", "api2", false),
        ("api*", "api2", true),
        ("api*", "ap", false),
        ("*", "", true),
    ] {
        let parsed: jwks::token::Pattern = pattern.parse().expect("a pattern");
        assert_eq!(parsed.allows(text), allowed, "{pattern} {text}");
    }
    for bad in ["", "a*b", "**"] {
        assert!(bad.parse::<jwks::token::Pattern>().is_err(), "{bad}");
    }
}
