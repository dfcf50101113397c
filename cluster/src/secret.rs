//! TLS Secrets: what one holds and whose it is, and server-side apply of ours. The API checks only
//! that `tls.crt` and `tls.key` exist; that they belong together is for callers to know.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::BASE64;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::connection::{Call, Connection};
use crate::error::ClusterError;

/// Where a Secret is, or a ConfigMap. The names have been checked, so that they can stand in a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    namespace: String,
    name: String,
}

impl Place {
    /// The Secret `name` in `namespace`.
    ///
    /// # Errors
    /// When no Secret or namespace can be called so, in words.
    pub fn new(namespace: &str, name: &str) -> Result<Self, String> {
        check_namespace(namespace)?;
        if name.len() > 253 || !name.split('.').all(is_label) {
            return Err(format!(
                "secret = {name:?} can be no name of a Secret: use lower-case letters, digits, hyphens and dots"
            ));
        }
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// The Secret's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn collection(&self) -> String {
        format!("/api/v1/namespaces/{}/secrets", self.namespace)
    }

    fn path(&self) -> String {
        self.path_of("secrets")
    }

    /// Where what is called so is among `plural`.
    pub(crate) fn path_of(&self, plural: &str) -> String {
        format!("/api/v1/namespaces/{}/{plural}/{}", self.namespace, self.name)
    }
}

/// Whether a namespace can be called so: then it can stand in a URL.
///
/// # Errors
/// When none can, in words.
pub fn check_namespace(namespace: &str) -> Result<(), String> {
    match namespace.len() <= 63 && is_label(namespace) {
        true => Ok(()),
        false => Err(format!(
            "namespace = {namespace:?} can be no namespace: use lower-case letters, digits and hyphens"
        )),
    }
}

fn is_label(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.chars().all(plain) && edge(text.chars().next()) && edge(text.chars().last())
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret {}/{}", self.namespace, self.name)
    }
}

/// What a Secret is to be. No Debug: it holds a key.
pub struct TlsSecret {
    /// Leaf first, then what is above it.
    pub certificates: String,
    /// The key in PEM.
    pub key: Zeroizing<String>,
    /// The root, where it is known.
    pub authority: Option<String>,
    /// Labels of ours.
    pub labels: BTreeMap<String, String>,
    /// Annotations of ours.
    pub annotations: BTreeMap<String, String>,
}

/// What a Secret is. No Debug: it holds a key.
pub struct Held {
    /// Its `type`.
    pub kind: String,
    /// Whether nothing in it can ever be changed.
    pub immutable: bool,
    /// It changes with every change of the Secret.
    pub resource_version: String,
    /// What stands in `tls.crt`.
    pub certificates: Option<Vec<u8>>,
    /// What stands in `tls.key`.
    pub key: Option<Zeroizing<Vec<u8>>>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// The objects it belongs to, as `Kind name`: it goes when they go.
    pub owners: Vec<String>,
    /// Who else wrote what is in it.
    pub others: BTreeSet<String>,
}

