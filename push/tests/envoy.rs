//! Targets of kind `files` for an Envoy that reads its secret from a file.

use std::fs;
use std::time::Duration;

use push::probe::Found;
use push::{Bundle, Spec};
use serde_json::json;

use crate::scene::{Folder, Issuer, Server, port, proof, push, rotate_under_load, spec};

/// An Envoy that reads the secret of a release.
struct Envoy {
    folder: Folder,
    port: u16,
    _server: Server,
}

impl Envoy {
    /// Starts one that wants a secret of this name, once there is a release with `bundle`.
    async fn start(secret: &str, bundle: &Bundle) -> Self {
        let (folder, port, admin) = (Folder::new(), port(), port());
        let files = table(&folder, port, "");
        push(&files, 1, bundle).await.expect("the first release");
        let tls = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";
        let filters = "type.googleapis.com/envoy.extensions.filters";
        let address =
            |port: u16| json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } });
        let config = json!({
            "node": { "id": "edge", "cluster": "test" },
            "admin": { "address": address(admin) },
            "static_resources": { "listeners": [{
                "address": address(port),
                "filter_chains": [{
                    "transport_socket": { "name": "tls", "typed_config": {
                        "@type": format!("{tls}.DownstreamTlsContext"),
                        "common_tls_context": { "tls_certificate_sds_secret_configs": [{
                            "name": secret,
                            "sds_config": { "resource_api_version": "V3", "path_config_source": {
                                "path": folder.text("tls/current/sds.json"),
                                "watched_directory": { "path": folder.text("tls") },
                            }},
                        }]},
                    }},
                    "filters": [{ "name": "echo", "typed_config": {
                        "@type": format!("{filters}.network.echo.v3.Echo"),
                    }}],
                }],
            }]},
        });
        let config = folder.write("envoy.json", config.to_string());
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/venv/bin/envoy");
        assert!(fs::exists(program).is_ok_and(|is| is), "{program}: run `tests/run tools`");
        let config = config.to_str().expect("a plain path");
        let more = ["--disable-hot-restart", "--concurrency", "2", "-l", "off"];
        let arguments: Vec<&str> = ["-c", config].into_iter().chain(more).collect();
        // The listener itself stays closed until it has what it wants.
        let server = Server::start(program, &arguments, admin);
        Self { folder, port, _server: server }
    }

    fn spec(&self, more: &str) -> Spec {
        table(&self.folder, self.port, more)
    }
}

fn table(folder: &Folder, port: u16, more: &str) -> Spec {
    spec(&format!(
        "name = \"edge\"\nkind = \"files\"\ndirectory = {:?}\nformats = [\"sds\"]\n\
         probe = [\"127.0.0.1:{port}\"]\n{more}",
        folder.text("tls")
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_of_its_file_fail_no_handshake_and_each_is_proven() {
    let issuer = Issuer::new();
    let first = issuer.bundle(&["shop.test"]);
    let envoy = Envoy::start("shop", &first).await;
    let seen = proof(&envoy.spec(""), &first, &[]).await;
    assert!(seen.proven, "{seen}");
    rotate_under_load(&envoy.spec(""), &issuer, &first, envoy.port).await;
}

#[tokio::test]
async fn what_is_written_over_its_file_is_not_seen_but_the_link_is() {
    let issuer = Issuer::new();
    let (first, second) = (issuer.bundle(&["shop.test"]), issuer.bundle(&["shop.test"]));
    let envoy = Envoy::start("shop", &first).await;
    let seen = proof(&envoy.spec(""), &first, &[]).await;
    assert!(seen.proven, "{seen}");
    let file = envoy.folder.path("tls/current/sds.json");
    let old = fs::read_to_string(&file).expect("a secret");
    let key = |bundle: &Bundle| bundle.key_pem().expect("a key").replace('\n', "\\n");
    let chain = |bundle: &Bundle| bundle.fullchain_pem().replace('\n', "\\n");
    let new = old.replace(&key(&first), &key(&second)).replace(&chain(&first), &chain(&second));
    assert_ne!(old, new);
    fs::write(&file, new).expect("written over");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let seen = proof(&envoy.spec("window = \"2s\""), &second, &[first.fingerprint()]).await;
    assert!(seen.sightings.iter().all(|seen| seen.found == Found::Old), "{seen}");
    push(&envoy.spec(""), 2, &second).await.expect("pushed");
    let seen = proof(&envoy.spec(""), &second, &[first.fingerprint()]).await;
    assert!(seen.proven, "{seen}");
}

#[tokio::test]
async fn a_secret_of_another_name_is_taken_without_complaint_and_serves_nobody() {
    let bundle = Issuer::new().bundle(&["shop.test"]);
    let envoy = Envoy::start("other", &bundle).await;
    let seen = proof(&envoy.spec("window = \"2s\""), &bundle, &[]).await;
    assert!(!seen.proven && seen.is_unreachable(), "{seen}");
}

#[test]
fn keystores_need_a_password_and_secrets_of_envoy_none() {
    let check = |more: &str| {
        let table = format!("name = \"edge\"\nkind = \"files\"\n{more}");
        toml::from_str::<Spec>(&table).expect("a table").check()
    };
    assert_eq!(check("directory = \"/a\"\nformats = [\"sds\"]"), Ok(()));
    let refused = |more: &str| check(more).expect_err("it cannot work");
    assert!(
        refused("directory = \"/a\"\nformats = [\"sds\", \"jks\"]").contains("need a password")
    );
    assert!(refused("path = \"/a\"\nformats = [\"sds\"]").contains("set directory"));
    let idle = "directory = \"/a\"\nformats = [\"sds\"]\nkeystore_password_file = \"/b\"";
    assert!(refused(idle).contains("is for keystores"));
}
