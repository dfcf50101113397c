//! DNS lookups for validation: absolute names only, nothing cached, every answer told apart (no
//! such name, no such records, an error, silence). Which addresses may be connected to is not
//! decided here.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use acme::ProblemType;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{TokioResolver, system_conf};

use super::outcome::{Deadline, Failure};
use super::settings::{InvalidSettings, Settings};
use crate::perform::outgoing::causes;

/// The resolver all lookups go through. Names under `localhost` and `invalid` are answered without
/// asking anyone (RFC 6761 §6.3, §6.4).
pub(super) struct Dns(TokioResolver);

/// What one query found, after CNAMEs.
pub(super) enum Answer {
    /// Records of the type asked for, and the name they stand at if CNAMEs led there.
    Records(Vec<RData>, Option<String>),
    /// The name, or the one its CNAMEs lead to, does not exist (NXDOMAIN).
    NoSuchName,
    /// The name exists, but has no records of that type.
    NoRecords,
}

/// The addresses of a name, by family, in the order of the answer.
#[derive(Debug)]
pub(super) struct Addresses {
    pub(super) v6: Vec<IpAddr>,
    pub(super) v4: Vec<IpAddr>,
}

/// The TXT records at a name.
pub(super) struct Txt {
    name: String,
    alias: Option<String>,
    /// One per record: its strings joined, what is not UTF-8 replaced.
    pub(super) values: Vec<String>,
}

impl Dns {
    /// A resolver over `settings.resolvers`, or the system's.
    ///
    /// # Errors
    /// When the resolver library refuses its configuration.
    pub(super) fn new(settings: &Settings) -> Result<Self, InvalidSettings> {
        let (servers, hosts) = if settings.resolvers.is_empty() {
            (system_servers(), ResolveHosts::Always)
        } else {
            (settings.resolvers.iter().copied().map(server).collect(), ResolveHosts::Never)
        };
        let mut options = ResolverOpts::default();
        options.attempts = RETRIES;
        // Each pass over the servers may take this long; two fit in the whole with time to spare.
        options.timeout = settings.timeout / 4;
        options.cache_size = 0;
        options.use_hosts_file = hosts;
        options.preserve_intermediates = true;
        options.max_active_requests = MAX_ACTIVE;
        options.case_randomization = settings
            .case_randomization
            .unwrap_or_else(|| servers.iter().any(|server| !is_near(server.ip)));
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
            .map(Self)
            .map_err(|error| InvalidSettings::Resolver(error.to_string()))
    }

    /// The addresses of `name`: A and AAAA, asked together. One family's failure does not matter
    /// if the other has addresses.
    ///
    /// # Errors
    /// `dns`, when there is no address of either family.
    pub(super) async fn addresses(
        &self,
        name: &str,
        deadline: Deadline,
    ) -> Result<Addresses, Failure> {
        let (v6, v4) = tokio::join!(
            self.query(name, RecordType::AAAA, deadline),
            self.query(name, RecordType::A, deadline)
        );
        let found = Addresses { v6: addresses_in(&v6), v4: addresses_in(&v4) };
        if !found.v6.is_empty() || !found.v4.is_empty() {
            return Ok(found);
        }
        match (v4?, v6?) {
            (Answer::NoSuchName, _) | (_, Answer::NoSuchName) => {
                Err(failed(format!("NXDOMAIN: {name} does not exist in DNS")))
            }
            _ => Err(failed(format!("{name} has no A or AAAA records in DNS"))),
        }
    }

    /// The TXT records at `name`.
    ///
    /// # Errors
    /// `dns`, when there are none or the query failed.
    pub(super) async fn txt(&self, name: &str, deadline: Deadline) -> Result<Txt, Failure> {
        let (records, alias) = match self.query(name, RecordType::TXT, deadline).await? {
            Answer::Records(records, alias) => (records, alias),
            Answer::NoSuchName => {
                return Err(failed(format!(
                    "NXDOMAIN: {name} does not exist in DNS, so it has no TXT record"
                )));
            }
            Answer::NoRecords => {
                return Err(failed(format!("{name} exists in DNS but has no TXT record")));
            }
        };
        let values = records
            .iter()
            .filter_map(|data| match data {
                RData::TXT(txt) => Some(txt.txt_data.concat()),
                _ => None,
            })
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect();
        Ok(Txt { name: name.to_owned(), alias, values })
    }

