//! An authority: a certificate, the key that belongs to it, and the chain above. Knows its own limits
//! (validity, names, depth); making certificates is the business of `issue` and `ceremony`.

use std::fmt;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::certificate::{self, Certificate};
use crate::key::BadKey;
use crate::lint::Throwaway;
use crate::name::Identifier;
use crate::signer::{SignError, Signer};
use crate::tbs;

/// A root or issuing authority that can sign.
pub struct Authority {
    certificate: Certificate,
    signer: Arc<dyn Signer>,
    chains: Vec<Vec<Certificate>>,
    urls: Urls,
    throwaway: OnceLock<Throwaway>,
}

impl Authority {
    /// Puts an authority together. `chain` holds the certificates above `certificate`, the next one
    /// first, up to and including the root; it is empty for a root.
    ///
    /// # Errors
    /// [`BadAuthority`] when the key is not the certificate's, the certificate is no authority's, a
    /// link of the chain did not sign the one below it, or a URL cannot be put in a certificate.
    pub fn new(
        certificate: Certificate,
        signer: Arc<dyn Signer>,
        chain: Vec<Certificate>,
        urls: Urls,
    ) -> Result<Self, BadAuthority> {
        if certificate.spki() != signer.public_key().spki() {
            return Err(BadAuthority::Key);
        }
        if certificate.subject_key_id().is_none() {
            return Err(BadAuthority::KeyIdentifier);
        }
        check_chain(&certificate, &chain)?;
        urls.check()?;
        let throwaway = OnceLock::new();
        Ok(Self { certificate, signer, chains: vec![chain], urls, throwaway })
    }

    /// Adds another way up: `chain[0]` is a certificate of the same name and key made by another
    /// authority, the rest leads from there to a root.
    ///
    /// # Errors
    /// [`BadAuthority`] when it is not, or the chain does not hold.
    pub fn with_alternate(mut self, chain: Vec<Certificate>) -> Result<Self, BadAuthority> {
        let Some((own, above)) = chain.split_first() else { return Err(BadAuthority::Chain) };
        if own.spki() != self.certificate.spki()
            || own.subject_der() != self.certificate.subject_der()
        {
            return Err(BadAuthority::Key);
        }
        check_chain(own, above)?;
        self.chains.push(chain);
        Ok(self)
    }

    /// Its own certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The certificates above its own, the next one first, the root last; empty for a root.
    #[must_use]
    pub fn chain(&self) -> &[Certificate] {
        // The first is always there: it came with `new`.
        self.chains.first().map_or(&[], Vec::as_slice)
    }

    /// The root, which is the authority itself if there is no chain.
    #[must_use]
    pub fn root(&self) -> &Certificate {
        self.chain().last().unwrap_or(&self.certificate)
    }

    /// What the certificates it issues point to.
    #[must_use]
    pub fn urls(&self) -> &Urls {
        &self.urls
    }

    /// The key.
    #[must_use]
    pub fn signer(&self) -> &dyn Signer {
        &*self.signer
    }

