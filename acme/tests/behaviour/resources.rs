//! What leaves, to the letter (RFC 8555 §7.1, RFC 9773 §4.2, RFC 7807).

use acme::ari::Window;
use acme::authorization::{AuthorizationStatus, ChallengeStatus};
use acme::order::OrderStatus;
use acme::request::Contact;
use acme::resource::{
    Account, AccountStatus, Authorization, Challenge, Directory, Meta, Order, OrdersList,
    RenewalInfo,
};
use acme::{ChallengeType, Identifier, Problem, ProblemType};
use jiff::{SignedDuration, Timestamp};
use serde_json::{json, to_value};

fn dns(name: &str) -> Identifier {
    Identifier { kind: "dns".into(), value: name.into() }
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("test instant")
}

#[test]
fn a_directory_says_only_what_there_is() {
    let url = |path: &str| format!("https://ca.example/acme/{path}");
    let mut directory = Directory {
        new_nonce: url("new-nonce"),
        new_account: url("new-account"),
        new_order: url("new-order"),
        new_authz: None,
        revoke_cert: url("revoke-cert"),
        key_change: url("key-change"),
        renewal_info: None,
        meta: Meta::default(),
    };
    let plain = json!({
        "newNonce": url("new-nonce"), "newAccount": url("new-account"),
        "newOrder": url("new-order"), "revokeCert": url("revoke-cert"),
        "keyChange": url("key-change"), "meta": {},
    });
    assert_eq!(to_value(&directory).expect("json"), plain);
    directory.new_authz = Some(url("new-authz"));
    directory.renewal_info = Some(url("renewal-info"));
    directory.meta = Meta {
        terms_of_service: Some(url("terms")),
        website: Some(url("")),
        caa_identities: vec!["ca.example".into()],
        external_account_required: true,
        profiles: [("default".to_owned(), "90 days".to_owned())].into(),
        issuer_domain_names: vec!["ca.example".into()],
        account_hash_prefix: Some(url("account-hash/")),
    };
    let mut full = plain;
    full["newAuthz"] = json!(url("new-authz"));
    full["renewalInfo"] = json!(url("renewal-info"));
    full["meta"] = json!({
        "termsOfService": url("terms"), "website": url(""), "caaIdentities": ["ca.example"],
        "externalAccountRequired": true, "profiles": {"default": "90 days"},
        "issuerDomainNames": ["ca.example"], "accountHashPrefix": url("account-hash/"),
    });
    assert_eq!(to_value(&directory).expect("json"), full);
}

#[test]
fn accounts_orders_and_authorizations() {
    let account = Account {
        status: AccountStatus::Valid,
        contact: vec![Contact::parse("mailto:a@example.org").expect("contact")],
        terms_of_service_agreed: true,
        external_account_binding: None,
        orders: "https://ca.example/orders/1".into(),
    };
    assert_eq!(
        to_value(&account).expect("json"),
        json!({"status": "valid", "contact": ["mailto:a@example.org"],
            "termsOfServiceAgreed": true, "orders": "https://ca.example/orders/1"})
    );
    assert_eq!(to_value(OrdersList::default()).expect("json"), json!({"orders": []}));
    let order = Order {
        status: OrderStatus::Ready,
        expires: at("2026-01-05T14:09:07.99Z"),
        identifiers: vec![dns("www.example.org")],
        not_before: Some(at("2026-01-01T00:00:00Z")),
        not_after: None,
        profile: Some("default".into()),
        replaces: None,
        error: None,
        authorizations: vec!["https://ca.example/authz/1".into()],
        finalize: "https://ca.example/order/1/finalize".into(),
        certificate: None,
    };
    assert_eq!(
        to_value(&order).expect("json"),
        json!({"status": "ready", "expires": "2026-01-05T14:09:07Z",
            "identifiers": [{"type": "dns", "value": "www.example.org"}],
            "notBefore": "2026-01-01T00:00:00Z", "profile": "default",
            "authorizations": ["https://ca.example/authz/1"],
            "finalize": "https://ca.example/order/1/finalize"})
    );
}