    /// Asks for the records of type `kind` at `name`, taken as absolute.
    ///
    /// # Errors
    /// `dns`, when nobody answered, or the answer is an error, or `name` is no name.
    pub(super) async fn query(
        &self,
        name: &str,
        kind: RecordType,
        deadline: Deadline,
    ) -> Result<Answer, Failure> {
        let what = || format!("DNS query for {kind} of {name}");
        let mut asked =
            Name::from_ascii(name).map_err(|error| failed(format!("{}: {error}", what())))?;
        asked.set_fqdn(true);
        let lookup = self.0.lookup(asked.clone(), kind);
        match deadline.run(lookup, ProblemType::Dns, &what()).await? {
            Ok(lookup) => Ok(relevant(&asked, kind, lookup.answers())),
            Err(error) => {
                absence(&error).ok_or_else(|| failed(format!("{}: {}", what(), describe(&error))))
            }
        }
    }
}

impl Txt {
    /// The name they were asked for at, and the one they stand at if CNAMEs led there.
    pub(super) fn place(&self) -> String {
        match &self.alias {
            Some(alias) => format!("{} (CNAME to {alias})", self.name),
            None => self.name.clone(),
        }
    }
}

/// The records of `kind` at the end of the CNAME chain that starts at `asked`; whatever else the
/// answer holds is not about the question.
fn relevant(asked: &Name, kind: RecordType, answers: &[Record]) -> Answer {
    let mut at = asked;
    for _ in 0..MAX_ALIASES {
        let alias = answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name.eq_ignore_root(at) => Some(&target.0),
            _ => None,
        });
        let Some(alias) = alias else { break };
        at = alias;
    }
    let records: Vec<RData> = answers
        .iter()
        .filter(|record| record.record_type() == kind && record.name.eq_ignore_root(at))
        .map(|record| record.data.clone())
        .collect();
    if records.is_empty() {
        return Answer::NoRecords;
    }
    let alias = (at != asked).then(|| at.to_string().trim_end_matches('.').to_owned());
    Answer::Records(records, alias)
}

fn addresses_in(answer: &Result<Answer, Failure>) -> Vec<IpAddr> {
    let Ok(Answer::Records(records, _)) = answer else { return Vec::new() };
    records.iter().filter_map(RData::ip_addr).collect()
}

fn failed(detail: String) -> Failure {
    Failure::new(ProblemType::Dns, detail)
}

/// The answer `error` stands for, if it says that there is nothing; any other code says nothing.
fn absence(error: &NetError) -> Option<Answer> {
    let NetError::Dns(DnsError::NoRecordsFound(none)) = error else { return None };
    match none.response_code {
        ResponseCode::NXDomain => Some(Answer::NoSuchName),
        ResponseCode::NoError => Some(Answer::NoRecords),
        _ => None,
    }
}

/// The standard mnemonic of an error answer, or what went wrong on the way.
fn describe(error: &NetError) -> String {
    let code = match error {
        NetError::Dns(DnsError::ResponseCode(code)) => *code,
        NetError::Dns(DnsError::NoRecordsFound(none)) => none.response_code,
        NetError::Timeout => return "the resolver did not answer in time".into(),
        NetError::Io(error) => return format!("the resolver cannot be reached: {error}"),
        other => return causes(other),
    };
    match code {
        ResponseCode::ServFail => "the resolver answered SERVFAIL".into(),
        ResponseCode::Refused => "the resolver answered REFUSED".into(),
        ResponseCode::FormErr => "the resolver answered FORMERR".into(),
        ResponseCode::NotImp => "the resolver answered NOTIMP".into(),
        other => format!("the resolver answered {} ({other})", u16::from(other)),
    }
}

/// The system's resolvers; where it names none, the one on this host, as resolv.conf(5) has it.
fn system_servers() -> Vec<NameServerConfig> {
    let servers = match system_conf::read_system_conf() {
        Ok((config, _)) => config.name_servers().to_vec(),
        Err(error) => {
            tracing::warn!(%error, "no system resolver configuration; asking 127.0.0.1:53");
            Vec::new()
        }
    };
    if servers.is_empty() {
        return vec![server((Ipv4Addr::LOCALHOST, 53).into())];
    }
    servers
}

fn server(address: SocketAddr) -> NameServerConfig {
    let at_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = vec![at_port(ConnectionConfig::udp()), at_port(ConnectionConfig::tcp())];
    NameServerConfig::new(address.ip(), true, connections)
}

/// Whether a resolver is on this host or a private network, where an outsider's forged answers do
/// not reach and simple servers that compare names byte by byte are common.
fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Passes over the resolvers after the first one failed.
const RETRIES: usize = 1;
/// Queries in flight on one TCP connection to a resolver.
const MAX_ACTIVE: usize = 256;
/// CNAMEs followed within one answer.
const MAX_ALIASES: usize = 16;
