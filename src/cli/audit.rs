//! `audit`: the log, and what proves it. What is checked against a file that was kept elsewhere is checked
//! here and not by the server, which may be what is doubted.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use audit::{Checkpoint, Frontier, Hash, ProofText, Verifier, verify_consistency};
use serde_json::{Value, json};

use super::client::Client;
use super::listing::{Query, escape};
use super::{Failure, output};
use crate::http::report_of;
use crate::store;

/// What `audit` is asked for.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, clap::Args)]
struct List {
    /// Only what was done to this, such as order/12, account/7, authority/internal or
    /// certificate/03ab…
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// How many at the most, up to 1000: the latest, newest last
    #[arg(long, default_value_t = 100)]
    limit: u32,
    /// The page before: only what has a smaller id
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
    /// Print JSON, one event per line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check that no event was changed, removed, reordered or inserted; exits 1 and names the first that was
    Verify(Verify),
    /// Print the newest checkpoint: how large the log is and what its root is, signed
    Checkpoint {
        /// Sign what is new first
        #[arg(long)]
        now: bool,
    },
    /// Print the key that checkpoints are verified with: keep it elsewhere
    Key,
    /// Print the proof that an event is in the log of the newest checkpoint, for audit verify --proof
    Prove {
        /// The event's id
        id: i64,
    },
    /// Print the log, oldest first: the lines that are hashed, or what collectors take
    Export(Export),
    /// Show what is on record of one thing from its beginning to its end
    Lineage {
        /// What: certificate/SERIAL, managed/NAME, keyset/NAME, key/KID, or what else events are about
        #[arg(value_name = "KIND/NAME")]
        subject: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Verify {
    /// Check the store in this file, without a server
    #[arg(long, value_name = "FILE", conflicts_with_all = ["events", "proof"])]
    store: Option<PathBuf>,
    /// Check lines that audit export printed, from the first event on; needs --checkpoint and --key
    #[arg(long, value_name = "FILE", requires_all = ["checkpoint", "key"], conflicts_with = "proof")]
    events: Option<PathBuf>,
    /// Check what audit prove printed; needs --key
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with = "checkpoint")]
    proof: Option<PathBuf>,
    /// Check as well that the log goes on from this checkpoint, which was kept elsewhere
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// The key that audit key printed, or a file with it [default: what the log says of itself]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Export {
    /// Only what happened since: a time, or 30d for the last thirty days
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only what happened before: a time, or 30d for thirty days ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// In which form
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// Only events with a larger id, such as the last one of the export before
    #[arg(long, value_name = "ID", default_value_t = 0)]
    after: i64,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// The lines that are hashed
    Jsonl,
    /// Syslog messages (RFC 5424)
    Syslog,
    /// OCSF events, one JSON document a line
    Ocsf,
}

