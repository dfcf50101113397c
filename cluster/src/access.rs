//! How a cluster is reached: where it is, whom to trust there, and who we are. Read anew before use,
//! since kubelets, cloud tools and people replace tokens, certificates and whole kubeconfigs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::ClusterError;
use crate::kubeconfig::{self, Chosen, Material};

/// Which cluster: a context of a kubeconfig, or the one this process is a pod of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Access {
    /// A kubeconfig; without one, the service account of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    /// Which of its contexts; without one, its current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

/// What a connection is made of. Equal facts make equal connections. No Debug: it holds secrets.
#[derive(Clone, PartialEq)]
pub(crate) struct Facts {
    /// Its URL, without a slash at the end.
    pub(crate) server: String,
    pub(crate) proxy: Option<String>,
    /// Roots to trust; none: the system's.
    pub(crate) authority: Option<Zeroizing<Vec<u8>>>,
    /// Client certificate and key.
    pub(crate) identity: Option<Zeroizing<Vec<u8>>>,
    pub(crate) token: Option<Zeroizing<String>>,
}

impl Access {
    /// What is wrong with it, if anything. Nothing is read.
    ///
    /// # Errors
    /// A sentence that says what to write.
    pub fn check(&self) -> Result<(), String> {
        match (&self.kubeconfig, &self.context) {
            (Some(path), _) if !path.is_absolute() || path.file_name().is_none() => Err(format!(
                "kubeconfig = {path:?} is not absolute: write the whole path, from / on"
            )),
            (None, Some(_)) => Err("context is one of a kubeconfig: set kubeconfig too".into()),
            _ => Ok(()),
        }
    }

    /// What a person calls it.
    pub(crate) fn name(&self) -> String {
        match (&self.kubeconfig, &self.context) {
            (Some(path), Some(context)) => format!("of {}, {context}", path.display()),
            (Some(path), None) => format!("of {}", path.display()),
            _ => "of this pod".into(),
        }
    }

    /// Reads it as it stands now. A credential plugin may take `limit`.
    pub(crate) async fn read(&self, limit: Duration) -> Result<Facts, ClusterError> {
        let Some(path) = &self.kubeconfig else { return in_cluster().await };
        let text = Zeroizing::new(file(path).await?);
        let text = std::str::from_utf8(&text).map_err(|_| wrong(path, "it is no text"))?;
        let chosen = kubeconfig::choose(text, path, self.context.as_deref())?;
        gather(chosen, path, limit).await
    }
}

async fn gather(chosen: Chosen, path: &Path, limit: Duration) -> Result<Facts, ClusterError> {
    let (mut certificate, mut key) =
        (material(chosen.certificate).await?, material(chosen.key).await?);
    let mut token = match (chosen.token, chosen.token_file) {
        // As kubectl has it: the file, because it is the one that is kept fresh.
        (_, Some(file)) => Some(token_in(&file).await?),
        (token, None) => token,
    };
    if let Some(exec) = chosen.exec {
        let given = exec.run(limit).await?;
        token = given.token.or(token);
        let bytes = |text: &str| Zeroizing::new(text.as_bytes().to_vec());
        certificate = given.client_certificate_data.as_deref().map(bytes).or(certificate);
        key = given.client_key_data.as_deref().map(|text| bytes(text)).or(key);
    }
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => {
            let mut both = Zeroizing::new(Vec::with_capacity(certificate.len() + key.len() + 1));
            both.extend_from_slice(&certificate);
            both.push(b'\n');
            both.extend_from_slice(&key);
            Some(both)
        }
        (None, None) => None,
        _ => {
            return Err(wrong(
                path,
                "its user has a client certificate without key, or a key without certificate",
            ));
        }
    };
    Ok(Facts {
        server: server(&chosen.server, path)?,
        proxy: chosen.proxy,
        authority: material(chosen.authority).await?,
        identity,
        token,
    })
}

/// A token must not go over a line that anybody can read.
fn server(text: &str, path: &Path) -> Result<String, ClusterError> {
    match text.starts_with("https://") {
        true => Ok(text.trim_end_matches('/').to_owned()),
        false => Err(wrong(path, "its server is no https:// URL, and keys go over TLS only")),
    }
}

