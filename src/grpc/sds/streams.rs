//! The streams that are open, for who looks: what each was sent, and what its client says of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::opened::Opened;
use super::seen::Seen;

/// Every open stream.
#[derive(Default)]
pub(crate) struct Streams {
    open: Mutex<Open>,
    /// What is being sent on them.
    pub(super) opened: Opened,
}

#[derive(Default)]
struct Open {
    next: u64,
    streams: BTreeMap<u64, (String, Seen)>,
}

impl Streams {
    /// The streams that a target was given something on.
    pub(crate) fn of(&self, target: &str) -> Vec<Value> {
        let open = lock(&self.open);
        let its = |stream: &&(String, Seen)| {
            stream.1.sent.iter().any(|sent| sent.target.as_deref() == Some(target))
        };
        let show = |(client, stream): &(String, Seen)| {
            let mut shown = json!(stream);
            shown["client"] = client.as_str().into();
            shown
        };
        open.streams.values().filter(its).map(show).collect()
    }

    /// What an operator should look at, a line each.
    pub(crate) fn attention(&self) -> Vec<String> {
        let open = lock(&self.open);
        let refusals = open.streams.values().filter_map(|(client, stream)| {
            if let Some(why) = &stream.refused {
                let names: Vec<_> = stream.sent.iter().map(|sent| sent.secret.as_str()).collect();
                return Some(format!("sds client {client} refuses {}: {why}", names.join(", ")));
            }
            let missing = stream.missing.first()?;
            Some(format!(
                "sds client {client} asks for {missing:?}, which is not for it: it must be a managed \
                 certificate with a target of kind sds whose clients name it, or trust/AUTHORITY"
            ))
        });
        refusals.take(MAX_ATTENTION).collect()
    }
}

/// A stream that is open, until dropped.
pub(super) struct Seat {
    of: Arc<crate::node::Node>,
    number: u64,
}

impl Seat {
    /// A stream of `client`.
    pub(super) fn take(node: &Arc<crate::node::Node>, client: &str) -> Self {
        let mut open = lock(&node.streams.open);
        open.next += 1;
        let number = open.next;
        open.streams.insert(number, (client.to_owned(), Seen::default()));
        Self { of: Arc::clone(node), number }
    }

    /// Has `stream` shown as it is.
    pub(super) fn show(&self, stream: &Seen) {
        if let Some((_, shown)) = lock(&self.of.streams.open).streams.get_mut(&self.number) {
            shown.clone_from(stream);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.of.streams.open).streams.remove(&self.number);
    }
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    // What is shown is as good after a panic as before it.
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

const MAX_ATTENTION: usize = 100;
