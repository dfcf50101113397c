//! `plan` and `apply`: what the files declare against what stands.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::client::Client;
use super::list::SOMETHING_TO_DO;
use super::{Failure, output};

/// The files that declare.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// TOML files with [[authority]], [[profile]] and [[directory]] tables
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Delete what is declared and in none of the files; authorities only if they issued nothing
    #[arg(long)]
    prune: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `plan`: shows the changes; nothing happens.
pub(super) fn plan(arguments: &Arguments, client: &Client) -> Result<ExitCode, Failure> {
    let changes = client.send("/plan", &declared(arguments)?)?;
    show(arguments, &changes)?;
    let any = changes["changes"].as_array().is_some_and(|changes| !changes.is_empty());
    Ok(if any { ExitCode::from(SOMETHING_TO_DO) } else { ExitCode::SUCCESS })
}

/// `apply`: makes the changes, all or none.
pub(super) fn apply(arguments: &Arguments, client: &Client) -> Result<ExitCode, Failure> {
    let changes = client.send("/apply", &declared(arguments)?)?;
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
