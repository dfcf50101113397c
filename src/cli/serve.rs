//! `serve`: brings a node up in the one order that is safe, and down again.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use rustix::fs::Mode;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::info;

use super::reach::ADMIN_SOCKET;
use super::url::{own_http_url, own_https_url};
use super::{Failure, process, rest};
use crate::catalog::Catalog;
use crate::config::{Config, Overrides};
use crate::fetches::Fetches;
use crate::grpc::sds::{self, streams::Streams};
use crate::grpc::sockets::{self, Sockets};
use crate::http::limits::Limiter;
use crate::http::metrics::Metrics;
use crate::http::peers::Peers;
use crate::http::server::Drain;
use crate::http::{self, server, tls};
use crate::keys::Keys;
use crate::news::News;
use crate::node::{Current, Inventory, Node};
use crate::people::Challenges;
use crate::perform::checkpoint::Standing;
use crate::perform::cluster_bundle::{self, Bundles};
use crate::perform::discovery::{self, Discoveries};
use crate::perform::identity_provider::IdentityProviders;
use crate::perform::keyset::{self, Edges, Keysets};
use crate::perform::notify::Turns;
use crate::perform::obtain::Issuers;
use crate::perform::obtain::acme::Answers;
use crate::perform::published::Published;
use crate::perform::{cluster_signer, endpoint, establish, follow, managed, own, revocation};
use crate::seal::{KeyEncryptionKey, Sealed};
use crate::steps::Steps;
use crate::store::{Commit, Event, Row, Store};
use crate::worker;
use crate::world::World;

/// How to run the node.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    overrides: Overrides,
}

/// Runs `serve` until it is told to stop.
pub(super) fn run(arguments: &Arguments, data_dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let config = Config::load(&arguments.overrides, data_dir)?;
    process::start_log(&config.log)?;
    process::forbid_core_dumps();
    process::raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(config))?;
    Ok(ExitCode::SUCCESS)
}

/// The listeners, bound before anything is written, so that a port in use changes nothing.
struct Listeners {
    https: TcpListener,
    http: TcpListener,
    admin: TcpListener,
    sds: Option<TcpListener>,
}

async fn serve(config: Config) -> Result<(), Failure> {
    let data_dir = config.data_dir.clone();
    // Whatever is made from here on is for this user alone, unless it says otherwise.
    rustix::process::umask(Mode::from_raw_mode(0o077));
    // Whoever has the directory has the ports too; it is the first to be told of.
    let held = lock(&data_dir, false)?;
    let listeners = Listeners {
        https: bind(config.listen.https, "https").await?,
        http: bind(config.listen.http, "http").await?,
        admin: bind(config.listen.admin, "admin").await?,
        sds: match config.listen.sds {
            Some(address) => Some(bind(address, "sds").await?),
            None => None,
        },
    };
    prepare_dir(&data_dir)?;
    let _lock = match held {
        Some(lock) => Some(lock),
        None => lock(&data_dir, true)?,
    };
    let node = Arc::new(open(config, &listeners).await?);
    node.catalog.replace(establish::establish(&node).await?);
    own::present_stored(&node)?;
    revocation::ensure_crls(&node).await?;
    managed::enlist(&node, "serve").await?;
    keyset::enlist(&node, "serve").await?;
    endpoint::enlist(&node, "serve").await?;
    let root = write_root(&data_dir, &node.catalog.load())?;
    let tls = tls::config(&node)?;

    let (drain, draining) = watch::channel(false);
    let socket = admin_socket(&data_dir)?;
    let ready = ready_line(&node, &listeners, &root)?;
    let mut tasks = JoinSet::new();
    tasks.spawn(server::serve_unix(socket, http::api_router(&node), draining.clone()));
    listen(&node, listeners, tls, &draining, &mut tasks);
    // It is proven like any other, so the listener must answer by now.
    own::settle(&node).await?;
    sockets::converge(&node).await;
    work(&node, &draining, &mut tasks);
    writeln!(io::stdout(), "{ready}")?;
    process::notify(process::State::Ready);

    stop_signal().await?;
    info!("draining");
    process::notify(process::State::Stopping);
    drain.send_replace(true);
    node.news.end();
    while tasks.join_next().await.is_some() {}
    rest::keep(&node).await;
    let _ = fs::remove_file(data_dir.join(ADMIN_SOCKET));
    info!("stopped");
    Ok(())
}

