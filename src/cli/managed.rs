//! Managed certificates on the command line: how they are, renewing and rolling back by hand.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::Client;
use super::listing::{Arguments, Query, SOMETHING_TO_DO, escape};
use super::{Failure, keyset, output};

/// How `renew` is asked.
#[derive(Debug, clap::Args)]
pub(super) struct RenewArguments {
    /// The managed certificate
    name: String,
    /// Its key is not to be trusted any more: a new key, no maintenance windows, and the old
    /// version is revoked as soon as no target serves it
    #[arg(long)]
    emergency: bool,
    /// Why, for the revocation: key-compromise, superseded, cessation-of-operation, ...
    #[arg(long, requires = "emergency", value_name = "REASON")]
    reason: Option<String>,
    #[command(flatten)]
    following: Following,
}

/// How `rollback` is asked.
#[derive(Debug, clap::Args)]
pub(super) struct RollBackArguments {
    /// The managed certificate
    name: String,
    /// The version to go back to [default: the last one served before]
    #[arg(long, value_name = "VERSION")]
    to: Option<u32>,
    #[command(flatten)]
    following: Following,
}

/// What `rotate` is to rotate.
#[derive(Debug, clap::Args)]
pub(super) struct RotateArguments {
    /// The keyset or issuer
    name: String,
    /// Of a keyset: take what signs out at once, and sign with a key that nobody has seen
    #[arg(long)]
    emergency: bool,
    /// The key that must not be trusted any more [default: every one that signs]
    #[arg(long, value_name = "KID", requires = "emergency")]
    compromised: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Following {
    /// Return at once, with the id of the rotation
    #[arg(long)]
    no_wait: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `renew`: a new version, now.
pub(super) fn renew(arguments: &RenewArguments, client: &Client) -> Result<ExitCode, Failure> {
    let path = format!("/managed/{}/renew", escape(&arguments.name));
    // As RFC 5280 spells the reasons, or as command lines do.
    let reason = arguments.reason.as_deref().map(camel);
    let wanted = json!({ "emergency": arguments.emergency, "reason": reason });
    follow(&client.send(&path, &wanted)?, &arguments.following, client)
}

/// `rotate`: a new key for a keyset, or for our account at an issuer.
pub(super) fn rotate(arguments: &RotateArguments, client: &Client) -> Result<ExitCode, Failure> {
    let name = escape(&arguments.name);
    if client.read(&format!("/keysets/{name}")).is_ok() {
        let wanted = json!({
            "emergency": arguments.emergency,
            "compromised": arguments.compromised,
        });
        let shown = client.send(&format!("/keysets/{name}/rotate"), &wanted)?;
        match arguments.json {
            true => output::json(&shown)?,
            false => keyset::show(&shown, arguments.emergency)?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.emergency {
        return Err(Failure::new(format!("there is no keyset {:?}", arguments.name)));
    }
    let path = format!("/issuers/{name}/roll-key");
    let shown = client.send(&path, &Value::Null)?;
    if arguments.json {
        output::json(&shown)?;
    } else {
        output::line(format_args!("the account at {} has a new key", arguments.name))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `rollback`: an earlier version, now.
pub(super) fn roll_back(
    arguments: &RollBackArguments,
    client: &Client,
) -> Result<ExitCode, Failure> {
    let name = escape(&arguments.name);
    if arguments.to.is_none() && client.read(&format!("/keysets/{name}")).is_ok() {
        let shown = client.send(&format!("/keysets/{name}/rollback"), &Value::Null)?;
        return keyset::show(&shown, false).map(|()| ExitCode::SUCCESS);
    }
    let path = format!("/managed/{name}/rollback");
    follow(&client.send(&path, &json!({ "to": arguments.to }))?, &arguments.following, client)
}

/// `status certificate`: all of them, or one with its versions, targets and rotations. Exits 3 if
/// something asks for attention.
pub(super) fn status(arguments: &Arguments, client: &Client) -> Result<ExitCode, Failure> {
    let Some(name) = &arguments.name else { return list(arguments, client) };
    let shown = client.read(&format!("/managed/{}", escape(name)))?;
    if arguments.pem {
        let pem = shown["pem"].as_str().ok_or_else(|| Failure::new("it has no version yet"))?;
        output::raw(pem.as_bytes())?;
    } else if arguments.json {
        output::json(&shown)?;
    } else {
        in_full(&shown)?;
    }
    Ok(verdict(std::slice::from_ref(&shown)))
}

fn list(arguments: &Arguments, client: &Client) -> Result<ExitCode, Failure> {
    let mut query = Query::new("/managed");
    query.add("limit", Some(arguments.limit));
    query.add("after", arguments.after);
    let answer = client.read(&query.0)?;
    let items = answer["items"].as_array().cloned().unwrap_or_default();
    if arguments.json {
        output::json(&answer)?;
    } else {
        output::table(&COLUMNS, &items)?;
        if let Some(next) = answer["next"].as_i64() {
            eprintln!("there are more: add --after {next}");
        }
    }
    Ok(verdict(&items))
}

fn verdict(items: &[Value]) -> ExitCode {
    let well =
        |item: &Value| matches!(item["status"].as_str(), Some("served" | "rotating" | "waiting"));
    if items.iter().all(well) { ExitCode::SUCCESS } else { ExitCode::from(SOMETHING_TO_DO) }
}

fn in_full(shown: &Value) -> Result<(), Failure> {
    // What counts comes first, in words.
    let (name, status) = (shown["name"].as_str(), shown["status"].as_str());
    let why = shown["error"].as_str().or(shown["because"].as_str());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    output::line(format_args!("{} is {}{why}\n", name.unwrap_or("?"), status.unwrap_or("?")))?;
    let mut head = shown.clone();
    if let Some(fields) = head.as_object_mut() {
        for part in ["versions", "placements", "rotations", "pem"] {
            fields.remove(part);
        }
    }
    output::fields(&head)?;
    let part = |name: &str| shown[name].as_array().cloned().unwrap_or_default();
    output::line("")?;
    let columns = ["version", "status", "issuer", "serial", "not_after", "proven_at"];
    output::table(&columns, &part("versions"))?;
    if !part("placements").is_empty() {
        output::line("")?;
        output::table(&["target", "serves", "changed_at", "error"], &part("placements"))?;
    }
    for rotation in part("rotations") {
        output::line(format_args!(
            "\nrotation {} {}: {}",
            rotation["id"],
            rotation["phase"].as_str().unwrap_or("?"),
            rotation["because"].as_str().unwrap_or("?"),
        ))?;
        if let Some(why) = rotation["pause"].as_str().or(rotation["error"].as_str()) {
            output::line(format_args!("  {why}"))?;
        }
        for event in rotation["timeline"].as_array().into_iter().flatten() {
            moment(event)?;
        }
    }
    Ok(())
}

/// Shows a rotation as it goes on, until it is proven, has failed or must wait.
fn follow(answer: &Value, how: &Following, client: &Client) -> Result<ExitCode, Failure> {
    let Some(id) = answer["rotation"].as_i64() else {
        eprintln!(
            "asked for; it begins when the step that is under way has ended: see perennial status \
             certificate"
        );
        return Ok(ExitCode::from(SOMETHING_TO_DO));
    };
    if how.no_wait {
        return match how.json {
            true => output::json(answer).map(|()| ExitCode::SUCCESS),
            false => output::line(format_args!("rotation {id}")).map(|()| ExitCode::SUCCESS),
        };
    }
    let mut seen = BTreeSet::new();
    loop {
        let rotation = client.read(&format!("/rotations/{id}"))?;
        if !how.json {
            for event in rotation["timeline"].as_array().into_iter().flatten() {
                if seen.insert(event["id"].as_i64()) {
                    moment(event)?;
                }
            }
        }
        let over = match rotation["phase"].as_str() {
            Some("proven" | "done") => Some(ExitCode::SUCCESS),
            Some("failed") => Some(ExitCode::from(1)),
            _ => None,
        };
        if let Some(code) = over {
            if how.json {
                output::json(&rotation)?;
            }
            return Ok(code);
        }
        if let Some(why) = rotation["pause"].as_str() {
            // It may be days: whoever asked is not kept.
            eprintln!("rotation {id} {why}; it goes on by itself");
            let failed = rotation["error"].is_string();
            return Ok(ExitCode::from(if failed { 1 } else { SOMETHING_TO_DO }));
        }
        sleep(POLL);
    }
}

/// One line of a timeline: when, what, and what an operator wants to know of it.
fn moment(event: &Value) -> Result<(), Failure> {
    let detail = &event["detail"];
    let mut told = Vec::new();
    for key in TOLD {
        let text = match &detail[key] {
            Value::Null => continue,
            Value::Array(list) if list.is_empty() => continue,
            Value::Object(fields) if fields.is_empty() => continue,
            // What is wrong with each target begins a line of its own.
            Value::Object(fields) => {
                let each = fields
                    .iter()
                    .map(|(name, why)| format!("\n      {name}: {}", why.as_str().unwrap_or("?")));
                each.collect::<String>()
            }
            Value::Array(list) => {
                list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
            }
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        told.push(format!("{}: {text}", key.replace('_', " ")));
    }
    if told.is_empty() {
        told.extend(event["subject"].as_str().map(str::to_owned));
    }
    let action = event["action"].as_str().unwrap_or("?");
    let at = event["at"].as_str().unwrap_or("?");
    output::line(format_args!("  {at}  {action:24} {}", told.join("; ")))
}

/// `key-compromise` as RFC 5280 §5.3.1 spells it: `keyCompromise`.
fn camel(reason: &str) -> String {
    let mut words = reason.split('-');
    let mut text = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        text.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        text.push_str(letters.as_str());
    }
    text
}

/// What a timeline tells of an event.
const TOLD: [&str; 14] = [
    "why",
    "version",
    "issuer",
    "order",
    "from",
    "to",
    "slot",
    "targets",
    "against_calendar",
    "proven",
    "failed",
    "said",
    "note",
    "retry_at",
];
const COLUMNS: [&str; 8] =
    ["name", "status", "version", "issuer", "not_after", "renews_at", "targets", "error"];
const POLL: Duration = Duration::from_millis(200);
