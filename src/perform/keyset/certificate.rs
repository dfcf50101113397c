//! Certificates of signing keys, for consumers that want `x5c` (RFC 7517 §4.7): from an authority here,
//! for no other use than to verify tokens, and as long as the key may be published.

use std::sync::Arc;

use ca::issue::Request;
use ca::{Certificate, ExtendedKeyUsage, Identifier, Profile, RevocationReason};
use jiff::{SignedDuration, Timestamp};
use jwks::{Jwk, Key, Kid, Phase, PublicKey};
use serde_json::json;
use tracing::error;
use url::Url;

use super::{KeysetError, Known, live};
use crate::catalog::Authority;
use crate::node::Node;
use crate::perform::issuance::{self, Commission};
use crate::perform::revocation;
use crate::store::{Actor, Commit, Event, KeysetRow, SigningKeyRow};

/// A certificate for a key, with those above it but the root; none, if none is declared. `key` is what
/// is known of it, if it is not new.
///
/// # Errors
/// Why there is none, in words.
pub(super) async fn obtain(
    node: &Arc<Node>,
    known: &Known,
    public: &PublicKey,
    key: Option<&Key>,
) -> Result<Vec<Vec<u8>>, String> {
    let Some(authority) = authority(node, known)? else { return Ok(Vec::new()) };
    let spec = &known.keyset.spec;
    let public_key = ca::PublicKey::from_spki(&public.spki()).map_err(|e| e.to_string())?;
    let issuer = Url::parse(&spec.issuer).map_err(|e| e.to_string())?;
    let host = issuer.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let name = Identifier::parse(host).map_err(|e| format!("{host:?} is no name: {e}"))?;
    let now = node.world.now();
    let until = lasting(known, key, now).min(authority.ca.not_after());
    let profile = Profile {
        name: PROFILE.to_owned(),
        lifetime: until.duration_since(now) + BACKDATE + DAY,
        backdate: BACKDATE,
        extended_key_usages: vec![ExtendedKeyUsage::Jwt],
        ..Profile::tls_server()
    };
    let request = Request {
        public_key: &public_key,
        identifiers: &[name],
        not_before: None,
        not_after: Some(until),
        must_staple: false,
        blocked: &node.blocked,
    };
    let commission = Commission { authority: &authority, profile: &profile, account: None };
    let actor = format!("keyset/{}", spec.name);
    let issued = issuance::issue(node, actor, &commission, &request).await;
    let (leaf, _) = issued.map_err(|error| format!("{}: {error}", authority.name))?;
    let path: Vec<_> = authority.ca.path().collect();
    // Whoever verifies the chain has the root, or should not believe it from here.
    let above = path[..path.len().saturating_sub(1)].iter().map(|above| above.der().to_vec());
    Ok(std::iter::once(leaf.der().to_vec()).chain(above).collect())
}

/// What a keyset's certificates need.
pub(super) enum Need {
    /// This key is to have one now.
    Now(Kid),
    /// One is to be replaced then.
    At(Timestamp),
    /// Nothing.
    Nothing,
}

/// What the certificates of published keys need at `now`.
pub(super) fn need(node: &Node, known: &Known, now: Timestamp) -> Need {
    let Ok(Some(authority)) = authority(node, known) else { return Need::Nothing };
    let last = authority.ca.not_after();
    let margin = known.keyset.policy.retirement().total() + DAY;
    let mut next: Option<Timestamp> = None;
    for row in known.keys.iter().filter(|row| row.key.phase.is_published()) {
        let end = known.jwk(&row.key.kid).ok().and_then(|jwk| not_after(&jwk));
        let Some(end) = end else { return Need::Now(row.key.kid.clone()) };
        // What retires is known to be gone in time. Nothing lives longer than the authority.
        let is_enough = row.key.removal(&known.keyset.policy).is_some_and(|gone| gone <= end);
        if is_enough || end >= last {
            continue;
        }
        let due = end - margin;
        if due <= now && last > end {
            return Need::Now(row.key.kid.clone());
        }
        next = Some(next.map_or(due, |next| next.min(due)));
    }
    next.map_or(Need::Nothing, Need::At)
}

