//! Names a certificate may carry: DNS names and IP addresses, in the one form that may reach a
//! certificate, and the policies that permit or forbid them. Nothing here knows of ACME or of DNS
//! lookups.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a certificate is asked to name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identifier {
    /// A DNS name, possibly a wildcard (`dNSName`, RFC 5280 §4.2.1.6).
    Dns(DnsName),
    /// An IP address (`iPAddress`, RFC 5280 §4.2.1.6; RFC 8738).
    Ip(IpAddr),
}

impl Identifier {
    /// Reads a DNS name or an IP address, whichever `text` is; an address wins.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(Self::Ip(address)),
            Err(_) => DnsName::parse(text).map(Self::Dns),
        }
    }

    /// Whether this is a wildcard DNS name.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        matches!(self, Self::Dns(name) if name.is_wildcard())
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => name.fmt(f),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

/// A DNS name fit for a certificate: lower-case letters, digits and hyphens (RFC 5890 A-labels),
/// labels of 1 to 63 octets, 253 in all (RFC 1035 §2.3.4), no trailing dot, and at most one `*`,
/// as the whole of the first label (RFC 6125 §6.4.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct DnsName(String);

impl DnsName {
    /// Reads a name; letters are lowered, nothing else is mended.
    ///
    /// # Errors
    /// [`InvalidName`] says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let invalid = |why| InvalidName { text: text.chars().take(255).collect(), why };
        if text.is_empty() {
            return Err(invalid("it is empty"));
        }
        if text.len() > MAX_NAME {
            return Err(invalid("it is longer than 253 octets"));
        }
        let name = text.to_ascii_lowercase();
        let plain = name.strip_prefix("*.").unwrap_or(&name);
        for label in plain.split('.') {
            check_label(label).map_err(invalid)?;
        }
        if plain.contains("xn--") && !is_a_label_name(plain) {
            return Err(invalid("it has an xn-- label that is no punycode (RFC 5891 §5.4)"));
        }
        // An all-numeric last label would read as an address (RFC 3696 §2).
        if plain.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit())) {
            return Err(invalid("its last label is all digits"));
        }
        Ok(Self(name))
    }

    /// The name as it stands in a certificate.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the first label is `*`.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// The name without a leading `*.`: what is validated for a wildcard (RFC 8555 §7.1.3).
    #[must_use]
    pub fn base(&self) -> Self {
        Self(self.0.strip_prefix("*.").unwrap_or(&self.0).to_owned())
    }

    /// Whether this name is strictly below `ancestor`.
    #[must_use]
    pub fn is_below(&self, ancestor: &Self) -> bool {
        self.0.strip_suffix(&ancestor.0).is_some_and(|rest| rest.ends_with('.'))
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DnsName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::parse(text)
    }
}

impl<'de> Deserialize<'de> for DnsName {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// Text that is no name a certificate could carry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a DNS name a certificate can carry: {why}")]
pub struct InvalidName {
    text: String,
    why: &'static str,
}

/// Which names may be certified. An identifier is refused if any forbidden pattern could cover it,
/// and, where anything is permitted explicitly, if no permitted pattern covers it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NamePolicy {
    /// If not empty, only what one of these covers.
    pub permitted: Vec<NamePattern>,
    /// Never what one of these could cover.
    pub forbidden: Vec<NamePattern>,
    /// Whether wildcard names are refused.
    pub no_wildcards: bool,
}

impl NamePolicy {
    /// Whether the policy lets `identifier` be certified.
    ///
    /// # Errors
    /// [`Refused`] names the rule that refuses it.
    pub fn check(&self, identifier: &Identifier) -> Result<(), Refused> {
        let refused = |rule: String| Refused { identifier: identifier.clone(), rule };
        if self.no_wildcards && identifier.is_wildcard() {
            return Err(refused("wildcard names are not permitted".into()));
        }
        if let Some(pattern) = self.forbidden.iter().find(|p| p.overlaps(identifier)) {
            return Err(refused(format!("{pattern} is forbidden")));
        }
        if !self.permitted.is_empty() && !self.permitted.iter().any(|p| p.covers(identifier)) {
            return Err(refused("it is not among the permitted names".into()));
        }
        Ok(())
    }
}

