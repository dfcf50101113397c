//! `issue`: a certificate for a CSR, or for a key made here that no server ever sees.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ca::{KeyAlgorithm, MemorySigner};
use serde_json::json;

use super::client::Client;
use super::{Failure, output};

/// What to issue, and where to put it.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// DNS names and IP addresses to certify; with --csr, the CSR names them
    #[arg(required_unless_present = "csr", conflicts_with = "csr", value_name = "NAME")]
    names: Vec<String>,
    /// A certificate request (PKCS#10), PEM or DER; - reads it from standard input
    #[arg(long, value_name = "FILE")]
    csr: Option<PathBuf>,
    /// The kind of key to make: p256, p384, ed25519, rsa2048, rsa3072, rsa4096
    #[arg(long, default_value = "p256", value_name = "KIND", conflicts_with = "csr")]
    key: KeyAlgorithm,
    /// The authority that signs
    #[arg(long, default_value = "internal", value_name = "NAME")]
    authority: String,
    /// The profile that decides lifetime and usages
    #[arg(long, default_value = "default", value_name = "NAME")]
    profile: String,
    /// Where to write the chain, leaf first [default: NAME.pem; with --csr, standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where to write the key, readable by its owner only [default: NAME.key]
    #[arg(long, value_name = "FILE", conflicts_with = "csr")]
    key_out: Option<PathBuf>,
    /// Print what was issued as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `issue`.
pub(super) fn run(arguments: &Arguments, client: &Client) -> Result<ExitCode, Failure> {
    match &arguments.csr {
        Some(path) => {
            let csr = read_csr(path)?;
            let issued = request(arguments, client, &csr)?;
            match &arguments.out {
                Some(out) => fs::write(out, pem(&issued)?).map_err(|e| cannot_write(out, &e))?,
                None if !arguments.json => output::raw(pem(&issued)?.as_bytes())?,
                None => {}
            }
            report(arguments, &issued, arguments.out.as_deref(), None)
        }
        None => {
            let stem = arguments.names[0].replace('*', "_").replace(':', "-");
            let file = |given: &Option<PathBuf>, ending: &str| {
                given.clone().unwrap_or_else(|| PathBuf::from(format!("{stem}.{ending}")))
            };
            let (out, key_out) = (file(&arguments.out, "pem"), file(&arguments.key_out, "key"));
            let signer = MemorySigner::generate(arguments.key)?;
            // The key is on disk before the certificate exists: a certificate without its key
            // would have to be revoked.
            write_key(&key_out, &signer)?;
            let csr = ca::application::request(&signer, &identifiers(&arguments.names)?)?;
            let issued = request(arguments, client, &csr).inspect_err(|_| {
                // Without a certificate nobody needs the key, and the next try makes another.
                let _ = fs::remove_file(&key_out);
            })?;
            fs::write(&out, pem(&issued)?).map_err(|e| cannot_write(&out, &e))?;
            report(arguments, &issued, Some(&out), Some(&key_out))
        }
    }
}

fn identifiers(names: &[String]) -> Result<Vec<ca::Identifier>, Failure> {
    names.iter().map(|name| ca::Identifier::parse(name).map_err(Failure::from)).collect()
}

fn request(
    arguments: &Arguments,
    client: &Client,
    csr: &[u8],
) -> Result<serde_json::Value, Failure> {
    let body = json!({
        "authority": arguments.authority,
        "profile": arguments.profile,
        "csr": data_encoding::BASE64URL_NOPAD.encode(csr),
    });
    client.send("/certificates", &body)
}

fn pem(issued: &serde_json::Value) -> Result<&str, Failure> {
    issued["pem"].as_str().ok_or_else(|| Failure::new("the server sent no certificate"))
}

fn report(
    arguments: &Arguments,
    issued: &serde_json::Value,
    out: Option<&Path>,
    key_out: Option<&Path>,
) -> Result<ExitCode, Failure> {
    if arguments.json {
        output::json(issued)?;
    } else if let Some(out) = out {
        let key = key_out.map(|k| format!(", its key is in {}", k.display())).unwrap_or_default();
        let (serial, end) = (&issued["serial"], &issued["not_after"]);
        output::line(format_args!(
            "certificate {} is in {}{key}; it is valid until {}",
            serial.as_str().unwrap_or("?"),
            out.display(),
            end.as_str().unwrap_or("?")
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a CSR, PEM or DER, as DER.
fn read_csr(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let cannot = |e: io::Error| Failure::new(format!("{}: {e}", path.display()));
    if path == Path::new("-") {
        io::stdin().take(MAX_CSR).read_to_end(&mut bytes).map_err(cannot)?;
    } else {
        let file = fs::File::open(path).map_err(cannot)?;
        file.take(MAX_CSR).read_to_end(&mut bytes).map_err(cannot)?;
    }
    ca::application::der_of_request(&bytes).map_err(Failure::from)
}

fn write_key(path: &Path, signer: &MemorySigner) -> Result<(), Failure> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|e| cannot_write(path, &e))?;
    let pem = ca::application::key_pem(signer)?;
    file.write_all(pem.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|e| cannot_write(path, &e))
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    let hint = if error.kind() == io::ErrorKind::AlreadyExists {
        "; choose another file, a key is never overwritten"
    } else {
        ""
    };
    Failure::new(format!("{}: {error}{hint}", path.display()))
}

const MAX_CSR: u64 = 64 * 1024;
