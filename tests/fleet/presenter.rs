//! A TLS server of the bench's own, on a thread of its own: for each name it presents what lies in
//! `NAME/current` below a folder at the time of the handshake. It looks where the link points each
//! time; what it read there is kept until that changes, since a release never does.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::error::Error;
use crate::gauge;

/// A server that runs until it is dropped.
pub(crate) struct Presenter {
    /// Where it listens, on the loopback address.
    pub(crate) port: u16,
    /// Its thread below `/proc`.
    task: PathBuf,
    thread: Option<JoinHandle<()>>,
    stop: Option<oneshot::Sender<()>>,
}

impl Presenter {
    /// Serves the names that have a directory in `folder`, now or later.
    pub(crate) async fn start(folder: &Path) -> Result<Self, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let shelf = Shelf {
            folder: folder.to_owned(),
            provider: Arc::clone(&provider),
            kept: Mutex::default(),
        };
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| Error::Crypto("offer TLS"))?;
        let mut config = config.with_no_client_auth().with_cert_resolver(Arc::new(shelf));
        // Nobody who looks at certificates resumes a session.
        config.send_tls13_tickets = 0;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (stop, stopped) = oneshot::channel();
        let (say, started) = oneshot::channel();
        let thread = std::thread::Builder::new().name("presenter".into());
        let thread = thread.spawn(move || run(&acceptor, say, stopped));
        let thread = thread.map_err(Error::io("start a thread"))?;
        let started = started.await.map_err(|_| Error::Stalled("the start of the TLS server"))?;
        let (port, task) = started.map_err(Error::io("listen for TLS"))?;
        Ok(Self { port, task, thread: Some(thread), stop: Some(stop) })
    }

    /// CPU time that it has used.
    pub(crate) fn cpu(&self) -> Duration {
        gauge::cpu(self.task.display()).unwrap_or_default()
    }
}

impl Drop for Presenter {
    fn drop(&mut self) {
        drop(self.stop.take());
        // It has nothing to say at its end.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The thread: says where it listens and who it is, and serves until it is stopped.
fn run(
    acceptor: &TlsAcceptor,
    say: oneshot::Sender<io::Result<(u16, PathBuf)>>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return drop(say.send(Err(error))),
    };
    runtime.block_on(async {
        let begun = listen().and_then(|listener| {
            let port = listener.local_addr()?.port();
            Ok((listener, (port, fs::read_link("/proc/thread-self")?)))
        });
        match begun {
            Ok((listener, who)) => {
                // Where nobody is left to hear it, nobody is left to keep it from stopping.
                let _ = say.send(Ok(who));
                tokio::select! {
                    () = serve(&listener, acceptor) => {}
                    _ = stopped => {}
                }
            }
            Err(error) => drop(say.send(Err(error))),
        }
    });
}

fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    socket.listen(BACKLOG)
}

async fn serve(listener: &TcpListener, acceptor: &TlsAcceptor) {
    loop {
        // Whoever gave up before being accepted is no reason to stop.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let acceptor = acceptor.clone();
        tokio::spawn(async move { timeout(LIMIT, present(stream, acceptor)).await });
    }
}

/// One handshake; then it is the client who says goodbye.
async fn present(stream: TcpStream, acceptor: TlsAcceptor) -> io::Result<usize> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).await?;
    stream.read(&mut [0; 1]).await
}

/// What is presented to whom.
#[derive(Debug)]
struct Shelf {
    folder: PathBuf,
    provider: Arc<CryptoProvider>,
    /// By name: where the link pointed, and what was there.
    kept: Mutex<HashMap<String, (PathBuf, Arc<CertifiedKey>)>>,
}

impl Shelf {
    fn read(&self, release: &Path) -> Option<CertifiedKey> {
        let chain = CertificateDer::pem_file_iter(release.join("tls.crt")).ok()?;
        let chain = chain.collect::<Result<Vec<_>, _>>().ok()?;
        let key = PrivateKeyDer::from_pem_file(release.join("tls.key")).ok()?;
        let key = self.provider.key_provider.load_private_key(key).ok()?;
        Some(CertifiedKey::new(chain, key))
    }
}

impl ResolvesServerCert for Shelf {
    /// Nobody is presented anything for a name that has no files, or files that cannot be read.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // It was found to be a DNS name: no path leads out of the folder.
        let name = hello.server_name()?;
        let home = self.folder.join(name);
        let release = fs::read_link(home.join("current")).ok()?;
        // There is one thread.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, key)) = kept.get(name).filter(|(of, _)| *of == release) {
            return Some(Arc::clone(key));
        }
        let key = Arc::new(self.read(&home.join(&release))?);
        kept.insert(name.to_owned(), (release, Arc::clone(&key)));
        Some(key)
    }
}

const BACKLOG: u32 = 4096;
const LIMIT: Duration = Duration::from_secs(20);
