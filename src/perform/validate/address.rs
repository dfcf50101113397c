//! Which addresses a stranger's name may lead us to. Pure rules: no lookups, no sockets. What an
//! operator denies is refused, then what is allowed is permitted, then the built-in refusals hold;
//! private networks are permitted, because an internal CA serves them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The rules every address is judged by before a connection to it.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
    loopback: bool,
}

impl Rules {
    /// Rules that refuse `deny`, permit `allow`, and permit loopback if `loopback`.
    pub(crate) fn new(allow: &[IpNet], deny: &[IpNet], loopback: bool) -> Self {
        Self { allow: allow.to_vec(), deny: deny.to_vec(), loopback }
    }

    /// Whether `address` may be connected to. An IPv6 address that only wraps an IPv4 address is
    /// judged as that IPv4 address, so that no notation leads around a rule.
    ///
    /// # Errors
    /// The reason why not, to follow "it is".
    pub(crate) fn judge(&self, address: IpAddr) -> Result<(), &'static str> {
        let inner = inner(address);
        if self.deny.iter().any(|net| net.contains(&address) || net.contains(&inner)) {
            return Err("in a network that validation.deny refuses");
        }
        if self.allow.iter().any(|net| net.contains(&inner)) {
            return Ok(());
        }
        if inner.is_loopback() {
            let refused = "a loopback address, which validation.loopback does not permit";
            return if self.loopback { Ok(()) } else { Err(refused) };
        }
        match inner {
            IpAddr::V4(v4) => refused_v4(v4),
            IpAddr::V6(v6) => refused_v6(v6),
        }
        .map_or(Ok(()), Err)
    }
}

/// The IPv4 address inside an IPv6 address that is mapped (RFC 4291 §2.5.5.2), compatible
/// (§2.5.5.1), translated (RFC 2765 §2.1), NAT64 (RFC 6052 §2.1, RFC 8215), 6to4 (RFC 3056 §2) or
/// Teredo (RFC 4380 §4); any other address as it is.
fn inner(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = match [a, b, c, d, e, f] {
        // :: and ::1 are not compatible addresses.
        [0, 0, 0, 0, 0, 0] if g == 0 && h <= 1 => return address,
        [0, 0, 0, 0, 0, 0 | 0xffff]
        | [0, 0, 0, 0, 0xffff, 0]
        | [0x64, 0xff9b, 0, 0, 0, 0]
        | [0x64, 0xff9b, 1, _, _, _] => pair(g, h),
        [0x2002, high, low, ..] => pair(high, low),
        [0x2001, 0, ..] => pair(!g, !h),
        _ => return address,
    };
    IpAddr::V4(v4)
}

fn pair(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
}

fn refused_v4(address: Ipv4Addr) -> Option<&'static str> {
    REFUSED_V4.iter().find(|(net, _)| net.contains(&address)).map(|(_, why)| *why)
}

fn refused_v6(address: Ipv6Addr) -> Option<&'static str> {
    REFUSED_V6.iter().find(|(net, _)| net.contains(&address)).map(|(_, why)| *why)
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(segments: [u16; 8], prefix: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

const UNSPECIFIED: &str = "an unspecified address";
const LINK_LOCAL: &str = "a link-local address";
const METADATA: &str = "an address of cloud instance metadata";
const DOCUMENTATION: &str = "an address reserved for documentation";
const MULTICAST: &str = "a multicast address";
const RESERVED: &str = "a reserved or broadcast address";

const REFUSED_V4: [(Ipv4Net, &str); 10] = [
    (v4(0, 0, 0, 0, 8), UNSPECIFIED),
    (v4(169, 254, 0, 0, 16), LINK_LOCAL),
    (v4(100, 100, 100, 200, 32), METADATA),
    (v4(168, 63, 129, 16, 32), METADATA),
    (v4(192, 0, 0, 192, 32), METADATA),
    (v4(192, 0, 2, 0, 24), DOCUMENTATION),
    (v4(198, 51, 100, 0, 24), DOCUMENTATION),
    (v4(203, 0, 113, 0, 24), DOCUMENTATION),
    (v4(224, 0, 0, 0, 4), MULTICAST),
    (v4(240, 0, 0, 0, 4), RESERVED),
];

const REFUSED_V6: [(Ipv6Net, &str); 7] = [
    (v6([0; 8], 128), UNSPECIFIED),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), LINK_LOCAL),
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128), METADATA),
    (v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128), METADATA),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), DOCUMENTATION),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), DOCUMENTATION),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), MULTICAST),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("test address")
    }

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().expect("test network")).collect()
    }

    #[test]
    fn private_and_public_addresses_are_permitted() {
        let rules = Rules::new(&[], &[], false);
        for address in [
            "10.0.0.1",
            "192.168.1.1",
            "172.16.0.9",
            "100.64.0.1",
            "93.184.216.34",
            "fd12::1",
            "2606:4700::1",
            "2002:0a00:0001::1",
            "64:ff9b::10.0.0.1",
        ] {
            assert_eq!(rules.judge(ip(address)), Ok(()), "{address}");
        }
    }

    #[test]
    fn built_in_refusals_hold_in_every_notation() {
        let rules = Rules::new(&[], &[], true);
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "100.100.100.200",
            "168.63.129.16",
            "::",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1:2:3:4:169.254.169.254",
            "2002:a9fe:a9fe::1",
            "::ffff:0:169.254.169.254",
            "2001:0:1:2:3:4:5601:5601",
            "::ffff:0.0.0.0",
        ] {
            assert!(rules.judge(ip(address)).is_err(), "{address} was permitted");
        }
    }

    #[test]
    fn loopback_needs_the_setting_or_an_allowance() {
        let loopback = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"];
        for address in loopback {
            assert!(Rules::new(&[], &[], false).judge(ip(address)).is_err(), "{address}");
            assert!(Rules::new(&[], &[], true).judge(ip(address)).is_ok(), "{address}");
            let allowed = Rules::new(&nets(&["127.0.0.0/8", "::1/128"]), &[], false);
            assert!(allowed.judge(ip(address)).is_ok(), "{address}");
        }
        let mapped = ip("::ffff:127.0.0.1");
        let all_v6 = Rules::new(&nets(&["::/0"]), &[], false);
        assert!(all_v6.judge(mapped).is_err(), "an IPv6 allowance reached an IPv4 address");
    }

    #[test]
    fn deny_beats_allow_and_allow_beats_the_built_in() {
        let rules =
            Rules::new(&nets(&["169.254.0.0/16", "10.0.0.0/8"]), &nets(&["10.1.0.0/16"]), true);
        assert!(rules.judge(ip("169.254.1.1")).is_ok());
        assert!(rules.judge(ip("10.2.0.1")).is_ok());
        assert!(rules.judge(ip("10.1.0.1")).is_err());
        assert!(rules.judge(ip("::ffff:10.1.0.1")).is_err());
        assert!(Rules::new(&[], &nets(&["127.0.0.1/32"]), true).judge(ip("127.0.0.1")).is_err());
        assert!(Rules::new(&[], &nets(&["2002::/16"]), true).judge(ip("2002:a00:1::")).is_err());
    }
}
