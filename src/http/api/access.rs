//! Who may what, shown: what whoever asks may, what somebody else may and by what, and who may a thing. It is
//! decided as it would be for them, and nothing is done.

use std::collections::BTreeMap;
use std::sync::Arc;

use acme::Problem;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::Query;
use super::{Answer, missing, subject};
use crate::access::{Action, Asker, Caller, Resource, Who};
use crate::http::error::unreadable;
use crate::node::Node;
use crate::store::{Page, PersonState};

/// Who wants what.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "AccessQuestion")]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// Who; only when one decision is asked for.
    #[serde(default, rename = "as")]
    who: Option<String>,
    action: String,
    /// `kind/name`; none: everything of its kind.
    #[serde(default)]
    on: Option<String>,
}

/// What whoever asks may.
pub(super) async fn own(asker: Asker) -> Answer {
    let extents = Action::ALL.iter().filter(|action| !action.is_own()).filter_map(|action| {
        let extent = match asker.may_any(*action) {
            _ if asker.may_all(*action) => "everything",
            Ok(()) => "some",
            Err(_) => return None,
        };
        Some((action.name(), extent))
    });
    let extents: BTreeMap<_, _> = extents.collect();
    Answer(Ok(json!({ "who": asker.caller().who.to_string(), "actions": extents })))
}

/// Whether somebody may do something, and by what.
pub(super) async fn decision(
    State(node): State<Arc<Node>>,
    asker: Asker,
    Query(question): Query<Question>,
) -> Answer {
    Answer(decided(&node, &asker, &question))
}

/// Who may do something, of all that are known.
pub(super) async fn who_can(
    State(node): State<Arc<Node>>,
    asker: Asker,
    Query(question): Query<Question>,
) -> Answer {
    Answer(everybody(&node, &asker, &question))
}

/// Somebody as they would be recognised: `token/NAME`, `person/NAME`, `group/NAME` for somebody in it and
/// nothing else, or `admin`.
///
/// # Errors
/// When nobody is called so, or the store cannot be read.
pub(super) fn caller(node: &Node, text: &str) -> Result<Caller, Problem> {
    if text == Who::Local.to_string() {
        return Ok(Caller::new(Who::Local, Vec::new()));
    }
    let unknown = || missing("caller", text);
    let (kind, name) = text.split_once('/').ok_or_else(unknown)?;
    let known = match kind {
        "token" => {
            let row = node.store.token_by_name(name).map_err(unreadable)?;
            row.filter(|row| row.is_valid(node.world.now())).map(|row| Caller {
                groups: row.scope.groups().map(str::to_owned).collect(),
                ..Caller::new(Who::Token(row.name), row.scope.roles().collect())
            })
        }
        "person" => {
            let row = node.store.person_by_name(name).map_err(unreadable)?;
            row.filter(|row| row.state == PersonState::Active).map(|row| Caller {
                groups: row.groups,
                ..Caller::new(Who::Person(row.name), row.roles)
            })
        }
        "group" => Some(Caller {
            groups: vec![name.to_owned()],
            ..Caller::new(Who::Token(String::new()), Vec::new())
        }),
        _ => None,
    };
    known.ok_or_else(unknown)
}

fn decided(node: &Node, asker: &Asker, question: &Question) -> Result<Value, Problem> {
    let (action, on) = understood(node, question)?;
    let asker = match &question.who {
        Some(who) => asker.standing_in(caller(node, who)?, node.world.now()),
        None => asker.clone(),
    };
    let who = question.who.clone().unwrap_or_else(|| asker.caller().who.to_string());
    let mut shown = explained(&asker, action, on.as_ref());
    shown["who"] = who.into();
    shown["action"] = action.name().into();
    shown["on"] = question.on.clone().into();
    Ok(shown)
}

fn everybody(node: &Node, asker: &Asker, question: &Question) -> Result<Value, Problem> {
    if question.who.is_some() {
        return Err(Problem::malformed("as is for one decision; ask without it who can"));
    }
    let (action, on) = understood(node, question)?;
    let page = Page { after: 0, limit: MOST };
    let tokens = node.store.tokens(page).map_err(unreadable)?;
    let people = node.store.people(page).map_err(unreadable)?;
    let whole = tokens.len() < MOST as usize && people.len() < MOST as usize;
    let tokens = tokens.iter().map(|row| format!("token/{}", row.name));
    let people = people.iter().map(|row| format!("person/{}", row.name));
    let mut items = Vec::new();
    for who in [Who::Local.to_string()].into_iter().chain(tokens).chain(people) {
        // Whoever is out of use may nothing.
        let Ok(caller) = caller(node, &who) else { continue };
        let mut shown =
            explained(&asker.standing_in(caller, node.world.now()), action, on.as_ref());
        if shown["permitted"] == true {
            shown["who"] = who.into();
            items.push(shown);
        }
    }
    Ok(json!({ "items": items, "complete": whole }))
}

