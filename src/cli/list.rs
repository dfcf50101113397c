//! The reading commands: `status`, `get`, `audit`.

use std::process::ExitCode;

use serde_json::Value;

use super::client::Client;
use super::listing::{Arguments, Query, SOMETHING_TO_DO, escape};
use super::{Failure, keyset, managed, output};

/// What `get` is asked for.
#[derive(Debug, clap::Args)]
pub(super) struct GetArguments {
    /// The kind of things to show
    #[arg(value_enum)]
    kind: Kind,
    #[command(flatten)]
    of: Arguments,
}

/// What `status` is asked for.
#[derive(Debug, clap::Args)]
pub(super) struct StatusArguments {
    /// The kind of things to show; without one, the node as a whole
    #[arg(value_enum)]
    kind: Option<Kind>,
    #[command(flatten)]
    of: Arguments,
}

/// The kinds of things the node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Internal CAs
    #[value(alias = "authorities")]
    Authority,
    /// Issuance policies
    #[value(alias = "profiles")]
    Profile,
    /// ACME endpoints
    #[value(alias = "directories")]
    Directory,
    /// Certificates: `get` lists those issued here, `status` those managed
    #[value(alias = "certificates")]
    Certificate,
    /// CAs outside that managed certificates come from
    #[value(alias = "issuers")]
    Issuer,
    /// Places that serve managed certificates
    #[value(alias = "targets")]
    Target,
    /// Signing keys of JWT issuers
    #[value(alias = "keysets")]
    Keyset,
    /// Certificates found in use, by scans and at endpoints
    Found,
    /// Addresses that are watched
    #[value(alias = "endpoints")]
    Endpoint,
    /// What expires within 30 days, or another --within: what is found, managed, and authorities
    Expiring,
    /// Scans for certificates
    #[value(alias = "scans")]
    Scan,
    /// Who is told of events: webhooks, mails and chats
    #[value(alias = "receivers")]
    Receiver,
    /// Of those, the webhooks
    #[value(alias = "webhooks")]
    Webhook,
    /// Runs from trigger to retirement, by id
    #[value(alias = "rotations")]
    Rotation,
    /// ACME accounts
    #[value(alias = "accounts")]
    Account,
    /// ACME orders
    #[value(alias = "orders")]
    Order,
}

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Self::Authority => "/authorities",
            Self::Profile => "/profiles",
            Self::Directory => "/directories",
            Self::Certificate => "/certificates",
            Self::Issuer => "/issuers",
            Self::Target => "/targets",
            Self::Keyset => "/keysets",
            Self::Found => "/found",
            Self::Endpoint => "/endpoints",
            Self::Expiring => "/expiring",
            Self::Scan => "/scans",
            Self::Receiver => "/receivers",
            Self::Webhook => "/webhooks",
            Self::Rotation => "/rotations",
            Self::Account => "/accounts",
            Self::Order => "/orders",
        }
    }

    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Authority => &["name", "generation", "subject", "issuer", "key", "not_after"],
            Self::Profile => &["name", "lifetime", "extended_key_usages", "keys"],
            Self::Directory => &["name", "authority", "profiles", "url"],
            Self::Certificate => &["id", "serial", "status", "names", "profile", "not_after"],
            Self::Issuer => &["name", "directory", "account", "resting_until"],
            Self::Target => &["name", "kind", "probe"],
            Self::Keyset => &["name", "status", "algorithm", "kid", "rotates_at", "keys", "error"],
            Self::Found => {
                &["id", "called", "issuer", "not_after", "key", "owner", "places", "place"]
            }
            Self::Endpoint => &["name", "address", "status", "owner", "looked_at", "error"],
            Self::Expiring => &["subject", "called", "level", "ends_at", "owner", "place"],
            Self::Scan => &["id", "status", "done", "total", "seen", "failed", "started_at"],
            Self::Receiver => {
                &["name", "kind", "status", "origin", "severity", "waiting", "delivered", "error"]
            }
            Self::Webhook => &["name", "status", "origin", "events", "latest", "error"],
            Self::Rotation => &["id", "because", "phase", "from", "to"],
            Self::Account => &["id", "directory", "status", "contact", "created_at"],
            Self::Order => &["id", "account", "status", "identifiers", "created_at", "expires_at"],
        }
    }
}

/// `status`: the node as a whole, or a list with what is wrong first.
pub(super) fn status(arguments: &StatusArguments, client: &Client) -> Result<ExitCode, Failure> {
    match (arguments.kind, &arguments.of.name) {
        (Some(Kind::Certificate), _) => return managed::status(&arguments.of, client),
        (Some(Kind::Keyset), Some(name)) => return keyset::status(name, &arguments.of, client),
        (Some(Kind::Expiring | Kind::Endpoint), None) => {
            return attention(arguments, client);
        }
        (Some(kind), _) => return show(kind, &arguments.of, client),
        (None, _) => {}
    }
    let status = client.read("/status")?;
    if arguments.of.json {
        output::json(&status)?;
    } else {
        output::fields(&status)?;
    }
    let attention = status["attention"].as_array().is_some_and(|list| !list.is_empty());
    Ok(if attention { ExitCode::from(SOMETHING_TO_DO) } else { ExitCode::SUCCESS })
}

/// A list whose members, or some of whose members, ask for attention.
fn attention(arguments: &StatusArguments, client: &Client) -> Result<ExitCode, Failure> {
    let kind = arguments.kind.unwrap_or(Kind::Expiring);
    let answer = list(&arguments.of, kind, client)?;
    let items = answer["items"].as_array().into_iter().flatten();
    let wrong = items.filter(|item| kind == Kind::Expiring || item["status"] == "failing").count();
    output::page(kind.columns(), &answer, arguments.of.json)?;
    Ok(if wrong > 0 { ExitCode::from(SOMETHING_TO_DO) } else { ExitCode::SUCCESS })
}

/// `get`: the things of a kind, or one.
pub(super) fn get(arguments: &GetArguments, client: &Client) -> Result<ExitCode, Failure> {
    show(arguments.kind, &arguments.of, client)
}

fn show(kind: Kind, arguments: &Arguments, client: &Client) -> Result<ExitCode, Failure> {
    match &arguments.name {
        Some(name) if kind == Kind::Keyset => keyset::get(name, arguments, client),
        Some(name) => {
            show_one(arguments, &client.read(&format!("{}/{}", kind.path(), escape(name)))?)
        }
        None => show_list(arguments, kind, client),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn show_one(arguments: &Arguments, thing: &Value) -> Result<(), Failure> {
    if arguments.pem {
        let pem = thing["pem"].as_str().ok_or_else(|| Failure::new("it has no PEM form"))?;
        return output::raw(pem.as_bytes());
    }
    if arguments.json { output::json(thing) } else { output::fields(thing) }
}

fn show_list(arguments: &Arguments, kind: Kind, client: &Client) -> Result<(), Failure> {
    output::page(kind.columns(), &list(arguments, kind, client)?, arguments.json)
}

fn list(arguments: &Arguments, kind: Kind, client: &Client) -> Result<Value, Failure> {
    let mut query = Query::new(kind.path());
    query.add("limit", Some(arguments.limit));
    query.add("after", arguments.after);
    query.add("names", arguments.names.as_deref().map(escape));
    query.add("authority", arguments.authority.as_deref().map(escape));
    query.add("profile", arguments.profile.as_deref().map(escape));
    query.add("status", arguments.status.as_deref().map(escape));
    query.add("expiring_within", arguments.expiring_within.as_deref().map(escape));
    query.add("owner", arguments.owner.as_deref().map(escape));
    client.read(&query.0)
}
