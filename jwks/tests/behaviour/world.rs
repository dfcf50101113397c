//! A world for one keyset, on virtual time: consumers with caches, edges that lag, nodes that race,
//! crash and have wrong clocks, an operator who changes things. It does what a step says and then
//! looks at what must hold. All times are true seconds; each node's clock differs a little.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use jwks::consumer::{Cache, UnknownKid};
use jwks::emergency::{emergency, exposure, needed, roll_back};
use jwks::transition::{Refused, announce, ask, lease, not_proven, prove, remove, retire, sign};
use jwks::{Algorithm, Consumer, Key, Keyset, Kid, Phase, Policy, Step, next};

use crate::start;

/// A small generator: the same seed, the same world (SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    /// Less than `n`, which is positive.
    pub(crate) fn below(&mut self, n: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        i64::try_from((bits ^ (bits >> 31)) % n.cast_unsigned()).expect("below n")
    }

    /// With a probability of one in `n`.
    pub(crate) fn one_in(&mut self, n: i64) -> bool {
        self.below(n) == 0
    }

    /// From 0 to `most`, the two ends more often than anything between: there the faults are.
    pub(crate) fn extreme(&mut self, most: i64) -> i64 {
        match self.below(4) {
            0 => 0,
            1 | 2 => most,
            _ => self.below(most + 1),
        }
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.below(from.len().try_into().expect("few"))).expect("small")]
    }
}

/// A set as somebody serves or holds it: the numbers of its keys.
type Set = Vec<usize>;

/// What changed when.
struct History<T>(VecDeque<(i64, T)>);

impl<T> History<T> {
    fn push(&mut self, at: i64, value: T) {
        self.0.push_back((at, value));
        if self.0.len() > 400 {
            self.0.pop_front();
        }
    }

    /// What was so at `at`; `None` before the first.
    fn at(&self, at: i64) -> Option<&T> {
        self.0.iter().rev().find(|(since, _)| *since <= at).map(|(_, value)| value)
    }
}

/// What becomes of the keys that ever were.
struct Fate {
    kid: Kid,
    /// When the latest token by it expires.
    expires: i64,
    /// Until then no consumer is bound to know it: it signs unannounced, after an emergency.
    excused_until: i64,
    /// When it was found to be bad, and when no consumer whose cache is bounded may accept it.
    bad: Option<(i64, i64)>,
}

struct Client {
    consumer: Consumer,
    edge: Option<String>,
    held: Option<(i64, Set)>,
    asked_at: i64,
    /// When it was declared.
    since: i64,
}

struct Edge {
    url: String,
    served: History<Set>,
    stuck_until: i64,
}

/// A signer's permission.
struct Lease {
    key: usize,
    until: Timestamp,
    lifetime: i64,
}

struct Node {
    /// How wrong its clock is, in seconds.
    error: i64,
    lease: Option<Lease>,
    /// What it has decided and not stored yet: when it will, on which version, and what.
    pending: Option<(i64, u64, Vec<Key>)>,
}

pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) now: i64,
    pub(crate) policy: Policy,
    pub(crate) keyset: Keyset,
    version: u64,
    published: History<Set>,
    /// `max_age` and `copy_age` over time.
    ages: History<(i64, i64)>,
    fates: Vec<Fate>,
    clients: Vec<Client>,
    edges: Vec<Edge>,
    nodes: Vec<Node>,
    /// An eighth of the lag, the least that any policy of this world has: how long until a node
    /// serves what was stored, how long a node takes to store what it decided, and how wrong a clock
    /// is.
    pub(crate) slack: i64,
    /// When edges were last told of an emergency.
    told_at: i64,
    /// Rotations that ended.
    pub(crate) rotations: usize,
}

impl World {
    pub(crate) fn new(seed: u64, policy: Policy, slack: i64) -> Self {
        let mut dice = Dice::new(seed);
        let nodes = 1 + dice.below(3);
        let mut world = Self {
            now: 0,
            keyset: Keyset::default(),
            version: 0,
            published: History(VecDeque::new()),
            ages: History(VecDeque::new()),
            fates: Vec::new(),
            clients: Vec::new(),
            edges: Vec::new(),
            nodes: (0..nodes).map(|_| Node { error: 0, lease: None, pending: None }).collect(),
            slack,
            told_at: 0,
            rotations: 0,
            policy: policy.clone(),
            dice,
        };
        world.settle(policy);
        world
    }