/// The service account that every pod is given.
async fn in_cluster() -> Result<Facts, ClusterError> {
    let variable = |name: &str| {
        std::env::var(name).ok().filter(|value| !value.is_empty()).ok_or_else(|| {
            ClusterError::Declaration(format!(
                "{name} is not set, so this is no pod of a cluster: set kubeconfig"
            ))
        })
    };
    let (host, port) = (variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?);
    service_account(Path::new(SERVICE_ACCOUNT), &host, &port).await
}

/// What the files of a service account say of the cluster at `host` and `port`.
async fn service_account(directory: &Path, host: &str, port: &str) -> Result<Facts, ClusterError> {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    Ok(Facts {
        server: format!("https://{host}:{port}"),
        proxy: None,
        authority: Some(Zeroizing::new(file(&directory.join("ca.crt")).await?)),
        identity: None,
        token: Some(token_in(&directory.join("token")).await?),
    })
}

async fn material(material: Option<Material>) -> Result<Option<Zeroizing<Vec<u8>>>, ClusterError> {
    Ok(match material {
        None => None,
        Some(Material::Here(bytes)) => Some(bytes),
        Some(Material::At(path)) => Some(Zeroizing::new(file(&path).await?)),
    })
}

async fn token_in(path: &Path) -> Result<Zeroizing<String>, ClusterError> {
    let bytes = Zeroizing::new(file(path).await?);
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong(path, "it is no token"))?.trim();
    if text.is_empty() {
        return Err(wrong(path, "it holds no token"));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// A file of a sensible size.
async fn file(path: &Path) -> Result<Vec<u8>, ClusterError> {
    use tokio::io::AsyncReadExt;
    let unreadable = |error: std::io::Error| wrong(path, &format!("it cannot be read: {error}"));
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).await.map_err(unreadable)?;
    match bytes.len() as u64 > MAX_FILE {
        true => Err(wrong(path, "it has more than 1 MiB")),
        false => Ok(bytes),
    }
}

fn wrong(path: &Path, why: &str) -> ClusterError {
    ClusterError::Declaration(format!("{}: {why}", path.display()))
}

const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const MAX_FILE: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("perennial-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        path
    }

    #[tokio::test]
    async fn a_pod_finds_its_cluster_by_what_it_is_given() {
        let directory = directory("service-account");
        let told = service_account(&directory, "10.96.0.1", "443").await;
        let told = told.err().expect("nothing is there").to_string();
        assert!(told.contains("ca.crt: it cannot be read"), "{told}");
        std::fs::write(directory.join("ca.crt"), "PEM").expect("written");
        std::fs::write(directory.join("token"), "one\n").expect("written");
        let facts = service_account(&directory, "fd00::1", "443").await.expect("a pod");
        assert_eq!(facts.server, "https://[fd00::1]:443");
        assert_eq!(facts.token.as_deref().map(String::as_str), Some("one"));
        std::fs::write(directory.join("token"), " \n").expect("written");
        let told = service_account(&directory, "10.96.0.1", "443").await;
        assert!(told.err().is_some_and(|error| error.to_string().contains("holds no token")));
        std::fs::remove_dir_all(directory).expect("removed");
    }

    #[tokio::test]
    async fn where_there_is_no_cluster_it_is_said_what_to_set() {
        if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
            return;
        }
        let told = Access::default().read(Duration::from_secs(1)).await.err().expect("no pod");
        assert!(told.to_string().contains("set kubeconfig"), "{told}");
    }

    #[tokio::test]
    async fn a_kubeconfig_that_would_send_keys_in_the_clear_is_refused() {
        let directory = directory("kubeconfig");
        let path = directory.join("config");
        let text = "current-context: a\nclusters: [{name: a, cluster: {server: 'http://10.0.0.1'}}]\n\
                    contexts: [{name: a, context: {cluster: a}}]\n";
        std::fs::write(&path, text).expect("written");
        let access = Access { kubeconfig: Some(path.clone()), context: None };
        let told = access.read(Duration::from_secs(1)).await.err().expect("refused").to_string();
        assert!(told.contains("over TLS only"), "{told}");
        std::fs::write(&path, vec![b'#'; 2 * 1024 * 1024]).expect("written");
        let told = access.read(Duration::from_secs(1)).await.err().expect("refused").to_string();
        assert!(told.contains("more than 1 MiB"), "{told}");
        std::fs::remove_dir_all(directory).expect("removed");
    }
}
