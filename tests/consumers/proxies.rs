//! Proxies that verify tokens for what is behind them: Envoy's `jwt_authn`, and Apache with
//! mod_auth_openidc as an OAuth 2.0 resource server.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::geteuid;
use serde_json::{Value, json};
use url::Url;

use super::keysets::{AUDIENCE, CACHE, Issuer, Keyset, Token};
use super::libraries::tool;
use crate::program::{Daemon, free_port};

/// A running proxy that answers 200 under `/NAME/` to who has a token of the keyset NAME.
pub(super) struct Proxy {
    /// The port for each keyset, or one for all.
    ports: Vec<(String, u16)>,
    http: reqwest::Client,
    _daemon: Daemon,
}

impl Proxy {
    /// Starts Envoy before all keysets whose keys it can have.
    pub(super) fn envoy(issuer: &Issuer) -> Self {
        let home = issuer.scene.directory("envoy");
        let port = free_port();
        let config = envoy(issuer, port);
        let file = home.join("envoy.json");
        fs::write(&file, config.to_string()).expect("Envoy's settings");
        let arguments = ["--concurrency", "2", "--log-level", "warning", "--disable-hot-restart"];
        let arguments = arguments.map(Into::into).into_iter();
        let arguments = arguments.chain(["--config-path".into(), file.into_os_string()]);
        let binary = tool("venv/bin/envoy");
        let mut daemon = Daemon::start(&binary.to_string_lossy(), arguments, &home);
        daemon.wait_for_port(port);
        let ports = issuer.keysets.iter().map(|keyset| (keyset.name.clone(), port)).collect();
        Self { ports, http: plain(), _daemon: daemon }
    }

    /// Starts Apache with a virtual host before each keyset.
    pub(super) fn apache(issuer: &Issuer) -> Self {
        let home = issuer.scene.directory("apache");
        let ports: Vec<_> =
            issuer.keysets.iter().map(|keyset| (keyset.name.clone(), free_port())).collect();
        let file = home.join("apache.conf");
        let text = apache(issuer, &home, &ports);
        fs::write(&file, text).expect("Apache's settings");
        let arguments = ["-f".as_ref(), file.as_os_str(), "-DFOREGROUND".as_ref()];
        let mut daemon = Daemon::start("apache2", arguments, &home);
        for (_, port) in &ports {
            daemon.wait_for_port(*port);
        }
        Self { ports, http: plain(), _daemon: daemon }
    }

    /// Whether the proxy lets a token pass; if not, what it says.
    pub(super) async fn verify(&self, keyset: &Keyset, token: &Token) -> Result<(), String> {
        let port = self.ports.iter().find(|(name, _)| *name == keyset.name).expect("a port").1;
        let url = format!("http://127.0.0.1:{port}/{}/", keyset.name);
        let answer = self.http.get(url).bearer_auth(&token.text).send().await;
        let answer = answer.map_err(|e| format!("{e:?}"))?;
        if answer.status() == 200 {
            return Ok(());
        }
        let status = answer.status();
        let said = answer.text().await.unwrap_or_default();
        Err(format!("{status}: {}", said.chars().take(100).collect::<String>()))
    }
}

fn plain() -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30));
    builder.build().expect("a client")
}

fn envoy(issuer: &Issuer, port: u16) -> Value {
    let (mut providers, mut rules) = (json!({}), Vec::new());
    for keyset in &issuer.keysets {
        let name = &keyset.name;
        providers[name] = json!({
            "issuer": keyset.issuer(),
            "audiences": [AUDIENCE],
            "remote_jwks": {
                "http_uri": { "uri": keyset.url, "cluster": "issuer", "timeout": "10s" },
                "cache_duration": format!("{CACHE}s"),
            },
            "clock_skew_seconds": 1,
        });
        rules.push(json!({
            "match": { "prefix": format!("/{name}/") },
            "requires": { "provider_name": name },
        }));
    }
    let kind = |name: &str| format!("type.googleapis.com/envoy.extensions.{name}");
    let manager = json!({
        "@type": kind("filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "in",
        "route_config": { "virtual_hosts": [{
            "name": "all", "domains": ["*"],
            "routes": [{ "match": { "prefix": "/" }, "direct_response": { "status": 200 } }],
        }] },
        "http_filters": [
            { "name": "envoy.filters.http.jwt_authn", "typed_config": {
                "@type": kind("filters.http.jwt_authn.v3.JwtAuthentication"),
                "providers": providers, "rules": rules,
            } },
            { "name": "envoy.filters.http.router", "typed_config": {
                "@type": kind("filters.http.router.v3.Router"),
            } },
        ],
    });
    let address =
        |port: u16| json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } });
    let server = Url::parse(&issuer.keysets[0].url).expect("a URL").port().expect("a port");
    json!({ "static_resources": {
        "listeners": [{ "name": "in", "address": address(port), "filter_chains": [{ "filters": [
            { "name": "envoy.filters.network.http_connection_manager", "typed_config": manager },
        ] }] }],
        "clusters": [{
            "name": "issuer", "type": "STATIC", "connect_timeout": "5s",
            "load_assignment": { "cluster_name": "issuer", "endpoints": [{ "lb_endpoints": [
                { "endpoint": { "address": address(server) } },
            ] }] },
            "transport_socket": { "name": "envoy.transport_sockets.tls", "typed_config": {
                "@type": kind("transport_sockets.tls.v3.UpstreamTlsContext"),
                "sni": "localhost",
                "common_tls_context": { "validation_context": {
                    "trusted_ca": { "filename": issuer.scene.server.trust },
                } },
            } },
        }],
    } })
}

/// It fetches as a user who cannot read the root that it would have to trust, so it trusts anybody.
fn apache(issuer: &Issuer, home: &Path, ports: &[(String, u16)]) -> String {
    let user = if geteuid().is_root() { "User nobody\nGroup nogroup\n" } else { "" };
    let modules = ["mpm_event", "authz_core", "authn_core", "authz_user", "auth_openidc", "status"];
    let mut text = format!(
        "ServerRoot {home}\nServerName localhost\n{user}PidFile {home}/apache.pid\n\
         ErrorLog {home}/error.log\nMutex pthread\n",
        home = home.display()
    );
    for module in modules {
        let _ = writeln!(text, "LoadModule {module}_module {MODULES}/mod_{module}.so");
    }
    for (keyset, (name, port)) in issuer.keysets.iter().zip(ports) {
        let _ = writeln!(
            text,
            "Listen 127.0.0.1:{port}\n<VirtualHost 127.0.0.1:{port}>\n\
             OIDCOAuthVerifyJwksUri {url}\nOIDCOAuthRemoteUserClaim sub\n\
             OIDCOAuthSSLValidateServer Off\n<Location /{name}/>\n\
             AuthType oauth20\nRequire claim iss:{iss}\nSetHandler server-status\n</Location>\n\
             </VirtualHost>",
            url = keyset.url,
            iss = keyset.issuer(),
        );
    }
    text
}

const MODULES: &str = "/usr/lib/apache2/modules";
