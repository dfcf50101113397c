//! A world for one keyset, on virtual time: consumers with caches, edges that lag, nodes that race,
//! crash and have wrong clocks, an operator who changes things. It does what a step says and then
//! looks at what must hold. All times are true seconds; each node's clock differs a little.

mod clients;
mod nodes;
mod sites;

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use jwks::{Algorithm, Consumer, Key, Keyset, Kid, Phase, Policy};

use crate::dice::Dice;
use crate::start;

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
    /// Whether its private half was destroyed.
    destroyed: bool,
    /// Until then no consumer is bound to know it: it signs unannounced, after an emergency.
    excused_until: i64,
    /// When it was found to be bad, and when no consumer whose cache is bounded may accept it.
    bad: Option<(i64, i64)>,
    /// Whether a signer target was declared when it was made.
    made_for_export: bool,
    /// Whether a signer target had it already when something else was declared last.
    given_before: bool,
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
    sites: Vec<sites::Site>,
    /// An eighth of the lag, the least that any policy of this world has: how long until a node
    /// serves what was stored, how long a node takes to store what it decided, and how wrong a clock
    /// is.
    pub(crate) slack: i64,
    /// Which consumers were seen to fetch which keys, the latest last: those that came to a node, and
    /// not to a copy on the way.
    seen: VecDeque<(String, usize)>,
    /// When edges were last told of an emergency.
    told_at: i64,
    /// Rotations that ended.
    pub(crate) rotations: usize,
    /// Rotations that were rolled back after the switch.
    pub(crate) reinstated: usize,
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
            sites: Vec::new(),
            nodes: (0..nodes).map(|_| Node { error: 0, lease: None, pending: None }).collect(),
            slack,
            seen: VecDeque::new(),
            told_at: 0,
            rotations: 0,
            reinstated: 0,
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
        self.settle_sites();
    }

    /// The operator declares something else.
    pub(crate) fn reconfigure(&mut self, policy: Policy) {
        let clock = self.clock(0);
        let changed = self.keyset.redeclared(&self.policy, &policy, clock);
        self.keyset.held_until = self.keyset.reconfigured(&self.policy, &policy, clock);
        self.keyset.apply(&changed);
        self.version += 1;
        // A consumer that is new may fetch a copy from before a recent emergency, and keep it for
        // longer than the ones that were declared then.
        let excused = self.now + secs(policy.lead().total()) + secs(self.policy.lead().total());
        for fate in self.fates.iter_mut().filter(|fate| fate.excused_until > self.now) {
            fate.excused_until = fate.excused_until.max(excused);
        }
        // A consumer that is declared now and accepts tokens for longer after their expiry is owed no
        // key that is gone.
        for fate in self.fates.iter_mut().filter(|fate| fate.expires <= self.now) {
            if self.keyset.key(&fate.kid).is_none_or(|key| key.phase == Phase::Gone) {
                fate.expires = i64::MIN;
            }
        }
        // Who is required from now on was not when a key was given away.
        let given = self.keyset.keys.iter().filter(|key| key.held.in_use().next().is_some());
        let given: Vec<_> = given.map(|key| self.number(&key.kid)).collect();
        given.into_iter().for_each(|number| self.fates[number].given_before = true);
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
        self.run_sites();
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
                    destroyed: false,
                    excused_until: i64::MIN,
                    bad: None,
                    made_for_export: self.exports(key.algorithm),
                    given_before: false,
                });
            }
            if key.phase == Phase::Signing && known.is_some_and(|phase| phase != Phase::Signing) {
                self.check_served(key);
                // One that signs again did so before a consumer was required.
                if known != Some(Phase::Retiring) {
                    self.check_fetched(key);
                }
            }
            let number = self.number(&key.kid);
            let fate = &mut self.fates[number];
            assert!(!fate.destroyed || !key.is_private_kept(), "{} has no private half", key.kid);
            fate.destroyed = !key.is_private_kept();
            self.rotations += usize::from(key.phase == Phase::Gone && key.signing_from.is_some());
        }
        self.version += 1;
        let signed = self.keyset.keys.iter().any(|key| key.phase == Phase::Signing);
        self.keyset.apply(changed);
        self.keyset.keys.retain(|key| key.phase != Phase::Gone);
        let signs = self.keyset.keys.iter().any(|key| key.phase == Phase::Signing);
        assert!(signs || !signed || self.keyset.closed, "no key signs any more");
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
    fn check_served(&self, key: &Key) {
        let number = self.number(&key.kid);
        for edge in &self.edges {
            let serves = edge.served.0.back().is_some_and(|(_, set)| set.contains(&number));
            assert!(serves, "{} signs and {} does not serve it", key.kid, edge.url);
        }
    }

    /// No key signs that a required consumer did not fetch.
    fn check_fetched(&self, key: &Key) {
        let number = self.number(&key.kid);
        let required = self.policy.settings().consumers.iter().filter(|c| c.required && !key.first);
        for name in required.map(|consumer| &consumer.name) {
            let seen = self.seen.iter().any(|(who, what)| who == name && *what == number);
            assert!(seen, "{} signs and {name} did not fetch it", key.kid);
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
