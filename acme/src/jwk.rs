//! Public keys as JSON Web Keys (RFC 7517, RFC 7518 §6, RFC 8037): the only form in which account
//! keys arrive, are compared and are stored. A [`Jwk`] that exists is on its curve and of an
//! accepted size. No private key is ever held here.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters,
    RsaPublicKeyComponents, VerificationAlgorithm,
};
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;

use crate::algorithm::Algorithm;
use crate::json::{Object, base64url};
use crate::{Problem, ProblemType};

/// A public key fit to sign ACME requests. Two are equal if they are the same key.
#[derive(Clone)]
pub struct Jwk {
    /// RFC 7638 §3.2's form: exactly the required members, in order, without white space.
    canonical: String,
    key: Key,
}

#[derive(Clone)]
enum Key {
    /// A key that verifies with one algorithm only (ECDSA, EdDSA).
    Fixed(Algorithm, ParsedPublicKey),
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
}

impl Jwk {
    /// Reads a key from JSON text, such as [`Jwk`]'s `Display` writes for storage.
    ///
    /// # Errors
    /// `malformed` if it is no JSON object, `badPublicKey` if it is no key accepted here.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        Self::from_object(Object::parse(text.as_bytes(), "the JWK")?)
    }

    pub(crate) fn from_value(value: Value) -> Result<Self, Problem> {
        Self::from_object(Object::from_value(value, "the JWK")?)
    }

    pub(crate) fn from_object(mut members: Object) -> Result<Self, Problem> {
        if let Some(name) = PRIVATE.iter().find(|name| members.has(name)) {
            return Err(bad(format!(
                "it has the private member \"{name}\": a private key that was sent is not secret \
                 any more, make a new one and send only its public members"
            )));
        }
        if members.string("use").map_err(|e| bad(e.detail))?.is_some_and(|usage| usage != "sig") {
            return Err(bad("its \"use\" is not \"sig\""));
        }
        match text(&mut members, "kty")?.as_str() {
            "EC" => Self::ec(&mut members),
            "OKP" => Self::okp(&mut members),
            "RSA" => Self::rsa(&mut members),
            other => Err(bad(format!("its \"kty\" is {other:?}; EC, OKP and RSA are accepted"))),
        }
    }

    /// The SHA-256 thumbprint (RFC 7638 §3).
    #[must_use]
    pub fn thumbprint(&self) -> [u8; 32] {
        sha256(self.canonical.as_bytes())
    }

    /// The thumbprint in base64url, as it stands in a key authorization (RFC 8555 §8.1).
    #[must_use]
    pub fn thumbprint_text(&self) -> String {
        BASE64URL_NOPAD.encode(&self.thumbprint())
    }

    /// The algorithms a JWS by this key may name (RFC 8555 §6.2).
    #[must_use]
    pub fn algorithms(&self) -> &'static [Algorithm] {
        match &self.key {
            Key::Fixed(Algorithm::Es256, _) => &[Algorithm::Es256],
            Key::Fixed(Algorithm::Es384, _) => &[Algorithm::Es384],
            Key::Fixed(Algorithm::Es512, _) => &[Algorithm::Es512],
            Key::Fixed(..) => &[Algorithm::EdDsa],
            Key::Rsa(_) => &[Algorithm::Rs256, Algorithm::Ps256],
        }
    }

    /// The key as `SubjectPublicKeyInfo` in DER, to compare with a certificate's (RFC 8555 §7.6).
    /// `None` only if the cryptographic library fails.
    #[must_use]
    pub fn subject_public_key_info(&self) -> Option<Vec<u8>> {
        let der = match &self.key {
            Key::Fixed(_, parsed) => parsed.as_der(),
            Key::Rsa(components) => components.as_der(),
        };
        Some(der.ok()?.as_ref().to_vec())
    }

    /// Whether `signature` over `message` is by this key with `algorithm`.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match &self.key {
            Key::Fixed(own, parsed) => {
                *own == algorithm && parsed.verify_sig(message, signature).is_ok()
            }
            Key::Rsa(components) => rsa_parameters(algorithm)
                .is_some_and(|how| components.verify(how, message, signature).is_ok()),
        }
    }

    fn ec(members: &mut Object) -> Result<Self, Problem> {
        let curve = text(members, "crv")?;
        let (algorithm, how, size): (_, &'static dyn VerificationAlgorithm, _) =
            match curve.as_str() {
                "P-256" => (Algorithm::Es256, &ECDSA_P256_SHA256_FIXED, 32),
                "P-384" => (Algorithm::Es384, &ECDSA_P384_SHA384_FIXED, 48),
                "P-521" => (Algorithm::Es512, &ECDSA_P521_SHA512_FIXED, 66),
                _ => return Err(bad("its \"crv\" is not P-256, P-384 or P-521")),
            };
        let (x, y) = (text(members, "x")?, text(members, "y")?);
        let mut point = vec![UNCOMPRESSED];
        for (name, coordinate) in [("x", &x), ("y", &y)] {
            let octets = octets(name, coordinate)?;
            if octets.len() != size {
                return Err(bad(format!("its \"{name}\" is not {size} octets (RFC 7518 §6.2.1)")));
            }
            point.extend(octets);
        }
        let parsed = ParsedPublicKey::new(how, point)
            .map_err(|_| bad(format!("it is not a point of {curve}")))?;
        let canonical = format!(r#"{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#);
        Ok(Self { canonical, key: Key::Fixed(algorithm, parsed) })
    }

    fn okp(members: &mut Object) -> Result<Self, Problem> {
        if text(members, "crv")? != "Ed25519" {
            return Err(bad("its \"crv\" is not Ed25519"));
        }
        let x = text(members, "x")?;
        let point: [u8; 32] = octets("x", &x)?
            .try_into()
            .map_err(|_| bad("its \"x\" is not 32 octets (RFC 8037 §2)"))?;
        if !is_canonical_ed25519(&point) {
            return Err(bad("its \"x\" is a point of small order or not in canonical form"));
        }
        let parsed = ParsedPublicKey::new(&ED25519, point)
            .map_err(|_| bad("its \"x\" is not a point of Ed25519"))?;
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        Ok(Self { canonical, key: Key::Fixed(Algorithm::EdDsa, parsed) })
    }

    fn rsa(members: &mut Object) -> Result<Self, Problem> {
        let (n_text, e_text) = (text(members, "n")?, text(members, "e")?);
        let (n, e) = (octets("n", &n_text)?, octets("e", &e_text)?);
        for (name, number) in [("n", &n), ("e", &e)] {
            if number.first().is_none_or(|first| *first == 0) {
                return Err(bad(format!("its \"{name}\" is not minimal (RFC 7518 §2)")));
            }
            if number.last().is_some_and(|last| last % 2 == 0) {
                return Err(bad(format!("its \"{name}\" is even")));
            }
        }
        let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
        if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
            return Err(bad(format!(
                "it has {bits} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are accepted"
            )));
        }
        let exponent = e.iter().fold(0_u64, |sum, octet| sum << 8 | u64::from(*octet));
        if e.len() > 4 || exponent < 65537 {
            return Err(bad("its \"e\" is not between 65537 and 2^32"));
        }
        let canonical = format!(r#"{{"e":"{e_text}","kty":"RSA","n":"{n_text}"}}"#);
        Ok(Self { canonical, key: Key::Rsa(RsaPublicKeyComponents { n, e }) })
    }
}

impl fmt::Display for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical)
    }
}

