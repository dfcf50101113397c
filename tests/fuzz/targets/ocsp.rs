//! OCSP responses as strangers give them over plain HTTP: the bytes as they come, and the same bytes
//! as the signed part of a response whose signature is right, so that it does not stand in the way.
#![no_main]

#[path = "../authority.rs"]
mod authority;

use std::sync::LazyLock;

use authority::{ED25519, authority, element};
use ca::{Certificate, MemorySigner, Signer, ocsp};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (signer, issuer) = &*ISSUER;
    assert!(ocsp::read(data, issuer, issuer, NOW).is_err(), "nobody signs for it by chance");
    if data.len() > MAX {
        return;
    }
    let signature = signer.sign(data).expect("a signature");
    let bits = element(0x03, &[&[0], &signature]);
    let basic = element(0x04, &[&element(0x30, &[data, ED25519, &bits])]);
    let bytes = element(0xa0, &[&element(0x30, &[BASIC, &basic])]);
    let response = element(0x30, &[&[0x0a, 1, 0], &bytes]);
    let _ = ocsp::read(&response, issuer, issuer, NOW);
});

/// With the key that the seeds are about.
static ISSUER: LazyLock<(MemorySigner, Certificate)> = LazyLock::new(|| {
    let key = [PKCS_8, &[1; 32]].concat();
    authority(MemorySigner::from_pkcs8(&key).expect("a key"), NOW)
});

/// What comes before the 32 octets of an Ed25519 key (RFC 8410 §7).
const PKCS_8: &[u8] = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
/// id-pkix-ocsp-basic.
const BASIC: &[u8] = b"\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x01";
/// 2033-05-18T03:33:20Z: the seeds, which are of the day on which they are made, are good then.
const NOW: Timestamp = Timestamp::constant(2_000_000_000, 0);
const MAX: usize = 8192;
