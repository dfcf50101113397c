//! Single decisions: what comes next for a keyset, and what is refused.

use jiff::{SignedDuration, Timestamp};
use jwks::transition::{Refused, announce, ask, lease, not_proven, prove, remove, retire, sign};
use jwks::{Algorithm, Consumer, Key, Keyset, Kid, Phase, Policy, Settings, Step, next};

use crate::start;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A lead of 28 min 45 s, a retirement of 66 minutes, a rotation every 30 days.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::new(Algorithm::Es256, DAY * 30, HOUR);
    settings.consumers = vec![Consumer::named("envoy", None).expect("in the table")];
    settings
}

pub(crate) fn policy() -> Policy {
    Policy::new(settings()).expect("a policy")
}

fn edges(urls: &[&str]) -> Policy {
    let edges = urls.iter().map(|url| (*url).to_owned()).collect();
    Policy::new(Settings { edges, ..settings() }).expect("a policy")
}

fn lead() -> SignedDuration {
    policy().lead().total()
}

pub(crate) fn kid(name: &str) -> Kid {
    name.parse().expect("a kid")
}

pub(crate) fn phase(keyset: &Keyset, name: &str) -> Phase {
    keyset.key(&kid(name)).expect("a key").phase
}

fn with(keyset: &Keyset, changed: Result<Vec<Key>, Refused>) -> Keyset {
    let mut keyset = keyset.clone();
    keyset.apply(&changed.expect("allowed"));
    keyset
}

fn announced(keyset: &Keyset, policy: &Policy, name: &str, now: Timestamp) -> Keyset {
    let algorithm = policy.settings().algorithms[0];
    with(keyset, announce(keyset, policy, &[(algorithm, kid(name))], now))
}

/// A keyset whose key `one` signs since the start.
pub(crate) fn signing() -> Keyset {
    let keyset = announced(&Keyset::default(), &policy(), "one", start());
    with(&keyset, sign(&keyset, &policy(), &kid("one"), start()))
}

/// When the successor of `one` is announced.
fn due() -> Timestamp {
    start() + DAY * 30 - lead()
}

#[test]
fn the_first_key_signs_at_once_where_there_is_no_edge() {
    let keyset = Keyset::default();
    let both = vec![Algorithm::Es256, Algorithm::Rs256];
    let two = Policy::new(Settings { algorithms: both.clone(), ..settings() }).expect("a policy");
    assert_eq!(next(&keyset, &two, start()), Step::Announce { algorithms: both });
    let keyset = announced(&keyset, &policy(), "one", start());
    assert_eq!(next(&keyset, &policy(), start()), Step::Sign { kid: kid("one") });
    let keyset = with(&keyset, sign(&keyset, &policy(), &kid("one"), start()));
    assert_eq!(next(&keyset, &policy(), start()), Step::Wait(due()));
}

#[test]
fn the_first_key_signs_as_soon_as_every_edge_serves_it() {
    let policy = edges(&["a", "b"]);
    let keyset = announced(&Keyset::default(), &policy, "one", start());
    let one = kid("one");
    let all = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(next(&keyset, &policy, start()), Step::Prove { kid: one.clone(), edges: all });
    assert_eq!(sign(&keyset, &policy, &one, start()), Err(Refused::Unproven(one.clone())));

    let later = start() + MINUTE;
    let keyset = with(&keyset, not_proven(&keyset, &one, later));
    let Step::Wait(again) = next(&keyset, &policy, later) else { panic!("it is tried again") };
    assert!(again > later && again < later + MINUTE);

    let keyset = with(&keyset, prove(&keyset, &policy, &one, &["b".to_owned()], again));
    assert_eq!(phase(&keyset, "one"), Phase::Announced);
    let again = again + MINUTE * 5;
    let left = vec!["a".to_owned()];
    assert_eq!(
        next(&keyset, &policy, again),
        Step::Prove { kid: one.clone(), edges: left.clone() }
    );
    let keyset = with(&keyset, prove(&keyset, &policy, &one, &left, again));
    assert_eq!(phase(&keyset, "one"), Phase::Proven);
    assert_eq!(next(&keyset, &policy, again), Step::Sign { kid: one });
}

