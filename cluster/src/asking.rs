//! What objects of a cluster ask for: a certificate for the hosts of an Ingress or Gateway, or for the
//! names that a Service lists, in a Secret beside them. Only those that name a profile of ours ask.
//! Whether they get it is for callers to decide.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A kind of object that can ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Asker {
    /// networking.k8s.io/v1: `spec.tls`.
    Ingress,
    /// gateway.networking.k8s.io/v1: `spec.listeners`.
    Gateway,
    /// A Service: its annotations.
    Service,
}

/// What one object asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// What kind of object it is.
    pub kind: Asker,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// When it was made, in RFC 3339, as the cluster writes it: the older comes first.
    pub created: String,
    /// The profile it names.
    pub profile: String,
    /// The names of each certificate, by Secret: as they were written, each once, and cut off where no
    /// name is that long.
    pub wants: BTreeMap<String, Vec<String>>,
    /// What it asks for and cannot have, by its own fault: sentences that say what to change.
    pub faults: Vec<String>,
}

impl Asker {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ingress, Self::Gateway, Self::Service];

    /// What the cluster calls it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::Gateway => "Gateway",
            Self::Service => "Service",
        }
    }

    /// What it is called here.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Gateway => "gateway",
            Self::Service => "service",
        }
    }

    /// Where those of a namespace are. The namespace must have been checked.
    pub(crate) fn collection(self, namespace: &str) -> String {
        let (group, plural) = match self {
            Self::Ingress => ("apis/networking.k8s.io/v1", "ingresses"),
            Self::Gateway => ("apis/gateway.networking.k8s.io/v1", "gateways"),
            Self::Service => ("api/v1", "services"),
        };
        format!("/{group}/namespaces/{namespace}/{plural}")
    }
}

impl FromStr for Asker {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.word() == word);
        found.ok_or_else(|| format!("{word:?} is none of ingress, gateway and service"))
    }
}

impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An Ingress, Gateway or Service, as far as it matters here.
#[derive(Deserialize)]
pub(crate) struct Object {
    #[serde(default)]
    pub(crate) metadata: Metadata,
    #[serde(default)]
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub(crate) name: String,
    pub(crate) resource_version: String,
    creation_timestamp: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    tls: Option<Vec<Tls>>,
    listeners: Option<Vec<Listener>>,
}

/// `spec.tls[]` of an Ingress.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Tls {
    hosts: Option<Vec<String>>,
    secret_name: String,
}

