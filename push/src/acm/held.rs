//! What ACM has, and whether it would take another certificate in its place: with the ARN stay the kind
//! of the key and what it may be used for.

use std::collections::BTreeSet;

use ca::{Certificate, KeyAlgorithm};
use der::Decode;
use der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage, KeyUsages};

/// A certificate under its ARN.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) arn: String,
    pub(super) leaf: Certificate,
    /// Seconds since 1970; zero where it was not told.
    pub(super) imported_at: f64,
}

impl Held {
    /// Why ACM would not take `leaf` under this ARN, if it would not.
    pub(super) fn refuses(&self, leaf: &Certificate) -> Option<String> {
        let (here, there) = (kind(&self.leaf), kind(leaf));
        if here != there {
            return Some(format!("its key is {here}, and that of the new certificate is {there}"));
        }
        let (here, there) = (usages(&self.leaf), usages(leaf));
        let gone: Vec<&str> = here.difference(&there).map(String::as_str).collect();
        if gone.is_empty() {
            return None;
        }
        Some(format!("it may be used for {}, and the new certificate may not", gone.join(", ")))
    }
}

/// The kind of a key, in our words.
fn kind(certificate: &Certificate) -> String {
    match certificate.public_key() {
        Ok(key) => key.algorithm().to_string(),
        Err(_) => "of a kind that is not known here".into(),
    }
}

/// Whether ACM takes keys of this kind at all.
pub(super) fn takes(algorithm: KeyAlgorithm) -> bool {
    match algorithm {
        KeyAlgorithm::EcdsaP256 | KeyAlgorithm::EcdsaP384 => true,
        KeyAlgorithm::Rsa { bits } => bits <= 4096,
        KeyAlgorithm::Ed25519 => false,
    }
}

/// What the key may be used for (RFC 5280 §4.2.1.3, §4.2.1.12), but for what ACM lets go:
/// keyEncipherment with ECDSA, and clientAuth.
fn usages(certificate: &Certificate) -> BTreeSet<String> {
    let mut usages = BTreeSet::new();
    let Ok(parsed) = x509_cert::Certificate::from_der(certificate.der()) else { return usages };
    let tbs = parsed.tbs_certificate();
    let is_rsa = certificate
        .public_key()
        .is_ok_and(|key| matches!(key.algorithm(), KeyAlgorithm::Rsa { .. }));
    if let Ok(Some((_, KeyUsage(flags)))) = tbs.get_extension::<KeyUsage>() {
        let kept = flags.into_iter().filter(|one| is_rsa || *one != KeyUsages::KeyEncipherment);
        usages.extend(kept.map(|one| format!("{one:?}")));
    }
    if let Ok(Some((_, ExtendedKeyUsage(purposes)))) = tbs.get_extension::<ExtendedKeyUsage>() {
        let kept = purposes.into_iter().filter(|one| *one != CLIENT_AUTH);
        usages.extend(kept.map(|one| one.to_string()));
    }
    usages
}

const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
