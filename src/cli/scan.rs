//! `scan`: looks for certificates from where the command runs, and tells the server what it finds.

use std::cell::RefCell;
use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use ca::survey::{Anchors, Flaw};
use indicatif::{ProgressBar, ProgressStyle};
use ipnet::IpNet;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::client::Client;
use super::listing::SOMETHING_TO_DO;
use super::{Failure, output};
use crate::found::scan::{Plan, Progress, Request, Speech, run as run_scan};
use crate::found::{Finding, assess, system_roots};

/// What `scan` is asked for.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// What to look at: hosts, addresses and networks, with :PORTS behind them if they are others
    /// (10.0.0.0/24:443,8443), files or directories, which begin with / or ., and the TLS Secrets of
    /// clusters (kubernetes:CONTEXT/NAMESPACE, each of which may be left out)
    #[arg(required_unless_present = "resume", conflicts_with = "resume")]
    targets: Vec<String>,
    /// Ports of what names none
    #[arg(long, default_value = "443", value_name = "PORTS")]
    ports: String,
    /// Networks that are never looked at
    #[arg(long, value_name = "NETWORK")]
    exclude: Vec<IpNet>,
    /// The server name to ask for [default: the host that was named]
    #[arg(long, value_name = "NAME")]
    sni: Option<String>,
    /// What is spoken before TLS: none, smtp, lmtp, imap, pop3, ftp, ldap, postgres, mysql, xmpp
    /// [default: what the port suggests]
    #[arg(long, value_name = "PROTOCOL", value_parser = speech)]
    starttls: Option<Speech>,
    /// Places looked at each second, at the most
    #[arg(long, default_value_t = 1000, value_name = "NUMBER")]
    rate: u32,
    /// Places looked at at once, at the most
    #[arg(long, default_value_t = 128, value_name = "NUMBER")]
    at_once: usize,
    /// How long each place may take
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = milliseconds)]
    timeout: u64,
    /// Who answers for what is found
    #[arg(long, value_name = "OWNER")]
    owner: Option<String>,
    /// PEM roots to trust besides the system's and the server's
    #[arg(long, value_name = "FILE")]
    roots: Option<PathBuf>,
    /// The kubeconfig that leads to clusters [default: the service account of the pod this runs in]
    #[arg(long, value_name = "FILE", env = "KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// Go on with a scan that was interrupted: the latest, or the one with this id
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "0")]
    resume: Option<i64>,
    /// Show what is found and keep none of it: no server is needed
    #[arg(long, conflicts_with = "resume")]
    offline: bool,
    /// Print what is found as JSON, one place per line
    #[arg(long)]
    json: bool,
}

/// A scan as the server knows it.
struct Known {
    id: i64,
    done: u64,
}

/// Runs `scan`; exits 3 where something that is found would be refused by clients.
pub(super) fn run(arguments: &Arguments, client: &Client) -> Result<ExitCode, Failure> {
    let (request, known) = request(arguments, client)?;
    let plan = Plan::new(request)?;
    let show = Show::new(arguments, client, &plan)?;
    let from = known.as_ref().map_or(0, |known| known.done);
    let (mut reached, mut stopped) = (from, None);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime
        .block_on(async {
            let stop = async {
                let _ = tokio::signal::ctrl_c().await;
            };
            run_scan(&plan, from, stop, async |progress| {
                show.show(&progress)?;
                reached = progress.done;
                if let Some(known) = &known {
                    tell(client, known.id, progress).await?;
                }
                Ok(())
            })
            .await
        })
        .unwrap_or_else(|failure: Failure| stopped = Some(failure));
    show.finish(reached)?;
    let go_on = known.filter(|_| reached < plan.total()).map(|known| known.id);
    match (stopped, go_on) {
        (Some(failure), Some(id)) => {
            Err(Failure::new(format!("{failure}; go on with perennial scan --resume {id}")))
        }
        (Some(failure), None) => Err(failure),
        (None, Some(id)) => Err(Failure::new(format!(
            "{reached} of {} done; go on with perennial scan --resume {id}",
            plan.total()
        ))),
        (None, None) => Ok(show.exit_code()),
    }
}

