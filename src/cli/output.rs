//! What a command prints: tables for people, JSON for programs, and failures in a line or two.

use std::fmt;
use std::io::{self, Write};

use serde_json::Value;

/// Why a command failed: what happened, to what, and what to do about it.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    /// A failure that says `what`.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Prints `text` and a line feed.
pub(super) fn line(text: impl fmt::Display) -> Result<(), Failure> {
    written(writeln!(io::stdout(), "{text}"))
}

/// Prints `text` as it is.
pub(super) fn raw(text: &[u8]) -> Result<(), Failure> {
    written(io::stdout().write_all(text).and_then(|()| io::stdout().flush()))
}

/// A reader that has seen enough, such as `head`, is no failure.
fn written(outcome: io::Result<()>) -> Result<(), Failure> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.map_err(Failure::from),
    }
}

/// Prints `value` as indented JSON.
pub(super) fn json(value: &Value) -> Result<(), Failure> {
    line(format_args!("{value:#}"))
}

/// Prints `rows` under the names of `columns`, each as wide as its widest cell. A column whose
/// name ends in `_at`, `not_before` or `not_after` holds times and is shown as such.
pub(super) fn table(columns: &[&str], rows: &[Value]) -> Result<(), Failure> {
    let head = columns.iter().map(|c| c.replace('_', " ").to_uppercase()).collect::<Vec<_>>();
    let mut lines = vec![head];
    lines.extend(rows.iter().map(|row| columns.iter().map(|c| cell(&row[*c])).collect()));
    let width = |i: usize| lines.iter().map(|l: &Vec<String>| l[i].chars().count()).max();
    let widths: Vec<usize> = (0..columns.len()).map(|i| width(i).unwrap_or(0)).collect();
    let mut out = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    raw(out.as_bytes())
}

/// Prints a page of a list as the API answers it, and where the next one begins.
pub(super) fn page(columns: &[&str], answer: &Value, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return json(answer);
    }
    let items = answer["items"].as_array().cloned().unwrap_or_default();
    table(columns, &items)?;
    if let Some(next) = answer["next"].as_i64() {
        eprintln!("there are more: add --after {next}");
    }
    Ok(())
}

/// Prints one thing, a line per field.
pub(super) fn fields(value: &Value) -> Result<(), Failure> {
    let Value::Object(object) = value else { return json(value) };
    let width = object.keys().map(String::len).max().unwrap_or(0);
    let mut out = String::new();
    for (name, value) in object {
        let (name, text) = (name.replace('_', " "), cell(value));
        out += &if text.contains('\n') {
            format!("{name}:\n{}\n", text.trim_end())
        } else {
            format!("{name:width$}  {text}\n")
        };
    }
    raw(out.as_bytes())
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        // Much of it was written by strangers, and is to do nothing to the terminal.
        Value::String(text) => text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}"),
        Value::Array(items) if items.is_empty() => "-".into(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(object) if object.is_empty() => "-".into(),
        Value::Object(object) => {
            let pairs = object.iter().map(|(name, value)| format!("{name} {}", cell(value)));
            pairs.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}