#[test]
fn a_later_key_waits_for_its_lead_and_for_its_turn() {
    let policy = policy();
    let keyset = announced(&signing(), &policy, "two", due());
    let (two, turn) = (kid("two"), start() + DAY * 30);
    assert_eq!(next(&keyset, &policy, due()), Step::Wait(turn));
    let early = turn - MINUTE;
    assert_eq!(sign(&keyset, &policy, &two, early), Err(Refused::Early(two.clone(), turn)));
    assert_eq!(next(&keyset, &policy, turn), Step::Sign { kid: two });

    let late = announced(&signing(), &policy, "two", turn);
    assert_eq!(next(&late, &policy, turn), Step::Wait(turn + lead()));
    assert!(matches!(
        announce(&late, &policy, &[(Algorithm::Es256, kid("three"))], turn),
        Err(Refused::Waiting(_))
    ));
}

#[test]
fn an_edge_that_is_proven_late_makes_everybody_wait() {
    let policy = edges(&["a"]);
    let keyset = announced(&signing(), &policy, "two", due());
    let half = due() + MINUTE * 5;
    assert_eq!(next(&keyset, &policy, due()), Step::Wait(half), "no node is behind any more");
    let far = due() + DAY;
    assert!(matches!(next(&keyset, &policy, far), Step::Prove { .. }), "never without");
    let keyset = with(&keyset, prove(&keyset, &policy, &kid("two"), &["a".to_owned()], far));
    let ready = far + policy.lead().after_proof();
    assert_eq!(next(&keyset, &policy, far), Step::Wait(ready));
    assert_eq!(next(&keyset, &policy, ready), Step::Sign { kid: kid("two") });

    // Also when the edge that kept it waiting is not declared any more.
    let both = edges(&["a", "b"]);
    let partly = announced(&signing(), &both, "two", due());
    let partly = with(&partly, prove(&partly, &both, &kid("two"), &["a".to_owned()], far));
    assert_eq!(phase(&partly, "two"), Phase::Announced);
    assert_eq!(next(&partly, &policy, far), Step::Wait(ready));

    let more = edges(&["a", "b"]);
    let left = vec!["b".to_owned()];
    let again = Step::Prove { kid: kid("two"), edges: left };
    assert_eq!(next(&keyset, &more, ready), again, "an edge that is new is proven too");
}

#[test]
fn a_change_of_the_policy_lengthens_what_was_promised_and_never_shortens_it() {
    let keyset = announced(&signing(), &policy(), "two", due());
    let mut slower = settings();
    slower.consumers.push(Consumer::named("aws-api-gateway", None).expect("in the table"));
    let slower = Policy::new(slower).expect("a policy");
    let quicker = Policy::new(Settings { consumers: Vec::new(), ..settings() }).expect("a policy");
    let two = keyset.key(&kid("two")).expect("a key");
    assert_eq!(keyset.ready(two, &slower), due() + slower.lead().total());
    assert_eq!(keyset.ready(two, &quicker), two.ready_at);

    // A key announced after the change waits for what is held from before it.
    let now = due();
    let mut keyset = signing();
    assert_eq!(keyset.reconfigured(&policy(), &slower, now), None);
    keyset.held_until = keyset.reconfigured(&slower, &quicker, now);
    assert_eq!(keyset.held_until, Some(now + slower.lead().total()));
    let keyset = announced(&keyset, &quicker, "two", now + MINUTE);
    let two = keyset.key(&kid("two")).expect("a key");
    assert_eq!(Some(keyset.ready(two, &quicker)), keyset.held_until);
    // What was fetched late from such a copy is kept for as long as the consumers of a later policy do.
    let held = keyset.reconfigured(&quicker, &slower, now + MINUTE);
    assert_eq!(held, keyset.held_until.map(|at| at + slower.lead().staleness));
}

