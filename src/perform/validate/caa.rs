//! CAA record sets, found by climbing the tree (RFC 8659 §3). Where to look, and what the records
//! mean for issuance, is said by `acme`; here a failed lookup is a failure and never an empty set.

use acme::caa::{self, Record};
use ca::DnsName;
use hickory_resolver::proto::rr::{RData, RecordType};

use super::dns::{Answer, Dns};
use super::outcome::{Deadline, Failure};

/// The relevant record set of a name (RFC 8659 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caa {
    /// The name the records stand at: the one asked for or an ancestor; absent if none has any,
    /// which permits everyone.
    pub name: Option<String>,
    /// All CAA records there; empty exactly if `name` is absent. Octets of a value that are not
    /// UTF-8 are replaced by what no issuer name contains.
    pub records: Vec<Record>,
}

/// Looks for the first CAA record set on the way from `name` up.
///
/// # Errors
/// `dns`, when a lookup on the way failed.
pub(super) async fn find(dns: &Dns, name: &DnsName, deadline: Deadline) -> Result<Caa, Failure> {
    for at in caa::climb(name) {
        if let Answer::Records(records, _) = dns.query(at, RecordType::CAA, deadline).await? {
            let records = records.into_iter().filter_map(record).collect();
            return Ok(Caa { name: Some(at.to_owned()), records });
        }
    }
    Ok(Caa { name: None, records: Vec::new() })
}

fn record(data: RData) -> Option<Record> {
    let RData::CAA(caa) = data else { return None };
    Some(Record {
        flags: caa.flags(),
        tag: caa.tag.to_ascii_lowercase(),
        value: String::from_utf8_lossy(&caa.value).into_owned(),
    })
}
