//! Messages by mail: written as RFC 5322 has it, and handed to a server by SMTP (RFC 5321). The way
//! there is ours, so that the same rules hold as for all that goes out, and nothing that was said in
//! the clear is taken for what was said under TLS; what is spoken on it is lettre's.

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use lettre::Address;
use lettre::message::header::{
    ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue,
};
use lettre::message::{MessageBuilder, SinglePart};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use push::StartTls;
use push::probe::starttls;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Answer, Sent, wire};
use crate::catalog::{MailSpec, MailTls};
use crate::node::Node;
use crate::perform::obtain::acme::secret;
use crate::perform::outgoing::causes;

/// Hands a message to the server.
pub(super) async fn send(node: &Node, spec: &MailSpec, sent: &Sent<'_>) -> Answer {
    match tokio::time::timeout(EXCHANGE, attempt(node, spec, sent)).await {
        Ok(Ok(answer) | Err(answer)) => answer,
        Err(_) => {
            Answer::Failed(format!("the mail server took longer than {} s", EXCHANGE.as_secs()))
        }
    }
}

async fn attempt(node: &Node, spec: &MailSpec, sent: &Sent<'_>) -> Result<Answer, Answer> {
    let login = spec.login_file.as_deref().map(login).transpose().map_err(Answer::Failed)?;
    let mail = written(spec, sent).map_err(Answer::Failed)?;
    let stream = connect(node, spec).await.map_err(Answer::Failed)?;
    let hello = hello(node);
    let client = AsyncSmtpConnection::connect_with_transport(stream, &hello).await;
    let mut client = client.map_err(|error| refused("the mail server refuses us", &error))?;
    if let Some(login) = login {
        let done = client.auth(&[Mechanism::Plain, Mechanism::Login], &login).await;
        // The server is not to be told off for what an operator can mend: it is tried again.
        done.map_err(|error| Answer::Failed(format!("the login is refused: {error}")))?;
    }
    let answer = hand_over(&mut client, spec, &mail).await;
    // What was said is said; how it says goodbye matters to nobody.
    let _ = client.quit().await;
    answer
}

/// The envelope and the mail. One recipient that is refused does not keep it from the others.
async fn hand_over(
    client: &mut AsyncSmtpConnection,
    spec: &MailSpec,
    mail: &[u8],
) -> Result<Answer, Answer> {
    let sender = spec.sender().map_err(Answer::Failed)?.email;
    let from = client.command(Mail::new(Some(sender), Vec::new())).await;
    from.map_err(|error| refused("the sender is refused", &error))?;
    let (mut taken, mut not) = (0, Vec::new());
    for recipient in spec.recipients().map_err(Answer::Failed)? {
        let address: Address = recipient.email;
        match client.command(Rcpt::new(address.clone(), Vec::new())).await {
            Ok(_) => taken += 1,
            Err(error) if error.status().is_some() => not.push((address, error)),
            Err(error) => return Err(refused("the connection is lost", &error)),
        }
    }
    let each = not.iter().map(|(address, error)| format!("{address}: {error}"));
    let complaints = each.collect::<Vec<_>>().join("; ");
    let transient = not.iter().any(|(_, error)| !error.is_permanent());
    if taken == 0 {
        let why = format!("no recipient is taken: {complaints}");
        return Err(if transient { Answer::Failed(why) } else { Answer::Refused(why) });
    }
    let data = client.command(Data).await;
    data.map_err(|error| refused("the mail is refused", &error))?;
    let done = client.message(mail).await;
    done.map_err(|error| refused("the mail is refused", &error))?;
    Ok(match complaints.as_str() {
        "" => Answer::Taken,
        // Who has it already knows it again by its Message-ID.
        _ if transient => Answer::Failed(format!("it was taken, but not yet for {complaints}")),
        _ => Answer::Partly(format!("it was taken, but not for {complaints}")),
    })
}

/// What a refusal means: what is said to be for good (RFC 5321 §4.2.1, 5yz) is not tried again.
fn refused(what: &str, error: &SmtpError) -> Answer {
    let why = format!("{what}: {error}");
    if error.is_permanent() { Answer::Refused(why) } else { Answer::Failed(why) }
}

/// The mail: plain text, the same each time that it is sent.
fn written(spec: &MailSpec, sent: &Sent<'_>) -> Result<Vec<u8>, String> {
    let body: Value = serde_json::from_str(sent.body).map_err(|error| error.to_string())?;
    let (subject, text) = (body["subject"].as_str(), body["text"].as_str());
    let from = spec.sender()?;
    // Not the random one of the library: a receiver knows by it that it has this mail already.
    let id = format!("<{}@{}>", sent.message, from.email.domain());
    let mut mail = MessageBuilder::new()
        .from(from)
        .subject(subject.unwrap_or_default())
        .date(SystemTime::from(sent.created_at))
        .message_id(Some(id))
        // RFC 3834 §5: nobody's absence is to be answered.
        .header(AutoSubmitted)
        .header(ContentType::TEXT_PLAIN);
    for recipient in spec.recipients()? {
        mail = mail.to(recipient);
    }
    let text = text.unwrap_or_default().to_owned();
    let part = SinglePart::builder()
        .header(ContentType::TEXT_PLAIN)
        // Lines of any length, and no octet that a server would have to understand.
        .header(ContentTransferEncoding::QuotedPrintable)
        .body(text);
    let mail = mail.singlepart(part).map_err(|error| error.to_string())?;
    Ok(mail.formatted())
}

