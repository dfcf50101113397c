//! What tells open pages that something changed: of which kind, and nothing else, so that a page asks anew for
//! what its reader may see. Streams are few for each person and few altogether, and end by themselves.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, Response, StatusCode, header};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;

use super::Ui;
use super::desk::Desk;
use crate::http::idle::Patience;
use crate::http::server::begun;
use crate::node::Node;

/// How many streams each has open.
#[derive(Default)]
pub(super) struct Streams(Mutex<HashMap<String, usize>>);

/// One stream, until dropped.
struct Seat {
    of: Arc<Streams>,
    who: String,
}

impl Streams {
    fn take(self: &Arc<Self>, who: &str) -> Option<Seat> {
        let mut seats = self.lock();
        let all: usize = seats.values().sum();
        let theirs = seats.entry(who.to_owned()).or_default();
        if all >= MAX_STREAMS || *theirs >= MAX_EACH {
            return None;
        }
        *theirs += 1;
        Some(Seat { of: Arc::clone(self), who: who.to_owned() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.of.lock();
        if let Some(theirs) = seats.get_mut(&self.who) {
            *theirs -= 1;
            if *theirs == 0 {
                seats.remove(&self.who);
            }
        }
    }
}

/// Server-sent events: `changed`, with the kinds of what changed.
pub(super) async fn stream(
    State(ui): State<Arc<Ui>>,
    patience: Option<Extension<Patience>>,
    desk: Desk,
) -> Response<Body> {
    let Some(seat) = ui.streams.take(&desk.visitor.name) else {
        let mut response = Response::new(Body::empty());
        // 204 tells a browser not to come again (HTML, server-sent events).
        *response.status_mut() = StatusCode::NO_CONTENT;
        return response;
    };
    let hold = patience.map(|Extension(patience)| patience.hold());
    let (out, lines) = mpsc::channel(4);
    let node = Arc::clone(&ui.node);
    tokio::spawn(async move {
        tell(&node, &out).await;
        drop((seat, hold));
    });
    let mut response = Response::new(Body::from_stream(ReceiverStream::new(lines)));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

type Line = Result<Bytes, Infallible>;

async fn tell(node: &Node, out: &mpsc::Sender<Line>) {
    let mut changed = node.store.changes();
    let mut over = node.news.over();
    let Ok(mut last) = node.store.newest_event() else { return };
    let end = Instant::now() + LONGEST;
    if !say(out, "retry: 3000\n\n").await {
        return;
    }
    loop {
        let beat = sleep_until(end.min(Instant::now() + HEARTBEAT));
        let line = tokio::select! {
            () = out.closed() => return,
            () = begun(&mut over) => return,
            () = beat => ":\n\n".to_owned(),
            outcome = changed.changed() => {
                if outcome.is_err() {
                    return;
                }
                // What comes together is told together.
                sleep(TOGETHER).await;
                match since(node, &mut last).await {
                    Some(kinds) => format!("event: changed\ndata: {kinds}\n\n"),
                    None => continue,
                }
            }
        };
        if !say(out, &line).await || Instant::now() >= end {
            return;
        }
    }
}

async fn say(out: &mpsc::Sender<Line>, line: &str) -> bool {
    let sent = out.send(Ok(Bytes::copy_from_slice(line.as_bytes())));
    timeout(SLOWEST, sent).await.is_ok_and(|sent| sent.is_ok())
}

/// The kinds of what events since `last` are about; none: nothing happened.
async fn since(node: &Node, last: &mut i64) -> Option<String> {
    let subjects = node.store.subjects_since(*last, MAX_EVENTS).await.ok()?;
    let (newest, _) = subjects.last()?;
    *last = *newest;
    let kind = |subject: &String| subject.split('/').next().unwrap_or_default().to_owned();
    let kinds: BTreeSet<String> = subjects.iter().map(|(_, subject)| kind(subject)).collect();
    let clean =
        kinds.iter().filter(|kind| kind.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
    let clean: Vec<_> = clean.map(String::as_str).collect();
    if subjects.len() >= MAX_EVENTS as usize { Some("all".into()) } else { Some(clean.join(" ")) }
}

const MAX_STREAMS: usize = 256;
const MAX_EACH: usize = 16;
const MAX_EVENTS: u32 = 500;
/// Below what any proxy and the listener take for silence.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// Then the browser comes again, and shows again who it is.
const LONGEST: Duration = Duration::from_secs(540);
const TOGETHER: Duration = Duration::from_millis(700);
const SLOWEST: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_bounded_for_each_and_for_all_and_given_back() {
        let streams = Arc::<Streams>::default();
        let held: Vec<_> = (0..MAX_EACH).map(|_| streams.take("ada").expect("room")).collect();
        assert!(streams.take("ada").is_none());
        assert!(streams.take("bob").is_some(), "others have room");
        drop(held);
        assert!(streams.lock().is_empty(), "nothing grows");
        let people = (0..MAX_STREAMS).map(|n| streams.take(&n.to_string()));
        let all: Vec<_> = people.map(|seat| seat.expect("room")).collect();
        assert!(streams.take("one more").is_none());
        drop(all);
    }
}
