//! What the authenticator says (§6.1): bytes in a fixed order, and CBOR where they end. Each length is
//! checked before it is used, and whatever is left over makes the whole of it malformed.

use minicbor::Decoder;

use crate::{MAX_CREDENTIAL_ID, Refusal};

/// What the authenticator says of a ceremony.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthenticatorData<'a> {
    /// SHA-256 of the relying party's id.
    pub rp_id_hash: &'a [u8],
    /// What was done.
    pub flags: Flags,
    /// How often the credential has signed; 0 if nobody counts.
    pub sign_count: u32,
    /// The credential, in a registration.
    pub attested: Option<Attested<'a>>,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags {
    /// Somebody touched the authenticator.
    pub user_present: bool,
    /// It knows who.
    pub user_verified: bool,
    /// The credential may have copies.
    pub backup_eligible: bool,
    /// It has copies.
    pub backed_up: bool,
}

/// A credential that was just made (§6.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attested<'a> {
    /// What the authenticator calls it.
    pub credential_id: &'a [u8],
    /// Its public key, in COSE.
    pub key: &'a [u8],
}

impl<'a> AuthenticatorData<'a> {
    /// Reads authenticator data.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] with what cannot be read.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        if bytes.len() > MAX_LENGTH {
            return Err(Refusal::Malformed("the authenticator data is too long"));
        }
        let mut rest = bytes;
        let rp_id_hash = take(&mut rest, 32)?;
        let flags = take(&mut rest, 1)?[0];
        let count = take(&mut rest, 4)?.try_into().map_err(|_| SHORT)?;
        let attested = if flags & ATTESTED == 0 { None } else { Some(attested(&mut rest)?) };
        if flags & EXTENSIONS != 0 {
            // None was asked for; what comes all the same is read over.
            item(&mut rest)?;
        }
        if !rest.is_empty() {
            return Err(Refusal::Malformed("something follows the authenticator data"));
        }
        let is = |bit: u8| flags & bit != 0;
        Ok(Self {
            rp_id_hash,
            flags: Flags {
                user_present: is(USER_PRESENT),
                user_verified: is(USER_VERIFIED),
                backup_eligible: is(BACKUP_ELIGIBLE),
                backed_up: is(BACKED_UP),
            },
            sign_count: u32::from_be_bytes(count),
            attested,
        })
    }
}

/// The authenticator data in an attestation object (§6.5.4) without attestation.
pub(crate) fn in_attestation(bytes: &[u8]) -> Result<&[u8], Refusal> {
    let malformed = |_| Refusal::Malformed("the attestation object");
    if bytes.len() > MAX_LENGTH {
        return Err(Refusal::Malformed("the attestation object is too long"));
    }
    let mut decoder = Decoder::new(bytes);
    let (mut format, mut statement, mut data) = (None, None, None);
    if decoder.map().map_err(malformed)? != Some(3) {
        return Err(Refusal::Malformed("the attestation object"));
    }
    for _ in 0..3 {
        match decoder.str().map_err(malformed)? {
            "fmt" => format = Some(decoder.str().map_err(malformed)?),
            "attStmt" => {
                let begins = decoder.position();
                decoder.skip().map_err(malformed)?;
                statement = bytes.get(begins..decoder.position());
            }
            "authData" => data = Some(decoder.bytes().map_err(malformed)?),
            _ => return Err(Refusal::Malformed("the attestation object")),
        }
    }
    // A member that comes twice leaves another out. An empty map is one byte.
    let (Some("none"), Some([0xa0]), Some(data)) = (format, statement, data) else {
        return Err(Refusal::Malformed("an attestation was not asked for"));
    };
    if decoder.position() != bytes.len() {
        return Err(Refusal::Malformed("something follows the attestation object"));
    }
    Ok(data)
}

fn attested<'a>(rest: &mut &'a [u8]) -> Result<Attested<'a>, Refusal> {
    // The model of the authenticator, which nobody is asked about.
    take(rest, 16)?;
    let length = take(rest, 2)?.try_into().map_err(|_| SHORT)?;
    let length = usize::from(u16::from_be_bytes(length));
    if length == 0 || length > MAX_CREDENTIAL_ID {
        return Err(Refusal::Malformed("the credential's id"));
    }
    let credential_id = take(rest, length)?;
    Ok(Attested { credential_id, key: item(rest)? })
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Refusal> {
    let (taken, left) = rest.split_at_checked(length).ok_or(SHORT)?;
    *rest = left;
    Ok(taken)
}

/// One item of CBOR, which has to be a map.
fn item<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Refusal> {
    let malformed = |_| Refusal::Malformed("the CBOR in the authenticator data");
    let mut decoder = Decoder::new(rest);
    decoder.probe().map().map_err(malformed)?;
    decoder.skip().map_err(malformed)?;
    take(rest, decoder.position())
}

const SHORT: Refusal = Refusal::Malformed("the authenticator data is cut short");
/// An RSA key of 4096 bits and the longest id, twice over.
const MAX_LENGTH: usize = 4096;
const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const ATTESTED: u8 = 1 << 6;
const EXTENSIONS: u8 = 1 << 7;
