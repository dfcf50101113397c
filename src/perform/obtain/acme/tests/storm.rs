//! Many certificates of one CA outside while that is down for a week, takes fewer orders than was
//! declared, or wants all of them replaced: on virtual time, all of the program but its clock, and a
//! real ACME server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use jiff::SignedDuration;
use renew::Cause;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use super::own::{Own, declare};
use crate::node::Node;
use crate::store::{CertificateFilter, CertificateRow, Commit, Event, Managed, Page};
use crate::worker::start_due;

#[tokio::test(flavor = "multi_thread")]
async fn after_a_week_without_its_ca_everything_is_obtained_and_no_limit_is_met() {
    let storm = Storm::new("'10/1h'", "'10/1h'").await;
    storm.line.up.store(false, Ordering::SeqCst);
    for _ in 0..7 * 24 {
        storm.pass(SignedDuration::from_hours(1)).await;
    }
    assert_eq!(storm.obtained(), 0);
    let calls = storm.line.calls.load(Ordering::SeqCst);
    assert!((24..7 * 24 * 2).contains(&calls), "{calls} calls: neither forgotten nor besieged");

    storm.line.up.store(true, Ordering::SeqCst);
    storm.until_all(1, SignedDuration::from_mins(5)).await;
    assert_eq!(storm.limits_met().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_takes_fewer_orders_than_was_declared_is_left_alone_as_it_says() {
    let storm = Storm::new("'10/1h'", "'1000/1h'").await;
    storm.until_all(1, SignedDuration::from_mins(2)).await;
    let met = storm.limits_met().await;
    // Those that were sent before the first answer came, and some for each rest that it asked for.
    assert!((1..=3 * MANY).contains(&met), "{met} times");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_ca_wants_all_of_them_replaced_they_are_and_no_limit_is_met() {
    let storm = Storm::new("'10/1h'", "'10/1h'").await;
    storm.until_all(1, SignedDuration::from_mins(5)).await;

    let (store, now) = (&storm.own.node.store, storm.own.node.world.now());
    let page = Page { after: 0, limit: 1000 };
    for row in store.certificates(CertificateFilter::default(), page).await.expect("a read") {
        let event = Event::new("test", "certificate.must-go", "test");
        let row = CertificateRow { must_go_at: Some(now), ..row };
        store.commit(Commit::new(event).put(row), now).await.expect("stored");
    }
    let hours = storm.until_all(2, SignedDuration::from_mins(10)).await.as_hours();
    assert!((4..18).contains(&hours), "{hours} h: asked twice a day, ten an hour");
    assert_eq!(storm.limits_met().await, 0);
    let causes = storm.rows().into_iter().map(|row| {
        let newest = storm.node.store.rotations(row.id, 1).expect("a read");
        newest.first().expect("a rotation").cause.clone()
    });
    assert!(causes.into_iter().all(|cause| cause == Cause::Suggested));
}

/// Managed certificates of a CA that is reached by a line that can be cut.
struct Storm {
    own: Own,
    node: Arc<Node>,
    clock: Arc<AtomicI64>,
    line: Arc<Line>,
}

impl Storm {
    /// `taken`: how many orders the CA takes; `declared`: what is declared of it.
    async fn new(taken: &str, declared: &str) -> Self {
        let own = Own::serving(
            &format!("profiles = ['default']\nlimits = {{ orders_per_account = {taken} }}"),
            0,
        )
        .await;
        let (line, port) = Line::to(own.port).await;
        let mut text = format!("[[issuer]]\n{}", own.text(port, &format!("limits = {declared}")));
        for n in 0..MANY {
            text += &format!(
                "\n[[certificate]]\nname = 'c{n}'\nnames = ['localhost']\nissuers = ['own']\n"
            );
        }
        let (mut node, clock) = crate::node::tests::node_at(own.clock.load(Ordering::SeqCst)).await;
        // The CA looks for what proves our names on its own port.
        Arc::get_mut(&mut node).expect("nobody else has it").answers = own.node.answers.clone();
        declare(&node, &text).await;
        Self { own, node, clock, line }
    }

    /// Lets time pass, and all be done that is due then.
    async fn pass(&self, time: SignedDuration) {
        for clock in [&self.own.clock, &self.clock] {
            clock.fetch_add(time.as_secs(), Ordering::SeqCst);
        }
        start_due(&self.node);
        self.node.steps.rest(Duration::from_secs(20)).await;
    }

    /// Lets time pass, so much at once, until all have a version of this number; gives how much did.
    async fn until_all(&self, version: u32, step: SignedDuration) -> SignedDuration {
        let mut passed = SignedDuration::ZERO;
        while self.rows().iter().any(|row| row.current != Some(version)) {
            self.pass(step).await;
            passed += step;
            assert!(passed.as_hours() < 24, "{} have a version after {passed}", self.obtained());
        }
        passed
    }

    fn rows(&self) -> Vec<Managed> {
        let row = |n| self.node.store.managed_by_name(&format!("c{n}")).expect("a read");
        (0..MANY).filter_map(row).collect()
    }

    /// How many certificates have a version.
    fn obtained(&self) -> usize {
        self.rows().iter().filter(|row| row.current.is_some()).count()
    }

    /// How often the CA said that we ask too much.
    async fn limits_met(&self) -> usize {
        let events = self.node.store.events(None, i64::MAX, 1_000_000).await.expect("a read");
        let met = events.iter().filter(|event| {
            event.action == "rotation.not-obtained"
                && event.detail.as_ref().is_some_and(|detail| {
                    let why = detail["why"].as_str().unwrap_or_default();
                    why.contains("rateLimited") && !why.contains("left alone")
                })
        });
        met.count()
    }
}

/// A line to a server, which can be cut.
struct Line {
    up: AtomicBool,
    calls: AtomicUsize,
}

impl Line {
    /// Gives the line, and the port that leads to `server`.
    async fn to(server: u16) -> (Arc<Self>, u16) {
        let line = Arc::new(Self { up: AtomicBool::new(true), calls: AtomicUsize::new(0) });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::clone(&line);
        tokio::spawn(async move {
            while let Ok((mut caller, _)) = listener.accept().await {
                shared.calls.fetch_add(1, Ordering::SeqCst);
                if !shared.up.load(Ordering::SeqCst) {
                    continue;
                }
                tokio::spawn(async move {
                    let mut called = TcpStream::connect(("127.0.0.1", server)).await?;
                    copy_bidirectional(&mut caller, &mut called).await
                });
            }
        });
        (line, port)
    }
}

const MANY: usize = 30;
