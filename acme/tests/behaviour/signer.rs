//! A client's side of JWS: keys that sign, and requests with anything one may want to get wrong.

use acme::{Algorithm, Jwk};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding,
};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use x509_cert::der::Decode;
use x509_cert::spki::SubjectPublicKeyInfoRef;

pub(crate) const URL: &str = "https://ca.example/acme/new-account";
pub(crate) const ACCOUNT: &str = "https://ca.example/acme/account/1";

pub(crate) struct Signer {
    key: Key,
    pub(crate) algorithm: Algorithm,
    pub(crate) jwk: Value,
}

enum Key {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

impl Signer {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Es256 => Self::ecdsa(algorithm, &ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            Algorithm::Es384 => Self::ecdsa(algorithm, &ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            Algorithm::Es512 => Self::ecdsa(algorithm, &ECDSA_P521_SHA512_FIXED_SIGNING, "P-521"),
            Algorithm::Rs256 => Self::rsa(algorithm, &RSA_PKCS1_SHA256),
            Algorithm::Ps256 => Self::rsa(algorithm, &RSA_PSS_SHA256),
            _ => {
                let pair = Ed25519KeyPair::generate().expect("key");
                let jwk =
                    json!({"kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key().as_ref())});
                Self { key: Key::Ed25519(pair), algorithm, jwk }
            }
        }
    }

    fn ecdsa(algorithm: Algorithm, how: &'static EcdsaSigningAlgorithm, curve: &str) -> Self {
        let pair = EcdsaKeyPair::generate(how).expect("key");
        let point = &pair.public_key().as_ref()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        let jwk = json!({"kty": "EC", "crv": curve, "x": b64(x), "y": b64(y)});
        Self { key: Key::Ecdsa(pair), algorithm, jwk }
    }

    fn rsa(algorithm: Algorithm, how: &'static dyn RsaEncoding) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("key");
        let der = pair.public_key().as_der().expect("der");
        let spki = SubjectPublicKeyInfoRef::from_der(der.as_ref()).expect("spki");
        let pkcs1 = spki.subject_public_key.raw_bytes();
        // SEQUENCE (4 octets of header), INTEGER n of 257 octets with its sign, INTEGER e.
        let (n, e) = (&pkcs1[9..265], &pkcs1[267..]);
        let jwk = json!({"kty": "RSA", "n": b64(n), "e": b64(e)});
        Self { key: Key::Rsa(pair, how), algorithm, jwk }
    }

    pub(crate) fn public(&self) -> Jwk {
        Jwk::parse(&self.jwk.to_string()).expect("own key")
    }

    /// A request as newAccount makes it, by `jwk`.
    pub(crate) fn by_jwk(&self, url: &str, payload: &[u8]) -> Value {
        self.sign(
            &json!({"alg": self.algorithm.name(), "jwk": self.jwk, "nonce": "bm9uY2U", "url": url}),
            payload,
        )
    }

    /// A request of an account, by `kid`.
    pub(crate) fn by_kid(&self, url: &str, payload: &[u8]) -> Value {
        self.sign(
            &json!({"alg": self.algorithm.name(), "kid": ACCOUNT, "nonce": "bm9uY2U", "url": url}),
            payload,
        )
    }

    pub(crate) fn sign(&self, header: &Value, payload: &[u8]) -> Value {
        let (protected, payload) = (b64(header.to_string().as_bytes()), b64(payload));
        let signature = self.signature(format!("{protected}.{payload}").as_bytes());
        json!({"protected": protected, "payload": payload, "signature": b64(&signature)})
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Ecdsa(pair) => pair.sign(&random, message).expect("signature").as_ref().to_vec(),
            Key::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Key::Rsa(pair, how) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*how, &random, message, &mut signature).expect("signature");
                signature
            }
        }
    }
}

pub(crate) fn b64(octets: &[u8]) -> String {
    BASE64URL_NOPAD.encode(octets)
}
