//! The first minutes with the program, as the README and the samples in `deploy` have them.

use std::ffi::OsString;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::chain::Chain;
use crate::node::Site;
use crate::program::{Daemon, free_port, program, run, succeed};
use crate::scene::{Home, Scene};
use crate::server::{Server, download};

#[test]
fn certbot_gets_a_certificate_for_a_local_name_without_any_dns() {
    // Perennial alone: no settings but its ports, no resolver.
    let scene = Scene::bare("start-certbot");
    let home = scene.directory("certbot");
    let mut certbot = program("certbot");
    certbot.env("REQUESTS_CA_BUNDLE", &scene.server.trust);
    certbot.args(["certonly", "--standalone", "--server", &scene.server.directory]);
    certbot.args(["--http-01-port", &scene.http_port.to_string(), "-d", "demo.localhost"]);
    certbot.args(["--non-interactive", "--agree-tos", "--register-unsafely-without-email"]);
    for (option, name) in
        [("--config-dir", "config"), ("--work-dir", "work"), ("--logs-dir", "logs")]
    {
        certbot.arg(option).arg(home.join(name));
    }
    succeed(&mut certbot);
    let pem = home.join("config/live/demo.localhost/fullchain.pem");
    Chain::check(&scene.server.issuer, &pem, &["demo.localhost"]);
    let table =
        succeed(&mut scene.server.command(["get", "certificate", "--names", "demo.localhost"]));
    assert!(table.starts_with("ID") && table.contains(" valid "), "{table}");
}

#[test]
fn the_root_can_be_fetched_without_trusting_anything() {
    let scene = Scene::bare("start-root");
    let status = scene.server.json(["status"]);
    let url = format!("{}/pki/root.pem", status["http"].as_str().expect("a URL"));
    let fetched = scene.directory("fetched").join("root.pem");
    download(&url, &fetched).expect("the root");
    let fingerprint = |file: &Path| {
        let mut command = program("openssl");
        succeed(command.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(file))
    };
    assert_eq!(fingerprint(&fetched), fingerprint(&scene.server.trust));
}

#[test]
fn the_sample_declarations_apply() {
    let scene = Scene::bare("start-declarations");
    let sample = deployed("declarations.toml");
    let code = |verb: &str| {
        let (output, text) = run(scene.server.command([verb]).arg(&sample));
        output.status.code().unwrap_or_else(|| panic!("{text}"))
    };
    assert_eq!([code("plan"), code("apply"), code("plan")], [3, 0, 0]);
}

#[test]
fn the_sample_settings_serve() {
    let scene = Scene::bare("start-settings");
    let home = scene.directory("sample");
    let sample = deployed("perennial.toml");
    let mut arguments = vec!["serve".to_owned(), "--config".into(), sample.display().to_string()];
    arguments.extend(["--data-dir".into(), home.join("data").display().to_string()]);
    for listener in ["--https", "--http", "--admin"] {
        arguments.extend([listener.into(), format!("127.0.0.1:{}", free_port())]);
    }
    let mut daemon = Daemon::start(env!("CARGO_BIN_EXE_perennial"), arguments.clone(), &home);
    let log = daemon.log.clone();
    let (directory, root) = daemon.wait("the ready line", || Server::ready_line(&log));
    assert!(directory.starts_with("https://ca.example.com"), "{directory}");
    assert!(root.is_file());

    // The data directory is taken: a second server says so, and does no harm.
    let (output, text) = run(program(env!("CARGO_BIN_EXE_perennial")).args(&arguments));
    assert!(output.status.code() == Some(1) && text.contains("another server runs"), "{text}");
    assert_eq!(daemon.end(Signal::INT).code(), Some(0), "Ctrl-C is a drain, too");
}

/// A file that the repository offers for use.
fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

#[test]
fn a_service_manager_hears_when_the_node_is_ready_and_when_it_stops() {
    let home = Home::clear("start-notify");
    let site = Site::alone(&home.directory("node"));
    let path = home.directory("manager").join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    let patience = Some(Duration::from_secs(30));
    socket.set_read_timeout(patience).expect("a time limit");
    let heard = || {
        let mut text = [0; 64];
        let length = socket.recv(&mut text).expect("the node says something");
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    let mut variable = OsString::from("NOTIFY_SOCKET=");
    variable.push(&path);
    let serve = [env!("CARGO_BIN_EXE_perennial"), "serve", "--config"].map(OsString::from);
    let arguments = [variable].into_iter().chain(serve).chain([site.settings.clone().into()]);
    let mut node = Daemon::start("env", arguments, &home.directory("run"));
    assert_eq!(heard(), "READY=1");
    assert_eq!(site.admin("/readyz").0, 200, "it is ready when it says so");
    assert!(node.end(Signal::TERM).success());
    assert_eq!(heard(), "STOPPING=1");
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let home = Home::clear("start-manual");
    let pages = home.directory("manual");
    succeed(program(env!("CARGO_BIN_EXE_perennial")).arg("man").arg(&pages));
    for (page, what) in [
        ("perennial.1", "perennial\\-serve(1)"),
        ("perennial-serve.1", "public\\-url"),
        ("perennial-eab-create.1", "permit"),
    ] {
        let text = fs::read_to_string(pages.join(page)).expect(page);
        assert!(text.starts_with(".ie") && text.contains(what), "{page}: {text}");
    }
}
