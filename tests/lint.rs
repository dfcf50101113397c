//! pkilint over everything that is issued in the run: certificates, chains and CRLs. It is a
//! Python package that `tests/run tools` puts into `target/venv`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{program, run};

/// Lints one certificate against RFC 5280.
pub(crate) fn certificate(pem: &Path) {
    lint("lint_pkix_cert", &["lint", "--severity", "WARNING"], &[pem]);
}

/// Lints that `subject` follows from `issuer`: names, key identifiers, validity.
pub(crate) fn pair(issuer: &Path, subject: &Path) {
    let arguments = ["lint", "--severity", "WARNING"];
    lint("lint_pkix_signer_signee_cert_chain", &arguments, &[issuer, subject]);
}

/// Lints one CRL against RFC 5280.
pub(crate) fn crl(der: &Path) {
    let arguments = ["lint", "--type", "CRL", "--profile", "PKIX", "--severity", "WARNING"];
    lint("lint_crl", &arguments, &[der]);
}

/// Demands that it finds nothing but what it takes for no DNS names: wildcards, which RFC 5280
/// §4.2.1.6 leaves to RFC 9525 §6.3, and hosts without a domain, which RFC 1034 §3.5 allows.
fn lint(linter: &str, arguments: &[&str], files: &[&Path]) {
    let linter = venv().join(linter);
    let mut command = program(&linter.to_string_lossy());
    let (output, text) = run(command.args(arguments).args(["--format", "JSON"]).args(files));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{text}"));
    let results = report["results"].as_array().unwrap_or_else(|| panic!("{text}"));
    let found = results.iter().map(|one| one["finding_descriptions"].as_array());
    let found: Vec<_> = found.flat_map(|found| found.unwrap_or_else(|| panic!("{text}"))).collect();
    // Its exit status counts the findings.
    assert_eq!(output.status.code(), i32::try_from(found.len()).ok(), "{text}");
    assert!(found.into_iter().all(is_taste), "{text}");
}

fn is_taste(finding: &Value) -> bool {
    let message = finding["message"].as_str().unwrap_or_default();
    let name = message.strip_prefix("Invalid domain name syntax: \"").unwrap_or_default();
    let name = name.strip_suffix('"').unwrap_or_default();
    let labels: Vec<_> = name.strip_prefix("*.").unwrap_or(name).split('.').collect();
    let plain = |label: &&str| label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    finding["code"] == "pkix.invalid_domain_name_syntax"
        && (labels.len() == 1 || name.starts_with("*."))
        && labels.iter().all(|label| !label.is_empty() && plain(label))
}

fn venv() -> PathBuf {
    // cargo's directory for tests is `tmp` in the target directory.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target directory");
    target.join("venv/bin")
}
