//! Where the files of a bundle go: a directory of releases with a `current` link, or single files.
//! Declared in a target, shared by every kind that reads certificates from disk. Puts files in place
//! and puts the previous ones back; making a server read them is the target's business.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::bundle::Bundle;
use crate::disk::{self, Access, Content, Staged, blocking};
use crate::error::PushError;
use crate::{Delivery, Observed, pair};

mod account;
mod placed;
mod reader;
mod release;

pub use account::group;
pub(crate) use placed::Placed;
use placed::{Before, Undo};
pub(crate) use reader::{Owned, Reader};
pub(crate) use release::current;

/// Where and how the files of a bundle are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Placement {
    /// A directory for `releases/<version>/{tls.key,tls.crt,chain.pem,bundle.pem}` and the link
    /// `current`, which is swapped in one step: servers read `current/tls.crt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// A file for leaf and chain; for key, leaf and chain if there is no `key_path`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// A file for the key alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_path: Option<PathBuf>,
    /// A file for the chain without the leaf.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain_path: Option<PathBuf>,
    /// The user who owns what is written, by name or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The group of what is written, by name or number; it may read, unless `mode` says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Permission bits; by default those of the file that is replaced, else 0600, or 0640 with a
    /// `group`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// What is put in `directory` besides PEM.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub formats: Vec<Format>,
    /// A file whose first line is the password of the keystores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keystore_password_file: Option<PathBuf>,
}

/// A format besides PEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// PKCS #12 (RFC 7292), as `keystore.p12`.
    Pkcs12,
    /// Java's own, as `keystore.jks`.
    Jks,
    /// What an Envoy reads that has its secrets from files, as `sds.json`.
    Sds,
}

impl Format {
    fn is_keystore(self) -> bool {
        matches!(self, Self::Pkcs12 | Self::Jks)
    }
}

/// Permission bits, written in octal as chmod takes them: `"0640"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(u32);

impl Mode {
    /// The bits.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match u32::from_str_radix(text, 8) {
            // Whoever serves it must be able to read it, and nobody needs to run it.
            Ok(bits) if bits & !0o666 == 0 && bits & 0o400 != 0 && bits & 0o002 == 0 => {
                Ok(Self(bits))
            }
            _ => Err(format!(
                "{text:?} is no mode for a key or certificate: write \"0600\", \"0640\" or \"0644\""
            )),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl Serialize for Mode {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Placement {
    /// The fields a target of a kind with files may have.
    pub(crate) const FIELDS: &[&str] = &[
        "directory",
        "path",
        "key_path",
        "chain_path",
        "owner",
        "group",
        "mode",
        "formats",
        "keystore_password_file",
    ];

    /// What is wrong with it, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        let paths = [
            ("directory", &self.directory),
            ("path", &self.path),
            ("key_path", &self.key_path),
            ("chain_path", &self.chain_path),
            ("keystore_password_file", &self.keystore_password_file),
        ];
        for (field, path) in paths {
            absolute(field, path.as_deref())?;
        }
        if self.directory.is_none() && self.path.is_none() {
            return Err(
                "nothing says where the files go: set directory, or path and key_path".into()
            );
        }
        if self.path.is_none() && (self.key_path.is_some() || self.chain_path.is_some()) {
            return Err(
                "key_path and chain_path need path: set it to the certificate's file".into()
            );
        }
        let files = [&self.path, &self.key_path, &self.chain_path];
        let named: Vec<&PathBuf> = files.into_iter().flatten().collect();
        if named.iter().enumerate().any(|(at, path)| named[..at].contains(path)) {
            return Err("path, key_path and chain_path must be different files".into());
        }
        if !self.formats.is_empty() && self.directory.is_none() {
            return Err("formats are kept in a directory: set directory".into());
        }
        let keystores = self.formats.iter().any(|format| format.is_keystore());
        match (keystores, &self.keystore_password_file) {
            (true, None) => {
                Err("keystores need a password: set keystore_password_file to a file that holds it"
                    .into())
            }
            (false, Some(_)) => {
                Err("keystore_password_file is for keystores: set formats, or remove it".into())
            }
            _ => Ok(()),
        }
    }

