//! The only place that connects outward on behalf of ACME clients: challenge validation (RFC 8555
//! §8, RFC 8737, RFC 8738) and CAA lookups (RFC 8659). Names and URLs come from strangers, so every
//! address is judged before it is connected to, and everything has a limit in time and size.
//! What must be found is judged by `acme`. Nothing here reads or writes the store, and nothing
//! decides whether an order is ready.

mod address;
mod caa;
mod connect;
mod danger;
mod dns;
mod http;
mod outcome;
mod settings;
mod tls_alpn;

use std::sync::Arc;

use acme::challenge::{ACME_TLS_ALPN, KeyAuthorization, judge_txt};
use ca::{DnsName, Identifier};
use rustls::ClientConfig;

pub(crate) use caa::Caa;
pub(crate) use outcome::{Failure, Proof};
pub(crate) use settings::{InvalidSettings, Settings};

pub(crate) use address::Rules;
use connect::Dialer;
use dns::Dns;
use http::Ports;
use outcome::Deadline;

/// Validates challenges and looks up CAA records. Made once, cheap to clone, safe to share; holds
/// the resolver and the TLS configurations, and no state between calls.
#[derive(Clone)]
pub(crate) struct Validator(Arc<Inner>);

struct Inner {
    settings: Settings,
    dialer: Dialer,
    https: Arc<ClientConfig>,
    acme_tls: Arc<ClientConfig>,
}

impl Validator {
    /// A validator that follows `settings`. Without resolvers in them it reads the system's.
    ///
    /// # Errors
    /// When a setting is out of range, or the TLS library refuses its own configuration.
    pub(crate) fn new(settings: Settings) -> Result<Self, InvalidSettings> {
        settings.check()?;
        let rules = Rules::new(&settings.allow, &settings.deny, settings.loopback);
        let dns = Dns::new(&settings)?;
        Ok(Self(Arc::new(Inner {
            dialer: Dialer::new(dns, rules, settings.connect_timeout),
            https: danger::any_certificate(&[http::ALPN])?,
            acme_tls: danger::any_certificate(&[ACME_TLS_ALPN])?,
            settings,
        })))
    }

    /// Fetches `http://{identifier}/.well-known/acme-challenge/{token}` and expects the key
    /// authorization (RFC 8555 §8.3, RFC 8738 §4).
    ///
    /// # Errors
    /// [`Failure`] of kind `dns`, `connection`, `tls` (after a redirect to https),
    /// `incorrectResponse`, or `malformed` for a wildcard, which this method cannot prove.
    pub(crate) async fn http_01(
        &self,
        identifier: &Identifier,
        expected: &KeyAuthorization,
    ) -> Result<Proof, Failure> {
        refuse_wildcard(identifier, "http-01")?;
        let settings = &self.0.settings;
        let client = http::Client {
            dialer: &self.0.dialer,
            tls: &self.0.https,
            ports: Ports { http: settings.http_port, https: settings.tls_port },
            redirects: settings.redirects,
            deadline: self.deadline(),
        };
        client.validate(identifier, expected).await
    }

    /// Connects with TLS and expects the validation certificate that carries the digest of the key
    /// authorization (RFC 8737 §3, RFC 8738 §6).
    ///
    /// # Errors
    /// [`Failure`] of kind `dns`, `connection`, `tls`, `incorrectResponse`, or `malformed` for a
    /// wildcard, which this method cannot prove.
    pub(crate) async fn tls_alpn_01(
        &self,
        identifier: &Identifier,
        expected: &KeyAuthorization,
    ) -> Result<Proof, Failure> {
        refuse_wildcard(identifier, "tls-alpn-01")?;
        let port = self.0.settings.tls_port;
        let probe = tls_alpn::Probe {
            dialer: &self.0.dialer,
            tls: &self.0.acme_tls,
            deadline: self.deadline(),
        };
        probe.validate(identifier, port, expected).await
    }

    /// Looks for a TXT record at `name` that holds the digest of the key authorization: dns-01
    /// (RFC 8555 §8.4) and dns-account-01. `name` is absolute and whole, such as
    /// `_acme-challenge.example.com`; CNAMEs are followed.
    ///
    /// # Errors
    /// [`Failure`] of kind `dns` when there is no such record set or no answer, and
    /// `incorrectResponse` when there are records but none that matches.
    pub(crate) async fn dns_txt(
        &self,
        name: &str,
        expected: &KeyAuthorization,
    ) -> Result<Proof, Failure> {
        let found = self.0.dialer.dns().txt(name, self.deadline()).await?;
        judge_txt(expected, &found.place(), &found.values)?;
        let seen = format!("one of {} TXT record(s) at {}", found.values.len(), found.place());
        Ok(Proof { address: None, seen })
    }

    /// The values of the TXT records at `name`, each with its strings joined (RFC 7208 §3.3 does
    /// the same): for dns-persist-01, whose values the caller judges. CNAMEs are followed.
    ///
    /// # Errors
    /// [`Failure`] of kind `dns` when there is no such record set or no answer.
    pub(crate) async fn txt(&self, name: &str) -> Result<Vec<String>, Failure> {
        Ok(self.0.dialer.dns().txt(name, self.deadline()).await?.values)
    }

    /// The CAA record set relevant for `name`, found by climbing towards the root (RFC 8659 §3). A
    /// wildcard is looked up without its `*.`.
    ///
    /// # Errors
    /// [`Failure`] of kind `dns` when any lookup on the way failed: then nobody knows, and
    /// certificates must not be issued.
    pub(crate) async fn caa(&self, name: &DnsName) -> Result<Caa, Failure> {
        caa::find(self.0.dialer.dns(), name, self.deadline()).await
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.0.settings.timeout)
    }
}

impl std::fmt::Debug for Validator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Validator").field(&self.0.settings).finish()
    }
}

fn refuse_wildcard(identifier: &Identifier, method: &str) -> Result<(), Failure> {
    if identifier.is_wildcard() {
        return Err(Failure::new(
            acme::ProblemType::Malformed,
            format!("{method}: {identifier} is a wildcard; prove it with a dns challenge"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
