//! Which TLS Secrets a cluster has, and whose they are: read page by page, for who keeps an inventory.
//! The API gives Secrets whole or not at all; of what it gives only certificates are kept, and the
//! rest is wiped with the answer.

use std::collections::BTreeSet;

use data_encoding::BASE64;
use serde::Deserialize;

use crate::connection::Connection;
use crate::error::ClusterError;
use crate::pages::Pages;
use crate::secret::{MANAGER, Metadata, TLS, check_namespace};

/// A TLS Secret, without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenSecret {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who keeps it.
    pub keeper: Keeper,
    /// What stands in `tls.crt`, as it stands there; none if it is not there, or no base64.
    pub certificates: Option<Vec<u8>>,
    /// The same for `ca.crt`.
    pub authority: Option<Vec<u8>>,
}

/// Who keeps a Secret up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// We do, as this managed certificate.
    Perennial(String),
    /// cert-manager, for this Certificate.
    CertManager(String),
    /// Whoever wrote the certificate, by the names they gave; nobody knows if it is empty.
    Others(BTreeSet<String>),
}

/// The TLS Secrets of a cluster, or of one of its namespaces: a list that is read as it is asked for.
pub struct SecretScan {
    namespace: Option<String>,
    pages: Pages,
    /// The last that was given.
    last: String,
    restarts: u32,
}

impl SecretScan {
    /// Those of `namespace`; none: of all namespaces.
    ///
    /// # Errors
    /// When no namespace can be called so, in words.
    pub fn of(namespace: Option<&str>) -> Result<Self, String> {
        namespace.map_or(Ok(()), check_namespace)?;
        let namespace = namespace.map(str::to_owned);
        Ok(Self { pages: pages(namespace.as_deref()), namespace, last: String::new(), restarts: 0 })
    }

    /// Some more of them, by namespace and name; none after the last. Each is given once, though the
    /// list may have to be begun anew when it takes long.
    ///
    /// # Errors
    /// [`ClusterError`]; it can be called again, and goes on where it was.
    pub async fn next(
        &mut self,
        connection: &Connection,
    ) -> Result<Option<Vec<SeenSecret>>, ClusterError> {
        loop {
            let page = match self.pages.next::<Object>(connection).await {
                Err(ClusterError::Gone) if self.restarts < MOST_RESTARTS => {
                    self.restarts += 1;
                    self.pages = pages(self.namespace.as_deref());
                    continue;
                }
                page => page?,
            };
            let Some(page) = page else { return Ok(None) };
            let (items, _) = page.into_parts();
            let mut seen = Vec::new();
            for object in items {
                let key = format!("{}/{}", object.metadata.namespace, object.metadata.name);
                // The API lists by this key, so that what was given before is not after it.
                if key > self.last {
                    self.last = key;
                    seen.push(SeenSecret::from(object));
                }
            }
            return Ok(Some(seen));
        }
    }
}

fn pages(namespace: Option<&str>) -> Pages {
    let path = match namespace {
        Some(namespace) => format!("/api/v1/namespaces/{namespace}/secrets"),
        None => "/api/v1/secrets".into(),
    };
    Pages::new(path, vec![("fieldSelector", format!("type={TLS}"))])
}

/// A Secret as it is listed. What has no field here is read over and not kept.
#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
    #[serde(default)]
    data: Option<Certificates>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Certificates {
    #[serde(rename = "tls.crt")]
    certificates: Option<String>,
    #[serde(rename = "ca.crt")]
    authority: Option<String>,
}

impl From<Object> for SeenSecret {
    fn from(object: Object) -> Self {
        let Object { metadata, data } = object;
        let data = data.unwrap_or_default();
        let bytes = |text: Option<String>| BASE64.decode(text?.as_bytes()).ok();
        Self {
            keeper: keeper(&metadata),
            namespace: metadata.namespace,
            name: metadata.name,
            certificates: bytes(data.certificates),
            authority: bytes(data.authority),
        }
    }
}

fn keeper(metadata: &Metadata) -> Keeper {
    let writers = metadata.content_writers();
    if let Some(name) = metadata.annotations.get(CERT_MANAGER) {
        return Keeper::CertManager(name.clone());
    }
    match metadata.annotations.get(CERTIFICATE).filter(|_| writers.contains(MANAGER)) {
        Some(certificate) => Keeper::Perennial(certificate.clone()),
        None => Keeper::Others(writers),
    }
}

/// What we annotate on our Secrets.
const CERTIFICATE: &str = "perennial/certificate";
/// cert-manager writes it on the Secrets it makes.
const CERT_MANAGER: &str = "cert-manager.io/certificate-name";
/// How often a list is begun anew.
const MOST_RESTARTS: u32 = 20;
