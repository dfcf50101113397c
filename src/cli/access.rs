//! `access`: who may what, and by what.

use std::process::ExitCode;

use serde_json::Value;

use super::client::Client;
use super::listing::escape;
use super::{Failure, output};
use crate::access::schema;

/// What to ask about access.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show what you may
    Own {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say whether somebody may do something, and by which role, binding or policy; exits 1 if not
    Test {
        /// Who: token/NAME, person/NAME, group/NAME for somebody who is in it and has no role, or admin
        who: String,
        /// What, such as keyset.rotate
        action: String,
        /// To what, such as keyset/auth [default: to everything of its kind]
        resource: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List who may do something
    WhoCan {
        /// What, such as keyset.rotate
        action: String,
        /// To what, such as keyset/auth [default: to everything of its kind]
        resource: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the schema that policies are checked against, in Cedar's language; no server is asked
    Schema,
}

/// Runs `access`.
pub(super) fn run(command: &Command, client: &Client) -> Result<ExitCode, Failure> {
    match command {
        Command::Own { json } => {
            let answer = client.read("/access/own")?;
            if *json { output::json(&answer)? } else { output::fields(&answer["actions"])? }
        }
        Command::Test { who, action, resource, json } => {
            let query = question(action, resource.as_deref());
            let path = format!("/access/decision?as={}&{query}", escape(who));
            let answer = client.read(&path)?;
            if *json {
                output::json(&answer)?;
            } else {
                output::line(told(&answer))?;
            }
            if answer["permitted"] != true {
                return Ok(ExitCode::from(1));
            }
        }
        Command::WhoCan { action, resource, json } => {
            let query = question(action, resource.as_deref());
            let answer = client.read(&format!("/access/who-can?{query}"))?;
            if *json {
                output::json(&answer)?;
            } else {
                let items = answer["items"].as_array().cloned().unwrap_or_default();
                output::table(&["who", "by", "approvals", "step_up"], &items)?;
                if answer["complete"] != true {
                    eprintln!(
                        "there are too many tokens or people to look at all; ask about one with access test"
                    );
                }
            }
        }
        Command::Schema => output::raw(schema().as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn question(action: &str, resource: Option<&str>) -> String {
    let on = resource.map(|resource| format!("&on={}", escape(resource))).unwrap_or_default();
    format!("action={}{on}", escape(action))
}

/// A decision in a line.
fn told(answer: &Value) -> String {
    let by: Vec<_> =
        answer["by"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let by = if by.is_empty() { "no rule for it".to_owned() } else { by.join(", ") };
    let permitted = answer["permitted"] == true;
    let mut line = match (permitted, answer["on"].is_null()) {
        (true, false) => format!("permitted: {by}"),
        (true, true) => "permitted for everything of its kind".to_owned(),
        (false, false) => format!("denied: {by}"),
        (false, true) => {
            "denied for everything as a whole; name one thing to ask about that".to_owned()
        }
    };
    match answer["approvals"].as_u64() {
        Some(1) => line.push_str("; another must agree"),
        Some(most) if most > 1 => line.push_str(&format!("; {most} others must agree")),
        _ => {}
    }
    if answer["step_up"] == true {
        line.push_str("; people confirm with a passkey");
    }
    line
}
