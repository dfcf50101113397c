//! Intended bytes read back: what a certificate was to say whose signing was interrupted.

use std::collections::BTreeSet;

use der::{Decode, Encode};
use x509_cert::TbsCertificate;

use crate::asn1;
use crate::certificate::{BadCertificate, Certificate};
use crate::key::{BadKey, PublicKey};
use crate::name::Identifier;
use crate::tbs;

/// What a stored TBSCertificate asks for, as far as another one can be made from it.
#[derive(Clone, Debug)]
pub struct Intended {
    /// The key that was to be certified.
    pub public_key: PublicKey,
    /// The names that were to be certified.
    pub identifiers: BTreeSet<Identifier>,
    /// Whether it was to have the TLS feature extension (RFC 7633).
    pub must_staple: bool,
}

impl Intended {
    /// Reads the bytes [`crate::Prepared::tbs`] gave.
    ///
    /// # Errors
    /// [`Unreadable`] when they are something else.
    pub fn parse(tbs: &[u8]) -> Result<Self, Unreadable> {
        // A certificate of these bytes with a signature nobody made: read, never shown.
        let parsed = TbsCertificate::from_der(tbs).map_err(|_| Unreadable::Bytes)?;
        let algorithm = parsed.signature().to_der().map_err(|_| Unreadable::Bytes)?;
        let body = [tbs, algorithm.as_slice(), &[0x03, 0x01, 0x00]].concat();
        let mut whole = Vec::with_capacity(body.len() + 8);
        asn1::header(&mut whole, asn1::SEQUENCE, body.len());
        whole.extend_from_slice(&body);
        let certificate = Certificate::from_der(&whole)?;
        Ok(Self {
            public_key: certificate.public_key()?,
            identifiers: certificate.identifiers().clone(),
            must_staple: (parsed.extensions().into_iter().flatten())
                .any(|extension| extension.extn_id == tbs::TLS_FEATURE),
        })
    }
}

/// Bytes that are no TBSCertificate, or not one of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// They are not a TBSCertificate.
    #[error("they are not a TBSCertificate")]
    Bytes,
    /// What is in them makes no certificate.
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
    /// The key in them is none.
    #[error(transparent)]
    Key(#[from] BadKey),
}
