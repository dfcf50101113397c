//! Every command, and the actions that a server decides on before it does what the command asks for. A
//! command that is not here fails the test: somebody must have thought of who may.

use clap::{Command, CommandFactory};

use super::Arguments;
use crate::access::Action;

/// Commands and their actions; none: no server is asked.
const TABLE: &[(&str, &[&str])] = &[
    ("access own", &["own-access.read"]),
    ("access schema", &[]),
    ("access test", &["access.read"]),
    ("access who-can", &["access.read"]),
    ("apply", &["declaration.apply", "declaration.govern"]),
    ("approval approve", &["approval.decide"]),
    ("approval deny", &["approval.decide"]),
    ("approval list", &["approval.read"]),
    ("approval show", &["approval.read"]),
    ("approval withdraw", &["own-approval.withdraw"]),
    ("audit", &["event.read"]),
    ("audit checkpoint", &["event.read", "checkpoint.make"]),
    ("audit export", &["event.read"]),
    ("audit key", &["event.read"]),
    ("audit lineage", &["event.read"]),
    ("audit prove", &["event.read"]),
    ("audit verify", &["event.read"]),
    ("completions", &[]),
    ("crypto", &["found.read"]),
    ("eab create", &["external-key.create"]),
    ("eab list", &["external-key.read"]),
    ("eab revoke", &["external-key.revoke"]),
    (
        "get",
        &[
            "authority.read",
            "profile.read",
            "directory.read",
            "certificate.read",
            "managed.read",
            "issuer.read",
            "target.read",
            "keyset.read",
            "found.read",
            "endpoint.read",
            "scan.read",
            "receiver.read",
            "account.read",
            "order.read",
        ],
    ),
    ("import", &["found.read", "declaration.apply"]),
    ("invite", &["person.invite"]),
    ("issue", &["certificate.issue"]),
    ("man", &[]),
    ("notify test", &["receiver.test"]),
    ("person disable", &["person.change"]),
    ("person enable", &["person.change"]),
    ("person forget-passkeys", &["person.change"]),
    ("person list", &["person.read"]),
    ("person roles", &["person.change"]),
    ("person show", &["person.read"]),
    ("plan", &["declaration.plan", "access.read"]),
    ("renew", &["managed.renew", "managed.renew-emergency"]),
    ("revoke", &["certificate.revoke", "account.revoke"]),
    ("rollback", &["managed.roll-back", "keyset.roll-back"]),
    ("rotate", &["keyset.rotate", "keyset.rotate-emergency", "issuer.roll-key"]),
    ("scan", &["scan.run"]),
    ("serve", &[]),
    ("session list", &["session.read"]),
    ("session revoke", &["session.revoke"]),
    ("status", &["node.read", "managed.read", "keyset.read"]),
    ("token create", &["token.create"]),
    ("token list", &["token.read"]),
    ("token revoke", &["token.revoke"]),
];

/// What can be called, by its words.
fn called(command: &Command, words: &str, to: &mut Vec<String>) {
    let below: Vec<_> = command.get_subcommands().filter(|c| c.get_name() != "help").collect();
    let alone = below.is_empty() || !command.is_subcommand_required_set();
    if alone && !words.is_empty() {
        to.push(words.to_owned());
    }
    for command in below {
        let words = format!("{words} {}", command.get_name());
        called(command, words.trim_start(), to);
    }
}

#[test]
fn somebody_has_decided_who_may_each_command() {
    let mut commands = Vec::new();
    called(&Arguments::command(), "", &mut commands);
    commands.sort();
    assert_eq!(commands, TABLE.iter().map(|(words, _)| *words).collect::<Vec<_>>());
    for (words, actions) in TABLE {
        for action in *actions {
            let known = Action::ALL.iter().any(|known| known.name() == *action);
            assert!(known, "{words}: there is no action {action}");
        }
    }
}
