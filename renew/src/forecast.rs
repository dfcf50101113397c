//! What would happen when: the renewals, roll-outs and retirements of a certificate over the months
//! to come, if nothing fails and nothing is changed.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::moment::{Share, of_lifetime, plus};
use crate::need::Version;
use crate::wave::waves;
use crate::window::{Calendar, Opening, opening};

/// What is known of a certificate whose future is asked for.
#[derive(Clone, Debug)]
pub struct Outlook<'a> {
    /// The version that is served, if one is.
    pub current: Option<&'a Version>,
    /// How long a version lives where none is known.
    pub lifetime: SignedDuration,
    /// When versions are renewed.
    pub share: Share,
    /// Its targets and when they may be touched.
    pub targets: &'a [(String, Calendar)],
    /// Names of the targets that go first.
    pub canary: &'a [String],
    /// How many targets a wave has at the most.
    pub wave: usize,
    /// How long the version before is kept in reserve.
    pub grace: SignedDuration,
    /// Derives moments.
    pub seed: u64,
}

/// Something that will happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Happening {
    /// When.
    pub at: Timestamp,
    /// `renew`, `push` or `retire`.
    pub what: &'static str,
    /// The targets, for a push.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// Whether it happens against the target's calendar, because waiting would be a lapse.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
}

/// What happens from `now` until `horizon`, in order; at most a thousand things.
#[must_use]
pub fn forecast(outlook: &Outlook<'_>, now: Timestamp, horizon: Timestamp) -> Vec<Happening> {
    let names: Vec<&str> = outlook.targets.iter().map(|(name, _)| name.as_str()).collect();
    let waves = waves(&names, outlook.canary, outlook.wave);
    let length = outlook.current.map_or(outlook.lifetime, |version| {
        version.not_after.duration_since(version.not_before).max(SignedDuration::ZERO)
    });
    // What was revoked is over now, and no calendar holds its replacement up.
    let ends = |version: &Version| if version.revoked { now } else { version.not_after };
    let mut life = outlook.current.map(|version| (version.not_before, ends(version)));
    let current = outlook.current.filter(|version| version.is_usable(now));
    let mut renewal = current.map_or(now, Version::moment).max(now);
    let mut found = Vec::new();
    while renewal < horizon && found.len() < MOST {
        let note = |at, what, targets, forced| Happening { at, what, targets, forced };
        found.push(note(renewal, "renew", Vec::new(), false));
        let mut at = renewal;
        for wave in &waves {
            for (opens, (targets, forced)) in pushes(outlook.targets, wave, life, at, horizon) {
                found.push(note(opens, "push", targets, forced));
                at = opens;
            }
        }
        if life.is_some() {
            found.push(note(plus(at, outlook.grace), "retire", Vec::new(), false));
        }
        let ends = plus(renewal, length);
        life = Some((renewal, ends));
        let after = of_lifetime(outlook.share, renewal, ends, outlook.seed);
        // No rotation begins before the one before it is over, and a life too short to be renewed
        // in would be renewed for ever.
        renewal = after.max(at).max(plus(renewal, SignedDuration::from_secs(1)));
    }
    found.retain(|happening| happening.at < horizon);
    found.sort_by_key(|happening| happening.at);
    found.truncate(MOST);
    found
}

/// When the targets of a wave that is due `at` are touched: which of them, and whether one of them
/// against its calendar.
fn pushes(
    targets: &[(String, Calendar)],
    wave: &[usize],
    life: Option<(Timestamp, Timestamp)>,
    at: Timestamp,
    horizon: Timestamp,
) -> BTreeMap<Timestamp, (Vec<String>, bool)> {
    let mut pushes: BTreeMap<_, (Vec<String>, bool)> = BTreeMap::new();
    for place in wave {
        let (name, calendar) = &targets[*place];
        let (opens, forced) = touched(calendar, life, at, horizon);
        let push = pushes.entry(opens).or_default();
        push.0.push(name.clone());
        push.1 |= forced;
    }
    pushes
}

/// When a target can be touched from `at` on, and whether against its calendar.
fn touched(
    calendar: &Calendar,
    life: Option<(Timestamp, Timestamp)>,
    mut at: Timestamp,
    horizon: Timestamp,
) -> (Timestamp, bool) {
    loop {
        match opening(calendar, life, at) {
            Opening::Open => return (at, false),
            Opening::Forced => return (at, true),
            Opening::Closed(opens) if opens < horizon => at = opens,
            Opening::Closed(opens) => return (opens, false),
        }
    }
}

const MOST: usize = 1000;
