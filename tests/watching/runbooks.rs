//! The runbooks: one for each alert, whose commands are commands, since nobody wants to find out at night
//! that they are not.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::rules::alerts;
use crate::program::{program, run};

#[test]
fn every_alert_has_a_page_and_every_page_an_alert() {
    let index = fs::read_to_string(directory().join("README.md")).expect("the index");
    let mut known = BTreeSet::from([directory().join("README.md")]);
    for alert in alerts() {
        let page = fs::read_to_string(&alert.runbook);
        let page = page.unwrap_or_else(|e| panic!("{}: {e}", alert.runbook.display()));
        let mut lines = page.lines().filter(|line| line.starts_with('#'));
        for heading in [format!("# {}", alert.name).as_str()].iter().chain(&HEADINGS) {
            assert_eq!(lines.next(), Some(*heading), "{}", alert.name);
        }
        let row = format!("| [{0}]({0}.md) | {1} |", alert.name, alert.severity);
        assert!(index.contains(&row), "{row} is not in the index");
        known.insert(alert.runbook);
    }
    assert_eq!(pages(), known, "pages of alerts that are no more");
}

#[test]
fn every_command_of_a_runbook_is_one() {
    let mut seen = BTreeSet::new();
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for command in commands(&text) {
            let mut perennial = program(env!("CARGO_BIN_EXE_perennial"));
            perennial.args(command.split_whitespace().skip(1)).arg("--help");
            let (output, said) = run(&mut perennial);
            assert!(output.status.success(), "{}: {command}: {said}", page.display());
            seen.insert(command);
        }
    }
    assert!(seen.len() > 15, "they were found: {seen:?}");
}

/// What is to be typed: `perennial` and its arguments, alone on an indented line or between backticks.
fn commands(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("    "));
    let quoted = text.split('`').skip(1).step_by(2);
    let pieces = lines.chain(quoted).filter_map(|piece| piece.split(['|', '>']).next());
    pieces
        .map(str::trim)
        .filter(|piece| piece.starts_with("perennial "))
        .map(str::to_owned)
        .collect()
}

fn pages() -> BTreeSet<PathBuf> {
    let files = fs::read_dir(directory()).expect("the runbooks");
    files.map(|file| file.expect("a file").path()).collect()
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbooks")
}

const HEADINGS: [&str; 5] =
    ["## What it means", "## Impact", "## How to look", "## What to do", "## When it ends"];