    /// Takes over a policy: an edge or consumer that is not declared is not in the world.
    fn settle(&mut self, policy: Policy) {
        let settings = policy.settings();
        let now = self.now;
        self.edges.retain(|edge| settings.edges.contains(&edge.url));
        for url in &settings.edges {
            if !self.edges.iter().any(|edge| edge.url == *url) {
                let mut served = History(VecDeque::new());
                if let Some(set) = self.published.at(now) {
                    served.push(now, set.clone());
                }
                self.edges.push(Edge { url: url.clone(), served, stuck_until: 0 });
            }
        }
        let edges = &self.edges;
        let lives = |client: &Client| match &client.edge {
            Some(url) => edges.iter().any(|edge| edge.url == *url),
            None => edges.is_empty(),
        };
        self.clients
            .retain(|client| settings.consumers.contains(&client.consumer) && lives(client));
        for consumer in &settings.consumers {
            let urls = self.edges.iter().map(|edge| Some(edge.url.clone()));
            let urls = if self.edges.is_empty() { vec![None] } else { urls.collect() };
            for edge in urls {
                if !self.clients.iter().any(|c| c.consumer == *consumer && c.edge == edge) {
                    let consumer = consumer.clone();
                    let asked_at = i64::MIN / 2;
                    self.clients.push(Client { consumer, edge, held: None, asked_at, since: now });
                }
            }
        }
        self.ages.push(now, (secs(settings.max_age), secs(settings.copy_age)));
        self.policy = policy;
    }

    /// The operator declares something else.
    pub(crate) fn reconfigure(&mut self, policy: Policy) {
        let clock = self.clock(0);
        self.keyset.held_until = self.keyset.reconfigured(&self.policy, &policy, clock);
        self.version += 1;
        self.settle(policy);
    }

    /// What a node takes the time for.
    fn clock(&self, node: usize) -> Timestamp {
        stamp(self.now + self.nodes[node].error)
    }

    /// Lets `seconds` pass, and everybody do something.
    pub(crate) fn pass(&mut self, seconds: i64) {
        self.now += seconds.max(1);
        for node in 0..self.nodes.len() {
            self.commit(node);
        }
        let node = self.some_node();
        if self.dice.one_in(8) {
            // Clocks step, and may be wrong by an eighth of the lag.
            let most = self.slack;
            self.nodes[node].error = self.dice.extreme(2 * most) - most;
        }
        self.refresh();
        self.work(node);
        self.issue();
        for client in 0..self.clients.len() {
            if !self.dice.one_in(3) {
                self.verify(client);
            }
        }
    }

    fn some_node(&mut self) -> usize {
        let nodes = i64::try_from(self.nodes.len()).expect("few");
        usize::try_from(self.dice.below(nodes)).expect("small")
    }

    /// Stores what a node decided, unless another was quicker.
    fn commit(&mut self, node: usize) {
        let Some((at, version, changed)) = self.nodes[node].pending.take() else { return };
        if at > self.now {
            self.nodes[node].pending = Some((at, version, changed));
        } else if version == self.version {
            self.store(&changed);
        }
    }

    fn store(&mut self, changed: &[Key]) {
        for key in changed {
            let known = self.keyset.key(&key.kid).map(|old| old.phase);
            if known.is_none() {
                let kid = key.kid.clone();
                self.fates.push(Fate {
                    kid,
                    expires: i64::MIN,
                    excused_until: i64::MIN,
                    bad: None,
                });
            }
            if key.phase == Phase::Signing && known.is_some_and(|phase| phase != Phase::Signing) {
                self.check_sign(key);
            }
            self.rotations += usize::from(key.phase == Phase::Gone && key.signing_from.is_some());
        }
        self.version += 1;
        let signed = self.keyset.keys.iter().any(|key| key.phase == Phase::Signing);
        self.keyset.apply(changed);
        self.keyset.keys.retain(|key| key.phase != Phase::Gone);
        let signs = self.keyset.keys.iter().any(|key| key.phase == Phase::Signing);
        assert!(signs || !signed, "no key signs any more");
        for algorithm in Algorithm::ALL {
            let of = |waiting: bool| {
                let keys = self.keyset.keys.iter().filter(|key| key.algorithm == algorithm);
                let phases = keys.map(|key| key.phase);
                let is = |phase| match phase {
                    Phase::Announced | Phase::Proven => waiting,
                    Phase::Signing => !waiting,
                    Phase::Retiring | Phase::Gone => false,
                };
                phases.filter(|phase| is(*phase)).count()
            };
            assert!(of(true) <= 1 && of(false) <= 1, "two keys of {algorithm} in one place");
        }
        let set = self.keyset.published().iter().map(|key| self.number(&key.kid)).collect();
        self.published.push(self.now, set);
    }

