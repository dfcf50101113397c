//! Targets of kind `acm`: AWS Certificate Manager. A certificate is imported in place of the one before,
//! under the same ARN, so that whatever names it goes on; what ACM would refuse to change is refused here
//! first. It keeps no version before: going back is importing that one. What load balancers make of it
//! only their addresses show, and that takes them a while.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use jiff::SignedDuration;
use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::error::PushError;
use crate::placement::absolute;
use crate::spec::{default_timeout, is_default_timeout, limit};
use crate::{Bundle, Delivery, Observed, Receipt, Target};

mod answer;
mod calls;
mod credentials;
mod held;
mod signature;
mod wire;

use calls::Calls;
use credentials::Credentials;
use held::Held;
use wire::{Failure, Wire};

/// What a target of kind `acm` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Acm {
    /// The ARN of the certificate that is replaced, which was imported before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// Instead: the value of the tag `perennial` by which the certificate is found. The first import
    /// makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Whether a certificate that ACM does not take in place of the one it has, since the kind of key
    /// is another, gets a new ARN with the same tag.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replace: bool,
    /// The region; by default that in `arn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Where ACM answers, if not at the region's address: that of a VPC endpoint, say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The profile in the file with credentials, instead of what the environment or a role says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// That file, instead of `~/.aws/credentials`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
    /// How long each answer may take.
    #[serde(
        default = "default_timeout",
        skip_serializing_if = "is_default_timeout",
        with = "ca::duration"
    )]
    pub timeout: SignedDuration,
}

impl Acm {
    pub(crate) const FIELDS: &[&str] =
        &["arn", "tag", "replace", "region", "endpoint", "profile", "credentials_file", "timeout"];

    pub(crate) fn check(&self) -> Result<(), String> {
        absolute("credentials_file", self.credentials_file.as_deref())?;
        match (&self.arn, &self.tag) {
            (None, None) => {
                return Err("nothing says which certificate it is: set arn, or tag".into());
            }
            (Some(_), Some(_)) => return Err("arn and tag exclude each other: remove one".into()),
            (Some(_), None) if self.replace => {
                return Err(
                    "replace makes another ARN than the declared one: set tag instead".into()
                );
            }
            (None, Some(tag)) => check_tag(tag)?,
            (Some(_), None) => {}
        }
        let of_arn = self.arn.as_deref().map(region_of).transpose()?;
        let region = self.region()?;
        if of_arn.is_some_and(|of_arn| of_arn != region) {
            return Err(format!("region = {region:?} is not that of arn: remove it"));
        }
        self.address().map(|_| ())
    }

    /// The region, which is part of a host name.
    fn region(&self) -> Result<&str, String> {
        let of_arn = || self.arn.as_deref().and_then(|arn| region_of(arn).ok());
        match self.region.as_deref().or_else(of_arn) {
            None => Err("nothing says in which region: set region".into()),
            Some(region) if is_region(region) => Ok(region),
            Some(region) => Err(format!("region = {region:?} is none: write one like eu-west-1")),
        }
    }

    /// Where ACM answers. Keys go there, so it must be by TLS, or on this machine.
    fn address(&self) -> Result<Url, String> {
        let region = self.region()?;
        let own = || {
            let china = if region.starts_with("cn-") { ".cn" } else { "" };
            format!("https://acm.{region}.amazonaws.com{china}/")
        };
        let text = self.endpoint.clone().unwrap_or_else(own);
        let url = Url::parse(&text).map_err(|error| format!("endpoint = {text:?}: {error}"))?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let is_here = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        let names_nobody = url.username().is_empty() && url.password().is_none();
        let plain =
            names_nobody && url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        match url.scheme() {
            "https" if plain => Ok(url),
            "http" if plain && is_here => Ok(url),
            _ => Err(format!(
                "endpoint = {text:?} must be https:// and a host, with nothing behind it"
            )),
        }
    }