impl Connection {
    /// Reads a Secret; `None` if there is none.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn secret(&self, place: &Place) -> Result<Option<Held>, ClusterError> {
        let call = Call {
            method: Method::GET,
            path: place.path(),
            query: Vec::new(),
            accept: "application/json",
            body: None,
        };
        let answer = match self.call(&call).await {
            Ok(answer) => answer,
            Err(ClusterError::Missing(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let object: Object = self.parse(&answer)?;
        Ok(Some(Held::from(object)))
    }

    /// Applies a Secret as the field manager [`MANAGER`], and gives its new resource version. Fields
    /// that others own are taken from them only if `force` is set.
    ///
    /// # Errors
    /// [`ClusterError`]; [`ClusterError::Owned`] names the others.
    pub async fn apply(
        &self,
        place: &Place,
        secret: &TlsSecret,
        force: bool,
    ) -> Result<String, ClusterError> {
        let call = Call {
            method: Method::PATCH,
            path: place.path(),
            query: vec![
                ("fieldManager", MANAGER.to_owned()),
                ("fieldValidation", "Strict".to_owned()),
                ("force", force.to_string()),
            ],
            // What was sent need not come back.
            accept: METADATA,
            body: Some(("application/apply-patch+yaml", secret.manifest(place))),
        };
        let object: Object = self.parse(&self.call(&call).await?)?;
        Ok(object.metadata.resource_version)
    }
}

impl TlsSecret {
    /// The Secret in JSON, which is YAML.
    fn manifest(&self, place: &Place) -> Zeroizing<Vec<u8>> {
        let mut data = BTreeMap::from([
            ("tls.crt", encoded(self.certificates.as_bytes())),
            ("tls.key", encoded(self.key.as_bytes())),
        ]);
        if let Some(authority) = &self.authority {
            data.insert("ca.crt", encoded(authority.as_bytes()));
        }
        let manifest = Manifest {
            api_version: "v1",
            kind: "Secret",
            metadata: ManifestMetadata {
                name: &place.name,
                namespace: &place.namespace,
                labels: &self.labels,
                annotations: &self.annotations,
            },
            r#type: TLS,
            data,
        };
        // Reserved at once: a text that grows leaves copies of the key behind in freed memory.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MANIFEST));
        // Texts and maps of texts always have a JSON form.
        let _ = serde_json::to_writer(&mut *bytes, &manifest);
        bytes
    }
}

impl From<Object> for Held {
    fn from(object: Object) -> Self {
        let Object { metadata, r#type, immutable, mut data } = object;
        let mut bytes = |name: &str| {
            let text = data.remove(name)?;
            BASE64.decode(text.as_bytes()).ok()
        };
        let (certificates, key) = (bytes("tls.crt"), bytes("tls.key").map(Zeroizing::new));
        let mut others = metadata.content_writers();
        others.remove(MANAGER);
        Self {
            kind: r#type,
            immutable,
            resource_version: metadata.resource_version,
            certificates,
            key,
            annotations: metadata.annotations,
            owners: metadata
                .owner_references
                .iter()
                .map(|o| format!("{} {}", o.kind, o.name))
                .collect(),
            others,
        }
    }
}

fn encoded(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(BASE64.encode(bytes))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    api_version: &'a str,
    kind: &'a str,
    metadata: ManifestMetadata<'a>,
    r#type: &'a str,
    data: BTreeMap<&'a str, Zeroizing<String>>,
}

#[derive(Serialize)]
struct ManifestMetadata<'a> {
    name: &'a str,
    namespace: &'a str,
    labels: &'a BTreeMap<String, String>,
    annotations: &'a BTreeMap<String, String>,
}

/// A Secret, or only its metadata.
#[derive(Deserialize)]
pub(crate) struct Object {
    #[serde(default)]
    pub(crate) metadata: Metadata,
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    immutable: bool,
    #[serde(default, deserialize_with = "null_is_empty")]
    data: BTreeMap<String, Zeroizing<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) resource_version: String,
    pub(crate) deletion_timestamp: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    owner_references: Vec<Owner>,
    managed_fields: Vec<Managed>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Owner {
    kind: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Managed {
    manager: String,
    fields_v1: Value,
}

impl Metadata {
    /// Whether anything of it is ours.
    pub(crate) fn is_ours(&self) -> bool {
        self.managed_fields.iter().any(|entry| entry.manager == MANAGER)
    }

    /// The managers of what we write in a TLS Secret.
    pub(crate) fn content_writers(&self) -> BTreeSet<String> {
        let writers = self.managed_fields.iter().filter(|entry| entry.writes_content());
        writers.map(|entry| entry.manager.clone()).collect()
    }
}

impl Managed {
    /// Whether it says that the manager wrote one of the fields that we write.
    fn writes_content(&self) -> bool {
        let data = self.fields_v1.get("f:data");
        CONTENT.iter().any(|field| data.is_some_and(|data| data.get(*field).is_some()))
    }
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<BTreeMap<String, Zeroizing<String>>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// The name under which we own fields.
pub const MANAGER: &str = "perennial";
/// The label of what is ours, with [`MANAGER`].
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The type of Secrets with a certificate.
pub(crate) const TLS: &str = "kubernetes.io/tls";
/// Asks for an object without its content.
pub(crate) const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const CONTENT: [&str; 3] = ["f:tls.crt", "f:tls.key", "f:ca.crt"];
/// More than any manifest with a chain and a key takes.
const MANIFEST: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_stand_in_a_url_is_a_place() {
        assert!(Place::new("web-1", "shop.example.com").is_ok());
        for (namespace, name) in [
            ("", "a"),
            ("Web", "a"),
            ("-a", "a"),
            ("a/b", "a"),
            ("a", ""),
            ("a", "../a"),
            ("a", "a..b"),
            ("a", "a?b"),
            ("a.b", "a"),
        ] {
            assert!(Place::new(namespace, name).is_err(), "{namespace:?} {name:?}");
        }
    }

    #[test]
    fn who_wrote_the_certificate_is_told_from_who_wrote_a_label() {
        let object: Object = serde_json::from_str(
            r#"{"metadata":{"resourceVersion":"7","ownerReferences":[{"kind":"Certificate","name":"shop"}],
                "managedFields":[
                {"manager":"perennial","operation":"Apply","fieldsV1":{"f:data":{"f:tls.crt":{}}}},
                {"manager":"cert-manager","operation":"Apply","fieldsV1":{"f:data":{".":{},"f:tls.key":{}}}},
                {"manager":"kubectl","operation":"Update","fieldsV1":{"f:metadata":{"f:labels":{}},"f:data":{"f:other":{}}}}]},
                "type":"kubernetes.io/tls","data":null}"#,
        )
        .expect("an object");
        let held = Held::from(object);
        assert_eq!(held.others, BTreeSet::from(["cert-manager".to_owned()]));
        assert_eq!(held.owners, ["Certificate shop"]);
        assert!(held.certificates.is_none());
    }
}
