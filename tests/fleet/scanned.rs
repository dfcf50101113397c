//! Looking for certificates: how many places a second, beside a loop of bare handshakes that keeps
//! nothing; and what a large inventory weighs in the server's memory.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::arguments::Arguments;
use crate::decisions::count;
use crate::edge::Edges;
use crate::error::Error;
use crate::gauge;
use crate::grid::grid;
use crate::node::{Ground, Node};
use crate::published::median;

/// Both, and their table.
pub(crate) async fn measure(arguments: &Arguments) -> Result<String, Error> {
    let ground = Ground::clear(arguments).await?;
    let (_edges, port) = Edges::everywhere(&ground.folder).await?;
    let node = ground.start(false).await?;
    let roots = ground.folder.join("tls.crt").display().to_string();
    let target = format!("127.0.0.0/{}:{port}", 32 - BITS);
    let (mut scans, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 1..=arguments.turns {
        eprintln!("scanned: turn {turn} of {}", arguments.turns);
        let began = Instant::now();
        let words = ["scan", &target, "--rate", "1000000", "--roots", &roots];
        node.run(&words).await?;
        let scan = count(PLACES) / began.elapsed().as_secs_f64();
        let loose = handshakes(port).await?;
        scans.push(scan);
        bare.push(loose);
        ratios.push(scan / loose);
    }
    let memory = gauge::memory(node.server.pid())?;
    let (stored, full) = store(&node, &ground.folder, arguments.found).await?;
    let row = [
        format!("{:.0}", median(scans)),
        format!("{:.0}", median(bare)),
        format!("{:.2}", median(ratios)),
        format!("{}", memory >> 20),
        format!("{}", arguments.found),
        format!("{stored:.0}"),
        format!("{}", full >> 20),
    ];
    node.server.stop().await?;
    Ok(format!("Scanned\n\n{}", grid(HEADINGS, [row])))
}

/// Bare handshakes with as many places, as many at once; how many a second.
async fn handshakes(port: u16) -> Result<f64, Error> {
    let run = move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(Error::io("start a runtime"))?;
        runtime.block_on(all_handshakes(port))
    };
    let took = tokio::task::spawn_blocking(run).await;
    took.map_err(|_| Error::Stalled("bare handshakes"))?
}

async fn all_handshakes(port: u16) -> Result<f64, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let any = Arc::new(Any(Arc::clone(&provider)));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| Error::Crypto("offer TLS"))?;
    let mut config = config.dangerous().with_custom_certificate_verifier(any).with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    let connector = TlsConnector::from(Arc::new(config));
    let (next, began) = (Arc::new(AtomicU32::new(0)), Instant::now());
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (connector, next) = (connector.clone(), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number as usize >= PLACES {
                    return Ok(());
                }
                let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 0, 0)) + number);
                shake(&connector, SocketAddr::from((address, port))).await?;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(|_| Error::Stalled("bare handshakes"))?.map_err(Error::io("shake hands"))?;
    }
    Ok(count(PLACES) / began.elapsed().as_secs_f64())
}

async fn shake(connector: &TlsConnector, address: SocketAddr) -> std::io::Result<()> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let stream = connector.connect(ServerName::from(address.ip()), stream).await?;
    // Whoever only wants to see a certificate has seen it.
    drop(stream);
    Ok(())
}

/// Takes whatever is shown, if its key signed the handshake.
#[derive(Debug)]
struct Any(Arc<CryptoProvider>);

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _above: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, leaf, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, leaf, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Has the server keep so many certificates, from files; how many a second, and its memory then.
async fn store(node: &Node<'_>, folder: &Path, number: usize) -> Result<(f64, u64), Error> {
    let home = folder.join("found");
    std::fs::create_dir_all(&home).map_err(Error::io("create a folder"))?;
    let key = KeyPair::generate_for(&PKCS_ED25519).map_err(|_| Error::Crypto("make a key"))?;
    let mut made = 0;
    while made < number {
        let mut text = String::new();
        for name in made..number.min(made + IN_A_FILE) {
            let params = CertificateParams::new(vec![format!("h{name}.example.com")]);
            let certificate = params.and_then(|params| params.self_signed(&key));
            let certificate = certificate.map_err(|_| Error::Crypto("make a certificate"))?;
            let _ = write!(text, "{}", certificate.pem());
        }
        let file = home.join(format!("{made}.pem"));
        std::fs::write(&file, text).map_err(Error::io("write certificates"))?;
        made += IN_A_FILE;
    }
    let began = Instant::now();
    node.run(&["scan", &home.display().to_string()]).await?;
    let took = began.elapsed().as_secs_f64();
    // What is counted once a minute is in it.
    tokio::time::sleep(Duration::from_secs(65)).await;
    Ok((count(number) / took, gauge::memory(node.server.pid())?))
}

/// 8192 addresses.
const BITS: u32 = 13;
const PLACES: usize = 1 << BITS;
/// As many as a scan does.
const AT_ONCE: usize = 128;
const IN_A_FILE: usize = 500;
const HEADINGS: [&str; 7] =
    ["scanned/s", "bare/s", "ratio", "RSS MiB", "found", "kept/s", "RSS MiB with them"];
