//! Who is connected: so many connections per client and no more, for a place taken by one is taken
//! from all. Nothing here knows what a connection is for.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;

/// The connections that are open, by client.
pub(crate) struct Peers {
    most: u32,
    exempt: Vec<IpNet>,
    open: Mutex<HashMap<IpAddr, u32>>,
}

impl Peers {
    /// At most `most` connections of each client; those from `exempt` are not counted.
    pub(crate) fn new(most: u32, exempt: Vec<IpNet>) -> Arc<Self> {
        Arc::new(Self { most, exempt, open: Mutex::default() })
    }

    /// A place for one more connection from `address`, if its client has one left.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Admitted> {
        let address = address.to_canonical();
        if self.exempt.iter().any(|net| net.contains(&address)) {
            return Some(Admitted(None));
        }
        let client = client(address);
        let mut open = self.lock();
        let count = open.entry(client).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Admitted(Some((Arc::clone(self), client))))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        // A map of numbers is as good after a panic as before it.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a connection, until dropped.
pub(crate) struct Admitted(Option<(Arc<Peers>, IpAddr)>);

impl Drop for Admitted {
    fn drop(&mut self) {
        let Some((peers, client)) = self.0.take() else { return };
        let mut open = peers.lock();
        match open.get_mut(&client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&client)),
        }
    }
}

/// Who counts as one client: an address, or the 64 bits that an IPv6 site has to itself.
pub(super) fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("test address")
    }

    #[test]
    fn a_whole_ipv6_network_is_one_client() {
        for (address, counted) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            assert_eq!(client(ip(address)), ip(counted));
        }
    }

    #[test]
    fn a_client_has_so_many_connections_and_gets_places_back() {
        let peers = Peers::new(2, Vec::new());
        let mut open: Vec<_> =
            ["2001:db8::1", "2001:db8::2"].map(|a| peers.admit(ip(a)).expect("room")).into();
        assert!(peers.admit(ip("2001:db8::3")).is_none());
        assert!(peers.admit(ip("2001:db8:0:1::1")).is_some(), "another client");
        open.pop();
        assert!(peers.admit(ip("2001:db8::3")).is_some());
        open.clear();
        assert!(peers.lock().is_empty(), "who is gone takes no memory");
    }

    #[test]
    fn what_is_exempt_is_not_counted_in_any_notation() {
        let peers = Peers::new(1, vec!["192.0.2.0/24".parse().expect("a network")]);
        let _places = ["192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1"]
            .map(|address| peers.admit(ip(address)).expect("exempt"));
    }
}
