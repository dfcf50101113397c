//! `invite`, `person` and `session`: people, and where they are signed in.

use std::process::ExitCode;

use serde_json::json;

use super::client::Client;
use super::listing::escape;
use super::{Failure, output};

/// Whom to invite, as what.
#[derive(Debug, clap::Args)]
pub(super) struct InviteArguments {
    /// What the audit log will call them, such as ada or ada@example.com
    name: String,
    /// A role that they have: viewer, auditor, approver, issuer, rotator, operator or admin. Whoever is
    /// known already keeps theirs, if none is named
    #[arg(long, value_name = "ROLE")]
    role: Vec<String>,
    /// A group that they belong to
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
    /// What people call them
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// How long the link is good, up to 7d
    #[arg(long, value_name = "TIME", default_value = "1d")]
    expires: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Which page of a list.
#[derive(Debug, clap::Args)]
pub(super) struct Paging {
    /// How many at the most, up to 1000
    #[arg(long, default_value_t = 100)]
    limit: u32,
    /// The next page: what follows the one with this id
    #[arg(long, value_name = "ID")]
    after: Option<i64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What to do with people.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List people, their roles and when they last signed in
    List(Paging),
    /// Show a person, and where they are signed in
    Show {
        /// The person's name
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a person out of use: they are signed out everywhere and cannot sign in
    Disable {
        /// The person's name
        name: String,
    },
    /// Let a person sign in again
    Enable {
        /// The person's name
        name: String,
    },
    /// Remove the passkeys of a person who lost what they were on, and sign them out everywhere
    ForgetPasskeys {
        /// The person's name
        name: String,
    },
    /// Give a person other roles, and other groups if any is named; without a role, they have none
    Roles {
        /// The person's name
        name: String,
        /// A role
        #[arg(long, value_name = "ROLE")]
        role: Vec<String>,
        /// A group
        #[arg(long, value_name = "GROUP")]
        group: Vec<String>,
    },
}

/// What to do with sessions.
#[derive(Debug, clap::Subcommand)]
pub(super) enum SessionCommand {
    /// List sessions: who is signed in, since when, with what
    List(Paging),
    /// End a session
    Revoke {
        /// The session's id
        id: i64,
    },
}

/// Runs `invite`.
pub(super) fn invite(arguments: &InviteArguments, client: &Client) -> Result<ExitCode, Failure> {
    let some = |names: &[String]| (!names.is_empty()).then(|| names.to_vec());
    let body = json!({
        "name": arguments.name,
        "display_name": arguments.display_name,
        "roles": some(&arguments.role),
        "groups": some(&arguments.group),
        "expires": arguments.expires,
    });
    let made = client.send("/people", &body)?;
    if arguments.json {
        output::json(&made)?;
    } else {
        output::fields(&made)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `person`.
pub(super) fn run(command: &Command, client: &Client) -> Result<ExitCode, Failure> {
    let act = |name: &str, what: &str, body| {
        client.send(&format!("/people/{}/{what}", escape(name)), &body)
    };
    match command {
        Command::List(paging) => list("/people", &PEOPLE, paging, client)?,
        Command::Show { name, json } => {
            let shown = client.read(&format!("/people/{}", escape(name)))?;
            if *json { output::json(&shown) } else { output::fields(&shown) }?;
        }
        Command::Disable { name } => {
            act(name, "disable", json!({}))?;
            output::line(format_args!("{name} is disabled, and signed out everywhere"))?;
        }
        Command::Enable { name } => {
            act(name, "enable", json!({}))?;
            output::line(format_args!("{name} may sign in again"))?;
        }
        Command::ForgetPasskeys { name } => {
            act(name, "passkeys/remove", json!({}))?;
            output::line(format_args!("{name} has no passkey any more; invite them again"))?;
        }
        Command::Roles { name, role, group } => {
            let groups = (!group.is_empty()).then_some(group);
            let shown = act(name, "roles", json!({ "roles": role, "groups": groups }))?;
            output::fields(&shown)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `session`.
pub(super) fn session(command: &SessionCommand, client: &Client) -> Result<ExitCode, Failure> {
    match command {
        SessionCommand::List(paging) => list("/sessions", &SESSIONS, paging, client)?,
        SessionCommand::Revoke { id } => {
            client.send(&format!("/sessions/{id}/revoke"), &json!({}))?;
            output::line(format_args!("session {id} is ended"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(path: &str, columns: &[&str], paging: &Paging, client: &Client) -> Result<(), Failure> {
    let Paging { limit, after, json } = paging;
    let after = after.unwrap_or(0);
    output::page(columns, &client.read(&format!("{path}?limit={limit}&after={after}"))?, *json)
}

const PEOPLE: [&str; 6] = ["name", "state", "roles", "groups", "entered_at", "invited_until"];
const SESSIONS: [&str; 7] =
    ["id", "person", "status", "way", "created_at", "used_at", "user_agent"];
