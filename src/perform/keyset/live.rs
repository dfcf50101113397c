//! Keysets as they are published: bodies made once for each change and answered from memory, and the
//! keys that sign, opened.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use jwks::keyset::next_change;
use jwks::set::Profile;
use jwks::token::Signer;
use jwks::{Algorithm, Bundle, Kid, Phase, PrivateKey, Published, discovery, window};

use super::body::Document;
use super::{KeysetError, Known, identity};
use crate::catalog::Keyset;
use crate::node::Node;
use crate::store::Page;

/// Every keyset that is published, by name.
pub(crate) type Keysets = BTreeMap<String, Arc<Live>>;

/// A keyset as it is published.
pub(crate) struct Live {
    pub(crate) id: i64,
    version: i64,
    keyset: Arc<Keyset>,
    /// `jwks.json`.
    pub(crate) set: Document,
    /// The same as a SPIFFE bundle.
    pub(crate) bundle: Document,
    pub(crate) openid_configuration: Document,
    pub(crate) server_metadata: Document,
    change: Option<Timestamp>,
    empty: bool,
    signers: Vec<Arc<Signer>>,
    /// Until when each of them may sign.
    leases: Mutex<BTreeMap<Kid, Timestamp>>,
}

impl Live {
    /// How long a copy is good, from `now` on.
    pub(crate) fn max_age(&self, now: Timestamp, seed: u64) -> SignedDuration {
        window::max_age(&self.keyset.policy, self.change, now, seed)
    }

    /// Whether no key is published.
    pub(crate) fn is_empty(&self) -> bool {
        self.empty
    }

    /// How long a key is announced before it signs.
    pub(crate) fn lead(&self) -> SignedDuration {
        self.keyset.policy.lead().total()
    }

    /// What is declared.
    pub(crate) fn keyset(&self) -> &Keyset {
        &self.keyset
    }

    /// The key that signs with an algorithm, or with the usual one.
    pub(crate) fn signer(&self, algorithm: Option<Algorithm>) -> Option<&Arc<Signer>> {
        let wanted = algorithm.unwrap_or(self.keyset.spec.algorithm);
        self.signers.iter().find(|signer| signer.key().algorithm() == wanted)
    }

    /// Whether a key may sign at `now` without asking the store.
    pub(super) fn is_leased(&self, kid: &Kid, now: Timestamp) -> bool {
        lock(&self.leases).get(kid).is_some_and(|until| now < *until)
    }

    /// It is stored that a key may sign until then.
    pub(super) fn leased(&self, kid: &Kid, until: Timestamp) {
        lock(&self.leases).insert(kid.clone(), until);
    }
}

/// Publishes what is stored and declared.
///
/// # Errors
/// When the store cannot be read, a key not opened, or a set does not pass its lint: what was
/// published before stays then.
pub(crate) fn refresh(node: &Node) -> Result<(), KeysetError> {
    let (before, catalog) = (node.keysets.load(), node.catalog.load());
    let mut live = Keysets::new();
    let mut page = Page { after: 0, limit: 256 };
    loop {
        let rows = node.store.keysets(page)?;
        for row in &rows {
            let Some(keyset) = catalog.keysets.get(&row.name) else { continue };
            // Each catalog has keysets of its own, most of which say what they said before.
            let same =
                |live: &&Arc<Live>| live.version == row.version && live.keyset.spec == keyset.spec;
            if let Some(kept) = before.get(&row.name).filter(same) {
                live.insert(row.name.clone(), Arc::clone(kept));
            } else if let Some(known) = Known::of(node, row.clone())? {
                live.insert(row.name.clone(), Arc::new(publish(node, &known)?));
            }
        }
        match rows.last() {
            Some(last) if rows.len() == page.limit as usize => page.after = last.id,
            _ => break,
        }
    }
    node.keysets.replace(live);
    Ok(())
}

/// Publishes what is stored of one keyset, whose declaration is not what has changed.
///
/// # Errors
/// As for [`refresh`].
pub(crate) fn refresh_one(node: &Node, name: &str) -> Result<(), KeysetError> {
    let row = node.store.keyset_by_name(name)?;
    let known = row.map(|row| Known::of(node, row)).transpose()?.flatten();
    let made = known.map(|known| publish(node, &known)).transpose()?.map(Arc::new);
    node.keysets.update(|keysets| {
        match made {
            // Two may have got here at once: what is newer stays.
            Some(made) if keysets.get(name).is_none_or(|old| old.version < made.version) => {
                keysets.insert(name.to_owned(), made);
            }
            _ => {}
        }
    });
    Ok(())
}

fn publish(node: &Node, known: &Known) -> Result<Live, KeysetError> {
    let (set, spec) = (known.set(), &known.keyset.spec);
    let policy = &known.keyset.policy;
    let published = set.published();
    let keys = published.iter().map(|key| known.jwk(&key.kid)).collect::<Result<Vec<_>, _>>()?;
    let profile = match spec.algorithm.is_classical() {
        true => Profile::Classical,
        false => Profile::PostQuantum,
    };
    let mut signers = Vec::new();
    for row in known.keys.iter().filter(|row| row.key.phase == Phase::Signing) {
        let Some(sealed) = &row.sealed_key else { continue };
        let secret = node.key.open(&identity(&known.row.name, &row.key.kid), sealed)?;
        let key = PrivateKey::from_secret(row.key.algorithm, &secret)?;
        signers.push(Arc::new(Signer::new(key, row.key.kid.clone())));
    }
    let hint = policy.settings().max_age.as_secs();
    let bundle = Bundle {
        sequence: known.row.sequence.unsigned_abs(),
        refresh_hint: u32::try_from(hint).unwrap_or(u32::MAX),
    };
    let jwks_uri = format!("{}/jwks/{}/jwks.json", node.https_url, spec.name);
    let openid =
        discovery::openid_configuration(&spec.issuer, &jwks_uri, &policy.settings().algorithms);
    Ok(Live {
        id: known.row.id,
        version: known.row.version,
        keyset: Arc::clone(&known.keyset),
        set: Document::new(Published::new(&keys, profile)?.body),
        bundle: Document::new(bundle.publish(&keys, profile)?.body),
        openid_configuration: Document::new(openid),
        server_metadata: Document::new(discovery::server_metadata(&spec.issuer, &jwks_uri)),
        change: next_change(&set, policy),
        empty: keys.is_empty(),
        signers,
        leases: Mutex::default(),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A map of instants is as good after a panic as before it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
