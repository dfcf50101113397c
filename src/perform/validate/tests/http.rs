//! http-01 without redirects.

use std::time::{Duration, Instant};

use acme::ProblemType;
use hickory_resolver::proto::rr::RecordType;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::nameserver::NameServer;
use super::web::{Web, response};
use super::{AUTHORIZATION, Settings, TOKEN, Validator, expected, id, settings, validator};
use crate::perform::validate::Failure;

fn at(port: u16) -> Validator {
    validator(Settings { http_port: port, ..settings(None) })
}

async fn failure(web: &Web) -> Failure {
    at(web.port()).http_01(&id("localhost"), &expected()).await.expect_err("fails")
}

#[tokio::test]
async fn the_right_answer_is_proof_and_says_where_it_was_seen() {
    let web = Web::start(|_| response("200 OK", &format!("{AUTHORIZATION}\r\n  "))).await;
    let proof = at(web.port()).http_01(&id("localhost"), &expected()).await.expect("valid");
    assert_eq!(proof.address, Some(web.address));
    assert!(proof.seen.contains(TOKEN) && proof.seen.contains("localhost"), "{}", proof.seen);
    let port = web.port();
    let head = web.heads().remove(0).to_ascii_lowercase();
    let path = format!("get /.well-known/acme-challenge/{} http/1.1", TOKEN.to_ascii_lowercase());
    for wanted in [
        path.as_str(),
        &format!("host: localhost:{port}\r\n"),
        "user-agent: perennial\r\n",
        "accept: */*\r\n",
        "connection: close\r\n",
    ] {
        assert!(head.contains(wanted), "{wanted} is not in {head}");
    }
}

#[tokio::test]
async fn a_name_in_dns_costs_one_query_per_family() {
    let dns = NameServer::start().await;
    dns.a("a.test", "127.0.0.1");
    let web = Web::start(|_| response("200 OK", AUTHORIZATION)).await;
    let settings = Settings { http_port: web.port(), ..settings(Some(dns.address)) };
    validator(settings).http_01(&id("a.test"), &expected()).await.expect("valid");
    let mut asked = dns.asked();
    asked.sort();
    let name = "a.test".to_owned();
    assert_eq!(asked, [(name.clone(), RecordType::A), (name, RecordType::AAAA)]);
}

#[tokio::test]
async fn addresses_are_identifiers_too() {
    let web = Web::start(|_| response("200 OK", AUTHORIZATION)).await;
    let validator = at(web.port());
    validator.http_01(&id("127.0.0.1"), &expected()).await.expect("valid");
    let six = Web::bind("[::1]:0", None, |_| response("200 OK", AUTHORIZATION)).await;
    at(six.port()).http_01(&id("::1"), &expected()).await.expect("valid");
    let host = format!("host: [::1]:{}\r\n", six.port());
    assert!(six.heads()[0].contains(&host), "{}", six.heads()[0]);
}

#[tokio::test]
async fn the_wrong_body_is_told_of_and_not_shown() {
    for status in ["200 OK", "403 Forbidden"] {
        let web = Web::start(move |_| response(status, "a secret")).await;
        let failure = failure(&web).await;
        assert_eq!(failure.kind, ProblemType::IncorrectResponse);
        assert!(!failure.detail.contains("secret"), "{failure}");
        assert!(failure.detail.contains(&web.address.to_string()), "{failure}");
    }
}

#[tokio::test]
async fn a_prefix_or_an_empty_body_is_not_the_key_authorization() {
    for body in [
        String::new(),
        AUTHORIZATION[..80].into(),
        format!("{AUTHORIZATION}x"),
        format!(" {AUTHORIZATION}"),
        AUTHORIZATION.to_ascii_lowercase(),
    ] {
        let web = Web::start(move |_| response("200 OK", &body)).await;
        assert_eq!(failure(&web).await.kind, ProblemType::IncorrectResponse);
    }
}

#[tokio::test]
async fn another_status_is_no_proof_even_with_the_right_body() {
    for status in
        ["404 Not Found", "201 Created", "206 Partial Content", "500 Oops", "303 See Other"]
    {
        let web = Web::start(move |_| response(status, AUTHORIZATION)).await;
        let failure = failure(&web).await;
        assert_eq!(failure.kind, ProblemType::IncorrectResponse);
        let code = status.split(' ').next().expect("code");
        assert!(
            failure.detail.contains(&format!("{}: the answer has status {code}", web.address)),
            "{failure}"
        );
    }
}