/// What is scanned; and what the server knows of it, if it is to know.
fn request(arguments: &Arguments, client: &Client) -> Result<(Request, Option<Known>), Failure> {
    if let Some(id) = arguments.resume {
        let scan = if id > 0 { client.read(&format!("/scans/{id}"))? } else { latest(client)? };
        let request: Request = serde_json::from_value(scan["request"].clone())?;
        if scan["status"] == "over" {
            return Err(Failure::new(format!("scan {} is over; begin another", scan["id"])));
        }
        let done = scan["done"].as_u64().unwrap_or_default();
        return Ok((request, Some(Known { id: scan["id"].as_i64().unwrap_or_default(), done })));
    }
    let request = Request {
        ports: arguments.ports.clone(),
        exclude: arguments.exclude.clone(),
        sni: arguments.sni.clone(),
        starttls: arguments.starttls.unwrap_or_default(),
        rate: arguments.rate.max(1),
        at_once: arguments.at_once.max(1),
        timeout: arguments.timeout,
        kubeconfig: arguments.kubeconfig.clone(),
        owner: arguments.owner.clone(),
        ..Request::of(arguments.targets.iter().map(|target| whole(target)).collect())
    };
    if arguments.offline {
        return Ok((request, None));
    }
    let begun = client.send("/scans", &json!({ "request": request }))?;
    let id = begun["id"].as_i64().ok_or_else(|| Failure::new("the server begins no scan"))?;
    Ok((request, Some(Known { id, done: 0 })))
}

/// The latest scan that is not over.
fn latest(client: &Client) -> Result<Value, Failure> {
    let scans = client.read("/scans")?;
    let open = scans["items"].as_array().into_iter().flatten().find(|s| s["status"] == "open");
    open.cloned().ok_or_else(|| Failure::new("no scan was interrupted"))
}

/// A path means another file once the scan is resumed elsewhere.
fn whole(target: &str) -> String {
    match target.starts_with(['/', '.']) {
        true => std::path::absolute(target)
            .map_or_else(|_| target.to_owned(), |path| path.display().to_string()),
        false => target.to_owned(),
    }
}

/// Tells the server, in parts that it takes.
async fn tell(client: &Client, id: i64, progress: Progress) -> Result<(), Failure> {
    let Progress { done, findings } = progress;
    let mut parts: Vec<Vec<Finding>> = vec![Vec::new()];
    let mut size = 0;
    for finding in findings {
        let length = finding.chain.iter().map(String::len).sum::<usize>() + 1024;
        if size + length > MAX_PART {
            parts.push(Vec::new());
            size = 0;
        }
        size += length;
        if let Some(part) = parts.last_mut() {
            part.push(finding);
        }
    }
    let last = parts.len() - 1;
    for (number, findings) in parts.into_iter().enumerate() {
        // Only with the last part is all of it told.
        let done = (number == last).then_some(done);
        let (client, path) = (client.clone(), format!("/scans/{id}/findings"));
        let told = json!({ "done": done, "findings": findings });
        tokio::task::spawn_blocking(move || client.send(&path, &told)).await??;
    }
    Ok(())
}

/// What the user sees of it.
struct Show {
    anchors: Anchors,
    json: bool,
    bar: ProgressBar,
    seen: RefCell<Seen>,
}

#[derive(Default)]
struct Seen {
    places: u64,
    unreadable: u64,
    wrong: u64,
    rows: Vec<Value>,
    left_out: u64,
}

