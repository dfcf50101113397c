//! `plan` and `apply`: what the files declare against what stands.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::client::Client;
use super::listing::SOMETHING_TO_DO;
use super::{Failure, keyset, output};

/// The files that declare.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// TOML files with [[authority]], [[profile]], [[directory]], [[certificate]], [[target]],
    /// [[issuer]] and [[keyset]] tables
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Delete what is declared and in none of the files; authorities only if they issued nothing
    #[arg(long)]
    prune: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The files that declare, and what was planned.
#[derive(Debug, clap::Args)]
pub(super) struct ApplyArguments {
    #[command(flatten)]
    of: Arguments,
    /// Do it only if it is still what this plan showed
    #[arg(long, value_name = "PLAN")]
    plan: Option<String>,
}

/// The files that declare, and how far ahead to look.
#[derive(Debug, clap::Args)]
pub(super) struct PlanArguments {
    #[command(flatten)]
    of: Arguments,
    /// How far ahead the calendar of managed certificates and keysets looks
    #[arg(long, default_value = "90d", value_name = "TIME")]
    horizon: String,
    /// Show which changes somebody could make: token/NAME, person/NAME or group/NAME
    #[arg(long = "as", value_name = "WHO")]
    who: Option<String>,
}

/// `plan`: shows the changes, and what would happen when; nothing happens.
pub(super) fn plan(plan: &PlanArguments, client: &Client) -> Result<ExitCode, Failure> {
    let arguments = &plan.of;
    let mut wanted = declared(arguments)?;
    wanted["horizon"] = plan.horizon.as_str().into();
    if let Some(who) = &plan.who {
        wanted["as"] = who.as_str().into();
    }
    let changes = client.send("/plan", &wanted)?;
    show(arguments, &changes)?;
    if let (Some(who), false) = (&plan.who, arguments.json) {
        let decisions = changes["decisions"].as_array().cloned().unwrap_or_default();
        output::line(format_args!("\nof these, {who} may:"))?;
        output::table(&["kind", "name", "permitted", "why"], &decisions)?;
    }
    let calendar = changes["calendar"].as_array().cloned().unwrap_or_default();
    if !arguments.json && !calendar.is_empty() {
        output::line("")?;
        output::table(&["at", "certificate", "what", "targets", "forced"], &calendar)?;
    }
    if !arguments.json {
        keyset::outlooks(&changes)?;
    }
    let any = changes["changes"].as_array().is_some_and(|changes| !changes.is_empty());
    if let Some(known_by) = changes["plan"].as_str().filter(|_| any && !arguments.json) {
        eprintln!("to do this and nothing else: perennial apply --plan {known_by}");
    }
    Ok(if any { ExitCode::from(SOMETHING_TO_DO) } else { ExitCode::SUCCESS })
}

/// `apply`: makes the changes, all or none.
pub(super) fn apply(apply: &ApplyArguments, client: &Client) -> Result<ExitCode, Failure> {
    let arguments = &apply.of;
    let mut wanted = declared(arguments)?;
    wanted["plan"] = apply.plan.as_deref().into();
    let changes = client.send("/apply", &wanted)?;
    show(arguments, &changes)?;
    Ok(ExitCode::SUCCESS)
}

fn declared(arguments: &Arguments) -> Result<Value, Failure> {
    let mut files = Vec::new();
    for path in &arguments.files {
        let fault = |e: std::io::Error| Failure::new(format!("{}: {e}", path.display()));
        let text = fs::read_to_string(path).map_err(fault)?;
        files.push(json!({ "name": path.display().to_string(), "text": text }));
    }
    Ok(json!({ "files": files, "prune": arguments.prune }))
}

fn show(arguments: &Arguments, answer: &Value) -> Result<(), Failure> {
    if arguments.json {
        return output::json(answer);
    }
    let changes = answer["changes"].as_array().cloned().unwrap_or_default();
    if changes.is_empty() {
        return output::line("nothing to change");
    }
    output::table(&["change", "kind", "name", "why"], &changes)
}
