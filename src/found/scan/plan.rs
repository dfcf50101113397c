//! What a scan looks at, as a sequence that can be entered anywhere: a network is not spelled out.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use super::Request;

/// The sequence.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(super) request: Request,
    parts: Vec<Part>,
    total: u64,
}

/// Neighbours in the sequence.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    /// Each address of a network, with each port.
    Network(IpNet, Vec<u16>),
    /// A host with each port.
    Host(String, Vec<u16>),
    /// A file, or everything in a directory.
    Path(PathBuf),
    /// The Secrets of a cluster.
    Cluster(Cluster),
}

/// A cluster, and perhaps one of its namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cluster {
    /// The context of the kubeconfig that leads there; none: the current one, or the pod's own cluster.
    pub(super) context: Option<String>,
    pub(super) namespace: Option<String>,
}

/// One member of the sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Address(SocketAddr),
    Host(String, u16),
    Path(PathBuf),
    Cluster(Cluster),
}

impl Plan {
    /// What `request` asks for.
    ///
    /// # Errors
    /// [`PlanError`] says what is not understood, or too much.
    pub(crate) fn new(request: Request) -> Result<Self, PlanError> {
        let usual = ports(&request.ports)?;
        let mut parts = Vec::new();
        for target in &request.targets {
            parts.push(part(target, &usual)?);
        }
        let total = parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(part.len()?));
        let total = total.filter(|total| *total <= MAX_TOTAL).ok_or(PlanError::TooMuch)?;
        Ok(Self { request, parts, total })
    }

    /// How many places there are to look at.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The member with this number; none beyond the end, and for an address that is excluded.
    pub(super) fn item(&self, number: u64) -> Option<Item> {
        let mut number = number;
        for part in &self.parts {
            let length = part.len()?;
            if number < length {
                let item = part.item(number)?;
                let admitted = match &item {
                    Item::Address(address) => self.request.admits(address.ip()),
                    _ => true,
                };
                return admitted.then_some(item);
            }
            number -= length;
        }
        None
    }
}

impl Part {
    fn len(&self) -> Option<u64> {
        match self {
            Self::Network(net, ports) => {
                let bits = u32::from(net.max_prefix_len() - net.prefix_len());
                let addresses = 1_u64.checked_shl(bits).filter(|_| bits < 64)?;
                addresses.checked_mul(ports.len() as u64)
            }
            Self::Host(_, ports) => Some(ports.len() as u64),
            Self::Path(_) | Self::Cluster(_) => Some(1),
        }
    }

    fn item(&self, number: u64) -> Option<Item> {
        match self {
            Self::Network(net, ports) => {
                let port = *ports.get(usize::try_from(number % ports.len() as u64).ok()?)?;
                let offset = number / ports.len() as u64;
                let address = match net.network() {
                    IpAddr::V4(first) => {
                        IpAddr::V4((u32::from(first) + u32::try_from(offset).ok()?).into())
                    }
                    IpAddr::V6(first) => {
                        IpAddr::V6((u128::from(first) + u128::from(offset)).into())
                    }
                };
                Some(Item::Address(SocketAddr::new(address, port)))
            }
            Self::Host(host, ports) => {
                let port = *ports.get(usize::try_from(number).ok()?)?;
                Some(Item::Host(host.clone(), port))
            }
            Self::Path(path) => Some(Item::Path(path.clone())),
            Self::Cluster(cluster) => Some(Item::Cluster(cluster.clone())),
        }
    }
}