/// An identifier that policy refuses, and the rule that does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{identifier} is refused by policy: {rule}")]
pub struct Refused {
    /// What was refused.
    pub identifier: Identifier,
    rule: String,
}

/// A set of names: `example.com` is that name alone, `*.example.com` everything below it at any
/// depth, `*` every DNS name; `10.0.0.0/8` or `::1` are addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamePattern {
    /// Every DNS name.
    AnyDns,
    /// This name alone.
    Exactly(DnsName),
    /// Every name strictly below this one.
    Below(DnsName),
    /// Every address that shares the first `prefix` bits.
    Network {
        /// Any address of the network.
        address: IpAddr,
        /// Number of leading bits that count.
        prefix: u8,
    },
}

impl NamePattern {
    /// Whether every name `identifier` stands for is in the set.
    #[must_use]
    pub fn covers(&self, identifier: &Identifier) -> bool {
        match (self, identifier) {
            (Self::AnyDns, Identifier::Dns(_)) => true,
            (Self::Exactly(own), Identifier::Dns(name)) => own == name,
            // `*.example.com` stands for names below example.com, so its base may be the ancestor.
            (Self::Below(own), Identifier::Dns(name)) => {
                name.is_below(own) || (name.is_wildcard() && name.base() == *own)
            }
            (Self::Network { address, prefix }, Identifier::Ip(ip)) => {
                in_network(*ip, *address, *prefix)
            }
            _ => false,
        }
    }

    /// Whether any name `identifier` stands for is in the set.
    #[must_use]
    pub fn overlaps(&self, identifier: &Identifier) -> bool {
        if self.covers(identifier) {
            return true;
        }
        match (self, identifier) {
            (Self::Exactly(own), Identifier::Dns(name)) if name.is_wildcard() => {
                own.as_str().split_once('.').is_some_and(|(_, rest)| rest == name.base().as_str())
            }
            _ => false,
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnyDns => f.write_str("*"),
            Self::Exactly(name) => name.fmt(f),
            Self::Below(name) => write!(f, "*.{name}"),
            Self::Network { address, prefix } => write!(f, "{address}/{prefix}"),
        }
    }
}

impl FromStr for NamePattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let invalid = || InvalidPattern(text.to_owned());
        if text == "*" {
            return Ok(Self::AnyDns);
        }
        let (head, prefix) = match text.split_once('/') {
            Some((head, bits)) => (head, Some(bits.parse::<u8>().map_err(|_| invalid())?)),
            None => (text, None),
        };
        if let Ok(address) = head.parse::<IpAddr>() {
            let width = if address.is_ipv4() { 32 } else { 128 };
            let prefix = prefix.unwrap_or(width);
            return if prefix <= width {
                Ok(Self::Network { address, prefix })
            } else {
                Err(invalid())
            };
        }
        let name = DnsName::parse(text).map_err(|_| invalid())?;
        Ok(if name.is_wildcard() { Self::Below(name.base()) } else { Self::Exactly(name) })
    }
}

impl Serialize for NamePattern {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NamePattern {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Text that is no name pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a name pattern: write example.com, *.example.com, *, or 10.0.0.0/8")]
pub struct InvalidPattern(String);

fn check_label(label: &str) -> Result<(), &'static str> {
    if label.is_empty() {
        return Err("it has an empty label");
    }
    if label.len() > MAX_LABEL {
        return Err("it has a label longer than 63 octets");
    }
    if label.contains('*') {
        return Err("a * may only be the whole first label");
    }
    if !label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Err("it has a character other than letters, digits and hyphens");
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err("a label starts or ends with a hyphen");
    }
    // RFC 5890 §2.3.1 reserves "??--"; only A-labels are in use.
    if label.as_bytes().get(2..4) == Some(b"--") && !label.starts_with("xn--") {
        return Err("it has a reserved label (RFC 5890 §2.3.1)");
    }
    Ok(())
}

/// Whether every A-label decodes to the U-label it is the encoding of (RFC 5891 §5.4).
fn is_a_label_name(name: &str) -> bool {
    let (unicode, decoded) = idna::domain_to_unicode(name);
    decoded.is_ok() && idna::domain_to_ascii(&unicode).is_ok_and(|again| again == name)
}