impl Show {
    fn new(arguments: &Arguments, client: &Client, plan: &Plan) -> Result<Self, Failure> {
        let mut roots = system_roots();
        if let Some(file) = &arguments.roots {
            let failed = |why: String| Failure::new(format!("{}: {why}", file.display()));
            let pem = std::fs::read_to_string(file).map_err(|e| failed(e.to_string()))?;
            roots.extend(ca::Certificate::from_pem(&pem).map_err(|e| failed(e.to_string()))?);
        }
        if !arguments.offline {
            let authorities = client.read("/authorities")?;
            let pems = authorities["items"].as_array().into_iter().flatten();
            let own = pems.filter_map(|a| ca::Certificate::from_pem(a["pem"].as_str()?).ok());
            roots.extend(own.flatten().filter(ca::Certificate::is_self_issued));
        }
        let bar = if stderr().is_terminal() {
            ProgressBar::new(plan.total())
        } else {
            ProgressBar::hidden()
        };
        let style = "{elapsed_precise} {wide_bar} {human_pos}/{human_len} {msg} {eta}";
        bar.set_style(ProgressStyle::with_template(style)?);
        bar.enable_steady_tick(Duration::from_millis(250));
        let json = arguments.json;
        Ok(Self { anchors: Anchors::new(roots), json, bar, seen: RefCell::default() })
    }

    fn show(&self, progress: &Progress) -> Result<(), Failure> {
        let mut seen = self.seen.borrow_mut();
        for finding in &progress.findings {
            let row = self.row(finding)?;
            seen.places += 1;
            seen.unreadable += u64::from(!row["error"].is_null());
            if self.json {
                output::line(&row)?;
            }
            let wrong = !row["error"].is_null() || row["flaws"] != json!([]);
            seen.wrong += u64::from(wrong);
            match (wrong || seen.places <= FEW, seen.rows.len() < MOST) {
                (true, true) => seen.rows.push(row),
                (true, false) => seen.left_out += 1,
                (false, _) => {}
            }
        }
        self.bar.set_position(progress.done);
        self.bar.set_message(format!("{} found", seen.places));
        Ok(())
    }

    fn row(&self, finding: &Finding) -> Result<Value, Failure> {
        let assessed = assess(finding, &self.anchors, Timestamp::now())?;
        let leaf = assessed.leaf();
        Ok(json!({
            "place": assessed.place,
            "called": leaf.map(|leaf| leaf.called()),
            "names": leaf.map(|leaf| &leaf.names),
            "issuer": leaf.map(|leaf| &leaf.issuer),
            "not_after": leaf.map(|leaf| leaf.not_after.to_string()),
            "chain_ends_at": assessed.ends_at().map(|at| at.to_string()),
            "key": leaf.map(|leaf| &leaf.key),
            "signature": leaf.map(|leaf| &leaf.signature),
            "flaws": assessed.flaws.iter().map(Flaw::to_string).collect::<Vec<_>>(),
            "keeper": assessed.keeper,
            "error": assessed.error,
        }))
    }

    fn finish(&self, done: u64) -> Result<(), Failure> {
        self.bar.finish_and_clear();
        let seen = self.seen.borrow();
        if !self.json && !seen.rows.is_empty() {
            let columns = ["place", "called", "not_after", "key", "flaws", "error"];
            output::table(&columns, &seen.rows)?;
        }
        if seen.left_out > 0 {
            eprintln!("{} more with something wrong; perennial get found lists all", seen.left_out);
        }
        let (places, unreadable) = (seen.places, seen.unreadable);
        eprintln!("looked at {done}: {places} found, {unreadable} of them without a certificate");
        Ok(())
    }

    fn exit_code(&self) -> ExitCode {
        match self.seen.borrow().wrong {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::from(SOMETHING_TO_DO),
        }
    }
}

fn speech(text: &str) -> Result<Speech, String> {
    let known = serde_json::from_value(Value::from(text));
    known.map_err(|_| "it is none of those that are spoken before TLS".to_owned())
}

fn milliseconds(text: &str) -> Result<u64, String> {
    let time = ca::duration::parse(text).map_err(|error| error.to_string())?;
    let millis =
        u64::try_from(time.as_millis()).ok().filter(|millis| (1..=MAX_WAIT).contains(millis));
    millis.ok_or_else(|| "it must lie between 1s and 60s".to_owned())
}

/// The server takes four times as much.
const MAX_PART: usize = 1024 * 1024;
/// Rows shown at the end.
const MOST: usize = 1000;
/// So many places are shown each; of the others, those with something wrong.
const FEW: u64 = 100;
const MAX_WAIT: u64 = 60_000;
