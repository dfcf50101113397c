//! Targets of kind `traefik`, by its file provider. Traefik does not watch certificates, only the files of
//! dynamic configuration: so one of those is ours, and renamed into place each time. A pair it cannot use it
//! drops without a word to us and shows a default certificate instead, so nothing is put where it could
//! read the half of one.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::disk::{self, blocking};
use crate::error::PushError;
use crate::placement::{self, CERTIFICATE, KEY, Mode, Placed, Placement, absolute};
use crate::{Bundle, Delivery, Observed, Receipt, Target, pair};

mod dynamic;

pub use dynamic::dynamic;

/// What a target of kind `traefik` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Traefik {
    /// The file of dynamic configuration that is written: the whole of it is ours.
    pub config: PathBuf,
    /// A directory of releases for certificate and key, which `config` then points to; without one
    /// they are in `config` itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// Whether it is also shown to who asks for no name, or for one that has no certificate.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
    /// The user who owns what is written, by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The group of what is written, by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Permission bits of what is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
}

impl Traefik {
    pub(crate) const FIELDS: &[&str] =
        &["config", "directory", "default", "owner", "group", "mode"];

    pub(crate) fn check(&self) -> Result<(), String> {
        absolute("config", Some(&self.config))?;
        absolute("directory", self.directory.as_deref())?;
        // It tells formats by the ending, and skips files with another.
        if !self.config.extension().is_some_and(|ending| ending == "yml" || ending == "yaml") {
            return Err(format!("config = {:?} must end in .yml or .yaml", self.config));
        }
        let Some(directory) = &self.directory else { return Ok(()) };
        if directory.to_string_lossy().contains("{{") {
            return Err("directory may not contain {{: Traefik would read a template".into());
        }
        // Whatever changes in the directory of `config` has Traefik read all of it at once.
        match self.config.parent() {
            Some(watched) if directory.starts_with(watched) => Err(format!(
                "directory = {directory:?} is in {watched:?}, which Traefik watches, so that it may read \
                 what is not complete: choose one elsewhere"
            )),
            _ => Ok(()),
        }
    }

    /// How and for whom files are written.
    fn placement(&self) -> Placement {
        Placement {
            directory: self.directory.clone(),
            owner: self.owner.clone(),
            group: self.group.clone(),
            mode: self.mode,
            ..Placement::default()
        }
    }

    async fn deliver(&self, delivery: &Delivery<'_>) -> Result<Receipt, PushError> {
        if delivery.bundle.key_pkcs8().is_none() {
            return Err(PushError::no_key("Traefik reads certificate and key together"));
        }
        let mut placed = match &self.directory {
            Some(_) => self.placement().put(delivery).await.map_err(PushError::untouched)?,
            None => Placed::default(),
        };
        let (this, bundle) = (self.clone(), delivery.bundle.clone());
        let (placed, told) = blocking(move || {
            let told = this.tell(&bundle, &mut placed);
            Ok((placed, told))
        })
        .await?;
        placed.keep_if(told.map(|()| String::new())).await
    }

    /// Renames the file into place, the same as before or not: that is what Traefik sees.
    fn tell(&self, bundle: &Bundle, placed: &mut Placed) -> Result<(), PushError> {
        let content = self.content(bundle).map_err(PushError::untouched)?;
        placed.renew(&self.config, &content, self.placement().access()?)
    }

    fn content(&self, bundle: &Bundle) -> Result<Zeroizing<Vec<u8>>, PushError> {
        let (certificate, key) = match &self.directory {
            // Not by way of the link, which may be swapped between the two.
            Some(directory) => {
                let release = placement::current(directory)?;
                let path = |file: &str| release.join(file).to_string_lossy().into_owned();
                (path(CERTIFICATE), Zeroizing::new(path(KEY)))
            }
            None => (bundle.fullchain_pem(), bundle.key_pem().unwrap_or_default()),
        };
        let pair = [(certificate, key)];
        let default = pair.first().filter(|_| self.default);
        let dynamic = dynamic(&pair, default);
        let mut content = Zeroizing::new(Vec::with_capacity(HEAD.len() + dynamic.len() + 1));
        content.extend_from_slice(HEAD.as_bytes());
        content.extend_from_slice(&dynamic);
        content.push(b'\n');
        Ok(content)
    }

    /// What the file leads to.
    fn held(&self) -> Result<Observed, PushError> {
        let Some(content) = disk::read(&self.config)? else { return Ok(Observed::Nothing) };
        let Some((certificate, key)) = dynamic::first_pair(&content) else {
            return Ok(Observed::Nothing);
        };
        let (certificate, key) = (self.read(&certificate)?, self.read(&key)?);
        Ok(pair::observed(
            certificate.as_deref().map(Vec::as_slice),
            key.as_deref().map(Vec::as_slice),
        ))
    }

    /// A PEM text, in place or in a file of ours.
    fn read(&self, text: &Zeroizing<String>) -> Result<Option<Zeroizing<Vec<u8>>>, PushError> {
        if text.starts_with("-----BEGIN ") {
            return Ok(Some(Zeroizing::new(text.as_bytes().to_vec())));
        }
        let path = Path::new(text.as_str());
        match &self.directory {
            Some(directory) if path.starts_with(directory) => disk::read(path),
            _ => Ok(None),
        }
    }
}

impl Target for Traefik {
    fn push<'a>(
        &'a self,
        delivery: &'a Delivery<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Receipt, PushError>> + Send + 'a>> {
        Box::pin(self.deliver(delivery))
    }

    fn observe<'a>(
        &'a self,
    ) -> Pin<Box<dyn Future<Output = Result<Observed, PushError>> + Send + 'a>> {
        let this = self.clone();
        Box::pin(blocking(move || this.held()))
    }
}

const HEAD: &str =
    "# Written by Perennial, anew with each version: what else is put here is lost.\n";
