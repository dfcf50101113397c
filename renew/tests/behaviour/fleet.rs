//! A fleet of managed certificates on virtual time: rows by when they are due, a CA with a limit, and
//! what goes wrong with it. It does with a row what the shell does: ask what it needs, obtain that,
//! or leave it alone until it may be tried again.

use std::collections::BTreeSet;
use std::ops::Range;

use jiff::{SignedDuration, Timestamp};
use renew::need::need;
use renew::{Cause, Facts, Need, Share, Suggestion, Version, jitter, moment, retry};

use crate::{DECLARED, HOUR, day};

/// What happens to a fleet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weather {
    /// How many orders the CA takes in three hours, from everyone who is not `internal`.
    pub(crate) limit: Option<u32>,
    /// It answers nothing.
    pub(crate) outage: Option<Range<Timestamp>>,
    /// It answers every order with 429 and an hour to wait.
    pub(crate) storm: Option<Range<Timestamp>>,
    /// From then on it suggests that whatever it issued before be renewed at once.
    pub(crate) drill: Option<Timestamp>,
}

/// Certificates, and what became of them.
pub(crate) struct Fleet {
    weather: Weather,
    rows: Vec<Row>,
    now: Timestamp,
    due: BTreeSet<(Timestamp, usize)>,
    /// Who waits for the CA's limit: who ends first goes first.
    waiting: BTreeSet<(Timestamp, usize)>,
    pace: Option<Pace>,
    server: Option<Tokens>,
    drilled: bool,
    /// Every order that was granted: when, and for which certificate.
    pub(crate) orders: Vec<(Timestamp, usize)>,
    /// How often an order was refused or not answered.
    pub(crate) refused: usize,
    /// How often it was asked what a certificate needs.
    pub(crate) decisions: usize,
    /// How many rows were due, or had their turn.
    pub(crate) woken: usize,
    /// The smallest part of a life that was left when a version was replaced.
    pub(crate) narrowest: f64,
}

struct Row {
    life: SignedDuration,
    issuers: Vec<String>,
    current: Option<Version>,
    failures: u32,
    retry_at: Option<Timestamp>,
}

impl Fleet {
    /// So many certificates of each life; those under ten days name a second issuer.
    pub(crate) fn new(lives: &[(usize, SignedDuration)], weather: Weather) -> Self {
        let row = |life: SignedDuration| {
            let mut issuers = ["ca", "internal"].map(str::to_owned).to_vec();
            issuers.truncate(if life < HOUR * 240 { 2 } else { 1 });
            Row { life, issuers, current: None, failures: 0, retry_at: None }
        };
        let rows: Vec<_> =
            lives.iter().flat_map(|(n, life)| (0..*n).map(move |_| row(*life))).collect();
        Self {
            now: day(0),
            due: (0..rows.len()).map(|id| (day(0), id)).collect(),
            waiting: BTreeSet::new(),
            pace: weather.limit.map(Pace::of),
            server: weather.limit.map(Tokens::of),
            drilled: false,
            orders: Vec::new(),
            refused: 0,
            decisions: 0,
            woken: 0,
            narrowest: 1.0,
            weather,
            rows,
        }
    }

    /// Lets time pass until `end`; nothing may have lapsed by then.
    pub(crate) fn until(mut self, end: Timestamp) -> Self {
        loop {
            let due = self.due.first().map_or(end, |(at, _)| *at);
            let free = self.pace.as_ref().filter(|_| !self.waiting.is_empty()).map(Pace::free_at);
            let free = free.unwrap_or(end).max(self.now);
            let drill = self.weather.drill.filter(|_| !self.drilled).unwrap_or(end);
            self.now = due.min(free).min(drill);
            if self.now >= end {
                break;
            }
            if self.now == drill {
                self.drill();
            } else if self.now == free {
                let (_, id) = self.waiting.pop_first().expect("somebody waits");
                self.wake(id, true);
            } else {
                let (_, id) = self.due.pop_first().expect("a row is due");
                self.wake(id, false);
            }
        }
        let ends = |row: &Row| row.current.as_ref().map(|current| current.not_after);
        assert!(self.rows.iter().all(|row| ends(row) > Some(end)), "one has lapsed");
        self
    }

    fn wake(&mut self, id: usize, its_turn: bool) {
        self.woken += 1;
        if self.look(id) {
            if its_turn || self.pace.is_none() {
                self.obtain(id);
            } else {
                let ends = self.rows[id].current.as_ref().map(|current| current.not_after);
                self.waiting.insert((ends.unwrap_or(Timestamp::MAX), id));
            }
        }
    }

