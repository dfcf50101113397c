//! One full handshake, and what it showed.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConnection, Error, ProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::starttls::{self, StartTls};
use super::witness::Keys;

/// What a handshake showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The certificates as sent, DER, the server's own first. Never empty.
    pub chain: Vec<CertificateDer<'static>>,
    /// The version of TLS.
    pub version: Option<ProtocolVersion>,
}

/// Why a handshake showed nothing: the server's fault, or of what lies between.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unseen {
    /// TLS failed: an alert, or something that is no TLS.
    #[error("the handshake failed: {0}")]
    Alert(String),
    /// It did not come to TLS.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
}

/// Does one full handshake with `address`, asking for `sni` if given, and shows what is served,
/// whatever it is and whoever issued it. The server has shown that it has the leaf's key.
///
/// # Errors
/// [`Unseen`], also when it takes longer than `limit`, connecting included.
pub async fn sight(
    address: SocketAddr,
    sni: Option<&str>,
    starttls: Option<StartTls>,
    limit: Duration,
) -> Result<Seen, Unseen> {
    sight_of(Keys::Any, address, sni, starttls, limit).await
}

/// As [`sight`], accepting only keys of one kind.
pub(super) async fn sight_of(
    keys: Keys,
    address: SocketAddr,
    sni: Option<&str>,
    starttls: Option<StartTls>,
    limit: Duration,
) -> Result<Seen, Unseen> {
    let late = |_| Unseen::Unreachable(format!("no answer within {} s", limit.as_secs_f32()));
    // A thousand rotations at once are no flood of handshakes; waiting for a turn is not the
    // server's fault, so that its time begins after. The semaphore is never closed.
    let _turn = TURNS.acquire().await;
    timeout(limit, look(keys, address, sni, starttls)).await.map_err(late)?
}

async fn look(
    keys: Keys,
    address: SocketAddr,
    sni: Option<&str>,
    starttls: Option<StartTls>,
) -> Result<Seen, Unseen> {
    let unreachable = |error: io::Error| Unseen::Unreachable(error.to_string());
    let mut stream = TcpStream::connect(address).await.map_err(unreachable)?;
    // The client's second flight must not wait for an acknowledgement of its first.
    stream.set_nodelay(true).map_err(unreachable)?;
    if let Some(starttls) = starttls {
        starttls::negotiate(&mut stream, starttls, sni).await.map_err(Unseen::Unreachable)?;
    }
    let name = match sni {
        Some(sni) => ServerName::try_from(sni.to_owned())
            .map_err(|_| Unseen::Alert(format!("{sni:?} is no name to ask for")))?,
        // An address is never sent as a server name (RFC 6066 §3).
        None => ServerName::from(address.ip()),
    };
    let mut connection = ClientConnection::new(keys.config(), name)
        .map_err(|error| Unseen::Alert(error.to_string()))?;
    let shaken = shake(&mut stream, &mut connection).await;
    let version = connection.protocol_version();
    let chain: Vec<_> = connection.peer_certificates().unwrap_or_default().to_vec();
    match shaken {
        Ok(()) if chain.is_empty() => {
            Err(Unseen::Alert("the server sent no certificate".to_owned()))
        }
        Ok(()) => {
            goodbye(&mut stream, &mut connection).await;
            Ok(Seen { chain, version })
        }
        // A server that wants a certificate of the client too ends the handshake of TLS 1.2 only
        // after it has shown its own, and signed for it.
        Err(_) if !chain.is_empty() => Ok(Seen { chain, version }),
        Err(error) => Err(error),
    }
}

/// Drives the handshake to its end.
async fn shake(stream: &mut TcpStream, connection: &mut ClientConnection) -> Result<(), Unseen> {
    let lost = |error: io::Error| Unseen::Unreachable(error.to_string());
    let mut incoming = vec![0; RECORD];
    loop {
        send(stream, connection).await.map_err(lost)?;
        if !connection.is_handshaking() {
            return Ok(());
        }
        let count = stream.read(&mut incoming).await.map_err(lost)?;
        if count == 0 {
            return Err(Unseen::Unreachable("the connection was closed in the handshake".into()));
        }
        let mut rest = &incoming[..count];
        while !rest.is_empty() {
            connection.read_tls(&mut rest).map_err(lost)?;
            if let Err(error) = connection.process_new_packets() {
                // Our own alert is a courtesy: the server's log then says what happened.
                let _ = send(stream, connection).await;
                return Err(Unseen::Alert(match error {
                    Error::AlertReceived(alert) => format!("{ALERT}{alert:?}"),
                    Error::InvalidMessage(_) => "what answers does not speak TLS".to_owned(),
                    other => other.to_string(),
                }));
            }
        }
    }
}

async fn send(stream: &mut TcpStream, connection: &mut ClientConnection) -> io::Result<()> {
    let mut outgoing = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut outgoing)?;
    }
    if outgoing.is_empty() { Ok(()) } else { stream.write_all(&outgoing).await }
}

/// Ends the connection properly, so that the server has nothing to log.
async fn goodbye(stream: &mut TcpStream, connection: &mut ClientConnection) {
    connection.send_close_notify();
    let _ = send(stream, connection).await;
}

/// Handshakes at once, of all probes.
static TURNS: Semaphore = Semaphore::const_new(128);
const ALERT: &str = "the server sent the alert ";
const RECORD: usize = 8 * 1024;
