//! The command line. `serve` runs the server; every other command is a client of its API, over the admin
//! socket in the data directory or the network, and shows what the API says under the API's names.

mod access;
mod approval;
mod audit;
mod client;
mod crypto;
#[cfg(test)]
mod decided;
mod declare;
mod external_key;
mod import;
mod issue;
mod keyset;
mod list;
mod listing;
mod managed;
mod notify;
mod output;
mod person;
mod process;
mod reach;
mod rest;
mod revoke;
mod scan;
mod serve;
mod token;
mod url;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub(crate) use output::Failure;

/// Keeps every certificate and signing key valid, everywhere it is used.
#[derive(Debug, Parser)]
#[command(name = "perennial", version, propagate_version = true, arg_required_else_help = true)]
struct Arguments {
    #[command(flatten)]
    reach: reach::Reach,
    #[command(flatten)]
    consent: approval::Consent,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server: CA, ACME directories, PKI downloads, metrics
    Serve(serve::Arguments),
    /// Make what the files declare: authorities, profiles, directories, certificates, targets
    Apply(declare::ApplyArguments),
    /// Show what apply would change, and what would happen when; exits 3 if it would change anything
    Plan(declare::PlanArguments),
    /// Show the health of the node; exits 3 if something asks for attention
    Status(list::StatusArguments),
    /// List the things of a kind, or show one of them in full
    Get(list::GetArguments),
    /// Issue a certificate by hand, for a new key or a CSR
    Issue(issue::Arguments),
    /// Renew a managed certificate now, and follow it to its targets
    Renew(managed::RenewArguments),
    /// Give a keyset, or our account at an issuer, a new key
    Rotate(managed::RotateArguments),
    /// Put an earlier version of a managed certificate back on its targets, or withdraw a signing key
    /// that is announced and has not signed
    Rollback(managed::RollBackArguments),
    /// Revoke a certificate, by serial number or file
    Revoke(revoke::Arguments),
    /// Look for certificates at hosts, in networks and in files, and keep what is found
    Scan(scan::Arguments),
    /// Print, or apply, a declaration that takes a certificate that was found into management
    Import(import::Arguments),
    /// Show which cryptography is in use, and what of it is weak or not post-quantum
    Crypto(crypto::Arguments),
    /// Show the audit log: who changed what, and when; check it, sign it, prove and export it
    Audit(audit::Arguments),
    /// Make, list and revoke keys for external account binding (RFC 8555 §7.3.4)
    #[command(subcommand)]
    Eab(external_key::Command),
    /// Make, list and revoke API tokens, for who pulls certificates over HTTPS
    #[command(subcommand)]
    Token(token::Command),
    /// Make a link that lets a person in once, such as the first admin
    Invite(person::InviteArguments),
    /// List people, give them roles, take them out of use
    #[command(subcommand)]
    Person(person::Command),
    /// List and end the sessions of people
    #[command(subcommand)]
    Session(person::SessionCommand),
    /// Show who may what, and by which role, binding or policy
    #[command(subcommand)]
    Access(access::Command),
    /// List requests that somebody must agree to, and agree to them or not
    #[command(subcommand)]
    Approval(approval::Command),
    /// Try out who is told of events
    #[command(subcommand, alias = "webhook")]
    Notify(notify::Command),
    /// Print a script that completes commands in a shell
    Completions {
        /// The shell to complete in
        shell: clap_complete::Shell,
    },
    /// Write the manual pages of the program and its commands into a directory
    Man {
        /// The directory, which is made if it is not there
        directory: PathBuf,
    },
}

/// Writes `perennial.1` and a page for each command, as `perennial-apply.1`.
fn write_manual(directory: &Path) -> Result<(), Failure> {
    let written = fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Arguments::command(), directory));
    written.map_err(|error| Failure::new(format!("{}: {error}", directory.display())))
}

/// Runs the program and says how it went: 0 done, 1 failed, 2 usage, 3 something to do.
pub(crate) fn run() -> ExitCode {
    let Arguments { reach, consent, command } = Arguments::parse();
    perform(command, &reach, &consent).unwrap_or_else(|failure| {
        eprintln!("perennial: {failure}");
        ExitCode::from(1)
    })
}

fn perform(
    command: Command,
    reach: &reach::Reach,
    consent: &approval::Consent,
) -> Result<ExitCode, Failure> {
    let client = || reach.way().map(|way| client::Client::new(way, consent.headers()));
    match command {
        Command::Serve(arguments) => serve::run(&arguments, reach.data_dir.as_deref()),
        Command::Apply(arguments) => declare::apply(&arguments, &client()?),
        Command::Plan(arguments) => declare::plan(&arguments, &client()?),
        Command::Status(arguments) => list::status(&arguments, &client()?),
        Command::Get(arguments) => list::get(&arguments, &client()?),
        Command::Issue(arguments) => issue::run(&arguments, &client()?),
        Command::Renew(arguments) => managed::renew(&arguments, &client()?),
        Command::Rotate(arguments) => managed::rotate(&arguments, &client()?),
        Command::Rollback(arguments) => managed::roll_back(&arguments, &client()?),
        Command::Revoke(arguments) => revoke::run(&arguments, &client()?),
        Command::Scan(arguments) => scan::run(&arguments, &client()?),
        Command::Import(arguments) => import::run(&arguments, &client()?),
        Command::Crypto(arguments) => crypto::run(&arguments, &client()?),
        Command::Audit(arguments) => audit::run(&arguments, &client()?),
        Command::Eab(command) => external_key::run(&command, &client()?),
        Command::Token(command) => token::run(&command, &client()?),
        Command::Approval(command) => approval::run(&command, &client()?),
        Command::Access(command) => access::run(&command, &client()?),
        Command::Invite(arguments) => person::invite(&arguments, &client()?),
        Command::Person(command) => person::run(&command, &client()?),
        Command::Session(command) => person::session(&command, &client()?),
        Command::Notify(command) => notify::run(&command, &client()?),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "perennial", &mut script);
            output::raw(&script).map(|()| ExitCode::SUCCESS)
        }
        Command::Man { directory } => write_manual(&directory).map(|()| ExitCode::SUCCESS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Arguments::command().debug_assert();
    }
}
