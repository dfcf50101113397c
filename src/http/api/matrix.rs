//! Every route asked by every role, for everything and for some things, against a table that is written here
//! and not taken from the program.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::Request;
use serde_json::json;
use tower::ServiceExt;

use super::route::{On, routes};
use crate::access::{Action, Role};
use crate::http::{api_router, https_router};
use crate::node::Node;
use crate::node::tests::node;

/// Who may what: v viewer, u auditor, a approver, i issuer, r rotator, o operator; admins all. An action that
/// is not here fails the test: somebody must have decided.
const TABLE: &[(&str, &str)] = &[
    ("access.read", "u"),
    ("account.read", "vuairo"),
    ("account.revoke", "o"),
    ("approval.decide", "a"),
    ("approval.read", "vuairo"),
    ("authority.read", "vuairo"),
    ("certificate.issue", "i"),
    ("certificate.read", "vuairo"),
    ("certificate.revoke", "i"),
    ("checkpoint.make", "uo"),
    ("declaration.apply", "o"),
    ("declaration.govern", ""),
    ("declaration.plan", "o"),
    ("directory.read", "vuairo"),
    ("endpoint.read", "vuairo"),
    ("event.read", "u"),
    ("external-key.create", "o"),
    ("external-key.read", "uo"),
    ("external-key.revoke", "o"),
    ("found.read", "vuairo"),
    ("issuer.read", "vuairo"),
    ("issuer.roll-key", "o"),
    ("keyset.read", "vuairo"),
    ("keyset.roll-back", "ro"),
    ("keyset.rotate", "ro"),
    ("keyset.rotate-emergency", "ro"),
    ("managed.read", "vuairo"),
    ("managed.renew", "ro"),
    ("managed.renew-emergency", "ro"),
    ("managed.roll-back", "ro"),
    ("node.read", "vuairo"),
    ("order.read", "vuairo"),
    ("own-access.read", EVERYBODY),
    ("own-approval.withdraw", EVERYBODY),
    ("own-passkey.change", EVERYBODY),
    ("own-passkey.read", EVERYBODY),
    ("own-session.end", EVERYBODY),
    ("own-session.read", EVERYBODY),
    ("own-session.step-up", EVERYBODY),
    ("person.change", ""),
    ("person.invite", ""),
    ("person.read", "u"),
    ("profile.read", "vuairo"),
    ("receiver.read", "vuairo"),
    ("receiver.test", "o"),
    ("scan.read", "vuairo"),
    ("scan.run", "o"),
    ("session.read", "u"),
    ("session.revoke", ""),
    ("target.read", "vuairo"),
    ("token.create", ""),
    ("token.read", "u"),
    ("token.revoke", ""),
];
/// Whoever was recognised, whatever they may else.
const EVERYBODY: &str = "vuairo.";
/// The kinds of which there is a thing called `mine` in the scope, and one called `other` out of it.
const OWNED: [&str; 3] = ["managed", "keyset", "endpoint"];

fn letter(role: Role) -> char {
    match role {
        Role::Viewer => 'v',
        Role::Auditor => 'u',
        Role::Approver => 'a',
        Role::Issuer => 'i',
        Role::Rotator => 'r',
        Role::Operator => 'o',
        Role::Admin => 'A',
    }
}

/// Whether a role may do this somewhere.
fn may(table: &BTreeMap<&str, &str>, role: Option<Role>, action: Action) -> bool {
    let who = table[action.name()];
    match role {
        Some(Role::Admin) => true,
        Some(role) => who.contains(letter(role)),
        None => who == EVERYBODY,
    }
}

async fn made(node: &std::sync::Arc<Node>, name: &str, grant: &str) -> String {
    let wanted = json!({ "name": name, "scope": [grant] });
    let (status, body) =
        ask(api_router(node), ("POST", "/tokens"), None, &wanted.to_string()).await;
    assert_eq!(status, 200, "{body}");
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    body["token"].as_str().expect("a token").to_owned()
}

