//! The way out for messages: one request, to an address that is judged first, within a time; redirects
//! are not followed, and what is answered is not read.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::fmt::rfc2822;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use url::{Host, Url};

use super::Answer;
use crate::node::Node;
use crate::perform::outgoing::{self, causes, is_loopback};
use crate::perform::validate::Rules;

/// Posts JSON to `url`, which may hold a secret and is in nothing that is said of it.
pub(super) async fn post(
    node: &Node,
    url: &str,
    roots: Option<&Path>,
    headers: &[(&'static str, String)],
    body: &str,
) -> Answer {
    match attempt(node, url, roots, headers, body).await {
        Ok(answer) => answer,
        Err(why) => Answer::Failed(why),
    }
}

async fn attempt(
    node: &Node,
    url: &str,
    roots: Option<&Path>,
    headers: &[(&'static str, String)],
    body: &str,
) -> Result<Answer, String> {
    let url = Url::parse(url).map_err(|error| format!("its url is none: {error}"))?;
    let mut request = client_to(node, &url, roots)?
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let response = request.send().await.map_err(|error| causes(&error.without_url()))?;
    let status = response.status();
    let said = format!("it answered {status}");
    Ok(match status {
        _ if status.is_success() => Answer::Taken,
        reqwest::StatusCode::GONE => Answer::Refused("it answered that it is gone".into()),
        _ if status.is_redirection() => Answer::Failed(format!(
            "it answered {status}; redirects are not followed: name where it leads"
        )),
        _ => match retry_after(response.headers(), node.world.now()) {
            Some(rest) => Answer::Later(rest, said),
            None => Answer::Failed(said),
        },
    })
}

/// A client for requests to `url`, that follows no redirect and connects only where it may.
///
/// # Errors
/// In words, when the URL has an address that may not be connected to, or `roots` cannot be read.
pub(in crate::perform) fn client_to(
    node: &Node,
    url: &Url,
    roots: Option<&Path>,
) -> Result<reqwest::Client, String> {
    let rules = rules(node, is_loopback(url));
    let literal = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        _ => None,
    };
    if let Some(Err(why)) = literal.map(|address| rules.judge(address)) {
        return Err(format!("its address is {why}"));
    }
    client(roots, is_loopback(url), rules)
}

/// How long a receiver wants to be left alone (RFC 9110 §10.2.3): seconds, or until a time.
fn retry_after(headers: &HeaderMap, now: jiff::Timestamp) -> Option<SignedDuration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let rest = match text.parse::<u32>() {
        Ok(seconds) => SignedDuration::from_secs(seconds.into()),
        Err(_) => rfc2822::parse(text).ok()?.timestamp().duration_since(now),
    };
    Some(rest.clamp(SignedDuration::ZERO, LONGEST_REST))
}

/// Which addresses may be connected to: back to this machine only where that is what is written.
pub(super) fn rules(node: &Node, loopback: bool) -> Rules {
    let settings = &node.config.validation;
    Rules::new(&settings.allow, &settings.deny, loopback)
}

/// The addresses of a name that may be connected to.
///
/// # Errors
/// In words, when there are none.
pub(super) async fn addresses(
    rules: &Rules,
    name: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
    let found: Vec<SocketAddr> = tokio::net::lookup_host((name, port)).await?.collect();
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
        _ => Ok(allowed),
    }
}

fn client(roots: Option<&Path>, direct: bool, rules: Rules) -> Result<reqwest::Client, String> {
    let builder = outgoing::client(direct, CONNECT, EXCHANGE);
    let mut builder = builder.redirect(Policy::none()).dns_resolver(Arc::new(Judged(rules)));
    if let Some(path) = roots {
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
            let allowed = addresses(&rules, name.as_str(), 0).await?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

const CONNECT: Duration = Duration::from_secs(5);
const EXCHANGE: Duration = Duration::from_secs(15);
/// No receiver holds a message up for longer by saying so.
const LONGEST_REST: SignedDuration = SignedDuration::from_hours(1);
