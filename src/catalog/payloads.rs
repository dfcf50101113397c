//! Which payloads a keyset signs that are no claims.

use jwks::token::{is_jwt_type, is_media_type};
use serde::{Deserialize, Serialize};

/// `true`, or the types that are signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Payloads {
    Any(bool),
    Types(Vec<String>),
}

impl Default for Payloads {
    fn default() -> Self {
        Self::Any(false)
    }
}

impl Payloads {
    pub(super) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a payload of this type may be signed.
    ///
    /// # Errors
    /// Why not, in words.
    pub(crate) fn allow(&self, typ: &str) -> Result<(), String> {
        check_type(typ)?;
        match self {
            Self::Any(true) => Ok(()),
            Self::Any(false) => {
                Err("the keyset signs claims only: its payloads are not set".into())
            }
            // Media types are the same in any case (RFC 2045 §5.1).
            Self::Types(types) if types.iter().any(|known| known.eq_ignore_ascii_case(typ)) => {
                Ok(())
            }
            Self::Types(_) => {
                Err(format!("payloads of typ {typ:?} are not signed with this keyset"))
            }
        }
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// A sentence that says what does not.
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::Any(_) => Ok(()),
            Self::Types(types) if types.is_empty() => {
                Err("payloads is empty: name types, or remove it".into())
            }
            Self::Types(types) => types.iter().try_for_each(|typ| check_type(typ)),
        }
    }
}

/// Whether a JWS of this type is none that a reader takes for a JWT.
fn check_type(typ: &str) -> Result<(), String> {
    if !is_media_type(typ) {
        return Err(format!("payload type {typ:?} is no media type"));
    }
    if is_jwt_type(typ) {
        return Err(format!(
            "a payload of type {typ:?} could pass as a token: choose another type"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_payload_is_signed_as_what_could_pass_as_a_token() {
        for payloads in [Payloads::Any(true), Payloads::Types(vec!["at+jwt".into(), "JWT".into()])]
        {
            for typ in [
                "JWT",
                "jwt",
                "at+jwt",
                "AT+JWT",
                "application/at+jwt",
                "application/JWT",
                "dpop+jwt",
                "",
            ] {
                assert!(payloads.allow(typ).is_err(), "{typ}");
            }
        }
        assert!(Payloads::Types(vec!["at+jwt".into()]).check().is_err());
        assert_eq!(Payloads::Any(true).allow("statement+json"), Ok(()));
        assert!(Payloads::default().allow("statement+json").is_err());
        let one = Payloads::Types(vec!["statement+json".into()]);
        assert_eq!(one.allow("Statement+json"), Ok(()));
        assert!(one.allow("other+json").is_err());
    }
}
