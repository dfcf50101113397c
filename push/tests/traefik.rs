//! Targets of kind `traefik`, with a real one that watches a directory of dynamic configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use push::probe::{Found, Proof};
use push::{Bundle, Observed, Spec};

use crate::scene::{Folder, Issuer, Server, port, proof, push, rotate_under_load, spec};

/// A Traefik with a route for whatever name, and nobody's certificate.
struct Traefik {
    folder: Folder,
    port: u16,
    _server: Server,
}

impl Traefik {
    fn start() -> Self {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/venv/bin/traefik");
        assert!(fs::exists(program).is_ok_and(|is| is), "{program}: run `tests/run tools`");
        let (folder, port) = (Folder::new(), port());
        fs::create_dir(folder.path("dynamic")).expect("a directory");
        let route = "http: { routers: { all: { rule: PathPrefix(`/`), service: ping@internal } } }";
        folder.write("dynamic/route.yml", route);
        let arguments = [
            format!("--entrypoints.web.address=127.0.0.1:{port}"),
            "--entrypoints.web.http.tls=true".to_owned(),
            "--ping=true".to_owned(),
            "--ping.manualrouting=true".to_owned(),
            format!("--providers.file.directory={}", folder.text("dynamic")),
            "--global.checknewversion=false".to_owned(),
        ];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let server = Server::start(program, &arguments, port);
        Self { folder, port, _server: server }
    }

    fn spec(&self, more: &str) -> Spec {
        spec(&format!(
            "name = \"edge\"\nkind = \"traefik\"\nconfig = {:?}\nprobe = [\"127.0.0.1:{}\"]\n{more}",
            self.folder.text("dynamic/shop.yml"),
            self.port
        ))
    }

    /// The same, with certificate and key in files of their own.
    fn with_files(&self, more: &str) -> Spec {
        self.spec(&format!("directory = {:?}\n{more}", self.folder.text("tls")))
    }
}

fn refuted(proof: &Proof, found: &Found) {
    assert!(!proof.proven, "{proof}");
    assert!(proof.sightings.iter().all(|seen| seen.found == *found), "{proof}");
}

