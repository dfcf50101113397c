//! What the node manages: authorities, profiles and directories, as declared and as they stand.
//! A [`Catalog`] is complete and consistent or does not exist; a change makes a new one and leaves
//! requests under way with the one they began with.

mod check;
mod cluster_bundle;
mod cluster_discovery;
mod cluster_signer;
mod declared;
mod endpoint;
mod identity_provider;
mod issuing;
mod keyset;
mod kubernetes;
mod mail;
mod managed;
mod payloads;
mod plan;
mod receiver;
mod recognition;
mod signer;
mod webhook;
mod wrong;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use acme::ChallengeType;
use cluster::Asker;
use jiff::{SignedDuration, Timestamp};
use renew::Calendar;

pub(crate) use check::check_name;
pub(crate) use cluster_bundle::ClusterBundleSpec;
pub(crate) use cluster_discovery::{Allowance, ClusterDiscoverySpec};
pub(crate) use cluster_signer::ClusterSignerSpec;
pub(crate) use declared::{Declared, Entry, parse};
pub(crate) use endpoint::{AlertSpec, EndpointSpec};
pub(crate) use identity_provider::IdentityProviderSpec;
pub(crate) use issuing::{AuthoritySpec, DirectorySpec, Trust, defaults};
pub(crate) use keyset::KeysetSpec;
pub(crate) use kubernetes::KubernetesSpec;
pub(crate) use mail::{MailSpec, MailTls};
pub(crate) use managed::{Care, CertificateSpec, TargetSpec, digest_of};
pub(crate) use plan::{Change, plan, prune};
pub(crate) use receiver::{Audience, ChatSpec, Receiver};
pub(crate) use recognition::{LONGEST_NAME, Recognition};
pub(crate) use signer::{KeyFormat, SignerSpec};
pub(crate) use webhook::WebhookSpec;
pub(crate) use wrong::Wrong;

use crate::access::Rules;
use crate::perform::obtain::acme::AcmeSpec;
use crate::perform::validate::Validator;

/// An internal CA, ready to sign.
pub(crate) struct Authority {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) generation: i64,
    pub(crate) issuer: Option<String>,
    pub(crate) spec: AuthoritySpec,
    pub(crate) ca: ca::Authority,
}

/// An ACME endpoint, ready to serve.
pub(crate) struct Directory {
    pub(crate) spec: DirectorySpec,
    pub(crate) authority: Arc<Authority>,
    /// The profiles on offer; the first is used when an order names none.
    pub(crate) profiles: Vec<Arc<ca::Profile>>,
    pub(crate) validator: Validator,
}

impl Directory {
    /// The profile an order gets: the one it names, else the first.
    pub(crate) fn profile(&self, name: Option<&str>) -> Option<&Arc<ca::Profile>> {
        match name {
            Some(name) => self.profiles.iter().find(|profile| profile.name == name),
            None => self.profiles.first(),
        }
    }

    /// Whether this directory offers challenges of `kind` at all.
    pub(crate) fn offers(&self, kind: ChallengeType) -> bool {
        self.spec.challenges.contains(&kind)
    }
}

/// A managed certificate, as declared.
pub(crate) struct Certificate {
    pub(crate) spec: CertificateSpec,
    /// Digest of what is asked of an issuer.
    pub(crate) request: [u8; 32],
    /// What asked for it, if it was not declared.
    pub(crate) origin: Option<Origin>,
}

/// What asked for a certificate: an object of a Kubernetes cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin {
    /// The discovery that found it.
    pub(crate) discovery: String,
    pub(crate) kind: Asker,
    pub(crate) namespace: String,
    pub(crate) object: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.object)
    }
}

impl Certificate {
    /// The certificate that `spec` declares.
    pub(crate) fn new(spec: CertificateSpec) -> Self {
        Self { request: spec.request(), spec, origin: None }
    }
}

/// A target, ready to be pushed to.
pub(crate) struct Target {
    pub(crate) spec: TargetSpec,
    /// Digest of what it is and how it is reached.
    pub(crate) digest: [u8; 32],
    pub(crate) way: Box<dyn push::Target>,
}

