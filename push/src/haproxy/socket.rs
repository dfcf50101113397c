//! HAProxy's runtime API (management.txt §9.3): one connection per command, the reply ends with it.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::error::PushError;

/// Where commands are sent.
pub(super) struct Socket {
    address: String,
    limit: Duration,
}

/// What `show ssl cert` lists.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// The certificate of the open transaction.
    pub(super) transaction: Option<String>,
    /// The certificates that are loaded.
    pub(super) names: Vec<String>,
}

impl Socket {
    pub(super) fn new(address: &str, limit: Duration) -> Self {
        Self { address: address.to_owned(), limit }
    }

    /// A sentence unless it is an absolute path or `host:port`.
    pub(super) fn check(field: &str, address: &str) -> Result<(), String> {
        if address.starts_with('/') {
            return Ok(());
        }
        crate::probe::host_and_port(address).map(drop).map_err(|_| {
            format!("{field} = {address:?} is no socket: write its path from / on, or host:port")
        })
    }

    /// What is loaded, and whether a transaction is open.
    pub(super) async fn listing(&self) -> Result<Listing, PushError> {
        let reply = self.send("show ssl cert\n").await?;
        if !reply.starts_with('#') && !reply.is_empty() {
            return Err(self.refused("HAProxy does not list its certificates", &reply));
        }
        Ok(Listing::parse(&reply))
    }

    /// Stages a certificate; `command` is the whole of `set ssl cert`. Makes sure that it was staged
    /// under this name: before 3.1, while a transaction for another name is open, HAProxy stages it
    /// there ("Transaction updated for certificate OTHER") and would commit it there.
    pub(super) async fn set(&self, name: &str, command: &str) -> Result<(), PushError> {
        let reply = self.send(command).await;
        let staged = reply.as_ref().ok().and_then(|reply| staged(reply));
        match (reply, staged) {
            (Ok(_), Some(staged)) if staged == name => Ok(()),
            (Ok(reply), other) => {
                let other = other.unwrap_or_else(|| name.to_owned());
                self.abort(&other).await;
                let what = if reply.is_empty() {
                    "HAProxy closed the connection: the command is longer than its tune.bufsize; \
                     set bufsize to that. The previous file is back"
                        .to_owned()
                } else if other == name {
                    format!(
                        "HAProxy did not take the certificate for {name}; the previous file is back"
                    )
                } else {
                    format!(
                        "HAProxy staged the certificate for {name} as {other}, whose change was open; \
                         it was aborted, and the previous file is back"
                    )
                };
                Err(self.refused(&what, &reply))
            }
            (Err(error), _) => {
                self.abort(name).await;
                Err(error)
            }
        }
    }

    /// Makes what is staged live. On failure the transaction is aborted: it would stay open.
    pub(super) async fn commit(&self, name: &str) -> Result<String, PushError> {
        let commit = self.expect(&format!("commit ssl cert {name}"), "Success!").await;
        if commit.is_err() {
            self.abort(name).await;
        }
        commit.map_err(|error| match error {
            // It may have been made live all the same.
            PushError::Unreachable { why, .. } => {
                self.refused(&format!("HAProxy did not say what became of {name}"), &why)
            }
            other => other,
        })
    }

    /// Gives up what is staged, if anything.
    pub(super) async fn abort(&self, name: &str) {
        // There may be nothing to abort, and a failure before this one is the one to report.
        let reply = self.send(&format!("abort ssl cert {name}\n")).await;
        tracing::debug!(name, ?reply, "transaction aborted");
    }

    /// Removes a certificate that is in no list yet.
    pub(super) async fn forget(&self, name: &str) {
        let reply = self.send(&format!("del ssl cert {name}\n")).await;
        tracing::debug!(name, ?reply, "a new certificate given up");
    }

    /// Sends a line, and gives the reply if it contains `wanted`.
    pub(super) async fn expect(&self, line: &str, wanted: &str) -> Result<String, PushError> {
        let reply = self.send(&format!("{line}\n")).await?;
        if reply.contains(wanted) {
            return Ok(reply);
        }
        Err(self
            .refused(&format!("HAProxy refused `{line}`, and the previous file is back"), &reply))
    }

