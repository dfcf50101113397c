//! What the server acknowledged, written down by its clients, and the demand that it is still so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use der::Decode;
use instant_acme::{Account, AccountCredentials, OrderStatus};
use tokio::sync::Notify;
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;

use super::load::Random;
use crate::node::{Node, Site};
use crate::server::download;

/// Everything acknowledged so far; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger(Arc<Mutex<Entries>>, Arc<Notify>);

#[derive(Clone, Debug, Default)]
struct Entries {
    /// Credentials as JSON, by account URL.
    accounts: BTreeMap<String, String>,
    /// Orders, by URL.
    orders: BTreeMap<String, Ordered>,
    /// Accounts and orders already looked at after a restart.
    seen: BTreeSet<String>,
    /// How many things were acknowledged.
    acknowledged: u64,
}

/// How far an order has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Pending,
    Ready,
    Processing,
    Valid,
}

/// An acknowledged order.
#[derive(Clone, Debug)]
pub(super) struct Ordered {
    pub(super) url: String,
    pub(super) account: String,
    pub(super) names: Vec<String>,
    pub(super) stage: Stage,
    /// The chain as downloaded.
    pub(super) pem: Option<String>,
    pub(super) revoked: bool,
}

impl Ledger {
    /// An account was made.
    pub(super) fn opened(&self, url: &str, credentials: &AccountCredentials) {
        let text = serde_json::to_string(credentials).expect("credentials");
        self.write(|entries| entries.accounts.insert(url.to_owned(), text));
    }

    /// An order has come as far as `stage`, or farther.
    pub(super) fn reached(&self, order: &Ordered, stage: Stage) {
        self.write(|entries| {
            let known = entries.orders.entry(order.url.clone()).or_insert_with(|| order.clone());
            known.stage = known.stage.max(stage);
        });
    }

    /// A certificate was downloaded.
    pub(super) fn issued(&self, order: &Ordered, pem: String) {
        self.reached(order, Stage::Valid);
        self.write(|entries| {
            let known = entries.orders.get_mut(&order.url).expect("a known order");
            known.pem = Some(pem);
        });
    }

    /// A certificate was revoked.
    pub(super) fn revoked(&self, order: &str) {
        self.write(|entries| {
            entries.orders.get_mut(order).expect("a known order").revoked = true;
        });
    }

    /// Waits until `count` more things were acknowledged, and not an instant longer.
    pub(super) async fn acknowledges(&self, count: u64) {
        let until = self.lock().acknowledged + count;
        loop {
            let next = self.1.notified();
            if self.lock().acknowledged >= until {
                return;
            }
            next.await;
        }
    }

    /// The chain that was downloaded for an order.
    pub(super) fn pem(&self, order: &str) -> String {
        self.lock().orders[order].pem.clone().expect("a certificate was downloaded")
    }

    /// Orders without a certificate.
    pub(super) fn unfinished(&self) -> Vec<Ordered> {
        self.lock().orders.values().filter(|order| order.pem.is_none()).cloned().collect()
    }

    /// URLs of all accounts.
    pub(super) fn accounts(&self) -> Vec<String> {
        self.lock().accounts.keys().cloned().collect()
    }

    /// All orders.
    pub(super) fn orders(&self) -> Vec<Ordered> {
        self.lock().orders.values().cloned().collect()
    }

    /// An account, asked for at the server.
    pub(super) async fn account(&self, url: &str, node: &Node) -> Account {
        let text = self.lock().accounts[url].clone();
        let credentials = serde_json::from_str(&text).expect("credentials");
        let builder = Account::builder_with_root(&node.root).expect("a client");
        builder.from_credentials(credentials).await.expect("a directory")
    }

    /// Demands that the server still knows everything: all that is new since the last restart, and
    /// at most `sample` accounts and orders of those before.
    pub(super) async fn check(&self, node: &Node, random: &mut Random, sample: usize) {
        let entries = self.lock().clone();
        let orders = drawn(entries.orders.keys(), &entries.seen, random, sample);
        let mut accounts = drawn(entries.accounts.keys(), &entries.seen, random, sample);
        accounts.extend(orders.iter().map(|order| entries.orders[order].account.clone()));
        for url in &accounts {
            let account = self.account(url, node).await;
            let known = account.update_contacts(&["mailto:crash@example.test"]).await;
            known.unwrap_or_else(|e| panic!("the account {url} is lost: {e}"));
            for order in orders.iter().map(|order| &entries.orders[order]) {
                if &order.account == url {
                    order.check(&account).await;
                }
            }
        }
        self.lock().seen.extend(accounts.into_iter().chain(orders));
    }