    /// Puts the files in place.
    pub(crate) async fn put(&self, delivery: &Delivery<'_>) -> Result<Placed, PushError> {
        let placement = self.clone();
        let (bundle, version) = (delivery.bundle.clone(), delivery.version);
        let alias = delivery.certificate.to_owned();
        blocking(move || placement.put_now(&bundle, version, &alias)).await
    }

    /// The leaf that is in place.
    pub(crate) async fn observe(&self) -> Result<Observed, PushError> {
        let Some(path) = self.certificate_path() else { return Ok(Observed::Untold) };
        blocking(move || {
            let Some(content) = disk::read(&path)? else { return Ok(Observed::Nothing) };
            let text = String::from_utf8_lossy(&content);
            let certificates = ca::Certificate::from_pem(&text).unwrap_or_default();
            let leaf = certificates.first().map(ca::Certificate::fingerprint);
            Ok(leaf.map_or(Observed::Nothing, Observed::Leaf))
        })
        .await
    }

    /// Whether certificate and key that are in place go together: of many servers the test of the
    /// configuration does not look, and some lose TLS over it.
    pub(crate) async fn check_pair(&self) -> Result<(), PushError> {
        let paths = self.certificate_path().zip(self.key_path());
        let Some((path, key_path)) = paths else { return Ok(()) };
        blocking(move || {
            let certificates = disk::read(&path)?.unwrap_or_default();
            pair::check(&path, &certificates, &key_path)
        })
        .await
    }

    /// The file servers read leaf and chain from.
    pub(crate) fn certificate_path(&self) -> Option<PathBuf> {
        let current =
            self.directory.as_ref().map(|dir| dir.join(release::CURRENT).join(CERTIFICATE));
        current.or_else(|| self.path.clone())
    }

    /// The file servers read the key from.
    pub(crate) fn key_path(&self) -> Option<PathBuf> {
        let current = self.directory.as_ref().map(|dir| dir.join(release::CURRENT).join(KEY));
        current.or_else(|| self.key_path.clone()).or_else(|| self.path.clone())
    }

    fn put_now(&self, bundle: &Bundle, version: u64, alias: &str) -> Result<Placed, PushError> {
        let access = self.access()?;
        let mut placed = Placed::default();
        if let Some(directory) = &self.directory {
            let files = self.release_files(bundle, alias)?;
            placed.undo.extend(release::put(directory, version, &files, access)?);
        }
        match self.put_files(bundle, access, &mut placed) {
            Ok(()) => Ok(placed),
            Err(error) => Err(placed.restore(error)),
        }
    }

    /// All are written before the first takes its place, so that the time in which key and
    /// certificate do not match is that of two renames. Each directory is synced once, after the
    /// last of them, so that a crash is no more likely to come between them; also where nothing
    /// was to be written, since whoever wrote it may have been interrupted before its sync.
    fn put_files(
        &self,
        bundle: &Bundle,
        access: Access,
        placed: &mut Placed,
    ) -> Result<(), PushError> {
        let (mut staged, mut directories) = (Vec::new(), BTreeSet::new());
        for SingleFile { path, content } in self.single_files(bundle)? {
            directories.insert(disk::parent(&path)?.to_owned());
            let before = Before::of(&path)?;
            if before.as_ref().is_some_and(|before| before.content == content)
                && access.is_of(&path)
            {
                continue;
            }
            staged.push((Staged::new(&path, &content, access)?, Undo::File { path, before }));
        }
        for (file, undo) in staged {
            placed.undo.push(undo);
            file.take_place()?;
        }
        directories.iter().try_for_each(|directory| disk::sync_directory(directory))
    }

