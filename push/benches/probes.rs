//! Probes per second against a local nginx, beside a bare rustls client in the same run.
//!
//!     cargo bench -p push
//!
//! The bare client does full handshakes over blocking sockets, one after the other, and looks at
//! nothing; the probe is async, has a time limit, and names what it finds.

#[path = "../tests/scene.rs"]
#[allow(dead_code)]
mod scene;

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use push::probe::{self, Expected};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};

use scene::{Folder, Issuer, Server, need, once, port};

fn main() {
    let issuer = Issuer::new();
    let bundle = issuer.bundle(&["shop.test"]);
    let (folder, port) = (Folder::new(), port());
    folder.write("shop.pem", bundle.combined_pem().expect("a key").as_bytes());
    folder.write("nginx.conf", configuration(&folder, port));
    let (config, prefix) = (folder.text("nginx.conf"), folder.text(""));
    let arguments = ["-c", &config, "-p", &prefix, "-g", "daemon off;"];
    let _server = Server::start(&need("nginx", "nginx-light"), &arguments, port);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let expected = Expected::of(&bundle, &[]);
    let one = once(port, &["shop.test"]);
    let bare = client();
    // In short turns, so that what else the machine does meets all three alike.
    let (mut by_bare, mut by_sight, mut by_prove) = (0, 0, 0);
    for _ in 0..TURNS {
        by_bare += count(|| handshake(&bare, address));
        by_sight += count(|| {
            let seen = probe::sight(address, Some("shop.test"), None, Duration::from_secs(5));
            runtime.block_on(seen).expect("TLS");
        });
        by_prove += count(|| assert!(runtime.block_on(probe::prove(&one, &expected)).proven));
    }
    let per_second = |count: u32| f64::from(count) / f64::from(TURNS) / TURN.as_secs_f64();
    let share = |count: u32| 100.0 * f64::from(count) / f64::from(by_bare);
    println!(
        "handshakes per second: bare rustls {:.0}, sight {:.0} ({:.0} %), prove {:.0} ({:.0} %)",
        per_second(by_bare),
        per_second(by_sight),
        share(by_sight),
        per_second(by_prove),
        share(by_prove)
    );
}

/// How often a thing is done in one turn.
fn count(mut thing: impl FnMut()) -> u32 {
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < TURN {
        thing();
        count += 1;
    }
    count
}

const TURNS: u32 = 12;
const TURN: Duration = Duration::from_millis(500);

fn configuration(folder: &Folder, port: u16) -> String {
    format!(
        "worker_processes 1;\nerror_log {};\npid {};\nevents {{ worker_connections 256; }}\n\
         http {{ access_log off; server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {pem}; \
         ssl_certificate_key {pem}; }} }}\n",
        folder.text("error.log"),
        folder.text("nginx.pid"),
        pem = folder.text("shop.pem"),
    )
}

fn client() -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("both versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything))
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

fn handshake(config: &Arc<ClientConfig>, address: SocketAddr) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("an option");
    let name = ServerName::try_from("shop.test").expect("a name");
    let mut connection = ClientConnection::new(Arc::clone(config), name).expect("a client");
    while connection.is_handshaking() || connection.wants_write() {
        connection.complete_io(&mut stream).expect("TLS");
    }
    connection.send_close_notify();
    connection.write_tls(&mut stream).expect("goodbye");
}

/// Checks the signature of the handshake, as the probe does.
#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, leaf, signed, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, leaf, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}
