//! A stream under way: sends what its client wants, and again whenever that is another version; ends
//! when the client goes, may not have it any more, or the server stops.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;
use tonic::{Status, Streaming};

use super::client::Client;
use super::messages::{Any, SECRET};
use super::opened::Message;
use super::secret::{Content, Found, Secret, find};
use super::seen::Protocol;
use super::streams::Seat;
use crate::http::server::{Drain, begun};
use crate::news::{Awaited, Listener};
use crate::node::Node;
use crate::store::{Commit, Event};

/// Serves the stream to its end.
pub(super) async fn run<P: Protocol>(
    node: Arc<Node>,
    client: Arc<Client>,
    requests: Streaming<P::Said>,
    answers: Sender<Result<P::Answer, Status>>,
    mut drain: Drain,
) {
    let end = async {
        tokio::select! {
            ended = serve::<P>(&node, &client, requests, &answers) => ended,
            () = answers.closed() => Ok(()),
            () = begun(&mut drain) => Err(Status::unavailable("the server stops; connect again")),
        }
    };
    if let Err(status) = end.await {
        // Whoever does not read what came before is not waited for.
        let _ = answers.try_send(Err(status));
    }
}

async fn serve<P: Protocol>(
    node: &Arc<Node>,
    client: &Client,
    requests: Streaming<P::Said>,
    answers: &Sender<Result<P::Answer, Status>>,
) -> Result<(), Status> {
    let seat = Seat::take(node, client.name());
    let mut requests = pin!(requests);
    let mut stream = P::default();
    // However much the client says.
    let mut look_at = Instant::now() + LOOK;
    let (mut listeners, mut managed) = (Vec::new(), Vec::new());
    loop {
        tokio::select! {
            said = requests.message() => {
                let Some(said) = said? else { return Ok(()) };
                if !stream.hear(said)? {
                    seat.show(stream.seen());
                    continue;
                }
            }
            () = news(&mut listeners) => {}
            // It may be revoked, or the declaration be another.
            () = tokio::time::sleep_until(look_at) => {}
        }
        look_at = Instant::now() + LOOK;
        let names = &stream.seen().names;
        if names.is_empty() {
            continue;
        }
        let mut found = look(node, client, names)?;
        let wanted: Vec<_> = found.iter().flatten().filter_map(|found| found.managed).collect();
        if wanted != managed {
            listeners = listen(node, client, &wanted)?;
            managed = wanted;
            // There may have been news before anybody listened.
            found = look(node, client, &stream.seen().names)?;
        }
        let answer = answer(node, client, &mut stream, found).await?;
        seat.show(stream.seen());
        if let Some(answer) = answer
            && answers.send(Ok(answer)).await.is_err()
        {
            return Ok(());
        }
    }
}

/// What is to be sent now of what was found, if anything. That keys are given is stored first.
pub(super) async fn answer<P: Protocol>(
    node: &Node,
    client: &Client,
    stream: &mut P,
    found: Vec<Option<Found>>,
) -> Result<Option<P::Answer>, Status> {
    if !client.is_good(node) {
        return Err(Status::unauthenticated("the client's certificate is not good any more"));
    }
    let (mut secrets, mut missing) = (Vec::<Secret>::new(), Vec::new());
    for (name, found) in stream.seen().names.iter().zip(found) {
        match found {
            Some(found) => secrets.extend(found.secret),
            None => missing.push(name.clone()),
        }
    }
    stream.seen().missing = missing;
    let Some(draft) = stream.send(&secrets) else { return Ok(None) };
    secrets.retain(|secret| draft.parts.iter().any(|part| part.name == secret.name));
    let opened = secrets.iter().map(|secret| secret.open(node)).collect::<Result<Vec<_>, _>>()?;
    record(node, client, &stream.seen().node, &secrets).await?;
    let any =
        |message: &Arc<Message>| Any { type_url: SECRET.to_owned(), value: message.0.to_vec() };
    Ok(Some(P::answer(draft, opened.iter().map(any).collect())))
}

/// Stores that keys are given.
async fn record(
    node: &Node,
    client: &Client,
    called: &str,
    secrets: &[Secret],
) -> Result<(), Status> {
    for secret in secrets {
        let Content::Certificate { target, offer } = &secret.content else { continue };
        let actor = format!("client/{}", client.name());
        let event = Event::new(actor, "certificate.sds", format!("managed/{}", offer.name));
        let event = event.with(json!({
            "version": offer.version.number, "target": target, "node": called,
        }));
        node.store.commit(Commit::new(event), node.world.now()).await.map_err(|error| {
            tracing::error!(%error, "that a key is given cannot be stored");
            Status::unavailable("nothing can be given now; see the server's log")
        })?;
    }
    Ok(())
}

/// Looks each of the names up.
pub(super) fn look(
    node: &Node,
    client: &Client,
    names: &[String],
) -> Result<Vec<Option<Found>>, Status> {
    names.iter().map(|name| find(node, client, name)).collect()
}

/// Listens for news of them.
fn listen<'a>(
    node: &'a Node,
    client: &Client,
    managed: &[i64],
) -> Result<Vec<Listener<'a>>, Status> {
    let listeners = managed.iter().map(|managed| node.news.listen(*managed, client.number()));
    listeners.collect::<Result<_, _>>().map_err(|_| {
        Status::resource_exhausted("too many streams are open; use fewer, or several clients")
    })
}

/// Waits until there is news for one of them.
async fn news(listeners: &mut [Listener<'_>]) {
    let end = Instant::now() + LOOK;
    let mut waits: Vec<Pin<Box<dyn Future<Output = Awaited> + Send + '_>>> = Vec::new();
    for listener in listeners {
        waits.push(Box::pin(listener.wait(end)));
    }
    poll_fn(|cx| match waits.iter_mut().any(|wait| wait.as_mut().poll(cx).is_ready()) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

/// How often it is looked whether a client may still have what it has.
const LOOK: Duration = Duration::from_secs(5);