    async fn connect(&self) -> Result<Calls, PushError> {
        let (file, profile) = (self.credentials_file.as_deref(), self.profile.as_deref());
        let credentials = Credentials::find(file, profile).await?;
        let region = self.region().map_err(PushError::Declaration)?;
        let address = self.address().map_err(PushError::Declaration)?;
        let wire = Wire::new(address, region, credentials, limit(self.timeout));
        Ok(Calls::new(wire.map_err(PushError::Declaration)?))
    }

    /// What ACM has for this target, the latest import first.
    async fn held(&self, calls: &Calls) -> Result<Vec<Held>, Failure> {
        let mut held = match (&self.arn, &self.tag) {
            (Some(arn), _) => vec![calls.certificate(arn, 0.0).await?],
            (None, tag) => calls.tagged(tag.as_deref().unwrap_or_default()).await?,
        };
        held.sort_by(|one, other| other.imported_at.total_cmp(&one.imported_at));
        Ok(held)
    }

    async fn deliver(&self, delivery: &Delivery<'_>) -> Result<Receipt, PushError> {
        let bundle = delivery.bundle;
        check_bundle(bundle)?;
        let calls = self.connect().await.map_err(PushError::untouched)?;
        let held = self.held(&calls).await.map_err(|error| self.failed(error).untouched())?;
        let place = self.place(&held, bundle)?;
        // What is there under an older ARN is imported again: the latest is what this target holds.
        if let Some(latest) = held.first()
            && latest.leaf.fingerprint() == bundle.fingerprint()
        {
            return Ok(Receipt { output: beside(&latest.arn, &held), changed: false });
        }
        let arn = match calls
            .import(bundle, place.map(|held| held.arn.as_str()), self.tag.as_deref())
            .await
        {
            Ok(arn) => arn,
            // The answer may have been lost, and not the request.
            Err(Failure::Lost(why)) => match self.find(&calls, bundle).await {
                Some(arn) => arn,
                None => return Err(self.failed(Failure::Lost(why))),
            },
            Err(error) => return Err(self.failed(error).untouched()),
        };
        let unseen = match calls.shows(&arn, bundle).await {
            Ok(true) => None,
            Ok(false) => {
                Some("it shows another; end what else imports there, and it is tried again".into())
            }
            Err(error) => Some(self.failed(error).to_string()),
        };
        // Whatever failed then, the certificate is there.
        if let Some(output) = unseen {
            let what = format!("ACM took the certificate, and does not show it under {arn}");
            return Err(PushError::Refused { what, output });
        }
        let output = format!("imported under {arn}{}", beside(&arn, &held));
        Ok(Receipt { output, changed: true })
    }

    /// The certificate in whose place the new one is imported; `None` if it gets a new ARN.
    fn place<'a>(&self, held: &'a [Held], bundle: &Bundle) -> Result<Option<&'a Held>, PushError> {
        if let Some(place) = held.iter().find(|held| held.refuses(bundle.leaf()).is_none()) {
            return Ok(Some(place));
        }
        match held.first().and_then(|held| Some((held, held.refuses(bundle.leaf())?))) {
            Some((held, why)) if !self.replace => {
                let way = match &self.tag {
                    Some(_) => "declare replace = true to have it imported under a new one",
                    None => {
                        "declare the certificate as before, or a tag and replace = true instead of arn"
                    }
                };
                Err(PushError::Declaration(format!(
                    "ACM does not let go of what a certificate is under an ARN: of {} {why}; nothing was \
                     changed: {way}",
                    held.arn
                )))
            }
            _ => Ok(None),
        }
    }

    /// The ARN under which the bundle is.
    async fn find(&self, calls: &Calls, bundle: &Bundle) -> Option<String> {
        let held = self.held(calls).await.ok()?;
        let ours = held.into_iter().find(|held| held.leaf.fingerprint() == bundle.fingerprint());
        ours.map(|held| held.arn)
    }

    fn failed(&self, failure: Failure) -> PushError {
        let acm = format!("ACM in {}", self.region().unwrap_or_default());
        let is_missing = failure.is_missing();
        match failure {
            Failure::Unreachable(why) => PushError::Unreachable { what: acm, why },
            Failure::Busy(said) => {
                PushError::Busy(format!("{acm} has too much to do ({said}); nothing was changed"))
            }
            Failure::Lost(why) => PushError::Refused {
                what: format!(
                    "{acm} gave no answer that can be used, and may have done what it was asked"
                ),
                output: why,
            },
            Failure::Refused { said, .. } if is_missing => PushError::Declaration(format!(
                "{acm} has no certificate {} ({said}): import one there first, or set tag instead of arn",
                self.arn.as_deref().unwrap_or_default()
            )),
            Failure::Refused { said, .. } => {
                PushError::Refused { what: format!("{acm} refused"), output: said }
            }
        }
    }
}

