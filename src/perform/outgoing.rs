//! HTTP to others: how every client of ours begins, whose certificates it takes, how much of an answer
//! is read, and what is said when it fails. Whom to ask, how long it may take and where redirects may
//! lead is not known here.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, ClientBuilder, Response};
use url::{Host, Url};

/// A client that may take so long to connect, and for an exchange. To this machine it is `direct`,
/// whatever proxy the environment names.
pub(crate) fn client(direct: bool, connect: Duration, exchange: Duration) -> ClientBuilder {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("perennial/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(connect)
        .timeout(exchange);
    if direct { builder.no_proxy() } else { builder }
}

/// The same, trusting these roots (DER) and no others.
///
/// # Errors
/// In words, when one is no certificate.
pub(crate) fn trusting<'a>(
    builder: ClientBuilder,
    roots: impl IntoIterator<Item = &'a [u8]>,
) -> Result<ClientBuilder, String> {
    let roots = roots.into_iter().map(Certificate::from_der).collect::<Result<Vec<_>, _>>();
    Ok(builder.tls_certs_only(roots.map_err(|error| causes(&error))?))
}

/// The same with the roots in a PEM file, declared as `roots`.
///
/// # Errors
/// In words, when it cannot be read.
pub(crate) fn trusting_file(builder: ClientBuilder, path: &Path) -> Result<ClientBuilder, String> {
    let read = || {
        let pem = fs::read_to_string(path).map_err(|error| error.to_string())?;
        let roots = ca::Certificate::from_pem(&pem).map_err(|error| error.to_string())?;
        trusting(builder, roots.iter().map(ca::Certificate::der))
    };
    read().map_err(|why| format!("roots {}: {why}; name a PEM file", path.display()))
}

/// The body of an answer, `most` octets at the most.
///
/// # Errors
/// [`BadBody`] says which end failed.
pub(crate) async fn body(mut response: Response, most: usize) -> Result<Vec<u8>, BadBody> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(BadBody::Broken)? {
        if body.len() + chunk.len() > most {
            return Err(BadBody::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A body that cannot be used.
#[derive(Debug)]
pub(crate) enum BadBody {
    /// It did not come to its end.
    Broken(reqwest::Error),
    /// It has more octets than are read.
    TooLarge,
}

/// An error with what caused it, innermost last: reqwest's own words say little.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Whether a URL leads to this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}
