//! Looking for certificates that nobody declared: a real nginx that shows good and bad ones, files, ports
//! that speak something else; and addresses that are watched while they change.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
    date_time_ymd,
};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::program::{Daemon, free_port, program, run, succeed};
use crate::scene::Scene;

/// An nginx that shows a certificate on each of some ports.
struct Nginx {
    home: PathBuf,
    daemon: Daemon,
}

impl Nginx {
    /// Each with the name of the files that its certificate and key are in.
    fn start(home: PathBuf, shown: &[(u16, &str)]) -> Self {
        let server = |(port, name): &(u16, &str)| {
            format!(
                "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {home}/{name}.pem;\n\
                 ssl_certificate_key {home}/{name}.key; }}\n",
                home = home.display()
            )
        };
        let servers: String = shown.iter().map(server).collect();
        let text = format!(
            "worker_processes 1;\ndaemon off;\nerror_log {home}/error.log;\npid {home}/nginx.pid;\n\
             events {{ worker_connections 512; }}\nhttp {{ access_log off;\n\
             client_body_temp_path {home}/temp; proxy_temp_path {home}/temp;\n\
             fastcgi_temp_path {home}/temp; uwsgi_temp_path {home}/temp; scgi_temp_path {home}/temp;\n\
             {servers} }}\n",
            home = home.display()
        );
        let config = home.join("nginx.conf");
        fs::write(&config, text).expect("settings");
        let arguments = ["-c".as_ref(), config.as_os_str(), "-p".as_ref(), home.as_os_str()];
        let mut daemon = Daemon::start("nginx", arguments, &home);
        shown.iter().for_each(|(port, _)| daemon.wait_for_port(*port));
        Self { home, daemon }
    }

    fn reload(&self) {
        let mut command = program("nginx");
        command.arg("-c").arg(self.home.join("nginx.conf")).arg("-p").arg(&self.home);
        succeed(command.args(["-s", "reload"]));
    }
}

/// Writes a certificate for `name` and its key.
fn show(home: &Path, file: &str, pem: &str, key: &KeyPair) {
    fs::write(home.join(file).with_extension("pem"), pem).expect("a certificate");
    fs::write(home.join(file).with_extension("key"), key.serialize_pem()).expect("a key");
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key")
}

fn params(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).expect("a name")
}

/// One by itself, for `localhost`, that ended in 2020.
fn expired(home: &Path, file: &str) {
    let (key, mut params) = (key(), params("localhost"));
    params.not_after = date_time_ymd(2020, 1, 1);
    let certificate = params.self_signed(&key).expect("a certificate");
    show(home, file, &certificate.pem(), &key);
}

/// One by an authority that nobody knows, and which is not sent along.
fn incomplete(home: &Path, file: &str) {
    let mut above = params("ca.example");
    above.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(above, key()).expect("an issuer");
    let (key, params) = (key(), params("other.example"));
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    show(home, file, &certificate.pem(), &key);
}

/// One by the authority under test, good for `localhost`.
fn good(scene: &Scene, home: &Path, file: &str) {
    let (pem, key) = (home.join(file).with_extension("pem"), home.join(file).with_extension("key"));
    let _ = fs::remove_file(&pem);
    let _ = fs::remove_file(&key);
    let mut command = scene.server.command(["issue", "localhost", "127.0.0.1", "--out"]);
    succeed(command.arg(&pem).arg("--key-out").arg(&key));
}

fn found(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect()
}

fn at<'a>(rows: &'a [Value], place: &str) -> &'a Value {
    let row = rows.iter().find(|row| row["place"].as_str().is_some_and(|p| p.contains(place)));
    row.unwrap_or_else(|| panic!("nothing at {place}: {rows:#?}"))
}

