//! The smaller payloads: authorizations, challenges, finalization, revocation (RFC 8555 §7.4 to
//! §7.6).

use crate::json::Object;
use crate::{Problem, ProblemType};

/// Checks that a request for a resource is a POST-as-GET (RFC 8555 §6.3).
///
/// # Errors
/// `malformed` if it has a payload.
pub fn post_as_get(payload: &[u8]) -> Result<(), Problem> {
    if payload.is_empty() {
        Ok(())
    } else {
        Err(Problem::malformed("a POST-as-GET has an empty payload (RFC 8555 §6.3)"))
    }
}

/// What a client does with an authorization (RFC 8555 §7.5, §7.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationUpdate {
    /// Read it: a POST-as-GET.
    Read,
    /// Give it up.
    Deactivate,
}

impl AuthorizationUpdate {
    /// Reads the payload.
    ///
    /// # Errors
    /// `malformed` for any status but `deactivated`.
    pub fn parse(payload: &[u8]) -> Result<Self, Problem> {
        if payload.is_empty() {
            return Ok(Self::Read);
        }
        let mut members = Object::parse(payload, "the authorization update")?;
        match members.string("status")?.as_deref() {
            Some("deactivated") => Ok(Self::Deactivate),
            _ => Err(members.wrong("status", "\"deactivated\"")),
        }
    }
}

/// What a client does with a challenge (RFC 8555 §7.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeResponse {
    /// Read it: a POST-as-GET.
    Read,
    /// Say that it can be validated now: an object, whose members none of the challenge types
    /// offered here defines.
    Ready,
}

impl ChallengeResponse {
    /// Reads the payload.
    ///
    /// # Errors
    /// `malformed` if it is not an object.
    pub fn parse(payload: &[u8]) -> Result<Self, Problem> {
        if payload.is_empty() {
            return Ok(Self::Read);
        }
        Object::parse(payload, "the challenge response").map(|_| Self::Ready)
    }
}

/// finalize (RFC 8555 §7.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finalize {
    /// The certification request in DER (RFC 2986), not yet looked into.
    pub csr: Vec<u8>,
}

impl Finalize {
    /// Reads the payload.
    ///
    /// # Errors
    /// `malformed`; `badCSR` if it is PEM or empty.
    pub fn parse(payload: &[u8]) -> Result<Self, Problem> {
        let mut members = Object::parse(payload, "the finalize request")?;
        let csr = der(&mut members, "csr", ProblemType::BadCsr)?;
        Ok(Self { csr })
    }
}

/// revokeCert (RFC 8555 §7.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeCertificate {
    /// The certificate in DER, not yet looked into.
    pub certificate: Vec<u8>,
    /// The reason code (RFC 5280 §5.3.1), one a client may give.
    pub reason: Option<u8>,
}

impl RevokeCertificate {
    /// Reads the payload.
    ///
    /// # Errors
    /// `malformed`; `badRevocationReason` for a reason that is not the client's to give.
    pub fn parse(payload: &[u8]) -> Result<Self, Problem> {
        let mut members = Object::parse(payload, "the revokeCert request")?;
        let certificate = der(&mut members, "certificate", ProblemType::Malformed)?;
        let reason = members.integer("reason")?.map(reason).transpose()?;
        Ok(Self { certificate, reason })
    }
}

fn reason(code: i64) -> Result<u8, Problem> {
    u8::try_from(code).ok().filter(|code| REASONS.contains(code)).ok_or_else(|| {
        Problem::new(
            ProblemType::BadRevocationReason,
            format!(
                "reason {code} is not accepted; 0 (unspecified), 1 (keyCompromise), \
                 3 (affiliationChanged), 4 (superseded), 5 (cessationOfOperation) and \
                 9 (privilegeWithdrawn) are"
            ),
        )
    })
}

fn der(members: &mut Object, name: &str, kind: ProblemType) -> Result<Vec<u8>, Problem> {
    let text = members.required_string(name)?;
    if text.trim_start().starts_with("-----BEGIN") {
        return Err(Problem::new(
            kind,
            format!("\"{name}\" is PEM; it must be DER in base64url (RFC 8555 §7.4)"),
        ));
    }
    match crate::json::base64url(&text) {
        None => Err(members.wrong(name, "base64url without padding")),
        Some(der) if der.is_empty() => Err(Problem::new(kind, format!("\"{name}\" is empty"))),
        Some(der) => Ok(der),
    }
}

/// The reasons that make sense for an end-entity certificate (RFC 5280 §5.3.1): no authority's
/// compromise (2, 10), no hold (6) and no removal from it (8).
const REASONS: [u8; 6] = [0, 1, 3, 4, 5, 9];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_payload_is_a_post_as_get() {
        assert!(post_as_get(b"").is_ok());
        assert!(post_as_get(b"{}").is_err());
    }

    #[test]
    fn authorizations_and_challenges_know_two_requests_each() {
        assert_eq!(AuthorizationUpdate::parse(b""), Ok(AuthorizationUpdate::Read));
        let update = AuthorizationUpdate::parse(br#"{"status":"deactivated"}"#);
        assert_eq!(update, Ok(AuthorizationUpdate::Deactivate));
        for bad in [&b"{}"[..], br#"{"status":"valid"}"#, b"null"] {
            assert!(AuthorizationUpdate::parse(bad).is_err());
        }
        assert_eq!(ChallengeResponse::parse(b""), Ok(ChallengeResponse::Read));
        assert_eq!(ChallengeResponse::parse(b"{}"), Ok(ChallengeResponse::Ready));
        let old = ChallengeResponse::parse(br#"{"keyAuthorization":"a.b"}"#);
        assert_eq!(old, Ok(ChallengeResponse::Ready));
        assert!(ChallengeResponse::parse(b"\"\"").is_err());
    }

    #[test]
    fn a_csr_is_der_in_base64url() {
        assert_eq!(Finalize::parse(br#"{"csr":"MAA"}"#).expect("valid").csr, [0x30, 0]);
        let kind = |payload: &[u8]| Finalize::parse(payload).expect_err("refused").kind;
        assert_eq!(kind(b"{}"), ProblemType::Malformed);
        assert_eq!(kind(br#"{"csr":"MAA="}"#), ProblemType::Malformed);
        assert_eq!(kind(br#"{"csr":"MA+"}"#), ProblemType::Malformed);
        assert_eq!(kind(br#"{"csr":""}"#), ProblemType::BadCsr);
        assert_eq!(kind(br#"{"csr":"-----BEGIN CERTIFICATE REQUEST-----"}"#), ProblemType::BadCsr);
    }

    #[test]
    fn only_reasons_of_end_entities_are_accepted() {
        let parse = |reason: &str| {
            RevokeCertificate::parse(
                format!(r#"{{"certificate":"MAA","reason":{reason}}}"#).as_bytes(),
            )
        };
        for good in [0, 1, 3, 4, 5, 9] {
            assert_eq!(parse(&good.to_string()).expect("valid").reason, Some(good));
        }
        for bad in ["2", "6", "7", "8", "10", "11", "-1", "256"] {
            assert_eq!(parse(bad).expect_err(bad).kind, ProblemType::BadRevocationReason);
        }
        for bad in ["\"1\"", "1.5", "true"] {
            assert_eq!(parse(bad).expect_err(bad).kind, ProblemType::Malformed);
        }
        assert_eq!(parse("null").expect("absent").reason, None);
    }
}
