//! TXT lookups: dns-01 and its siblings.

use std::time::{Duration, Instant};

use acme::ProblemType;
use acme::challenge::dns_value;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::TXT;
use hickory_resolver::proto::rr::{RData, RecordType};

use super::nameserver::{NameServer, Reply};
use super::{Settings, expected, settings, validator};

const NAME: &str = "_acme-challenge.a.test";

/// What the record must hold.
fn wanted() -> String {
    dns_value(&expected())
}

#[tokio::test]
async fn one_matching_record_among_several_is_proof() {
    let dns = NameServer::start().await;
    dns.txt(NAME, &[&["other"], &[&wanted()], &["third"]]);
    let validator = validator(settings(Some(dns.address)));
    let proof = validator.dns_txt(NAME, &expected()).await.expect("valid");
    assert_eq!(proof.address, None);
    assert!(proof.seen.contains(NAME) && proof.seen.contains("3 TXT"), "{}", proof.seen);
    assert_eq!(validator.txt(NAME).await.expect("values").len(), 3);
}

#[tokio::test]
async fn the_strings_of_one_record_are_joined_and_records_are_not() {
    let dns = NameServer::start().await;
    let wanted = wanted();
    let (one, two) = wanted.split_at(20);
    let validator = validator(settings(Some(dns.address)));
    dns.txt(NAME, &[&[one, two], &["three"]]);
    validator.dns_txt(NAME, &expected()).await.expect("valid");
    for apart in [&[&[one][..], &[two]][..], &[&[one, two, "three"]], &[&[one, two, " "]]] {
        dns.txt(NAME, apart);
        validator.dns_txt(NAME, &expected()).await.expect_err("not joined");
    }
}

#[tokio::test]
async fn wrong_values_are_shown() {
    let dns = NameServer::start().await;
    dns.txt(NAME, &[&["stale\u{7}"]]);
    let failure =
        validator(settings(Some(dns.address))).dns_txt(NAME, &expected()).await.expect_err("fails");
    assert_eq!(failure.kind, ProblemType::IncorrectResponse);
    assert!(
        failure.detail.contains("\"stale\\u{7}\"") && failure.detail.contains(&wanted()),
        "{failure}"
    );
}

#[tokio::test]
async fn aliases_are_followed_over_several_answers() {
    let dns = NameServer::start().await;
    dns.cname(NAME, "x.delegated.test").cname("x.delegated.test", "y.delegated.test");
    dns.txt("y.delegated.test", &[&[&wanted()]]);
    let validator = validator(settings(Some(dns.address)));
    let proof = validator.dns_txt(NAME, &expected()).await.expect("valid");
    assert!(proof.seen.contains("CNAME to y.delegated.test"), "{}", proof.seen);
    dns.cname("dangling.test", "nowhere.test");
    let failure = validator.dns_txt("dangling.test", &expected()).await.expect_err("fails");
    assert_eq!(failure.kind, ProblemType::Dns);
    dns.cname("round.test", "round.test");
    assert!(validator.txt("round.test").await.is_err());
}

#[tokio::test]
async fn a_changed_record_is_seen_at_once() {
    let dns = NameServer::start().await;
    let validator = validator(settings(Some(dns.address)));
    assert!(validator.txt(NAME).await.is_err());
    for value in ["first", "second"] {
        dns.txt(NAME, &[&[value]]);
        assert_eq!(validator.txt(NAME).await.expect("values"), [value]);
    }
}

#[tokio::test]
async fn what_dns_says_is_told_apart() {
    let dns = NameServer::start().await;
    dns.a("bare.test", "127.0.0.1")
        .set("bad.test", RecordType::TXT, Reply::Error(ResponseCode::ServFail))
        .set("no.test", RecordType::TXT, Reply::Error(ResponseCode::Refused));
    let validator = validator(settings(Some(dns.address)));
    for (name, wanted) in [
        ("none.test", "NXDOMAIN"),
        ("bare.test", "exists in DNS but has no TXT record"),
        ("bad.test", "SERVFAIL"),
        ("no.test", "REFUSED"),
    ] {
        let failure = validator.txt(name).await.expect_err(name);
        assert_eq!(failure.kind, ProblemType::Dns);
        assert!(failure.detail.contains(wanted) && failure.detail.contains(name), "{failure}");
    }
}

#[tokio::test]
async fn silence_ends_with_the_deadline() {
    let dns = NameServer::start().await;
    dns.set(NAME, RecordType::TXT, Reply::Silence);
    let settings = Settings { timeout: Duration::from_secs(1), ..settings(Some(dns.address)) };
    let began = Instant::now();
    let failure = validator(settings).txt(NAME).await.expect_err("silence");
    assert!(began.elapsed() < Duration::from_millis(1500));
    assert_eq!(failure.kind, ProblemType::Dns);
    assert!(failure.detail.contains("did not answer in time"), "{failure}");
}

#[tokio::test]
async fn a_truncated_answer_is_asked_for_again_over_tcp() {
    let dns = NameServer::start().await;
    let long = |n| RData::TXT(TXT::new(vec![format!("{n:0>200}")]));
    dns.set(NAME, RecordType::TXT, Reply::Long((0..40).map(long).collect()));
    let validator = validator(settings(Some(dns.address)));
    assert_eq!(validator.txt(NAME).await.expect("values").len(), 40);
}

#[tokio::test]
async fn names_are_absolute_and_their_case_does_not_matter() {
    let dns = NameServer::start().await;
    dns.txt(NAME, &[&[&wanted()]]);
    let settings = Settings { case_randomization: Some(true), ..settings(Some(dns.address)) };
    validator(settings).dns_txt("_ACME-challenge.A.test", &expected()).await.expect("valid");
    assert!(dns.asked().iter().all(|(name, _)| name == NAME), "{:?}", dns.asked());
}

#[tokio::test]
async fn a_second_resolver_stands_in_for_a_dead_one() {
    let (dead, dns) = (NameServer::start().await, NameServer::start().await);
    dead.set(NAME, RecordType::TXT, Reply::Silence);
    dns.txt(NAME, &[&[&wanted()]]);
    let settings = Settings { resolvers: vec![dead.address, dns.address], ..settings(None) };
    validator(settings).dns_txt(NAME, &expected()).await.expect("valid");
}

#[tokio::test]
async fn many_lookups_at_once_all_succeed() {
    let dns = NameServer::start().await;
    let validator = validator(settings(Some(dns.address)));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..300 {
        let name = format!("n{n}.test");
        dns.txt(&name, &[&[&wanted()]]);
        let validator = validator.clone();
        tasks.spawn(async move { validator.dns_txt(&name, &expected()).await });
    }
    for result in tasks.join_all().await {
        result.expect("valid");
    }
}
