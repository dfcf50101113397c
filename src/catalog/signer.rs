//! What is declared of a signer target: a place that is given the private keys of a keyset, and signs
//! with them by itself.

use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use jwks::{Algorithm, SignerTarget};
use push::{KeyFile, Mode};
use serde::{Deserialize, Serialize};
use url::Url;

use super::managed::maybe_duration;

/// A file that something reads its signing keys from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignerSpec {
    /// What messages call it.
    pub(crate) name: String,
    /// The file.
    path: PathBuf,
    /// What is in it.
    #[serde(default)]
    pub(crate) format: KeyFormat,
    /// With what it signs; the keyset's usual algorithm, if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    algorithm: Option<Algorithm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    /// What makes its reader read it again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    reload: Vec<String>,
    /// How long that may take.
    #[serde(default, with = "maybe_duration", skip_serializing_if = "Option::is_none")]
    timeout: Option<SignedDuration>,
    /// A URL that shows a token which it signed just now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) proof: Option<String>,
    /// How long it may go on with the key before, after that or the reload.
    #[serde(default, with = "maybe_duration", skip_serializing_if = "Option::is_none")]
    settle: Option<SignedDuration>,
}

/// How private keys are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KeyFormat {
    /// A set of private JWKs: the first signs, and the one after it will.
    #[default]
    Jwks,
    /// One private JWK; the next one lies beside it.
    Jwk,
    /// PKCS #8 in PEM; the next one lies beside it.
    Pem,
}

impl SignerSpec {
    /// What its keys know it by. Another place is another target.
    pub(crate) fn id(&self) -> String {
        format!("{} at {}", self.name, self.path.display())
    }

    /// The same as `jwks` sees it, in a keyset whose usual algorithm is `usual`.
    pub(super) fn target(&self, usual: Algorithm) -> SignerTarget {
        SignerTarget {
            name: self.id(),
            algorithm: self.algorithm.unwrap_or(usual),
            settle: self.settle.unwrap_or_default(),
        }
    }

    /// The files it may have.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let file = self.file();
        match self.format {
            KeyFormat::Jwks => vec![file.path],
            KeyFormat::Jwk | KeyFormat::Pem => vec![file.next_path(), file.path],
        }
    }

    /// The file, ready to be written.
    pub(crate) fn file(&self) -> KeyFile {
        let timeout = self.timeout.and_then(|timeout| Duration::try_from(timeout).ok());
        KeyFile {
            path: self.path.clone(),
            owner: self.owner.clone(),
            group: self.group.clone(),
            mode: self.mode,
            reload: self.reload.clone(),
            timeout: timeout.unwrap_or(TIMEOUT),
        }
    }

    /// Whether it could work.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub(super) fn check(&self) -> Result<(), String> {
        let wrong = |why: String| format!("signer {:?}: {why}", self.name);
        super::check_name(&self.name).map_err(wrong)?;
        self.file().check().map_err(wrong)?;
        if let Some(proof) = &self.proof {
            let url = Url::parse(proof).map_err(|e| wrong(format!("proof {proof:?}: {e}")))?;
            if !matches!(url.scheme(), "https" | "http") {
                return Err(wrong(format!("proof {proof:?} must be an https or http URL")));
            }
        }
        if self.reload.is_empty() && self.proof.is_none() && self.settle.is_none() {
            return Err(wrong(
                "nothing says when it takes up a new key: set reload, proof, or settle to how often \
                 it reads the file by itself"
                    .into(),
            ));
        }
        Ok(())
    }
}

const TIMEOUT: Duration = Duration::from_secs(60);
