//! Name constraints of an authority (RFC 5280 §4.2.1.10), for the two kinds of names that are
//! issued here. A constraint on one kind says nothing about the other: [`NameConstraints::only`]
//! closes that gap.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use x509_cert::ext::pkix::constraints::name::GeneralSubtree;
use x509_cert::ext::pkix::name::GeneralName;

use crate::asn1;
use crate::name::{DnsName, Identifier};

/// What an authority, and every authority below it, may certify.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NameConstraints {
    /// If any subtree of an identifier's kind is listed, one of them must cover it.
    pub permitted: Vec<Subtree>,
    /// No identifier one of these covers.
    pub excluded: Vec<Subtree>,
}

impl NameConstraints {
    /// Permits these subtrees and nothing else: a kind of names that none of them concerns is
    /// excluded whole.
    #[must_use]
    pub fn only(permitted: Vec<Subtree>) -> Self {
        let v4 = Subtree::Network { address: Ipv4Addr::UNSPECIFIED.into(), prefix: 0 };
        let v6 = Subtree::Network { address: Ipv6Addr::UNSPECIFIED.into(), prefix: 0 };
        let excluded = [Subtree::AnyDns, v4, v6]
            .into_iter()
            .filter(|whole| !permitted.iter().any(|subtree| subtree.same_family(whole)))
            .collect();
        Self { permitted, excluded }
    }

    /// Whether nothing is constrained. Such an extension must not be encoded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.permitted.is_empty() && self.excluded.is_empty()
    }

    /// Whether `identifier` may be certified under these constraints. Addresses of either family
    /// count as one kind (`iPAddress`).
    #[must_use]
    pub fn permits(&self, identifier: &Identifier) -> bool {
        let mut of_kind =
            self.permitted.iter().filter(|subtree| subtree.same_kind(identifier)).peekable();
        let permitted =
            of_kind.peek().is_none() || of_kind.any(|subtree| subtree.covers(identifier));
        permitted && !self.excluded.iter().any(|subtree| subtree.overlaps(identifier))
    }

    /// The value of the extension.
    pub(crate) fn to_der(&self) -> Vec<u8> {
        let list = |number, subtrees: &[Subtree]| {
            let subtrees: Vec<u8> = subtrees.iter().flat_map(Subtree::to_der).collect();
            if subtrees.is_empty() {
                Vec::new()
            } else {
                asn1::element(asn1::constructed(number), &[&subtrees])
            }
        };
        asn1::element(asn1::SEQUENCE, &[&list(0, &self.permitted), &list(1, &self.excluded)])
    }

    /// Reads the extension. Subtrees of other kinds of names are passed over, since they constrain
    /// nothing that is issued here.
    pub(crate) fn from_extension(
        extension: &x509_cert::ext::pkix::NameConstraints,
    ) -> Result<Self, InvalidSubtree> {
        let read = |subtrees: &Option<Vec<GeneralSubtree>>| {
            subtrees
                .iter()
                .flatten()
                .filter_map(|subtree| Subtree::from_general(subtree).transpose())
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            permitted: read(&extension.permitted_subtrees)?,
            excluded: read(&extension.excluded_subtrees)?,
        })
    }
}

/// A subtree of names: `example.com` is that name and all below it, `*` every DNS name,
/// `10.0.0.0/8` a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subtree {
    /// Every DNS name (a zero-length dNSName).
    AnyDns,
    /// This name and everything below it.
    Dns(DnsName),
    /// Every address that shares the first `prefix` bits.
    Network {
        /// Any address of the network.
        address: IpAddr,
        /// Number of leading bits that count.
        prefix: u8,
    },
}

impl Subtree {
    fn same_kind(&self, identifier: &Identifier) -> bool {
        matches!(
            (self, identifier),
            (Self::AnyDns | Self::Dns(_), Identifier::Dns(_))
                | (Self::Network { .. }, Identifier::Ip(_))
        )
    }

