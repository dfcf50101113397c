//! What would happen when: the renewals, roll-outs and retirements of a certificate over the months
//! to come, if nothing fails and nothing is changed.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::moment::{Share, of_lifetime};
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
    let mut found = Vec::new();
    let mut life = outlook.current.map(|version| (version.not_before, version.not_after));
    let mut renewal = outlook.current.map_or(now, Version::moment).max(now);
    let length = life.map_or(outlook.lifetime, |(from, to)| to.duration_since(from));
    while renewal < horizon && found.len() < MOST {
        let note = |at, what, targets, forced| Happening { at, what, targets, forced };
        found.push(note(renewal, "renew", Vec::new(), false));
        let mut at = renewal;
        let order: Vec<String> = outlook.targets.iter().map(|(name, _)| name.clone()).collect();
        for wave in waves(&order, outlook.canary, outlook.wave) {
            let calendars =
                outlook.targets.iter().filter(|(name, _)| wave.contains(name)).map(|(_, c)| c);
            let openings = calendars.map(|calendar| touched(calendar, life, at));
            let (last, forced) = openings
                .fold((at, false), |(at, any), (opens, forced)| (at.max(opens), any | forced));
            at = last;
            found.push(note(at, "push", wave, forced));
        }
        if life.is_some() {
            found.push(note(at + outlook.grace, "retire", Vec::new(), false));
        }
        life = Some((renewal, renewal + length));
        let after = of_lifetime(outlook.share, renewal, renewal + length, outlook.seed);
        // A life too short to be renewed in would be renewed for ever.
        renewal = after.max(renewal + SignedDuration::from_secs(1));
    }
    found.retain(|happening| happening.at < horizon);
    found.sort_by_key(|happening| happening.at);
    found
}

/// When a target can be touched from `at` on, and whether against its calendar.
fn touched(
    calendar: &Calendar,
    life: Option<(Timestamp, Timestamp)>,
    at: Timestamp,
) -> (Timestamp, bool) {
    match opening(calendar, life, at) {
        Opening::Open => (at, false),
        Opening::Forced => (at, true),
        Opening::Closed(opens) => (opens, opening(calendar, life, opens) == Opening::Forced),
    }
}

const MOST: usize = 1000;
