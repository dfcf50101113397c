//! What is there for those who pull a managed certificate: the version that is served, or, for a
//! target, the one that its rotation has got to. Deciding about it is the rotation's; here it is
//! only looked up.

use renew::Phase;

use super::known::{self, BadVersion};
use super::own::NODE;
use crate::node::Node;
use crate::store::{Managed, ReadError, VersionRow};

/// A version that may be taken.
pub(crate) struct Offer {
    pub(crate) name: String,
    pub(crate) version: VersionRow,
}

impl Offer {
    /// Its key and certificates.
    ///
    /// # Errors
    /// When they do not hold together, or the key does not open.
    pub(crate) fn bundle(&self, node: &Node) -> Result<push::Bundle, BadVersion> {
        known::bundle(node, &self.name, &self.version)
    }
}

/// The managed certificate of this name if it is declared, and the target too: for that certificate,
/// and as one that pulls.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn known(
    node: &Node,
    name: &str,
    target: Option<&str>,
) -> Result<Option<Managed>, ReadError> {
    let catalog = node.catalog.load();
    // The node's own key has no business anywhere else, whatever a token's pattern says.
    let declared = catalog.certificates.get(name).filter(|_| name != NODE);
    let Some(certificate) = declared else { return Ok(None) };
    let pulls = |target: &str| {
        let declared = catalog.targets.get(target).map(|target| &target.spec.push.kind);
        let its = certificate.spec.targets.iter().any(|name| name == target);
        its && matches!(declared, Some(push::Kind::Pull(_)))
    };
    if target.is_some_and(|target| !pulls(target)) {
        return Ok(None);
    }
    node.store.managed_by_name(name)
}

/// What may be taken of a certificate now: without a target the version that all of them serve.
/// Nothing that has expired or was revoked is ever given.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn offer(
    node: &Node,
    managed: &Managed,
    target: Option<&str>,
) -> Result<Option<Offer>, ReadError> {
    let now = node.world.now();
    for number in numbers(node, managed, target)?.into_iter().flatten() {
        let version = node.store.version(managed.id, number)?;
        if let Some(version) = version.filter(|version| version.facts().is_usable(now)) {
            return Ok(Some(Offer { name: managed.name.clone(), version }));
        }
    }
    Ok(None)
}

/// The numbers of versions, the one to be given first.
fn numbers(
    node: &Node,
    managed: &Managed,
    target: Option<&str>,
) -> Result<[Option<u32>; 3], ReadError> {
    let Some(target) = target else { return Ok([managed.current, None, None]) };
    let placement = node.store.placement_on(managed.id, target)?;
    let given = placement.and_then(|placement| placement.given);
    let rotation = match managed.rotation {
        Some(id) => node.store.rotation(id)?,
        None => None,
    };
    // What was given stands until the version before is proven to be back: but to be, it has to be
    // there for who comes.
    let back = rotation.filter(|row| row.phase == Phase::Reverting).and_then(|row| row.from);
    Ok([back, given, managed.current])
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use renew::Cause;

    use super::*;
    use crate::store::{Commit, Event, PlacementRow, RotationRow};

    #[tokio::test]
    async fn a_target_is_offered_what_it_was_given_and_the_version_before_while_it_goes_back() {
        let (node, clock) = crate::node::tests::node().await;
        let now = node.world.now();
        let managed = stored(&node, now).await;
        let offered = |target| {
            let offer = offer(&node, &managed, target).expect("a read");
            offer.map(|offer| offer.version.number)
        };
        assert_eq!(offered(None), Some(1), "what every target serves");
        assert_eq!(offered(Some("given")), Some(2));
        assert_eq!(offered(Some("untouched")), Some(1));

        let rotation = node.store.rotation(7).expect("a read").expect("it");
        let turned = RotationRow { phase: Phase::Reverting, ..rotation };
        let event = Event::new("test", "rotation.refuted", "managed/shop");
        node.store.commit(Commit::new(event).put(turned), now).await.expect("stored");
        assert_eq!(offered(Some("given")), Some(1), "it goes back");

        // Version 1 expires first: then what was given is better than nothing.
        clock.store((now + HOUR).as_second(), std::sync::atomic::Ordering::SeqCst);
        assert_eq!(offered(Some("given")), Some(2));
        assert_eq!(offered(None), None, "what has expired is never given");
        let _ = std::fs::remove_dir_all(&node.config.data_dir);
    }

    /// A certificate that serves version 1 while a rotation has given version 2 to one target.
    async fn stored(node: &Node, now: Timestamp) -> Managed {
        let managed = Managed {
            id: 6,
            version: 0,
            name: "shop".into(),
            declared: [0; 32],
            current: Some(1),
            newest: 2,
            rotation: Some(7),
            wish: None,
            held: None,
            failures: 0,
            retry_at: None,
            error: None,
            due_at: None,
        };
        let rotation = RotationRow {
            id: 7,
            version: 0,
            managed: 6,
            cause: Cause::RollBack,
            phase: Phase::Deploying,
            from: Some(1),
            to: Some(2),
            pending: None,
            pending_key: None,
            attempts: 0,
            error: None,
            started_at: now,
            proven_at: None,
            ended_at: None,
            due_at: None,
        };
        let placement = PlacementRow {
            id: 8,
            version: 0,
            managed: 6,
            target: "given".into(),
            serves: None,
            given: Some(2),
            spec: None,
            proof: None,
            error: None,
            changed_at: now,
            due_at: None,
        };
        let event = Event::new("test", "rotation.deploy", "managed/shop");
        let commit = Commit::new(event).put(managed.clone()).put(rotation).put(placement);
        let commit = commit.put(version(1, now, HOUR)).put(version(2, now, HOUR * 2));
        node.store.commit(commit, now).await.expect("stored");
        managed
    }

    fn version(number: u32, now: Timestamp, life: SignedDuration) -> VersionRow {
        VersionRow {
            id: 10 + i64::from(number),
            version: 0,
            managed: 6,
            number,
            issuer: "internal".into(),
            chain: String::new(),
            sealed_key: None,
            fingerprint: [0; 32],
            request: [0; 32],
            not_before: now,
            not_after: now + life,
            renew_at: now + life,
            suggestion: None,
            obtained_at: now,
            proven_at: None,
            retired_at: None,
            revoked_at: None,
        }
    }

    const HOUR: SignedDuration = SignedDuration::from_hours(1);
}
