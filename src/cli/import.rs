//! `import`: a certificate that was found, as a declaration that takes it into management.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::client::Client;
use super::listing::escape;
use super::{Failure, output};

/// How `import` is asked.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The certificate, as `get found` calls it: its id, or its SHA-256
    found: String,
    /// What it is to be called [default: its first name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where it is to come from: issuers or authorities, in order
    #[arg(long = "issuer", value_name = "NAME", default_value = "internal")]
    issuers: Vec<String>,
    /// Declare it at once: a version is obtained, brought to its targets and proven
    #[arg(long)]
    apply: bool,
}

/// Runs `import`.
pub(super) fn run(arguments: &Arguments, client: &Client) -> Result<ExitCode, Failure> {
    let found = client.read(&format!("/found/{}", escape(&arguments.found)))?;
    let text = declaration(arguments, &found)?;
    if !arguments.apply {
        output::raw(text.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let files = json!({ "files": [{ "name": "import", "text": text }] });
    let answer = client.send("/apply", &files)?;
    let changes = answer["changes"].as_array().cloned().unwrap_or_default();
    output::table(&["change", "kind", "name", "why"], &changes)?;
    Ok(ExitCode::SUCCESS)
}

fn declaration(arguments: &Arguments, found: &Value) -> Result<String, Failure> {
    let names: Vec<_> = strings(&found["names"]).filter(|name| !name.contains("://")).collect();
    if names.is_empty() || found["is_ca"] == true {
        return Err(Failure::new("it is no certificate of a server: it names none"));
    }
    let name = arguments.name.clone().unwrap_or_else(|| plain(names[0]));
    let (mut targets, mut elsewhere) = (Vec::new(), Vec::new());
    for place in found["sightings"].as_array().into_iter().flatten() {
        match target(&name, place) {
            Some(target) => targets.push(target),
            None => elsewhere.push(&place["place"]),
        }
    }
    let targets = tables(targets);
    let key = match found["key"].as_str().unwrap_or_default() {
        key @ ("p256" | "p384" | "ed25519" | "rsa2048" | "rsa3072" | "rsa4096") => key,
        // What cannot be made here is replaced by what can.
        _ => "p256",
    };
    let mut text = format!(
        "[[certificate]]\nname = {}\nnames = {}\nissuers = {}\nkey = {}\n",
        quoted(&name),
        listed(&names),
        listed(&arguments.issuers),
        quoted(key),
    );
    if let Some(owner) = found["owner"].as_str() {
        text += &format!("owner = {}\n", quoted(owner));
    }
    if !targets.is_empty() {
        let called: Vec<_> = targets.iter().map(|(called, _)| called).collect();
        text += &format!("targets = {}\n", listed(&called));
    }
    for place in elsewhere {
        text += &format!("# It stands at {place} too: declare a target for that.\n");
    }
    Ok(targets.into_iter().fold(text, |text, (called, table)| {
        format!("{text}\n[[target]]\nname = {}\n{table}", quoted(&called))
    }))
}

/// What is known of a target from where a certificate stands: files, and Secrets.
fn target(name: &str, place: &Value) -> Option<(String, String)> {
    let place = place["place"].as_str()?;
    if let Some(rest) = place.strip_prefix("secret://") {
        let mut parts = rest.splitn(3, '/');
        let (context, namespace, secret) = (parts.next()?, parts.next()?, parts.next()?);
        let (namespace, secret) = (quoted(namespace), quoted(secret));
        // Without a context it is the pod's own cluster, or the current one of a kubeconfig.
        let context = match context {
            "cluster" => String::new(),
            context => {
                format!("kubeconfig = \"/...\" # with its context\ncontext = {}\n", quoted(context))
            }
        };
        let table =
            format!("kind = \"kubernetes\"\n{context}namespace = {namespace}\nsecret = {secret}\n");
        return Some((format!("{name}-secret"), table));
    }
    let (host, path) = place.strip_prefix("file://")?.split_once('/')?;
    // What stands on another machine cannot be written from here.
    if host != rustix::system::uname().nodename().to_string_lossy() {
        return None;
    }
    let path = format!("/{path}");
    let path = path.split('#').next().unwrap_or(&path);
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    // Where the key is cannot be seen from here.
    let table = format!(
        "kind = \"files\"\npath = {}\nkey_path = {} # the file its server reads the key from\n\
         # reload = [\"systemctl\", \"reload\", \"...\"]\n# probe = [\"...:443\"]\n",
        quoted(path),
        quoted(&format!("{directory}/{name}.key")),
    );
    Some((format!("{name}-files"), table))
}

/// Targets with a name of their own each.
fn tables(targets: Vec<(String, String)>) -> Vec<(String, String)> {
    let numbered = targets.into_iter().enumerate().map(|(number, (name, table))| match number {
        0 => (name, table),
        number => (format!("{name}-{}", number + 1), table),
    });
    numbered.collect()
}

/// A name that declarations can have.
fn plain(name: &str) -> String {
    let name = name.trim_start_matches("*.").to_ascii_lowercase();
    let fit = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    // What stands behind it makes names of targets.
    name.chars().map(fit).take(50).collect()
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// A text as TOML has it: a basic string is written as in JSON.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn listed<S: AsRef<str>>(texts: &[S]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| quoted(text.as_ref())).collect();
    format!("[{}]", texts.join(", "))
}
