//! Request bodies. An account key that is accepted is the same key when read back from the store.
//! If the input is no JWS, it is tried as the protected header, the key and the binding inside one.
#![no_main]

use acme::eab::ExternalBinding;
use acme::{Jwk, Jws, KeyReference};
use data_encoding::BASE64URL_NOPAD;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    whole(data);
    let header = BASE64URL_NOPAD.encode(data);
    whole(format!(r#"{{"protected":"{header}","payload":"","signature":"AA"}}"#).as_bytes());
    if let Ok(text) = std::str::from_utf8(data) {
        kept(text);
        let _ = acme::Nonces::new(&[7; 32]).redeem(text).expect_err("nobody guesses a nonce");
    }
    if let Ok(value) = serde_json::from_slice(data)
        && let Ok(binding) = ExternalBinding::parse(value)
    {
        let key = Jwk::parse(KEY).expect("a key");
        let _ = binding.verify(b"secret", &key, "https://ca.example/acme/new-account");
    }
});

fn whole(body: &[u8]) {
    let Ok(jws) = Jws::parse(body) else { return };
    let _ =
        (jws.header.required_nonce(), jws.header.check_url("https://ca.example/acme/new-account"));
    if let KeyReference::Jwk(key) = &jws.header.key {
        let _ = jws.verify(key);
        kept(&key.to_string());
    }
    let _ = acme::key_change::new_key(&jws, "https://ca.example/acme/account/1", &own());
}

fn kept(text: &str) {
    let Ok(key) = Jwk::parse(text) else { return };
    let again = Jwk::parse(&key.to_string()).expect("its own text");
    assert_eq!(again.thumbprint(), key.thumbprint());
    let _ = key.subject_public_key_info();
}

fn own() -> Jwk {
    Jwk::parse(KEY).expect("a key")
}

const KEY: &str =
    r#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