    fn same_family(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Network { address: a, .. }, Self::Network { address: b, .. }) => {
                a.is_ipv4() == b.is_ipv4()
            }
            (Self::Network { .. }, _) | (_, Self::Network { .. }) => false,
            _ => true,
        }
    }

    fn covers(&self, identifier: &Identifier) -> bool {
        match (self, identifier) {
            (Self::AnyDns, Identifier::Dns(_)) => true,
            (Self::Dns(own), Identifier::Dns(name)) => name == own || name.is_below(own),
            (
                Self::Network { address: IpAddr::V4(own), prefix },
                Identifier::Ip(IpAddr::V4(ip)),
            ) => mask4(*own, *prefix) == mask4(*ip, *prefix),
            (
                Self::Network { address: IpAddr::V6(own), prefix },
                Identifier::Ip(IpAddr::V6(ip)),
            ) => mask6(*own, *prefix) == mask6(*ip, *prefix),
            _ => false,
        }
    }

    /// Also when a wildcard merely could stand for the subtree's topmost name.
    fn overlaps(&self, identifier: &Identifier) -> bool {
        let topmost = match (self, identifier) {
            (Self::Dns(own), Identifier::Dns(name)) if name.is_wildcard() => {
                own.as_str().split_once('.').is_some_and(|(_, rest)| rest == name.base().as_str())
            }
            _ => false,
        };
        topmost || self.covers(identifier)
    }

    fn to_der(&self) -> Vec<u8> {
        let base = match self {
            Self::AnyDns => asn1::element(asn1::context(2), &[]),
            Self::Dns(name) => asn1::element(asn1::context(2), &[name.as_str().as_bytes()]),
            Self::Network { address: IpAddr::V4(ip), prefix } => asn1::element(
                asn1::context(7),
                &[&mask4(*ip, *prefix).octets(), &mask4(Ipv4Addr::BROADCAST, *prefix).octets()],
            ),
            Self::Network { address: IpAddr::V6(ip), prefix } => asn1::element(
                asn1::context(7),
                &[&mask6(*ip, *prefix).octets(), &mask6(ALL_ONES, *prefix).octets()],
            ),
        };
        asn1::element(asn1::SEQUENCE, &[&base])
    }

    fn from_general(subtree: &GeneralSubtree) -> Result<Option<Self>, InvalidSubtree> {
        if subtree.minimum != 0 || subtree.maximum.is_some() {
            return Err(InvalidSubtree("a minimum or maximum".into()));
        }
        Ok(match &subtree.base {
            GeneralName::DnsName(name) => Some(match name.as_str() {
                "" => Self::AnyDns,
                name => Self::Dns(DnsName::parse(name).map_err(|e| InvalidSubtree(e.to_string()))?),
            }),
            GeneralName::IpAddress(bytes) => Some(network(bytes.as_bytes())?),
            _ => None,
        })
    }
}

impl fmt::Display for Subtree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnyDns => f.write_str("*"),
            Self::Dns(name) => name.fmt(f),
            Self::Network { address, prefix } => write!(f, "{address}/{prefix}"),
        }
    }
}

impl FromStr for Subtree {
    type Err = InvalidSubtree;

    fn from_str(text: &str) -> Result<Self, InvalidSubtree> {
        let invalid = || InvalidSubtree(text.chars().take(255).collect());
        if text == "*" {
            return Ok(Self::AnyDns);
        }
        let (head, bits) = match text.split_once('/') {
            Some((head, bits)) => (head, Some(bits.parse::<u8>().map_err(|_| invalid())?)),
            None => (text, None),
        };
        if let Ok(address) = head.parse::<IpAddr>() {
            let width = if address.is_ipv4() { 32 } else { 128 };
            let prefix = bits.unwrap_or(width);
            return if prefix <= width {
                Ok(Self::Network { address, prefix })
            } else {
                Err(invalid())
            };
        }
        match DnsName::parse(text) {
            Ok(name) if !name.is_wildcard() => Ok(Self::Dns(name)),
            _ => Err(invalid()),
        }
    }
}

