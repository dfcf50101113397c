//! Targets of kind `exec`: a command that delivers by itself. Hooks written for certbot, lego and
//! acme.sh run unchanged: all three families of variables are set, for files in a directory of their
//! own. No shell ever sees a name or path as text to interpret.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use ca::{Identifier, KeyAlgorithm};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::error::PushError;
use crate::placement::absolute;
use crate::spec::{default_timeout, is_default_timeout, limit};
use crate::{Bundle, Delivery, Observed, Receipt, Target, command};

mod lineage;

use lineage::Lineage;

/// What a target of kind `exec` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exec {
    /// The argument list of the command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Instead of a command: the file of an acme.sh deploy hook, such as `haproxy.sh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acme_sh: Option<PathBuf>,
    /// Further variables for it; acme.sh hooks take their settings from here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Where the files are kept that it is told of; by default in a temporary directory that is
    /// removed afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// How long it may take.
    #[serde(
        default = "default_timeout",
        skip_serializing_if = "is_default_timeout",
        with = "ca::duration"
    )]
    pub timeout: SignedDuration,
}

impl Exec {
    pub(crate) const FIELDS: &[&str] =
        &["command", "acme_sh", "environment", "directory", "timeout"];

    pub(crate) fn check(&self) -> Result<(), String> {
        absolute("acme_sh", self.acme_sh.as_deref())?;
        absolute("directory", self.directory.as_deref())?;
        match (self.command.first(), &self.acme_sh) {
            (None, None) => Err("nothing says what to run: set command or acme_sh".into()),
            (Some(_), Some(_)) => Err("command and acme_sh exclude each other: remove one".into()),
            (Some(program), None) if program.is_empty() => {
                Err("command begins with an empty word: name a program".into())
            }
            (None, Some(hook)) if hook.extension().is_none_or(|extension| extension != "sh") => {
                Err(format!("acme_sh = {hook:?} is no acme.sh hook: name a file like haproxy.sh"))
            }
            _ => self.check_environment(),
        }
    }

    fn check_environment(&self) -> Result<(), String> {
        let bad = |name: &&String| name.is_empty() || name.contains(['=', '\0']);
        match self.environment.keys().find(bad) {
            Some(name) => Err(format!("environment has {name:?}, which is no name of a variable")),
            None => Ok(()),
        }
    }

    fn argv(&self, lineage: &Lineage, domain: &str) -> Vec<String> {
        let Some(hook) = &self.acme_sh else { return self.command.clone() };
        let mut argv = ["sh", "-c", ACME_SH, "deploy"].map(str::to_owned).to_vec();
        argv.push(text(hook));
        argv.push(domain.to_owned());
        argv.extend(
            ["privkey.pem", "cert.pem", "chain.pem", "fullchain.pem"]
                .map(|name| text(&lineage.path(name))),
        );
        argv
    }
}

impl Target for Exec {
    fn push<'a>(
        &'a self,
        delivery: &'a Delivery<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Receipt, PushError>> + Send + 'a>> {
        Box::pin(async move {
            let lineage = Lineage::write(self.directory.as_deref(), delivery).await?;
            let mut environment = variables(&lineage, delivery);
            let own = self.environment.iter();
            environment.extend(own.map(|(name, value)| (name.clone(), value.clone())));
            let argv = self.argv(&lineage, &domain(delivery.bundle));
            let refused = "the hook failed; what it has done until then stays as it is";
            let output = command::run(&argv, &environment, limit(self.timeout), refused).await;
            // The hook must be able to tell apart what is new, so a command counts as a change.
            Ok(Receipt { output: output?, changed: true })
        })
    }

    fn observe<'a>(
        &'a self,
    ) -> Pin<Box<dyn Future<Output = Result<Observed, PushError>> + Send + 'a>> {
        // Where a hook puts things is not known.
        Box::pin(async { Ok(Observed::Untold) })
    }
}

