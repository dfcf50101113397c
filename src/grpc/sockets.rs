//! The sockets that keysets declare for kube-apiserver: opened, kept and closed as declarations come
//! and go. What one of them answers is not known here.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::kubernetes::{self, Uses};
use super::server;
use super::socket::Socket;
use crate::catalog::KubernetesSpec;
use crate::http::server::{Drain, begun};
use crate::node::Node;

/// The sockets of a node, by keyset.
#[derive(Default)]
pub(crate) struct Sockets {
    open: tokio::sync::Mutex<Open>,
    /// Of those that are declared.
    states: Mutex<BTreeMap<String, State>>,
}

#[derive(Default)]
struct Open {
    sockets: BTreeMap<String, Listening>,
    /// No more is opened.
    over: bool,
}

struct Listening {
    spec: KubernetesSpec,
    socket: Socket,
    drain: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Listening {
    /// Takes no more calls; what this gives ends when those under way have.
    fn close(self) -> JoinHandle<()> {
        // The file first, so that nobody finds it and is refused.
        drop(self.socket);
        self.drain.send_replace(true);
        self.task
    }
}

/// How a declared socket is.
struct State {
    spec: KubernetesSpec,
    /// Why it is not open.
    fault: Option<String>,
    uses: Arc<Uses>,
}

impl Sockets {
    /// What an operator should look at, a line each.
    pub(crate) fn attention(&self) -> Vec<String> {
        let states = lock(&self.states);
        let faults = states.iter().filter_map(|(name, state)| Some((name, state.fault.as_ref()?)));
        faults.map(|(name, fault)| format!("keyset {name}: {fault}")).collect()
    }

    /// How the socket of a keyset is; null if it declares none.
    pub(crate) fn show(&self, keyset: &str) -> Value {
        lock(&self.states).get(keyset).map_or(Value::Null, |state| {
            json!({
                "socket": state.spec.socket,
                "open": state.fault.is_none(),
                "fetched_at": state.uses.fetched_at().map(|at| at.to_string()),
                "signed_at": state.uses.signed_at().map(|at| at.to_string()),
            })
        })
    }
}

/// Keeps the sockets open until `drain`, then closes them; ends when the last call has.
pub(crate) async fn run(node: Arc<Node>, mut drain: Drain) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => converge(&node).await,
            () = begun(&mut drain) => break,
        }
    }
    let mut open = node.sockets.open.lock().await;
    open.over = true;
    let sockets = std::mem::take(&mut open.sockets);
    let closed: Vec<_> = sockets.into_values().map(Listening::close).collect();
    for task in closed {
        let _ = task.await;
    }
}

/// Opens what is declared and not open, and closes what is open and not declared so. One that cannot
/// be opened asks for attention, and is tried again.
pub(crate) async fn converge(node: &Arc<Node>) {
    let catalog = node.catalog.load();
    let wanted: BTreeMap<_, _> = (catalog.keysets.iter())
        .filter_map(|(name, keyset)| Some((name.clone(), keyset.spec.kubernetes.clone()?)))
        .collect();
    let mut open = node.sockets.open.lock().await;
    if open.over {
        return;
    }
    let is_kept = |name: &String, listening: &mut Listening| {
        // What is answered there is looked up with each call.
        let same = wanted.get(name).is_some_and(|spec| spec.place() == listening.spec.place());
        same && listening.socket.is_there()
    };
    let gone: Vec<_> = open.sockets.extract_if(.., |name, one| !is_kept(name, one)).collect();
    for (keyset, listening) in gone {
        info!(keyset, socket = listening.spec.socket, "closed for kube-apiserver");
        listening.close();
    }
    lock(&node.sockets.states).retain(|name, _| wanted.contains_key(name));
    for (keyset, spec) in wanted {
        if open.sockets.contains_key(&keyset) {
            continue;
        }
        let uses = Arc::<Uses>::default();
        let opened = listen(node, &keyset, &spec, &uses).await;
        let fault = match opened {
            Ok(listening) => {
                info!(keyset, socket = spec.socket, "open for kube-apiserver");
                open.sockets.insert(keyset.clone(), listening);
                None
            }
            Err(fault) => Some(fault),
        };
        note(&node.sockets, keyset, State { spec, fault, uses });
    }
}

async fn listen(
    node: &Arc<Node>,
    keyset: &str,
    spec: &KubernetesSpec,
    uses: &Arc<Uses>,
) -> Result<Listening, String> {
    let bound = Socket::bind(Path::new(&spec.socket), spec.group.as_deref()).await;
    let (socket, listener) = bound.map_err(|error| error.to_string())?;
    let (drain, draining) = watch::channel(false);
    let router = kubernetes::router(node, keyset, Arc::clone(uses));
    let task = tokio::spawn(server::serve_unix(listener, router, draining));
    Ok(Listening { spec: spec.clone(), socket, drain, task })
}

/// What is the same as before is not said again.
fn note(sockets: &Sockets, keyset: String, state: State) {
    let mut states = lock(&sockets.states);
    let before = states.get(&keyset).and_then(|state| state.fault.as_ref());
    match &state.fault {
        Some(fault) if before != Some(fault) => warn!(keyset, fault, "kube-apiserver cannot ask"),
        _ => {}
    }
    states.insert(keyset, state);
}

fn lock(states: &Mutex<BTreeMap<String, State>>) -> MutexGuard<'_, BTreeMap<String, State>> {
    // A map of facts is as good after a panic as before it.
    states.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often it is looked whether each is there.
const LOOK: Duration = Duration::from_secs(2);