    /// No key signs that an edge does not serve, the first ones included.
    fn check_sign(&self, key: &Key) {
        let number = self.number(&key.kid);
        for edge in &self.edges {
            let serves = edge.served.0.back().is_some_and(|(_, set)| set.contains(&number));
            assert!(serves, "{} signs and {} does not serve it", key.kid, edge.url);
        }
    }

    fn number(&self, kid: &Kid) -> usize {
        self.fates.iter().rposition(|fate| fate.kid == *kid).expect("a key that was announced")
    }

    /// Edges fetch when they like, some not for days.
    fn refresh(&mut self) {
        for place in 0..self.edges.len() {
            if self.edges[place].stuck_until > self.now || self.dice.one_in(3) {
                continue;
            }
            if self.dice.one_in(40) {
                self.edges[place].stuck_until = self.now + self.dice.below(400_000);
            }
            // Told of an emergency, none goes back to what was before it.
            let age = self.dice.extreme(self.slack).min(self.now - self.told_at);
            if let Some(set) = self.published.at(self.now - age) {
                self.edges[place].served.push(self.now, set.clone());
            }
        }
    }
}

pub(crate) fn stamp(second: i64) -> Timestamp {
    start() + SignedDuration::from_secs(second)
}

pub(crate) fn second(at: Timestamp) -> i64 {
    at.as_second() - start().as_second()
}

pub(crate) fn secs(duration: SignedDuration) -> i64 {
    duration.as_secs()
}

/// What nodes do.
impl World {
    /// One node looks what comes next and does it, unless it crashes.
    fn work(&mut self, node: usize) {
        if self.nodes[node].pending.is_some() {
            return;
        }
        let now = self.clock(node);
        let (keyset, policy) = (&self.keyset, &self.policy);
        let changed = match next(keyset, policy, now) {
            Step::Wait(at) => {
                assert!(at > now, "waits for what is past");
                return;
            }
            Step::Announce { algorithms } => {
                let number = self.fates.len();
                let kid = |n: usize| format!("{number}-{node}-{n}").parse().expect("a kid");
                let fresh = algorithms.iter().enumerate().map(|(n, alg)| (*alg, kid(n)));
                announce(keyset, policy, &fresh.collect::<Vec<(Algorithm, Kid)>>(), now)
            }
            Step::Prove { kid, edges } => {
                let seen: Vec<_> = edges.into_iter().filter(|url| self.serves(url, &kid)).collect();
                if seen.is_empty() {
                    not_proven(keyset, &kid, now)
                } else {
                    prove(keyset, policy, &kid, &seen, now)
                }
            }
            Step::Sign { kid } => sign(keyset, policy, &kid, now),
            Step::Retire { kid } => retire(keyset, policy, &kid, now),
            Step::Remove { kid } => remove(keyset, policy, &kid, now),
        };
        self.plan(node, changed);
    }

    fn plan(&mut self, node: usize, changed: Result<Vec<Key>, Refused>) {
        let changed = changed.expect("what comes next is allowed");
        if self.dice.one_in(10) {
            return;
        }
        let at = self.now + self.dice.extreme(self.slack);
        self.nodes[node].pending = Some((at, self.version, changed));
        if self.dice.one_in(2) {
            self.commit(node);
        }
    }

    fn serves(&self, url: &str, kid: &Kid) -> bool {
        let edge = self.edges.iter().find(|edge| edge.url == url).expect("a declared edge");
        let number = self.number(kid);
        edge.served.0.back().is_some_and(|(_, set)| set.contains(&number))
    }