/// Answers on every listener until a drain.
fn listen(
    node: &Arc<Node>,
    listeners: Listeners,
    tls: Arc<rustls::ServerConfig>,
    draining: &Drain,
    tasks: &mut JoinSet<()>,
) {
    let Listeners { https, http, admin, sds } = listeners;
    let settings = &node.config.listen;
    let peers = Peers::new(settings.connections_per_address, settings.uncounted.clone());
    for (listener, tls, router) in [
        (https, Some(tls), http::https_router(node)),
        (http, None, http::http_router(node)),
        (admin, None, http::admin_router(node)),
    ] {
        let peers = Arc::clone(&peers);
        tasks.spawn(server::serve_tcp(listener, tls, router, peers, draining.clone()));
    }
    if let Some(listener) = sds {
        tasks.spawn(sds::serve(Arc::clone(node), listener, peers, draining.clone()));
    }
}

/// Does what is due, and looks at what tells of changes, until a drain.
fn work(node: &Arc<Node>, draining: &Drain, tasks: &mut JoinSet<()>) {
    tasks.spawn(sockets::run(Arc::clone(node), draining.clone()));
    tasks.spawn(follow::run(Arc::clone(node), draining.clone()));
    tasks.spawn(cluster_signer::run(Arc::clone(node), draining.clone()));
    tasks.spawn(cluster_bundle::run(Arc::clone(node), draining.clone()));
    tasks.spawn(discovery::run(Arc::clone(node), draining.clone()));
    tasks.spawn(worker::run(Arc::clone(node), draining.clone()));
}

async fn open(config: Config, listeners: &Listeners) -> Result<Node, Failure> {
    let world = World::system();
    let path = config.data_dir.join("perennial.db");
    refuse_to_forget(&config.data_dir, &path)?;
    let key = key_encryption_key(&config, &path, &world)?;
    let store = Store::open(&path, &world)?;
    check_key(&store, &key, &world, &config.key_file).await?;
    let blocked = match &config.blocked_keys {
        Some(path) => {
            let text = fs::read_to_string(path)
                .map_err(|e| Failure::new(format!("{}: {e}", path.display())))?;
            ca::BlockedKeys::parse(&text)
                .map_err(|e| Failure::new(format!("{}: {e}", path.display())))?
        }
        None => ca::BlockedKeys::default(),
    };
    let listen = &config.listen;
    let https_url = match &listen.public_url {
        Some(url) => url.clone(),
        None => own_https_url(listeners.https.local_addr()?),
    };
    let http_url = match &listen.public_http_url {
        Some(url) => url.clone(),
        None => own_http_url(listeners.http.local_addr()?),
    };
    let limiter = Limiter::resume(store.rate_limits(world.now())?);
    Ok(Node {
        nonces: acme::Nonces::new(&world.random()),
        challenges: Challenges::new(&world),
        identity_providers: IdentityProviders::default(),
        keys: Keys::default(),
        limiter,
        metrics: Metrics::new(),
        steps: Steps::new(),
        issuers: Issuers::default(),
        published: Published::default(),
        edges: Edges::default(),
        news: News::new(),
        fetches: Fetches::resume(store.fetches(Fetches::MOST_STORED)?),
        keysets: Current::new(Keysets::new()),
        sockets: Sockets::default(),
        turns: Turns::default(),
        streams: Streams::default(),
        discoveries: Discoveries::default(),
        bundles: Bundles::default(),
        checkpoints: Current::new(Standing::default()),
        catalog: Current::new(Catalog::default()),
        inventory: Current::new(Inventory::default()),
        crls: Current::new(BTreeMap::new()),
        presented: Arc::new(Current::new(None)),
        https_address: Some(listeners.https.local_addr()?),
        answers: Answers::default(),
        config,
        world,
        store,
        key,
        blocked,
        http_url,
        https_url,
    })
}

/// The key-encryption key: read, or made together with the store it is for. A store without its
/// key is never given a new one: what the old one sealed would be lost without a word.
fn key_encryption_key(
    config: &Config,
    store: &Path,
    world: &World,
) -> Result<KeyEncryptionKey, Failure> {
    if config.key_file.exists() || store.exists() {
        return Ok(KeyEncryptionKey::read(&config.key_file)?);
    }
    Ok(KeyEncryptionKey::create(&config.key_file, world)?)
}