/// `spec.listeners[]` of a Gateway.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Listener {
    name: String,
    hostname: String,
    tls: Option<Terminated>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Terminated {
    mode: String,
    certificate_refs: Option<Vec<Reference>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reference {
    group: String,
    kind: Option<String>,
    name: String,
    namespace: Option<String>,
}

impl Object {
    /// What it asks for as one of `kind` in `namespace`; none, if it names no profile.
    pub(crate) fn asking(self, kind: Asker, namespace: &str) -> Option<Asking> {
        let Self { metadata, spec } = self;
        let annotations = metadata.annotations.unwrap_or_default();
        let labels = metadata.labels.unwrap_or_default();
        let profile = annotations.get(PROFILE).or_else(|| labels.get(PROFILE))?;
        let mut asking = Asking {
            kind,
            namespace: namespace.to_owned(),
            name: metadata.name,
            created: metadata.creation_timestamp.unwrap_or_default(),
            profile: cut(profile.trim(), LONGEST_NAME),
            wants: BTreeMap::new(),
            faults: Vec::new(),
        };
        match kind {
            Asker::Ingress => asking.by_ingress(spec.tls.unwrap_or_default()),
            Asker::Gateway => asking.by_gateway(spec.listeners.unwrap_or_default()),
            Asker::Service => asking.by_annotations(&annotations),
        }
        Some(asking)
    }
}

impl Asking {
    fn by_ingress(&mut self, tls: Vec<Tls>) {
        if tls.is_empty() {
            self.fault("it has no spec.tls: write hosts and secretName there".into());
        }
        for (place, Tls { hosts, secret_name }) in tls.into_iter().enumerate() {
            let hosts = hosts.unwrap_or_default();
            match secret_name.is_empty() || hosts.is_empty() {
                true => self.fault(format!("spec.tls[{place}] needs hosts and secretName")),
                false => self.want(&secret_name, hosts.iter().map(String::as_str)),
            }
        }
    }

    fn by_gateway(&mut self, listeners: Vec<Listener>) {
        for Listener { name, hostname, tls } in listeners {
            let Some(Terminated { mode, certificate_refs }) = tls else { continue };
            if mode == "Passthrough" {
                continue;
            }
            let name = cut(&name, LONGEST_NAME);
            let secrets = certificate_refs.unwrap_or_default();
            if hostname.is_empty() || secrets.is_empty() {
                self.fault(format!("listener {name:?} needs hostname and tls.certificateRefs"));
                continue;
            }
            for secret in secrets {
                let here = secret.namespace.is_none_or(|namespace| namespace == self.namespace);
                let is_secret = secret.group.is_empty()
                    && secret.kind.is_none_or(|kind| kind == "Secret")
                    && !secret.name.is_empty();
                match is_secret && here {
                    true => self.want(&secret.name, std::iter::once(hostname.as_str())),
                    false => self.fault(format!(
                        "listener {name:?} refers to what is no Secret of its namespace"
                    )),
                }
            }
        }
        if self.wants.is_empty() && self.faults.is_empty() {
            self.fault("it has no listener with tls that terminates".into());
        }
    }

    fn by_annotations(&mut self, annotations: &BTreeMap<String, String>) {
        match (annotations.get(NAMES), annotations.get(SECRET)) {
            (Some(names), Some(secret)) => {
                let separate = |c: char| c == ',' || c.is_whitespace();
                let names = names.split(separate).filter(|name| !name.is_empty());
                self.want(secret.trim(), names);
            }
            _ => self.fault(format!("it needs the annotations {NAMES} and {SECRET}")),
        }
    }

    fn want<'a>(&mut self, secret: &str, names: impl Iterator<Item = &'a str>) {
        let secret = cut(secret, LONGEST_NAME);
        if self.wants.len() >= MOST_SECRETS && !self.wants.contains_key(&secret) {
            return self.fault(format!("it asks for more than {MOST_SECRETS} Secrets"));
        }
        let wanted = self.wants.entry(secret).or_default();
        for name in names {
            let name = cut(name, LONGEST_NAME);
            // One more than any certificate has is enough to be refused.
            if wanted.len() <= MOST_NAMES && !wanted.contains(&name) {
                wanted.push(name);
            }
        }
    }

    fn fault(&mut self, fault: String) {
        if self.faults.len() < MOST_FAULTS && !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }
}

