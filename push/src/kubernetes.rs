//! Targets of kind `kubernetes`: a TLS Secret, by server-side apply. What ingresses make of it only
//! their addresses show. A Secret that belongs to somebody else is left alone, unless it was declared
//! that it is to be ours: two who write the same Secret take it from each other for ever.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use ca::Certificate;
use cluster::{Access, ClusterError, Connection, Held, MANAGED_BY, Place, TlsSecret};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::error::PushError;
use crate::spec::{default_timeout, is_default_timeout, limit};
use crate::{Delivery, Following, Observed, Receipt, Target, pair};

/// What a target of kind `kubernetes` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kubernetes {
    /// Which cluster, as which user.
    #[serde(flatten)]
    pub access: Access,
    /// The namespace of the Secret.
    pub namespace: String,
    /// The name of the Secret.
    pub secret: String,
    /// Further labels for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Further annotations for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Whether a Secret that somebody else wrote is taken from them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopt: bool,
    /// How long each answer of the cluster may take.
    #[serde(
        default = "default_timeout",
        skip_serializing_if = "is_default_timeout",
        with = "ca::duration"
    )]
    pub timeout: SignedDuration,
}

impl Kubernetes {
    pub(crate) const FIELDS: &[&str] = &[
        "kubeconfig",
        "context",
        "namespace",
        "secret",
        "labels",
        "annotations",
        "adopt",
        "timeout",
    ];

    pub(crate) fn check(&self) -> Result<(), String> {
        self.access.check()?;
        Place::new(&self.namespace, &self.secret)?;
        let (labels, annotations) = (self.labels.keys(), self.annotations.keys());
        if let Some(own) = labels.chain(annotations).find(|key| is_ours(key)) {
            return Err(format!("{own:?} is written by us on every Secret: choose another key"));
        }
        Ok(())
    }

    fn place(&self) -> Result<Place, PushError> {
        Place::new(&self.namespace, &self.secret).map_err(PushError::Declaration)
    }

    fn connection(&self) -> Connection {
        Connection::to(&self.access, limit(self.timeout))
    }

    async fn deliver(&self, delivery: &Delivery<'_>) -> Result<Receipt, PushError> {
        let secret = self.wanted(delivery)?;
        let (place, connection) = (self.place()?, self.connection());
        let before = connection.secret(&place).await;
        let before = before.map_err(|error| failed(&place, error).untouched())?;
        if let Some(held) = &before {
            self.may_write(&place, held, &secret)?;
        }
        let after = match connection.apply(&place, &secret, self.adopt).await {
            Ok(after) => after,
            Err(error) if error.is_without_effect() => {
                return Err(failed(&place, error).untouched());
            }
            // The answer may have been lost, and not the request.
            Err(error) => match connection.secret(&place).await {
                Ok(Some(held)) if is_same(&held, &secret) => held.resource_version,
                _ => return Err(failed(&place, error)),
            },
        };
        let changed = before.is_none_or(|before| before.resource_version != after);
        Ok(Receipt { output: String::new(), changed })
    }

    /// The Secret as it should be.
    fn wanted(&self, delivery: &Delivery<'_>) -> Result<TlsSecret, PushError> {
        let bundle = delivery.bundle;
        let key =
            bundle.key_pem().ok_or_else(|| PushError::no_key("a TLS Secret holds the key"))?;
        let (mut labels, mut annotations) = (self.labels.clone(), self.annotations.clone());
        labels.insert(MANAGED_BY.into(), cluster::MANAGER.into());
        let told = [
            ("certificate", delivery.certificate.to_owned()),
            ("version", delivery.version.to_string()),
            ("not-after", bundle.not_after().to_string()),
        ];
        annotations.extend(told.map(|(name, value)| (format!("{PREFIX}{name}"), value)));
        Ok(TlsSecret {
            certificates: bundle.fullchain_pem(),
            key,
            authority: bundle.root().map(Certificate::pem),
            labels,
            annotations,
        })
    }

