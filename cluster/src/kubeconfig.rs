//! Kubeconfig files: which cluster, which user. What would make the connection unsafe, or needs a
//! human, is refused with what to write instead.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::error::ClusterError;
use crate::exec::Exec;

/// What a kubeconfig says of one context. Secrets in it have no Debug.
pub(crate) struct Chosen {
    pub(crate) server: String,
    pub(crate) proxy: Option<String>,
    pub(crate) authority: Option<Material>,
    pub(crate) token: Option<Zeroizing<String>>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) certificate: Option<Material>,
    pub(crate) key: Option<Material>,
    pub(crate) exec: Option<Exec>,
}

/// A PEM text, or where one is.
pub(crate) enum Material {
    Here(Zeroizing<Vec<u8>>),
    At(PathBuf),
}

/// Reads the `context` of the kubeconfig `text`, which is at `path`; without one, its current one.
///
/// # Errors
/// [`ClusterError::Declaration`] says what is wrong with it. None of its values are repeated.
pub(crate) fn choose(
    text: &str,
    path: &Path,
    context: Option<&str>,
) -> Result<Chosen, ClusterError> {
    let wrong =
        |why: String| ClusterError::Declaration(format!("kubeconfig {}: {why}", path.display()));
    // The parser's own message would quote the line, which may hold a token.
    let file: File = serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map_or(0, |at| at.line());
        wrong(format!("it cannot be read at line {line}: it is no kubeconfig"))
    })?;
    let context = context.map(str::to_owned).or(file.current_context).filter(|c| !c.is_empty());
    let Some(context) = context else {
        return Err(wrong("it has no current-context: set context".into()));
    };
    let missing = |what: &str, name: &str| wrong(format!("it has no {what} {name:?}"));
    let chosen = find(file.contexts, &context).ok_or_else(|| missing("context", &context))?;
    let (cluster_name, user_name) = (chosen.context.cluster, chosen.context.user);
    let cluster =
        find(file.clusters, &cluster_name).ok_or_else(|| missing("cluster", &cluster_name))?;
    let user = match user_name.filter(|name| !name.is_empty()) {
        Some(name) => find(file.users, &name).ok_or_else(|| missing("user", &name))?.user,
        None => User::default(),
    };
    resolve(cluster.cluster, user, path.parent().unwrap_or(Path::new("/"))).map_err(wrong)
}

fn resolve(cluster: Cluster, user: User, directory: &Path) -> Result<Chosen, String> {
    if cluster.insecure_skip_tls_verify {
        return Err(
            "it says insecure-skip-tls-verify, and keys are not given to whoever answers: \
                    set certificate-authority instead"
                .into(),
        );
    }
    if cluster.tls_server_name.is_some() {
        return Err("it says tls-server-name, which is not supported: write a server that its \
                    certificate names"
            .into());
    }
    if user.auth_provider.is_some() {
        return Err("its user has an auth-provider, which Kubernetes no longer has: use exec, or \
                    tokenFile"
            .into());
    }
    if user.impersonate.is_some() {
        return Err("its user acts as another (as), which is not supported: name a user with the \
                    role itself"
            .into());
    }
    let at = |file: Option<PathBuf>| file.map(|file| Material::At(directory.join(file)));
    let (authority, certificate, key) = (
        here("certificate-authority-data", cluster.certificate_authority_data)?,
        here("client-certificate-data", user.client_certificate_data)?,
        here("client-key-data", user.client_key_data)?,
    );
    Ok(Chosen {
        server: cluster.server,
        proxy: cluster.proxy_url,
        authority: authority.or(at(cluster.certificate_authority)),
        token: user.token.map(Zeroizing::new),
        token_file: user.token_file.map(|file| directory.join(file)),
        certificate: certificate.or(at(user.client_certificate)),
        key: key.or(at(user.client_key)),
        exec: user.exec.map(|exec| exec.beside(directory)),
    })
}

