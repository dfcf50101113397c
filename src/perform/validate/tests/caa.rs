//! CAA lookups: the climb, and what must not count as permission.

use acme::ProblemType;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::CAA;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::nameserver::{NameServer, Reply};
use super::{settings, validator};

fn issue(issuer: &str) -> RData {
    let issuer = Name::from_ascii(issuer).expect("name");
    RData::CAA(CAA::new_issue(true, Some(issuer), Vec::new()))
}

fn name(text: &str) -> ca::DnsName {
    ca::DnsName::parse(text).expect("name")
}

#[tokio::test]
async fn the_closest_record_set_is_relevant() {
    let dns = NameServer::start().await;
    dns.set("example.test", RecordType::CAA, Reply::Data(vec![issue("far.test")]));
    dns.set("b.example.test", RecordType::CAA, Reply::Data(vec![issue("near.test")]));
    let validator = validator(settings(Some(dns.address)));
    for (asked, at, value) in [
        ("a.b.example.test", "b.example.test", "near.test"),
        ("*.b.example.test", "b.example.test", "near.test"),
        ("c.d.example.test", "example.test", "far.test"),
        ("example.test", "example.test", "far.test"),
    ] {
        let found = validator.caa(&name(asked)).await.expect("found");
        assert_eq!(found.name.as_deref(), Some(at), "{asked}");
        let [record] = found.records.as_slice() else { panic!("one record") };
        assert_eq!((record.tag.as_str(), record.value.as_str()), ("issue", value));
    }
}

#[tokio::test]
async fn the_climb_ends_below_the_root() {
    let dns = NameServer::start().await;
    let validator = validator(settings(Some(dns.address)));
    let found = validator.caa(&name("a.b.test")).await.expect("nothing forbids");
    assert_eq!((found.name, found.records.len()), (None, 0));
    let asked: Vec<_> = dns.asked().into_iter().map(|(name, _)| name).collect();
    assert_eq!(asked, ["a.b.test", "b.test", "test"]);
    dns.set("test", RecordType::CAA, Reply::Data(vec![issue("top.test")]));
    let found = validator.caa(&name("a.b.test")).await.expect("found");
    assert_eq!(found.name.as_deref(), Some("test"));
}

#[tokio::test]
async fn an_alias_is_followed_but_its_ancestors_are_not_climbed() {
    let dns = NameServer::start().await;
    dns.cname("a.example.test", "host.cdn.test").cname("b.example.test", "bare.cdn.test");
    dns.set("host.cdn.test", RecordType::CAA, Reply::Data(vec![issue("cdn.test")]));
    dns.set("cdn.test", RecordType::CAA, Reply::Data(vec![issue("never.test")]));
    dns.set("example.test", RecordType::CAA, Reply::Data(vec![issue("own.test")]));
    dns.a("bare.cdn.test", "127.0.0.1");
    let validator = validator(settings(Some(dns.address)));
    let found = validator.caa(&name("a.example.test")).await.expect("found");
    assert_eq!(
        (found.name.as_deref(), found.records[0].value.as_str()),
        (Some("a.example.test"), "cdn.test")
    );
    let found = validator.caa(&name("b.example.test")).await.expect("found");
    assert_eq!(
        (found.name.as_deref(), found.records[0].value.as_str()),
        (Some("example.test"), "own.test")
    );
}

#[tokio::test]
async fn a_failed_lookup_is_never_permission() {
    let dns = NameServer::start().await;
    dns.set("bad.test", RecordType::CAA, Reply::Error(ResponseCode::ServFail));
    dns.set("refused.test", RecordType::CAA, Reply::Error(ResponseCode::Refused));
    dns.set("odd.test", RecordType::CAA, Reply::Error(ResponseCode::Unknown(11)));
    let validator = validator(settings(Some(dns.address)));
    for (asked, wanted) in [
        ("bad.test", "SERVFAIL"),
        ("a.bad.test", "SERVFAIL"),
        ("refused.test", "REFUSED"),
        ("odd.test", "11"),
    ] {
        let failure = validator.caa(&name(asked)).await.expect_err(asked);
        assert_eq!(failure.kind, ProblemType::Dns);
        assert!(failure.detail.contains(wanted) && failure.detail.contains("CAA"), "{failure}");
    }
}

#[tokio::test]
async fn special_names_ask_nobody() {
    let dns = NameServer::start().await;
    let validator = validator(settings(Some(dns.address)));
    let found = validator.caa(&name("a.localhost")).await.expect("nothing");
    assert_eq!(found.name, None);
    assert!(dns.asked().is_empty(), "{:?}", dns.asked());
}
