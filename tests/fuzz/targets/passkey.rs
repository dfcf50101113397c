//! What browsers bring of passkeys: the first byte says which parser reads the rest.
#![no_main]

use libfuzzer_sys::fuzz_target;
use passkeys::{AuthenticatorData, ClientData, Credential, PublicKey, Registration, RelyingParty};

fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else { return };
    let party = RelyingParty { id: "localhost".into(), origin: "https://localhost".into() };
    match which % 4 {
        0 => drop(AuthenticatorData::parse(rest)),
        1 => drop(ClientData::parse(rest)),
        2 => {
            if let Ok(key) = PublicKey::parse(rest) {
                assert!(key.verify(b"message", b"no signature").is_err());
            }
        }
        _ => {
            let client_data =
                br#"{"type":"webauthn.create","challenge":"eA","origin":"https://localhost"}"#;
            let registration = Registration { client_data, attestation: rest };
            if let Ok(Credential { id, key, .. }) = party.register(b"x", &registration) {
                assert!(!id.is_empty() && id.len() <= passkeys::MAX_CREDENTIAL_ID);
                assert!(PublicKey::parse(&key).is_ok());
            }
        }
    }
});
