//! TCP connections to what an identifier names: resolve, judge, then try, IPv6 first and the two
//! families in turn. Nothing is sent or read here.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use acme::ProblemType;
use ca::Identifier;
use tokio::net::TcpStream;

use super::address::Rules;
use super::dns::{Addresses, Dns};
use super::outcome::{Deadline, Failure};

/// Opens connections to identifiers, within the rules.
pub(super) struct Dialer {
    dns: Dns,
    rules: Rules,
    patience: Duration,
}

impl Dialer {
    /// A dialer that gives each address `patience` to accept.
    pub(super) fn new(dns: Dns, rules: Rules, patience: Duration) -> Self {
        Self { dns, rules, patience }
    }

    /// The resolver names are looked up with.
    pub(super) fn dns(&self) -> &Dns {
        &self.dns
    }

    /// A connection to `port` of the first permitted address of `host` that accepts one.
    ///
    /// # Errors
    /// `dns` when the name has no address, otherwise `connection`, with every address and why it
    /// was not used.
    pub(super) async fn connect(
        &self,
        host: &Identifier,
        port: u16,
        deadline: Deadline,
    ) -> Result<(TcpStream, SocketAddr), Failure> {
        let candidates = match host {
            Identifier::Ip(address) => vec![*address],
            Identifier::Dns(name) => in_turn(self.dns.addresses(name.as_str(), deadline).await?),
        };
        let mut tried = Vec::new();
        let mut attempts = 0;
        for address in candidates.into_iter().take(MAX_CANDIDATES) {
            if attempts == MAX_ATTEMPTS {
                break;
            }
            let address = SocketAddr::new(address, port);
            if let Err(why) = self.rules.judge(address.ip()) {
                tried.push(format!("{address} is not connected to: it is {why}"));
                continue;
            }
            attempts += 1;
            match self.attempt(address, deadline).await {
                Ok(stream) => return Ok((stream, address)),
                Err(failure) => tried.push(failure.detail),
            }
        }
        Err(Failure::new(ProblemType::Connection, tried.join("; ")))
    }

    async fn attempt(&self, address: SocketAddr, deadline: Deadline) -> Result<TcpStream, Failure> {
        let what = format!("connecting to {address}");
        let kind = ProblemType::Connection;
        let stream = deadline
            .or_after(self.patience)
            .run(TcpStream::connect(address), kind, &what)
            .await?
            .map_err(|error| Failure::new(kind, format!("{what}: {error}")))?;
        // Only a matter of speed: without it the request waits for nobody's acknowledgement.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}

/// IPv6 and IPv4 alternating, IPv6 first (RFC 8305 §4), so that few attempts reach both families.
fn in_turn(Addresses { v6, v4 }: Addresses) -> Vec<IpAddr> {
    let mut v4 = v4.into_iter();
    let mut order = Vec::with_capacity(v6.len() + v4.len());
    for address in v6 {
        order.push(address);
        order.extend(v4.next());
    }
    order.extend(v4);
    order
}

/// Addresses of one answer that are looked at, and how many of them are connected to.
const MAX_CANDIDATES: usize = 8;
const MAX_ATTEMPTS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_ipv6_goes_first() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("test address");
        let addresses = Addresses {
            v6: vec![ip("fd00::1"), ip("fd00::2"), ip("fd00::3")],
            v4: vec![ip("10.0.0.1")],
        };
        let order = in_turn(addresses);
        assert_eq!(order, [ip("fd00::1"), ip("10.0.0.1"), ip("fd00::2"), ip("fd00::3")]);
    }
}