fn understood(node: &Node, question: &Question) -> Result<(Action, Option<Resource>), Problem> {
    let action = Action::ALL.iter().find(|action| action.name() == question.action);
    let action = *action.ok_or_else(|| missing("action", &question.action))?;
    let Some(on) = &question.on else { return Ok((action, None)) };
    let (kind, name) = on.split_once('/').unwrap_or((action.noun(), on));
    if kind != action.noun() {
        let why = format!("{} is done to {}/NAME", action.name(), action.noun());
        return Err(Problem::malformed(why));
    }
    Ok((action, Some(subject::find(node, action.noun(), name)?)))
}

fn explained(asker: &Asker, action: Action, on: Option<&Resource>) -> Value {
    let (permitted, by) = asker.explain(action, on);
    let demand = asker.demanded(action).filter(|_| permitted);
    json!({
        "permitted": permitted,
        "by": by,
        "approvals": demand.map_or(0, |demand| demand.approvals),
        "step_up": demand.is_some_and(|demand| demand.step_up),
    })
}

/// Of tokens and of people that are looked at.
const MOST: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::tests::node;
    use crate::perform::establish;

    #[tokio::test]
    async fn it_is_said_who_may_and_by_what() {
        let (node, _) = node().await;
        let text = "[[binding]]\nname = 'pay'\nto = 'group/pay'\nrole = 'rotator'\n\
                    scope = { owners = ['pay'] }\n\
                    [[certificate]]\nname = 'shop'\nnames = ['shop.example.com']\nowner = 'pay'\n\
                    [[policy]]\nname = 'freeze'\n\
                    cedar = 'forbid (principal, action == Action::\"managed.roll-back\", resource);'\n\
                    [[approval]]\nname = 'two'\nactions = ['managed.renew']\napprovals = 2\n";
        let standing = establish::declared(&node).await.expect("defaults");
        let wanted = crate::catalog::parse([("a.toml", text)]).expect("parses");
        let catalog = establish::apply(&node, "admin", &standing, &wanted).await.expect("stands");
        node.catalog.replace(catalog);
        let rules = Arc::clone(&node.catalog.load().rules);
        let asker = Asker::new(Caller::new(Who::Local, Vec::new()), rules, "", node.world.now());
        let ask = |who: Option<&str>, action: &str, on: Option<&str>| {
            let question = Question {
                who: who.map(str::to_owned),
                action: action.to_owned(),
                on: on.map(str::to_owned),
            };
            match who {
                Some(_) => decided(&node, &asker, &question),
                None => everybody(&node, &asker, &question),
            }
        };
        let seen = ask(Some("group/pay"), "managed.renew", Some("managed/shop")).expect("decided");
        assert_eq!((&seen["permitted"], &seen["approvals"]), (&json!(true), &json!(2)), "{seen}");
        assert_eq!(seen["by"], json!(["role rotator by binding pay"]));
        let seen =
            ask(Some("group/pay"), "managed.roll-back", Some("managed/shop")).expect("decided");
        assert_eq!((&seen["permitted"], &seen["by"]), (&json!(false), &json!(["policy freeze"])));
        let seen = ask(Some("group/pay"), "managed.renew", Some("managed/node")).expect("decided");
        assert_eq!((&seen["permitted"], &seen["by"]), (&json!(false), &json!([])));
        let seen = ask(Some("group/pay"), "managed.renew", None).expect("decided");
        assert_eq!(seen["permitted"], false, "not everything");
        let seen = ask(None, "managed.renew", Some("managed/shop")).expect("looked at");
        assert_eq!(seen["items"].as_array().map(Vec::len), Some(1), "{seen}");
        assert_eq!(seen["items"][0]["who"], "admin");
        for (who, action, on) in [
            ("token/none", "managed.renew", Some("managed/shop")),
            ("king", "managed.renew", None),
            ("group/pay", "managed.destroy", None),
            ("group/pay", "managed.renew", Some("keyset/shop")),
        ] {
            assert!(ask(Some(who), action, on).is_err(), "{who} {action} {on:?}");
        }
        let _ = std::fs::remove_dir_all(&node.config.data_dir);
    }
}
