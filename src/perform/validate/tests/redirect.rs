//! http-01 with redirects: where they may lead and where not.

use acme::ProblemType;

use super::nameserver::NameServer;
use super::web::{Web, banner, redirect, response};
use super::{AUTHORIZATION, Settings, expected, id, settings, validator};
use crate::perform::validate::{Failure, Proof};

/// Validates `name` with `web` at the http port and `tls` at the https port.
async fn validate(
    name: &str,
    dns: &NameServer,
    web: &Web,
    tls: Option<&Web>,
) -> Result<Proof, Failure> {
    let settings = Settings {
        http_port: web.port(),
        tls_port: tls.map_or(443, Web::port),
        ..settings(Some(dns.address))
    };
    validator(settings).http_01(&id(name), &expected()).await
}

async fn zone() -> NameServer {
    let dns = NameServer::start().await;
    dns.a("a.test", "127.0.0.1").a("b.test", "127.0.0.1").a("meta.test", "169.254.169.254");
    dns
}

/// `/.well-known/...` leads to `/10`, that to `/9`, and `/1` answers: that many redirects in all.
fn chain(length: usize) -> impl Fn(&str) -> Vec<u8> {
    move |path| match path.trim_start_matches('/').parse::<usize>() {
        Ok(1) => response("200 OK", AUTHORIZATION),
        Ok(left) => redirect(&format!("/{}", left - 1)),
        Err(_) => redirect(&format!("/{length}")),
    }
}

#[tokio::test]
async fn ten_redirects_are_followed_and_eleven_are_not() {
    let dns = zone().await;
    let web = Web::start(chain(10)).await;
    let proof = validate("a.test", &dns, &web, None).await.expect("valid");
    assert!(proof.seen.contains("after 10 redirect"), "{}", proof.seen);
    let web = Web::start(chain(11)).await;
    let failure = validate("a.test", &dns, &web, None).await.expect_err("too many");
    assert_eq!(failure.kind, ProblemType::IncorrectResponse);
    assert!(failure.detail.contains("more than 10 redirects"), "{failure}");
    assert_eq!(web.heads().len(), 11);
}

#[tokio::test]
async fn fewer_redirects_are_followed_where_fewer_are_wanted() {
    let dns = zone().await;
    let web = Web::start(chain(1)).await;
    let http_port = web.port();
    for (redirects, followed) in [(1, true), (0, false)] {
        let settings = Settings { http_port, redirects, ..settings(Some(dns.address)) };
        let outcome = validator(settings).http_01(&id("a.test"), &expected()).await;
        assert_eq!(outcome.is_ok(), followed, "{outcome:?}");
    }
    assert_eq!(web.heads().len(), 3);
}