    /// Every node that may signs a token of the longest lifetime.
    fn issue(&mut self) {
        for node in 0..self.nodes.len() {
            let clock = self.clock(node);
            if let Some(lease) = &self.nodes[node].lease
                && lease.until >= clock
            {
                let expires = second(clock) + lease.lifetime;
                let fate = &mut self.fates[lease.key];
                fate.expires = fate.expires.max(expires);
            } else {
                self.renew(node, clock);
            }
        }
    }

    fn renew(&mut self, node: usize, clock: Timestamp) {
        self.nodes[node].lease = None;
        let signs = |key: &&Key| key.phase == Phase::Signing;
        let signers: Vec<Kid> =
            self.keyset.keys.iter().filter(signs).map(|key| key.kid.clone()).collect();
        if signers.is_empty() {
            return;
        }
        let kid = self.dice.pick(&signers).clone();
        let most = secs(self.policy.settings().signer_lag) * 4;
        let until = clock + SignedDuration::from_secs(1 + self.dice.below(most));
        let changed = lease(&self.keyset, &self.policy, &kid, until).expect("it signs");
        self.version += 1;
        self.keyset.apply(&changed);
        let lifetime = secs(self.policy.settings().token_lifetime);
        self.nodes[node].lease = Some(Lease { key: self.number(&kid), until, lifetime });
    }

    /// When something is planned, in true time, as far as anybody knows.
    pub(crate) fn planned(&self) -> Option<i64> {
        let step = match next(&self.keyset, &self.policy, stamp(self.now)) {
            Step::Wait(at) if at < Timestamp::MAX => Some(second(at)),
            _ => None,
        };
        let pending = self.nodes.iter().filter_map(|node| node.pending.as_ref());
        step.into_iter().chain(pending.map(|(at, ..)| *at)).map(|at| at.max(self.now + 1)).min()
    }

    pub(crate) fn is_quiet(&self) -> bool {
        let settled = |key: &Key| key.phase == Phase::Signing;
        self.nodes.iter().all(|node| node.pending.is_none())
            && !self.keyset.keys.is_empty()
            && self.keyset.keys.iter().all(settled)
    }
}

/// What the operator does.
impl World {
    pub(crate) fn ask(&mut self) {
        if let Ok(changed) = ask(&self.keyset, self.clock(0)) {
            self.store(&changed);
        }
    }

    pub(crate) fn roll_back(&mut self) {
        let waiting = self.keyset.keys.iter().find(|key| key.phase == Phase::Proven);
        let Some(kid) = waiting.map(|key| key.kid.clone()) else { return };
        if let Ok(changed) = roll_back(&self.keyset, &self.policy, &kid, self.clock(0)) {
            self.store(&changed);
        }
    }

    pub(crate) fn emergency(&mut self) {
        let kids: Vec<Kid> = self.keyset.keys.iter().map(|key| key.kid.clone()).collect();
        if kids.is_empty() {
            return;
        }
        let named = if self.dice.one_in(3) { None } else { Some(self.dice.pick(&kids).clone()) };
        let (keyset, policy, clock) = (&self.keyset, &self.policy, self.clock(0));
        let Ok(algorithms) = needed(keyset, policy, named.as_ref()) else { return };
        let number = self.fates.len();
        let kid = |n| format!("fresh-{number}-{n}").parse().expect("a kid");
        let fresh: Vec<(Algorithm, Kid)> =
            algorithms.iter().enumerate().map(|(n, alg)| (*alg, kid(n))).collect();
        let changed = emergency(keyset, policy, named.as_ref(), &fresh, clock).expect("as needed");
        let promised = exposure(keyset, policy, clock);
        let longest = promised.iter().filter_map(|e| e.until).map(second).max();
        let longest = longest.unwrap_or(i64::MAX / 2);
        let lead = clock + policy.lead().total();
        let excused_until = second(keyset.held_until.map_or(lead, |held| lead.max(held)));
        self.store(&changed);
        // Edges are told, and keep to what was declared of them.
        self.told_at = self.now;
        for edge in &mut self.edges {
            edge.served.push(self.now, self.published.at(self.now).expect("a set").clone());
            edge.stuck_until = self.now;
        }
        for key in changed {
            let number = self.number(&key.kid);
            if key.phase == Phase::Gone {
                self.fates[number].bad = Some((self.now, longest + self.slack));
            } else {
                self.fates[number].excused_until = excused_until;
            }
        }
    }
}

