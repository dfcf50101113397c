//! Who writes TXT records: a DNS server or service through the library dns-update, an acme-dns
//! server, or a program. Here is only which of them.

use data_encoding::BASE64;
use dns_update::providers::rfc2136::DnsAddress;
use dns_update::{DnsRecord, DnsRecordType, DnsUpdater};
use zeroize::Zeroizing;

use super::acme_dns::AcmeDns;
use super::exec::Exec;
use super::{Record, fault, library};
use crate::perform::obtain::acme::error::{ObtainError, excerpt};
use crate::perform::obtain::acme::secret;
use crate::perform::obtain::acme::spec::{ProviderSpec, TsigAlgorithm};

/// Who writes TXT records.
pub(super) enum Provider {
    Updater(Box<DnsUpdater>),
    AcmeDns(AcmeDns),
    Exec(Exec),
}

/// The zone that is declared to be updated.
pub(super) fn zone(spec: &ProviderSpec) -> Option<&str> {
    match spec {
        ProviderSpec::Rfc2136 { zone, .. } | ProviderSpec::Library { zone, .. } => zone.as_deref(),
        ProviderSpec::AcmeDns { .. } | ProviderSpec::Exec { .. } => None,
    }
}

impl Provider {
    pub(super) fn new(spec: &ProviderSpec) -> Result<Self, ObtainError> {
        Ok(match spec {
            ProviderSpec::Rfc2136 { server, key_name, algorithm, secret_file, .. } => {
                let text = secret::read(secret_file)?;
                let key = BASE64.decode(text.trim().as_bytes()).map(Zeroizing::new);
                let bad = |why: String| {
                    ObtainError::Settings(format!("{}: {why}", secret_file.display()))
                };
                let key = key.map_err(|_| bad("it holds no key in base64".into()))?;
                let updater = DnsUpdater::new_rfc2136_tsig(
                    DnsAddress::Tcp(*server),
                    key_name,
                    key.to_vec(),
                    in_library(*algorithm),
                );
                let updater = updater.map_err(|e| bad(format!("the key is not usable: {e}")))?;
                Self::Updater(Box::new(updater))
            }
            ProviderSpec::Library { name, credentials_file, .. } => {
                Self::Updater(Box::new(library::updater(name, credentials_file)?))
            }
            ProviderSpec::AcmeDns { url, credentials_file } => {
                Self::AcmeDns(AcmeDns::new(url, credentials_file)?)
            }
            ProviderSpec::Exec { command, convention, timeout } => {
                Self::Exec(Exec::new(command, *convention, *timeout))
            }
        })
    }

    pub(super) fn needs_zone(&self) -> bool {
        matches!(self, Self::Updater(_))
    }

    /// Adds a record to those that stand at its name.
    pub(super) async fn add(&self, record: &Record) -> Result<(), ObtainError> {
        match self {
            Self::Updater(updater) => {
                let (name, zone) = (record.name.as_str(), record.zone.as_str());
                let values = vec![DnsRecord::TXT(record.value.clone())];
                let added = updater.add_to_rrset(name, DnsRecordType::TXT, TTL, values, zone);
                added.await.map_err(|e| updating(record, &e))
            }
            Self::AcmeDns(server) => server.update(record).await,
            Self::Exec(program) => program.add(record).await,
        }
    }

    /// Removes that record, and no other at its name.
    pub(super) async fn remove(&self, record: &Record) -> Result<(), ObtainError> {
        match self {
            Self::Updater(updater) => {
                let (name, zone) = (record.name.as_str(), record.zone.as_str());
                let values = vec![DnsRecord::TXT(record.value.clone())];
                let removed = updater.remove_from_rrset(name, DnsRecordType::TXT, values, zone);
                removed.await.map_err(|e| updating(record, &e))
            }
            // It keeps the latest two values of a name, and has no way to remove one.
            Self::AcmeDns(_) => Ok(()),
            Self::Exec(program) => program.remove(record).await,
        }
    }
}

fn updating(record: &Record, error: &dns_update::Error) -> ObtainError {
    let error = excerpt(&error.to_string());
    fault(
        &record.name,
        format!("zone {} cannot be updated ({error}); check server, key and zone", record.zone),
    )
}

fn in_library(algorithm: TsigAlgorithm) -> dns_update::TsigAlgorithm {
    match algorithm {
        TsigAlgorithm::HmacSha256 => dns_update::TsigAlgorithm::HmacSha256,
        TsigAlgorithm::HmacSha384 => dns_update::TsigAlgorithm::HmacSha384,
        TsigAlgorithm::HmacSha512 => dns_update::TsigAlgorithm::HmacSha512,
    }
}

/// Seconds; some services take no less.
const TTL: u32 = 60;