/// Runs `audit`.
pub(super) fn run(arguments: &Arguments, client: &Client) -> Result<ExitCode, Failure> {
    match &arguments.command {
        None => list(&arguments.list, client),
        Some(Command::Verify(wanted)) => return verify(wanted, client),
        Some(Command::Checkpoint { now }) => {
            let path = "/audit/checkpoints/newest";
            let row = if *now {
                client.send("/audit/checkpoint", &json!({}))?
            } else {
                client.read(path)?
            };
            output::raw(text(&row, "checkpoint")?.as_bytes())
        }
        Some(Command::Key) => output::line(text(&client.read("/audit/key")?, "key")?),
        Some(Command::Prove { id }) => output::json(&client.read(&format!("/audit/proofs/{id}"))?),
        Some(Command::Export(wanted)) => export(wanted, client),
        Some(Command::Lineage { subject, json }) => lineage(subject, *json, client),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// The log, oldest first.
fn list(arguments: &List, client: &Client) -> Result<(), Failure> {
    let mut query = Query::new("/events");
    query.add("limit", Some(arguments.limit));
    query.add("subject", arguments.subject.as_deref().map(escape));
    query.add("before", arguments.before);
    let answer = client.read(&query.0)?;
    let events = answer["items"].as_array().cloned().unwrap_or_default();
    if arguments.json {
        return events.iter().try_for_each(output::line);
    }
    output::table(&["id", "at", "actor", "action", "subject", "detail"], &events)
}

fn lineage(subject: &str, json: bool, client: &Client) -> Result<(), Failure> {
    let (kind, name) = subject.split_once('/').ok_or_else(|| {
        Failure::new(format!(
            "{subject}: write KIND/NAME, such as certificate/03ab… or managed/shop"
        ))
    })?;
    let told = client.read(&format!("/audit/lineage/{}/{}", escape(kind), escape(name)))?;
    if json {
        return output::json(&told);
    }
    let about = told["about"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let about = about.collect::<Vec<_>>().join(", ");
    let with = if about.is_empty() { String::new() } else { format!(", with {about}") };
    output::line(format_args!("{}{with}", text(&told, "subject")?))?;
    let events = told["items"].as_array().cloned().unwrap_or_default();
    output::table(&["id", "at", "actor", "action", "subject", "detail"], &events)?;
    if told["cut"] == true {
        output::line("there is more than is shown: perennial audit --subject has all of it")?;
    }
    Ok(())
}

fn export(wanted: &Export, client: &Client) -> Result<(), Failure> {
    let host = match wanted.format {
        Format::Jsonl => String::new(),
        // The log is called by where the node is reached.
        Format::Syslog | Format::Ocsf => host(&text(&client.read("/audit/key")?, "origin")?),
    };
    let mut after = wanted.after;
    loop {
        let mut query = Query::new("/audit/events");
        query.add("after", Some(after));
        query.add("since", wanted.since.as_deref().map(escape));
        query.add("until", wanted.until.as_deref().map(escape));
        let answer = client.read(&query.0)?;
        let mut page = String::new();
        for line in answer["items"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let shown = match wanted.format {
                Format::Jsonl => Some(line.to_owned()),
                Format::Syslog => audit::syslog(line, &host),
                Format::Ocsf => audit::ocsf(line, &host, env!("CARGO_PKG_VERSION"))
                    .map(|event| event.to_string()),
            };
            // A line that is none was put into the store by somebody, and is for verify to find.
            page.extend(shown.into_iter().chain(["\n".to_owned()]));
        }
        output::raw(page.as_bytes())?;
        match answer["next"].as_i64() {
            Some(next) => after = next,
            None => return Ok(()),
        }
    }
}

/// The host that a log is called by.
fn host(origin: &str) -> String {
    let place = origin.trim_end_matches("/audit");
    let host = place.rsplit_once(':').map_or(place, |(host, _)| host);
    host.to_owned()
}

fn verify(wanted: &Verify, client: &Client) -> Result<ExitCode, Failure> {
    if let Some(path) = &wanted.proof {
        return verify_proof(path, &given_key(wanted)?.ok_or_else(no_key)?);
    }
    if let (Some(events), Some(checkpoint)) = (&wanted.events, &wanted.checkpoint) {
        let key = given_key(wanted)?.ok_or_else(no_key)?;
        return verify_events(events, &opened(checkpoint, &key)?);
    }
    let (report, since) = match (&wanted.store, &wanted.checkpoint) {
        (Some(path), _) => (verify_store(path, wanted)?, Ok(())),
        (None, Some(path)) => (client.read("/audit/verify")?, verify_since(path, wanted, client)),
        (None, None) => {
            if let Some(key) = given_key(wanted)? {
                signed_by(&key, client)?;
            }
            (client.read("/audit/verify")?, Ok(()))
        }
    };
    if wanted.json {
        output::json(&report)?;
    } else {
        print(&report)?;
    }
    since?;
    Ok(if report["sound"] == true { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn verify_store(path: &Path, wanted: &Verify) -> Result<Value, Failure> {
    let key = given_key(wanted)?;
    let elsewhere = match (&wanted.checkpoint, &key) {
        (None, _) => None,
        (Some(_), None) => return Err(no_key()),
        (Some(path), Some(key)) => Some(opened(path, key)?),
    };
    let elsewhere = elsewhere.map(|checkpoint| (checkpoint.size, checkpoint.root));
    let checked = store::check_file(path, key, elsewhere)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    let (report, _) = checked.ok_or_else(|| {
        Failure::new(format!("{}: nothing in it was ever signed; give --key", path.display()))
    })?;
    Ok(report_of(&report))
}

/// Checks that the server's log goes on from a checkpoint that was kept elsewhere.
/// Whether the server's newest checkpoint is signed by whose signatures count for who asks.
fn signed_by(key: &Verifier, client: &Client) -> Result<(), Failure> {
    let note = text(&client.read("/audit/checkpoints/newest")?, "checkpoint")?;
    let opened = Checkpoint::open(&note, key);
    opened.map(drop).map_err(|error| {
        Failure::new(format!(
            "the newest checkpoint is not signed by the key that was given: {error}"
        ))
    })
}

fn verify_since(path: &Path, wanted: &Verify, client: &Client) -> Result<(), Failure> {
    let key = match given_key(wanted)? {
        Some(key) => key,
        None => Verifier::parse(&text(&client.read("/audit/key")?, "key")?)?,
    };
    let old = opened(path, &key)?;
    let note = text(&client.read("/audit/checkpoints/newest")?, "checkpoint")?;
    let new = Checkpoint::open(&note, &key)
        .map_err(|error| Failure::new(format!("the newest checkpoint is not one: {error}")))?;
    let wrong = || {
        Failure::new(format!(
            "the log does not go on from {}: what was signed there of {} events was changed since, \
             or the last of it removed",
            path.display(),
            old.size
        ))
    };
    if old.size > new.size {
        return Err(wrong());
    }
    let answer = client.read(&format!("/audit/consistency?from={}&to={}", old.size, new.size))?;
    let hashes = answer["proof"].as_array().into_iter().flatten();
    let hashes: Option<Vec<_>> =
        hashes.map(|hash| hash.as_str().and_then(Hash::from_base64)).collect();
    let (old, new) = ((old.size, old.root), (new.size, new.root));
    verify_consistency(old, new, &hashes.ok_or_else(wrong)?).map_err(|_| wrong())
}

fn verify_proof(path: &Path, key: &Verifier) -> Result<ExitCode, Failure> {
    let said: Value = serde_json::from_slice(&read(path)?)
        .map_err(|_| Failure::new(format!("{}: it is no proof in JSON", path.display())))?;
    let (event, proof) = (text(&said, "event")?, text(&said, "proof")?);
    let wrong = |error| Failure::new(format!("{}: {error}", path.display()));
    let proof = ProofText::parse(&proof).map_err(wrong)?;
    let checkpoint = proof.verify(&event, key).map_err(wrong)?;
    output::line(format_args!(
        "the event was recorded as it is here, as number {} of the {} that {} signed",
        proof.position + 1,
        checkpoint.size,
        checkpoint.origin
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Hashes exported lines up to the size that was signed.
fn verify_events(path: &Path, signed: &Checkpoint) -> Result<ExitCode, Failure> {
    let fault = |error| Failure::new(format!("{}: {error}", path.display()));
    let mut tree = Frontier::default();
    let mut last = None;
    for line in BufReader::new(File::open(path).map_err(fault)?).lines() {
        if tree.size() == signed.size {
            break;
        }
        let line = line.map_err(fault)?;
        let id = audit::line_id(&line);
        if id.is_none() || last.is_some_and(|last| id <= Some(last)) {
            return Err(Failure::new(format!(
                "{}: line {} is no event, or out of order",
                path.display(),
                tree.size() + 1
            )));
        }
        last = id;
        tree.append(audit::leaf(line.as_bytes()), |_, _| {});
    }
    if tree.size() < signed.size {
        return Err(Failure::new(format!(
            "{}: it has {} events, and {} were signed: some were removed, or it does not begin with \
             the first",
            path.display(),
            tree.size(),
            signed.size
        )));
    }
    if tree.root() != signed.root {
        return Err(Failure::new(format!(
            "{}: its first {} events are not those that were signed: one was changed, removed, \
             reordered or inserted",
            path.display(),
            signed.size
        )));
    }
    output::line(format_args!("{} events are as {} signed them", signed.size, signed.origin))?;
    Ok(ExitCode::SUCCESS)
}

fn print(report: &Value) -> Result<(), Failure> {
    for finding in report["findings"].as_array().into_iter().flatten() {
        output::line(finding["what"].as_str().unwrap_or_default())?;
    }
    if let Some(more) = report["more"].as_u64().filter(|more| *more > 0) {
        output::line(format_args!("and {more} more"))?;
    }
    let whole = if report["sound"] == true { "the log is whole" } else { "the log is not whole" };
    output::line(format_args!(
        "{whole}: {} events, {} more were forgotten by retention; {} checkpoints, the largest of {} \
         events",
        report["events"], report["forgotten"], report["checkpoints"], report["signed"]
    ))
}

fn opened(path: &Path, key: &Verifier) -> Result<Checkpoint, Failure> {
    let note = String::from_utf8(read(path)?)
        .map_err(|_| Failure::new(format!("{}: it is no text", path.display())))?;
    Checkpoint::open(&note, key)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

fn given_key(wanted: &Verify) -> Result<Option<Verifier>, Failure> {
    let Some(key) = &wanted.key else { return Ok(None) };
    if let Ok(verifier) = Verifier::parse(key) {
        return Ok(Some(verifier));
    }
    let text = fs::read_to_string(key).map_err(|_| {
        Failure::new(format!("--key {key}: it is neither a verifier key nor a file with one"))
    })?;
    Ok(Some(Verifier::parse(&text)?))
}

fn no_key() -> Failure {
    Failure::new("give --key: what perennial audit key printed when the log could be trusted")
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

fn text(value: &Value, name: &str) -> Result<String, Failure> {
    let text = value[name].as_str().map(str::to_owned);
    text.ok_or_else(|| Failure::new(format!("the answer has no {name}")))
}
