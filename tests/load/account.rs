//! The client's side of JWS (RFC 7515 as narrowed by RFC 8555 §6.2): an ES256 account key that
//! signs requests. It knows nothing of connections.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use data_encoding::BASE64URL_NOPAD;

use crate::error::Error;

/// An account key, and the account URL once there is one.
pub(crate) struct Account {
    key: EcdsaKeyPair,
    jwk: String,
    thumbprint: String,
    random: SystemRandom,
    /// The account URL (RFC 8555 §7.3); until it is set, requests carry the public key.
    pub(crate) url: Option<String>,
}

impl Account {
    /// Makes a fresh P-256 key.
    pub(crate) fn generate() -> Result<Self, Error> {
        let failed = |_| Error::Crypto("make an account key");
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
        // SEC 1 §2.3.3: 0x04, then both coordinates.
        let (x, y) = key.public_key().as_ref()[1..].split_at(32);
        // RFC 7638 §3.2: members in this order make the thumbprint's input as well.
        let jwk = format!(
            r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
            BASE64URL_NOPAD.encode(x),
            BASE64URL_NOPAD.encode(y)
        );
        let thumbprint = BASE64URL_NOPAD.encode(digest(&SHA256, jwk.as_bytes()).as_ref());
        Ok(Self { key, jwk, thumbprint, random: SystemRandom::new(), url: None })
    }

    /// The key authorization for a challenge token (RFC 8555 §8.1).
    pub(crate) fn key_authorization(&self, token: &str) -> String {
        format!("{token}.{}", self.thumbprint)
    }

    /// A flattened JWS over `payload`, for `url`, with `nonce`. An empty payload makes a
    /// POST-as-GET (RFC 8555 §6.3).
    pub(crate) fn sign(&self, url: &str, nonce: &str, payload: &str) -> Result<Vec<u8>, Error> {
        let key = match &self.url {
            Some(kid) => format!(r#""kid":"{kid}""#),
            None => format!(r#""jwk":{}"#, self.jwk),
        };
        let protected = format!(r#"{{"alg":"ES256",{key},"nonce":"{nonce}","url":"{url}"}}"#);
        let mut input = BASE64URL_NOPAD.encode(protected.as_bytes());
        let split = input.len();
        input.push('.');
        BASE64URL_NOPAD.encode_append(payload.as_bytes(), &mut input);
        let signature = self
            .key
            .sign(&self.random, input.as_bytes())
            .map_err(|_| Error::Crypto("sign a request"))?;
        Ok(format!(
            r#"{{"protected":"{}","payload":"{}","signature":"{}"}}"#,
            &input[..split],
            &input[split + 1..],
            BASE64URL_NOPAD.encode(signature.as_ref())
        )
        .into_bytes())
    }
}
