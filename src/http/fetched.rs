//! Who fetches a keyset, as the request says it. Addresses are those of the connection: what a header
//! says of others is not believed.

use axum::extract::Request;
use axum::http::{Method, header};
use url::form_urlencoded;

use super::server::Peer;
use crate::fetches::{Caller, Claims};
use crate::node::Node;
use crate::perform::keyset::Live;

/// Counts a request that is answered with the set, or that the client has it.
pub(super) fn note(node: &Node, live: &Live, request: &Request) {
    if request.method() != Method::GET {
        return;
    }
    let label = label(request);
    let agent = request.headers().get(header::USER_AGENT);
    let agent = agent.map(|agent| String::from_utf8_lossy(agent.as_bytes()));
    let address = match request.extensions().get::<Peer>() {
        Some(Peer::Network(address)) => Some(address.ip()),
        Some(Peer::Local) | None => None,
    };
    let claims = Claims { label: label.as_deref(), agent: agent.as_deref(), address };
    let caller = Caller::of(&claims, &live.keyset().consumers);
    node.fetches.note(live.id, &caller, live.standing.sequence, node.world.now());
    let consumer = if caller.declared { caller.name.as_str() } else { "" };
    node.metrics.keysets.fetched(&live.keyset().spec.name, consumer);
}

/// `?consumer=NAME`.
fn label(request: &Request) -> Option<String> {
    let pairs = form_urlencoded::parse(request.uri().query()?.as_bytes()).take(MAX_PAIRS);
    let mut found = pairs.filter(|(name, _)| name == "consumer");
    found.next().map(|(_, label)| label.into_owned())
}

/// More than a URL of a key set has a use for.
const MAX_PAIRS: usize = 16;