    /// The key comes first: a server that reads in between finds no key it has not got.
    fn single_files(&self, bundle: &Bundle) -> Result<Vec<SingleFile>, PushError> {
        let mut files = Vec::new();
        let Some(path) = &self.path else { return Ok(files) };
        let certificates = Zeroizing::new(bundle.fullchain_pem().into_bytes());
        match (&self.key_path, bundle.key_pem()) {
            (Some(key_path), Some(key)) => {
                files.push(SingleFile {
                    path: key_path.clone(),
                    content: Zeroizing::new(key.as_bytes().to_vec()),
                });
                files.push(SingleFile { path: path.clone(), content: certificates });
            }
            (Some(key_path), None) => {
                pair::check(path, &certificates, key_path)?;
                files.push(SingleFile { path: path.clone(), content: certificates });
            }
            (None, Some(_)) => {
                let combined = bundle.key_first_pem().unwrap_or_default();
                files.push(SingleFile {
                    path: path.clone(),
                    content: Zeroizing::new(combined.as_bytes().to_vec()),
                });
            }
            (None, None) => {
                return Err(PushError::no_key(&format!(
                    "{} holds key and certificate",
                    path.display()
                )));
            }
        }
        if let Some(chain_path) = &self.chain_path {
            files.push(SingleFile {
                path: chain_path.clone(),
                content: Zeroizing::new(bundle.chain_pem().into_bytes()),
            });
        }
        Ok(files)
    }

    fn release_files(&self, bundle: &Bundle, alias: &str) -> Result<Vec<Content>, PushError> {
        let mut files = vec![
            (CERTIFICATE.to_owned(), Zeroizing::new(bundle.fullchain_pem().into_bytes())),
            (CHAIN.to_owned(), Zeroizing::new(bundle.chain_pem().into_bytes())),
        ];
        if let (Some(key), Some(combined)) = (bundle.key_pem(), bundle.key_first_pem()) {
            files.push((KEY.to_owned(), Zeroizing::new(key.as_bytes().to_vec())));
            files.push((BUNDLE.to_owned(), Zeroizing::new(combined.as_bytes().to_vec())));
        }
        let password = self.keystore_password_file.as_deref().map(password).transpose()?;
        let password = password.unwrap_or_default();
        for format in &self.formats {
            let file = match format {
                Format::Pkcs12 => ("keystore.p12", bundle.pkcs12(&password, alias)?),
                Format::Jks => ("keystore.jks", bundle.jks(&password, alias)?),
                Format::Sds => ("sds.json", bundle.secret_file(alias)?),
            };
            files.push((file.0.to_owned(), file.1));
        }
        Ok(files)
    }

    pub(crate) fn access(&self) -> Result<Access, PushError> {
        let uid = self.owner.as_deref().map(account::user).transpose()?;
        let gid = self.group.as_deref().map(group).transpose()?;
        let mode = self.mode.map(Mode::bits).or(gid.map(|_| 0o640));
        Ok(Access { mode, uid, gid })
    }
}

/// A file that is not part of a release.
struct SingleFile {
    path: PathBuf,
    content: Zeroizing<Vec<u8>>,
}

/// The first line of a file.
fn password(path: &Path) -> Result<Zeroizing<String>, PushError> {
    let refused = |why: &str| {
        PushError::Declaration(format!("keystore_password_file {}: {why}", path.display()))
    };
    let content = disk::read(path)?.ok_or_else(|| refused("it is not there; make it"))?;
    let text = std::str::from_utf8(&content).map_err(|_| refused("it is no text"))?;
    match text.lines().next() {
        Some(line) if line.chars().any(|one| !matches!(one, ' '..='~')) => {
            Err(refused("its first line has characters beyond ASCII, which Java refuses"))
        }
        Some(line) if line.len() >= MIN_PASSWORD => Ok(Zeroizing::new(line.to_owned())),
        _ => Err(refused("its first line has less than 6 characters, which Java refuses")),
    }
}

/// A sentence unless `path` is absolute and names something.
pub(crate) fn absolute(field: &str, path: Option<&Path>) -> Result<(), String> {
    match path {
        Some(path) if !path.is_absolute() || path.file_name().is_none() => {
            Err(format!("{field} = {path:?} is not absolute: write the whole path, from / on"))
        }
        _ => Ok(()),
    }
}

pub(crate) const CERTIFICATE: &str = "tls.crt";
pub(crate) const KEY: &str = "tls.key";
const MIN_PASSWORD: usize = 6;
const CHAIN: &str = "chain.pem";
const BUNDLE: &str = "bundle.pem";
