//! Problem documents (RFC 7807, RFC 8555 §6.7): the only form in which an ACME client hears of an
//! error.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// An error as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What kind of error; decides the HTTP status unless [`Problem::status`] says otherwise.
    #[serde(rename = "type")]
    pub kind: ProblemType,
    /// What happened, to what, and what the client can do about it.
    pub detail: String,
    /// The HTTP status this is sent with.
    pub status: u16,
    /// The identifier concerned, in a subproblem (RFC 8555 §6.7.1).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub identifier: Option<Box<crate::Identifier>>,
    /// One problem per identifier concerned (RFC 8555 §6.7.1).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub subproblems: Vec<Problem>,
    /// Acceptable signature algorithms, with `badSignatureAlgorithm` (RFC 8555 §6.2).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub algorithms: Vec<String>,
    /// When it is worth trying again: sent as `Retry-After` (RFC 8555 §6.6), not in the document.
    #[serde(skip)]
    pub retry_after: Option<SignedDuration>,
}

impl Problem {
    /// A problem of `kind` with its usual HTTP status.
    #[must_use]
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            status: kind.status(),
            identifier: None,
            subproblems: Vec::new(),
            algorithms: Vec::new(),
            retry_after: None,
        }
    }

    /// A `malformed` problem (RFC 8555 §6.7).
    #[must_use]
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(ProblemType::Malformed, detail)
    }

    /// One problem out of several said of single identifiers: the only one's type if there is one,
    /// `compound` otherwise. The identifiers stay in the subproblems, the one place where
    /// RFC 8555 §6.7.1 lets them stand. `None` if there is nothing to complain of.
    #[must_use]
    pub fn from_subproblems(subproblems: Vec<Self>) -> Option<Self> {
        let first = subproblems.first()?;
        let problem = if subproblems.len() == 1 {
            Self::new(first.kind, first.detail.clone()).with_status(first.status)
        } else {
            Self::new(
                ProblemType::Compound,
                format!("{} identifiers are refused: see the subproblems", subproblems.len()),
            )
        };
        Some(problem.with_subproblems(subproblems))
    }

    /// The same problem, worth trying again after `wait`.
    #[must_use]
    pub fn with_retry_after(mut self, wait: SignedDuration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The same problem with another HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The same problem, said of `identifier`.
    #[must_use]
    pub fn about(mut self, identifier: crate::Identifier) -> Self {
        self.identifier = Some(Box::new(identifier));
        self
    }

    /// The same problem with one subproblem per identifier concerned.
    #[must_use]
    pub fn with_subproblems(mut self, subproblems: Vec<Self>) -> Self {
        self.subproblems = subproblems;
        self
    }
}

macro_rules! problem_types {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $status:literal;)+) => {
        /// The registered error types (RFC 8555 §6.7, RFC 9773 §7.4, draft-aaron-acme-profiles).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ProblemType {
            $(
                $(#[doc = $doc])+
                #[serde(rename = $name)]
                $variant,
            )+
        }

        impl ProblemType {
            /// The URN that stands in the document.
            #[must_use]
            pub fn urn(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The HTTP status it is sent with unless a case asks for another.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }
        }
    };
}

problem_types! {
    /// The account named does not exist.
    AccountDoesNotExist = "urn:ietf:params:acme:error:accountDoesNotExist", 400;
    /// The certificate was revoked before.
    AlreadyRevoked = "urn:ietf:params:acme:error:alreadyRevoked", 400;
    /// An order already replaces that certificate (RFC 9773 §7.4).
    AlreadyReplaced = "urn:ietf:params:acme:error:alreadyReplaced", 409;
    /// The CSR is unacceptable.
    BadCsr = "urn:ietf:params:acme:error:badCSR", 400;
    /// The nonce is unknown, used or too old.
    BadNonce = "urn:ietf:params:acme:error:badNonce", 400;
    /// The key is weak, known to others, or of a kind not accepted.
    BadPublicKey = "urn:ietf:params:acme:error:badPublicKey", 400;
    /// The revocation reason is not one a client may give.
    BadRevocationReason = "urn:ietf:params:acme:error:badRevocationReason", 400;
    /// The JWS algorithm is not accepted.
    BadSignatureAlgorithm = "urn:ietf:params:acme:error:badSignatureAlgorithm", 400;
    /// A CAA record forbids issuance.
    Caa = "urn:ietf:params:acme:error:caa", 403;
    /// Several errors: see the subproblems.
    Compound = "urn:ietf:params:acme:error:compound", 400;
    /// The server could not reach the validation target.
    Connection = "urn:ietf:params:acme:error:connection", 400;
    /// A DNS query failed while validating.
    Dns = "urn:ietf:params:acme:error:dns", 400;
    /// The directory wants an external account binding.
    ExternalAccountRequired = "urn:ietf:params:acme:error:externalAccountRequired", 403;
    /// What the validation target answered is not what was expected.
    IncorrectResponse = "urn:ietf:params:acme:error:incorrectResponse", 403;
    /// A contact URL is invalid.
    InvalidContact = "urn:ietf:params:acme:error:invalidContact", 400;
    /// The profile is unknown or not for this client (draft-aaron-acme-profiles).
    InvalidProfile = "urn:ietf:params:acme:error:invalidProfile", 400;
    /// The request is malformed.
    Malformed = "urn:ietf:params:acme:error:malformed", 400;
    /// The order cannot be finalized yet.
    OrderNotReady = "urn:ietf:params:acme:error:orderNotReady", 403;
    /// A rate limit is exceeded.
    RateLimited = "urn:ietf:params:acme:error:rateLimited", 429;
    /// Policy refuses the identifier.
    RejectedIdentifier = "urn:ietf:params:acme:error:rejectedIdentifier", 400;
    /// The server failed.
    ServerInternal = "urn:ietf:params:acme:error:serverInternal", 500;
    /// The TLS handshake failed while validating.
    Tls = "urn:ietf:params:acme:error:tls", 400;
    /// The client may not do this.
    Unauthorized = "urn:ietf:params:acme:error:unauthorized", 403;
    /// A contact URL is of a kind not supported.
    UnsupportedContact = "urn:ietf:params:acme:error:unsupportedContact", 400;
    /// The identifier is of a type not supported.
    UnsupportedIdentifier = "urn:ietf:params:acme:error:unsupportedIdentifier", 400;
    /// The user must visit a URL.
    UserActionRequired = "urn:ietf:params:acme:error:userActionRequired", 403;
}