    /// Demands that the CRL lists what was revoked; ten seconds may pass until then.
    pub(super) async fn assert_revoked(&self, site: &Site) {
        let orders = self.orders();
        let wanted: BTreeSet<_> =
            orders.iter().filter(|o| o.revoked).filter_map(Ordered::serial).collect();
        let url = format!("http://127.0.0.1:{}/pki/internal.crl", site.ports[1]);
        let file = site.data.with_file_name("internal.crl");
        let begun = Instant::now();
        loop {
            download(&url, &file).expect("the CRL");
            let der = std::fs::read(&file).expect("the CRL");
            let crl = CertificateList::<x509_cert::certificate::Rfc5280>::from_der(&der);
            let crl = crl.expect("a CRL").tbs_cert_list.revoked_certificates.unwrap_or_default();
            let listed: BTreeSet<_> =
                crl.iter().map(|entry| HEXLOWER.encode(entry.serial_number.as_bytes())).collect();
            let missing: Vec<_> = wanted.difference(&listed).collect();
            if missing.is_empty() {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "not in the CRL: {missing:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Demands that there was something to lose: a load that does nothing proves nothing.
    pub(super) fn assert_worth(&self) {
        let orders = self.orders();
        let certificates = orders.iter().filter(|o| o.pem.is_some()).count();
        assert!(certificates >= 20 && orders.iter().any(|o| o.revoked), "too little load: {self}");
    }

    fn write<T>(&self, what: impl FnOnce(&mut Entries) -> T) {
        let mut entries = self.lock();
        what(&mut entries);
        entries.acknowledged += 1;
        self.1.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().expect("no client panicked")
    }
}

impl Ordered {
    /// The leaf's serial, in hexadecimal, if there is a certificate.
    pub(super) fn serial(&self) -> Option<String> {
        let chain = Certificate::load_pem_chain(self.pem.as_ref()?.as_bytes()).expect("a chain");
        Some(HEXLOWER.encode(chain[0].tbs_certificate().serial_number().as_bytes()))
    }

    async fn check(&self, account: &Account) {
        let asked = account.order(self.url.clone()).await;
        let mut order = asked.unwrap_or_else(|e| panic!("{self:?} is lost: {e}"));
        let stage = match order.state().status {
            OrderStatus::Pending => Stage::Pending,
            OrderStatus::Ready => Stage::Ready,
            OrderStatus::Processing => Stage::Processing,
            OrderStatus::Valid => Stage::Valid,
            OrderStatus::Invalid => panic!("{self:?} has become invalid"),
        };
        assert!(stage >= self.stage, "{self:?} has fallen back to {stage:?}");
        if let Some(pem) = &self.pem {
            let again = order.certificate().await.expect("a certificate").expect("a certificate");
            assert_eq!(&again, pem, "{}: another certificate", self.url);
        }
    }
}

/// All that are not in `seen`, and at most `sample` of the others.
fn drawn<'a>(
    urls: impl Iterator<Item = &'a String>,
    seen: &BTreeSet<String>,
    random: &mut Random,
    sample: usize,
) -> BTreeSet<String> {
    let (mut old, new): (Vec<_>, Vec<_>) = urls.cloned().partition(|url| seen.contains(url));
    while old.len() > sample {
        let gone = usize::try_from(random.below(old.len() as u64)).expect("an index");
        old.swap_remove(gone);
    }
    old.into_iter().chain(new).collect()
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.lock();
        let count =
            |what: fn(&Ordered) -> bool| entries.orders.values().filter(|o| what(o)).count();
        write!(
            f,
            "{} accounts, {} orders, {} certificates, {} revoked",
            entries.accounts.len(),
            entries.orders.len(),
            count(|o| o.pem.is_some()),
            count(|o| o.revoked)
        )
    }
}