/// What stands in the file itself goes before what is in a file beside it.
fn here(field: &str, text: Option<String>) -> Result<Option<Material>, String> {
    let Some(text) = text.map(Zeroizing::new).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    match BASE64.decode(text.trim().as_bytes()) {
        Ok(bytes) => Ok(Some(Material::Here(Zeroizing::new(bytes)))),
        Err(_) => Err(format!("its {field} is no base64")),
    }
}

fn find<T: Named>(list: Vec<T>, name: &str) -> Option<T> {
    list.into_iter().find(|one| one.name() == name)
}

trait Named {
    fn name(&self) -> &str;
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    current_context: Option<String>,
    #[serde(default)]
    clusters: Vec<NamedCluster>,
    #[serde(default)]
    contexts: Vec<NamedContext>,
    #[serde(default)]
    users: Vec<NamedUser>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    user: User,
}

impl Named for NamedCluster {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for NamedContext {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for NamedUser {
    fn name(&self) -> &str {
        &self.name
    }
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    #[serde(default)]
    user: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    #[serde(default)]
    certificate_authority: Option<PathBuf>,
    #[serde(default)]
    certificate_authority_data: Option<String>,
    #[serde(default)]
    proxy_url: Option<String>,
    #[serde(default)]
    tls_server_name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct User {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    exec: Option<Exec>,
    auth_provider: Option<BTreeMap<String, serde_json::Value>>,
    #[serde(rename = "as")]
    impersonate: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
apiVersion: v1
kind: Config
current-context: here
clusters:
- name: one
  cluster:
    server: https://10.0.0.1:6443
    certificate-authority: ca.crt
- name: two
  cluster: {server: 'https://10.0.0.2', certificate-authority-data: QUJD}
contexts:
- name: here
  context: {cluster: one, user: robot, namespace: web}
- name: there
  context: {cluster: two, user: robot}
users:
- name: robot
  user:
    tokenFile: token
";

    fn read(text: &str, context: Option<&str>) -> Result<Chosen, String> {
        choose(text, Path::new("/etc/kube/config"), context).map_err(|error| error.to_string())
    }

    #[test]
    fn the_context_chooses_cluster_and_user_and_files_are_beside_the_kubeconfig() {
        let here = read(GOOD, None).expect("the current context");
        assert_eq!(here.server, "https://10.0.0.1:6443");
        assert!(
            matches!(here.authority, Some(Material::At(path)) if path == Path::new("/etc/kube/ca.crt"))
        );
        assert_eq!(here.token_file.as_deref(), Some(Path::new("/etc/kube/token")));
        let there = read(GOOD, Some("there")).expect("the other one");
        assert_eq!(there.server, "https://10.0.0.2");
        assert!(matches!(there.authority, Some(Material::Here(bytes)) if *bytes == b"ABC"));
    }

    #[test]
    fn what_cannot_work_is_said_without_repeating_any_of_it() {
        for (text, context, told) in [
            (GOOD.replace("current-context: here", ""), None, "set context"),
            (GOOD.to_owned(), Some("moon"), "no context \"moon\""),
            (GOOD.replace("user: robot,", "user: moon,"), None, "no user \"moon\""),
            (
                GOOD.replace(
                    "    server: https://10.0.0.1:6443\n",
                    "    server: x\n    insecure-skip-tls-verify: true\n",
                ),
                None,
                "certificate-authority instead",
            ),
            (GOOD.replace("tokenFile: token", "auth-provider: {name: gcp}"), None, "use exec"),
            (GOOD.replace("tokenFile: token", "as: admin"), None, "acts as another"),
            (
                GOOD.replace("tokenFile: token", "client-key-data: s3cret!"),
                None,
                "client-key-data is no base64",
            ),
            (GOOD.replace("tokenFile: token", "token: [s3cret"), None, "cannot be read at line"),
            (
                GOOD.replace("tokenFile: token", "token: {s3cret: 1}"),
                None,
                "cannot be read at line",
            ),
        ] {
            let error = read(&text, context).err().unwrap_or_else(|| panic!("{told}: accepted"));
            assert!(error.contains(told), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
