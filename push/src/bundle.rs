//! A private key, its certificate and the chain above, which belong together: a [`Bundle`] exists only
//! if that was checked. Several servers take anything and fail later (Apache's parent dies of a key
//! that is not the certificate's), so no target sees anything else. Also the forms servers read it in.

use std::collections::BTreeSet;
use std::fmt;

use ca::{Certificate, Identifier, MemorySigner, Signer, pem_chain};
use jiff::Timestamp;
use zeroize::Zeroizing;

/// Key, leaf and chain that were found to agree.
#[derive(Clone)]
pub struct Bundle {
    leaf: Certificate,
    chain: Vec<Certificate>,
    root: Option<Certificate>,
    key: Option<Zeroizing<Vec<u8>>>,
}

impl Bundle {
    /// Checks that `certificates` (leaf first, each signed by the next) and the PKCS #8 key belong
    /// together, cover `names` and are valid at `now`. A root at the end is checked and set apart: no
    /// client needs it from a server (RFC 8446 §4.4.2). `key` is `None` where the key was made
    /// elsewhere and never enters this process.
    ///
    /// # Errors
    /// [`BundleError`] says what does not agree.
    pub fn new(
        certificates: Vec<Certificate>,
        key: Option<Zeroizing<Vec<u8>>>,
        names: &BTreeSet<Identifier>,
        now: Timestamp,
    ) -> Result<Self, BundleError> {
        let mut certificates = certificates.into_iter();
        let leaf = certificates.next().ok_or(BundleError::Empty)?;
        let mut chain: Vec<Certificate> = certificates.collect();
        if leaf.is_ca() {
            return Err(BundleError::Authority(leaf.subject().to_owned()));
        }
        check_key(&leaf, key.as_ref())?;
        check_chain(&leaf, &chain)?;
        check_dates(std::iter::once(&leaf).chain(&chain), now)?;
        let uncovered: Vec<String> = names
            .iter()
            .filter(|name| !leaf.identifiers().iter().any(|own| covers(own, name)))
            .map(ToString::to_string)
            .collect();
        if !uncovered.is_empty() {
            return Err(BundleError::Names(uncovered.join(", ")));
        }
        let root = chain.pop_if(|last| last.is_self_issued());
        Ok(Self { leaf, chain, root, key })
    }

    /// The server's certificate.
    #[must_use]
    pub fn leaf(&self) -> &Certificate {
        &self.leaf
    }

    /// The certificates above the leaf that are served, the next one first, without the root.
    #[must_use]
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }

    /// The root, if the certificates that made the bundle ended with it.
    #[must_use]
    pub fn root(&self) -> Option<&Certificate> {
        self.root.as_ref()
    }

    /// SHA-256 of the leaf's DER.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        self.leaf.fingerprint()
    }

    /// The leaf's last second of validity.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.leaf.not_after()
    }

    /// The names the leaf certifies.
    #[must_use]
    pub fn names(&self) -> &BTreeSet<Identifier> {
        self.leaf.identifiers()
    }

    /// The private key as PKCS #8 DER, if it is here.
    #[must_use]
    pub fn key_pkcs8(&self) -> Option<&[u8]> {
        self.key.as_ref().map(|key| key.as_slice())
    }

    /// Leaf and chain in PEM: what servers send.
    #[must_use]
    pub fn fullchain_pem(&self) -> String {
        self.cert_pem() + &self.chain_pem()
    }

    /// The chain without the leaf in PEM; empty if the leaf's issuer is a root.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        pem_chain(&self.chain)
    }

    /// The leaf in PEM.
    #[must_use]
    pub fn cert_pem(&self) -> String {
        self.leaf.pem()
    }

    /// The key in PEM (PKCS #8, RFC 7468 §10), if it is here.
    #[must_use]
    pub fn key_pem(&self) -> Option<Zeroizing<String>> {
        self.key.as_ref().map(|der| key_pem(der))
    }

    /// Leaf, chain and key in one text without blank lines, as HAProxy reads it; `None` without key.
    #[must_use]
    pub fn combined_pem(&self) -> Option<Zeroizing<String>> {
        Some(joined(&self.fullchain_pem(), &self.key_pem()?))
    }

    /// The same with the key first, as Postfix wants it in a file and every other server reads it.
    #[must_use]
    pub fn key_first_pem(&self) -> Option<Zeroizing<String>> {
        Some(joined(&self.key_pem()?, &self.fullchain_pem()))
    }
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundle")
            .field("leaf", &self.leaf)
            .field("chain", &self.chain.len())
            .field("key", &self.key.is_some())
            .finish()
    }
}

