//! A server with keysets on short times: declared, signed with, rotated.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::edge;
use crate::program::succeed;
use crate::scene::Scene;

/// How long every consumer here caches, in seconds.
pub(super) const CACHE: u64 = 2;
/// Who tokens are for.
pub(super) const AUDIENCE: &str = "https://api.example.com";

/// Times that are the least, or near it, with which a rotation can be kept where consumers cache for two
/// seconds.
pub(super) fn times(rotate_every: &str, token_lifetime: &str, consumers: &str) -> String {
    format!(
        "rotate_every = {rotate_every:?}\ntoken_lifetime = {token_lifetime:?}\nmax_age = \"1s\"\n\
         lag = \"4s\"\nskew = \"0s\"\nsigner_lag = \"2s\"\nconsumers = [{consumers}]\n"
    )
}

/// Every consumer here but mod_auth_openidc, which caches for five minutes at least: what it does not
/// know it fetches at once.
pub(super) const ALL: &str = r#"
  { name = "jose", cache = "2s", cooldown = "2s" },
  { name = "jwks-rsa", cache = "2s" },
  { name = "pyjwt", cache = "2s", cooldown = "2s" },
  { name = "joserfc", cache = "2s" },
  { name = "authlib", cache = "2s" },
  { name = "jsonwebtoken", cache = "2s", skew = "0s" },
  { name = "envoy", cache = "2s", skew = "1s" },
  "go-oidc",
"#;

/// A server whose keysets all sign.
pub(super) struct Issuer {
    pub(super) scene: Scene,
    pub(super) keysets: Vec<Keyset>,
    /// What is declared.
    declared: String,
    http: reqwest::Client,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Keyset {
    pub(super) name: String,
    pub(super) algorithms: Vec<&'static str>,
    /// Where its set is, and where consumers fetch it: at an edge, if there is one.
    pub(super) origin: String,
    pub(super) url: String,
    /// The API token that signs.
    secret: String,
}

impl Keyset {
    /// What stands in `iss`.
    pub(super) fn issuer(&self) -> String {
        issuer(&self.name)
    }
}

fn issuer(name: &str) -> String {
    format!("https://{name}.example.com")
}

/// A signed token.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) algorithm: &'static str,
    pub(super) text: String,
    /// In seconds since 1970.
    pub(super) expires: f64,
    pub(super) kid: String,
}

impl Issuer {
    /// Starts a server with these keysets, all declared with `times`, and waits until they sign.
    pub(super) async fn start(
        name: &str,
        keysets: &[(String, Vec<&'static str>)],
        times: &str,
    ) -> Self {
        let scene = Scene::ours(name);
        let tables = keysets.iter().map(|(name, known)| table(name, known, times));
        let (declared, http) = (tables.collect(), client(&scene.server.trust));
        let base = base(&scene).to_owned();
        let mut issuer = Self { scene, keysets: Vec::new(), declared, http };
        issuer.apply();
        for (name, algorithms) in keysets {
            issuer.signs(name).await;
            let made = issuer.scene.server.json(["token", "create", name, "--keyset", name]);
            issuer.keysets.push(Keyset {
                name: name.clone(),
                algorithms: algorithms.clone(),
                origin: format!("{base}/jwks/{name}/jwks.json"),
                url: format!("{base}/jwks/{name}/jwks.json"),
                secret: made["token"].as_str().expect("a token").to_owned(),
            });
        }
        issuer
    }

    fn apply(&self) {
        let file = self.scene.directory("declared").join("keysets.toml");
        fs::write(&file, &self.declared).expect("written");
        succeed(&mut self.scene.server.command(["apply".as_ref(), file.as_os_str()]));
    }

    /// Puts an edge before the first keyset, where its consumers fetch from now on.
    pub(super) async fn put_edge(&mut self) {
        let keyset = &mut self.keysets[0];
        keyset.url = edge::start(&keyset.url, &self.scene.server.trust).await;
        let name = format!("name = {:?}\n", keyset.name);
        let edges = format!("{name}edges = [{:?}]\n", keyset.url);
        self.declared = self.declared.replacen(&name, &edges, 1);
        self.apply();
    }

    async fn signs(&self, name: &str) {
        for _ in 0..600 {
            let shown = self.scene.server.json(["get", "keyset", name]);
            if shown["status"] == "signing" || shown["status"] == "rotating" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{name}: no key signs: {}", self.scene.server.json(["get", "keyset", name]));
    }

    /// A token that lives as long as it may.
    pub(super) async fn sign(&self, keyset: &Keyset, algorithm: &'static str) -> Token {
        let url = format!("{}/api/v1/keysets/{}/sign", base(&self.scene), keyset.name);
        let asked = json!({
            "claims": { "aud": AUDIENCE, "sub": "worker-7", "client_id": "worker" },
            "algorithm": algorithm,
        });
        let request = self.http.post(url).bearer_auth(&keyset.secret).json(&asked);
        let answer = request.send().await.expect("an answer");
        let answer: Value = answer.json().await.expect("JSON");
        let text = answer["token"].as_str().unwrap_or_else(|| panic!("{}: {answer}", keyset.name));
        let part = |number| read(text.split('.').nth(number).expect("a part"));
        Token {
            algorithm,
            text: text.to_owned(),
            expires: part(1)["exp"].as_f64().expect("exp"),
            kid: part(0)["kid"].as_str().expect("kid").to_owned(),
        }
    }
}

/// A client that trusts the server.
pub(super) fn client(root: &Path) -> reqwest::Client {
    let pem = fs::read(root).expect("the root");
    let root = reqwest::Certificate::from_pem(&pem).expect("a certificate");
    let builder = reqwest::Client::builder().tls_certs_only([root]);
    builder.timeout(Duration::from_secs(30)).build().expect("a client")
}

/// Now, in seconds since 1970.
pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

/// A keyset's table.
fn table(name: &str, algorithms: &[&str], times: &str) -> String {
    let (first, more) = algorithms.split_first().expect("an algorithm");
    format!(
        "[[keyset]]\nname = {name:?}\nissuer = {:?}\nalgorithm = {first:?}\n\
         more_algorithms = {more:?}\naudiences = [{AUDIENCE:?}]\nsubjects = [\"worker-*\"]\n{times}\n",
        issuer(name)
    )
}

/// A part of a token.
fn read(part: &str) -> Value {
    let octets = data_encoding::BASE64URL_NOPAD.decode(part.as_bytes()).expect("base64url");
    serde_json::from_slice(&octets).expect("JSON")
}

/// `https://host:port` of the server.
pub(super) fn base(scene: &Scene) -> &str {
    scene.server.directory.split("/acme/").next().expect("a URL")
}
