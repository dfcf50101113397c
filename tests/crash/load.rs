//! Clients at work until the server dies under them: each makes an account, then orders, now and
//! then leaving one where it stands, and revokes some of what it gets.

use std::fs;
use std::path::{Path, PathBuf};

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, Order,
    OrderStatus, RetryPolicy, RevocationRequest,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::ledger::{Ledger, Ordered, Stage};
use crate::node::Node;

/// A round's clients.
pub(super) struct Load<'a> {
    pub(super) node: &'a Node,
    pub(super) tokens: &'a Path,
    pub(super) ledger: &'a Ledger,
    pub(super) round: usize,
}

/// Random numbers from a seed (xorshift64*).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Numbers that depend on `seed` only.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

impl Load<'_> {
    /// Sets the clients to work; ends when the server does not answer any of them any more.
    pub(super) fn start(&self, random: &mut Random) -> impl Future<Output = ()> + use<> {
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..CLIENTS {
            let random = Random::new(random.below(u64::MAX >> 33));
            let worker = self.client(format!("r{}c{client}", self.round), random);
            let (directory, root) = (self.node.directory.clone(), self.node.root.clone());
            clients.spawn(async move {
                let Err(Stopped(why)) = worker.work(directory, &root).await;
                assert!(died(&why), "refused by a server that lived: {why}");
            });
        }
        async move {
            while let Some(ended) = clients.join_next().await {
                ended.expect("a client");
            }
        }
    }

    /// Finishes every order that an earlier round left behind.
    pub(super) async fn finish_begun(&self) {
        let mut orders = tokio::task::JoinSet::new();
        for begun in self.ledger.unfinished() {
            let account = self.ledger.account(&begun.account, self.node).await;
            let client = self.client(String::new(), Random::new(1));
            orders.spawn(async move {
                let order = account.order(begun.url.clone()).await.expect("an acknowledged order");
                let ended = client.drive(order, &begun, Stage::Valid).await;
                ended.unwrap_or_else(|e| panic!("{begun:?} cannot be finished: {e:?}"));
            });
        }
        while let Some(ended) = orders.join_next().await {
            ended.expect("an order that was begun");
        }
    }

    fn client(&self, label: String, random: Random) -> Client {
        Client { label, tokens: self.tokens.to_owned(), ledger: self.ledger.clone(), random }
    }
}

struct Client {
    label: String,
    tokens: PathBuf,
    ledger: Ledger,
    random: Random,
}

/// The server does not answer as it should: it was killed, or it is wrong.
#[derive(Debug)]
struct Stopped(String);

impl<E: std::error::Error> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self(format!("{error:?}"))
    }
}

impl Client {
    async fn work(
        mut self,
        directory: String,
        root: &Path,
    ) -> Result<std::convert::Infallible, Stopped> {
        let new = NewAccount {
            contact: &["mailto:crash@example.test"],
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let builder = Account::builder_with_root(root)?;
        let (account, credentials) = builder.create(&new, directory, None).await?;
        self.ledger.opened(account.id(), &credentials);
        for turn in 0_u32.. {
            let count = 1 + self.random.below(2);
            let names = (0..count).map(|n| format!("{}-{turn}-{n}.example.test", self.label));
            self.order(&account, names.collect()).await?;
        }
        Err(Stopped("more orders than numbers".into()))
    }

    async fn order(&mut self, account: &Account, names: Vec<String>) -> Result<(), Stopped> {
        let identifiers: Vec<_> = names.iter().cloned().map(Identifier::Dns).collect();
        let order = account.new_order(&NewOrder::new(&identifiers)).await?;
        let ordered = Ordered {
            url: order.url().to_owned(),
            account: account.id().to_owned(),
            names,
            stage: Stage::Pending,
            pem: None,
            revoked: false,
        };
        self.ledger.reached(&ordered, Stage::Pending);
        // Some orders are left where they stand, for another day.
        let until = match self.random.below(8) {
            0 => Stage::Pending,
            1 => Stage::Ready,
            _ => Stage::Valid,
        };
        self.drive(order, &ordered, until).await?;
        if until == Stage::Valid && self.random.below(3) == 0 {
            let pem = self.ledger.pem(&ordered.url);
            let certificate = CertificateDer::from_pem_slice(pem.as_bytes())?;
            let request = RevocationRequest { certificate: &certificate, reason: None };
            account.revoke(&request).await?;
            self.ledger.revoked(&ordered.url);
        }
        Ok(())
    }

    /// Takes an order from wherever it stands to `until`.
    async fn drive(&self, mut order: Order, as_of: &Ordered, until: Stage) -> Result<(), Stopped> {
        if until == Stage::Pending {
            return Ok(());
        }
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let Some(mut challenge) = authorization.challenge(ChallengeType::Http01) else {
                return Err(Stopped("http-01 is not offered".into()));
            };
            let proof = challenge.key_authorization();
            fs::write(self.tokens.join(&challenge.token), proof.as_str())?;
            challenge.set_ready().await?;
        }
        let mut status = order.refresh().await?.status;
        if status == OrderStatus::Pending {
            status = order.poll_ready(&PATIENCE).await?;
        }
        match status {
            OrderStatus::Ready => self.ledger.reached(as_of, Stage::Ready),
            OrderStatus::Processing | OrderStatus::Valid => {}
            other => return Err(Stopped(format!("the order became {other:?}"))),
        }
        if until == Stage::Ready {
            return Ok(());
        }
        if status == OrderStatus::Ready {
            order.finalize_csr(&request(&as_of.names)).await?;
            self.ledger.reached(as_of, Stage::Processing);
        }
        let pem = order.poll_certificate(&PATIENCE).await?;
        self.ledger.issued(as_of, pem);
        Ok(())
    }
}

/// Whether this is how a client sees a server die: no connection, or one that broke.
fn died(why: &str) -> bool {
    ["Connect", "connection", "Hyper", "Io", "IncompleteMessage"]
        .iter()
        .any(|word| why.contains(word))
}

/// A request for `names` by a key that nobody keeps.
fn request(names: &[String]) -> Vec<u8> {
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate().expect("a key");
    params.serialize_request(&key).expect("a request").der().to_vec()
}

const CLIENTS: usize = 6;
const PATIENCE: RetryPolicy =
    RetryPolicy::new().initial_delay(std::time::Duration::from_millis(20)).backoff(1.5);
