//! Noise: whatever arrives, it is refused, never a panic.

use acme::challenge::{ACME_TLS_ALPN, Shown, judge_tls_alpn01};
use acme::eab::ExternalBinding;
use acme::request::{
    AccountUpdate, AuthorizationUpdate, ChallengeResponse, Contact, Finalize, NewAccount,
    NewAuthorization, NewOrder, OrdersQuery, RevokeCertificate,
};
use acme::{Algorithm, Jwk, Jws, Nonces, caa, challenge};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::signer::{Signer, URL, b64};

fn payloads(octets: &[u8]) {
    let _ = NewAccount::parse(octets);
    let _ = AccountUpdate::parse(octets);
    let _ = NewOrder::parse(octets, 10);
    let _ = NewAuthorization::parse(octets);
    let _ = AuthorizationUpdate::parse(octets);
    let _ = ChallengeResponse::parse(octets);
    let _ = Finalize::parse(octets);
    let _ = RevokeCertificate::parse(octets);
}

/// Values of the shapes requests have, with the names they use.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[A-Za-z0-9_-]{0,44}".prop_map(Value::from),
        "(mailto|dns|ip|EC|OKP|RSA|P-256|deactivated|2026-01-01T00:00:00Z)[:@.]?"
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        let name = prop::sample::select(vec![
            "protected",
            "payload",
            "signature",
            "alg",
            "jwk",
            "kid",
            "url",
            "nonce",
            "kty",
            "crv",
            "x",
            "y",
            "n",
            "e",
            "contact",
            "identifiers",
            "identifier",
            "type",
            "value",
            "csr",
            "status",
            "externalAccountBinding",
            "notBefore",
            "replaces",
            "certificate",
            "reason",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..8).prop_map(|members| {
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Jws::parse(&octets);
        payloads(&octets);
        let name = ca::Identifier::parse("a.example").expect("test name");
        let key = r#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let expected = challenge::KeyAuthorization::new("t", &Jwk::parse(key).expect("key"));
        let (protocol, certificate) = (Some(ACME_TLS_ALPN), Some(octets.as_slice()));
        let shown = Shown { protocol, certificate, is_self_signed: true };
        prop_assert!(judge_tls_alpn01(&expected, &name, &shown).is_err());
        let _ = challenge::judge_http01(&expected, 200, &octets);
        let _ = challenge::judge_txt(&expected, "name", &[octets]);
    }

    #[test]
    fn text_never_panics(text: String) {
        let _ = Jws::parse(text.as_bytes());
        let _ = Jwk::parse(&text);
        let _ = Contact::parse(&text);
        let _ = Contact::parse(&format!("mailto:{text}"));
        let _ = OrdersQuery::parse(&text);
        let _ = text.parse::<acme::limit::Bucket>();
        let nonces = Nonces::new(&[1; 32]);
        prop_assert!(nonces.redeem(&text).is_err());
        let question = caa::Question {
            issuer_domain_names: &[],
            wildcard: false,
            account_url: "",
            challenge: None,
        };
        let record = caa::Record { flags: 0, tag: "issue".into(), value: text };
        prop_assert!(caa::judge(&[record], "a", &question).is_err());
    }

    #[test]
    fn values_never_panic(value in value()) {
        let text = value.to_string();
        let _ = Jws::parse(text.as_bytes());
        let _ = Jwk::parse(&text);
        let _ = ExternalBinding::parse(value);
        payloads(text.as_bytes());
        let around = json!({"protected": b64(text.as_bytes()), "payload": "", "signature": ""});
        let _ = Jws::parse(around.to_string().as_bytes());
    }

    /// A good request with one octet changed is refused or means the same.
    #[test]
    fn a_changed_octet_is_noticed(place: prop::sample::Index, octet: u8) {
        thread_local! {
            static SIGNED: (Signer, String) = {
                let signer = Signer::new(Algorithm::EdDsa);
                let text = signer.by_kid(URL, b"{\"status\":\"deactivated\"}").to_string();
                (signer, text)
            };
        }
        SIGNED.with(|(signer, text)| {
            let mut changed = text.clone().into_bytes();
            let place = place.index(changed.len());
            changed[place] = octet;
            let verified = Jws::parse(&changed)
                .ok()
                .filter(|jws| jws.verify(&signer.public()).is_ok());
            if let Some(jws) = verified {
                assert_eq!(jws.payload, b"{\"status\":\"deactivated\"}");
                assert_eq!(jws.header.url, URL);
            }
        });
    }

    /// However minting and redeeming interleave, a nonce is redeemed once.
    #[test]
    fn a_nonce_is_redeemed_once(steps in prop::collection::vec(any::<prop::sample::Index>(), 1..80)) {
        let nonces = Nonces::new(&[3; 32]);
        let mut minted: Vec<(String, bool)> = Vec::new();
        for step in steps {
            minted.push((nonces.mint(), false));
            let at = step.index(minted.len());
            let (nonce, used) = &mut minted[at];
            prop_assert_eq!(nonces.redeem(nonce).is_ok(), !*used);
            *used = true;
        }
    }
}