impl Target {
    /// The target that `spec` declares.
    pub(crate) fn new(spec: TargetSpec) -> Self {
        Self { digest: digest_of(&spec.push), way: spec.push.open(), spec }
    }

    /// This process as the target `name`, brought there by `way` and seen at `address`.
    pub(crate) fn own(name: &str, address: Option<SocketAddr>, way: Box<dyn push::Target>) -> Self {
        let push = push::Spec {
            name: name.to_owned(),
            probe: address.iter().map(ToString::to_string).collect(),
            sni: None,
            starttls: None,
            matches: 2,
            over: SignedDuration::ZERO,
            window: None,
            kind: push::Kind::Pull(push::Pull {}),
        };
        let care =
            Care { calendar: Calendar::default(), watch: managed::default_watch(), mend: true };
        // Where it listens may change with each start, and is no reason to push again.
        Self { digest: digest_of(&name), way, spec: TargetSpec { push, care } }
    }

    /// When what it holds and serves is looked at next; never, where there is nothing to look at.
    pub(crate) fn next_look(&self, now: Timestamp) -> Option<Timestamp> {
        let push = &self.spec.push;
        use push::Kind::{Exec, Pull, Sds};
        let tells_nothing = matches!(push.kind, Exec(_) | Pull(_) | Sds(_));
        (!tells_nothing || !push.probe.is_empty()).then(|| now + self.spec.care.watch)
    }
}

/// A keyset, as declared, and what follows from that.
pub(crate) struct Keyset {
    pub(crate) spec: KeysetSpec,
    pub(crate) policy: jwks::Policy,
    /// What may be signed with it for others.
    pub(crate) bounds: jwks::token::Bounds,
    /// How its consumers are recognised.
    pub(crate) consumers: Vec<Recognition>,
    /// What may be signed with it for kube-apiserver.
    pub(crate) service_accounts: Option<jwks::token::Bounds>,
}

impl Keyset {
    /// The keyset that `spec` declares.
    ///
    /// # Errors
    /// As for [`KeysetSpec::policy`].
    pub(crate) fn new(spec: KeysetSpec) -> Result<Self, String> {
        let (consumers, service_accounts) = (spec.recognitions(), spec.service_accounts());
        Ok(Self {
            policy: spec.policy()?,
            bounds: spec.bounds(),
            consumers,
            service_accounts,
            spec,
        })
    }
}

/// Everything the node manages at one instant.
#[derive(Clone, Default)]
pub(crate) struct Catalog {
    pub(crate) authorities: BTreeMap<String, Arc<Authority>>,
    pub(crate) profiles: BTreeMap<String, Arc<ca::Profile>>,
    pub(crate) directories: BTreeMap<String, Arc<Directory>>,
    pub(crate) issuers: BTreeMap<String, Arc<AcmeSpec>>,
    pub(crate) certificates: BTreeMap<String, Arc<Certificate>>,
    pub(crate) targets: BTreeMap<String, Arc<Target>>,
    pub(crate) keysets: BTreeMap<String, Arc<Keyset>>,
    pub(crate) webhooks: BTreeMap<String, Arc<WebhookSpec>>,
    pub(crate) mails: BTreeMap<String, Arc<MailSpec>>,
    pub(crate) chats: BTreeMap<String, Arc<ChatSpec>>,
    pub(crate) cluster_signers: BTreeMap<String, Arc<ClusterSignerSpec>>,
    pub(crate) endpoints: BTreeMap<String, Arc<EndpointSpec>>,
    pub(crate) alerts: BTreeMap<String, Arc<AlertSpec>>,
    pub(crate) cluster_discoveries: BTreeMap<String, Arc<ClusterDiscoverySpec>>,
    pub(crate) cluster_bundles: BTreeMap<String, Arc<ClusterBundleSpec>>,
    pub(crate) identity_providers: BTreeMap<String, Arc<IdentityProviderSpec>>,
    /// Who may what.
    pub(crate) rules: Arc<Rules>,
}

impl Catalog {
    /// The authority whose row is `id`.
    pub(crate) fn authority(&self, id: i64) -> Option<&Arc<Authority>> {
        self.authorities.values().find(|authority| authority.id == id)
    }
}