/// What says that nobody wrote it.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".into())
    }
}

/// The name and the password in a file.
fn login(path: &Path) -> Result<Credentials, String> {
    let text = secret::read(path).map_err(|error| format!("login_file {error}"))?;
    let mut lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    match (lines.next(), lines.next(), lines.next()) {
        (Some(name), Some(password), None) => Ok(Credentials::new(name.into(), password.into())),
        _ => Err(format!(
            "login_file {}: it must hold two lines, the name and the password",
            path.display()
        )),
    }
}

/// How we call ourselves.
fn hello(node: &Node) -> ClientId {
    let url = url::Url::parse(&node.https_url).ok();
    match url.as_ref().and_then(url::Url::host) {
        Some(url::Host::Domain(name)) => ClientId::Domain(name.to_owned()),
        Some(url::Host::Ipv4(address)) => ClientId::Ipv4(address),
        Some(url::Host::Ipv6(address)) => ClientId::Ipv6(address),
        None => ClientId::Domain("localhost".into()),
    }
}

/// The way to the server, as far as its first words.
async fn connect(node: &Node, spec: &MailSpec) -> Result<Box<dyn AsyncTokioStream>, String> {
    let (host, port) = spec.address()?;
    let rules = wire::rules(node, spec.is_local());
    let addresses = wire::addresses(&rules, &host, port).await;
    let addresses = addresses.map_err(|error| format!("server {host}: {error}"))?;
    let unreachable = |why: String| format!("server {host}, port {port}: {why}");
    let stream = tokio::time::timeout(CONNECT, TcpStream::connect(addresses.as_slice())).await;
    let stream = stream.map_err(|_| unreachable("it does not answer".into()))?;
    let mut stream = stream.map_err(|error| unreachable(error.to_string()))?;
    let peer = stream.peer_addr().map_err(|error| unreachable(error.to_string()))?;
    match spec.tls {
        MailTls::None => return Ok(Box::new(stream)),
        MailTls::Starttls => {
            let begun = starttls::negotiate(&mut stream, StartTls::Smtp, None).await;
            begun.map_err(|why| format!("it does not begin TLS: {why}"))?;
        }
        MailTls::Implicit => {}
    }
    let name = ServerName::try_from(host.clone()).map_err(|error| error.to_string())?;
    let config = Arc::new(trusting(spec)?);
    let stream = TlsConnector::from(config).connect(name, stream).await;
    let stream = stream.map_err(|error| format!("no TLS with {host}: {}", causes(&error)))?;
    let (read, write) = tokio::io::split(stream);
    // It greeted before TLS, and does not do so again (RFC 3207 §4.2): lettre waits for it.
    let greeting: &[u8] = if spec.tls == MailTls::Starttls { b"220 TLS\r\n" } else { b"" };
    Ok(Box::new(Way { greeting: greeting.chain(read), write, peer }))
}

/// Whose certificate is taken for the server's.
fn trusting(spec: &MailSpec) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder();
    let Some(path) = &spec.roots else {
        let trusting = builder.with_platform_verifier().map_err(|error| error.to_string())?;
        return Ok(trusting.with_no_client_auth());
    };
    let read = || {
        let pem = fs::read_to_string(path).map_err(|error| error.to_string())?;
        let roots = ca::Certificate::from_pem(&pem).map_err(|error| error.to_string())?;
        let mut store = RootCertStore::empty();
        for root in &roots {
            let der = CertificateDer::from(root.der().to_vec());
            store.add(der).map_err(|error| error.to_string())?;
        }
        Ok(store)
    };
    let store = read()
        .map_err(|why: String| format!("roots {}: {why}; name a PEM file", path.display()))?;
    Ok(builder.with_root_certificates(store).with_no_client_auth())
}

type Tls = tokio_rustls::client::TlsStream<TcpStream>;

/// A stream under TLS that says first what the server said before.
struct Way {
    greeting: tokio::io::Chain<&'static [u8], ReadHalf<Tls>>,
    write: WriteHalf<Tls>,
    peer: SocketAddr,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Way to {}", self.peer)
    }
}

impl AsyncTokioStream for Way {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl AsyncRead for Way {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.greeting).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Way {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.write).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(cx)
    }
}

const CONNECT: Duration = Duration::from_secs(10);
/// A server may look up a lot before it takes a mail.
const EXCHANGE: Duration = Duration::from_secs(60);