    /// Whether the Secret that is there may become what we want, as far as it can be told before.
    fn may_write(&self, place: &Place, held: &Held, wanted: &TlsSecret) -> Result<(), PushError> {
        let refused = |what: String, output: &str| {
            Err(PushError::Refused { what, output: output.into() }.untouched())
        };
        if held.kind != TLS {
            let what = format!("{place} is of type {:?}, which cannot change", held.kind);
            return refused(what, "delete it, and it is made anew; or name another secret");
        }
        if held.immutable && !is_same(held, wanted) {
            let what = format!("{place} is immutable");
            return refused(what, "delete it, and it is made anew, to be changed from then on");
        }
        let owner = owner(held).filter(|_| !self.adopt);
        owner.map_or(Ok(()), |owner| {
            let what = format!("{place} belongs to {owner}");
            refused(what, "remove what makes it, or declare adopt = true to take it over")
        })
    }
}

impl Target for Kubernetes {
    fn push<'a>(
        &'a self,
        delivery: &'a Delivery<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Receipt, PushError>> + Send + 'a>> {
        Box::pin(self.deliver(delivery))
    }

    fn observe<'a>(
        &'a self,
    ) -> Pin<Box<dyn Future<Output = Result<Observed, PushError>> + Send + 'a>> {
        Box::pin(async move {
            let place = self.place()?;
            let held = self.connection().secret(&place).await;
            Ok(held.map_err(|error| failed(&place, error))?.map_or(Observed::Nothing, observed))
        })
    }

    fn follow<'a>(&'a self, changed: &'a (dyn Fn() + Send + Sync)) -> Option<Following<'a>> {
        Some(Box::pin(async move {
            match self.place() {
                Ok(place) => failed(&place, self.connection().follow(&place, TURN, changed).await),
                Err(error) => error,
            }
        }))
    }
}

/// Whether the Secret has this certificate and key.
fn is_same(held: &Held, wanted: &TlsSecret) -> bool {
    held.certificates.as_deref() == Some(wanted.certificates.as_bytes())
        && held.key.as_deref().is_some_and(|key| key.as_slice() == wanted.key.as_bytes())
}

/// Who has the Secret, if it is not us.
fn owner(held: &Held) -> Option<String> {
    if let Some(name) = held.annotations.get(CERT_MANAGER) {
        return Some(format!("cert-manager (Certificate {name})"));
    }
    if let Some(owner) = held.owners.first() {
        return Some(format!("{owner}, and goes when that goes"));
    }
    (!held.others.is_empty())
        .then(|| held.others.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
}

fn observed(held: Held) -> Observed {
    let key = held.key.as_ref().map(|key| key.as_slice());
    pair::observed(held.certificates.as_deref(), key)
}

fn is_ours(key: &str) -> bool {
    key == MANAGED_BY || key.starts_with(PREFIX)
}

fn failed(place: &Place, error: ClusterError) -> PushError {
    let output = error.to_string();
    match error {
        ClusterError::Declaration(why) => PushError::Declaration(why),
        ClusterError::Unreachable { server, why } => {
            PushError::Unreachable { what: format!("the cluster at {server} for {place}"), why }
        }
        ClusterError::TimedOut { cluster, after } => PushError::TimedOut {
            what: format!("the cluster {cluster}, asked for {place},"),
            after,
            output: "nothing".into(),
        },
        ClusterError::Busy(_) | ClusterError::Conflict(_) => {
            PushError::Busy(format!("{place}: {output}; nothing was changed"))
        }
        ClusterError::Owned { .. } => PushError::Refused {
            what: format!("{place} was not taken from others"),
            output: format!("{output}; have them let go of it, or declare adopt = true"),
        },
        ClusterError::Unauthorized(_)
        | ClusterError::Forbidden(_)
        | ClusterError::Missing(_)
        | ClusterError::Invalid { .. }
        | ClusterError::Gone
        | ClusterError::TooLarge { .. }
        | ClusterError::Broken { .. } => PushError::Refused { what: place.to_string(), output },
    }
}

const TLS: &str = "kubernetes.io/tls";
/// What we annotate begins with it.
const PREFIX: &str = "perennial/";
/// cert-manager writes it on the Secrets it makes, and applies those by force.
const CERT_MANAGER: &str = "cert-manager.io/certificate-name";
/// How long one watch lasts. Servers end them after some minutes in any case.
const TURN: Duration = Duration::from_secs(240);