/// What consumers do.
impl World {
    /// A consumer is shown a token by every key that has an unexpired one, and sometimes nonsense.
    fn verify(&mut self, place: usize) {
        if self.dice.one_in(6) {
            let _ = self.knows(place, usize::MAX);
        }
        let skew = secs(self.clients[place].consumer.skew);
        let recent = self.fates.len().saturating_sub(40);
        for number in recent..self.fates.len() {
            let fate = &self.fates[number];
            if let Some((since, until)) = fate.bad {
                // Promised to those who were declared then.
                let client = &self.clients[place];
                if self.now > until && client.since <= since && self.holds(place, number) {
                    panic!("{} takes a bad token past its exposure", client.consumer.name);
                }
                continue;
            }
            if fate.expires + skew < self.now || fate.excused_until >= self.now {
                continue;
            }
            if !self.knows(place, number) {
                self.fail(place, number);
            }
        }
    }

    fn fail(&self, place: usize, number: usize) {
        let Client { consumer, edge, held, .. } = &self.clients[place];
        let key = self.keyset.keys.iter().find(|key| self.number(&key.kid) == number);
        let (now, name, lead) = (self.now, &consumer.name, self.policy.lead());
        let sets: Vec<_> = self.published.0.iter().rev().take(3).collect();
        panic!(
            "at {now} {name} at {edge:?} refuses an unexpired token by key {number}, holding {held:?}; \
             published were {sets:?}; {lead}; {key:#?}"
        );
    }

    /// Whether a consumer whose cache is bounded accepts a key without fetching.
    fn holds(&self, place: usize, number: usize) -> bool {
        let client = &self.clients[place];
        let fresh = client.held.as_ref().filter(|(at, _)| !self.is_stale(place, *at));
        client.consumer.cache != Cache::Forever
            && fresh.is_some_and(|(_, set)| set.contains(&number))
    }

    fn is_stale(&self, place: usize, fetched_at: i64) -> bool {
        match self.clients[place].consumer.cache {
            Cache::For(time) => self.now >= fetched_at + secs(time),
            Cache::Forever => false,
        }
    }

    /// Whether a consumer finds a key, fetching as it is used to.
    fn knows(&mut self, place: usize, number: usize) -> bool {
        let fetched_at = self.clients[place].held.as_ref().map(|(at, _)| *at);
        if fetched_at.is_none_or(|at| self.is_stale(place, at)) {
            self.fetch(place);
        }
        if self.clients[place].held.as_ref().is_some_and(|(_, set)| set.contains(&number)) {
            return true;
        }
        let client = &mut self.clients[place];
        let may = match client.consumer.unknown_kid {
            UnknownKid::Refetch => true,
            UnknownKid::Cooldown(time) => self.now >= client.asked_at + secs(time),
            UnknownKid::Never => false,
        };
        if may {
            client.asked_at = self.now;
            self.fetch(place);
        }
        // Nothing at all is published yet: no consumer refuses what nobody could sign.
        self.clients[place].held.as_ref().is_none_or(|(_, set)| set.contains(&number))
    }

    /// Fetches a set as old as it may be.
    fn fetch(&mut self, place: usize) {
        let (max_age, copy_age) = *self.ages.at(self.now).expect("a policy");
        let (older, more) = self.ages.0[self.ages.0.len().saturating_sub(2)].1;
        let edge = self.clients[place].edge.clone();
        let extra = if edge.is_some() { 0 } else { copy_age.max(more) };
        let mut age = self.dice.extreme(max_age.max(older) + extra);
        // A copy is as old as was allowed when it was made.
        let allowed = self.ages.at(self.now - age).map_or(0, |(max_age, copy_age)| {
            if edge.is_some() { *max_age } else { max_age + copy_age }
        });
        age = age.min(allowed);
        let set = match edge {
            Some(url) => {
                let edge = self.edges.iter().find(|edge| edge.url == url).expect("an edge");
                edge.served.at(self.now - age).or(edge.served.0.back().map(|(_, set)| set))
            }
            None => {
                let lag = self.dice.extreme(self.slack);
                self.published.at(self.now - age - lag).or(self.published.at(self.now))
            }
        };
        if let Some(set) = set.cloned() {
            self.clients[place].held = Some((self.now, set));
        }
    }
}
