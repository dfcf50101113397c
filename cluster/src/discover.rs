//! Which objects of a namespace ask for certificates: a list, and a watch that keeps it true. Where the
//! history is gone or a watch was dead it is listed anew, so that nothing is missed for ever.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use crate::asking::{Asker, Asking, Object};
use crate::connection::{Call, Connection};
use crate::error::ClusterError;
use crate::events::{Lines, event};
use crate::pages::Pages;
use crate::secret::check_namespace;

/// The objects of one kind in one namespace that ask, by name.
#[derive(Clone, Debug, Default)]
pub struct Askings {
    /// What each asks for.
    pub by_name: BTreeMap<String, Arc<Asking>>,
    /// Whether more ask than are looked at.
    pub too_many: bool,
}

impl Connection {
    /// Calls `told` with everything of `kind` that asks in `namespace`, at once and after each change.
    /// A watch lasts `turn`; one on which nothing came for a little longer than that is taken for dead.
    ///
    /// Ends only with an error: then changes may be missed until it is called again. Where the
    /// cluster does not know the kind, that is [`ClusterError::Missing`].
    pub async fn discover(
        &self,
        kind: Asker,
        namespace: &str,
        turn: Duration,
        told: &(dyn Fn(&Askings) + Send + Sync),
    ) -> ClusterError {
        if let Err(why) = check_namespace(namespace) {
            return ClusterError::Declaration(why);
        }
        let collection = Collection { connection: self, kind, namespace, turn };
        loop {
            let error = match collection.list().await {
                Ok((askings, since)) => collection.keep(askings, since, told).await,
                Err(error) => error,
            };
            if !matches!(error, ClusterError::Gone) {
                return error;
            }
            debug!(%kind, namespace, "the history is gone; it is listed anew");
            sleep(SHORT).await;
        }
    }
}

/// Those of one kind in one namespace.
struct Collection<'a> {
    connection: &'a Connection,
    kind: Asker,
    namespace: &'a str,
    turn: Duration,
}

/// How a watch ended.
enum End {
    /// As watches do: it goes on where it was.
    Turn,
    /// Nothing came, or what came is more than is kept: nobody knows what is there.
    Unknown,
}

impl Collection<'_> {
    /// What is there, and from where on a watch tells the rest.
    async fn list(&self) -> Result<(Askings, String), ClusterError> {
        let (mut askings, mut since) = (Askings::default(), String::new());
        let mut pages = Pages::new(self.kind.collection(self.namespace), Vec::new());
        while let Some(page) = pages.next::<Object>(self.connection).await? {
            let (items, version) = page.into_parts();
            since = version;
            for object in items {
                self.take_in(object, &mut askings);
            }
        }
        Ok((askings, since))
    }

    /// Tells what is there and what becomes of it, until that is not known any more.
    async fn keep(
        &self,
        mut askings: Askings,
        mut since: String,
        told: &(dyn Fn(&Askings) + Send + Sync),
    ) -> ClusterError {
        told(&askings);
        loop {
            let opened = Instant::now();
            match self.watch(&mut askings, &mut since, told).await {
                Ok(End::Turn) => {}
                Ok(End::Unknown) => return ClusterError::Gone,
                Err(error) => return error,
            }
            // One that ends at once, again and again, must not keep us and the server busy.
            if opened.elapsed() < SHORT {
                sleep(SHORT).await;
            }
        }
    }

    async fn watch(
        &self,
        askings: &mut Askings,
        since: &mut String,
        told: &(dyn Fn(&Askings) + Send + Sync),
    ) -> Result<End, ClusterError> {
        let call = Call {
            method: Method::GET,
            path: self.kind.collection(self.namespace),
            query: vec![
                ("watch", "true".to_owned()),
                ("allowWatchBookmarks", "true".to_owned()),
                ("timeoutSeconds", self.turn.as_secs().max(1).to_string()),
                ("resourceVersion", since.clone()),
            ],
            accept: "application/json",
            body: None,
        };
        let (response, server) = self.connection.open(&call).await?;
        let mut lines = Lines::new(response, server, MAX_LINE);
        loop {
            let Ok(line) = timeout(self.turn + SLACK, lines.next()).await else {
                return Ok(End::Unknown);
            };
            let Some(line) = line? else { return Ok(End::Turn) };
            let (happened, object) = event::<Object>(&line, lines.server())?;
            if !object.metadata.resource_version.is_empty() {
                since.clone_from(&object.metadata.resource_version);
            }
            let changed = match happened {
                "BOOKMARK" => false,
                "DELETED" => askings.by_name.remove(&object.metadata.name).is_some(),
                _ => self.take_in(object, askings),
            };
            if changed {
                told(askings);
            }
            if changed && askings.too_many && askings.by_name.len() < MOST {
                return Ok(End::Unknown);
            }
        }
    }

    /// Puts in what an object asks for; whether that changed anything.
    fn take_in(&self, object: Object, askings: &mut Askings) -> bool {
        let name = object.metadata.name.clone();
        let Some(asking) = object.asking(self.kind, self.namespace) else {
            return askings.by_name.remove(&name).is_some();
        };
        if askings.by_name.get(&name).is_some_and(|known| **known == asking) {
            return false;
        }
        if askings.by_name.len() >= MOST && !askings.by_name.contains_key(&name) {
            return !std::mem::replace(&mut askings.too_many, true);
        }
        askings.by_name.insert(name, Arc::new(asking));
        true
    }
}

/// How many objects are looked at.
const MOST: usize = 2000;
/// An object in etcd has at most 1.5 MiB, and more as JSON.
const MAX_LINE: usize = 4 * 1024 * 1024;
const SLACK: Duration = Duration::from_secs(15);
const SHORT: Duration = Duration::from_secs(1);
