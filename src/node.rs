//! The node: everything a request or a step needs, in one place to hand around. It holds no logic.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use acme::nonce::Nonces;
use jiff::Timestamp;
use rustls::sign::CertifiedKey;

use crate::catalog::Catalog;
use crate::config::Config;
use crate::fetches::Fetches;
use crate::grpc::sds::streams::Streams;
use crate::grpc::sockets::Sockets;
use crate::http::limits::Limiter;
use crate::http::metrics::Metrics;
use crate::keys::Keys;
use crate::news::News;
use crate::people::Challenges;
use crate::perform::checkpoint::Standing;
use crate::perform::cluster_bundle::Bundles;
use crate::perform::discovery::Discoveries;
use crate::perform::identity_provider::IdentityProviders;
use crate::perform::keyset::{Edges, Keysets};
use crate::perform::notify::Turns;
use crate::perform::obtain::Issuers;
use crate::perform::obtain::acme::Answers;
use crate::perform::published::Published;
use crate::seal::KeyEncryptionKey;
use crate::steps::Steps;
use crate::store::{CrlRow, Ended, ManagedCounts, Store};
use crate::world::World;

/// A running node.
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) world: World,
    pub(crate) store: Store,
    pub(crate) key: KeyEncryptionKey,
    pub(crate) nonces: Nonces,
    /// What passkeys answer.
    pub(crate) challenges: Challenges,
    /// What identity providers say of themselves.
    pub(crate) identity_providers: IdentityProviders,
    pub(crate) keys: Keys,
    pub(crate) limiter: Limiter,
    pub(crate) metrics: Metrics,
    pub(crate) steps: Steps,
    /// Issuers outside, as they stand.
    pub(crate) issuers: Issuers,
    /// What issuers outside publish about revocation.
    pub(crate) published: Published,
    /// The ways to where keysets are fetched from.
    pub(crate) edges: Edges,
    pub(crate) news: News,
    /// Who fetches keysets.
    pub(crate) fetches: Fetches,
    /// Keysets as they are published.
    pub(crate) keysets: Current<Keysets>,
    /// Where kube-apiservers ask.
    pub(crate) sockets: Sockets,
    /// The messages on their way to each receiver.
    pub(crate) turns: Turns,
    /// Envoys that have a stream open.
    pub(crate) streams: Streams,
    /// What discoveries report.
    pub(crate) discoveries: Discoveries,
    /// Why trust bundles are not in their clusters.
    pub(crate) bundles: Bundles,
    /// Why the audit log is not signed, if it is not.
    pub(crate) checkpoints: Current<Standing>,
    /// Keys known to be compromised, by file.
    pub(crate) blocked: ca::BlockedKeys,
    /// `http://host:port`: what certificates name for CRLs and issuers.
    pub(crate) http_url: String,
    /// `https://host:port`: what the node calls itself where no request says otherwise.
    pub(crate) https_url: String,
    pub(crate) catalog: Current<Catalog>,
    pub(crate) inventory: Current<Inventory>,
    /// The newest CRL of each authority, by its row.
    pub(crate) crls: Current<BTreeMap<i64, Arc<CrlRow>>>,
    /// What our listeners answer to CAs that validate our names.
    pub(crate) answers: Answers,
    /// What the HTTPS listener presents; none only while the node starts.
    pub(crate) presented: Arc<Current<Option<Arc<CertifiedKey>>>>,
    /// Where the HTTPS listener listens; none: nobody asks.
    pub(crate) https_address: Option<SocketAddr>,
}

/// How many issued certificates had not expired at `at`, and how many of them end within each of some
/// times.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inventory {
    pub(crate) at: Timestamp,
    pub(crate) counts: Vec<(&'static str, i64)>,
    pub(crate) figures: Figures,
}

/// What is shown at a glance of ends and rotations, as it was when the inventory was counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// The first of the days that follow: its midnight.
    pub(crate) from: Timestamp,
    /// How many certificates end on each day: issued here, and managed as served.
    pub(crate) ends: Vec<[i64; 2]>,
    /// Rotations of the last thirty days.
    pub(crate) rotations: Vec<Ended>,
    pub(crate) managed: ManagedCounts,
}

/// A value that is replaced whole: readers keep what they took.
pub(crate) struct Current<T>(RwLock<Arc<T>>);

impl<T: Clone> Current<T> {
    /// Changes the value; readers see it before or after, never between.
    pub(crate) fn update(&self, change: impl FnOnce(&mut T)) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut value = T::clone(&current);
        change(&mut value);
        *current = Arc::new(value);
    }
}

impl<T> Current<T> {
    /// Starts with `value`.
    pub(crate) fn new(value: T) -> Self {
        Self(RwLock::new(Arc::new(value)))
    }

