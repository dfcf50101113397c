//! Keysets on the command line: one in full, its keys first and then who has fetched them.

use std::process::ExitCode;

use serde_json::Value;

use super::client::Client;
use super::listing::{Arguments, SOMETHING_TO_DO, escape};
use super::{Failure, output};

/// `get keyset NAME`: what is stored of it.
pub(super) fn get(name: &str, arguments: &Arguments, client: &Client) -> Result<(), Failure> {
    let shown = client.read(&format!("/keysets/{}", escape(name)))?;
    if arguments.json {
        return output::json(&shown);
    }
    show(&shown, false)
}

/// A keyset as it is stored; `after_emergency` says whether a key has been taken out, or what is said
/// of that is what would be.
pub(super) fn show(shown: &Value, after_emergency: bool) -> Result<(), Failure> {
    head(shown)?;
    let columns = [
        "kid",
        "algorithm",
        "phase",
        "announced_at",
        "ready_at",
        "signing_from",
        "rotate_at",
        "gone_at",
    ];
    part(shown, "keys", &columns)?;
    let exposure = shown["exposure"].as_array().filter(|left| !left.is_empty());
    if exposure.is_some() {
        output::line(match after_emergency {
            true => "\nwho has what was taken out",
            false => "\nif a key had to be taken out now",
        })?;
    }
    let mut lines = exposure.into_iter().flatten().filter_map(Value::as_str);
    lines.try_for_each(|line| output::line(format_args!("  {line}")))
}

/// `status keyset NAME`: its keys, when each goes on, and who has fetched them. Exits 3 if something
/// asks for attention.
pub(super) fn status(
    name: &str,
    arguments: &Arguments,
    client: &Client,
) -> Result<ExitCode, Failure> {
    let shown = client.read(&format!("/keysets/{}/status", escape(name)))?;
    if arguments.json {
        output::json(&shown)?;
    } else {
        in_full(&shown)?;
    }
    let attention = shown["attention"].as_array().is_some_and(|lines| !lines.is_empty());
    let well = !attention && shown["error"].is_null();
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(SOMETHING_TO_DO) })
}

/// What `plan` shows of keysets: the windows of those that change, and what happens when.
pub(super) fn outlooks(plan: &Value) -> Result<(), Failure> {
    let list = |name: &str| plan[name].as_array().cloned().unwrap_or_default();
    let changes = list("changes");
    for outlook in list("keysets") {
        let name = outlook["keyset"].as_str().unwrap_or("?");
        output::line(format_args!("\nkeyset {name}"))?;
        if changes.iter().any(|change| change["kind"] == "keyset" && change["name"] == name) {
            for field in ["lead_before", "lead", "retirement_before", "retirement"] {
                if let Some(sum) = outlook[field].as_str() {
                    output::line(format_args!("  {} {sum}", field.replace("_before", " was")))?;
                }
            }
        }
        let calendar = outlook["calendar"].as_array().cloned().unwrap_or_default();
        if !calendar.is_empty() {
            output::table(&["at", "what", "algorithm", "kid", "why"], &calendar)?;
        }
    }
    Ok(())
}

fn in_full(shown: &Value) -> Result<(), Failure> {
    let (name, status) = (shown["name"].as_str(), shown["status"].as_str());
    let why = shown["error"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
    output::line(format_args!("{} is {}{why}", name.unwrap_or("?"), status.unwrap_or("?")))?;
    for line in shown["attention"].as_array().into_iter().flatten() {
        output::line(format_args!("! {}", line.as_str().unwrap_or("?")))?;
    }
    output::line("")?;
    head(shown)?;
    let keys =
        ["kid", "algorithm", "phase", "announced_at", "signing_from", "next_at", "waits_for"];
    part(shown, "keys", &keys)?;
    let consumers =
        ["name", "required", "seen", "last_at", "count", "sequence", "address", "agent", "lacks"];
    part(shown, "consumers", &consumers)?;
    let others = ["known_by", "name", "seen", "last_at", "count", "sequence", "address", "agent"];
    part(shown, "others", &others)
}

fn head(shown: &Value) -> Result<(), Failure> {
    let mut head = shown.clone();
    if let Some(fields) = head.as_object_mut() {
        for part in ["keys", "consumers", "others", "attention", "exposed", "exposure"] {
            fields.remove(part);
        }
    }
    output::fields(&head)
}

/// A list of the keyset as a table of its own, if there is anything in it.
fn part(shown: &Value, name: &str, columns: &[&str]) -> Result<(), Failure> {
    let Some(rows) = shown[name].as_array().filter(|rows| !rows.is_empty()) else { return Ok(()) };
    output::line(format_args!("\n{name}"))?;
    output::table(columns, rows)
}
