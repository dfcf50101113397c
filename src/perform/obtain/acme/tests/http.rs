//! http-01, answered by the node's own HTTP listener.

use super::pebble::Manner;
use super::program::{Daemon, free_port};
use super::scene::{Scene, home, installed};

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_obtained_by_http_01() {
    let scene = Scene::set().await;
    let client = scene.client(&scene.spec()).await;
    let names = ["www.example.com", "example.com"];
    let chain = scene.order(&client, &names).await.expect("a certificate");
    assert!(chain[0].issuer().contains("Pebble"), "{chain:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_nonces_slow_validation_and_reused_authorizations_change_nothing() {
    let manner = Manner { bad_nonces: 60, slowness: 2, reuse: 100, ..Manner::default() };
    let scene = Scene::with(manner).await;
    let client = scene.client(&scene.spec()).await;
    for _ in 0..2 {
        scene.order(&client, &["a.example.com", "b.example.com"]).await.expect("a certificate");
    }
}

/// What the worker needs to do it in a task of its own.
#[test]
fn an_order_can_be_sent_to_another_thread() {
    fn sent<T: Send>(_: T) {}
    let _ = |client: &super::super::Client, node: &crate::node::Node, wanted| {
        sent(client.order(wanted, &node.answers, async |_| {}));
        sent(client.resume("", wanted, &node.answers));
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_obtained_behind_an_nginx_that_forwards_the_challenge_path() {
    let (ours, seen, tls) = (free_port(), free_port(), free_port());
    let home = home();
    let settings = format!(
        "daemon off;\nmaster_process off;\npid {home}/pid;\nerror_log {home}/error.log;\n\
         events {{}}\nhttp {{\n  access_log {home}/access.log;\n  client_body_temp_path {home};\n  \
         proxy_temp_path {home};\n  fastcgi_temp_path {home};\n  uwsgi_temp_path {home};\n  \
         scgi_temp_path {home};\n  server {{\n    listen 127.0.0.1:{seen};\n    \
         location /.well-known/acme-challenge/ {{ proxy_pass http://127.0.0.1:{ours}; }}\n    \
         location / {{ return 301 https://$host$request_uri; }}\n  }}\n}}\n",
        home = home.display()
    );
    let file = home.join("nginx.conf");
    std::fs::write(&file, settings).expect("nginx's settings");
    let mut nginx = Daemon::start(&installed("nginx"), ["-c".as_ref(), file.as_os_str()], &home);
    nginx.wait_for_port(seen);
    let scene = Scene::at(Manner::default(), ours, seen, tls).await;
    let client = scene.client(&scene.spec()).await;
    scene.order(&client, &["www.example.com"]).await.expect("a certificate");
    let log = std::fs::read_to_string(home.join("access.log")).expect("its log");
    assert!(log.contains("/.well-known/acme-challenge/"), "{log}");
}
