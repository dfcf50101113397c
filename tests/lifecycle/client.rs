//! Clients of the servers under test: full handshakes, each with a request, one after the other.
//! They share no code with the probe whose word is checked here.

use std::collections::HashMap;
use std::fmt::Display;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};

/// A client, of no session before.
#[derive(Clone, Debug)]
pub(super) struct Client(Arc<ClientConfig>);

impl Client {
    /// One that accepts what the root in `pem` vouches for, under the right name.
    pub(super) fn trusting(pem: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_file(pem).expect("a root");
        roots.add(root).expect("a usable root");
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self::unresumed(config)
    }

    /// A resumed session shows the certificate of before.
    fn unresumed(mut config: ClientConfig) -> Self {
        config.resumption = Resumption::disabled();
        Self(Arc::new(config))
    }

    /// The SHA-256 of the leaf that `address` shows to who asks for `name`, and that it answers a
    /// request on that connection.
    pub(super) fn leaf(&self, address: SocketAddr, name: &str) -> Result<String, String> {
        let told = |what: &str| {
            let what = what.to_owned();
            move |error: &dyn Display| format!("{what}: {error}")
        };
        let mut stream =
            TcpStream::connect_timeout(&address, PATIENCE).map_err(|e| told("connecting")(&e))?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(|e| told("a socket")(&e))?;
        stream.set_nodelay(true).map_err(|e| told("a socket")(&e))?;
        let server = ServerName::try_from(name.to_owned()).map_err(|e| told(name)(&e))?;
        let mut tls =
            ClientConnection::new(Arc::clone(&self.0), server).map_err(|e| told("a client")(&e))?;
        while tls.is_handshaking() {
            tls.complete_io(&mut stream).map_err(|e| told("handshake")(&e))?;
        }
        let leaf = tls.peer_certificates().and_then(<[_]>::first).ok_or("no certificate")?;
        let leaf = HEXLOWER.encode(digest(&SHA256, leaf).as_ref());
        let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
        let mut stream = Stream::new(&mut tls, &mut stream);
        stream.write_all(request.as_bytes()).map_err(|e| told("request")(&e))?;
        let mut answer = Vec::new();
        // Not every server says goodbye as TLS has it; the answer is what counts.
        let read = stream.read_to_end(&mut answer);
        match answer.starts_with(b"HTTP/1.1 ") {
            true => Ok(leaf),
            false => Err(format!("no answer to a request ({read:?})")),
        }
    }
}

/// Clients that never rest, from two threads.
#[derive(Debug)]
pub(super) struct Load {
    running: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Record>>,
}

/// What the clients saw.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// How many handshakes and requests went well.
    pub(super) served: u64,
    /// How the others failed.
    pub(super) failed: Vec<String>,
    /// When each leaf was seen.
    leaves: HashMap<String, Spell>,
}

#[derive(Clone, Copy, Debug)]
struct Spell {
    /// The end of the first handshake that showed it.
    first: Instant,
    /// The begin of the last one.
    last: Instant,
}

impl Load {
    /// Sets two clients on `address`.
    pub(super) fn start(client: &Client, address: SocketAddr, name: &'static str) -> Self {
        let running = Arc::new(AtomicBool::new(true));
        let threads = (0..2).map(|_| {
            let (client, running) = (client.clone(), Arc::clone(&running));
            spawn(move || {
                let mut record = Record::default();
                while running.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    match client.leaf(address, name) {
                        Ok(leaf) => record.see(leaf, begun),
                        Err(why) => record.failed.push(why),
                    }
                    sleep(BETWEEN);
                }
                record
            })
        });
        Self { threads: threads.collect(), running }
    }

    /// Ends them.
    pub(super) fn end(self) -> Record {
        self.running.store(false, Ordering::Relaxed);
        let mut all = Record::default();
        for thread in self.threads {
            all.add(thread.join().expect("a client"));
        }
        all
    }
}

impl Record {
    fn see(&mut self, leaf: String, begun: Instant) {
        self.served += 1;
        let now = Instant::now();
        self.leaves
            .entry(leaf)
            .and_modify(|spell| spell.last = begun)
            .or_insert(Spell { first: now, last: begun });
    }

    fn add(&mut self, other: Self) {
        self.served += other.served;
        self.failed.extend(other.failed);
        for (leaf, spell) in other.leaves {
            self.leaves
                .entry(leaf)
                .and_modify(|both| {
                    both.first = both.first.min(spell.first);
                    both.last = both.last.max(spell.last);
                })
                .or_insert(spell);
        }
    }

    /// When the first handshake ended that showed `leaf`.
    pub(super) fn first(&self, leaf: &str) -> Option<Instant> {
        self.leaves.get(leaf).map(|spell| spell.first)
    }

    /// When the last handshake began that showed `leaf`.
    pub(super) fn last(&self, leaf: &str) -> Option<Instant> {
        self.leaves.get(leaf).map(|spell| spell.last)
    }
}

const PATIENCE: Duration = Duration::from_secs(10);
const BETWEEN: Duration = Duration::from_millis(3);
