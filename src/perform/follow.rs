//! Targets that tell by themselves when what they hold has changed. What they tell is a hint that
//! makes a row due, no more: what is there is then looked at as ever, and a hint that is lost costs
//! no more than the time until the next look.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use renew::jitter;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use crate::catalog::{Catalog, Target};
use crate::http::server::{Drain, begun};
use crate::node::Node;
use crate::store::ReadError;

/// Follows every declared target that tells, until `drain`.
pub(crate) async fn run(node: Arc<Node>, mut drain: Drain) {
    let mut tasks = tokio::task::JoinSet::new();
    let mut followed: BTreeMap<String, ([u8; 32], AbortHandle)> = BTreeMap::new();
    let mut seen: Option<Arc<Catalog>> = None;
    loop {
        let catalog = node.catalog.load();
        if seen.as_ref().is_none_or(|seen| !Arc::ptr_eq(seen, &catalog)) {
            followed.retain(|name, (digest, task)| {
                let same = catalog.targets.get(name).is_some_and(|target| target.digest == *digest);
                if !same {
                    task.abort();
                }
                same
            });
            // What was found in clusters is followed by who found it, all of it at once.
            let found = |name: &String| {
                catalog
                    .certificates
                    .get(name)
                    .is_some_and(|certificate| certificate.origin.is_some())
            };
            let new = catalog.targets.iter();
            let new = new.filter(|(name, _)| !followed.contains_key(*name) && !found(name));
            let new: Vec<_> =
                new.filter(|(_, target)| target.way.follow(&|| {}).is_some()).collect();
            for (name, target) in new {
                let task = tasks.spawn(follow(Arc::clone(&node), Arc::clone(target)));
                followed.insert(name.clone(), (target.digest, task));
            }
            seen = Some(catalog);
        }
        // Those that were aborted.
        while tasks.try_join_next().is_some() {}
        tokio::select! {
            () = sleep(LOOK) => {}
            () = begun(&mut drain) => return,
        }
    }
}

/// Follows one target, and again whenever that fails.
async fn follow(node: Arc<Node>, target: Arc<Target>) {
    let changed = Notify::new();
    let tell = || changed.notify_one();
    let follows = async {
        let (mut failures, mut said) = (0, None);
        while let Some(following) = target.way.follow(&tell) {
            let began = Instant::now();
            let error = following.await.to_string();
            failures = if began.elapsed() > LASTING { 1 } else { failures + 1 };
            if said.as_ref() != Some(&error) {
                warn!(target = target.spec.name(), %error, "a target is not followed; it is looked at all the same");
                said = Some(error);
            }
            sleep(rest(target.digest, failures)).await;
            // What happened meanwhile nobody told.
            tell();
        }
    };
    let looks = async {
        loop {
            changed.notified().await;
            let rest = match look_soon(&node, &target).await {
                Ok(true) => GATHER,
                Ok(false) => {
                    tell();
                    BUSY
                }
                Err(error) => {
                    debug!(target = target.spec.name(), %error, "a look cannot be hurried");
                    GATHER
                }
            };
            // However often it changes, it is looked at now and then.
            sleep(rest).await;
        }
    };
    tokio::join!(follows, looks);
}

/// Makes the placements on a target due now. False if some could not be, for a rotation is at work
/// on them: it proves what it did by itself, but not what comes after.
pub(super) async fn look_soon(node: &Node, target: &Target) -> Result<bool, ReadError> {
    let (catalog, now, name) = (node.catalog.load(), node.world.now(), target.spec.name());
    let mut all = true;
    for certificate in catalog.certificates.values() {
        if !certificate.spec.targets.iter().any(|one| one == name) {
            continue;
        }
        let Some(managed) = node.store.managed_by_name(&certificate.spec.name)? else { continue };
        let Some(placement) = node.store.placement_on(managed.id, name)? else { continue };
        if managed.rotation.is_some() {
            all = false;
        } else if placement.serves.is_some() && placement.due_at.is_none_or(|due| due > now) {
            // If somebody else is just at it, they look now or say when.
            all &= node.store.schedule(&placement, Some(now), now).await.is_ok();
            node.steps.hurry();
        }
    }
    Ok(all)
}

/// A second, and longer the more often it failed in a row; not at the same time for all.
pub(super) fn rest(seed: [u8; 32], failures: u32) -> Duration {
    let seed = seed.iter().fold(0, |seed: u64, byte| seed.rotate_left(8) ^ u64::from(*byte));
    let whole = LONGEST.min(SignedDuration::from_secs(1 << failures.min(16)));
    (whole / 2 + jitter::part(whole / 2, seed, failures.into())).unsigned_abs()
}

/// How often it is looked whether other targets are declared.
const LOOK: Duration = Duration::from_secs(1);
/// Between two looks at the same target.
const GATHER: Duration = Duration::from_secs(1);
/// Until a rotation may have ended.
const BUSY: Duration = Duration::from_secs(15);
/// What went well for this long begins to fail anew.
pub(super) const LASTING: Duration = Duration::from_secs(60);
const LONGEST: SignedDuration = SignedDuration::from_mins(5);
