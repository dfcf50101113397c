//! `approval`: requests that somebody must agree to, and what a command brings towards that.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::client::Client;
use super::{Failure, output};

/// What a command brings where somebody must agree to it.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Consent {
    /// The request for approval that was agreed to, where what is asked for needs that
    #[arg(long, global = true, value_name = "ID", conflicts_with = "break_glass")]
    approval: Option<i64>,
    /// Why it is to be done, for whoever is to agree to it
    #[arg(long, global = true, value_name = "TEXT")]
    because: Option<String>,
    /// Do it without the approval it needs, and say why nobody can be asked: everybody is told; only on the machine itself
    #[arg(long, global = true, value_name = "TEXT")]
    break_glass: Option<String>,
}

impl Consent {
    /// The headers that say so.
    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        let approval = self.approval.map(|id| ("approval", id.to_string()));
        let reason = self.because.clone().map(|text| ("reason", text));
        let glass = self.break_glass.clone().map(|text| ("break-glass", text));
        approval.into_iter().chain(reason).chain(glass).collect()
    }
}

/// What to do with requests for approval.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the requests, and how each stands
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
    /// Show a request in full: who asks for what, why, and who agreed
    Show {
        /// Its id
        id: i64,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Agree to a request of somebody else; once enough have, it can be done once
    Approve {
        /// Its id
        id: i64,
        /// What is said with it
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// Do not agree to a request, which ends it
    Deny {
        /// Its id
        id: i64,
        /// What is said with it
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// Take a request of your own back
    Withdraw {
        /// Its id
        id: i64,
    },
}

/// Runs `approval`.
pub(super) fn run(command: &Command, client: &Client) -> Result<ExitCode, Failure> {
    match command {
        Command::List { limit, after, json } => {
            let after = after.unwrap_or(0);
            let answer = client.read(&format!("/approvals?limit={limit}&after={after}"))?;
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
        Command::Show { id, json } => {
            let answer = client.read(&format!("/approvals/{id}"))?;
            if *json { output::json(&answer)? } else { output::fields(&answer)? }
        }
        Command::Approve { id, comment } => {
            said(client, *id, "approve", json!({ "comment": comment }))?;
        }
        Command::Deny { id, comment } => said(client, *id, "deny", json!({ "comment": comment }))?,
        Command::Withdraw { id } => said(client, *id, "withdraw", json!({}))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn said(client: &Client, id: i64, verb: &str, body: Value) -> Result<(), Failure> {
    let answer = client.send(&format!("/approvals/{id}/{verb}"), &body)?;
    let status = answer["status"].as_str().unwrap_or_default();
    output::line(format_args!("request {id} is {status}"))
}

const COLUMNS: [&str; 7] =
    ["id", "status", "asked_by", "actions", "subjects", "needed", "expires_at"];
