//! ConfigMaps with trust bundles: what one holds and whose it is, and server-side apply of ours; and in
//! which namespaces they are to be.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::connection::{Call, Connection};
use crate::error::ClusterError;
use crate::pages::Pages;
use crate::secret::{MANAGER, METADATA, Metadata, Place, check_namespace};

/// What a ConfigMap is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigMap {
    /// What it holds, by key.
    pub data: BTreeMap<String, String>,
    /// Labels of ours.
    pub labels: BTreeMap<String, String>,
    /// Annotations of ours.
    pub annotations: BTreeMap<String, String>,
}

/// What a ConfigMap is.
#[derive(Clone, Debug)]
pub struct HeldConfigMap {
    /// What it holds, by key.
    pub data: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Whether we have applied it, and own something of it still.
    pub is_ours: bool,
}

impl HeldConfigMap {
    /// Whether it is what it is to be; what others added does not matter.
    #[must_use]
    pub fn is(&self, wanted: &ConfigMap) -> bool {
        let all = |wanted: &BTreeMap<String, String>, held: &BTreeMap<String, String>| {
            wanted.iter().all(|(key, value)| held.get(key) == Some(value))
        };
        all(&wanted.data, &self.data)
            && all(&wanted.labels, &self.labels)
            && all(&wanted.annotations, &self.annotations)
    }
}

impl Connection {
    /// The namespaces that `selector` selects, as kubectl's `--selector` has it; none that are about
    /// to go.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn namespaces(&self, selector: &str) -> Result<Vec<String>, ClusterError> {
        let query = vec![("labelSelector", selector.to_owned())];
        let (mut pages, mut names) = (Pages::new("/api/v1/namespaces".into(), query), Vec::new());
        while let Some(page) = pages.next::<Object>(self).await? {
            let (items, _) = page.into_parts();
            let there =
                items.into_iter().filter(|object| object.metadata.deletion_timestamp.is_none());
            // They become part of URLs.
            let named = there.map(|object| object.metadata.name);
            names.extend(named.filter(|name| check_namespace(name).is_ok()));
        }
        Ok(names)
    }

    /// The ConfigMap at a place; `None` if there is none.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn config_map(&self, place: &Place) -> Result<Option<HeldConfigMap>, ClusterError> {
        let call = Call {
            method: Method::GET,
            path: place.path_of(CONFIG_MAPS),
            query: Vec::new(),
            accept: "application/json",
            body: None,
        };
        match self.call(&call).await {
            Ok(answer) => Ok(Some(self.parse::<Object>(&answer)?.into())),
            Err(ClusterError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every ConfigMap of this name, by namespace.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn config_maps(
        &self,
        name: &str,
    ) -> Result<BTreeMap<String, HeldConfigMap>, ClusterError> {
        let query = vec![("fieldSelector", format!("metadata.name={name}"))];
        let (mut pages, mut maps) =
            (Pages::new(format!("/api/v1/{CONFIG_MAPS}"), query), BTreeMap::new());
        while let Some(page) = pages.next::<Object>(self).await? {
            let (items, _) = page.into_parts();
            maps.extend(items.into_iter().map(|one| (one.metadata.namespace.clone(), one.into())));
        }
        Ok(maps)
    }

    /// Server-side apply as [`MANAGER`]. Fields that others own are taken from them only by `force`.
    ///
    /// # Errors
    /// [`ClusterError`]; [`ClusterError::Owned`] names the others.
    pub async fn apply_config_map(
        &self,
        place: &Place,
        map: &ConfigMap,
        force: bool,
    ) -> Result<(), ClusterError> {
        let manifest = Manifest {
            api_version: "v1",
            kind: "ConfigMap",
            metadata: ManifestMetadata {
                name: place.name(),
                namespace: place.namespace(),
                labels: &map.labels,
                annotations: &map.annotations,
            },
            data: &map.data,
        };
        // Texts and maps of texts always have a JSON form.
        let body = Zeroizing::new(serde_json::to_vec(&manifest).unwrap_or_default());
        let call = Call {
            method: Method::PATCH,
            path: place.path_of(CONFIG_MAPS),
            query: vec![
                ("fieldManager", MANAGER.to_owned()),
                ("fieldValidation", "Strict".to_owned()),
                ("force", force.to_string()),
            ],
            accept: METADATA,
            body: Some(("application/apply-patch+yaml", body)),
        };
        self.call(&call).await.map(|_| ())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    api_version: &'a str,
    kind: &'a str,
    metadata: ManifestMetadata<'a>,
    data: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct ManifestMetadata<'a> {
    name: &'a str,
    namespace: &'a str,
    labels: &'a BTreeMap<String, String>,
    annotations: &'a BTreeMap<String, String>,
}

/// A ConfigMap, or a namespace.
#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
    #[serde(default)]
    data: Option<BTreeMap<String, String>>,
}

impl From<Object> for HeldConfigMap {
    fn from(object: Object) -> Self {
        let is_ours = object.metadata.is_ours();
        let Metadata { labels, annotations, .. } = object.metadata;
        Self { data: object.data.unwrap_or_default(), labels, annotations, is_ours }
    }
}

const CONFIG_MAPS: &str = "configmaps";