fn in_network(ip: IpAddr, network: IpAddr, prefix: u8) -> bool {
    match (ip, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same_prefix(bits4(a), bits4(b), prefix),
        (IpAddr::V6(a), IpAddr::V6(b)) => same_prefix(bits6(a), bits6(b), prefix),
        _ => false,
    }
}

/// Both left-aligned in 128 bits, so that a prefix length means the same for either family.
fn same_prefix(a: u128, b: u128, prefix: u8) -> bool {
    prefix == 0 || (a ^ b) >> (128 - u32::from(prefix)) == 0
}

fn bits4(a: Ipv4Addr) -> u128 {
    u128::from(u32::from(a)) << 96
}

fn bits6(a: Ipv6Addr) -> u128 {
    u128::from(a)
}

const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Identifier {
        Identifier::parse(text).expect("test name")
    }

    fn pattern(text: &str) -> NamePattern {
        text.parse().expect("test pattern")
    }

    #[test]
    fn names_are_lowered_and_nothing_else_is_mended() {
        assert_eq!(DnsName::parse("WWW.Example.COM").expect("valid").as_str(), "www.example.com");
        for bad in [
            "",
            ".",
            "a..b",
            "a.",
            "-a.b",
            "a-.b",
            "a_b.c",
            "*",
            "*.*.a",
            "a.*.b",
            "w*.a",
            "ü.de",
            "ab--cd.e",
            "a b.c",
            "xn--\u{61}.",
            "xn--aaaaaaa.test",
            "1.2.3",
            "10.0.0.1",
            "a.b.7",
            "a/b.c",
            "a\0.b",
        ] {
            assert!(DnsName::parse(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(DnsName::parse(&format!("{}.com", "a".repeat(64))).is_err());
        assert!(DnsName::parse(&vec!["abc"; 64].join(".")).is_err());
        assert!(DnsName::parse("xn--bcher-kva.example").is_ok());
        assert!(DnsName::parse("localhost").is_ok());
    }

    #[test]
    fn an_address_is_an_address_and_not_a_name() {
        assert_eq!(id("192.0.2.1"), Identifier::Ip("192.0.2.1".parse().expect("address")));
        assert_eq!(id("2001:DB8::1").to_string(), "2001:db8::1");
    }

    #[test]
    fn patterns_cover_what_they_say() {
        assert!(pattern("example.com").covers(&id("example.com")));
        assert!(!pattern("example.com").covers(&id("a.example.com")));
        assert!(pattern("*.example.com").covers(&id("a.b.example.com")));
        assert!(pattern("*.example.com").covers(&id("*.example.com")));
        assert!(!pattern("*.example.com").covers(&id("example.com")));
        assert!(!pattern("*.example.com").covers(&id("badexample.com")));
        assert!(pattern("10.0.0.0/8").covers(&id("10.255.0.1")));
        assert!(!pattern("10.0.0.0/8").covers(&id("11.0.0.1")));
        assert!(!pattern("0.0.0.0/0").covers(&id("::1")));
        assert!(pattern("::/0").covers(&id("2001:db8::1")));
        assert!(!pattern("*").covers(&id("10.0.0.1")));
    }

    #[test]
    fn a_wildcard_that_could_cover_a_forbidden_name_is_forbidden() {
        let policy =
            NamePolicy { forbidden: vec![pattern("db.example.com")], ..Default::default() };
        assert!(policy.check(&id("*.example.com")).is_err());
        assert!(policy.check(&id("db.example.com")).is_err());
        assert!(policy.check(&id("*.db.example.com")).is_ok());
        assert!(policy.check(&id("web.example.com")).is_ok());
    }

    #[test]
    fn a_permitted_list_refuses_everything_else() {
        let policy = NamePolicy {
            permitted: vec![pattern("*.corp"), pattern("10.0.0.0/8")],
            no_wildcards: true,
            ..Default::default()
        };
        assert!(policy.check(&id("a.corp")).is_ok());
        assert!(policy.check(&id("10.1.1.1")).is_ok());
        assert!(policy.check(&id("a.com")).is_err());
        assert!(policy.check(&id("*.a.corp")).is_err());
    }
}
