//! Key rollover (RFC 8555 §7.3.5) and external account binding (§7.3.4).

use acme::eab::ExternalBinding;
use acme::key_change::{conflict, new_key};
use acme::request::NewAccount;
use acme::{Algorithm, Jwk, Jws, Problem, ProblemType};
use aws_lc_rs::hmac;
use serde_json::{Value, json};

use crate::signer::{ACCOUNT, Signer, URL, b64};

const KEY_CHANGE: &str = "https://ca.example/acme/key-change";

struct Rollover {
    old: Signer,
    new: Signer,
    payload: Value,
    header: Value,
}

impl Rollover {
    fn new() -> Self {
        let (old, new) = (Signer::new(Algorithm::Es256), Signer::new(Algorithm::Es384));
        let payload = json!({"account": ACCOUNT, "oldKey": old.jwk});
        let header = json!({"alg": "ES384", "jwk": new.jwk, "url": KEY_CHANGE});
        Self { old, new, payload, header }
    }

    fn judged(&self) -> Result<Jwk, Problem> {
        self.judged_as(&self.new.sign(&self.header, self.payload.to_string().as_bytes()))
    }

    fn judged_as(&self, inner: &Value) -> Result<Jwk, Problem> {
        let outer = self.old.by_kid(KEY_CHANGE, inner.to_string().as_bytes());
        let outer = Jws::parse(outer.to_string().as_bytes()).expect("well-formed");
        new_key(&outer, ACCOUNT, &self.old.public())
    }
}

#[test]
fn a_rollover_gives_the_new_key() {
    let rollover = Rollover::new();
    assert_eq!(rollover.judged(), Ok(rollover.new.public()));
    assert_eq!(conflict().status, 409);
}

#[test]
fn each_check_of_a_rollover_counts() {
    for change in [
        |r: &mut Rollover| r.payload["account"] = json!("https://ca.example/acme/account/2"),
        |r: &mut Rollover| r.payload["account"] = Value::Null,
        |r: &mut Rollover| r.payload["oldKey"] = r.new.jwk.clone(),
        |r: &mut Rollover| r.payload["oldKey"] = Value::Null,
        |r: &mut Rollover| r.payload["oldKey"] = json!({"kty": "EC"}),
        |r: &mut Rollover| r.header["url"] = json!(URL),
        |r: &mut Rollover| r.header["nonce"] = json!("AA"),
        |r: &mut Rollover| r.header["kid"] = json!(ACCOUNT),
        |r: &mut Rollover| {
            r.header["kid"] = json!(ACCOUNT);
            r.header["jwk"] = Value::Null;
        },
        // Signed by another key than the one it carries.
        |r: &mut Rollover| r.header["jwk"] = Signer::new(Algorithm::Es384).jwk,
    ] {
        let mut rollover = Rollover::new();
        change(&mut rollover);
        let problem = rollover.judged().expect_err("refused");
        assert_eq!(problem.kind, ProblemType::Malformed, "{}", problem.detail);
    }
    let rollover = Rollover::new();
    assert!(rollover.judged_as(&json!({})).is_err());
    assert!(rollover.judged_as(&json!("")).is_err());
}

#[test]
fn a_weak_new_key_is_a_bad_public_key() {
    let mut rollover = Rollover::new();
    rollover.header["jwk"]["x"] = json!("AA");
    assert_eq!(rollover.judged().expect_err("weak").kind, ProblemType::BadPublicKey);
}

const MAC_KEY: &[u8] = b"a key of the other system's making";

fn mac(header: &Value, payload: &Value) -> Value {
    let (protected, payload) =
        (b64(header.to_string().as_bytes()), b64(payload.to_string().as_bytes()));
    let hash = match header["alg"].as_str() {
        Some("HS384") => hmac::HMAC_SHA384,
        Some("HS512") => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    let message = format!("{protected}.{payload}");
    let tag = hmac::sign(&hmac::Key::new(hash, MAC_KEY), message.as_bytes());
    json!({"protected": protected, "payload": payload, "signature": b64(tag.as_ref())})
}

#[test]
fn a_binding_vouches_for_one_key_at_one_place() {
    let (own, other) = (Signer::new(Algorithm::Es256), Signer::new(Algorithm::Es256));
    for algorithm in ["HS256", "HS384", "HS512"] {
        let value = mac(&json!({"alg": algorithm, "kid": "kid-1", "url": URL}), &own.jwk);
        let payload = json!({"externalAccountBinding": value});
        let account = NewAccount::parse(payload.to_string().as_bytes()).expect("valid");
        let binding = account.external_account_binding.expect("present");
        assert_eq!(binding.kid(), "kid-1");
        let judge = |key: &[u8], jwk: &Signer, url| {
            binding.verify(key, &jwk.public(), url).map_err(|problem| problem.kind)
        };
        assert_eq!(judge(MAC_KEY, &own, URL), Ok(()));
        assert_eq!(judge(b"another key", &own, URL), Err(ProblemType::Unauthorized));
        assert_eq!(judge(b"", &own, URL), Err(ProblemType::Unauthorized));
        assert_eq!(judge(MAC_KEY, &other, URL), Err(ProblemType::Malformed));
        assert_eq!(judge(MAC_KEY, &own, KEY_CHANGE), Err(ProblemType::Malformed));
    }
}

#[test]
fn a_truncated_mac_is_no_mac() {
    let own = Signer::new(Algorithm::Es256);
    let mut value = mac(&json!({"alg": "HS256", "kid": "k", "url": URL}), &own.jwk);
    let whole = value["signature"].as_str().expect("text").to_owned();
    for short in ["", &whole[..20], &whole[..4]] {
        value["signature"] = json!(short);
        let binding = ExternalBinding::parse(value.clone()).expect("well-formed");
        assert!(binding.verify(MAC_KEY, &own.public(), URL).is_err());
    }
}

#[test]
fn a_binding_can_be_shown_as_it_was_received() {
    let own = Signer::new(Algorithm::Es256);
    let sent = mac(&json!({"alg": "HS256", "kid": "k", "url": URL}), &own.jwk);
    let binding = ExternalBinding::parse(sent.clone()).expect("well-formed");
    let shown: Value = serde_json::from_str(&binding.to_string()).expect("JSON");
    assert_eq!(shown, sent);
}

#[test]
fn a_binding_that_breaks_the_rules_is_refused() {
    let own = Signer::new(Algorithm::Es256);
    for (header, kind) in [
        (json!({"alg": "HS256", "url": URL}), ProblemType::Malformed),
        (json!({"alg": "HS256", "kid": "", "url": URL}), ProblemType::Malformed),
        (json!({"alg": "HS256", "kid": "k"}), ProblemType::Malformed),
        (json!({"alg": "HS256", "kid": "k", "url": URL, "nonce": "AA"}), ProblemType::Malformed),
        (json!({"alg": "HS256", "jwk": own.jwk, "url": URL}), ProblemType::Malformed),
        (json!({"alg": "ES256", "kid": "k", "url": URL}), ProblemType::BadSignatureAlgorithm),
        (json!({"alg": "none", "kid": "k", "url": URL}), ProblemType::BadSignatureAlgorithm),
    ] {
        let problem = ExternalBinding::parse(mac(&header, &own.jwk)).expect_err("refused");
        assert_eq!(problem.kind, kind, "{header}");
    }
}
