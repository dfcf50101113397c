//! CRLs as strangers serve them over plain HTTP: the bytes as they come, and the same bytes as the
//! signed part of a list whose signature is right, so that the signature does not stand in the way.
#![no_main]

#[path = "../authority.rs"]
mod authority;

use std::sync::LazyLock;

use authority::{ED25519, authority, element};
use ca::{Certificate, MemorySigner, Pointers, RevocationList, Signer};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (signer, issuer) = &*ISSUER;
    let read = RevocationList::read(data, issuer, NOW);
    assert!(read.is_err(), "nobody signs for it by chance");
    if let Ok(certificate) = Certificate::from_der(data) {
        let _ = Pointers::of(&certificate);
    }
    if data.len() > MAX {
        return;
    }
    let signature = signer.sign(data).expect("a signature");
    let bits = element(0x03, &[&[0], &signature]);
    if let Ok(list) = RevocationList::read(element(0x30, &[data, ED25519, &bits]), issuer, NOW) {
        assert!(list.entries() <= data.len());
        let _ = list.find(issuer, &Pointers::default());
    }
});

static ISSUER: LazyLock<(MemorySigner, Certificate)> = LazyLock::new(|| {
    let signer = MemorySigner::generate(ca::KeyAlgorithm::Ed25519).expect("a key");
    authority(signer, NOW)
});

/// 2026-11-20T12:00:00Z.
const NOW: Timestamp = Timestamp::constant(1_795_176_000, 0);
const MAX: usize = 8192;
