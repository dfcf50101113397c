//! `webhook`: tries one out.

use std::process::ExitCode;

use serde_json::json;

use super::client::Client;
use super::listing::escape;
use super::{Failure, output};

/// What to do with webhooks.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Post a message of type webhook.test to a webhook, now, and say whether it was taken
    Test {
        /// The webhook's name
        name: String,
    },
}

/// Runs `webhook`.
pub(super) fn run(command: &Command, client: &Client) -> Result<ExitCode, Failure> {
    let Command::Test { name } = command;
    let sent = client.send(&format!("/webhooks/{}/test", escape(name)), &json!({}))?;
    let message = sent["message"].as_str().unwrap_or_default();
    output::line(format_args!("webhook {name} took message {message}"))?;
    Ok(ExitCode::SUCCESS)
}
