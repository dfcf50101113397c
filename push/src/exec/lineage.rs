//! The directory hooks are told of: what certbot keeps in `live/<name>`.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::Delivery;
use crate::disk::{self, Access, Staged, blocking};
use crate::error::PushError;

/// `cert.pem`, `chain.pem`, `fullchain.pem`, and with a key `privkey.pem` and `combined.pem`. Removed
/// when dropped, unless it is where the operator wants to keep it.
pub(super) struct Lineage {
    directory: PathBuf,
    temporary: bool,
}

impl Lineage {
    /// Writes the files, into `directory` or a temporary one only this user can enter.
    pub(super) async fn write(
        directory: Option<&Path>,
        delivery: &Delivery<'_>,
    ) -> Result<Self, PushError> {
        let kept = directory.map(Path::to_owned);
        let bundle = delivery.bundle;
        let mut files = vec![
            ("cert.pem", Zeroizing::new(bundle.cert_pem())),
            ("chain.pem", Zeroizing::new(bundle.chain_pem())),
            ("fullchain.pem", Zeroizing::new(bundle.fullchain_pem())),
        ];
        files.extend(bundle.key_pem().map(|key| ("privkey.pem", key)));
        files.extend(bundle.combined_pem().map(|combined| ("combined.pem", combined)));
        blocking(move || {
            let lineage = match kept {
                Some(directory) => {
                    disk::make_directory(&directory, Access::default())?;
                    Self { directory, temporary: false }
                }
                None => Self { directory: temporary()?, temporary: true },
            };
            for (name, content) in files {
                let path = lineage.directory.join(name);
                Staged::new(&path, content.as_bytes(), Access::default())?.take_place()?;
                disk::sync_parent(&path)?;
            }
            Ok(lineage)
        })
        .await
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl Drop for Lineage {
    fn drop(&mut self) {
        if !self.temporary {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            let path = self.directory.display();
            tracing::error!(%path, %error, "a directory with a private key cannot be removed");
        }
    }
}

/// A new directory with a name nobody can guess and have made before.
fn temporary() -> Result<PathBuf, PushError> {
    let mut random = [0; 16];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| PushError::Format("there is no randomness for a temporary name".into()))?;
    let name = format!("perennial-{}", data_encoding::HEXLOWER.encode(&random));
    let path = std::env::temp_dir().join(name);
    let made = fs::DirBuilder::new().mode(0o700).create(&path);
    made.map_err(PushError::disk("make the directory", &path))?;
    Ok(path)
}
