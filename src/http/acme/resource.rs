//! The resources below a directory, as paths: parsed once, written once.

use std::fmt;

use acme::ChallengeType;

/// What a path below `/acme/{directory}/` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Directory,
    NewNonce,
    NewAccount,
    NewOrder,
    NewAuthorization,
    RevokeCertificate,
    KeyChange,
    /// RFC 9773 §4.1, with the certificate identifier as it came.
    RenewalInfo(String),
    Account(i64),
    Orders(i64),
    Order(i64),
    Finalize(i64),
    Authorization(i64),
    Challenge(i64, ChallengeType),
    /// A certificate, and which of its chains.
    Certificate(i64, usize),
}

impl Resource {
    /// Reads a path; `None` if it names nothing.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let parts: Vec<_> = path.split('/').collect();
        let id = |text: &str| text.parse::<i64>().ok().filter(|id| *id > 0);
        Some(match parts.as_slice() {
            ["directory"] => Self::Directory,
            ["new-nonce"] => Self::NewNonce,
            ["new-account"] => Self::NewAccount,
            ["new-order"] => Self::NewOrder,
            ["new-authz"] => Self::NewAuthorization,
            ["revoke-cert"] => Self::RevokeCertificate,
            ["key-change"] => Self::KeyChange,
            ["renewal-info", certificate] => Self::RenewalInfo((*certificate).to_owned()),
            ["account", account] => Self::Account(id(account)?),
            ["account", account, "orders"] => Self::Orders(id(account)?),
            ["order", order] => Self::Order(id(order)?),
            ["order", order, "finalize"] => Self::Finalize(id(order)?),
            ["authz", authorization] => Self::Authorization(id(authorization)?),
            ["challenge", authorization, kind] => {
                Self::Challenge(id(authorization)?, kind.parse().ok()?)
            }
            ["certificate", certificate] => Self::Certificate(id(certificate)?, 0),
            ["certificate", certificate, chain] => {
                let chain = chain.parse().ok().filter(|chain| *chain > 0)?;
                Self::Certificate(id(certificate)?, chain)
            }
            _ => return None,
        })
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory => f.write_str("directory"),
            Self::NewNonce => f.write_str("new-nonce"),
            Self::NewAccount => f.write_str("new-account"),
            Self::NewOrder => f.write_str("new-order"),
            Self::NewAuthorization => f.write_str("new-authz"),
            Self::RevokeCertificate => f.write_str("revoke-cert"),
            Self::KeyChange => f.write_str("key-change"),
            Self::RenewalInfo(certificate) if certificate.is_empty() => f.write_str("renewal-info"),
            Self::RenewalInfo(certificate) => write!(f, "renewal-info/{certificate}"),
            Self::Account(id) => write!(f, "account/{id}"),
            Self::Orders(id) => write!(f, "account/{id}/orders"),
            Self::Order(id) => write!(f, "order/{id}"),
            Self::Finalize(id) => write!(f, "order/{id}/finalize"),
            Self::Authorization(id) => write!(f, "authz/{id}"),
            Self::Challenge(id, kind) => write!(f, "challenge/{id}/{kind}"),
            Self::Certificate(id, 0) => write!(f, "certificate/{id}"),
            Self::Certificate(id, chain) => write!(f, "certificate/{id}/{chain}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_back_as_it_was_written() {
        for resource in [
            Resource::Directory,
            Resource::NewNonce,
            Resource::NewAccount,
            Resource::NewOrder,
            Resource::NewAuthorization,
            Resource::RevokeCertificate,
            Resource::KeyChange,
            Resource::RenewalInfo("a.b".into()),
            Resource::Account(1),
            Resource::Orders(2),
            Resource::Order(3),
            Resource::Finalize(4),
            Resource::Authorization(5),
            Resource::Challenge(6, ChallengeType::TlsAlpn01),
            Resource::Certificate(7, 0),
            Resource::Certificate(8, 1),
        ] {
            assert_eq!(Resource::parse(&resource.to_string()), Some(resource));
        }
        for nothing in ["", "order", "order/x", "order/-1", "order/1/", "certificate/1/0", "a/b"] {
            assert_eq!(Resource::parse(nothing), None, "{nothing}");
        }
    }
}
