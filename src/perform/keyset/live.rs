//! Keysets as they are published: bodies made once for each change and answered from memory, and the
//! keys that sign, opened.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use jwks::keyset::next_change;
use jwks::set::Profile;
use jwks::token::Signer;
use jwks::{Algorithm, Bundle, Jwk, Kid, Phase, Policy, PrivateKey, Published, discovery, window};
use tracing::error;

use super::body::Document;
use super::standing::Standing;
use super::{KeysetError, Known, identity};
use crate::catalog::Keyset;
use crate::node::Node;
use crate::store::{Page, SigningKeyRow};

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
    /// The keys of the set, in its order.
    pub(crate) keys: Vec<Jwk>,
    /// When the set changed last.
    pub(crate) changed_at: Timestamp,
    change: Option<Timestamp>,
    /// Whether it is declared no more.
    closed: bool,
    empty: bool,
    /// How it stands, for who looks and not for who fetches.
    pub(crate) standing: Standing,
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

    /// For how long more a copy does where none can be had.
    pub(crate) fn spare(&self) -> SignedDuration {
        self.keyset.policy.lead().spare()
    }

    /// Whether tokens are to be verified with it and none to be signed.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The version of the row that it was made from.
    pub(super) fn version(&self) -> i64 {
        self.version
    }

    /// What follows from what is declared.
    pub(crate) fn policy(&self) -> &Policy {
        &self.keyset.policy
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
            // Each catalog has keysets of its own, most of which say what they said before.
            let declared = catalog.keysets.get(&row.name);
            let same = |live: &&Arc<Live>| {
                live.version == row.version
                    && declared.is_none_or(|keyset| live.keyset.spec == keyset.spec)
            };
            if let Some(kept) = before.get(&row.name).filter(same) {
                live.insert(row.name.clone(), Arc::clone(kept));
                continue;
            }
            let known = match Known::of(node, row.clone()) {
                // What nobody declares must not keep the others from being published.
                Err(KeysetError::Unreadable(why)) if declared.is_none() => {
                    error!(keyset = row.name, why, "an undeclared keyset cannot be published");
                    continue;
                }
                known => known?,
            };
            if let Some(made) = publish(node, &known)? {
                live.insert(row.name.clone(), Arc::new(made));
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
    let Some(row) = node.store.keyset_by_name(name)? else { return Ok(()) };
    let version = row.version;
    let made = publish(node, &Known::of(node, row)?)?.map(Arc::new);
    node.keysets.update(|keysets| {
        // Two may have got here at once: what is newer stays.
        if keysets.get(name).is_some_and(|old| old.version >= version) {
            return;
        }
        match made {
            Some(made) => keysets.insert(name.to_owned(), made),
            None => keysets.remove(name),
        };
    });
    Ok(())
}

/// Where the set of a keyset is.
pub(super) fn jwks_uri(node: &Node, name: &str) -> String {
    format!("{}/jwks/{name}/jwks.json", node.https_url)
}

/// Publishes what other nodes have changed, and lets nothing sign here that they retired. What they
/// did lately is all that is looked at: a node that was away for longer has none of its leases left.
///
/// # Errors
/// As for [`refresh`].
pub(crate) fn catch_up(node: &Node) -> Result<(), KeysetError> {
    let since = node.world.now() - LATELY;
    let changed = node.store.keysets_changed_since(since, MAX_CHANGED)?;
    let live = node.keysets.load();
    for (name, version) in changed {
        if live.get(&name).is_some_and(|live| live.version < version) {
            refresh_one(node, &name)?;
        }
    }
    Ok(())
}

/// What is published; none of a keyset that is declared no more, once nothing is left of it.
fn publish(node: &Node, known: &Known) -> Result<Option<Live>, KeysetError> {
    let (set, spec) = (known.set(), &known.keyset.spec);
    let policy = &known.keyset.policy;
    let published = set.published();
    if published.is_empty() && !known.declared {
        return Ok(None);
    }
    let keys = published.iter().map(|key| known.jwk(&key.kid)).collect::<Result<Vec<_>, _>>()?;
    let profile = match spec.algorithm.is_classical() {
        true => Profile::Classical,
        false => Profile::PostQuantum,
    };
    let mut signers = Vec::new();
    let signs = |row: &&SigningKeyRow| row.key.phase == Phase::Signing && !set.closed;
    for row in known.keys.iter().filter(signs) {
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
    let jwks_uri = jwks_uri(node, &spec.name);
    let openid =
        discovery::openid_configuration(&spec.issuer, &jwks_uri, &policy.settings().algorithms);
    Ok(Some(Live {
        id: known.row.id,
        version: known.row.version,
        keyset: Arc::clone(&known.keyset),
        set: Document::new(Published::new(&keys, profile)?.body),
        bundle: Document::new(bundle.publish(&keys, profile)?.body),
        openid_configuration: Document::new(openid),
        server_metadata: Document::new(discovery::server_metadata(&spec.issuer, &jwks_uri)),
        change: next_change(&set, policy),
        changed_at: known.row.changed_at,
        closed: set.closed,
        empty: keys.is_empty(),
        standing: Standing::of(known),
        keys,
        signers,
        leases: Mutex::default(),
    }))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A map of instants is as good after a panic as before it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Longer than nodes' clocks disagree, and than a node is busy without looking.
const LATELY: SignedDuration = SignedDuration::from_mins(10);
const MAX_CHANGED: u32 = 1000;
