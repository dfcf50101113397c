//! An Envoy that has no certificate but what it gets from Perennial over SDS: its listener's, and the
//! root it would ask its clients for.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::fleet::{here, write};
use super::stage::Stage;
use crate::program::{Daemon, succeed};

/// An Envoy, and where it asks.
#[derive(Debug)]
pub(super) struct Envoy {
    pub(super) address: SocketAddr,
    /// Where Perennial listens for it.
    pub(super) sds: SocketAddr,
    client: String,
    /// Whether it takes certificates only with an OCSP response, which it gets from nobody.
    demanding: bool,
    /// Which variant of the protocol it speaks.
    api: &'static str,
    daemon: Option<Daemon>,
}

impl Envoy {
    /// One that will listen at `address`.
    pub(super) fn at(address: SocketAddr) -> Self {
        let (client, api) = (String::new(), "GRPC");
        Self { address, sds: here(), client, demanding: false, api, daemon: None }
    }

    /// The same, but so that it asks only for what is new.
    pub(super) fn incremental(self) -> Self {
        Self { api: "DELTA_GRPC", daemon: None, ..self }
    }

    /// The same, but so that it can use no certificate without an OCSP response.
    pub(super) fn demanding(self, demanding: bool) -> Self {
        Self { demanding, daemon: None, ..self }
    }

    /// Starts it, with a client certificate of this name.
    pub(super) fn start(mut self, stage: &Stage, client: &str) -> Self {
        let home = stage.directory("envoy");
        let [chain, key] = ["pem", "key"].map(|ending| home.join(format!("{client}.{ending}")));
        if !key.exists() {
            identify(stage, &home, client);
        }
        let config = home.join("envoy.json");
        write(&config, &self.config(&stage.server.trust, &chain, &key).to_string());
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let binary = root.join("target/venv/bin/envoy");
        let arguments = ["-c".as_ref(), config.as_os_str()].into_iter();
        let more = ["--disable-hot-restart", "--concurrency", "2", "-l", "warning"];
        let arguments = arguments.chain(more.map(AsRef::as_ref));
        self.daemon = Some(Daemon::start(&binary.to_string_lossy(), arguments, &home));
        client.clone_into(&mut self.client);
        self
    }

    /// Its table, as a target of kind `sds`.
    pub(super) fn table(&self, name: &str, more: &str) -> String {
        format!(
            "[[target]]\nname = {name:?}\nkind = \"sds\"\nclients = [{:?}]\nprobe = [\"{}\"]\n{more}\n",
            self.client, self.address,
        )
    }

    fn config(&self, root: &Path, chain: &Path, key: &Path) -> Value {
        json!({
            "node": { "id": "edge-1", "cluster": "test" },
            "static_resources": {
                "listeners": [self.listener()],
                "clusters": [self.cluster(root, chain, key)],
            },
        })
    }

    fn listener(&self) -> Value {
        let policy = if self.demanding { "MUST_STAPLE" } else { "LENIENT_STAPLING" };
        json!({
            "name": "shop",
            "address": at(self.address),
            "filter_chains": [{
                "transport_socket": { "name": "tls", "typed_config": {
                    "@type": format!("{TLS}.DownstreamTlsContext"),
                    "require_client_certificate": false,
                    "ocsp_staple_policy": policy,
                    "common_tls_context": {
                        "tls_certificate_sds_secret_configs": [self.secret("shop")],
                        "validation_context_sds_secret_config": self.secret("trust/root"),
                    },
                }},
                "filters": [{ "name": "http", "typed_config": answering() }],
            }],
        })
    }

    /// A secret of this name, from Perennial.
    fn secret(&self, name: &str) -> Value {
        let services = json!([{ "envoy_grpc": { "cluster_name": "perennial" } }]);
        json!({ "name": name, "sds_config": { "resource_api_version": "V3", "api_config_source": {
            "api_type": self.api, "transport_api_version": "V3", "grpc_services": services,
        }}})
    }

    fn cluster(&self, root: &Path, chain: &Path, key: &Path) -> Value {
        let file = |path: &Path| json!({ "filename": path });
        let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        json!({
            "name": "perennial",
            "type": "STATIC",
            "load_assignment": { "cluster_name": "perennial", "endpoints": [{
                "lb_endpoints": [{ "endpoint": { "address": at(self.sds) } }],
            }]},
            "typed_extension_protocol_options": { options: {
                "@type": format!("type.googleapis.com/{options}"),
                "explicit_http_config": { "http2_protocol_options": {} },
            }},
            "transport_socket": { "name": "tls", "typed_config": {
                "@type": format!("{TLS}.UpstreamTlsContext"),
                "sni": "localhost",
                "common_tls_context": {
                    "tls_certificates": [{
                        "certificate_chain": file(chain), "private_key": file(key),
                    }],
                    "validation_context": { "trusted_ca": file(root) },
                },
            }},
        })
    }
}

fn at(address: SocketAddr) -> Value {
    let (ip, port) = (address.ip().to_string(), address.port());
    json!({ "socket_address": { "address": ip, "port_value": port } })
}

/// Every request is answered at once.
fn answering() -> Value {
    let http = "type.googleapis.com/envoy.extensions.filters.http";
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3\
                  .HttpConnectionManager",
        "stat_prefix": "shop",
        // Or it would keep each connection for a second after its last answer.
        "delayed_close_timeout": "0s",
        "route_config": { "virtual_hosts": [{
            "name": "all", "domains": ["*"],
            "routes": [{ "match": { "prefix": "/" }, "direct_response": { "status": 200 } }],
        }]},
        "http_filters": [{ "name": "router", "typed_config": {
            "@type": format!("{http}.router.v3.Router"),
        }}],
    })
}

/// A client certificate and its key.
pub(super) fn identify(stage: &Stage, home: &Path, name: &str) -> [PathBuf; 2] {
    let profile = home.join("profile.toml");
    let text = "[[profile]]\nname = \"client\"\nlifetime = \"1d\"\n\
                extended_key_usages = [\"client-auth\"]\n";
    fs::write(&profile, text).expect("a profile");
    succeed(&mut stage.server.command(["apply".as_ref(), profile.as_os_str()]));
    let [chain, key] = ["pem", "key"].map(|ending| home.join(format!("{name}.{ending}")));
    let mut issue = stage.server.command(["issue", name, "--profile", "client", "--out"]);
    succeed(issue.arg(&chain).arg("--key-out").arg(&key));
    [chain, key]
}

const TLS: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";
