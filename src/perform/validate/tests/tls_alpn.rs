//! tls-alpn-01 against servers that show right and wrong certificates.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use acme::ProblemType;
use data_encoding::HEXLOWER;
use rcgen::{CertificateParams, CustomExtension, Issuer, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::web::banner;
use super::{Settings, expected, id, settings, validator};
use crate::perform::validate::{Failure, Proof};

const ONLY_13: Versions = &[&TLS13];
const ONLY_12: Versions = &[&TLS12];

type Versions = &'static [&'static rustls::SupportedProtocolVersion];

/// What a client hello said.
#[derive(Debug, Default)]
struct Seen {
    sni: Option<String>,
    alpn: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Certificate(Arc<CertifiedKey>, Arc<Mutex<Seen>>);

impl ResolvesServerCert for Certificate {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut seen = self.1.lock().expect("lock");
        seen.sni = hello.server_name().map(str::to_owned);
        seen.alpn = hello.alpn().map(|all| all.map(<[u8]>::to_vec).collect()).unwrap_or_default();
        Some(Arc::clone(&self.0))
    }
}

/// A server for one kind of certificate.
struct Server {
    certificate: CertificateDer<'static>,
    key: KeyPair,
    alpn: Vec<Vec<u8>>,
    versions: Versions,
    seen: Arc<Mutex<Seen>>,
}

impl Server {
    fn new(params: &CertificateParams) -> Self {
        let key = KeyPair::generate().expect("key");
        let certificate = params.self_signed(&key).expect("certificate").der().clone();
        Self::showing(certificate, key)
    }

    fn showing(certificate: CertificateDer<'static>, key: KeyPair) -> Self {
        let alpn = vec![b"acme-tls/1".to_vec()];
        Self { certificate, key, alpn, versions: rustls::ALL_VERSIONS, seen: Arc::default() }
    }

    async fn validate(&self, identifier: &str) -> Result<Proof, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let port = listener.local_addr().expect("address").port();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let key = provider.key_provider.load_private_key(key).expect("key");
        let shown = Arc::new(CertifiedKey::new(vec![self.certificate.clone()], key));
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(self.versions)
            .expect("versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Certificate(shown, Arc::clone(&self.seen))));
        config.alpn_protocols.clone_from(&self.alpn);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = acceptor.accept(stream).await;
            }
        });
        validator(Settings { tls_port: port, ..settings(None) })
            .tls_alpn_01(&id(identifier), &expected())
            .await
    }
}

fn params(names: &[&str], extension: Option<CustomExtension>) -> CertificateParams {
    let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut params = CertificateParams::new(names).expect("names");
    params.custom_extensions.extend(extension);
    params
}

fn right() -> Option<CustomExtension> {
    Some(CustomExtension::new_acme_identifier(&expected().digest()))
}

/// An acmeIdentifier extension with any content.
fn odd(content: &[u8], critical: bool) -> Option<CustomExtension> {
    let oid = [1, 3, 6, 1, 5, 5, 7, 1, 31];
    let mut extension = CustomExtension::from_oid_content(&oid, content.to_vec());
    extension.set_criticality(critical);
    Some(extension)
}

fn octets(content: &[u8]) -> Vec<u8> {
    [&[4, u8::try_from(content.len()).expect("short")], content].concat()
}

async fn refused(params: CertificateParams) -> String {
    let failure = Server::new(&params).validate("localhost").await.expect_err("refused");
    assert_eq!(failure.kind, ProblemType::IncorrectResponse, "{failure}");
    failure.detail
}

#[tokio::test]
async fn the_right_certificate_is_proof() {
    for versions in [ONLY_13, ONLY_12] {
        let server = Server { versions, ..Server::new(&params(&["localhost"], right())) };
        let proof = server.validate("localhost").await.expect("valid");
        assert!(proof.address.is_some());
        let seen = server.seen.lock().expect("lock");
        assert_eq!(seen.sni.as_deref(), Some("localhost"));
        assert_eq!(seen.alpn, [b"acme-tls/1".to_vec()]);
    }
}

#[tokio::test]
async fn an_address_is_asked_for_by_its_reverse_name() {
    let server = Server::new(&params(&["127.0.0.1"], right()));
    server.validate("127.0.0.1").await.expect("valid");
    let sni = server.seen.lock().expect("lock").sni.take();
    assert_eq!(sni.as_deref(), Some("1.0.0.127.in-addr.arpa"));
    let mut named = params(&[], right());
    named.subject_alt_names = vec![SanType::DnsName("localhost".try_into().expect("name"))];
    let failure = Server::new(&named).validate("127.0.0.1").await.expect_err("a name");
    assert!(failure.detail.contains("localhost and not 127.0.0.1"), "{failure}");
}

