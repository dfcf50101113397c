//! Requests for names (RFC 8555 §7.4, RFC 8738, RFC 9773 §5).

use acme::request::{DEFAULT_MAX_IDENTIFIERS, NewAuthorization, NewOrder};
use acme::{Problem, ProblemType};
use serde_json::{Value, json};

fn parse(payload: &Value) -> Result<NewOrder, Problem> {
    NewOrder::parse(payload.to_string().as_bytes(), DEFAULT_MAX_IDENTIFIERS)
}

fn names(values: &[(&str, &str)]) -> Value {
    let identifiers: Vec<_> =
        values.iter().map(|(kind, value)| json!({"type": kind, "value": value})).collect();
    json!({"identifiers": identifiers})
}

#[test]
fn names_and_addresses_are_read_once_each_and_lowered() {
    let order = parse(&names(&[
        ("dns", "WWW.Example.com"),
        ("dns", "*.example.com"),
        ("ip", "192.0.2.1"),
        ("dns", "www.example.com"),
        ("ip", "2001:db8::1"),
    ]))
    .expect("valid");
    let names: Vec<_> = order.identifiers.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["www.example.com", "*.example.com", "192.0.2.1", "2001:db8::1"]);
}

#[test]
fn one_bad_identifier_is_named_in_a_subproblem() {
    for (kind, value, problem_type) in [
        ("dns", "", ProblemType::Malformed),
        ("dns", "a_b.example", ProblemType::Malformed),
        ("dns", "example.com.", ProblemType::Malformed),
        ("dns", "*.*.example.com", ProblemType::Malformed),
        ("dns", "bücher.example", ProblemType::Malformed),
        ("dns", "192.0.2.1", ProblemType::Malformed),
        ("dns", "::1", ProblemType::Malformed),
        ("ip", "example.com", ProblemType::Malformed),
        ("ip", "192.0.2.01", ProblemType::Malformed),
        ("ip", "192.0.2", ProblemType::Malformed),
        ("ip", "2001:DB8::1", ProblemType::Malformed),
        ("ip", "2001:db8:0:0:0:0:0:1", ProblemType::Malformed),
        ("ip", "[::1]", ProblemType::Malformed),
        ("ip", "fe80::1%eth0", ProblemType::Malformed),
        ("ip", "::ffff:192.0.2.1", ProblemType::Malformed),
        ("email", "a@example.com", ProblemType::UnsupportedIdentifier),
        ("DNS", "example.com", ProblemType::UnsupportedIdentifier),
    ] {
        let problem = parse(&names(&[("dns", "good.example"), (kind, value)])).expect_err(value);
        assert_eq!(problem.kind, problem_type, "{value}");
        assert_eq!(problem.identifier, None, "RFC 8555 §6.7.1");
        assert_eq!(problem.subproblems.len(), 1);
        let identifier = problem.subproblems[0].identifier.as_ref().expect("named");
        assert_eq!((identifier.kind.as_str(), identifier.value.as_str()), (kind, value));
    }
}

#[test]
fn several_bad_identifiers_are_a_compound_problem() {
    let problem = parse(&names(&[("dns", "-"), ("dns", "good.example"), ("email", "x")]));
    let problem = problem.expect_err("refused");
    assert_eq!(problem.kind, ProblemType::Compound);
    let kinds: Vec<_> = problem.subproblems.iter().map(|one| one.kind).collect();
    assert_eq!(kinds, [ProblemType::Malformed, ProblemType::UnsupportedIdentifier]);
}

#[test]
fn what_is_echoed_of_a_bad_identifier_is_short() {
    let problem = parse(&names(&[("x".repeat(5000).as_str(), "y".repeat(5000).as_str())]));
    let document = serde_json::to_string(&problem.expect_err("refused")).expect("json");
    assert!(document.len() < 2000, "{}", document.len());
}

