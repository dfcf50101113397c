//! What is spoken before TLS by protocols that begin in the clear. Replies are read octet by octet,
//! so that nothing sent before the handshake is mistaken for a part of it, and never more than
//! 16 KiB of them.

use std::fmt::Display;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A protocol that begins in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartTls {
    /// SMTP (RFC 3207).
    Smtp,
    /// LMTP (RFC 2033), which greets with LHLO.
    Lmtp,
    /// IMAP (RFC 9051 §6.2.1).
    Imap,
    /// POP3 (RFC 2595 §4).
    Pop3,
    /// FTP (RFC 4217).
    Ftp,
    /// LDAP (RFC 4511 §4.14).
    Ldap,
    /// XMPP, client to server (RFC 6120 §5).
    Xmpp,
    /// MySQL and MariaDB, by an SSLRequest packet.
    Mysql,
    /// PostgreSQL, by an SSLRequest message.
    Postgres,
}

/// Brings a connection to where the TLS handshake begins. `name` is the domain XMPP wants to hear.
///
/// # Errors
/// A sentence with what the server said instead.
pub async fn negotiate(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    protocol: StartTls,
    name: Option<&str>,
) -> Result<(), String> {
    let mut peer = Peer { stream, read: 0, protocol };
    match protocol {
        StartTls::Smtp => smtp(&mut peer, "EHLO").await,
        StartTls::Lmtp => smtp(&mut peer, "LHLO").await,
        StartTls::Imap => imap(&mut peer).await,
        StartTls::Pop3 => {
            peer.line_with("+OK").await?;
            peer.send(b"STLS\r\n").await?;
            peer.line_with("+OK").await
        }
        StartTls::Ftp => {
            peer.reply("220").await?;
            peer.send(b"AUTH TLS\r\n").await?;
            peer.reply("234").await
        }
        StartTls::Ldap => ldap(&mut peer).await,
        StartTls::Xmpp => xmpp(&mut peer, name.unwrap_or("localhost")).await,
        StartTls::Mysql => mysql(&mut peer).await,
        StartTls::Postgres => {
            peer.send(&[&8u32.to_be_bytes()[..], &80_877_103_u32.to_be_bytes()].concat()).await?;
            match peer.octet().await? {
                b'S' => Ok(()),
                other => Err(peer.refused(format_args!("{:?}", char::from(other)))),
            }
        }
    }
}

