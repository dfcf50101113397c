//! A Kubernetes API server for tests: a small one of our own (`tests/cluster/apiserver.py`), or with
//! `KUBECONFIG` the real cluster it names, for all that needs no faults. What a person would do there is
//! done with the real kubectl. Shared by the tests of `push` and those from outside.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

/// A cluster with a namespace for one test.
pub(crate) struct Cluster {
    /// Where its kubeconfigs are, and the files that steer it.
    directory: PathBuf,
    /// The namespace of the test.
    pub(crate) namespace: String,
    admin: PathBuf,
    /// Where it answers; empty for a real one.
    url: String,
    /// None: it is a real one.
    server: Option<Child>,
}

impl Cluster {
    /// The real cluster if there is one, else one of our own, in which the user `perennial` may do
    /// what the documentation says it needs.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn start(directory: &Path) -> Self {
        let Some(kubeconfig) = std::env::var_os("KUBECONFIG").filter(|path| !path.is_empty())
        else {
            return Self::own(directory);
        };
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let cluster = Self {
            directory: directory.to_owned(),
            namespace: format!("perennial-test-{}-{count}", std::process::id()),
            admin: std::fs::canonicalize(kubeconfig).expect("the file KUBECONFIG names"),
            url: String::new(),
            server: None,
        };
        std::fs::create_dir_all(directory).expect("a directory");
        let name = &cluster.namespace;
        let namespace =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        cluster.create("namespace", &namespace);
        cluster
    }

    /// One of our own, in which things can be made to go wrong.
    pub(crate) fn own(directory: &Path) -> Self {
        std::fs::create_dir_all(directory).expect("a directory");
        let program = in_tree(SERVER).expect("tests/cluster");
        let mut server = Command::new("python3")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg(program)
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is not installed: run `sudo apt-get install python3`");
        let mut line = String::new();
        let output = server.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut line).expect("it says that it is ready");
        let url = line.trim().strip_prefix("ready ").expect("the API server did not start");
        let cluster = Self {
            admin: directory.join("admin.kubeconfig"),
            directory: directory.to_owned(),
            namespace: "web".into(),
            url: url.to_owned(),
            server: Some(server),
        };
        cluster.allow(&["get", "watch", "patch", "create"]);
        cluster
    }

    /// The kubeconfig of who applies Secrets.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        match self.server {
            Some(_) => self.directory.join("perennial.kubeconfig"),
            None => self.admin.clone(),
        }
    }

    /// The kubeconfig of who may do everything.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn admin(&self) -> PathBuf {
        self.admin.clone()
    }

    /// Lets the user `perennial` do this to Secrets of the namespace, and nothing else.
    pub(crate) fn allow(&self, verbs: &[&str]) {
        let rule =
            json!({ "verbs": verbs, "resources": ["secrets"], "namespaces": [self.namespace] });
        self.say("rbac", &json!({ "perennial": [rule] }));
    }

    /// Lets the user `perennial` do what these rules say, and nothing else.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn allow_by(&self, rules: &Value) {
        self.say("rbac", &json!({ "perennial": rules }));
    }

    /// Lets the user `perennial` do what this manifest in `deploy` says of its service account, and
    /// nothing else.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn allow_as_deployed(&self, manifest: &str) {
        let path = in_tree(&format!("deploy/{manifest}")).expect("a manifest");
        let path = path.to_str().expect("a plain path");
        succeed(&self.kubectl_anywhere(&["apply", "--validate=false", "-f", path]));
        self.say("rbac", &json!({}));
        let tokens = json!({
            "admin-token": { "user": "admin", "groups": ["system:masters"] },
            "perennial-token": { "user": "system:serviceaccount:perennial:perennial" },
        });
        self.say("tokens", &tokens);
    }

    /// Lets the user `perennial` sign for `signer`, or only see what waits for it.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn allow_signing(&self, signer: &str, sign: bool) {
        let requests = "certificatesigningrequests";
        let mut rules = vec![
            json!({ "verbs": ["list"], "resources": [requests] }),
            json!({ "verbs": ["patch"], "resources": [format!("{requests}/status")] }),
        ];
        if sign {
            rules.push(json!({ "verbs": ["sign"], "resources": ["signers"], "names": [signer] }));
        }
        self.say("rbac", &json!({ "perennial": rules }));
    }

    /// Accepts this token from the user `perennial`, and no other.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn accept(&self, token: &str) {
        let tokens = json!({
            "admin-token": { "user": "admin", "groups": ["system:masters"] },
            token: { "user": "perennial" },
        });
        self.say("tokens", &tokens);
    }

    /// Makes things go wrong: what, is said in `apiserver.py`.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn fail(&self, faults: &Value) {
        self.say("faults", faults);
    }

    /// Has it forget its history, so that watches must start over.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn compact(&mut self) {
        let server = self.server.as_mut().expect("our own server");
        let orders = server.stdin.as_mut().expect("its input");
        writeln!(orders, "compact").and_then(|()| orders.flush()).expect("said");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }

    /// Ends it.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Runs kubectl as somebody who may do everything.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Output {
        self.kubectl_anywhere(&[arguments, &["--namespace", &self.namespace]].concat())
    }

    /// The same, in the namespaces that it says itself.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn kubectl_anywhere(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("kubectl");
        command.env("KUBECONFIG", &self.admin).env("HOME", &self.directory).args(arguments);
        command
            .output()
            .expect("kubectl is not installed: run `sudo apt-get install kubernetes-client`")
    }

    /// Creates what a manifest says, as kubectl does it.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn create(&self, name: &str, manifest: &Value) {
        let path = self.directory.join(format!("{name}.json"));
        std::fs::write(&path, manifest.to_string()).expect("written");
        let path = path.to_str().expect("a plain path");
        succeed(&self.kubectl(&["create", "--validate=false", "-f", path]));
    }

    /// Has an Ingress for `host` ask for the Secret `shop`, and gives the command that starts Traefik
    /// as what serves it on `port` of this machine.
    pub(crate) fn traefik(&self, host: &str, port: u16) -> (PathBuf, Vec<String>) {
        let program = in_tree("target/venv/bin/traefik")
            .expect("Traefik is not installed: run `tests/run tools`");
        self.create(
            "ingress",
            &json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                "metadata": { "name": "shop" },
                "spec": {
                    "tls": [{ "hosts": [host], "secretName": "shop" }],
                    "rules": [{ "host": host, "http": { "paths": [{
                        "path": "/", "pathType": "Prefix",
                        "backend": { "service": { "name": "shop", "port": { "number": 80 } } },
                    }] } }],
                },
            }),
        );
        let provider = "--providers.kubernetesingress";
        let mut arguments = vec![
            format!("--entrypoints.websecure.address=127.0.0.1:{port}"),
            "--entrypoints.websecure.http.tls=true".to_owned(),
            format!("{provider}=true"),
            format!("{provider}.namespaces={}", self.namespace),
            format!("{provider}.disableclusterscoperesources=true"),
            "--providers.providersthrottleduration=100ms".to_owned(),
            "--global.checknewversion=false".to_owned(),
        ];
        if !self.url.is_empty() {
            let authority = self.directory.join("ca.crt");
            arguments.push(format!("{provider}.endpoint={}", self.url));
            arguments.push(format!("{provider}.token=admin-token"));
            arguments.push(format!("{provider}.certauthfilepath={}", authority.display()));
        }
        (program, arguments)
    }

    /// What a Secret is.
    pub(crate) fn secret(&self, name: &str) -> Option<Value> {
        let path = format!("/api/v1/namespaces/{}/secrets/{name}", self.namespace);
        let output = self.kubectl(&["get", "--raw", &path]);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).expect("JSON"))
    }

    fn say(&self, name: &str, what: &Value) {
        let path = self.directory.join(format!("{name}.json"));
        let draft = self.directory.join(format!("{name}.draft"));
        std::fs::write(&draft, what.to_string()).expect("written");
        std::fs::rename(draft, path).expect("put in place");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.server.is_none() && self.namespace.starts_with("perennial-test-") {
            self.kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]);
        }
        self.stop();
    }
}

/// Demands that kubectl did what it was asked.
pub(crate) fn succeed(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A file of the tree, whichever package's tests these are.
fn in_tree(name: &str) -> Option<PathBuf> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    [package.join(name), package.join("..").join(name)].into_iter().find(|path| path.exists())
}

const SERVER: &str = "tests/cluster/apiserver.py";