    /// Tells a master to reload. Version 2.6 closes the connection at once; later ones say how it
    /// went.
    pub(super) async fn reload(&self) -> Result<String, PushError> {
        let reply = self.send("reload\n").await?;
        if reply.contains("Success=0") || reply.contains("Unknown command") {
            return Err(
                self.refused("HAProxy did not reload, and the previous file is back", &reply)
            );
        }
        Ok(reply)
    }

    /// Sends a command and reads until the connection ends.
    async fn send(&self, command: &str) -> Result<String, PushError> {
        let exchange = async {
            if self.address.starts_with('/') {
                exchange(UnixStream::connect(&self.address).await?, command).await
            } else {
                exchange(TcpStream::connect(&self.address).await?, command).await
            }
        };
        match timeout(self.limit, exchange).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(PushError::Unreachable {
                what: format!("HAProxy's socket {}", self.address),
                why: format!(
                    "{error}; is HAProxy running, and does `stats socket` have level admin?"
                ),
            }),
            Err(_) => Err(PushError::TimedOut {
                what: format!("HAProxy's socket {}", self.address),
                after: self.limit,
                output: String::new(),
            }),
        }
    }

    fn refused(&self, what: &str, reply: &str) -> PushError {
        let output = crate::command::without_keys(reply);
        PushError::Refused { what: format!("{what} (socket {})", self.address), output }
    }
}

impl Listing {
    /// Lines of `# transaction` and `# filename`, each followed by names; a staged one has a `*`.
    fn parse(reply: &str) -> Self {
        let mut listing = Self::default();
        for line in reply.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            match line.strip_prefix('*') {
                Some(name) => listing.transaction = Some(name.to_owned()),
                None if !line.is_empty() => listing.names.push(line.to_owned()),
                None => {}
            }
        }
        listing
    }
}

/// The name in `Transaction created for certificate NAME!`, or `updated`.
fn staged(reply: &str) -> Option<String> {
    let (_, rest) = reply.split_once("Transaction ")?;
    let (_, rest) = rest.split_once("for certificate ")?;
    Some(rest.lines().next()?.trim_end().trim_end_matches('!').to_owned())
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    command: &str,
) -> std::io::Result<String> {
    // A command that is too long is not read to its end, so writing may fail; the reply tells more.
    let written = stream.write_all(command.as_bytes()).await;
    let mut reply = Vec::new();
    let read = stream.take(MAX_REPLY).read_to_end(&mut reply).await;
    match (written, read) {
        (Err(error), _) if reply.is_empty() && !is_closed(&error) => Err(error),
        (_, Err(error)) if reply.is_empty() && !is_closed(&error) => Err(error),
        _ => Ok(String::from_utf8_lossy(&reply).trim().to_owned()),
    }
}

fn is_closed(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset)
}

/// Of thousands of certificates, the names.
const MAX_REPLY: u64 = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_tell_what_is_loaded_and_what_is_staged() {
        let reply = "# transaction\n*/c/a.pem\n# filename\n/c/a.pem\n/c/b.pem\n";
        let names = vec!["/c/a.pem".to_owned(), "/c/b.pem".to_owned()];
        assert_eq!(
            Listing::parse(reply),
            Listing { transaction: Some("/c/a.pem".to_owned()), names }
        );
        assert_eq!(Listing::parse("# filename\n"), Listing::default());
    }

    #[test]
    fn the_name_something_was_staged_under_is_read_back() {
        let reply = "Transaction created for certificate /c/b.pem!\n";
        assert_eq!(staged(reply).as_deref(), Some("/c/b.pem"));
        let reply = "Transaction updated for certificate /c/a.pem!";
        assert_eq!(staged(reply).as_deref(), Some("/c/a.pem"));
        assert_eq!(staged("unable to load certificate"), None);
    }
}
