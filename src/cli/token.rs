//! `token`: API tokens, for who pulls certificates over HTTPS.

use std::process::ExitCode;

use serde_json::json;

use super::client::Client;
use super::listing::escape;
use super::{Failure, output};

/// What to do with API tokens.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a token; it is shown this once and never again
    #[command(group(clap::ArgGroup::new("scope").required(true).multiple(true)))]
    Create {
        /// What the audit log will call who uses it, such as the name of a machine
        name: String,
        /// A managed certificate it may pull, with its private key: shop, or edge-* for all that begin so
        #[arg(long, value_name = "NAME", group = "scope")]
        certificate: Vec<String>,
        /// A keyset it is good for: auth, or auth-*
        #[arg(long, value_name = "NAME", group = "scope")]
        keyset: Vec<String>,
        /// A role that it has at the API: viewer, auditor, approver, issuer, rotator, operator or admin
        #[arg(long, value_name = "ROLE", group = "scope")]
        role: Vec<String>,
        /// A group that it is in, to which bindings give roles for some things
        #[arg(long, value_name = "NAME", group = "scope")]
        group: Vec<String>,
        /// How long it is good, from now, such as 90d [default: until it is revoked]
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the tokens, what each is for and when it was last used
    List {
        /// How many at the most, up to 1000
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// The next page: what follows the one with this id
        #[arg(long, value_name = "ID")]
        after: Option<i64>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token: it is good for nothing any more, from now on
    Revoke {
        /// The token's name
        name: String,
    },
}

/// Runs `token`.
pub(super) fn run(command: &Command, client: &Client) -> Result<ExitCode, Failure> {
    match command {
        Command::Create { name, certificate, keyset, role, group, expires, json } => {
            let certificates = certificate.iter().map(|name| format!("certificate/{name}"));
            let keysets = keyset.iter().map(|name| format!("keyset/{name}"));
            let roles = role.iter().map(|name| format!("role/{name}"));
            let groups = group.iter().map(|name| format!("group/{name}"));
            let scope: Vec<_> = certificates.chain(keysets).chain(roles).chain(groups).collect();
            let body = json!({ "name": name, "scope": scope, "expires": expires });
            let made = client.send("/tokens", &body)?;
            if *json {
                output::json(&made)?;
            } else {
                output::fields(&made)?;
            }
        }
        Command::List { limit, after, json } => {
            let after = after.unwrap_or(0);
            let answer = client.read(&format!("/tokens?limit={limit}&after={after}"))?;
            if *json {
                output::json(&answer)?;
            } else {
                let items = answer["items"].as_array().cloned().unwrap_or_default();
                output::table(&COLUMNS, &items)?;
                if let Some(next) = answer["next"].as_i64() {
                    eprintln!("there may be more: --after {next}");
                }
            }
        }
        Command::Revoke { name } => {
            client.send(&format!("/tokens/{}/revoke", escape(name)), &json!({}))?;
            output::line(format_args!("token {name} is revoked"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

const COLUMNS: [&str; 5] = ["name", "status", "scope", "expires_at", "used_at"];
