//! CAA record sets, found by climbing the tree (RFC 8659 §3). What the records mean for issuance
//! is judged elsewhere; here a failed lookup is a failure and never an empty set.

use ca::DnsName;
use hickory_resolver::proto::rr::{RData, RecordType};
use serde::Serialize;

use super::dns::{Answer, Dns};
use super::outcome::{Deadline, Failure};

/// The relevant record set of a name (RFC 8659 §3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Caa {
    /// The name the records stand at: the one asked for or an ancestor; absent if none has any,
    /// which permits everyone.
    pub name: Option<String>,
    /// All CAA records there; empty exactly if `name` is absent.
    pub records: Vec<CaaRecord>,
}

/// One CAA record (RFC 8659 §4.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CaaRecord {
    /// The flags octet; bit 128 is `critical`.
    pub flags: u8,
    /// The property tag in lower case, such as `issue`.
    pub tag: String,
    /// The property value as it stands; octets that are not UTF-8 are replaced, which no issuer
    /// name contains.
    pub value: String,
}

/// Looks at `name`, then at each ancestor below the root, for the first CAA record set.
///
/// # Errors
/// `dns`, when a lookup on the way failed.
pub(super) async fn climb(dns: &Dns, name: &DnsName, deadline: Deadline) -> Result<Caa, Failure> {
    let base = name.base();
    let mut at = Some(base.as_str());
    while let Some(name) = at {
        if let Answer::Records(records, _) = dns.query(name, RecordType::CAA, deadline).await? {
            let records = records.into_iter().filter_map(record).collect();
            return Ok(Caa { name: Some(name.to_owned()), records });
        }
        at = name.split_once('.').map(|(_, parent)| parent);
    }
    Ok(Caa { name: None, records: Vec::new() })
}

fn record(data: RData) -> Option<CaaRecord> {
    let RData::CAA(caa) = data else { return None };
    Some(CaaRecord {
        flags: caa.flags(),
        tag: caa.tag.to_ascii_lowercase(),
        value: String::from_utf8_lossy(&caa.value).into_owned(),
    })
}