/// A data directory that has had a CA is not given another one because its store is gone: clients
/// trust the first.
fn refuse_to_forget(dir: &Path, store: &Path) -> Result<(), Failure> {
    let root = dir.join(ROOT);
    let empty = fs::metadata(store).map_or(true, |file| file.len() == 0);
    if empty && root.exists() {
        return Err(Failure::new(format!(
            "{}: it is gone or empty, but {} says that there was a CA; restore a backup, or move \
             the whole directory away to start anew",
            store.display(),
            root.display()
        )));
    }
    Ok(())
}

/// Finds out at the start, and not at the first renewal, that this is not the key the store was
/// sealed with.
async fn check_key(
    store: &Store,
    key: &KeyEncryptionKey,
    world: &World,
    file: &Path,
) -> Result<(), Failure> {
    if let Some(sealed) = store.meta(KEY_CHECK)? {
        return match key.open(KEY_CHECK, &Sealed(sealed)) {
            Ok(_) => Ok(()),
            Err(_) => Err(Failure::new(format!(
                "key-encryption key {}: it is not the one this store was sealed with; put that one \
                 in its place, or name it in [keys] file",
                file.display()
            ))),
        };
    }
    let sealed = key.seal(world, KEY_CHECK, b"this key opens the store");
    let event = Event::new("serve", "store.create", "node");
    let fact = Row::Meta { name: KEY_CHECK, value: sealed.0 };
    store.commit(Commit::new(event).put(fact), world.now()).await?;
    Ok(())
}

fn prepare_dir(dir: &Path) -> Result<(), Failure> {
    let fault = |e: io::Error| {
        Failure::new(format!(
            "{}: {e}; name a directory you may write with --data-dir",
            dir.display()
        ))
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(fault)
}

/// One server per data directory; the lock goes with the process, however it ends. There is none if
/// its file is not there and may not be made.
fn lock(dir: &Path, create: bool) -> Result<Option<File>, Failure> {
    let path = dir.join("lock");
    let cannot = |e: io::Error| {
        Failure::new(format!(
            "{}: {e}; name a directory you may write with --data-dir",
            path.display()
        ))
    };
    let file = match File::options().create(create).append(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !create => return Ok(None),
        Err(error) => return Err(cannot(error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(Failure::new(format!(
            "{}: another server runs on this data directory; stop it first, or use another --data-dir",
            dir.display()
        ))),
        Err(TryLockError::Error(error)) => Err(cannot(error)),
    }
}

async fn bind(address: SocketAddr, what: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::new(format!("cannot listen on {address} ({error}); choose another with --{what}"))
    })
}

/// The admin socket: only its owner may connect.
fn admin_socket(dir: &Path) -> Result<UnixListener, Failure> {
    let path = dir.join(ADMIN_SOCKET);
    let cannot = |e: io::Error| Failure::new(format!("{}: {e}", path.display()));
    // We hold the lock, so whoever left a socket here is gone.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(error)),
        _ => {}
    }
    let socket = UnixListener::bind(&path).map_err(cannot)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(cannot)?;
    Ok(socket)
}

/// Writes the root of the directory `default` where clients can be pointed to it.
fn write_root(dir: &Path, catalog: &Catalog) -> Result<std::path::PathBuf, Failure> {
    let path = dir.join(ROOT);
    let directory = catalog.directories.get("default").or(catalog.directories.values().next());
    let root = match directory {
        Some(directory) => directory.authority.ca.root().pem(),
        None => String::new(),
    };
    if fs::read_to_string(&path).ok().as_ref() != Some(&root) {
        let partial = dir.join("root.pem.new");
        let public = || fs::set_permissions(&partial, fs::Permissions::from_mode(0o644));
        let written = fs::write(&partial, root).and_then(|()| public());
        let written = written.and_then(|()| fs::rename(&partial, &path));
        written.map_err(|e| Failure::new(format!("{}: {e}", path.display())))?;
    }
    Ok(path)
}

fn ready_line(node: &Node, listeners: &Listeners, root: &Path) -> Result<String, Failure> {
    let catalog = node.catalog.load();
    let directory = match catalog.directories.get("default") {
        Some(_) => Some("default"),
        None => catalog.directories.keys().next().map(String::as_str),
    };
    let https = &node.https_url;
    Ok(format!(
        "ready https={https} http={} admin=http://{} directory={https}/acme/{}/directory root={}",
        node.http_url,
        listeners.admin.local_addr()?,
        directory.unwrap_or("default"),
        root.display()
    ))
}

async fn stop_signal() -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// The fact that tells whether a key is the right one, and its identity when sealed.
const KEY_CHECK: &str = "key-check";
/// Where clients are pointed to for the root, in the data directory.
const ROOT: &str = "root.pem";