impl fmt::Debug for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jwk({})", self.canonical)
    }
}

impl FromStr for Jwk {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        Self::parse(text)
    }
}

impl PartialEq for Jwk {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Eq for Jwk {}

fn text(members: &mut Object, name: &str) -> Result<String, Problem> {
    members.required_string(name).map_err(|e| bad(e.detail))
}

fn octets(name: &str, text: &str) -> Result<Vec<u8>, Problem> {
    base64url(text).ok_or_else(|| bad(format!("its \"{name}\" is not base64url without padding")))
}

fn bad(why: impl fmt::Display) -> Problem {
    Problem::new(ProblemType::BadPublicKey, format!("the key is not accepted: {why}"))
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
        _ => None,
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

/// Refuses encodings of y ≥ p (RFC 8032 §5.1.3) and the eight points of small order, with which a
/// signature proves nothing.
fn is_canonical_ed25519(point: &[u8; 32]) -> bool {
    let mut y = *point;
    y[31] &= 0x7f;
    let over = y[31] == 0x7f && y[1..31].iter().all(|octet| *octet == 0xff) && y[0] >= 0xed;
    !over && !SMALL_ORDER_Y.contains(&y)
}

const UNCOMPRESSED: u8 = 4;
const MIN_RSA_BITS: usize = 2048;
const MAX_RSA_BITS: usize = 4096;
/// RFC 7518 §6.2.2, §6.3.2, §6.4.1.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
/// The y coordinates, without sign bit, of the points whose order divides 8: 0, 1, -1 and the two
/// of order 8.
const SMALL_ORDER_Y: [[u8; 32]; 5] = [
    [0; 32],
    [
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515 appendix A.3, A.4 and A.2; RFC 8037 appendix A.4; RFC 7638 §3.1.
    const P256: &str = r#"{"kty":"EC","crv":"P-256","kid":"1","use":"sig",
        "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
    const P521: &str = r#"{"kty":"EC","crv":"P-521",
        "x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
        "y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}"#;
    const ED25519: &str =
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    const RSA: &str = r#"{"kty":"RSA","e":"AQAB",
        "n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#;
    const RSA_7638: &str = r#"{"kty":"RSA","e":"AQAB","alg":"RS256","kid":"2011-04-29",
        "n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}"#;
    const CLAIMS: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

    fn jwk(text: &str) -> Jwk {
        Jwk::parse(text).expect("a vector's key")
    }

    #[test]
    fn signatures_of_the_rfcs_verify() {
        for (key, algorithm, input, signature) in [
            (
                P256,
                Algorithm::Es256,
                format!("eyJhbGciOiJFUzI1NiJ9.{CLAIMS}"),
                "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
            ),
            (
                P521,
                Algorithm::Es512,
                "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA".to_owned(),
                "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
            ),
            (
                ED25519,
                Algorithm::EdDsa,
                "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".to_owned(),
                "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
            ),
            (
                RSA,
                Algorithm::Rs256,
                format!("eyJhbGciOiJSUzI1NiJ9.{CLAIMS}"),
                "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
            ),
        ] {
            let (key, mut signature) = (jwk(key), base64url(signature).expect("base64url"));
            assert!(key.verifies(algorithm, input.as_bytes(), &signature), "{algorithm}");
            assert!(!key.verifies(algorithm, &input.as_bytes()[1..], &signature), "{algorithm}");
            for other in Algorithm::SIGNATURES.iter().filter(|other| **other != algorithm) {
                assert!(!key.verifies(*other, input.as_bytes(), &signature), "{other}");
            }
            signature[9] ^= 1;
            assert!(!key.verifies(algorithm, input.as_bytes(), &signature), "{algorithm}");
        }
    }

    #[test]
    fn thumbprints_are_those_of_the_rfcs() {
        for (key, thumbprint) in [
            (RSA_7638, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
            (ED25519, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
        ] {
            assert_eq!(jwk(key).thumbprint_text(), thumbprint);
        }
    }

    #[test]
    fn what_is_stored_is_read_back() {
        for text in [P256, P521, ED25519, RSA] {
            let key = jwk(text);
            let stored = key.to_string();
            assert!(!stored.contains(char::is_whitespace) && !stored.contains("kid"));
            assert_eq!(jwk(&stored), key);
            assert_eq!(jwk(&stored).to_string(), stored);
        }
        assert_ne!(jwk(RSA), jwk(RSA_7638));
    }

    #[test]
    fn the_eight_points_of_small_order_are_refused() {
        for y in SMALL_ORDER_Y {
            for sign in [0, 0x80] {
                let mut point = y;
                point[31] |= sign;
                let x = BASE64URL_NOPAD.encode(&point);
                let text = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#);
                assert_eq!(Jwk::parse(&text).expect_err(&x).kind, ProblemType::BadPublicKey);
            }
        }
    }
}
