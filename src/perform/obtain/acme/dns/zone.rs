//! Looking things up: where CNAMEs lead, which zone a name is in, and what each of the zone's own
//! servers answers. Nothing is cached: what matters is what a CA will see.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf;

use super::fault;
use crate::perform::obtain::acme::error::ObtainError;
use crate::perform::obtain::acme::spec::LookupSpec;

/// Finds places in DNS.
pub(in crate::perform::obtain::acme) struct Lookup {
    resolver: TokioResolver,
    servers: Vec<SocketAddr>,
    port: u16,
}

/// One of a zone's own servers.
pub(in crate::perform::obtain::acme) struct Server {
    name: String,
    address: SocketAddr,
    resolver: TokioResolver,
}

impl Lookup {
    pub(in crate::perform::obtain::acme) fn new(spec: &LookupSpec) -> Result<Self, ObtainError> {
        let servers = match spec.resolvers.as_slice() {
            [] => system_conf::read_system_conf()
                .map(|(config, _)| config.name_servers().to_vec())
                .map_err(|e| {
                    let why = "no system resolver is configured; name some as resolvers";
                    ObtainError::Settings(format!("{why} ({e})"))
                })?,
            some => some.iter().copied().map(at).collect(),
        };
        let resolver = resolver(servers, true)?;
        Ok(Self { resolver, servers: spec.servers.clone(), port: spec.nameserver_port })
    }

    /// Where CNAMEs lead from `name`: whoever cannot update a zone delegates the name to one that
    /// can be (RFC 8555 §8.4 has the CA follow them).
    pub(in crate::perform::obtain::acme) async fn target(
        &self,
        name: &str,
    ) -> Result<String, ObtainError> {
        let mut at = name.to_owned();
        for _ in 0..MAX_ALIASES {
            let alias = query(&self.resolver, &at, RecordType::CNAME).await;
            let alias =
                alias.map_err(|why| fault(&at, why))?.into_iter().find_map(|data| match data {
                    RData::CNAME(target) => Some(plain(&target.0)),
                    _ => None,
                });
            match alias {
                Some(alias) => at = alias,
                None => return Ok(at),
            }
        }
        Err(fault(name, format!("more than {MAX_ALIASES} CNAMEs lead on from it")))
    }

    /// The zone that `name` is in: the nearest ancestor with a SOA record.
    pub(in crate::perform::obtain::acme) async fn zone(
        &self,
        name: &str,
    ) -> Result<String, ObtainError> {
        let mut candidate = name;
        loop {
            let found = query(&self.resolver, candidate, RecordType::SOA).await;
            if !found.map_err(|why| fault(candidate, why))?.is_empty() {
                return Ok(candidate.to_owned());
            }
            match candidate.split_once('.') {
                Some((_, parent)) => candidate = parent,
                None => return Err(fault(name, "it is in no zone that can be found")),
            }
        }
    }

    /// The servers of the zone that `name` is in, or those we were told to ask instead.
    pub(in crate::perform::obtain::acme) async fn servers(
        &self,
        name: &str,
    ) -> Result<Vec<Server>, ObtainError> {
        if !self.servers.is_empty() {
            let told = self.servers.iter();
            return told.map(|server| Server::new("the server", *server)).collect();
        }
        let zone = self.zone(name).await?;
        let found = query(&self.resolver, &zone, RecordType::NS).await;
        let mut servers = Vec::new();
        for data in found.map_err(|why| fault(&zone, why))? {
            let RData::NS(host) = data else { continue };
            let host = plain(&host.0);
            for address in self.addresses(&host).await? {
                servers.push(Server::new(&host, (address, self.port).into())?);
            }
        }
        if servers.is_empty() {
            return Err(fault(&zone, "none of its servers has an address; name some as servers"));
        }
        Ok(servers)
    }

    /// Of a server with both, the IPv4 addresses: many a machine has no way to the others.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, ObtainError> {
        for kind in [RecordType::A, RecordType::AAAA] {
            let found = query(&self.resolver, host, kind).await.map_err(|why| fault(host, why))?;
            let found: Vec<_> = found.iter().filter_map(RData::ip_addr).collect();
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Err(fault(host, "this server of a zone has no address"))
    }
}

impl Server {
    fn new(name: &str, address: SocketAddr) -> Result<Self, ObtainError> {
        let resolver = resolver(vec![at(address)], false)?;
        Ok(Self { name: name.to_owned(), address, resolver })
    }

    /// Whether it has a TXT record `value` at `name`.
    ///
    /// # Errors
    /// What it has instead.
    pub(in crate::perform::obtain::acme) async fn answers(
        &self,
        name: &str,
        value: &str,
    ) -> Result<(), String> {
        match self.texts(name).await?.as_slice() {
            [] => Err("it has none".into()),
            some if some.iter().any(|text| text == value) => Ok(()),
            _ => Err("it has others".into()),
        }
    }

    /// The TXT records it has at `name`.
    ///
    /// # Errors
    /// Why it does not say.
    pub(in crate::perform::obtain::acme) async fn texts(
        &self,
        name: &str,
    ) -> Result<Vec<String>, String> {
        let found = query(&self.resolver, name, RecordType::TXT).await?;
        let texts = found.into_iter().filter_map(|data| match data {
            RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
            _ => None,
        });
        Ok(texts.collect())
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.address)
    }
}

/// The records of a kind that stand at `name` itself; none where there is no such name.
async fn query(
    resolver: &TokioResolver,
    name: &str,
    kind: RecordType,
) -> Result<Vec<RData>, String> {
    let mut asked = Name::from_ascii(name).map_err(|e| format!("it is no name: {e}"))?;
    asked.set_fqdn(true);
    match resolver.lookup(asked.clone(), kind).await {
        Ok(lookup) => Ok(lookup
            .answers()
            .iter()
            .filter(|record| record.record_type() == kind && record.name.eq_ignore_root(&asked))
            .map(|record| record.data.clone())
            .collect()),
        Err(NetError::Dns(DnsError::NoRecordsFound(none)))
            if matches!(none.response_code, ResponseCode::NXDomain | ResponseCode::NoError) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(format!("its {kind} records cannot be had: {error}")),
    }
}

fn resolver(servers: Vec<NameServerConfig>, recursive: bool) -> Result<TokioResolver, ObtainError> {
    let mut options = ResolverOpts::default();
    options.attempts = 1;
    options.timeout = TIMEOUT;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.preserve_intermediates = true;
    options.recursion_desired = recursive;
    let config = ResolverConfig::from_parts(None, Vec::new(), servers);
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options)
        .build()
        .map_err(|e| ObtainError::Settings(format!("DNS cannot be asked: {e}")))
}

fn at(address: SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections)
}

fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

const MAX_ALIASES: usize = 10;
const TIMEOUT: Duration = Duration::from_secs(5);