#[test]
fn what_is_in_use_is_found_with_what_is_wrong_with_it() {
    let scene = Scene::bare("scan");
    let home = scene.directory("nginx");
    let ports = [free_port(), free_port(), free_port()];
    good(&scene, &home, "good");
    expired(&home, "expired");
    incomplete(&home, "incomplete");
    let shown = [(ports[0], "good"), (ports[1], "expired"), (ports[2], "incomplete")];
    let _nginx = Nginx::start(home.clone(), &shown);
    let garbage = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let noise = garbage.local_addr().expect("an address").port();
    thread::spawn(move || {
        for mut stream in garbage.incoming().flatten() {
            let _ = stream.write_all(b"220 what?\r\nno TLS here\r\n");
        }
    });
    fs::write(
        home.join("broken.crt"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .expect("a file");

    let all = format!("{},{},{},{noise}", ports[0], ports[1], ports[2]);
    let closed = free_port();
    let mut command = scene.server.command(["scan", "--json", "--owner", "web"]);
    command.args([&format!("localhost:{all}"), &format!("127.0.0.2/31:{closed}")]).arg(&home);
    command.args(["--exclude", "::1/128", "--starttls", "none"]);
    let (output, text) = run(&mut command);
    assert_eq!(output.status.code(), Some(3), "some of it is wrong: {text}");
    let rows = found(&String::from_utf8_lossy(&output.stdout));
    let place = |port: u16| format!("tls://127.0.0.1:{port}/localhost");
    assert_eq!(at(&rows, &place(ports[0]))["flaws"], json!([]));
    let flaws = |port| at(&rows, &place(port))["flaws"].to_string();
    assert_eq!(flaws(ports[1]), r#"["expired","self-signed"]"#);
    assert_eq!(flaws(ports[2]), r#"["wrong-name","incomplete-chain"]"#);
    let silent = at(&rows, &place(noise))["error"].as_str().expect("an error");
    assert!(silent.contains("does not speak TLS"), "{silent}");
    let broken = at(&rows, "broken.crt")["error"].as_str().expect("an error");
    assert!(broken.contains("no certificate"), "{broken}");
    assert!(
        !rows.iter().any(|row| row.to_string().contains(&closed.to_string())),
        "nothing is there"
    );

    // The inventory has it, once each, wherever it stands.
    let listed = scene.server.json(["get", "found", "--owner", "web"]);
    let items = listed["items"].as_array().expect("items");
    let one = items.iter().find(|item| item["called"] == "other.example").expect("found");
    assert_eq!((&one["places"], &one["key"]), (&2.into(), &"p256".into()), "nginx, and its file");
    let id = one["id"].to_string();
    let shown = scene.server.json(["get", "found", &id]);
    assert_eq!(shown["sightings"].as_array().expect("places").len(), 2);
    let fingerprint = one["fingerprint_sha256"].as_str().expect("hexadecimal");
    assert_eq!(scene.server.json(["get", "found", fingerprint])["id"], one["id"]);
    let (output, text) = run(&mut scene.server.command(["status", "expiring", "--within", "1d"]));
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("expired") && text.contains("web"), "{text}");
    let (output, text) = run(&mut scene.server.command(["crypto"]));
    assert_eq!(output.status.code(), Some(0), "nothing weak: {text}");
    assert!(text.contains("certificate-key") && text.contains("p256"), "{text}");

    let declaration = succeed(&mut scene.server.command(["import", &id, "--name", "other"]));
    let file = scene.directory("declared").join("other.toml");
    fs::write(&file, &declaration).expect("a declaration");
    let (output, text) = run(scene.server.command(["plan"]).arg(&file));
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("other-files") && declaration.contains("other.example"), "{declaration}");
}

#[test]
fn secrets_are_found_with_who_keeps_them_and_a_cluster_that_denies_is_told() {
    let scene = Scene::bare("scan-cluster");
    let home = scene.directory("files");
    incomplete(&home, "other");
    let cluster = Cluster::own(&scene.directory("cluster"));
    let base64 =
        |name: &str| data_encoding::BASE64.encode(&fs::read(home.join(name)).expect("a file"));
    let large = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        data_encoding::BASE64.encode(&[0; 70_000])
    );
    let large = data_encoding::BASE64.encode(large.as_bytes());
    let odd = "bm90aGluZw==".to_owned();
    // The odd ones come first, and nothing is lost by them.
    for (name, certificate) in [("shop", base64("other.pem")), ("odd", odd), ("large", large)] {
        cluster.create(
            name,
            &json!({
                "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                "metadata": { "name": name, "namespace": cluster.namespace,
                    "annotations": { "cert-manager.io/certificate-name": "shop" } },
                "data": { "tls.crt": certificate, "tls.key": base64("other.key") },
            }),
        );
    }
    let scan = || {
        let target = format!("kubernetes:/{}", cluster.namespace);
        let mut command = scene.server.command(["scan", &target, "--json", "--kubeconfig"]);
        let (output, text) = run(command.arg(cluster.kubeconfig()));
        assert_eq!(output.status.code(), Some(3), "{text}");
        found(&String::from_utf8_lossy(&output.stdout))
    };
    cluster.allow(&[]);
    let denied = scan();
    let error = denied[0]["error"].as_str().expect("an error");
    assert!(denied.len() == 1 && error.contains("secrets"), "{denied:?}");

    cluster.allow_as_deployed("kubernetes-scan.yaml");
    let rows = scan();
    let shop = at(&rows, &format!("secret://cluster/{}/shop", cluster.namespace));
    assert_eq!(
        (&shop["called"], &shop["keeper"]),
        (&"other.example".into(), &"cert-manager: shop".into())
    );
    let odd = at(&rows, "/odd")["error"].as_str().expect("an error");
    assert!(odd.contains("no certificate"), "{odd}");
    let large = at(&rows, "/large")["error"].as_str().expect("an error");
    assert!(large.contains("larger than 64 KiB"), "{large}");
    let listed = scene.server.json(["get", "found"])["items"].as_array().expect("items").len();
    assert_eq!(listed, 1, "no key and nothing else is kept");
}