/// What hooks for certbot (`RENEWED_*`), lego 4 (`LEGO_CERT_*`), lego 5 (`LEGO_HOOK_*`) and acme.sh
/// read, and what only we know (`PERENNIAL_*`).
fn variables(lineage: &Lineage, delivery: &Delivery<'_>) -> Vec<(String, String)> {
    let bundle = delivery.bundle;
    let path = |name| text(&lineage.path(name));
    let names: Vec<String> = bundle.names().iter().map(ToString::to_string).collect();
    let domain = domain(bundle);
    let mut set = vec![
        ("RENEWED_LINEAGE", text(lineage.directory())),
        ("RENEWED_DOMAINS", names.join(" ")),
        ("LEGO_CERT_DOMAIN", domain.clone()),
        ("LEGO_CERT_PATH", path("fullchain.pem")),
        ("LEGO_CERT_KEY_PATH", path("privkey.pem")),
        ("LEGO_HOOK_CERT_NAME", delivery.certificate.to_owned()),
        ("LEGO_HOOK_CERT_NAME_SANITIZED", delivery.certificate.replace('*', "_")),
        ("LEGO_HOOK_CERT_DOMAINS", names.join(",")),
        ("LEGO_HOOK_CERT_KEY_TYPE", key_type(bundle).to_owned()),
        ("LEGO_HOOK_CERT_PATH", path("fullchain.pem")),
        ("LEGO_HOOK_CERT_KEY_PATH", path("privkey.pem")),
        ("Le_Domain", domain),
        ("Le_Alt", names.join(",")),
        ("CERT_PATH", path("cert.pem")),
        ("CERT_KEY_PATH", path("privkey.pem")),
        ("CA_CERT_PATH", path("chain.pem")),
        ("CERT_FULLCHAIN_PATH", path("fullchain.pem")),
        ("PERENNIAL_CERTIFICATE", delivery.certificate.to_owned()),
        ("PERENNIAL_VERSION", delivery.version.to_string()),
        ("PERENNIAL_ROTATION", delivery.rotation.to_owned()),
        ("PERENNIAL_FINGERPRINT", data_encoding::HEXLOWER.encode(&bundle.fingerprint())),
        ("PERENNIAL_NOT_AFTER", bundle.not_after().to_string()),
    ];
    // lego names files only where they are.
    if !bundle.chain().is_empty() {
        set.push(("LEGO_ISSUER_CERT_PATH", path("chain.pem")));
        set.push(("LEGO_HOOK_ISSUER_CERT_PATH", path("chain.pem")));
    }
    if bundle.key_pkcs8().is_some() {
        set.push(("LEGO_CERT_PEM_PATH", path("combined.pem")));
        set.push(("LEGO_HOOK_CERT_PEM_PATH", path("combined.pem")));
    }
    set.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The name hooks call a certificate by: its first one that is no wildcard, if there is one.
fn domain(bundle: &Bundle) -> String {
    let names = bundle.names();
    let name = names.iter().find(|name| !name.is_wildcard()).or_else(|| names.first());
    name.map(Identifier::to_string).unwrap_or_default()
}

/// As lego writes it.
fn key_type(bundle: &Bundle) -> &'static str {
    match bundle.leaf().public_key().map(|key| key.algorithm()) {
        Ok(KeyAlgorithm::EcdsaP256) => "EC256",
        Ok(KeyAlgorithm::EcdsaP384) => "EC384",
        Ok(KeyAlgorithm::Rsa { bits: 2048 }) => "RSA2048",
        Ok(KeyAlgorithm::Rsa { bits: 3072 }) => "RSA3072",
        Ok(KeyAlgorithm::Rsa { bits: 4096 }) => "RSA4096",
        Ok(KeyAlgorithm::Rsa { bits: 8192 }) => "RSA8192",
        Ok(KeyAlgorithm::Rsa { .. } | KeyAlgorithm::Ed25519) | Err(_) => "",
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

const ACME_SH: &str = include_str!("exec/acme_sh.sh");
