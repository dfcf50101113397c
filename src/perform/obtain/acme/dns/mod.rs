//! dns-01 (RFC 8555 §8.4): where a TXT record belongs, who writes it, and when all who are asked
//! for it answer it. Records are added to what stands at a name and taken away one by one: several
//! orders, and a wildcard and its base, share a name.

mod acme_dns;
mod exec;
mod library;
mod provider;
mod zone;

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;

use super::error::ObtainError;
use super::spec::DnsSpec;
use provider::Provider;
pub(super) use zone::Lookup;

/// A TXT record of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Its owner, CNAMEs followed, without trailing dot.
    name: String,
    value: String,
    /// The zone that the owner is in; empty where nobody needs to know.
    zone: String,
}

/// A TXT record that was written, or may have been.
pub(super) struct Placed {
    provider: Arc<Provider>,
    record: Record,
}

/// DNS for one order.
pub(super) struct Dns {
    provider: Arc<Provider>,
    lookup: Lookup,
    propagation: Duration,
    zone: Option<String>,
}

impl Dns {
    pub(super) fn new(spec: &DnsSpec) -> Result<Self, ObtainError> {
        Ok(Self {
            provider: Arc::new(Provider::new(&spec.provider)?),
            lookup: Lookup::new(&spec.lookup)?,
            propagation: Duration::try_from(spec.propagation).unwrap_or_default(),
            zone: provider::zone(&spec.provider).map(|zone| zone.trim_end_matches('.').to_owned()),
        })
    }

    /// Finds the place of `value` for the domain `base`, and writes it there. What is put into
    /// `placed` is to be withdrawn, whatever this gives.
    pub(super) async fn place(
        &self,
        base: &str,
        value: String,
        placed: &mut Vec<Placed>,
    ) -> Result<(), ObtainError> {
        let name = self.lookup.target(&format!("_acme-challenge.{base}")).await?;
        let zone = match &self.zone {
            Some(zone) => zone.clone(),
            None if self.provider.needs_zone() => self.lookup.zone(&name).await?,
            None => String::new(),
        };
        let record = Record { name, value, zone };
        // An update that failed may have been made all the same.
        placed.push(Placed { provider: Arc::clone(&self.provider), record: record.clone() });
        self.provider.add(&record).await
    }

    /// Waits until every server of the zones answers every record.
    ///
    /// # Errors
    /// [`ObtainError::Answer`] naming one that does not after the time for propagation.
    pub(super) async fn propagated(&self, placed: &[Placed]) -> Result<(), ObtainError> {
        if self.propagation.is_zero() {
            return Ok(());
        }
        let until = Instant::now() + self.propagation;
        for Placed { record, .. } in placed {
            // Who publishes it is found without what we were told of who is updated: that may be a
            // hidden primary, or a zone of another name.
            let servers = self.lookup.servers(&record.name).await?;
            for server in servers {
                while let Err(why) = server.answers(&record.name, &record.value).await {
                    if Instant::now() + PAUSE > until {
                        return Err(ObtainError::Answer {
                            name: record.name.clone(),
                            why: format!(
                                "{server} does not answer the TXT record after {:#} ({why}); see \
                                 that it is updated, or give it more time by propagation",
                                SignedDuration::try_from(self.propagation).unwrap_or_default()
                            ),
                        });
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        Ok(())
    }
}

impl Placed {
    /// Takes the record away. That it could not be is worth a line, but nothing depends on it.
    pub(super) async fn withdraw(self) {
        let removal = tokio::time::timeout(REMOVAL, self.provider.remove(&self.record)).await;
        let name = &self.record.name;
        match removal {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(name, %error, "a TXT record could not be removed"),
            Err(_) => tracing::warn!(name, "a TXT record could not be removed in time"),
        }
    }
}

/// The DNS services that can be declared.
#[cfg(test)]
pub(super) fn services() -> impl Iterator<Item = &'static str> {
    library::SERVICES.split(", ")
}

/// Whether a DNS service has the credentials it wants.
///
/// # Errors
/// [`ObtainError::Settings`] naming what is missing.
#[cfg(test)]
pub(super) fn check_service(name: &str, credentials: &std::path::Path) -> Result<(), ObtainError> {
    library::updater(name, credentials).map(drop)
}

fn fault(name: &str, why: impl Into<String>) -> ObtainError {
    ObtainError::Answer { name: name.to_owned(), why: why.into() }
}

const PAUSE: Duration = Duration::from_secs(1);
const REMOVAL: Duration = Duration::from_secs(120);
