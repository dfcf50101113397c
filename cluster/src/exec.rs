//! Credential plugins: programs that a kubeconfig names to get a token or a client certificate
//! (client.authentication.k8s.io). They run without a shell, with nobody to ask, for a limited time,
//! and nothing of what they print is ever repeated. They see our environment, as kubectl's do: cloud tools
//! find their settings there.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::error::ClusterError;

/// A plugin, as a kubeconfig names it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Exec {
    #[serde(default)]
    api_version: Option<String>,
    command: PathBuf,
    #[serde(default)]
    args: Option<Vec<String>>,
    #[serde(default)]
    env: Option<Vec<Variable>>,
    #[serde(default)]
    interactive_mode: Option<String>,
}

#[derive(Deserialize)]
struct Variable {
    name: String,
    value: String,
}

/// What a plugin gave.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Given {
    pub(crate) token: Option<Zeroizing<String>>,
    pub(crate) client_certificate_data: Option<String>,
    pub(crate) client_key_data: Option<Zeroizing<String>>,
}

#[derive(Deserialize)]
struct Credential {
    #[serde(default)]
    status: Option<Given>,
}

impl Exec {
    /// The same, its command found in `directory` if it is written as a path.
    pub(crate) fn beside(self, directory: &Path) -> Self {
        let command = match self.command.components().count() {
            0 | 1 => self.command,
            _ => directory.join(&self.command),
        };
        Self { command, ..self }
    }

    /// Runs it, for at most `limit`.
    ///
    /// # Errors
    /// [`ClusterError::Declaration`] when it cannot run, fails, or gives nothing.
    pub(crate) async fn run(&self, limit: Duration) -> Result<Given, ClusterError> {
        let wrong = |why: String| {
            let program = self.command.display();
            ClusterError::Declaration(format!("the credential plugin {program} {why}"))
        };
        if self.interactive_mode.as_deref() == Some("Always") {
            return Err(wrong("wants to ask somebody: use one that does not".into()));
        }
        let version = self.api_version.as_deref().unwrap_or(API_VERSION);
        let info = serde_json::json!({
            "apiVersion": version, "kind": "ExecCredential", "spec": { "interactive": false },
        });
        let mut child = Command::new(&self.command)
            .args(self.args.iter().flatten())
            .envs(self.env.iter().flatten().map(|one| (&one.name, &one.value)))
            .env("KUBERNETES_EXEC_INFO", info.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| wrong(format!("cannot be run: {error}")))?;
        let mut printed = Zeroizing::new(Vec::with_capacity(MAX_OUTPUT));
        let ended = timeout(limit, async {
            if let Some(output) = child.stdout.take() {
                output.take(MAX_OUTPUT as u64).read_to_end(&mut printed).await?;
            }
            child.wait().await
        });
        let status = match ended.await {
            Ok(ended) => ended.map_err(|error| wrong(format!("cannot be run: {error}")))?,
            Err(_) => return Err(wrong(format!("did not end within {} s", limit.as_secs_f32()))),
        };
        if !status.success() {
            return Err(wrong(format!("failed ({status}): run it by hand to see why")));
        }
        let credential: Credential = serde_json::from_slice(&printed)
            .map_err(|_| wrong("printed no ExecCredential in JSON".into()))?;
        credential.status.ok_or_else(|| wrong("gave no credentials".into()))
    }
}

const API_VERSION: &str = "client.authentication.k8s.io/v1";
const MAX_OUTPUT: usize = 64 * 1024;
