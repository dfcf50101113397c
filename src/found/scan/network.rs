//! Looking at addresses.

use std::net::SocketAddr;

use push::probe::{Unseen, addresses_of, sight};
use tokio::sync::mpsc::Sender;

use super::Request;
use crate::found::finding::{Finding, tls_place};

/// Looks at every address of a host that was named: what cannot be reached there is told.
pub(super) async fn look_at_host(
    host: &str,
    port: u16,
    request: &Request,
    findings: &Sender<Finding>,
) {
    let name = format!("{host}:{port}");
    match addresses_of(&name, request.limit()).await {
        Ok(addresses) => {
            for address in addresses.into_iter().filter(|address| request.admits(address.ip())) {
                look(address, Some(host), request, findings).await;
            }
        }
        Err(why) => tell(Finding::nothing(format!("tls://{name}"), why), findings).await,
    }
}

/// Looks at an address. Where nobody said that something is there, nothing is told of what does not
/// answer.
pub(super) async fn look(
    address: SocketAddr,
    host: Option<&str>,
    request: &Request,
    findings: &Sender<Finding>,
) {
    let asked = request.sni.as_deref().or(host);
    let place = tls_place(address, asked);
    let speech = request.starttls.on(address.port());
    let finding = match sight(address, asked, speech, request.limit()).await {
        Ok(seen) => Finding::seen(place, seen.chain.iter().map(AsRef::as_ref)),
        Err(Unseen::Unreachable(_)) if host.is_none() => return,
        Err(error) => Finding::nothing(place, error.to_string()),
    };
    tell(finding.asked(asked), findings).await;
}

/// Who reads is gone only when the scan is.
async fn tell(finding: Finding, findings: &Sender<Finding>) {
    let _ = findings.send(finding).await;
}