/// A target: `kubernetes:CONTEXT/NAMESPACE`, either of which may be missing; `10.0.0.0/24`, `10.0.0.1:8443`, `[2001:db8::1]:443`, `example.com`, `/etc/ssl`.
fn part(target: &str, usual: &[u16]) -> Result<Part, PlanError> {
    let wrong = || PlanError::Target(target.to_owned());
    if let Some(cluster) = target.strip_prefix("kubernetes:") {
        let (context, namespace) = cluster.split_once('/').unwrap_or((cluster, ""));
        let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        let cluster = Cluster { context: named(context), namespace: named(namespace) };
        return Ok(Part::Cluster(cluster));
    }
    let path = target.starts_with(['/', '.']);
    if path {
        return Ok(Part::Path(PathBuf::from(target)));
    }
    // What is in brackets, or has no more than one colon, may have ports behind it.
    let (host, own) = match target.rsplit_once(':') {
        Some((host, own)) if host.ends_with(']') || !host.contains(':') => (host, Some(own)),
        _ => (target, None),
    };
    let ports = own.map_or_else(|| Ok(usual.to_vec()), ports)?;
    let plain = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(net) = plain.parse::<IpNet>() {
        return Ok(Part::Network(net.trunc(), ports));
    }
    if let Ok(address) = plain.parse::<IpAddr>() {
        return Ok(Part::Network(IpNet::from(address), ports));
    }
    let named = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if plain.is_empty() || plain.len() > 253 || !plain.chars().all(named) {
        return Err(wrong());
    }
    Ok(Part::Host(plain.to_owned(), ports))
}

/// Ports: `443,8443,9000-9010`.
fn ports(text: &str) -> Result<Vec<u16>, PlanError> {
    let wrong = || PlanError::Ports(text.to_owned());
    let mut found = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
        let (first, last) = (port(first).ok_or_else(wrong)?, port(last).ok_or_else(wrong)?);
        if first > last {
            return Err(wrong());
        }
        found.extend(first..=last);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// A scan that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlanError {
    /// A target that is none.
    #[error(
        "{0:?} is nothing to scan: write a host, an address or a network (10.0.0.0/24), with :PORTS behind it if they are others, a path that begins with / or ., or kubernetes:CONTEXT/NAMESPACE"
    )]
    Target(String),
    /// Ports that are none.
    #[error("{0:?} are no ports: write 443,8443,9000-9010")]
    Ports(String),
    /// More than anybody waits for.
    #[error("that is more than {MAX_TOTAL} addresses and ports; scan parts of it")]
    TooMuch,
}

/// A network of 2^24 addresses.
const MAX_TOTAL: u64 = 1 << 24;

#[cfg(test)]
mod tests {
    use super::super::Speech;
    use super::*;

    fn plan(targets: &[&str], exclude: &[&str]) -> Result<Plan, PlanError> {
        Plan::new(Request {
            targets: targets.iter().map(ToString::to_string).collect(),
            ports: "443,8443".into(),
            exclude: exclude.iter().map(|net| net.parse().expect("a network")).collect(),
            sni: None,
            starttls: Speech::Auto,
            rate: 1,
            at_once: 1,
            timeout: 1000,
            kubeconfig: None,
            owner: None,
        })
    }

    fn spelled(plan: &Plan) -> Vec<String> {
        let item = |number| match plan.item(number) {
            Some(Item::Address(address)) => address.to_string(),
            Some(Item::Host(host, port)) => format!("{host}:{port}"),
            Some(Item::Path(path)) => path.display().to_string(),
            Some(Item::Cluster(cluster)) => format!("{cluster:?}"),
            None => "-".into(),
        };
        (0..plan.total()).map(item).collect()
    }

    #[test]
    fn a_sequence_can_be_entered_anywhere() {
        let targets = ["10.0.0.5/31", "a.example:25-26", "[2001:db8::1]:443", "/etc/ssl", "::1"];
        let plan = plan(&targets, &["10.0.0.4/32"]).expect("a plan");
        let expected = [
            "-",
            "-",
            "10.0.0.5:443",
            "10.0.0.5:8443",
            "a.example:25",
            "a.example:26",
            "[2001:db8::1]:443",
            "/etc/ssl",
            "[::1]:443",
            "[::1]:8443",
        ];
        assert_eq!(spelled(&plan), expected);
        assert_eq!(plan.item(expected.len() as u64), None);
    }

    #[test]
    fn what_is_too_much_or_nothing_is_refused() {
        assert_eq!(plan(&["10.0.0.0/8"], &[]).map(|p| p.total()), Err(PlanError::TooMuch));
        assert!(matches!(plan(&["2001:db8::/32"], &[]), Err(PlanError::TooMuch)));
        assert!(matches!(plan(&["::/0"], &[]), Err(PlanError::TooMuch)));
        for bad in ["", "a b", "http://a", "a:x", "a:0", "a:9-8", "a:70000"] {
            assert!(plan(&[bad], &[]).is_err(), "{bad:?}");
        }
    }
}
