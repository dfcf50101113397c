//! The applicant's side: a PKCS#10 request (RFC 2986) for a key that is at hand, and the PEM that
//! requests and keys come in.

use zeroize::Zeroizing;

use crate::asn1;
use crate::name::Identifier;
use crate::signer::{MemorySigner, SignError, Signer};
use crate::tbs;

/// A request, in DER, for `identifiers` and the signer's key. The subject is empty; the names stand
/// in the subject alternative name.
///
/// # Errors
/// When the signer does not sign.
pub fn request(signer: &dyn Signer, identifiers: &[Identifier]) -> Result<Vec<u8>, SignError> {
    let names = tbs::subject_alt_name(identifiers.iter(), false);
    let extensions = asn1::element(asn1::SEQUENCE, &[&names]);
    let values = asn1::element(asn1::SET, &[&extensions]);
    let attribute = asn1::element(asn1::SEQUENCE, &[EXTENSION_REQUEST, &values]);
    let info = asn1::element(
        asn1::SEQUENCE,
        &[
            VERSION_1,
            EMPTY_NAME,
            signer.public_key().spki(),
            &asn1::element(asn1::constructed(0), &[&attribute]),
        ],
    );
    let signature = asn1::bit_string(&signer.sign(&info)?);
    let algorithm = signer.public_key().algorithm().signature();
    Ok(asn1::element(asn1::SEQUENCE, &[&info, algorithm.identifier(), &signature]))
}

/// The DER of a request that comes as PEM or as DER.
///
/// # Errors
/// [`BadPem`] when it looks like PEM and is not.
pub fn der_of_request(bytes: &[u8]) -> Result<Vec<u8>, BadPem> {
    let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| text.contains("-----BEGIN"))
    else {
        return Ok(bytes.to_vec());
    };
    let begin = text.find("REQUEST-----").map(|at| at + "REQUEST-----".len());
    let body = begin.and_then(|begin| text[begin..].split("-----END").next());
    let body: String = body.ok_or(BadPem)?.split_ascii_whitespace().collect();
    data_encoding::BASE64.decode(body.as_bytes()).map_err(|_| BadPem)
}

/// Text that begins as PEM and holds no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file holds no certificate request in PEM")]
pub struct BadPem;

/// The private key as PEM (RFC 7468 §10).
///
/// # Errors
/// When the key cannot be exported.
pub fn key_pem(signer: &MemorySigner) -> Result<Zeroizing<String>, SignError> {
    let der = signer.pkcs8()?;
    Ok(Zeroizing::new(crate::certificate::pem("PRIVATE KEY", &der)))
}

const VERSION_1: &[u8] = &[0x02, 0x01, 0x00];
const EMPTY_NAME: &[u8] = &[0x30, 0x00];
/// 1.2.840.113549.1.9.14 (RFC 2985 §5.4.2).
const EXTENSION_REQUEST: &[u8] =
    &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