impl Target for Acm {
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
            let held = self.held(&self.connect().await?).await;
            let held = held.map_err(|error| self.failed(error))?;
            let latest = held.first().map(|held| Observed::Leaf(held.leaf.fingerprint()));
            Ok(latest.unwrap_or(Observed::Nothing))
        })
    }
}

/// What is to be said of other certificates of the target, which have keys of another kind.
fn beside(arn: &str, held: &[Held]) -> String {
    let others: Vec<&str> =
        held.iter().map(|held| held.arn.as_str()).filter(|other| *other != arn).collect();
    if others.is_empty() {
        return String::new();
    }
    format!(
        "; {} keeps what it has: what names it must name {arn} instead, and then it can be deleted",
        others.join(", ")
    )
}

/// What ACM takes at all.
fn check_bundle(bundle: &Bundle) -> Result<(), PushError> {
    let key = bundle.key_pem().ok_or_else(|| PushError::no_key("ACM holds the key"))?;
    let algorithm = bundle.leaf().public_key().map(|key| key.algorithm());
    let taken = algorithm.as_ref().is_ok_and(|algorithm| held::takes(*algorithm));
    if taken && key.len() <= MAX_KEY {
        return Ok(());
    }
    let kind = algorithm.map_or_else(|_| "of another kind".into(), |kind| kind.to_string());
    Err(PushError::Declaration(format!(
        "ACM takes keys of ECDSA and of RSA up to 4096 bits, and this one is {kind}; nothing was changed: \
         declare another key for the certificate"
    )))
}

/// `arn:PARTITION:acm:REGION:ACCOUNT:certificate/ID`.
fn region_of(arn: &str) -> Result<&str, String> {
    let parts: Vec<&str> = arn.split(':').collect();
    match parts.as_slice() {
        ["arn", partition, "acm", region, account, certificate]
            if partition.starts_with("aws")
                && is_region(region)
                && account.bytes().all(|octet| octet.is_ascii_digit())
                && certificate.starts_with("certificate/")
                && arn.len() <= MAX_ARN =>
        {
            Ok(region)
        }
        _ => Err(format!(
            "arn = {arn:?} is not that of a certificate: write arn:aws:acm:REGION:ACCOUNT:certificate/ID"
        )),
    }
}

fn is_region(text: &str) -> bool {
    let plain = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
    (3..=32).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('-')
}

/// What ACM takes as the value of a tag.
fn check_tag(tag: &str) -> Result<(), String> {
    let plain = |one: char| one.is_alphanumeric() || " _.:/=+-@".contains(one);
    if (1..=MAX_TAG).contains(&tag.chars().count()) && tag.chars().all(plain) {
        return Ok(());
    }
    Err(format!("tag = {tag:?} must be 1 to {MAX_TAG} letters, digits, spaces or one of _.:/=+-@"))
}

const MAX_ARN: usize = 2048;
const MAX_TAG: usize = 256;
/// Octets of PEM.
const MAX_KEY: usize = 5120;