#[tokio::test]
async fn a_huge_body_is_cut() {
    let web =
        Web::start(|_| response("200 OK", &format!("{AUTHORIZATION}{}", " ".repeat(1 << 20))))
            .await;
    let failure = failure(&web).await;
    assert_eq!(failure.kind, ProblemType::IncorrectResponse);
    assert!(failure.detail.contains("longer than"), "{failure}");
}

#[tokio::test]
async fn a_huge_head_is_cut() {
    let web = Web::start(|_| {
        format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(1 << 20)).into_bytes()
    })
    .await;
    assert_eq!(failure(&web).await.kind, ProblemType::Connection);
}

#[tokio::test]
async fn what_is_not_http_is_a_connection_failure() {
    let web = Web::start(|_| b"220 mail.test ESMTP\r\n".to_vec()).await;
    let failure = failure(&web).await;
    assert_eq!(failure.kind, ProblemType::Connection);
    assert!(failure.detail.contains(&web.address.to_string()), "{failure}");
    let silent = Web::start(|_| Vec::new()).await;
    assert_eq!(super::http::failure(&silent).await.kind, ProblemType::Connection);
}

#[tokio::test]
async fn a_slow_drip_ends_with_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accept");
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n").await;
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let settings = Settings { http_port: port, timeout: Duration::from_secs(1), ..settings(None) };
    let began = Instant::now();
    let failure =
        validator(settings).http_01(&id("127.0.0.1"), &expected()).await.expect_err("fails");
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(failure.kind, ProblemType::Connection);
    assert!(failure.detail.contains("not done within 1s"), "{failure}");
}

#[tokio::test]
async fn a_refused_connection_names_every_address_tried() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    drop(listener);
    let failure = at(port).http_01(&id("localhost"), &expected()).await.expect_err("fails");
    assert_eq!(failure.kind, ProblemType::Connection);
    for wanted in [format!("[::1]:{port}"), format!("127.0.0.1:{port}"), "refused".into()] {
        assert!(failure.detail.contains(&wanted), "{failure}");
    }
}

#[tokio::test]
async fn ipv6_is_tried_first_and_ipv4_when_it_fails() {
    let dns = NameServer::start().await;
    dns.a("both.test", "127.0.0.1").aaaa("both.test", "::1");
    let four = Web::start(|_| response("200 OK", AUTHORIZATION)).await;
    let settings = Settings { http_port: four.port(), ..settings(Some(dns.address)) };
    let validator = validator(settings);
    let only_four = validator.http_01(&id("both.test"), &expected()).await;
    assert_eq!(only_four.expect("valid").address, Some(four.address));
    let six = format!("[::1]:{}", four.port());
    let six = Web::bind(&six, None, |_| response("200 OK", AUTHORIZATION)).await;
    let both = validator.http_01(&id("both.test"), &expected()).await;
    assert_eq!(both.expect("valid").address, Some(six.address));
}

#[tokio::test]
async fn addresses_the_rules_refuse_are_never_connected_to() {
    let dns = NameServer::start().await;
    dns.a("meta.test", "169.254.169.254").a("loop.test", "127.0.0.1");
    let web = Web::start(|_| response("200 OK", AUTHORIZATION)).await;
    let strict = Settings { http_port: web.port(), loopback: false, ..settings(Some(dns.address)) };
    let strict = validator(strict);
    for name in ["meta.test", "loop.test", "localhost", "127.0.0.1", "169.254.169.254", "::1"] {
        let failure = strict.http_01(&id(name), &expected()).await.expect_err("refused");
        assert_eq!(failure.kind, ProblemType::Connection, "{name}");
        assert!(failure.detail.contains("is not connected to"), "{failure}");
    }
    assert!(web.heads().is_empty());
}

#[tokio::test]
async fn a_name_without_addresses_is_a_dns_failure() {
    let dns = NameServer::start().await;
    dns.txt("bare.test", &[&["x"]]);
    let validator = validator(settings(Some(dns.address)));
    for (name, wanted) in [("none.test", "NXDOMAIN"), ("bare.test", "no A or AAAA")] {
        let failure = validator.http_01(&id(name), &expected()).await.expect_err("fails");
        assert_eq!(failure.kind, ProblemType::Dns);
        assert!(failure.detail.contains(wanted) && failure.detail.contains(name), "{failure}");
    }
}

#[tokio::test]
async fn a_wildcard_cannot_be_proven_here() {
    let validator = validator(settings(None));
    let failure = validator.http_01(&id("*.a.test"), &expected()).await.expect_err("fails");
    assert_eq!(failure.kind, ProblemType::Malformed);
    let failure = validator.tls_alpn_01(&id("*.a.test"), &expected()).await.expect_err("fails");
    assert_eq!(failure.kind, ProblemType::Malformed);
}
