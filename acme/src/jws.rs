//! Requests as JSON Web Signatures: flattened JSON serialization only, everything in the protected
//! header (RFC 8555 §6.2, RFC 7515 §7.2.2). What is parsed here is well-formed but proves nothing
//! until [`Jws::verify`] succeeds with the right key.

use serde_json::Value;

use crate::algorithm::Algorithm;
use crate::json::{Object, base64url};
use crate::jwk::Jwk;
use crate::{Problem, ProblemType};

/// A signed request, taken apart.
#[derive(Clone, Debug)]
pub struct Jws {
    /// What is signed besides the payload.
    pub header: ProtectedHeader,
    /// The decoded payload; empty in a POST-as-GET (RFC 8555 §6.3).
    pub payload: Vec<u8>,
    /// `BASE64URL(header) . BASE64URL(payload)` as received (RFC 7515 §5.2).
    signing_input: Vec<u8>,
    signature: Vec<u8>,
}

/// The protected header (RFC 8555 §6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectedHeader {
    /// `alg`.
    pub algorithm: Algorithm,
    /// `jwk` or `kid`, never both.
    pub key: KeyReference,
    /// `nonce`, known to be base64url (RFC 8555 §6.5.2), if there is one.
    pub nonce: Option<String>,
    /// `url`: where the client meant to send this (RFC 8555 §6.4).
    pub url: String,
}

/// How a request says which key signed it (RFC 8555 §6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyReference {
    /// By the key itself: newAccount, and revocation by certificate key.
    Jwk(Jwk),
    /// By account URL (or, in an EAB, by key identifier).
    Kid(String),
}

impl Jws {
    /// Takes a request body apart. Nothing is verified yet.
    ///
    /// # Errors
    /// `malformed` for whatever breaks RFC 8555 §6.2 (413 if it is too long),
    /// `badSignatureAlgorithm` with the accepted ones, `badPublicKey` for an unfit `jwk`.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        if body.len() > MAX_BODY {
            return Err(Problem::malformed(format!(
                "the request is longer than {MAX_BODY} octets"
            ))
            .with_status(413));
        }
        Self::from_object(Object::parse(body, "the JWS")?, Algorithm::SIGNATURES)
    }

    /// A JWS that is a member of another request's payload, and may use other algorithms.
    pub(crate) fn nested(value: Value, accepted: &[Algorithm]) -> Result<Self, Problem> {
        Self::from_object(Object::from_value(value, "the inner JWS")?, accepted)
    }

    fn from_object(mut members: Object, accepted: &[Algorithm]) -> Result<Self, Problem> {
        if members.has("signatures") {
            return Err(Problem::malformed(
                "the JWS has \"signatures\": only the flattened serialization is accepted",
            ));
        }
        if members.has("header") {
            return Err(Problem::malformed("the JWS has an unprotected \"header\""));
        }
        let protected = members.required_string("protected")?;
        let payload = members.required_string("payload")?;
        let signature = members.required_bytes("signature")?;
        let not_base64 =
            |name| Problem::malformed(format!("\"{name}\" is not base64url without padding"));
        let header = base64url(&protected).ok_or_else(|| not_base64("protected"))?;
        Ok(Self {
            header: ProtectedHeader::parse(&header, accepted)?,
            payload: base64url(&payload).ok_or_else(|| not_base64("payload"))?,
            signing_input: [protected.as_bytes(), b".", payload.as_bytes()].concat(),
            signature,
        })
    }

    /// Checks the signature under `key`.
    ///
    /// # Errors
    /// `badSignatureAlgorithm` if `alg` does not suit the key, `malformed` if the signature is not
    /// the key's.
    pub fn verify(&self, key: &Jwk) -> Result<(), Problem> {
        let algorithm = self.header.algorithm;
        if !key.algorithms().contains(&algorithm) {
            return Err(bad_algorithm(
                format!("a key of this kind does not sign with {algorithm}"),
                key.algorithms(),
            ));
        }
        if key.verifies(algorithm, &self.signing_input, &self.signature) {
            Ok(())
        } else {
            Err(Problem::malformed("the JWS signature is not by the key the request names"))
        }
    }

    /// What the signature or MAC covers, and the signature or MAC.
    pub(crate) fn signed(&self) -> (&[u8], &[u8]) {
        (&self.signing_input, &self.signature)
    }
}

impl ProtectedHeader {
    fn parse(bytes: &[u8], accepted: &[Algorithm]) -> Result<Self, Problem> {
        let mut members = Object::parse(bytes, "the protected header")?;
        if members.has("crit") {
            return Err(Problem::malformed("\"crit\" names an extension not understood here"));
        }
        if members.boolean("b64")? == Some(false) {
            return Err(Problem::malformed("the payload must be base64url-encoded"));
        }
        let name = members.required_string("alg")?;
        let algorithm =
            *accepted.iter().find(|algorithm| algorithm.name() == name).ok_or_else(|| {
                let name: String = name.chars().take(32).collect();
                bad_algorithm(format!("\"alg\" {name:?} is not accepted here"), accepted)
            })?;
        let key = match (members.take("jwk"), members.string("kid")?) {
            (Some(jwk), None) => KeyReference::Jwk(Jwk::from_value(jwk)?),
            (None, Some(kid)) => KeyReference::Kid(kid),
            (Some(_), Some(_)) => {
                return Err(Problem::malformed("the protected header has both jwk and kid"));
            }
            (None, None) => {
                return Err(Problem::malformed("the protected header has neither jwk nor kid"));
            }
        };
        let nonce = members.string("nonce")?;
        if nonce.as_deref().is_some_and(|nonce| nonce.is_empty() || base64url(nonce).is_none()) {
            return Err(members.wrong("nonce", "base64url without padding"));
        }
        Ok(Self { algorithm, key, nonce, url: members.required_string("url")? })
    }

    /// Checks that this was meant for `url`, the one it arrived at (RFC 8555 §6.4).
    ///
    /// # Errors
    /// `unauthorized`.
    pub fn check_url(&self, url: &str) -> Result<(), Problem> {
        if self.url == url {
            return Ok(());
        }
        let meant: String = self.url.chars().take(200).collect();
        Err(Problem::new(
            ProblemType::Unauthorized,
            format!("the request is signed for {meant:?} but was sent to {url:?}"),
        ))
    }

    /// The nonce, which every request to an ACME server carries (RFC 8555 §6.5).
    ///
    /// # Errors
    /// `badNonce` if there is none.
    pub fn required_nonce(&self) -> Result<&str, Problem> {
        self.nonce
            .as_deref()
            .ok_or_else(|| Problem::new(ProblemType::BadNonce, "the request has no nonce"))
    }
}

fn bad_algorithm(detail: String, accepted: &[Algorithm]) -> Problem {
    let mut problem = Problem::new(ProblemType::BadSignatureAlgorithm, detail);
    problem.algorithms = accepted.iter().map(ToString::to_string).collect();
    problem
}

/// The longest request body read, in octets; a CSR of 100 long names takes half of it.
pub const MAX_BODY: usize = 64 * 1024;
