//! `eab`: keys for external account binding (RFC 8555 §7.3.4).

use std::process::ExitCode;

use serde_json::json;

use super::client::Client;
use super::listing::{Query, escape};
use super::{Failure, output};

/// What to do with external account keys.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a key; its HMAC key is shown this once and never again
    Create {
        /// The ACME directory it is for
        #[arg(long, default_value = "default")]
        directory: String,
        /// Names an account bound by it may certify: example.com, *.example.com, 10.0.0.0/8
        /// [default: whatever the directory permits]
        #[arg(long, value_name = "PATTERN")]
        permit: Vec<ca::NamePattern>,
        /// How long it may bind an account, from now, such as 7d [default: for ever]
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        /// Who or what it is for
        #[arg(long, default_value = "")]
        comment: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the keys and what they have bound, without the secrets
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
    /// Revoke a key: it binds no account any more, and vouches for no name
    Revoke {
        /// The key's id
        kid: String,
    },
}

/// Runs `eab`.
pub(super) fn run(command: &Command, client: &Client) -> Result<ExitCode, Failure> {
    match command {
        Command::Create { directory, permit, expires, comment, json } => {
            let body = json!({
                "directory": directory,
                "permitted": permit,
                "expires": expires,
                "comment": comment,
            });
            let made = client.send("/external-keys", &body)?;
            if *json {
                output::json(&made)?;
            } else {
                output::fields(&made)?;
            }
        }
        Command::List { limit, after, json } => {
            let mut query = Query::new("/external-keys");
            query.add("limit", Some(limit));
            query.add("after", *after);
            let answer = client.read(&query.0)?;
            let columns = ["kid", "directory", "permitted", "status", "account", "comment"];
            output::page(&columns, &answer, *json)?;
        }
        Command::Revoke { kid } => {
            client.send(&format!("/external-keys/{}/revoke", escape(kid)), &json!({}))?;
            output::line(format_args!("external account key {kid} is revoked"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
