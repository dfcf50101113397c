//! The way out for messages: one request, to an address that is judged first, within a time; redirects
//! are not followed, and what is answered is not read.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use url::{Host, Url};

use crate::catalog::WebhookSpec;
use crate::node::Node;
use crate::perform::outgoing::{self, causes, is_loopback};
use crate::perform::validate::Rules;

/// A message as it is sent.
pub(super) struct Envelope<'a> {
    pub(super) message: &'a str,
    pub(super) second: i64,
    pub(super) signature: String,
    pub(super) body: &'a str,
}

/// What became of an attempt.
pub(super) enum Answer {
    /// It was taken.
    Taken,
    /// The receiver wants no more of this (status 410): trying again is of no use.
    Gone,
    /// Why not, in words; without the URL, which may hold a secret.
    Failed(String),
}

/// Posts a message.
pub(super) async fn post(node: &Node, spec: &WebhookSpec, envelope: Envelope<'_>) -> Answer {
    match attempt(node, spec, envelope).await {
        Ok(answer) => answer,
        Err(why) => Answer::Failed(why),
    }
}

async fn attempt(
    node: &Node,
    spec: &WebhookSpec,
    envelope: Envelope<'_>,
) -> Result<Answer, String> {
    let url = Url::parse(&spec.url).map_err(|error| format!("its url is none: {error}"))?;
    let settings = &node.config.validation;
    // Back to this machine only where that is what is written.
    let rules = Rules::new(&settings.allow, &settings.deny, is_loopback(&url));
    let literal = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        _ => None,
    };
    if let Some(Err(why)) = literal.map(|address| rules.judge(address)) {
        return Err(format!("its address is {why}"));
    }
    let client = client(spec, is_loopback(&url), rules)?;
    let request = client
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", envelope.message)
        .header("webhook-timestamp", envelope.second)
        .header("webhook-signature", envelope.signature)
        .body(envelope.body.to_owned());
    let response = request.send().await.map_err(|error| causes(&error.without_url()))?;
    let status = response.status();
    Ok(match status {
        _ if status.is_success() => Answer::Taken,
        reqwest::StatusCode::GONE => Answer::Gone,
        _ if status.is_redirection() => Answer::Failed(format!(
            "it answered {status}; redirects are not followed: name where it leads"
        )),
        _ => Answer::Failed(format!("it answered {status}")),
    })
}

fn client(spec: &WebhookSpec, direct: bool, rules: Rules) -> Result<reqwest::Client, String> {
    let builder = outgoing::client(direct, CONNECT, EXCHANGE);
    let mut builder = builder.redirect(Policy::none()).dns_resolver(Arc::new(Judged(rules)));
    if let Some(path) = &spec.roots {
        builder = outgoing::trusting_file(builder, path)?;
    }
    builder.build().map_err(|error| causes(&error))
}

/// Finds the addresses of a name that may be connected to.
struct Judged(Rules);

impl Resolve for Judged {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let mut refused = None;
            let judged = |address: &SocketAddr| match rules.judge(address.ip()) {
                Ok(()) => true,
                Err(why) => {
                    refused = Some(format!("{} is {why}", address.ip()));
                    false
                }
            };
            let allowed: Vec<SocketAddr> = found.into_iter().filter(judged).collect();
            match (allowed.is_empty(), refused) {
                (true, Some(refused)) => Err(refused.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

const CONNECT: Duration = Duration::from_secs(5);
const EXCHANGE: Duration = Duration::from_secs(15);
