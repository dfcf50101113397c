//! The alert rules, judged by promtool: each fires when it should, and is quiet in what is nearest to that.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{program, succeed};

#[test]
fn every_alert_fires_when_it_should_and_not_otherwise() {
    let here = directory();
    let mut promtool = program("promtool");
    succeed(promtool.current_dir(&here).args(["check", "rules", "rules.yml"]));
    // Its own limit of two minutes is not much on a machine that is busy.
    let mut promtool = std::process::Command::new("timeout");
    promtool.current_dir(&here).args(["580", "promtool", "test", "rules"]).args(TESTS);
    succeed(&mut promtool);
}

#[test]
fn every_alert_is_tested_both_ways() {
    let tests = TESTS.map(|file| fs::read_to_string(directory().join(file)).expect("tests"));
    let cases = tests.join("\n");
    for alert in alerts() {
        for how in ["fires", "is quiet"] {
            assert!(
                cases.contains(&format!("  - name: {} {how}\n", alert.name)),
                "{alert:?} {how}"
            );
        }
    }
}

#[test]
fn every_alert_is_a_page_or_a_ticket() {
    let severities = alerts().into_iter().map(|alert| alert.severity).collect::<Vec<_>>();
    assert!(severities.len() >= 25, "all were read");
    assert!(severities.iter().all(|severity| matches!(severity.as_str(), "page" | "ticket")));
}

/// An alert, as far as others care.
#[derive(Debug)]
pub(super) struct Alert {
    pub(super) name: String,
    pub(super) severity: String,
    pub(super) runbook: PathBuf,
}

/// All alerts of the rules.
pub(super) fn alerts() -> Vec<Alert> {
    let text = rules();
    let blocks = text.split("      - alert: ").skip(1);
    let field = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.trim().strip_prefix(key));
        line.unwrap_or_else(|| panic!("no {key} in {block}")).trim().to_owned()
    };
    let alert = |block: &str| Alert {
        name: block.lines().next().expect("a name").to_owned(),
        severity: field(block, "severity:"),
        runbook: Path::new(env!("CARGO_MANIFEST_DIR")).join(field(block, "runbook_url:")),
    };
    blocks.map(alert).collect()
}

/// The rules, as they are given out.
pub(super) fn rules() -> String {
    fs::read_to_string(directory().join("rules.yml")).expect("the rules")
}

pub(super) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus")
}

const TESTS: [&str; 2] = ["rules_test.yml", "rules_days_test.yml"];