    /// Whether a certificate needs a new version now; if not, its row is due when it will.
    fn look(&mut self, id: usize) -> bool {
        self.decisions += 1;
        self.hear(id);
        let row = &self.rows[id];
        let facts = Facts {
            current: row.current.as_ref(),
            candidate: None,
            request: DECLARED,
            held: None,
            issuers: &row.issuers,
            unserved: false,
            wish: None,
            retry_at: row.retry_at,
        };
        let at = match need(&facts, self.now) {
            Need::Rotate { cause, to: None } => {
                assert_ne!(cause, Cause::Expired, "{id} has lapsed");
                return true;
            }
            Need::Nothing { until: Some(at) } | Need::Later { at, .. } => at,
            other => panic!("{other:?} does not come up"),
        };
        assert!(at > self.now, "due at once, again and again");
        self.due.insert((at, id));
        false
    }

    /// Asks the issuers in their order.
    fn obtain(&mut self, id: usize) {
        let now = self.now;
        let within =
            |range: &Option<Range<Timestamp>>| range.as_ref().is_some_and(|r| r.contains(&now));
        let (is_down, is_storm) = (within(&self.weather.outage), within(&self.weather.storm));
        if let Some(pace) = &mut self.pace {
            pace.take(now);
        }
        let issuers = self.rows[id].issuers.clone();
        for issuer in issuers {
            if issuer == "internal" {
                return self.replace(id, issuer);
            }
            if !is_down {
                if let Some(server) = &mut self.server {
                    server.take(now);
                }
                if !is_storm {
                    return self.replace(id, issuer);
                }
            }
        }
        self.refused += 1;
        let row = &mut self.rows[id];
        row.failures += 1;
        let end = row.current.as_ref().map(|current| current.not_after);
        let retry = retry::after(row.failures, now, end, id as u64);
        let told = if is_storm { now + HOUR } else { now };
        row.retry_at = Some(retry.max(told));
        self.look(id);
    }

    /// A new version, proven at once.
    fn replace(&mut self, id: usize, issuer: String) {
        let (now, row) = (self.now, &mut self.rows[id]);
        if let Some(before) = &row.current {
            let left = before.not_after.duration_since(now);
            assert!(left.is_positive(), "{id} has lapsed");
            self.narrowest = self.narrowest.min(left.as_secs_f64() / row.life.as_secs_f64());
        }
        // Issuers date back, for clients whose clocks are slow.
        let (not_before, not_after) = (now - HOUR, now - HOUR + row.life);
        let number = row.current.as_ref().map_or(0, |before| before.number) + 1;
        row.current = Some(Version {
            number,
            not_before,
            not_after,
            request: DECLARED,
            issuer,
            revoked: false,
            obtained_at: now,
            renew_at: moment::of_lifetime(Share::Usual, not_before, not_after, id as u64),
            suggestion: None,
        });
        (row.failures, row.retry_at) = (0, None);
        self.orders.push((now, id));
        assert!(!self.look(id), "a new version needs nothing");
    }

    /// Everybody asks within half a day, and hears of the drill.
    fn drill(&mut self) {
        self.drilled = true;
        for (at, id) in std::mem::take(&mut self.due) {
            let hears = self.now + jitter::part(HOUR * 12, id as u64, 0);
            self.due.insert((at.min(hears), id));
        }
    }

    fn hear(&mut self, id: usize) {
        let Some(drill) = self.weather.drill.filter(|_| self.drilled) else { return };
        let current = self.rows[id].current.as_mut();
        if let Some(current) = current.filter(|c| c.issuer == "ca" && c.not_before + HOUR <= drill)
        {
            current.suggestion = Some(Suggestion::within(drill - HOUR, drill, None, id as u64));
        }
    }
}

/// The client's side of a limit: the cell rate algorithm, a single instant.
struct Pace {
    each: SignedDuration,
    burst: SignedDuration,
    full_at: Timestamp,
}

impl Pace {
    fn of(limit: u32) -> Self {
        Self { each: LIMITED / limit.cast_signed(), burst: LIMITED, full_at: day(0) }
    }

    fn free_at(&self) -> Timestamp {
        self.full_at + self.each - self.burst
    }

    fn take(&mut self, now: Timestamp) {
        self.full_at = self.full_at.max(now) + self.each;
    }
}

/// The CA's side, counted in another way: nobody may take what is not there.
struct Tokens {
    left: f64,
    most: f64,
    at: Timestamp,
}

impl Tokens {
    fn of(limit: u32) -> Self {
        Self { left: limit.into(), most: limit.into(), at: day(0) }
    }

    fn take(&mut self, now: Timestamp) {
        let passed = now.duration_since(self.at).as_secs_f64() / LIMITED.as_secs_f64();
        (self.left, self.at) = (self.most.min(self.left + passed * self.most) - 1.0, now);
        assert!(self.left > -1e-6, "more orders than the CA allows, at {now}");
    }
}

const LIMITED: SignedDuration = SignedDuration::from_hours(3);
