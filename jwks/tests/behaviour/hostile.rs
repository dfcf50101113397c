//! Input nobody should send: whatever it is, nothing panics, and what is accepted keeps the rules.

use std::sync::OnceLock;

use jiff::{SignedDuration, Timestamp};
use jwks::set::{Profile, Published, Served};
use jwks::token::{Bounds, Pattern};
use jwks::{Algorithm, Jwk, Keyset, PrivateKey, next};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::start;
use crate::steps::{policy, signing};

/// Any JSON, of claims' names and of values that are nearly right.
fn claims() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-10_000_i64..10_000).prop_map(|n| Value::from(start().as_second() + n)),
        proptest::sample::select(TEXTS).prop_map(Value::from),
        Just(Value::Null),
    ];
    let value = leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            inner.prop_map(|value| json!({"exp": value})),
        ]
    });
    let name = proptest::sample::select(NAMES).prop_map(str::to_owned);
    proptest::collection::hash_map(name, value, 0..8)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

fn bounds() -> Bounds {
    let patterns = |texts: &[&str]| -> Vec<Pattern> {
        texts.iter().map(|text| text.parse().expect("a pattern")).collect()
    };
    Bounds {
        issuer: "https://auth.example.com".to_owned(),
        longest: SignedDuration::from_hours(1),
        audiences: patterns(&["api", "team-*"]),
        subjects: patterns(&["*"]),
        max_payload: 512,
    }
}

fn a_set() -> &'static [u8] {
    static SET: OnceLock<Vec<u8>> = OnceLock::new();
    SET.get_or_init(published)
}

fn published() -> Vec<u8> {
    let jwk = |algorithm| {
        let key = PrivateKey::generate(algorithm, 2048).expect("a key");
        Jwk::new(key.public_key().clone(), algorithm, None).expect("a JWK")
    };
    let keys = [Algorithm::Es256, Algorithm::Ed25519, Algorithm::Rs256].map(jwk);
    Published::new(&keys, Profile::Classical).expect("a set").body
}

proptest! {
    #[test]
    fn no_claims_get_around_the_bounds(claims in claims()) {
        let Ok(payload) = bounds().claims(claims.to_string().as_bytes(), "drawn", start()) else {
            return Ok(());
        };
        let read: Value = serde_json::from_slice(payload.as_bytes()).expect("JSON");
        let (now, second) = (start().as_second(), |name: &str| read[name].as_i64());
        prop_assert_eq!(read["iss"].as_str(), Some("https://auth.example.com"));
        prop_assert_eq!(second("iat"), Some(now));
        prop_assert!(second("exp").is_some_and(|exp| exp > now && exp <= now + 3600));
        prop_assert!(second("nbf") < second("exp"));
        prop_assert!(read["jti"].is_string());
        prop_assert!(payload.as_bytes().len() <= 512);
        let audiences = match &read["aud"] {
            Value::Array(several) => several.clone(),
            one => vec![one.clone()],
        };
        prop_assert!(!audiences.is_empty());
        for audience in audiences {
            let audience = audience.as_str().expect("text");
            prop_assert!(audience == "api" || audience.starts_with("team-"));
        }
    }

    #[test]
    fn octets_are_a_set_or_are_refused(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Served::parse(&octets);
        let _ = Jwk::parse(&String::from_utf8_lossy(&octets));
        let _ = bounds().claims(&octets, "drawn", start());
        let _ = bounds().payload(octets.clone(), start());
        for algorithm in Algorithm::ALL {
            prop_assert!(PrivateKey::from_secret(algorithm, &octets).is_err() || octets.len() == 32);
        }
    }

    #[test]
    fn what_is_left_of_a_damaged_set_is_read_as_it_would_be_written(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut body = a_set().to_vec();
        for (place, octet) in changes {
            let place = place.index(body.len());
            body[place] = octet;
        }
        if let Ok(served) = Served::parse(&body) {
            prop_assert!(served.keys.len() + served.ignored <= 3);
            for key in served.keys {
                prop_assert_eq!(Jwk::parse(&key.to_string()), Ok(key));
            }
        }
    }

    #[test]
    fn any_stored_times_lead_to_a_step(times in proptest::collection::vec(any::<i64>(), 8), at in any::<i64>()) {
        let stamp = |n: i64| {
            let range = Timestamp::MAX.as_second() - Timestamp::MIN.as_second();
            let second = Timestamp::MIN.as_second() + n.rem_euclid(range);
            Timestamp::from_second(second).expect("in range")
        };
        let mut keyset: Keyset = signing();
        let some = |n: i64| (n % 3 != 0).then(|| stamp(n));
        let key = &mut keyset.keys[0];
        (key.announced_at, key.ready_at, key.prove_at) =
            (stamp(times[0]), stamp(times[1]), stamp(times[2]));
        (key.rotate_at, key.last_expiry, key.gone_at) =
            (some(times[3]), some(times[4]), some(times[5]));
        (key.proven_at, keyset.held_until) = (some(times[6]), some(times[7]));
        for phase in ["announced", "proven", "signing", "retiring", "gone"] {
            keyset.keys[0].phase = jwks::Phase::named(phase).expect("a phase");
            let _ = next(&keyset, &policy(), stamp(at));
            let _ = jwks::keyset::next_change(&keyset, &policy());
        }
    }
}

const TEXTS: &[&str] = &["api", "team-1", "other", "", "*", "https://auth.example.com"];
const NAMES: &[&str] = &["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope"];