async fn served(spec: &Spec, version: u64, bundle: &Bundle) {
    push(spec, version, bundle).await.expect("pushed");
    let proof = proof(spec, bundle, &[]).await;
    assert!(proof.proven, "{proof}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_in_the_file_itself_fail_no_handshake_and_each_is_proven() {
    let (traefik, issuer) = (Traefik::start(), Issuer::new());
    let (spec, first) = (traefik.spec(""), issuer.bundle(&["shop.test"]));
    served(&spec, 1, &first).await;
    rotate_under_load(&spec, &issuer, &first, traefik.port).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_in_releases_fail_no_handshake_and_each_is_proven() {
    let (traefik, issuer) = (Traefik::start(), Issuer::new());
    let (spec, first) = (traefik.with_files(""), issuer.bundle(&["shop.test"]));
    served(&spec, 1, &first).await;
    rotate_under_load(&spec, &issuer, &first, traefik.port).await;
    assert!(fs::exists(traefik.folder.path("dynamic/route.yml")).expect("a look"));
}

#[tokio::test]
async fn what_traefik_makes_for_itself_is_told_from_a_certificate_of_somebody() {
    let (traefik, issuer) = (Traefik::start(), Issuer::new());
    let bundle = issuer.bundle(&["shop.test"]);
    let spec = traefik.with_files("window = \"3s\"");
    // There is nothing yet, and the key is of another kind than ours.
    refuted(&proof(&spec, &bundle, &[]).await, &Found::Default);
    let rsa = issuer.bundle_of(ca::KeyAlgorithm::Rsa { bits: 2048 }, &["shop.test"]);
    refuted(&proof(&spec, &rsa, &[]).await, &Found::Default);
    served(&spec, 1, &bundle).await;

    // A certificate with the key of another: Traefik takes neither, and says so to nobody.
    let other = issuer.bundle(&["shop.test"]);
    let release = traefik.folder.path("tls/releases/1/tls.key");
    fs::write(&release, other.key_pem().expect("a key").as_bytes()).expect("a bad pair");
    assert_eq!(spec.open().observe().await.expect("readable"), Observed::Torn);
    touch(&traefik);
    tokio::time::sleep(Duration::from_secs(4)).await;
    refuted(&proof(&spec, &bundle, &[]).await, &Found::Default);
    // The release is mended by whoever pushes it again.
    served(&spec, 1, &bundle).await;
}

/// Has Traefik read everything again.
fn touch(traefik: &Traefik) {
    let route = traefik.folder.path("dynamic/route.yml");
    let text = fs::read_to_string(&route).expect("a route");
    fs::write(&route, text + "\n").expect("touched");
}

#[tokio::test]
async fn certificates_alone_are_not_watched_so_the_file_is_renamed_each_time() {
    let (traefik, issuer) = (Traefik::start(), Issuer::new());
    let (first, second) = (issuer.bundle(&["shop.test"]), issuer.bundle(&["shop.test"]));
    let spec = traefik.with_files("");
    served(&spec, 1, &first).await;
    let files = crate::scene::spec(&format!(
        "name = \"f\"\nkind = \"files\"\ndirectory = {:?}\nprobe = [\"127.0.0.1:{}\"]\n\
         window = \"4s\"",
        traefik.folder.text("tls"),
        traefik.port
    ));
    push(&files, 2, &second).await.expect("written");
    refuted(&proof(&files, &second, &[first.fingerprint()]).await, &Found::Old);
    let again = push(&spec, 2, &second).await.expect("pushed");
    assert!(again.changed, "the file points to the release of before");
    assert!(proof(&spec, &second, &[first.fingerprint()]).await.proven);
    // Whoever pushed may have been interrupted before Traefik was told.
    let before = fs::metadata(traefik.folder.path("dynamic/shop.yml")).expect("a file");
    assert!(!push(&spec, 2, &second).await.expect("pushed").changed);
    let after = fs::metadata(traefik.folder.path("dynamic/shop.yml")).expect("a file");
    let number = std::os::unix::fs::MetadataExt::ino;
    assert_ne!(number(&before), number(&after));
}

#[tokio::test]
async fn names_without_a_certificate_get_the_one_that_is_declared_as_default() {
    let (traefik, issuer) = (Traefik::start(), Issuer::new());
    let bundle = issuer.bundle(&["shop.test", "127.0.0.1"]);
    let other = "sni = \"other.test\"\nwindow = \"6s\"";
    served(&traefik.spec(""), 1, &bundle).await;
    refuted(&proof(&traefik.spec(other), &bundle, &[]).await, &Found::Default);
    let spec = traefik.spec(&format!("default = true\n{other}"));
    served(&spec, 1, &bundle).await;
    // Only its owner reads the key in it.
    let mode = fs::metadata(traefik.folder.path("dynamic/shop.yml")).expect("a file").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let held = spec.open().observe().await.expect("readable");
    assert_eq!(held, Observed::Leaf(bundle.fingerprint()));
}

#[tokio::test]
async fn what_cannot_be_written_leaves_everything_as_it_was() {
    let (folder, issuer) = (Folder::new(), Issuer::new());
    let (first, second) = (issuer.bundle(&["shop.test"]), issuer.bundle(&["shop.test"]));
    fs::create_dir(folder.path("dynamic")).expect("a directory");
    let table = |config: &str| {
        spec(&format!(
            "name = \"edge\"\nkind = \"traefik\"\nconfig = {:?}\ndirectory = {:?}",
            folder.text(config),
            folder.text("tls")
        ))
    };
    push(&table("dynamic/shop.yml"), 1, &first).await.expect("pushed");
    let error = push(&table("absent/shop.yml"), 2, &second).await.expect_err("no directory");
    assert!(error.left_untouched(), "{error}");
    let link = fs::read_link(folder.path("tls/current")).expect("a link");
    assert_eq!(link.to_str(), Some("releases/1"));
    let held = table("dynamic/shop.yml").open().observe().await.expect("readable");
    assert_eq!(held, Observed::Leaf(first.fingerprint()));

    folder.write("dynamic/shop.yml", "http: {}");
    let held = table("dynamic/shop.yml").open().observe().await.expect("readable");
    assert_eq!(held, Observed::Nothing, "somebody wrote over it");
}

#[test]
fn where_traefik_would_read_half_a_pair_or_nothing_is_refused() {
    let check = |more: &str| {
        let table = format!("name = \"edge\"\nkind = \"traefik\"\n{more}");
        toml::from_str::<Spec>(&table).expect("a table").check()
    };
    let refused = |more: &str| check(more).expect_err("it cannot work");
    assert!(refused("config = \"/etc/traefik/shop.toml\"").contains(".yml or .yaml"));
    assert!(refused("config = \"shop.yml\"").contains("not absolute"));
    let watched = "config = \"/etc/traefik/shop.yml\"\ndirectory = \"/etc/traefik/tls\"";
    assert!(refused(watched).contains("Traefik watches"));
    let template = "config = \"/etc/traefik/shop.yml\"\ndirectory = \"/srv/{{ x }}\"";
    assert!(refused(template).contains("template"));
    assert_eq!(
        check("config = \"/etc/traefik/d/shop.yml\"\ndirectory = \"/etc/traefik/tls\""),
        Ok(())
    );
}