    /// The first second at which this authority and all above it are valid.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.path().map(Certificate::not_before).max().unwrap_or(self.certificate.not_before())
    }

    /// The last second at which this authority and all above it are valid.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.path().map(Certificate::not_after).min().unwrap_or(self.certificate.not_after())
    }

    /// Whether the name constraints of this authority and of all above it permit `identifier`
    /// (RFC 5280 §6.1.3).
    #[must_use]
    pub fn permits(&self, identifier: &Identifier) -> bool {
        self.path().all(|certificate| certificate.constraints().permits(identifier))
    }

    /// How many authorities may follow below this one; `None`: any number. `Some(0)`: it may only
    /// certify end entities (RFC 5280 §4.2.1.9).
    #[must_use]
    pub fn path_len(&self) -> Option<u8> {
        let limits = self.path().zip(0..=u8::MAX);
        limits
            .filter_map(|(certificate, depth)| Some(certificate.path_len()?.saturating_sub(depth)))
            .min()
    }

    /// The PEM chains of a certificate it issued: leaf first, roots left out (RFC 8555 §7.4.2); the
    /// default chain first, then the alternates.
    #[must_use]
    pub fn bundles(&self, leaf: &Certificate) -> Vec<String> {
        let default = std::iter::once(&self.certificate).chain(self.chain());
        let mut bundles = vec![bundle(leaf, default)];
        bundles.extend(self.chains.iter().skip(1).map(|chain| bundle(leaf, chain)));
        bundles
    }

    /// The extensions that say where its CRL, certificate and OCSP responder are.
    pub(crate) fn pointers(&self) -> Vec<Vec<u8>> {
        let Urls { crl, issuer, ocsp } = &self.urls;
        let mut extensions = Vec::new();
        if !crl.is_empty() {
            extensions.push(tbs::crl_distribution_point(crl));
        }
        if !ocsp.is_empty() || !issuer.is_empty() {
            extensions.push(tbs::authority_info_access(ocsp, issuer));
        }
        extensions
    }

    /// The throwaway key for linting, made when it is first needed.
    pub(crate) fn throwaway(&self) -> Result<&Throwaway, SignError> {
        if let Some(throwaway) = self.throwaway.get() {
            return Ok(throwaway);
        }
        let fresh = Throwaway::new(&self.certificate)?;
        Ok(self.throwaway.get_or_init(|| fresh))
    }

    /// The certificates from this authority's own up to the root.
    pub fn path(&self) -> impl Iterator<Item = &Certificate> {
        std::iter::once(&self.certificate).chain(self.chain())
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("certificate", &self.certificate)
            .field("urls", &self.urls)
            .finish_non_exhaustive()
    }
}

/// Where relying parties find what belongs to an authority. Plain `http`, because fetching over
/// `https` could need the very answer that is being fetched (RFC 5280 §8).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Urls {
    /// Its CRL, at any of these.
    pub crl: Vec<String>,
    /// Its own certificate, DER.
    pub issuer: Vec<String>,
    /// Its OCSP responder.
    pub ocsp: Vec<String>,
}

impl Urls {
    fn check(&self) -> Result<(), BadAuthority> {
        let bad = self.crl.iter().chain(&self.issuer).chain(&self.ocsp).find(|url| !is_http(url));
        bad.map_or(Ok(()), |url| Err(BadAuthority::Url(url.clone())))
    }
}

/// Parts that do not make an authority: a fault of our own storage or configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAuthority {
    /// The key is another one's.
    #[error("the private key does not belong to the authority's certificate")]
    Key,
    /// basicConstraints do not say CA.
    #[error("{0} is not the certificate of an authority")]
    NotAuthority(String),
    /// No SKI to point the certificates it issues to.
    #[error("the authority's certificate has no subject key identifier")]
    KeyIdentifier,
    /// A certificate of the chain was not signed by the next, or the last is no root.
    #[error("the chain does not lead from the authority to a root")]
    Chain,
    /// A signature or key of the chain is wrong.
    #[error("the chain does not hold: {0}")]
    Link(#[from] BadKey),
    /// A URL that is not http, or not printable ASCII.
    #[error("{0:?} cannot be put into certificates: use an http:// URL in ASCII")]
    Url(String),
}

/// Printable ASCII that begins with `http://`, at most 1,024 octets.
pub(crate) fn is_http(url: &str) -> bool {
    url.len() <= MAX_URL
        && url.strip_prefix("http://").is_some_and(|rest| !rest.is_empty())
        && url.bytes().all(|byte| byte.is_ascii_graphic())
}

fn check_chain(own: &Certificate, above: &[Certificate]) -> Result<(), BadAuthority> {
    let mut below = own;
    for certificate in above {
        below.verify_issued_by(certificate)?;
        below = certificate;
    }
    if !below.is_self_issued() {
        return Err(BadAuthority::Chain);
    }
    below.verify_issued_by(below)?;
    match std::iter::once(own).chain(above).find(|certificate| !certificate.is_ca()) {
        Some(certificate) => Err(BadAuthority::NotAuthority(certificate.subject().to_owned())),
        None => Ok(()),
    }
}

fn bundle<'a>(leaf: &'a Certificate, above: impl IntoIterator<Item = &'a Certificate>) -> String {
    let above = above.into_iter().filter(|certificate| !certificate.is_self_issued());
    certificate::pem_chain(std::iter::once(leaf).chain(above))
}

const MAX_URL: usize = 1024;
