//! `notify`: tries out who is told.

use std::process::ExitCode;

use serde_json::json;

use super::client::Client;
use super::listing::escape;
use super::{Failure, output};

/// What to do with who is told.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Send a webhook, a mailbox or a chat a test message, now, and say whether it was taken
    Test {
        /// Its name, as declared
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs `notify`.
pub(super) fn run(command: &Command, client: &Client) -> Result<ExitCode, Failure> {
    let Command::Test { name, json } = command;
    let sent = client.send(&format!("/receivers/{}/test", escape(name)), &json!({}))?;
    if *json {
        output::json(&sent)?;
    } else {
        let field = |name: &str| sent[name].as_str().unwrap_or_default();
        output::line(format_args!("{} {name} took message {}", field("kind"), field("message")))?;
    }
    Ok(ExitCode::SUCCESS)
}
