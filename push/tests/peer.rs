//! TLS servers of a few lines that do what real ones do only on bad days, and count what they see.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use push::Bundle;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{HandshakeKind, ServerConfig, ServerConnection};

/// What is said before TLS; false where no TLS follows.
pub(crate) type Preamble = fn(&mut TcpStream) -> bool;

/// A server on a loopback address, ended when dropped.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) resumed: Arc<AtomicU32>,
    running: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    /// Serves one bundle to everybody.
    pub(crate) fn serve(bundle: &Bundle) -> Self {
        Self::start("127.0.0.1:0", config(certified(bundle, bundle)), |_| true)
    }

    pub(crate) fn start(address: &str, config: ServerConfig, before: Preamble) -> Self {
        let listener = TcpListener::bind(address).expect("an address");
        let address = listener.local_addr().expect("an address");
        let (running, resumed) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU32::new(0)));
        let thread = {
            let (running, resumed, config) =
                (Arc::clone(&running), Arc::clone(&resumed), Arc::new(config));
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    if !running.load(Ordering::Relaxed) {
                        return;
                    }
                    let stream = stream.expect("a connection");
                    if serve(stream, &config, before) == Some(HandshakeKind::Resumed) {
                        resumed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        };
        Self { address, resumed, running, thread: Some(thread) }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.running.store(false, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    mut stream: TcpStream,
    config: &Arc<ServerConfig>,
    before: Preamble,
) -> Option<HandshakeKind> {
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    if !before(&mut stream) {
        return None;
    }
    let mut connection = ServerConnection::new(Arc::clone(config)).expect("a connection");
    while connection.is_handshaking() {
        if connection.complete_io(&mut stream).is_err() {
            return None;
        }
    }
    let kind = connection.handshake_kind();
    // Until the client says goodbye.
    let mut rest = [0; 256];
    let _ = rustls::Stream::new(&mut connection, &mut stream).read(&mut rest);
    kind
}

/// The certificates of one bundle with the key of another.
pub(crate) fn certified(certificates: &Bundle, key: &Bundle) -> CertifiedKey {
    let leaf = std::iter::once(certificates.leaf());
    let chain = leaf.chain(certificates.chain());
    let chain = chain.map(|one| CertificateDer::from(one.der().to_vec())).collect();
    let der = PrivateKeyDer::try_from(key.key_pkcs8().expect("a key").to_vec()).expect("a key");
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&der).expect("a key");
    CertifiedKey::new(chain, key)
}

/// Settings for both versions of TLS, with tickets.
pub(crate) fn config(certified: CertifiedKey) -> ServerConfig {
    builder(rustls::ALL_VERSIONS)
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Always(Arc::new(certified))))
}

pub(crate) fn builder(
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("both versions")
}

/// Says a line.
pub(crate) fn say(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).expect("the client reads");
}

/// Hears exactly this, or gives up the connection.
pub(crate) fn hear(stream: &mut TcpStream, text: &[u8]) -> bool {
    let mut heard = vec![0; text.len()];
    stream.read_exact(&mut heard).is_ok() && heard == text
}

#[derive(Debug)]
pub(crate) struct Always(pub(crate) Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}
