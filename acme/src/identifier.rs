//! Identifiers as they stand on the wire (RFC 8555 §9.7.7, RFC 8738 §3).

use serde::{Deserialize, Serialize};

/// `{"type": "dns", "value": "example.com"}`, as sent and as echoed; not yet checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identifier {
    /// `dns` or `ip`; anything else is `unsupportedIdentifier`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name or address as text.
    pub value: String,
}

impl Identifier {
    /// What an authorization for `identifier` names: a wildcard without its `*.`, which the
    /// authorization's `wildcard` says instead (RFC 8555 §7.1.4).
    #[must_use]
    pub fn of_authorization(identifier: &ca::Identifier) -> Self {
        match identifier {
            ca::Identifier::Dns(name) => {
                Self { kind: "dns".into(), value: name.base().to_string() }
            }
            ca::Identifier::Ip(_) => identifier.into(),
        }
    }
}

impl From<&ca::Identifier> for Identifier {
    fn from(identifier: &ca::Identifier) -> Self {
        let kind = match identifier {
            ca::Identifier::Dns(_) => "dns",
            ca::Identifier::Ip(_) => "ip",
        };
        Self { kind: kind.into(), value: identifier.to_string() }
    }
}
