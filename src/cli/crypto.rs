//! `crypto`: which cryptography is in use; for people, and as a bill of materials for programs.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::client::Client;
use super::listing::SOMETHING_TO_DO;
use super::{Failure, output};

/// How `crypto` is asked.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print a bill of materials as CycloneDX 1.6 has it (CBOM): algorithms, and each certificate that
    /// was found
    #[arg(long, conflicts_with = "json")]
    cbom: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs `crypto`; exits 3 where something weak is in use.
pub(super) fn run(arguments: &Arguments, client: &Client) -> Result<ExitCode, Failure> {
    let answer = client.read("/crypto")?;
    let items = answer["items"].as_array().cloned().unwrap_or_default();
    if arguments.cbom {
        bill(&items, client)?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.json {
        output::json(&answer)?;
    } else {
        output::table(&["role", "algorithm", "count", "in_use", "strength"], &items)?;
    }
    let weak = |item: &Value| item["strength"] == "weak" && item["in_use"].as_i64() > Some(0);
    let weak = items.iter().any(weak);
    Ok(if weak { ExitCode::from(SOMETHING_TO_DO) } else { ExitCode::SUCCESS })
}

/// Prints the bill, certificate by certificate: there may be more than fit in memory at once.
fn bill(algorithms: &[Value], client: &Client) -> Result<(), Failure> {
    let now = jiff::Timestamp::now().to_string();
    let tool = json!([{ "type": "application", "name": "perennial",
        "version": env!("CARGO_PKG_VERSION") }]);
    let metadata = json!({ "timestamp": now, "tools": { "components": tool } });
    output::line(format_args!(
        "{{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.6\",\"version\":1,\n\
         \"metadata\":{metadata},\n\"components\":["
    ))?;
    let mut names: Vec<_> =
        algorithms.iter().filter_map(|item| item["algorithm"].as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut comma = "";
    for name in names {
        output::line(format_args!("{comma}{}", algorithm(name)))?;
        comma = ",";
    }
    each_certificate(client, |found| {
        output::line(format_args!("{comma}{}", certificate(found)))?;
        comma = ",";
        Ok(())
    })?;
    output::line("],\n\"dependencies\":[")?;
    let mut comma = "";
    each_certificate(client, |found| {
        output::line(format_args!("{comma}{}", dependency(found)))?;
        comma = ",";
        Ok(())
    })?;
    output::line("]}")
}

fn each_certificate(
    client: &Client,
    mut each: impl FnMut(&Value) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after = 0;
    loop {
        let page = client.read(&format!("/found?limit=1000&after={after}"))?;
        page["items"].as_array().into_iter().flatten().try_for_each(&mut each)?;
        match page["next"].as_i64() {
            Some(next) => after = next,
            None => return Ok(()),
        }
    }
}

fn algorithm(name: &str) -> Value {
    json!({
        "type": "cryptographic-asset",
        "bom-ref": format!("algorithm/{name}"),
        "name": name,
        "cryptoProperties": {
            "assetType": "algorithm",
            "algorithmProperties": {
                "primitive": "signature",
                "nistQuantumSecurityLevel": quantum_level(name),
            },
        },
    })
}

/// The security category of a parameter set (FIPS 204 §4, FIPS 205 §11); 0: none.
fn quantum_level(name: &str) -> u8 {
    match name.to_ascii_lowercase().replace('-', "").as_str() {
        "mldsa44" => 2,
        "mldsa65" => 3,
        "mldsa87" => 5,
        name if name.starts_with("slhdsa") && name.contains("128") => 1,
        name if name.starts_with("slhdsa") && name.contains("192") => 3,
        name if name.starts_with("slhdsa") => 5,
        _ => 0,
    }
}

fn certificate(found: &Value) -> Value {
    let mut component = json!({
        "type": "cryptographic-asset",
        "bom-ref": reference(found),
        "name": found["called"],
        "cryptoProperties": {
            "assetType": "certificate",
            "certificateProperties": {
                "subjectName": found["subject"],
                "issuerName": found["issuer"],
                "notValidBefore": found["not_before"],
                "notValidAfter": found["not_after"],
                "signatureAlgorithmRef": format!("algorithm/{}", text(&found["signature"])),
                "certificateFormat": "X.509",
            },
        },
    });
    if let Some(place) = found["place"].as_str() {
        component["evidence"] = json!({ "occurrences": [{ "location": place }] });
    }
    component
}

fn dependency(found: &Value) -> Value {
    let mut on =
        [&found["key"], &found["signature"]].map(|name| format!("algorithm/{}", text(name)));
    on.sort();
    let on: Vec<_> = if on[0] == on[1] { on[..1].to_vec() } else { on.to_vec() };
    json!({ "ref": reference(found), "dependsOn": on })
}

fn reference(found: &Value) -> String {
    format!("certificate/{}", text(&found["fingerprint_sha256"]))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
