//! `revoke`: takes a certificate back before its time, or an account out of use.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ca::{Certificate, RevocationReason};
use serde_json::json;

use super::client::Client;
use super::listing::escape;
use super::{Failure, output};

/// What to revoke, and why.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A serial number, a file that holds the certificate as PEM, or account/ID: that account can
    /// do nothing any more, and its certificates stay
    #[arg(value_name = "SERIAL|FILE|account/ID")]
    what: String,
    /// Why, in the words of RFC 5280: unspecified, keyCompromise (the key is blocked, too),
    /// affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn
    #[arg(long, default_value = "unspecified")]
    reason: RevocationReason,
    /// Print what was revoked as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `revoke`.
pub(super) fn run(arguments: &Arguments, client: &Client) -> Result<ExitCode, Failure> {
    if let Some(id) = arguments.what.strip_prefix("account/") {
        return revoke_account(arguments, id, client);
    }
    let path = Path::new(&arguments.what);
    let serial = if path.is_file() { serial_in(path)? } else { arguments.what.clone() };
    let body = json!({ "reason": arguments.reason.to_string() });
    let revoked = client.send(&format!("/certificates/{}/revoke", escape(&serial)), &body)?;
    if arguments.json {
        output::json(&revoked)?;
    } else {
        output::line(format_args!(
            "certificate {serial} is revoked ({}); the next CRL lists it",
            arguments.reason
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn revoke_account(arguments: &Arguments, id: &str, client: &Client) -> Result<ExitCode, Failure> {
    let revoked = client.send(&format!("/accounts/{}/revoke", escape(id)), &json!({}))?;
    if arguments.json {
        output::json(&revoked)?;
    } else {
        output::line(format_args!("account {id} is revoked; revoke its certificates by serial"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn serial_in(path: &Path) -> Result<String, Failure> {
    let fault = |why: String| Failure::new(format!("{}: {why}", PathBuf::from(path).display()));
    let text = fs::read_to_string(path).map_err(|e| fault(e.to_string()))?;
    let chain = Certificate::from_pem(&text).map_err(|e| fault(e.to_string()))?;
    let leaf = chain.first().ok_or_else(|| fault("it holds no certificate".into()))?;
    Ok(leaf.serial().to_string())
}