#[test]
fn a_scan_that_is_interrupted_goes_on_where_it_was() {
    let scene = Scene::bare("scan-resume");
    let home = scene.directory("scan");
    let target = format!("127.0.0.0/26:{}", free_port());
    let scan = ["scan", &target, "--rate", "16", "--data-dir"];
    let data = scene.directory("server").join("data");
    let arguments = scan.iter().map(std::ffi::OsStr::new).chain([data.as_os_str()]);
    let mut slow = Daemon::start(env!("CARGO_BIN_EXE_perennial"), arguments, &home);
    sleep(Duration::from_millis(2500));
    slow.end(Signal::INT);
    let wrote = slow.wrote();
    assert!(wrote.contains("go on with perennial scan --resume"), "{wrote}");
    let done = |status: &str| {
        let scan = scene.server.json(["get", "scan"])["items"][0].clone();
        assert_eq!(scan["status"], status, "{scan}");
        scan["done"].as_u64().expect("a number")
    };
    let before = done("open");
    assert!((16..60).contains(&before), "{before} of 64");
    let begun = Instant::now();
    succeed(&mut scene.server.command(["scan", "--resume"]));
    assert_eq!(done("over"), 64);
    assert!(begun.elapsed() < Duration::from_secs(4), "what was done is not done again");
    let (output, text) = run(&mut scene.server.command(["scan", "--resume"]));
    assert!(!output.status.success() && text.contains("no scan was interrupted"), "{text}");
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_goes_on() {
    let scene = Scene::bare("scan-denied");
    let home = scene.directory("files");
    expired(&home, "readable");
    let secret = scene.directory("files/secret");
    expired(&secret, "hidden");
    for (path, mode) in [(&secret, 0o700), (&home, 0o755)] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(path, mode).expect("permissions");
    }
    // Nobody, with the program where nobody may read it.
    let copy = Path::new("/tmp").join(format!("perennial-scan-{}", std::process::id()));
    fs::create_dir_all(&copy).expect("a directory");
    fs::copy(env!("CARGO_BIN_EXE_perennial"), copy.join("perennial")).expect("a copy");
    let files = copy.join("files");
    succeed(program("cp").args(["-a"]).arg(&home).arg(&files));
    let mut command = program("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    command.arg(copy.join("perennial")).args(["scan", "--offline", "--json"]).arg(&files);
    let (output, text) = run(&mut command);
    let rows = found(&String::from_utf8_lossy(&output.stdout));
    fs::remove_dir_all(&copy).expect("removed");
    let denied = at(&rows, "secret")["error"].as_str().expect("an error").to_owned();
    assert!(denied.contains("Permission denied"), "{text}");
    assert_eq!(at(&rows, "readable.pem")["called"], "localhost", "{text}");
}

#[test]
fn an_endpoint_that_changes_or_fails_is_on_record() {
    let scene = Scene::bare("scan-endpoint");
    let home = scene.directory("nginx");
    let port = free_port();
    good(&scene, &home, "shown");
    let mut nginx = Nginx::start(home.clone(), &[(port, "shown")]);
    let declaration = scene.directory("declared").join("endpoint.toml");
    let text = format!(
        "[[endpoint]]\nname = 'front'\naddress = '127.0.0.1:{port}'\nsni = 'localhost'\n\
         every = '10s'\nowner = 'web'\n"
    );
    fs::write(&declaration, text).expect("a declaration");
    succeed(scene.server.command(["apply"]).arg(&declaration));
    let until = |what: &str, enough: &dyn Fn(&Value) -> bool| {
        let begun = Instant::now();
        loop {
            let endpoint = scene.server.json(["get", "endpoint", "front"]);
            if enough(&endpoint) {
                return endpoint;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}: {endpoint:#}");
            sleep(Duration::from_millis(200));
        }
    };
    let serial = |endpoint: &Value| endpoint["addresses"][0]["certificate"]["serial"].clone();
    let first = until("a first look", &|endpoint| endpoint["status"] == "good");
    let (metrics, address) = (metrics(&scene), format!("127.0.0.1:{port}"));
    let line =
        format!("probe_success{{instance=\"{address}\",endpoint=\"front\",owner=\"web\"}} 1");
    assert!(metrics.contains(&line), "{metrics}");
    assert!(metrics.contains("certmanager_certificate_ready_status{name=\"node\""), "{metrics}");

    good(&scene, &home, "shown");
    nginx.reload();
    until("another certificate", &|endpoint| serial(endpoint) != serial(&first));
    expired(&home, "shown");
    nginx.reload();
    let failing = until("an expired one", &|endpoint| endpoint["status"] == "failing");
    let error = failing["error"].as_str().expect("an error");
    assert!(error.contains("expired, self-signed"), "{error}");
    let (output, _) = run(&mut scene.server.command(["status", "endpoint"]));
    assert_eq!(output.status.code(), Some(3));
    nginx.daemon.end(Signal::TERM);
    until("nothing", &|endpoint| endpoint["error"].to_string().contains("cannot be reached"));
    let log =
        succeed(&mut scene.server.command(["audit", "--json", "--subject", "endpoint/front"]));
    let actions: Vec<_> = found(&log).iter().map(|event| event["action"].clone()).collect();
    assert_eq!(actions, ["endpoint.changed", "endpoint.failing", "endpoint.failing"]);
}

/// The page with each certificate.
fn metrics(scene: &Scene) -> String {
    scene.server.watched("/metrics/certificates")
}
