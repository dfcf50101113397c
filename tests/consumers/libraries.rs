//! Libraries of other languages: each in a process of its own, which is asked a line and answers a
//! line.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex as AsyncMutex, oneshot};

use super::keysets::{AUDIENCE, CACHE, Keyset, Token};

/// A process that verifies.
pub(super) struct Library {
    asks: AsyncMutex<(u64, ChildStdin)>,
    waiting: Arc<Mutex<HashMap<u64, oneshot::Sender<String>>>>,
    /// Ended with the test.
    _process: Child,
}

impl Library {
    /// Starts the process of one of [`Library::NAMES`].
    pub(super) fn start(name: &str, root: &Path) -> Self {
        let mut command = command(name, root);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap_or_else(|e| panic!("{name}: {e}: {ADVICE}"));
        let asks = process.stdin.take().expect("its input");
        let answers = BufReader::new(process.stdout.take().expect("its output"));
        let waiting: Arc<Mutex<HashMap<u64, oneshot::Sender<String>>>> = Arc::default();
        let answered = Arc::clone(&waiting);
        tokio::spawn(async move {
            let mut lines = answers.lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let (number, said) = line.split_once(' ').unwrap_or((&line, ""));
                let number = number.parse().unwrap_or(u64::MAX);
                let asked = answered.lock().expect("no panic").remove(&number);
                if let Some(asked) = asked {
                    let _ = asked.send(said.to_owned());
                }
            }
        });
        Self { asks: AsyncMutex::new((0, asks)), waiting, _process: process }
    }

    pub(super) const NAMES: [&str; 6] =
        ["jose", "jwks-rsa", "pyjwt", "joserfc", "authlib", "go-oidc"];

    /// Whether the library accepts a token; if not, what it says.
    pub(super) async fn verify(&self, keyset: &Keyset, token: &Token) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        {
            let mut asks = self.asks.lock().await;
            asks.0 += 1;
            let line = json!({
                "number": asks.0, "url": keyset.url, "token": token.text,
                "algorithm": token.algorithm, "issuer": keyset.issuer(), "audience": AUDIENCE,
            });
            self.waiting.lock().expect("no panic").insert(asks.0, answer);
            let written = asks.1.write_all(format!("{line}\n").as_bytes()).await;
            written.map_err(|e| format!("its process: {e}"))?;
        }
        match tokio::time::timeout(Duration::from_secs(60), answered).await {
            Ok(Ok(said)) if said == "ok" => Ok(()),
            Ok(Ok(said)) => Err(said),
            _ => Err("its process does not answer".to_owned()),
        }
    }
}

fn command(name: &str, root: &Path) -> Command {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = |name: &str| here.join("tests/consumers").join(name);
    let cache = CACHE.to_string();
    match name {
        "jose" | "jwks-rsa" => {
            let mut node = Command::new(tool("venv/bin/node"));
            node.env("NODE_MODULES", here.join("target/node/node_modules"));
            node.env("NODE_EXTRA_CA_CERTS", root);
            node.arg(script("verify.mjs")).args([name, &cache]);
            node
        }
        "go-oidc" => {
            let mut verifier = Command::new(tool("tools/bin/verify-go-oidc"));
            verifier.env("SSL_CERT_FILE", root);
            verifier
        }
        _ => {
            let mut python = Command::new(tool("venv/bin/python"));
            python.arg(script("verify.py")).args([name, &cache]).arg(root);
            python
        }
    }
}

/// A program that `tests/run tools` has put into `target`.
pub(super) fn tool(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(path);
    assert!(path.exists(), "{} is not there: {ADVICE}", path.display());
    path
}

const ADVICE: &str = "run `tests/run tools`";
