//! What targets share that sign their input: an authority, and DER around what it signed.

use ca::{Certificate, MemorySigner, Serial};
use jiff::Timestamp;

/// An authority called `Fuzz` with the serial number that the seeds are about.
pub fn authority(signer: MemorySigner, now: Timestamp) -> (MemorySigner, Certificate) {
    let spec = ca::AuthoritySpec {
        subject: ca::Subject::new("Fuzz", None).expect("a name"),
        path_len: None,
        constraints: ca::NameConstraints::default(),
        lifetime: jiff::SignedDuration::from_hours(24 * 365),
        backdate: jiff::SignedDuration::from_hours(1),
        ocsp: false,
    };
    let serial = Serial::from_random([1; 16]);
    let root = ca::create_root(&spec, &signer, serial, now).expect("a root");
    (signer, root)
}

/// One DER element of less than 64 KiB.
pub fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    let [high, low] = u16::try_from(contents.len()).expect("short").to_be_bytes();
    let header: &[u8] = match (high, low) {
        (0, 0..0x80) => &[tag, low],
        (0, _) => &[tag, 0x81, low],
        _ => &[tag, 0x82, high, low],
    };
    [header, &contents].concat()
}

/// The AlgorithmIdentifier of Ed25519 (RFC 8410 §3).
pub const ED25519: &[u8] = b"\x30\x05\x06\x03\x2b\x65\x70";