/// Key and certificates that do not belong together, by fault of whoever issued or imported them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// No certificate at all.
    #[error("there is no certificate")]
    Empty,
    /// The first certificate is an authority's; its subject.
    #[error("the first certificate ({0}) is an authority's: the server's own must come first")]
    Authority(String),
    /// The key cannot be read; why, without any of it.
    #[error("the private key cannot be read: {0}")]
    UnreadableKey(String),
    /// The key is another certificate's.
    #[error("the private key does not belong to the certificate for {0}")]
    Key(String),
    /// A link is missing, in the wrong place, or not signed by the next.
    #[error("the chain is broken: {below} was not issued by {above}, which follows it")]
    Chain {
        /// Subject of the certificate that was not issued by the next.
        below: String,
        /// Subject of that next one.
        above: String,
    },
    /// A certificate above the leaf is no authority's; its subject.
    #[error("the chain contains {0}, which is no authority")]
    NotAuthority(String),
    /// Something is not valid yet.
    #[error("the certificate of {subject} is valid only from {from}; it is {now} now")]
    NotYet {
        /// Whose.
        subject: String,
        /// Its first second.
        from: Timestamp,
        /// The time it was checked for.
        now: Timestamp,
    },
    /// Something is no longer valid.
    #[error("the certificate of {subject} expired at {to}; it is {now} now")]
    Expired {
        /// Whose.
        subject: String,
        /// Its last second.
        to: Timestamp,
        /// The time it was checked for.
        now: Timestamp,
    },
    /// Names the certificate does not cover.
    #[error("the certificate does not cover {0}")]
    Names(String),
}

/// Reserved at once: a text that grows leaves copies of the key behind in freed memory.
fn joined(first: &str, second: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(first.len() + second.len()));
    text.push_str(first);
    text.push_str(second);
    text
}

/// PKCS #8 DER in PEM.
pub(crate) fn key_pem(der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(data_encoding::BASE64.encode(der));
    let mut text = Zeroizing::new(String::with_capacity(body.len() + body.len() / 64 + 80));
    text.push_str("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str("-----END PRIVATE KEY-----\n");
    text
}

/// What a person calls a certificate: its subject, or where that is empty its first name.
pub(crate) fn called(certificate: &Certificate) -> String {
    match (certificate.subject(), certificate.identifiers().first()) {
        ("", Some(name)) => name.to_string(),
        (subject, _) => subject.to_owned(),
    }
}

fn check_key(leaf: &Certificate, key: Option<&Zeroizing<Vec<u8>>>) -> Result<(), BundleError> {
    let Some(key) = key else { return Ok(()) };
    let signer = MemorySigner::from_pkcs8(key)
        .map_err(|error| BundleError::UnreadableKey(error.to_string()))?;
    if signer.public_key().spki() == leaf.spki() {
        Ok(())
    } else {
        Err(BundleError::Key(called(leaf)))
    }
}

fn check_chain(leaf: &Certificate, chain: &[Certificate]) -> Result<(), BundleError> {
    for (below, above) in std::iter::once(leaf).chain(chain).zip(chain) {
        if !above.is_ca() {
            return Err(BundleError::NotAuthority(called(above)));
        }
        below
            .verify_issued_by(above)
            .map_err(|_| BundleError::Chain { below: called(below), above: called(above) })?;
    }
    Ok(())
}

fn check_dates<'a>(
    certificates: impl Iterator<Item = &'a Certificate>,
    now: Timestamp,
) -> Result<(), BundleError> {
    for certificate in certificates {
        let subject = || called(certificate);
        let (from, to) = (certificate.not_before(), certificate.not_after());
        if now < from {
            return Err(BundleError::NotYet { subject: subject(), from, now });
        }
        // The last second is included (RFC 5280 §4.1.2.5), all of it.
        if now.as_second() > to.as_second() {
            return Err(BundleError::Expired { subject: subject(), to, now });
        }
    }
    Ok(())
}

/// Whether a certificate's `own` name covers `name`: a wildcard stands for one label
/// (RFC 6125 §6.4.3).
fn covers(own: &Identifier, name: &Identifier) -> bool {
    match (own, name) {
        _ if own == name => true,
        (Identifier::Dns(own), Identifier::Dns(name)) if own.is_wildcard() => {
            !name.is_wildcard()
                && name
                    .as_str()
                    .split_once('.')
                    .is_some_and(|(_, rest)| rest == own.base().as_str())
        }
        _ => false,
    }
}
