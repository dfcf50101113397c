//! pkilint over everything that is issued in the run: certificates, chains and CRLs. It is a
//! Python package that `tests/run tools` puts into `target/venv`.

use std::path::{Path, PathBuf};

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

/// Its exit status counts the findings.
fn lint(linter: &str, arguments: &[&str], files: &[&Path]) {
    let linter = venv().join(linter);
    let (output, text) = run(program(&linter.to_string_lossy()).args(arguments).args(files));
    assert!(output.status.success(), "{text}");
}

fn venv() -> PathBuf {
    // cargo's directory for tests is `tmp` in the target directory.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target directory");
    target.join("venv/bin")
}
