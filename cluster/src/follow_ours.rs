//! Following all Secrets of ours in a namespace over one watch, however many they are. Only metadata is
//! asked for, so no key travels.

use std::time::Duration;

use reqwest::Method;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use crate::connection::{Call, Connection};
use crate::error::ClusterError;
use crate::events::{Lines, event};
use crate::follow::{MAX_LINE, SHORT, SLACK};
use crate::secret::{MANAGED_BY, MANAGER, METADATA, Object, check_namespace};

impl Connection {
    /// Calls `changed` with the name of each Secret that has our label and was changed or removed after
    /// this was called, and with none each time that cannot be told: then any may have been. A watch
    /// lasts `turn`; one on which nothing came for a little longer than that is taken for dead.
    ///
    /// Ends only with an error: then changes may be missed until it is called again.
    pub async fn follow_ours(
        &self,
        namespace: &str,
        turn: Duration,
        changed: &(dyn Fn(Option<&str>) + Send + Sync),
    ) -> ClusterError {
        if let Err(why) = check_namespace(namespace) {
            return ClusterError::Declaration(why);
        }
        let mut since = None;
        loop {
            let opened = Instant::now();
            match self.watch_ours(namespace, turn, &mut since, changed).await {
                Ok(()) => {}
                Err(ClusterError::Gone) => {
                    debug!(namespace, "the history of a watch is gone; it starts over");
                    since = None;
                    changed(None);
                }
                Err(error) => return error,
            }
            // One that ends at once, again and again, must not keep us and the server busy.
            if opened.elapsed() < SHORT {
                sleep(SHORT).await;
            }
        }
    }

    /// One watch, until it ends or is silent for too long.
    async fn watch_ours(
        &self,
        namespace: &str,
        turn: Duration,
        since: &mut Option<String>,
        changed: &(dyn Fn(Option<&str>) + Send + Sync),
    ) -> Result<(), ClusterError> {
        let mut query = vec![
            ("watch", "true".to_owned()),
            ("labelSelector", format!("{MANAGED_BY}={MANAGER}")),
            ("allowWatchBookmarks", "true".to_owned()),
            ("timeoutSeconds", turn.as_secs().max(1).to_string()),
        ];
        if let Some(version) = since.as_ref() {
            query.push(("resourceVersion", version.clone()));
        }
        let path = format!("/api/v1/namespaces/{namespace}/secrets");
        let call = Call { method: Method::GET, path, query, accept: METADATA, body: None };
        let (response, server) = self.open(&call).await?;
        let mut lines = Lines::new(response, server, MAX_LINE);
        loop {
            let Ok(line) = timeout(turn + SLACK, lines.next()).await else {
                debug!(namespace, "a watch is silent; it is opened again");
                // Nobody knows what it should have told.
                changed(None);
                return Ok(());
            };
            let Some(line) = line? else { return Ok(()) };
            let (kind, object) = event::<Object>(&line, lines.server())?;
            // With our label, one is made by us; made again, it was told as removed.
            if !matches!(kind, "BOOKMARK" | "ADDED") {
                changed(Some(&object.metadata.name));
            }
            *since = Some(object.metadata.resource_version).filter(|version| !version.is_empty());
        }
    }
}
