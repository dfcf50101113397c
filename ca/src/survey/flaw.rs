//! What is wrong with a certificate where it was found, and with what was sent along with it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Strength, Survey, strength};
use crate::certificate::Certificate;

/// One thing that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flaw {
    /// The leaf has expired.
    Expired,
    /// The leaf is not valid yet.
    NotYetValid,
    /// The leaf does not carry the name that was asked for.
    WrongName,
    /// The leaf has no subjectAltName that names anything (RFC 9525 §6.3).
    NoNames,
    /// The leaf was issued by nobody but itself, and is not trusted as such.
    SelfSigned,
    /// A certificate of the chain was not issued by the one after it (RFC 5246 §7.4.2).
    BrokenChain,
    /// The chain ends before an authority that is trusted: an intermediate is missing.
    IncompleteChain,
    /// The chain ends in a root that is not trusted.
    UntrustedRoot,
    /// An authority of the chain has expired.
    ChainExpired,
    /// An authority of the chain expires before the leaf does.
    ChainEndsFirst,
    /// A key that can be broken: RSA under 2048 bits, DSA, a curve under 224 bits.
    WeakKey,
    /// A signature by MD2, MD5 or SHA-1.
    WeakSignature,
}

impl Flaw {
    /// Whether clients refuse the certificate for it.
    #[must_use]
    pub fn breaks_clients(self) -> bool {
        !matches!(self, Self::ChainEndsFirst)
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The authorities that are trusted, by their names.
#[derive(Clone, Debug, Default)]
pub struct Anchors {
    by_subject: BTreeMap<Vec<u8>, Vec<Certificate>>,
}

impl Anchors {
    /// These, and no others.
    pub fn new(certificates: impl IntoIterator<Item = Certificate>) -> Self {
        let mut by_subject: BTreeMap<Vec<u8>, Vec<Certificate>> = BTreeMap::new();
        for certificate in certificates {
            let subject = certificate.subject_der().to_vec();
            by_subject.entry(subject).or_default().push(certificate);
        }
        Self { by_subject }
    }

    /// Whether one of them is this certificate, or has the same name and key.
    fn hold(&self, certificate: &Certificate) -> bool {
        let named = self.by_subject.get(certificate.subject_der()).into_iter().flatten();
        named.into_iter().any(|anchor| anchor.spki() == certificate.spki())
    }

    /// Whether one of them issued it. One whose key is of a kind that is not supported here is taken by
    /// its name alone.
    fn issued(&self, certificate: &Certificate) -> bool {
        let named = self.by_subject.get(certificate.issuer_der()).into_iter().flatten();
        named.into_iter().any(|anchor| is_issued(certificate, anchor))
    }
}

/// What is wrong with a chain as it was found, leaf first; `asked` is the name it was found under.
/// Judged leniently where something cannot be read: that is no proof of a flaw.
#[must_use]
pub fn flaws(
    chain: &[&[u8]],
    surveys: &[Survey],
    asked: Option<&str>,
    anchors: &Anchors,
    now: Timestamp,
) -> Vec<Flaw> {
    let Some((leaf, above)) = surveys.split_first() else { return Vec::new() };
    let mut flaws = of_leaf(leaf, asked, now);
    let read: Vec<_> = chain.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
    if read.len() == chain.len() {
        flaws.extend(of_chain(&read, anchors));
    }
    if above.iter().any(|ca| ca.not_after < now) {
        flaws.push(Flaw::ChainExpired);
    }
    if above.iter().any(|ca| ca.not_after < leaf.not_after) {
        flaws.push(Flaw::ChainEndsFirst);
    }
    // The signature of a root on itself is trusted by nobody.
    let signed = surveys.iter().filter(|survey| !survey.self_issued);
    if signed.into_iter().any(|survey| strength(&survey.signature) == Strength::Weak) {
        flaws.push(Flaw::WeakSignature);
    }
    if surveys.iter().any(|survey| strength(&survey.key) == Strength::Weak) {
        flaws.push(Flaw::WeakKey);
    }
    flaws.sort_unstable();
    flaws.dedup();
    flaws
}

fn of_leaf(leaf: &Survey, asked: Option<&str>, now: Timestamp) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    if leaf.not_after < now {
        flaws.push(Flaw::Expired);
    }
    if now < leaf.not_before {
        flaws.push(Flaw::NotYetValid);
    }
    if leaf.names.is_empty() && !leaf.is_ca {
        flaws.push(Flaw::NoNames);
    }
    if asked.is_some_and(|asked| !leaf.names.iter().any(|name| covers(name, asked))) {
        flaws.push(Flaw::WrongName);
    }
    flaws
}

fn of_chain(chain: &[Certificate], anchors: &Anchors) -> Option<Flaw> {
    // What is trusted needs nothing above it, whatever is sent.
    for (below, above) in chain.iter().zip(chain.iter().skip(1)) {
        if anchors.hold(below) || anchors.issued(below) {
            return None;
        }
        if !is_issued(below, above) {
            return Some(Flaw::BrokenChain);
        }
    }
    let last = chain.last()?;
    match (anchors.hold(last) || anchors.issued(last), is_issued(last, last), chain.len()) {
        (true, ..) => None,
        (false, true, 1) => Some(Flaw::SelfSigned),
        (false, true, _) => Some(Flaw::UntrustedRoot),
        (false, false, _) => Some(Flaw::IncompleteChain),
    }
}

/// Whether `above` issued `below`, as far as can be told here.
fn is_issued(below: &Certificate, above: &Certificate) -> bool {
    use crate::key::BadKey;
    match below.verify_issued_by(above) {
        Ok(()) => true,
        Err(BadKey::Signature) => false,
        // A key or a signature of a kind that is not supported here.
        Err(_) => below.issuer_der() == above.subject_der(),
    }
}

/// Whether a name of a certificate is that of a server (RFC 9525 §6.3): a wildcard stands for one label.
fn covers(name: &str, asked: &str) -> bool {
    let asked = asked.trim_end_matches('.');
    if let (Ok(name), Ok(asked)) = (name.parse::<IpAddr>(), asked.parse::<IpAddr>()) {
        return name == asked;
    }
    if name.eq_ignore_ascii_case(asked) {
        return true;
    }
    let (Some(parent), Some((_, rest))) = (name.strip_prefix("*."), asked.split_once('.')) else {
        return false;
    };
    rest.eq_ignore_ascii_case(parent)
}
