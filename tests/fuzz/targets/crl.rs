//! CRLs as strangers serve them over plain HTTP: the bytes as they come, and the same bytes as the
//! signed part of a list whose signature is right, so that the signature does not stand in the way.
#![no_main]

use std::sync::LazyLock;

use ca::{Certificate, MemorySigner, Pointers, RevocationList, Serial, Signer};
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

/// One DER element of less than 64 KiB.
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    let [high, low] = u16::try_from(contents.len()).expect("short").to_be_bytes();
    let header: &[u8] = match (high, low) {
        (0, 0..0x80) => &[tag, low],
        (0, _) => &[tag, 0x81, low],
        _ => &[tag, 0x82, high, low],
    };
    [header, &contents].concat()
}

/// An authority called `Fuzz`, as in the seeds.
static ISSUER: LazyLock<(MemorySigner, Certificate)> = LazyLock::new(|| {
    let signer = MemorySigner::generate(ca::KeyAlgorithm::Ed25519).expect("a key");
    let spec = ca::AuthoritySpec {
        subject: ca::Subject::new("Fuzz", None).expect("a name"),
        path_len: None,
        constraints: ca::NameConstraints::default(),
        lifetime: jiff::SignedDuration::from_hours(24 * 365),
        backdate: jiff::SignedDuration::from_hours(1),
        ocsp: false,
    };
    let serial = Serial::from_random([1; 16]);
    let root = ca::create_root(&spec, &signer, serial, NOW).expect("a root");
    (signer, root)
});

const ED25519: &[u8] = b"\x30\x05\x06\x03\x2b\x65\x70";
/// 2026-11-20T12:00:00Z.
const NOW: Timestamp = Timestamp::constant(1_795_176_000, 0);
const MAX: usize = 8192;
