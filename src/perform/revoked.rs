//! Whether a CA outside has revoked what it issued: its CRL says, or where that cannot be had, its
//! OCSP responder. What cannot be had or does not verify says nothing: it neither revokes nor clears.

use ca::ocsp::Status;
use ca::{Certificate, Pointers};
use jiff::Timestamp;
use tracing::debug;

use crate::node::Node;
use crate::store::VersionRow;

/// Since when a version is revoked, if its issuer says so. It is asked only while it is declared:
/// what a declared CA writes into its certificates is followed to any address, as its directory is.
pub(super) async fn since(node: &Node, version: &VersionRow, now: Timestamp) -> Option<Timestamp> {
    if version.not_after <= now || !node.catalog.load().issuers.contains_key(&version.issuer) {
        // What has expired is taken off the lists.
        return None;
    }
    ask(node, version, now).await.unwrap_or_else(|why| {
        let (issuer, managed, version) = (&version.issuer, version.managed, version.number);
        debug!(issuer, managed, version, why, "whether it is revoked cannot be found out");
        None
    })
}

async fn ask(
    node: &Node,
    version: &VersionRow,
    now: Timestamp,
) -> Result<Option<Timestamp>, String> {
    let chain = Certificate::from_pem(&version.chain).map_err(|error| error.to_string())?;
    let [leaf, issuer, ..] = chain.as_slice() else {
        return Err("its issuer's certificate is not in its chain".into());
    };
    leaf.verify_issued_by(issuer).map_err(|error| error.to_string())?;
    let pointers = Pointers::of(leaf).map_err(|error| error.to_string())?;
    let mut complaints = Vec::new();
    for url in pointers.crl.iter().take(MOST) {
        let list = node.published.list(url, issuer, now).await;
        let found = list
            .and_then(|list| list.find(leaf, &pointers).map_err(|error| format!("{url}: {error}")));
        match found {
            Ok(found) => return Ok(found.map(|entry| entry.at)),
            Err(why) => complaints.push(why),
        }
    }
    for url in pointers.ocsp.iter().take(MOST) {
        match node.published.status(url, leaf, issuer, now).await {
            Ok(Status::Revoked { at, .. }) => return Ok(Some(at)),
            Ok(Status::Good) => return Ok(None),
            Ok(Status::Unknown) => complaints.push(format!("{url}: it does not know it")),
            Err(why) => complaints.push(why),
        }
    }
    if complaints.is_empty() { Ok(None) } else { Err(complaints.join("; ")) }
}

/// Places that are asked before it is given up for now.
const MOST: usize = 3;

#[cfg(test)]
mod tests;