    /// The value as it stands.
    pub(crate) fn load(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a value that was taken before back.
    pub(crate) fn restore(&self, value: Arc<T>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = value;
    }

    /// Puts `value` in its place.
    pub(crate) fn replace(&self, value: T) {
        self.restore(Arc::new(value));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

    use acme::resource::AccountStatus;

    use super::*;
    use crate::config::{Listen, Log};
    use crate::perform::{establish, managed, own, validate};
    use crate::store::{Account, CertificateRow, Commit, Event};

    /// A node on a fresh data directory that declares its defaults, and its clock.
    pub(crate) async fn node() -> (Arc<Node>, Arc<AtomicI64>) {
        node_at(2_000_000_000).await
    }

    /// The same, with its clock at `seconds` of the Unix epoch.
    pub(crate) async fn node_at(seconds: i64) -> (Arc<Node>, Arc<AtomicI64>) {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("perennial-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let data_dir: PathBuf = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&data_dir).expect("a data directory");
        let clock = Arc::new(AtomicI64::new(seconds));
        (node_on(data_dir, &clock).await, clock)
    }

    /// A node on a data directory that another may be on as well.
    pub(crate) async fn node_on(data_dir: PathBuf, clock: &Arc<AtomicI64>) -> Arc<Node> {
        let world = World::manual(Arc::clone(clock));
        let key_file = data_dir.join("key-encryption-key");
        if !key_file.exists() {
            KeyEncryptionKey::create(&key_file, &world).expect("a key");
        }
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let node = Arc::new(Node {
            key: KeyEncryptionKey::read(&key_file).expect("a key"),
            store: Store::open(&data_dir.join("perennial.db"), &world).expect("a store"),
            nonces: Nonces::new(&world.random()),
            challenges: Challenges::new(&world),
            identity_providers: IdentityProviders::default(),
            keys: Keys::default(),
            limiter: Limiter::default(),
            metrics: Metrics::new(),
            steps: Steps::new(),
            issuers: Issuers::default(),
            published: Published::default(),
            edges: Edges::default(),
            news: News::new(),
            fetches: Fetches::default(),
            keysets: Current::new(Keysets::new()),
            sockets: Sockets::default(),
            turns: Turns::default(),
            streams: Streams::default(),
            discoveries: Discoveries::default(),
            bundles: Bundles::default(),
            checkpoints: Current::new(Standing::default()),
            blocked: ca::BlockedKeys::default(),
            http_url: "http://localhost:8080".into(),
            https_url: "https://localhost:8443".into(),
            catalog: Current::new(Catalog::default()),
            presented: Arc::new(Current::new(None)),
            https_address: None,
            answers: Answers::default(),
            inventory: Current::new(Inventory::default()),
            crls: Current::new(BTreeMap::new()),
            config: Config {
                listen: Listen {
                    https: any,
                    http: any,
                    admin: any,
                    sds: None,
                    public_url: None,
                    public_http_url: None,
                    connections_per_address: 1,
                    uncounted: Vec::new(),
                    keysets_over_http: false,
                },
                key_file,
                validation: validate::Settings::default(),
                log: Log::default(),
                blocked_keys: None,
                data_dir,
            },
            world,
        });
        node.catalog.replace(establish::establish(&node).await.expect("the defaults stand"));
        node
    }

    /// Lets the node obtain and present its own certificate; gives the row of what was issued.
    pub(crate) async fn present(node: &Arc<Node>) -> CertificateRow {
        managed::enlist(node, "test").await.expect("enlisted");
        own::settle(node).await.expect("settled");
        own_row(node)
    }

    /// The row of the certificate that the node presents.
    pub(crate) fn own_row(node: &Node) -> CertificateRow {
        let presented = node.presented.load().as_ref().clone().expect("it presents one");
        let leaf = ca::Certificate::from_der(&presented.cert[0]).expect("a certificate");
        let row = node.store.certificate_by_serial(&leaf.serial()).expect("a read");
        row.expect("it was issued here")
    }

    /// An account of the directory `default`, stored.
    pub(crate) async fn account(node: &Node) -> Account {
        let account = Account {
            id: node.store.id(),
            version: 0,
            directory: "default".into(),
            origin: node.https_url.clone(),
            thumbprint: [1; 32],
            jwk: "{}".into(),
            status: AccountStatus::Valid,
            contact: Vec::new(),
            terms_agreed: true,
            external_key: None,
            external_binding: None,
            created_at: node.world.now(),
        };
        let commit = Commit::new(Event::new("test", "account.create", "account/1"));
        node.store.commit(commit.put(account.clone()), node.world.now()).await.expect("stored");
        account
    }
}
