//! What a request becomes: a certificate and its target, if the declaration allows them. Nothing is read
//! here but what is declared.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use ca::Identifier;
use cluster::{Access, Asker};
use data_encoding::HEXLOWER;
use serde_json::json;

use crate::catalog::{
    Allowance, Catalog, Certificate, CertificateSpec, ClusterDiscoverySpec, Origin, Target,
    TargetSpec, check_name, digest_of,
};
use crate::store::AskedRow;

/// A certificate that an object asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) origin: Origin,
    pub(super) secret: String,
    pub(super) profile: String,
    /// As the object has them.
    pub(super) names: Vec<String>,
}

impl Request {
    /// What its certificate and target are called. Neither namespaces nor Secrets have underscores, so
    /// that no other request is called so.
    pub(super) fn name(&self) -> String {
        let Origin { discovery, namespace, .. } = &self.origin;
        let plain = format!("{discovery}_{namespace}_{}", self.secret);
        if check_name(&plain).is_ok() {
            return plain;
        }
        let digest = digest_of(&(discovery, namespace, &self.secret));
        let short: String = discovery.chars().take(LONGEST_PREFIX).collect();
        format!("{short}__{}", HEXLOWER.encode(&digest[..16]))
    }

    /// Whether another asks for the same certificate.
    pub(super) fn is_for_the_same(&self, other: &Self) -> bool {
        let names = |request: &Self| {
            request.names.iter().map(|name| name.to_ascii_lowercase()).collect::<BTreeSet<_>>()
        };
        self.profile == other.profile && names(self) == names(other)
    }

    /// The Secret, as people write it.
    pub(super) fn place(&self) -> String {
        format!("{}/{}", self.origin.namespace, self.secret)
    }
}

impl From<&AskedRow> for Request {
    fn from(row: &AskedRow) -> Self {
        Self {
            origin: Origin {
                discovery: row.discovery.clone(),
                kind: row.kind,
                namespace: row.namespace.clone(),
                object: row.object.clone(),
            },
            secret: row.secret.clone(),
            profile: row.profile.clone(),
            names: row.names.clone(),
        }
    }
}

/// What is declared, as requests are measured by it.
pub(super) struct Admission<'a> {
    catalog: &'a Catalog,
    /// The Secrets of declared targets.
    taken: HashSet<(Access, String, String)>,
}

impl<'a> Admission<'a> {
    pub(super) fn new(catalog: &'a Catalog) -> Self {
        let found: HashSet<&String> = catalog
            .certificates
            .values()
            .filter(|certificate| certificate.origin.is_some())
            .flat_map(|certificate| &certificate.spec.targets)
            .collect();
        let declared = catalog.targets.values().filter(|one| !found.contains(&one.spec.push.name));
        let secret = |target: &Arc<Target>| match &target.spec.push.kind {
            push::Kind::Kubernetes(place) => {
                Some((place.access.clone(), place.namespace.clone(), place.secret.clone()))
            }
            _ => None,
        };
        Self { catalog, taken: declared.filter_map(secret).collect() }
    }

    /// The certificate and the target that a request may have.
    ///
    /// # Errors
    /// Why it may not, in words for who made it.
    pub(super) fn admit(
        &self,
        spec: &ClusterDiscoverySpec,
        request: &Request,
    ) -> Result<(Certificate, Target), String> {
        let Origin { kind, namespace, .. } = &request.origin;
        let allowance = spec.allowance(namespace).filter(|_| spec.kinds.contains(kind));
        let allowance = allowance.ok_or("nothing may be asked for here")?;
        let name = request.name();
        self.check_free(spec, request, &name)?;
        let profile = &request.profile;
        if !allowance.profiles.contains(profile) || !self.catalog.profiles.contains_key(profile) {
            return Err(format!("profile {profile:?} is not allowed here"));
        }
        let names = permitted(allowance, &request.names)?;
        let certificate = CertificateSpec {
            issuers: allowance.issuers.clone(),
            profile: profile.clone(),
            targets: vec![name.clone()],
            owner: allowance.owner.clone(),
            ..CertificateSpec::new(&name, names)
        };
        certificate.check()?;
        let target = target(spec, allowance, request, &name)?;
        target.push.check()?;
        let origin = Some(request.origin.clone());
        Ok((Certificate { origin, ..Certificate::new(certificate) }, Target::new(target)))
    }

    /// Whether nothing is declared under the name of a request, or for its Secret.
    fn check_free(
        &self,
        spec: &ClusterDiscoverySpec,
        request: &Request,
        name: &str,
    ) -> Result<(), String> {
        let certificate = self.catalog.certificates.get(name);
        if certificate.is_some_and(|certificate| certificate.origin.is_none())
            || (certificate.is_none() && self.catalog.targets.contains_key(name))
        {
            return Err(format!("{name:?} is declared already"));
        }
        let place = (spec.access(), request.origin.namespace.clone(), request.secret.clone());
        match self.taken.contains(&place) {
            true => Err(format!("Secret {} is that of a declared target", request.place())),
            false => Ok(()),
        }
    }
}

/// The names, if all of them may be certified.
fn permitted(allowance: &Allowance, names: &[String]) -> Result<Vec<Identifier>, String> {
    let mut permitted = Vec::new();
    for name in names {
        let name = Identifier::parse(name).map_err(|error| error.to_string())?;
        allowance.names.check(&name).map_err(|error| error.to_string())?;
        if !permitted.contains(&name) {
            permitted.push(name);
        }
    }
    Ok(permitted)
}

fn target(
    spec: &ClusterDiscoverySpec,
    allowance: &Allowance,
    request: &Request,
    name: &str,
) -> Result<TargetSpec, String> {
    let mut table = json!({
        "name": name,
        "kind": "kubernetes",
        "namespace": request.origin.namespace,
        "secret": request.secret,
        "adopt": spec.adopt,
        "mend": true,
    });
    let access = serde_json::to_value(spec.access()).map_err(|error| error.to_string())?;
    for (key, value) in access.as_object().into_iter().flatten() {
        table[key] = value.clone();
    }
    // What a Service is for need not answer where Ingresses do, or speak TLS at all.
    if request.origin.kind != Asker::Service {
        table["probe"] = json!(allowance.probe);
    }
    serde_json::from_value(table).map_err(|error| error.to_string())
}

/// With what follows it, a name is never longer than names may be.
const LONGEST_PREFIX: usize = 29;