struct Peer<'a, S> {
    stream: &'a mut S,
    read: usize,
    protocol: StartTls,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<'_, S> {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        let lost = |error| format!("lost before STARTTLS: {error}");
        self.stream.write_all(bytes).await.map_err(lost)
    }

    async fn octet(&mut self) -> Result<u8, String> {
        self.read += 1;
        if self.read > MAX_READ {
            return Err(self.refused("more than 16 KiB before TLS"));
        }
        let lost = |error| format!("lost before STARTTLS: {error}");
        self.stream.read_u8().await.map_err(lost)
    }

    async fn octets(&mut self, count: usize) -> Result<Vec<u8>, String> {
        let mut octets = Vec::new();
        while octets.len() < count {
            octets.push(self.octet().await?);
        }
        Ok(octets)
    }

    async fn line(&mut self) -> Result<String, String> {
        self.until(|text| text.ends_with(b"\n")).await.map(|line| line.trim_end().to_owned())
    }

    async fn until(&mut self, enough: impl Fn(&[u8]) -> bool) -> Result<String, String> {
        let mut text = Vec::new();
        while !enough(&text) {
            text.push(self.octet().await?);
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    async fn line_with(&mut self, start: &str) -> Result<(), String> {
        let line = self.line().await?;
        if line.starts_with(start) { Ok(()) } else { Err(self.refused(line)) }
    }

    /// A reply of SMTP or FTP: all lines but the last have a hyphen after the code.
    async fn reply(&mut self, code: &str) -> Result<(), String> {
        loop {
            let line = self.line().await?;
            if !line.starts_with(code) {
                return Err(self.refused(line));
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }

    fn refused(&self, said: impl Display) -> String {
        format!("no STARTTLS as {:?}: the server said {said}", self.protocol)
    }
}

async fn smtp<S: AsyncRead + AsyncWrite + Unpin>(
    peer: &mut Peer<'_, S>,
    hello: &str,
) -> Result<(), String> {
    peer.reply("220").await?;
    peer.send(format!("{hello} localhost\r\n").as_bytes()).await?;
    peer.reply("250").await?;
    peer.send(b"STARTTLS\r\n").await?;
    peer.reply("220").await
}

async fn imap<S: AsyncRead + AsyncWrite + Unpin>(peer: &mut Peer<'_, S>) -> Result<(), String> {
    peer.line_with("* OK").await?;
    peer.send(b"a STARTTLS\r\n").await?;
    loop {
        let line = peer.line().await?;
        match line.strip_prefix("a ") {
            Some(rest) if rest.starts_with("OK") => return Ok(()),
            Some(_) => return Err(peer.refused(line)),
            // Untagged responses may come at any time (RFC 9051 §7).
            None => {}
        }
    }
}

/// An ExtendedRequest and its ExtendedResponse, whose resultCode must be success (0).
async fn ldap<S: AsyncRead + AsyncWrite + Unpin>(peer: &mut Peer<'_, S>) -> Result<(), String> {
    let mut request = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x16".to_vec();
    request.extend_from_slice(b"1.3.6.1.4.1.1466.20037");
    peer.send(&request).await?;
    let (tag, length) = header(peer).await?;
    let message = peer.octets(length).await?;
    // messageID 1, then [APPLICATION 24] with an ENUMERATED first; its length may have any form.
    let response = message.strip_prefix(b"\x02\x01\x01\x78").filter(|_| tag == 0x30);
    let skip = match response.and_then(|rest| rest.first()) {
        Some(long) if *long >= 0x80 => 1 + usize::from(long & 0x7f),
        _ => 1,
    };
    match response.and_then(|rest| rest.get(skip..)) {
        Some([0x0a, 0x01, 0x00, ..]) => Ok(()),
        Some([0x0a, 0x01, code, ..]) => Err(peer.refused(format_args!("resultCode {code}"))),
        _ => Err(peer.refused("something that is no ExtendedResponse")),
    }
}

/// Tag and length of a BER element.
async fn header<S: AsyncRead + AsyncWrite + Unpin>(
    peer: &mut Peer<'_, S>,
) -> Result<(u8, usize), String> {
    let tag = peer.octet().await?;
    let length = match usize::from(peer.octet().await?) {
        short if short < 0x80 => short,
        long => {
            let octets = peer.octets((long & 0x7f).min(4)).await?;
            octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet))
        }
    };
    Ok((tag, length))
}

async fn xmpp<S: AsyncRead + AsyncWrite + Unpin>(
    peer: &mut Peer<'_, S>,
    name: &str,
) -> Result<(), String> {
    let stream = format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams' to='{name}' version='1.0'>"
    );
    peer.send(stream.as_bytes()).await?;
    let features = peer.until(|text| text.ends_with(b"</stream:features>")).await?;
    if !features.contains("urn:ietf:params:xml:ns:xmpp-tls") {
        return Err(peer.refused("that it offers none"));
    }
    peer.send(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await?;
    let answer = peer.until(|text| text.ends_with(b">")).await?;
    if answer.contains("<proceed") { Ok(()) } else { Err(peer.refused(answer)) }
}

/// The greeting, then an SSLRequest: the first 32 octets of a login, without the rest.
async fn mysql<S: AsyncRead + AsyncWrite + Unpin>(peer: &mut Peer<'_, S>) -> Result<(), String> {
    let head = peer.octets(4).await?;
    let length = head.iter().take(3).rev().fold(0, |sum, octet| sum << 8 | usize::from(*octet));
    let greeting = peer.octets(length).await?;
    // Protocol 10: version text and zero, 4 octets thread, 8 octets salt, a zero, flags.
    let version = greeting.iter().position(|octet| *octet == 0).unwrap_or(length);
    let flags = greeting.get(version + 14..version + 16);
    let offers = matches!(flags, Some([_, high]) if *high & 0x08 != 0);
    if greeting.first() != Some(&10) || !offers {
        return Err(peer.refused("that it offers none"));
    }
    let mut request = vec![32, 0, 0, 1];
    request.extend(MYSQL_FLAGS.to_le_bytes());
    request.extend(MYSQL_MAX_PACKET.to_le_bytes());
    request.push(MYSQL_UTF8);
    request.resize(36, 0);
    peer.send(&request).await
}

const MAX_READ: usize = 16 * 1024;
/// CLIENT_PROTOCOL_41, CLIENT_SSL, CLIENT_SECURE_CONNECTION.
const MYSQL_FLAGS: u32 = 0x0200 | 0x0800 | 0x8000;
const MYSQL_MAX_PACKET: u32 = 1 << 24;
const MYSQL_UTF8: u8 = 33;