impl Serialize for Subtree {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subtree {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A subtree that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a name constraint: write example.com (and all below it), *, or 10.0.0.0/8")]
pub struct InvalidSubtree(String);

/// An iPAddress constraint: address, then mask (RFC 5280 §4.2.1.10).
fn network(bytes: &[u8]) -> Result<Subtree, InvalidSubtree> {
    let invalid = || InvalidSubtree(data_encoding::HEXLOWER.encode(bytes));
    if let Ok(octets) = <[u8; 8]>::try_from(bytes) {
        let [a, b, c, d, mask @ ..] = octets;
        let prefix = contiguous(&mask).ok_or_else(invalid)?;
        return Ok(Subtree::Network { address: Ipv4Addr::new(a, b, c, d).into(), prefix });
    }
    let octets = <[u8; 32]>::try_from(bytes).map_err(|_| invalid())?;
    let mut address = [0; 16];
    address.copy_from_slice(&octets[..16]);
    let prefix = contiguous(&octets[16..]).ok_or_else(invalid)?;
    Ok(Subtree::Network { address: Ipv6Addr::from(address).into(), prefix })
}

/// The length of a mask whose ones all come first.
fn contiguous(mask: &[u8]) -> Option<u8> {
    let ones: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
    let mut leading = 0;
    for byte in mask {
        leading += byte.leading_ones();
        if *byte != 0xff {
            break;
        }
    }
    (ones == leading).then(|| u8::try_from(ones).ok()).flatten()
}

fn mask4(ip: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    Ipv4Addr::from(u32::from(ip) & mask)
}

fn mask6(ip: Ipv6Addr, prefix: u8) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
    Ipv6Addr::from(u128::from(ip) & mask)
}

const ALL_ONES: Ipv6Addr = Ipv6Addr::from_bits(u128::MAX);

#[cfg(test)]
mod tests {
    use der::Decode;

    use super::*;

    fn id(text: &str) -> Identifier {
        Identifier::parse(text).expect("test name")
    }

    fn subtrees(texts: &[&str]) -> Vec<Subtree> {
        texts.iter().map(|text| text.parse().expect("test subtree")).collect()
    }

    #[test]
    fn a_permitted_subtree_covers_its_top_and_all_below() {
        let constraints = NameConstraints { permitted: subtrees(&["corp"]), excluded: Vec::new() };
        for good in ["corp", "a.corp", "*.corp", "*.a.corp", "10.0.0.1"] {
            assert!(constraints.permits(&id(good)), "{good}");
        }
        for bad in ["example.com", "xcorp", "corp.example.com"] {
            assert!(!constraints.permits(&id(bad)), "{bad}");
        }
    }

    #[test]
    fn only_closes_what_it_does_not_mention() {
        let constraints = NameConstraints::only(subtrees(&["corp", "10.0.0.0/8"]));
        assert!(constraints.permits(&id("10.1.2.3")));
        assert!(!constraints.permits(&id("11.1.2.3")));
        assert!(!constraints.permits(&id("2001:db8::1")));
        assert!(!NameConstraints::only(subtrees(&["10.0.0.0/8"])).permits(&id("a.corp")));
    }

    #[test]
    fn a_wildcard_that_could_be_an_excluded_name_is_refused() {
        let constraints =
            NameConstraints { permitted: Vec::new(), excluded: subtrees(&["db.corp"]) };
        assert!(!constraints.permits(&id("*.corp")));
        assert!(!constraints.permits(&id("a.db.corp")));
        assert!(constraints.permits(&id("*.web.corp")));
    }

    #[test]
    fn the_extension_is_read_back_as_written() {
        let written = NameConstraints {
            permitted: subtrees(&["corp", "10.0.0.0/8", "2001:db8::/32"]),
            excluded: subtrees(&["secret.corp", "0.0.0.0/0", "*", "::1/128"]),
        };
        let extension =
            x509_cert::ext::pkix::NameConstraints::from_der(&written.to_der()).expect("valid DER");
        assert_eq!(NameConstraints::from_extension(&extension), Ok(written));
    }

    #[test]
    fn a_mask_with_holes_is_refused() {
        assert!(network(&[10, 0, 0, 0, 255, 0, 255, 0]).is_err());
        assert!(network(&[10, 0, 0, 0]).is_err());
    }
}