#[tokio::test]
async fn another_digest_is_refused_and_both_are_shown() {
    let other = Some(CustomExtension::new_acme_identifier(&[9; 32]));
    let digest = HEXLOWER.encode(&expected().digest());
    let detail = refused(params(&["localhost"], other)).await;
    assert!(detail.contains("0909") && detail.contains(&digest), "{detail}");
}

#[tokio::test]
async fn the_extension_must_be_there_once_critical_and_well_formed() {
    let detail = refused(params(&["localhost"], None)).await;
    assert!(detail.contains("no acmeIdentifier"), "{detail}");
    let detail = refused(params(&["localhost"], odd(&octets(&expected().digest()), false))).await;
    assert!(detail.contains("not critical"), "{detail}");
    let detail = refused(params(&["localhost"], odd(&expected().digest(), true))).await;
    assert!(detail.contains("not an OCTET STRING"), "{detail}");
    let detail =
        refused(params(&["localhost"], odd(&octets(&expected().digest()[..31]), true))).await;
    assert!(detail.contains("31 octets"), "{detail}");
    let trailing = [octets(&expected().digest()), vec![0]].concat();
    let detail = refused(params(&["localhost"], odd(&trailing, true))).await;
    assert!(detail.contains("not an OCTET STRING"), "{detail}");
}

#[tokio::test]
async fn the_certificate_must_name_the_identifier_and_nothing_else() {
    let detail = refused(params(&["localhost", "other.test"], right())).await;
    assert!(detail.contains("2 names"), "{detail}");
    let detail = refused(params(&["other.test"], right())).await;
    assert!(detail.contains("other.test and not localhost"), "{detail}");
    let detail = refused(params(&["127.0.0.1"], right())).await;
    assert!(detail.contains("127.0.0.1 and not localhost"), "{detail}");
    let detail = refused(params(&[], right())).await;
    assert!(detail.contains("no subjectAltName"), "{detail}");
}

#[tokio::test]
async fn the_certificate_must_be_self_signed() {
    let issuer_key = KeyPair::generate().expect("key");
    let issuer = Issuer::new(params(&["ca.test"], None), issuer_key);
    let key = KeyPair::generate().expect("key");
    let signed = params(&["localhost"], right()).signed_by(&key, &issuer).expect("certificate");
    let server = Server::showing(signed.der().clone(), key);
    let failure = server.validate("localhost").await.expect_err("refused");
    assert_eq!(failure.kind, ProblemType::IncorrectResponse);
    assert!(failure.detail.contains("not self-signed"), "{failure}");
}

#[tokio::test]
async fn the_peer_must_hold_the_key_of_the_certificate() {
    for versions in [ONLY_13, ONLY_12] {
        let mut server = Server { versions, ..Server::new(&params(&["localhost"], right())) };
        server.key = KeyPair::generate().expect("key");
        let failure = server.validate("localhost").await.expect_err("refused");
        assert_eq!(failure.kind, ProblemType::Tls, "{failure}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_speak_acme_tls_is_told_so() {
    for alpn in [vec![], vec![b"h2".to_vec()]] {
        let server = Server { alpn, ..Server::new(&params(&["localhost"], right())) };
        let failure = server.validate("localhost").await.expect_err("refused");
        assert_eq!(failure.kind, ProblemType::Tls, "{failure}");
        assert!(failure.detail.contains("TLS handshake with localhost at 127.0.0.1:"), "{failure}");
    }
}

#[tokio::test]
async fn what_is_not_tls_is_a_tls_failure_and_silence_a_connection_failure() {
    for (said, kind, wanted) in [
        (&b"220 mail.test ESMTP\r\n"[..], ProblemType::Tls, "handshake"),
        (b"", ProblemType::Connection, "not done within 1s"),
    ] {
        let tls_port = banner(said).await;
        let settings = Settings { tls_port, timeout: Duration::from_secs(1), ..settings(None) };
        let failure = validator(settings).tls_alpn_01(&id("127.0.0.1"), &expected()).await;
        let failure = failure.expect_err("no TLS");
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.detail.contains(wanted), "{failure}");
    }
}