#[tokio::test]
async fn what_a_redirect_finds_elsewhere_is_not_told() {
    let dns = zone().await;
    let web = Web::start(|path| match path {
        "/inside?key=hunter2" => redirect("/login?session=hunter3"),
        "/login?session=hunter3" => response("200 OK", "hunter4"),
        _ => redirect("http://b.test/inside?key=hunter2"),
    })
    .await;
    let failure = validate("a.test", &dns, &web, None).await.expect_err("not the challenge");
    assert!(failure.detail.contains("http://b.test:"), "{failure}");
    assert!(failure.detail.contains("7 octets"), "{failure}");
    for said in ["hunter", "inside", "login"] {
        assert!(!failure.detail.contains(said), "{failure}");
    }
    for location in ["http://b.test:22/hunter2", "ftp://b.test/hunter2", "http://hunter2@b.test/"] {
        let web = Web::start(move |_| redirect(location)).await;
        let failure = validate("a.test", &dns, &web, None).await.expect_err(location);
        assert!(!failure.detail.contains("/hunter2"), "{failure}");
    }
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_judged_at_every_hop() {
    let dns = zone().await;
    let zone = dns.clone();
    let web = Web::start(move |_| {
        zone.a("turncoat.test", "169.254.169.254");
        redirect("http://turncoat.test/latest/meta-data")
    })
    .await;
    dns.a("turncoat.test", "127.0.0.1");
    let failure = validate("turncoat.test", &dns, &web, None).await.expect_err("refused");
    assert!(failure.detail.contains("link-local"), "{failure}");
    assert_eq!(web.heads().len(), 1);
}

#[tokio::test]
async fn a_loop_is_noticed() {
    let dns = zone().await;
    let web = Web::start(|path| redirect(if path == "/x" { "/y" } else { "/x" })).await;
    let failure = validate("a.test", &dns, &web, None).await.expect_err("loop");
    assert!(failure.detail.contains("redirect loop"), "{failure}");
    assert_eq!(web.heads().len(), 3);
}

#[tokio::test]
async fn a_redirect_may_change_the_host_and_is_sent_its_name() {
    let dns = zone().await;
    let web = Web::start(|path| match path {
        "/moved?to=b" => response("200 OK", AUTHORIZATION),
        _ => redirect("http://b.test/moved?to=b#fragment"),
    })
    .await;
    validate("a.test", &dns, &web, None).await.expect("valid");
    let host = format!("host: b.test:{}\r\n", web.port());
    assert!(web.heads()[1].contains(&host), "{}", web.heads()[1]);
}

#[tokio::test]
async fn a_redirect_to_https_is_followed_whatever_the_certificate() {
    let dns = zone().await;
    let tls = Web::start_tls(|_| response("200 OK", AUTHORIZATION)).await;
    let web = Web::start(|path| redirect(&format!("https://a.test{path}"))).await;
    let proof = validate("a.test", &dns, &web, Some(&tls)).await.expect("valid");
    assert_eq!(proof.address, Some(tls.address));
    let settings = Settings {
        http_port: web.port(),
        tls_port: banner(b"220 mail.test ESMTP\r\n").await,
        ..settings(Some(dns.address))
    };
    let failure = validator(settings).http_01(&id("a.test"), &expected()).await;
    let failure = failure.expect_err("no TLS there");
    assert_eq!(failure.kind, ProblemType::Tls);
    assert!(failure.detail.contains("TLS handshake"), "{failure}");
}

#[tokio::test]
async fn a_redirect_to_a_refused_address_is_not_connected_to() {
    let dns = zone().await;
    let web = Web::start(|_| redirect("http://meta.test/latest/meta-data")).await;
    let failure = validate("a.test", &dns, &web, None).await.expect_err("refused");
    assert_eq!(failure.kind, ProblemType::Connection);
    assert!(failure.detail.contains("link-local"), "{failure}");
}

#[tokio::test]
async fn redirects_outside_the_rules_are_not_followed() {
    let dns = zone().await;
    for (location, wanted) in [
        ("ftp://a.test/", "neither http nor https"),
        ("file:///etc/passwd", "neither http nor https"),
        ("javascript:alert(1)", "neither http nor https"),
        ("http://a.test:22/", "port is not one"),
        ("http://user@a.test/", "credentials"),
        ("http://a.test:x/", "not followed"),
        ("http://127.0.0.1/", "host is no name"),
        ("http://0x7f.1/", "host is no name"),
        ("http://2130706433/", "host is no name"),
        ("http://[::1]/", "host is no name"),
        ("http://[::ffff:127.0.0.1]/", "host is no name"),
        ("http://a_b.test/", "not a DNS name"),
        ("http://*.a.test/", "wildcard"),
    ] {
        let web = Web::start(move |_| redirect(location)).await;
        let failure = validate("a.test", &dns, &web, None).await.expect_err(location);
        assert_eq!(failure.kind, ProblemType::IncorrectResponse, "{failure}");
        assert!(failure.detail.contains(wanted), "{location}: {failure}");
        assert_eq!(web.heads().len(), 1);
    }
}

#[tokio::test]
async fn a_redirect_without_a_usable_location_says_so() {
    let dns = zone().await;
    let web = Web::start(|_| response("301 Moved Permanently", "")).await;
    let failure = validate("a.test", &dns, &web, None).await.expect_err("no location");
    assert!(failure.detail.contains("without a Location"), "{failure}");
    let web = Web::start(|_| redirect(&format!("/{}", "x".repeat(4000)))).await;
    let failure = validate("a.test", &dns, &web, None).await.expect_err("too long");
    assert!(failure.detail.contains("longer than 2048"), "{failure}");
}

#[tokio::test]
async fn an_address_may_redirect_to_an_address() {
    let dns = zone().await;
    let web = Web::start(|path| match path {
        "/there" => response("200 OK", AUTHORIZATION),
        _ => redirect("http://127.0.0.1/there"),
    })
    .await;
    validate("127.0.0.1", &dns, &web, None).await.expect("valid");
    let web = Web::start(|_| redirect("http://169.254.169.254/")).await;
    let failure = validate("127.0.0.1", &dns, &web, None).await.expect_err("refused");
    assert!(failure.detail.contains("link-local"), "{failure}");
}
