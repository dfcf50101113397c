//! What strangers sign, in the form that CRLs and OCSP responses share with certificates: a part that
//! is signed, the algorithm, the signature. What the part says is read elsewhere, and is worth
//! nothing before `verify`.

use der::asn1::BitStringRef;
use der::{Decode, Reader, SliceReader};
use jiff::Timestamp;

use crate::algorithm::SignatureAlgorithm;
use crate::key::{BadKey, PublicKey};

/// The three parts.
pub(crate) struct Signed<'a> {
    /// The signed part, header included.
    pub(crate) tbs: &'a [u8],
    /// The AlgorithmIdentifier.
    pub(crate) algorithm: &'a [u8],
    signature: BitStringRef<'a>,
}

impl<'a> Signed<'a> {
    /// Reads the three, and no further.
    ///
    /// # Errors
    /// When they are not there.
    pub(crate) fn read(reader: &mut SliceReader<'a>) -> Result<Self, der::Error> {
        Ok(Self {
            tbs: reader.tlv_bytes()?,
            algorithm: reader.tlv_bytes()?,
            signature: BitStringRef::decode(reader)?,
        })
    }

    /// Whether `key` signed it.
    ///
    /// # Errors
    /// [`BadKey`] when it did not, or by an algorithm that is not accepted.
    pub(crate) fn verify(&self, key: &PublicKey) -> Result<(), BadKey> {
        let algorithm = SignatureAlgorithm::from_identifier(self.algorithm)?;
        let signature = self.signature.as_bytes().ok_or(BadKey::Signature)?;
        key.verify(algorithm, self.tbs, signature)
    }
}

/// Whether what was true at `this_update` is heard of before it was, by more than clocks differ.
pub(crate) fn is_early(this_update: Timestamp, now: Timestamp) -> bool {
    this_update.duration_since(now) > CLOCKS
}

/// Whether something newer was promised for a time that has passed, by more than clocks differ.
pub(crate) fn is_late(next_update: Timestamp, now: Timestamp) -> bool {
    now.duration_since(next_update) > CLOCKS
}

const CLOCKS: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);
