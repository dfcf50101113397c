//! Who somebody that fetches a keyset is: the consumer it says it is, or one that is declared to look
//! so, else its product, else its address. All of it is what the client says of itself but for the
//! address, and is cut and cleaned, for it is stored and shown on terminals.

use std::net::{IpAddr, Ipv6Addr};

use crate::catalog::{LONGEST_NAME, Recognition};
use crate::store::KnownBy;

/// What a request says of who sends it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Claims<'a> {
    /// What it calls itself in the URL.
    pub(crate) label: Option<&'a str>,
    /// Its `User-Agent`.
    pub(crate) agent: Option<&'a str>,
    /// Where the connection comes from.
    pub(crate) address: Option<IpAddr>,
}

/// Somebody who fetches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) known_by: KnownBy,
    pub(crate) name: String,
    /// Whether it is a declared consumer.
    pub(crate) declared: bool,
    pub(crate) address: String,
    pub(crate) agent: String,
}

impl Caller {
    /// Who that is, where these consumers are declared.
    pub(crate) fn of(claims: &Claims<'_>, consumers: &[Recognition]) -> Self {
        let address = claims.address.map(|address| address.to_canonical());
        let agent = claims.agent.map(product).unwrap_or_default();
        let label = claims.label.map(clean).filter(|label| !label.is_empty());
        let declared = match &label {
            Some(label) => consumers.iter().find(|consumer| consumer.name == *label),
            None => {
                let said = claims.agent.unwrap_or_default();
                consumers.iter().find(|consumer| consumer.is_like(said, address))
            }
        };
        let (known_by, name) = match (declared, label, address) {
            (Some(consumer), ..) => (KnownBy::Consumer, consumer.name.clone()),
            (None, Some(label), _) => (KnownBy::Consumer, label),
            (None, None, _) if !agent.is_empty() => (KnownBy::Agent, agent.clone()),
            (None, None, Some(address)) => (KnownBy::Address, site(address)),
            (None, None, None) => (KnownBy::Others, String::new()),
        };
        let address = address.map(|address| address.to_string()).unwrap_or_default();
        Self { known_by, name, declared: declared.is_some(), address, agent }
    }
}

/// The product of a `User-Agent` (RFC 9110 §10.1.5): `curl/8.5.0`.
fn product(agent: &str) -> String {
    clean(agent.split_whitespace().next().unwrap_or_default())
}

/// At most so much of it, and nothing that a terminal obeys or an eye mistakes.
fn clean(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    text.trim().chars().take(LONGEST_NAME).map(plain).collect()
}

/// An address, or the 64 bits that an IPv6 site has to itself.
fn site(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("{}/64", Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumers() -> Vec<Recognition> {
        let one = |name: &str, agent: Option<&str>, address: Option<&str>| Recognition {
            name: name.into(),
            agent: agent.map(str::to_owned),
            address: address.map(|net| net.parse().expect("a network")),
            required: false,
        };
        vec![
            one("envoy", None, None),
            one("gateway", Some("our-gateway/"), Some("10.0.0.0/8")),
            one("jose", Some("jose/"), None),
            one("office", None, Some("192.0.2.0/24")),
        ]
    }

    fn who(label: Option<&str>, agent: Option<&str>, address: &str) -> (KnownBy, String, bool) {
        let address = Some(address.parse().expect("an address"));
        let caller = Caller::of(&Claims { label, agent, address }, &consumers());
        (caller.known_by, caller.name, caller.declared)
    }

    #[test]
    fn a_label_counts_first_then_what_is_declared_then_the_product_then_the_address() {
        let declared = |name: &str| (KnownBy::Consumer, name.to_owned(), true);
        assert_eq!(who(Some("envoy"), Some("jose/v6"), "10.1.2.3"), declared("envoy"));
        assert_eq!(who(None, Some("our-gateway/2 (x)"), "10.1.2.3"), declared("gateway"));
        assert_eq!(who(None, Some("our-gateway/2"), "::ffff:10.1.2.3"), declared("gateway"));
        assert_eq!(who(None, Some("jose/v6.0.1"), "2001:db8::1"), declared("jose"));
        assert_eq!(who(None, None, "192.0.2.9"), declared("office"));
        assert_eq!(who(Some(""), None, "192.0.2.9"), declared("office"), "an empty label is none");
        let stranger = |by, name: &str| (by, name.to_owned(), false);
        let elsewhere = who(None, Some("our-gateway/2 (x)"), "198.51.100.1");
        assert_eq!(elsewhere, stranger(KnownBy::Agent, "our-gateway/2"), "both must be so");
        assert_eq!(who(Some("new"), None, "192.0.2.9"), stranger(KnownBy::Consumer, "new"));
        assert_eq!(
            who(None, Some("  "), "198.51.100.1"),
            stranger(KnownBy::Address, "198.51.100.1")
        );
        let site = stranger(KnownBy::Address, "2001:db8:1:2::/64");
        assert_eq!(who(None, None, "2001:db8:1:2:3:4:5:6"), site);
        let nobody = Caller::of(&Claims::default(), &consumers());
        assert_eq!(nobody.known_by, KnownBy::Others);
    }

    #[test]
    fn what_is_hostile_is_cut_and_cleaned() {
        let long = "x".repeat(10_000);
        assert_eq!(who(Some(&long), None, "192.0.2.1").1.len(), LONGEST_NAME);
        assert_eq!(who(None, Some(&long), "198.51.100.1").1.len(), LONGEST_NAME);
        let red = who(Some("\u{1b}[31mred\u{202e}\r\n"), None, "192.0.2.1").1;
        assert_eq!(red, "?[31mred?");
        let caller = Caller::of(
            &Claims { agent: Some("a\u{7}\u{0}b c"), ..Claims::default() },
            &consumers(),
        );
        assert_eq!(caller.agent, "a??b");
    }
}
