//! Answering challenges for clients that only write files: http-01 from a directory, tls-alpn-01
//! (RFC 8737) from a directory of certificates. Both answer until the test process ends.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection};

/// Serves the files directly in `directory` as `/.well-known/acme-challenge/NAME`.
pub(crate) fn serve_tokens(directory: &Path, port: u16) {
    serve_files(directory, "/.well-known/acme-challenge/", port);
}

/// Serves the files directly in `directory` at URLs that begin with `prefix`.
pub(crate) fn serve_files(directory: &Path, prefix: &'static str, port: u16) {
    let directory = directory.to_owned();
    listen(port, move |stream| answer_file(stream, &directory, prefix));
}

/// Serves `directory/NAME.crt.pem` with `directory/NAME.key.pem` to whoever asks for NAME with the
/// protocol `acme-tls/1`.
pub(crate) fn serve_alpn(directory: &Path, port: u16) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(AlpnCertificates(directory.to_owned())));
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let config = Arc::new(config);
    listen(port, move |mut stream| {
        let mut connection = ServerConnection::new(Arc::clone(&config)).expect("a TLS server");
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).map_err(|e| e.to_string())?;
        }
        // RFC 8737 §3: the validator hangs up as soon as it has seen the certificate.
        connection.send_close_notify();
        connection.write_tls(&mut stream).map(drop).map_err(|e| e.to_string())
    });
}

fn listen<F>(port: u16, answer: F)
where
    F: Fn(TcpStream) -> Result<(), String> + Send + Sync + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("a port of our own");
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
            thread::spawn(move || answer(stream).unwrap_or_else(|e| eprintln!("challenge: {e}")));
        }
    });
}

fn answer_file(mut stream: TcpStream, directory: &Path, prefix: &str) -> Result<(), String> {
    let reader = BufReader::new(stream.try_clone().map_err(|e| e.to_string())?);
    let mut lines = reader.lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let name = request
        .strip_prefix("GET ")
        .and_then(|rest| rest.strip_prefix(prefix)?.split(' ').next())
        .filter(|name| !name.contains('/') && !name.starts_with('.'));
    let found = name.and_then(|name| fs::read(directory.join(name)).ok());
    let status = if found.is_some() { "200 OK" } else { "404 Not Found" };
    let body = found.unwrap_or_default();
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(&[head.as_bytes(), &body].concat()).map_err(|e| e.to_string())
}

#[derive(Debug)]
struct AlpnCertificates(PathBuf);

impl ResolvesServerCert for AlpnCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?;
        let chain = CertificateDer::pem_file_iter(self.0.join(format!("{name}.crt.pem"))).ok()?;
        let key = PrivateKeyDer::from_pem_file(self.0.join(format!("{name}.key.pem"))).ok()?;
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).ok()?;
        Some(Arc::new(CertifiedKey::new(chain.flatten().collect(), key)))
    }
}