/// At most `longest` characters of what others wrote, as they can stand in a log. With a question mark it is
/// no name.
fn cut(text: &str, longest: usize) -> String {
    text.chars().take(longest).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// By which an object asks, as annotation or label.
const PROFILE: &str = "perennial/profile";
/// What a Service annotates besides.
const NAMES: &str = "perennial/names";
const SECRET: &str = "perennial/secret";
/// Longer than any name of an object, and than any DNS name.
const LONGEST_NAME: usize = 254;
/// As many as a certificate here may have.
const MOST_NAMES: usize = 100;
const MOST_SECRETS: usize = 64;
const MOST_FAULTS: usize = 4;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn asking(kind: Asker, metadata: Value, spec: Value) -> Option<Asking> {
        let mut metadata = metadata;
        metadata["name"] = "a".into();
        let object = json!({ "metadata": metadata, "spec": spec });
        serde_json::from_value::<Object>(object).expect("an object").asking(kind, "web")
    }

    fn annotated() -> Value {
        json!({ "annotations": { "perennial/profile": "default" } })
    }

    fn wants(asking: &Asking) -> Vec<(&str, Vec<&str>)> {
        let each = asking.wants.iter();
        each.map(|(secret, names)| (secret.as_str(), names.iter().map(String::as_str).collect()))
            .collect()
    }

    #[test]
    fn an_ingress_asks_by_annotation_or_label_and_not_without() {
        let spec = json!({ "tls": [
            { "hosts": ["a.test", "b.test"], "secretName": "one" },
            { "hosts": ["b.test", "c.test"], "secretName": "one" },
            { "hosts": ["d.test"], "secretName": "two" },
            { "hosts": ["e.test"] },
        ] });
        assert_eq!(asking(Asker::Ingress, json!({ "annotations": null }), spec.clone()), None);
        let label = json!({ "labels": { "perennial/profile": "short" } });
        assert_eq!(asking(Asker::Ingress, label, spec.clone()).expect("it asks").profile, "short");
        let asked = asking(Asker::Ingress, annotated(), spec).expect("it asks");
        let one = ("one", vec!["a.test", "b.test", "c.test"]);
        assert_eq!(wants(&asked), [one, ("two", vec!["d.test"])]);
        assert_eq!(asked.faults, ["spec.tls[3] needs hosts and secretName"]);
    }

    #[test]
    fn a_gateway_asks_for_what_its_listeners_terminate_in_its_own_namespace() {
        let listener =
            |name: &str, tls: Value| json!({ "name": name, "hostname": "a.test", "tls": tls });
        let spec = json!({ "listeners": [
            { "name": "plain", "port": 80 },
            listener("passed", json!({ "mode": "Passthrough" })),
            listener("one", json!({ "certificateRefs": [{ "name": "one" }] })),
            listener("far", json!({ "certificateRefs": [{ "name": "x", "namespace": "other" }] })),
            listener("odd", json!({ "certificateRefs": [{ "name": "x", "kind": "ConfigMap" }] })),
            { "name": "any", "tls": { "certificateRefs": [{ "name": "one" }] } },
        ] });
        let asked = asking(Asker::Gateway, annotated(), spec).expect("it asks");
        assert_eq!(wants(&asked), [("one", vec!["a.test"])]);
        assert_eq!(asked.faults.len(), 3, "{:?}", asked.faults);
    }

    #[test]
    fn a_service_says_names_and_secret() {
        let metadata = json!({ "annotations": {
            "perennial/profile": "default", "perennial/secret": "one",
            "perennial/names": "a.test, b.test,,a.test",
        } });
        let asked = asking(Asker::Service, metadata, json!({})).expect("it asks");
        assert_eq!(wants(&asked), [("one", vec!["a.test", "b.test"])]);
        let asked = asking(Asker::Service, annotated(), json!({})).expect("it asks");
        assert!(asked.faults[0].contains("perennial/secret"), "{:?}", asked.faults);
    }

    #[test]
    fn what_is_asked_for_is_bounded() {
        let hosts: Vec<_> = (0..5000).map(|i| format!("{i}.{}", "x".repeat(1000))).collect();
        let tls: Vec<_> = (0..1000)
            .map(|i| json!({ "hosts": ["a.test"], "secretName": format!("s{i}") }))
            .chain([json!({ "hosts": hosts, "secretName": "s0" })])
            .chain([json!({ "hosts": ["a.test\u{1b}"], "secretName": "s1" })])
            .collect();
        let asked = asking(Asker::Ingress, annotated(), json!({ "tls": tls })).expect("it asks");
        assert_eq!((asked.wants.len(), asked.faults.len()), (MOST_SECRETS, 1));
        assert_eq!(asked.wants["s0"].len(), MOST_NAMES + 1);
        assert_eq!(asked.wants["s1"], ["a.test", "a.test?"]);
        assert!(asked.wants["s0"].iter().all(|name| name.len() <= LONGEST_NAME));
    }
}
