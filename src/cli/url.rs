//! What the node calls itself where nobody says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What clients on this machine call the HTTPS listener.
pub(super) fn own_https_url(address: SocketAddr) -> String {
    let local = address.ip().is_loopback() || address.ip().is_unspecified();
    if local {
        return format!("https://localhost:{}", address.port());
    }
    format!("https://{address}")
}

/// What certificates name for CRLs and issuers: an address, because the host in a URL there must be
/// a fully qualified name or an address (RFC 5280 §4.2.1.6), which `localhost` is not.
pub(super) fn own_http_url(mut address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    format!("http://{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_in_certificates_have_an_address_for_a_host() {
        let url = |address: &str| own_http_url(address.parse().expect("an address"));
        assert_eq!(url("127.0.0.1:8080"), "http://127.0.0.1:8080");
        assert_eq!(url("0.0.0.0:80"), "http://127.0.0.1:80");
        assert_eq!(url("[::]:8080"), "http://[::1]:8080");
        assert_eq!(url("10.1.2.3:8080"), "http://10.1.2.3:8080");
        let url = |address: &str| own_https_url(address.parse().expect("an address"));
        assert_eq!(url("0.0.0.0:8443"), "https://localhost:8443");
        assert_eq!(url("[fd00::1]:8443"), "https://[fd00::1]:8443");
    }
}