async fn ask(
    router: axum::Router,
    (method, path): (&str, &str),
    token: Option<&str>,
    body: &str,
) -> (u16, String) {
    let request = Request::builder().method(method).uri(format!("/api/v1{path}"));
    let request = match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    };
    let request = request.body(Body::from(body.to_owned())).expect("a request");
    let response = router.oneshot(request).await.expect("an answer");
    let status = response.status().as_u16();
    let body = http_body_util::BodyExt::collect(response.into_body()).await.expect("a body");
    (status, String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

/// A node with things in and out of a scope, and for each role, and for none, a token that has it for
/// everything and one that has it for the scope.
async fn scene() -> (std::sync::Arc<Node>, Vec<(Option<Role>, bool, String)>) {
    let (node, _) = node().await;
    let mut text = String::new();
    for (name, owner) in [("mine", "us"), ("other", "them")] {
        text += &format!(
            "[[certificate]]\nname = '{name}'\nnames = ['{name}.example.com']\nowner = '{owner}'\n\
             [[keyset]]\nname = '{name}'\nissuer = 'https://{name}.example.com'\nalgorithm = 'ES256'\n\
             owner = '{owner}'\n\
             [[endpoint]]\nname = '{name}'\naddress = '{name}.invalid:443'\nowner = '{owner}'\n"
        );
    }
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Admin) {
        text += &format!(
            "[[binding]]\nname = '{role}'\nto = 'group/{role}'\nrole = '{role}'\n\
             scope = {{ owners = ['us'] }}\n"
        );
    }
    let files = json!({ "files": [{ "name": "a.toml", "text": text }] }).to_string();
    let (status, seen) = ask(api_router(&node), ("POST", "/apply"), None, &files).await;
    assert_eq!(status, 200, "{seen}");
    let nobody = made(&node, "nobody", "group/nobody").await;
    let mut tokens = vec![(None, false, nobody)];
    for role in Role::ALL {
        let whole = made(&node, &format!("{role}-whole"), &format!("role/{role}")).await;
        tokens.push((Some(role), true, whole));
        if role != Role::Admin {
            let some = made(&node, &format!("{role}-some"), &format!("group/{role}")).await;
            tokens.push((Some(role), false, some));
        }
    }
    (node, tokens)
}

#[test]
fn somebody_has_decided_who_may_each_action() {
    let table: BTreeMap<_, _> = TABLE.iter().copied().collect();
    let names: Vec<_> = Action::ALL.iter().map(|action| action.name()).collect();
    for name in &names {
        assert!(table.contains_key(name), "{name} is not in the table");
    }
    assert_eq!((table.len(), names.len()), (TABLE.len(), TABLE.len()));
    for (action, role) in Action::ALL.iter().flat_map(|a| Role::ALL.map(|role| (*a, role))) {
        let expected = may(&table, Some(role), action) && !action.is_own();
        let includes = role.includes(action) && !action.is_own();
        assert_eq!(includes, expected, "{role} {}", action.name());
    }
}

#[tokio::test]
async fn each_route_lets_in_whom_the_table_says_and_nobody_else() {
    let table: BTreeMap<_, _> = TABLE.iter().copied().collect();
    let (node, tokens) = scene().await;
    let mut asked = 0;
    for route in routes() {
        let names: &[&str] = match route.on {
            On::Named(kind) if OWNED.contains(&kind) => &["mine", "other"],
            _ => &["nothing"],
        };
        for (name, (role, whole, token)) in
            names.iter().flat_map(|n| tokens.iter().map(move |t| (n, t)))
        {
            let path: Vec<_> = (route.path.split('/'))
                .map(|part| if part.starts_with('{') { name } else { part })
                .collect();
            let path = path.join("/");
            // No handler does anything with this; what is looked at is whether one was reached.
            let (status, body) =
                ask(https_router(&node), (route.method, &path), Some(token), "no JSON").await;
            let reached = !matches!(status, 401 | 403);
            let somewhere = may(&table, *role, route.action);
            let expected = match route.on {
                _ if route.action.is_own() || *whole => somewhere,
                On::Named(_) => somewhere && *name == "mine",
                // The handler asks for what the body says, and for each that it lists.
                On::Body | On::Listed => somewhere,
                On::Several | On::Oneself => false,
            };
            let what = format!("{role:?} whole {whole}: {} {path}: {status} {body}", route.method);
            assert_eq!(reached, expected, "{what}");
            assert_ne!(status, 500, "{what}");
            asked += 1;
        }
        let path = route.path.replace(['{', '}'], "");
        let (status, _) = ask(https_router(&node), (route.method, &path), None, "").await;
        assert_eq!(status, 401, "{} {path} for nobody", route.method);
    }
    println!("{asked} requests were decided as the table says");
    let _ = std::fs::remove_dir_all(&node.config.data_dir);
}