#[test]
fn a_key_retires_until_the_last_token_by_it_is_over() {
    let policy = policy();
    let turn = start() + DAY * 30;
    let keyset = announced(&signing(), &policy, "two", due());
    let short = Policy::new(Settings { token_lifetime: MINUTE, ..settings() }).expect("a policy");
    // The last lease reaches beyond the switch; tokens under it live for an hour.
    let keyset = with(&keyset, lease(&keyset, &policy, &kid("one"), turn + MINUTE * 3));
    let keyset = with(&keyset, lease(&keyset, &short, &kid("one"), turn + MINUTE * 2));
    assert!(matches!(lease(&keyset, &policy, &kid("two"), turn), Err(Refused::Phase(..))));
    let keyset = with(&keyset, sign(&keyset, &short, &kid("two"), turn));
    assert_eq!(phase(&keyset, "one"), Phase::Retiring);
    assert!(!phase(&keyset, "one").is_private_kept());
    let end = turn + MINUTE * 3 + HOUR + MINUTE * 6;
    assert_eq!(next(&keyset, &short, turn), Step::Wait(end));
    assert!(matches!(remove(&keyset, &short, &kid("one"), end - MINUTE), Err(Refused::Early(..))));
    assert!(matches!(lease(&keyset, &policy, &kid("one"), turn), Err(Refused::Phase(..))));
    assert_eq!(next(&keyset, &short, end), Step::Remove { kid: kid("one") });
    let tolerant = Policy::new(Settings { skew: HOUR, ..settings() }).expect("a policy");
    assert!(matches!(remove(&keyset, &tolerant, &kid("one"), end), Err(Refused::Early(..))));
    let keyset = with(&keyset, remove(&keyset, &short, &kid("one"), end));
    assert_eq!(phase(&keyset, "one"), Phase::Gone);
    assert_eq!(keyset.published().len(), 1);
    assert!(matches!(
        remove(&keyset, &short, &kid("two"), Timestamp::MAX),
        Err(Refused::Phase(..))
    ));
}

#[test]
fn a_retirement_that_has_begun_is_not_shortened() {
    let tolerant = Policy::new(Settings { skew: HOUR, ..settings() }).expect("a policy");
    let turn = start() + DAY * 30;
    let keyset = announced(&signing(), &tolerant, "two", due());
    let keyset = with(&keyset, lease(&keyset, &tolerant, &kid("one"), turn + MINUTE * 3));
    let keyset = with(&keyset, sign(&keyset, &tolerant, &kid("two"), turn));
    let end = turn + MINUTE * 3 + HOUR + HOUR + MINUTE;
    assert_eq!(keyset.key(&kid("one")).expect("a key").gone_at, Some(end));
    assert_eq!(next(&keyset, &policy(), turn), Step::Wait(end));
}

#[test]
fn copies_from_before_a_change_are_waited_for_by_those_who_keep_them_longer() {
    let keyset = signing();
    let copies = Policy::new(Settings { copy_age: HOUR, ..settings() }).expect("a policy");
    let mut caches = settings();
    caches.consumers.push(Consumer::named("aws-api-gateway", None).expect("in the table"));
    let caches = Policy::new(caches).expect("a policy");
    assert!(caches.lead().total() > copies.lead().total());
    let held = keyset.reconfigured(&copies, &caches, start());
    assert_eq!(held, Some(start() + copies.lead().path() + caches.lead().staleness));
}

#[test]
fn another_algorithm_starts_a_rotation() {
    let other = Settings { algorithms: vec![Algorithm::EdDsa], ..settings() };
    let other = Policy::new(other).expect("a policy");
    let now = start() + DAY;
    let algorithms = vec![Algorithm::EdDsa];
    assert_eq!(next(&signing(), &other, now), Step::Announce { algorithms });
    let keyset = announced(&signing(), &other, "two", now);
    assert_eq!(next(&keyset, &other, now), Step::Wait(now + lead()), "no sooner than any other");
    assert!(matches!(retire(&keyset, &other, &kid("one"), now), Err(Refused::Needed(_))));
    // Undone before it signed: it is withdrawn.
    assert_eq!(next(&keyset, &policy(), now), Step::Remove { kid: kid("two") });
    assert!(remove(&keyset, &other, &kid("two"), now).is_err());
    let keyset = with(&keyset, sign(&keyset, &other, &kid("two"), now + lead()));
    assert_eq!(phase(&keyset, "one"), Phase::Retiring);
    assert_eq!(phase(&keyset, "two"), Phase::Signing);
}

