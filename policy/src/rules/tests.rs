//! What rules permit and deny, and by what.

use std::time::Instant;

use serde_json::{from_value, json};

use super::*;

fn vocabulary() -> Arc<Vocabulary> {
    let admin = "admin";
    let words = [
        ("keyset.read", vec!["viewer", "rotator", "operator", admin]),
        ("keyset.rotate", vec!["rotator", "operator", admin]),
        ("managed.read", vec!["viewer", "rotator", "operator", admin]),
        ("managed.renew", vec!["rotator", "operator", admin]),
        ("declaration.apply", vec!["operator", admin]),
        ("token.create", vec![admin]),
    ];
    Arc::new(Vocabulary::new(&words).expect("a vocabulary"))
}

fn rules(bindings: serde_json::Value, policies: &[(&str, &str)]) -> Result<Rules, Fault> {
    let bindings: Vec<Binding> = from_value(bindings).expect("bindings");
    let policies: Vec<_> = (policies.iter())
        .map(|(name, cedar)| Policy { name: (*name).into(), cedar: (*cedar).into() })
        .collect();
    Rules::compile(vocabulary(), &bindings, &policies)
}

fn token(name: &str, roles: &[&'static str], groups: &[&str]) -> Subject {
    Subject {
        kind: Kind::Token,
        name: name.into(),
        groups: groups.iter().map(|group| (*group).into()).collect(),
        roles: roles.to_vec(),
        stepped_up: false,
    }
}

fn shop() -> Resource {
    Resource {
        owner: Some("payments".into()),
        authorities: vec!["internal".into()],
        profile: Some("default".into()),
        names: vec!["shop.example.com".into()],
        targets: vec!["edge-a".into()],
        ..Resource::named("managed", "shop")
    }
}

#[test]
fn a_role_permits_what_it_includes_and_nothing_permits_the_rest() {
    let rules = rules(json!([]), &[]).expect("rules");
    let viewer = token("eve", &["viewer"], &[]);
    let decided = rules.decide(&viewer, "managed.read", &shop());
    assert!(decided.permitted);
    assert_eq!(decided.reasons, [Reason::Role { role: "viewer".into(), binding: None }]);
    for (subject, action) in [
        (&viewer, "managed.renew"),
        (&viewer, "managed.destroy"),
        (&token("eve", &[], &[]), "managed.read"),
        (&token("eve", &["nobody"], &["viewer"]), "managed.read"),
    ] {
        assert!(!rules.decide(subject, action, &shop()).permitted, "{action}");
        assert!(!rules.might(subject, action) && !rules.surely(subject, action), "{action}");
    }
}

#[test]
fn a_binding_gives_its_role_for_its_scope_to_whom_it_names() {
    for (scope, covered) in [
        (json!({}), true),
        (json!({ "owners": ["payments"] }), true),
        (json!({ "owners": ["pay"] }), false),
        (json!({ "names": ["*.example.com"] }), true),
        (json!({ "names": ["*.shop.example.com"] }), false),
        (json!({ "authorities": ["inter*"], "profiles": ["default"] }), true),
        (json!({ "authorities": ["root"], "owners": ["payments"] }), false),
        (json!({ "profiles": ["short"] }), false),
        (json!({ "keysets": ["*"] }), false),
        // It says only where to, and nothing of what.
        (json!({ "targets": ["*"] }), false),
    ] {
        let binding =
            json!([{ "name": "b", "to": "group/web", "role": "rotator", "scope": scope }]);
        let rules = rules(binding, &[]).expect("rules");
        let inside = token("a", &[], &["web"]);
        let decided = rules.decide(&inside, "managed.renew", &shop());
        assert_eq!(decided.permitted, covered, "{scope}");
        assert!(rules.might(&inside, "managed.renew"), "{scope}");
        assert_eq!(rules.surely(&inside, "managed.renew"), scope == json!({}), "{scope}");
        assert!(!rules.decide(&token("web", &[], &[]), "managed.renew", &shop()).permitted);
        assert!(!rules.decide(&inside, "token.create", &shop()).permitted);
    }
}

#[test]
fn of_what_is_not_known_nothing_is_in_a_scope() {
    let scope = json!({ "owners": ["payments"] });
    let binding = json!([{ "name": "b", "to": "token/a", "role": "operator", "scope": scope }]);
    let rules = rules(binding, &[]).expect("rules");
    let a = token("a", &[], &[]);
    for resource in [Resource::all("managed"), Resource::named("managed", "shop")] {
        assert!(!rules.decide(&a, "managed.renew", &resource).permitted);
    }
}

#[test]
fn what_is_declared_in_a_scope_goes_only_where_the_scope_says() {
    let scope = json!({ "owners": ["payments"], "targets": ["edge-*"] });
    let binding = json!([{ "name": "b", "to": "token/a", "role": "operator", "scope": scope }]);
    let rules = rules(binding, &[]).expect("rules");
    let a = token("a", &[], &[]);
    assert!(rules.decide(&a, "declaration.apply", &shop()).permitted);
    let elsewhere = Resource { targets: vec!["edge-a".into(), "core".into()], ..shop() };
    assert!(!rules.decide(&a, "declaration.apply", &elsewhere).permitted);
    assert!(rules.decide(&a, "managed.renew", &elsewhere).permitted);
}

#[test]
fn what_a_policy_forbids_is_denied_whoever_else_permits_it() {
    let freeze = "forbid (principal, action == Action::\"managed.renew\", resource)
                  when { resource.owner == \"payments\" } unless { context.steppedUp };";
    let rules = rules(json!([]), &[("freeze", freeze)]).expect("rules");
    let admin = token("root", &["admin"], &[]);
    let decided = rules.decide(&admin, "managed.renew", &shop());
    assert_eq!((decided.permitted, decided.policies().collect()), (false, vec!["freeze"]));
    assert!(rules.decide(&admin, "managed.read", &shop()).permitted);
    let other = Resource { owner: None, ..shop() };
    assert!(rules.decide(&admin, "managed.renew", &other).permitted);
    assert!(
        rules
            .decide(&Subject { stepped_up: true, ..admin.clone() }, "managed.renew", &shop())
            .permitted
    );
    assert!(rules.might(&admin, "managed.renew"));
    assert!(!rules.surely(&admin, "managed.renew"), "a policy forbids some of it");
    assert!(rules.surely(&admin, "managed.read"));
}

#[test]
fn a_policy_permits_by_names_and_no_role_is_needed() {
    let permit = "permit (principal in Group::\"web\", action in [Action::\"managed.*\"], resource)
                  when { resource.within.contains(\"example.com\") };
                  forbid (principal, action, resource)
                  when { resource.touches.contains(\"pay.example.com\") };";
    let rules = rules(json!([]), &[("web", permit)]).expect("rules");
    let a = token("a", &[], &["web"]);
    let of =
        |names: &[&str]| Resource { names: names.iter().map(|n| (*n).into()).collect(), ..shop() };
    let may = |names: &[&str]| rules.decide(&a, "managed.renew", &of(names)).permitted;
    assert!(may(&["shop.example.com", "example.com"]));
    assert!(!may(&["shop.example.com", "evil.org"]));
    assert!(!may(&["shop.example.com", "x.pay.example.com"]));
    assert!(!may(&[]));
    assert!(rules.might(&a, "managed.renew") && !rules.surely(&a, "managed.renew"));
    assert!(!rules.might(&a, "token.create"));
    assert!(!rules.might(&token("a", &[], &[]), "managed.renew"));
}

#[test]
fn a_policy_that_is_wrong_is_refused_with_its_place() {
    for (text, place) in [
        ("permit (principal, action,\n resource) when { resource.ownr == \"x\" };", Some((2, 19))),
        ("permit (principal, action == Action::\"keyset.rotat\", resource);", Some((1, 30))),
        ("permit (principal, action, resource)\nwhen { resource.owner = 1 };", Some((2, 8))),
        ("permit (principal, action, resource) when { resource.owner == 3 };", Some((1, 45))),
        ("permit (principal is Local, action, resource);", Some((1, 22))),
        ("permit (principal == ?principal, action, resource);", None),
        ("", None),
    ] {
        let Err(Fault::Policy { name, why }) = rules(json!([]), &[("p", text)]) else {
            panic!("{text} was taken");
        };
        assert_eq!((name.as_str(), why.place), ("p", place), "{text}: {why}");
    }
}

#[test]
fn a_binding_that_could_not_work_is_refused() {
    for (role, scope) in [("king", json!({})), ("admin", json!({ "owners": ["a"] }))] {
        let binding = json!([{ "name": "b", "to": "token/a", "role": role, "scope": scope }]);
        assert!(matches!(rules(binding, &[]), Err(Fault::Binding { .. })), "{role}");
    }
    for to in ["a", "token/", "local/admin", "role/admin", "token/a/b"] {
        assert!(to.parse::<crate::Receiver>().is_err(), "{to}");
    }
}

#[test]
fn a_policy_that_cannot_be_evaluated_denies() {
    let overflow = "forbid (principal, action, resource)
                    when { 9223372036854775807 + 1 == 0 };";
    let rules = rules(json!([]), &[("sum", overflow)]).expect("rules");
    let decided = rules.decide(&token("root", &["admin"], &[]), "managed.read", &shop());
    assert_eq!((decided.permitted, decided.reasons), (false, vec![Reason::Failed("sum".into())]));
}

#[test]
fn a_decision_takes_microseconds() {
    let bindings: Vec<_> = (0..200)
        .map(|n| {
            json!({ "name": format!("b{n}"), "to": format!("group/g{n}"), "role": "rotator",
                    "scope": { "owners": [format!("o{n}")], "names": [format!("*.n{n}.example.com")] } })
        })
        .collect();
    let policy = "forbid (principal, action == Action::\"keyset.rotate\", resource)
                  when { resource.owner == \"x\" };";
    let names: Vec<_> = (0..20).map(|n| format!("p{n}")).collect();
    let policies: Vec<_> = names.iter().map(|name| (name.as_str(), policy)).collect();
    let rules = rules(json!(bindings), &policies).expect("rules");
    let a = token("a", &["viewer"], &["g7", "g9"]);
    let shop = shop();
    let begun = Instant::now();
    let times: u32 = 2000;
    for _ in 0..times {
        assert!(rules.decide(&a, "managed.read", &shop).permitted);
    }
    let each = begun.elapsed() / times;
    println!("a decision by 200 bindings and 20 policies takes {each:?}");
    assert!(each.as_millis() < 20, "{each:?}");
}