#[test]
fn an_authorization_with_its_challenges() {
    let challenge = |kind| Challenge {
        kind,
        url: "https://ca.example/chall/1".into(),
        status: ChallengeStatus::Pending,
        token: None,
        issuer_domain_names: vec![],
        issuer_domain_names_01: vec![],
        validated: None,
        error: None,
    };
    let authorization = Authorization {
        identifier: dns("example.org"),
        status: AuthorizationStatus::Pending,
        expires: at("2026-01-02T14:09:30Z"),
        challenges: vec![
            Challenge {
                token: Some("DGyRejmCefe7v4NfDGDKfA".into()),
                status: ChallengeStatus::Processing,
                error: Some(Problem::new(ProblemType::Connection, "refused")),
                ..challenge(ChallengeType::Http01)
            },
            Challenge {
                issuer_domain_names: vec!["ca.example".into()],
                validated: Some(at("2026-01-02T14:00:00Z")),
                ..challenge(ChallengeType::DnsPersist01)
            },
        ],
        wildcard: true,
    };
    assert_eq!(
        to_value(&authorization).expect("json"),
        json!({"identifier": {"type": "dns", "value": "example.org"}, "status": "pending",
            "expires": "2026-01-02T14:09:30Z", "wildcard": true, "challenges": [
            {"type": "http-01", "url": "https://ca.example/chall/1", "status": "processing",
             "token": "DGyRejmCefe7v4NfDGDKfA", "error": {
                "type": "urn:ietf:params:acme:error:connection", "detail": "refused",
                "status": 400}},
            {"type": "dns-persist-01", "url": "https://ca.example/chall/1", "status": "pending",
             "issuerDomainNames": ["ca.example"], "validated": "2026-01-02T14:00:00Z"}]})
    );
}

#[test]
fn an_authorization_names_the_base_of_a_wildcard() {
    let of = |text| Identifier::of_authorization(&ca::Identifier::parse(text).expect("test name"));
    assert_eq!(of("*.example.org"), dns("example.org"));
    assert_eq!(of("example.org"), dns("example.org"));
    assert_eq!(of("::1"), Identifier { kind: "ip".into(), value: "::1".into() });
}

#[test]
fn renewal_information() {
    let info = RenewalInfo {
        suggested_window: Window {
            start: at("2025-01-02T04:00:00Z"),
            end: at("2025-01-03T04:00:00Z"),
        },
        explanation_url: Some("https://ca.example/why".into()),
    };
    assert_eq!(
        to_value(&info).expect("json"),
        json!({"suggestedWindow": {"start": "2025-01-02T04:00:00Z", "end": "2025-01-03T04:00:00Z"},
            "explanationURL": "https://ca.example/why"})
    );
}

#[test]
fn a_problem_document() {
    let one = Problem::new(ProblemType::RejectedIdentifier, "no").about(dns("a.example"));
    let two = Problem::malformed("what").about(dns("-"));
    let problem = Problem::from_subproblems(vec![one.clone(), two])
        .expect("two")
        .with_retry_after(SignedDuration::from_secs(5));
    assert_eq!(
        to_value(&problem).expect("json"),
        json!({"type": "urn:ietf:params:acme:error:compound", "status": 400,
            "detail": "2 identifiers are refused: see the subproblems", "subproblems": [
            {"type": "urn:ietf:params:acme:error:rejectedIdentifier", "detail": "no",
             "status": 400, "identifier": {"type": "dns", "value": "a.example"}},
            {"type": "urn:ietf:params:acme:error:malformed", "detail": "what", "status": 400,
             "identifier": {"type": "dns", "value": "-"}}]})
    );
    let stored = serde_json::to_string(&one).expect("json");
    assert_eq!(serde_json::from_str::<Problem>(&stored).expect("reads back"), one);
    assert_eq!(Problem::from_subproblems(vec![]), None);
}