#[test]
fn an_algorithm_that_is_not_declared_any_more_stops_signing() {
    let two = Settings { algorithms: vec![Algorithm::Es256, Algorithm::Rs256], ..settings() };
    let two = Policy::new(two).expect("a policy");
    let fresh = [(Algorithm::Es256, kid("one")), (Algorithm::Rs256, kid("rsa"))];
    let mut keyset = Keyset::default();
    keyset.apply(&announce(&keyset, &two, &fresh, start()).expect("allowed"));
    for name in ["one", "rsa"] {
        keyset.apply(&sign(&keyset, &two, &kid(name), start()).expect("both are first"));
    }
    assert_eq!(next(&keyset, &policy(), start()), Step::Retire { kid: kid("rsa") });
    let keyset = with(&keyset, retire(&keyset, &policy(), &kid("rsa"), start()));
    assert_eq!(phase(&keyset, "rsa"), Phase::Retiring);
    assert!(retire(&keyset, &policy(), &kid("one"), start()).is_err());
}

#[test]
fn a_rotation_that_is_asked_for_begins_at_once_and_ends_no_sooner() {
    let now = start() + DAY;
    let keyset = with(&signing(), ask(&signing(), now));
    assert!(matches!(next(&keyset, &policy(), now), Step::Announce { .. }));
    let keyset = announced(&keyset, &policy(), "two", now);
    assert_eq!(next(&keyset, &policy(), now), Step::Wait(now + lead()));
    assert_eq!(ask(&Keyset::default(), now), Err(Refused::Nothing));
}

#[test]
fn a_clock_that_steps_back_makes_nothing_happen_sooner() {
    let policy = edges(&["a"]);
    let keyset = announced(&signing(), &policy, "two", due());
    let keyset = with(&keyset, prove(&keyset, &policy, &kid("two"), &["a".to_owned()], start()));
    let two = keyset.key(&kid("two")).expect("a key");
    assert!(keyset.ready(two, &policy) >= due() + lead());
    let keyset = with(&keyset, lease(&keyset, &policy, &kid("one"), due() + DAY));
    let before = keyset.key(&kid("one")).expect("a key").last_expiry;
    let keyset = with(&keyset, lease(&keyset, &policy, &kid("one"), start()));
    assert_eq!(keyset.key(&kid("one")).expect("a key").last_expiry, before);
    assert!(matches!(next(&keyset, &policy, start() - DAY), Step::Wait(_)));
}

#[test]
fn what_is_stored_of_another_kind_stops_nothing() {
    let mut keyset = signing();
    keyset.keys[0].rotate_at = None;
    assert!(matches!(next(&keyset, &policy(), start()), Step::Announce { .. }));
    let _ = next(&signing(), &policy(), Timestamp::MIN);
    let _ = next(&signing(), &policy(), Timestamp::MAX);
    let keyset = announced(&signing(), &policy(), "two", Timestamp::MAX);
    assert!(matches!(next(&keyset, &policy(), start()), Step::Wait(_)));
    for phase in ["announced", "proven", "signing", "retiring", "gone"] {
        assert_eq!(Phase::named(phase).map(Phase::name), Some(phase));
    }
    assert_eq!(Phase::named("lost"), None);
    let taken = announce(&signing(), &policy(), &[(Algorithm::Es256, kid("one"))], start());
    assert_eq!(taken, Err(Refused::Exists(kid("one"))));
    let unknown = sign(&signing(), &policy(), &kid("nobody"), start());
    assert_eq!(unknown, Err(Refused::Unknown(kid("nobody"))));
}
