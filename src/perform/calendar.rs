//! What would happen when: the calendar that `plan` shows of the managed certificates declared.

use jiff::{SignedDuration, Timestamp};
use renew::forecast::{Happening, Outlook, forecast};
use renew::need::Need;
use serde::Serialize;

use super::known::Known;
use crate::catalog::{Catalog, Certificate, CertificateSpec, Declared, Target};
use crate::node::Node;
use crate::store::{ReadError, VersionRow};

/// Something that will happen to a certificate.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    /// The certificate's name.
    certificate: String,
    #[serde(flatten)]
    happening: Happening,
}

/// What happens from now until `horizon` to the certificates that `wanted` declares, with everything
/// that `whole` declares besides; in order, the first thousand things.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn calendar(
    node: &Node,
    whole: &Declared,
    wanted: &Declared,
    horizon: SignedDuration,
) -> Result<Vec<Entry>, ReadError> {
    let now = node.world.now();
    let mut entries = Vec::new();
    for spec in wanted.certificates.values() {
        for happening in future(node, whole, spec, now, now + horizon)? {
            entries.push(Entry { certificate: spec.name.clone(), happening });
        }
    }
    entries.sort_by_key(|entry| entry.happening.at);
    entries.truncate(MOST);
    Ok(entries)
}

fn future(
    node: &Node,
    whole: &Declared,
    spec: &CertificateSpec,
    now: Timestamp,
    horizon: Timestamp,
) -> Result<Vec<Happening>, ReadError> {
    let row = node.store.managed_by_name(&spec.name)?;
    let known = row.map(|row| Known::of(node, row)).transpose()?;
    let current = known.as_ref().and_then(|known| known.version(known.row.current));
    // What would be declared decides whether the version that is served still does.
    let due = known.as_ref().is_none_or(|known| {
        let certificate = Certificate::new(spec.clone());
        let need = known.need(&as_declared(whole, spec), &certificate, now);
        matches!(need, Need::Rotate { to: None, .. } | Need::Later { .. })
    });
    let facts = current.map(VersionRow::facts).map(|mut facts| {
        if due {
            facts.renew_at = facts.renew_at.min(now);
            facts.suggestion = None;
        }
        facts
    });
    let targets: Vec<_> = (spec.targets.iter())
        .filter_map(|name| Some((name.clone(), whole.targets.get(name)?.care.calendar.clone())))
        .collect();
    let lifetime = whole.profiles.get(&spec.profile).map(|profile| profile.lifetime);
    let outlook = Outlook {
        current: facts.as_ref(),
        lifetime: lifetime.unwrap_or(USUAL),
        share: spec.share(),
        targets: &targets,
        canary: &spec.canary,
        wave: spec.wave,
        grace: spec.grace,
        seed: known.map_or(0, |known| known.row.id.unsigned_abs()),
    };
    Ok(forecast(&outlook, now, horizon))
}

/// As much of a catalog as a decision about `spec` looks at.
fn as_declared(whole: &Declared, spec: &CertificateSpec) -> Catalog {
    let targets = spec.targets.iter().filter_map(|name| {
        Some((name.clone(), Target::new(whole.targets.get(name)?.clone()).into()))
    });
    Catalog { targets: targets.collect(), ..Catalog::default() }
}

/// What a CA outside gives where nothing is known yet.
const USUAL: SignedDuration = SignedDuration::from_hours(90 * 24);
const MOST: usize = 1000;