#[test]
fn the_number_of_identifiers_is_bounded() {
    assert_eq!(parse(&names(&[])).expect_err("none").kind, ProblemType::Malformed);
    let hosts: Vec<_> = (0..=DEFAULT_MAX_IDENTIFIERS).map(|i| format!("h{i}.example")).collect();
    let all: Vec<_> = hosts.iter().map(|host| ("dns", host.as_str())).collect();
    assert!(parse(&names(&all[1..])).is_ok());
    assert_eq!(parse(&names(&all)).expect_err("too many").kind, ProblemType::Malformed);
}

#[test]
fn dates_are_rfc_3339() {
    let with = |from: Value, to: Value| {
        let mut payload = names(&[("dns", "a.example")]);
        payload["notBefore"] = from;
        payload["notAfter"] = to;
        parse(&payload)
    };
    let order = with(json!("2026-01-02T03:04:05Z"), json!("2026-01-02t05:04:05.5+01:00"));
    let order = order.expect("valid");
    assert_eq!(order.not_before.expect("given").as_second(), 1_767_323_045);
    assert_eq!(order.not_after.expect("given").as_millisecond(), 1_767_326_645_500);
    assert!(with(Value::Null, Value::Null).is_ok());
    for bad in [
        "",
        "2026-01-02",
        "2026-01-02T03:04:05",
        "2026-01-02 03:04:05Z",
        "20260102T030405Z",
        "2026-13-02T03:04:05Z",
        "2026-02-30T03:04:05Z",
        "2026-01-02T03:04Z",
        "2026-01-02T03:04:05.Z",
        "2026-01-02T03:04:05+0100",
        "2026-01-02T03:04:05Z[UTC]",
        "2026-01-02T25:04:05Z",
        "+2026-01-02T03:04:05Z",
        "2026-01-02T03:04:0éZ",
    ] {
        let problem = with(json!(bad), Value::Null).expect_err(bad);
        assert_eq!(problem.kind, ProblemType::Malformed, "{bad}");
    }
    assert!(with(json!(1), Value::Null).is_err());
    let same = json!("2026-01-02T03:04:05Z");
    assert!(with(same.clone(), same).is_err());
}

#[test]
fn profile_and_replaces_are_read() {
    let mut payload = names(&[("dns", "a.example")]);
    payload["profile"] = json!("short");
    payload["replaces"] = json!("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
    payload["unknown"] = json!({"is": "ignored"});
    let order = parse(&payload).expect("valid");
    assert_eq!(order.profile.as_deref(), Some("short"));
    assert_eq!(order.replaces.expect("given").serial, [0, 0x87, 0x65, 0x43, 0x21]);
    payload["replaces"] = json!("nonsense");
    assert_eq!(parse(&payload).expect_err("nonsense").kind, ProblemType::Malformed);
    payload["replaces"] = Value::Null;
    payload["profile"] = json!("x".repeat(65));
    assert_eq!(parse(&payload).expect_err("long").kind, ProblemType::InvalidProfile);
}

#[test]
fn identifiers_are_objects() {
    for bad in [
        json!({}),
        json!({"identifiers": {}}),
        json!({"identifiers": ["a.example"]}),
        json!({"identifiers": [["dns", "a.example"]]}),
        json!({"identifiers": [{"type": "dns"}]}),
        json!({"identifiers": [{"type": "dns", "value": 1}]}),
    ] {
        assert_eq!(parse(&bad).expect_err("refused").kind, ProblemType::Malformed, "{bad}");
    }
}

#[test]
fn an_authorization_ahead_of_an_order_is_for_one_plain_name() {
    let new = |kind: &str, value: &str| {
        let payload = json!({"identifier": {"type": kind, "value": value}});
        NewAuthorization::parse(payload.to_string().as_bytes()).map_err(|problem| problem.kind)
    };
    assert_eq!(new("dns", "A.example").expect("valid").identifier.to_string(), "a.example");
    assert!(new("ip", "192.0.2.1").is_ok());
    assert_eq!(new("dns", "*.a.example"), Err(ProblemType::Malformed));
    assert_eq!(new("uri", "x:y"), Err(ProblemType::UnsupportedIdentifier));
    assert!(NewAuthorization::parse(b"{}").is_err());
}