/// Gives a key that is published its certificate. Whether there may be more to do.
pub(super) async fn renew(node: &Arc<Node>, known: &Known, kid: &Kid) -> Result<bool, KeysetError> {
    let (now, name) = (node.world.now(), &known.row.name);
    let row = known.keys.iter().find(|row| row.key.kid == *kid).cloned();
    let row = row.ok_or_else(|| KeysetError::Gone(kid.clone()))?;
    let jwk = known.jwk(kid)?;
    let event = Event::new("worker", "keyset.certify", format!("keyset/{name}"));
    match obtain(node, known, &jwk.key, Some(&row.key)).await {
        Ok(x5c) => {
            let event = event.with(json!({ "kid": kid.as_str() }));
            let public = Jwk { x5c, ..jwk }.to_string();
            let sequence = known.row.sequence + 1;
            let error = known.row.error.clone().filter(|error| !error.starts_with(WORD));
            let due_at = Some(now);
            let keyset =
                KeysetRow { sequence, changed_at: now, error, due_at, ..known.row.clone() };
            let commit = Commit::new(event).put(keyset).put(SigningKeyRow { public, ..row });
            node.store.commit(commit, now).await?;
            live::refresh_one(node, name).map(|()| true)
        }
        Err(why) => {
            let event = event.with(json!({ "kid": kid.as_str(), "why": why }));
            let error = Some(format!("{WORD}: {why}"));
            let due_at = Some(now + AGAIN);
            let keyset = KeysetRow { error, due_at, ..known.row.clone() };
            node.store.commit(Commit::new(event).put(keyset), now).await?;
            Ok(false)
        }
    }
}

/// Revokes what certifies keys that must not be trusted any more. It is done as well as it can be: the
/// keys are out of the set already, which is what matters to who verifies tokens.
pub(super) async fn revoke(node: &Node, known: &Known, actor: &Actor, kids: &[Kid]) {
    for kid in kids {
        let Ok(jwk) = known.jwk(kid) else { continue };
        let Ok(public) = ca::PublicKey::from_spki(&jwk.key.spki()) else { continue };
        let rows = node.store.certificates_of_key(&public.spki_sha256(), node.world.now());
        let rows = rows.unwrap_or_else(|why| {
            error!(%kid, %why, "the certificates of a compromised key are not known; revoke them");
            Vec::new()
        });
        for row in rows.into_iter().filter(|row| row.revoked.is_none()) {
            let serial = row.serial;
            let event =
                Event::new(actor.clone(), "certificate.revoke", format!("certificate/{serial}"));
            let reason = RevocationReason::KeyCompromise;
            if let Err(why) = revocation::revoke(node, event, row, reason, true).await {
                error!(%kid, %serial, %why, "a compromised key's certificate stands; revoke it");
            }
        }
    }
}

fn authority(node: &Node, known: &Known) -> Result<Option<Arc<Authority>>, String> {
    let Some(name) = &known.keyset.spec.x5c else { return Ok(None) };
    let authority = node.catalog.load().authorities.get(name).map(Arc::clone);
    authority.map(Some).ok_or_else(|| format!("authority {name:?} is not declared"))
}

/// Until when a key may be published, as far as can be known at `now`.
fn lasting(known: &Known, key: Option<&Key>, now: Timestamp) -> Timestamp {
    let policy = &known.keyset.policy;
    let settings = policy.settings();
    let after = policy.retirement().total() + settings.grace + DAY;
    let lead = policy.lead().total();
    let plus = |at: Timestamp, by| at.checked_add(by).unwrap_or(Timestamp::MAX);
    let removal = key.and_then(|key| key.removal(policy));
    let signing = key.filter(|key| key.phase == Phase::Signing).and_then(|key| key.rotate_at);
    match (removal, signing) {
        (Some(gone), _) => plus(gone, DAY),
        (None, Some(rotate_at)) => plus(rotate_at.max(now), lead + after),
        (None, None) => plus(now, lead + settings.rotate_every + lead + after),
    }
}

fn not_after(jwk: &Jwk) -> Option<Timestamp> {
    let leaf = jwk.x5c.first()?;
    Some(Certificate::from_der(leaf).ok()?.not_after())
}

/// What such certificates are issued under, and how a complaint about them begins.
const PROFILE: &str = "jwt-signing";
const WORD: &str = "x5c";
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// For consumers whose clocks are behind.
const BACKDATE: SignedDuration = SignedDuration::from_hours(1);
const AGAIN: SignedDuration = SignedDuration::from_mins(5);
