//! Following a Secret: a watch that is opened again whenever it ends, goes on where it was, and
//! starts over where the history is gone. Only metadata is asked for, so no key travels.

use std::time::Duration;

use reqwest::Method;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use crate::connection::{Call, Connection};
use crate::error::ClusterError;
use crate::events::{Lines, event};
use crate::secret::{METADATA, Object, Place};

impl Connection {
    /// Calls `changed` each time the Secret was changed or removed after this was called, and each
    /// time that cannot be told, because the history is gone or a watch was dead. A watch lasts
    /// `turn`; one on which nothing came for a little longer than that is taken for dead.
    ///
    /// Ends only with an error: then changes may be missed until it is called again.
    pub async fn follow(
        &self,
        place: &Place,
        turn: Duration,
        changed: &(dyn Fn() + Send + Sync),
    ) -> ClusterError {
        let mut known = Known::default();
        loop {
            let opened = Instant::now();
            match self.watch(place, turn, &mut known, changed).await {
                Ok(()) => {}
                Err(ClusterError::Gone) => {
                    debug!(%place, "the history of a watch is gone; it starts over");
                    known = Known::default();
                    changed();
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
    async fn watch(
        &self,
        place: &Place,
        turn: Duration,
        known: &mut Known,
        changed: &(dyn Fn() + Send + Sync),
    ) -> Result<(), ClusterError> {
        let mut query = vec![
            ("watch", "true".to_owned()),
            ("fieldSelector", format!("metadata.name={}", place.name())),
            ("allowWatchBookmarks", "true".to_owned()),
            ("timeoutSeconds", turn.as_secs().max(1).to_string()),
        ];
        if let Some(version) = &known.since {
            query.push(("resourceVersion", version.clone()));
        }
        let call = Call {
            method: Method::GET,
            path: place.collection(),
            query,
            accept: METADATA,
            body: None,
        };
        let (response, server) = self.open(&call).await?;
        let mut lines = Lines::new(response, server, MAX_LINE);
        loop {
            let Ok(line) = timeout(turn + SLACK, lines.next()).await else {
                debug!(%place, "a watch is silent; it is opened again");
                // Nobody knows what it should have told.
                changed();
                return Ok(());
            };
            let Some(line) = line? else { return Ok(()) };
            known.take_in(&line, lines.server(), changed)?;
        }
    }
}

/// What has been seen of a Secret.
#[derive(Default)]
struct Known {
    /// From where on a watch goes on.
    since: Option<String>,
    /// Whether the first state was seen, which is no change.
    begun: bool,
}

impl Known {
    fn take_in(
        &mut self,
        line: &[u8],
        server: &str,
        changed: &(dyn Fn() + Send + Sync),
    ) -> Result<(), ClusterError> {
        let (kind, object) = event::<Object>(line, server)?;
        let first = !std::mem::replace(&mut self.begun, true) && self.since.is_none();
        match (kind, first) {
            // The state from which it starts.
            ("BOOKMARK", _) | ("ADDED", true) => {}
            _ => changed(),
        }
        self.since = Some(object.metadata.resource_version).filter(|version| !version.is_empty());
        Ok(())
    }
}

/// Events carry metadata, of which annotations have 256 KiB at most.
pub(crate) const MAX_LINE: usize = 1024 * 1024;
pub(crate) const SLACK: Duration = Duration::from_secs(15);
pub(crate) const SHORT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn event(kind: &str, version: &str) -> String {
        format!(r#"{{"type":"{kind}","object":{{"metadata":{{"resourceVersion":"{version}"}}}}}}"#)
    }

    #[test]
    fn the_first_state_is_no_change_and_all_that_follows_is() {
        let (told, mut known) = (AtomicU32::new(0), Known::default());
        let tell = || {
            told.fetch_add(1, Ordering::Relaxed);
        };
        let mut take = |kind: &str, version: &str| {
            known.take_in(event(kind, version).as_bytes(), "https://c", &tell).expect("an event");
            (told.load(Ordering::Relaxed), known.since.clone().unwrap_or_default())
        };
        assert_eq!(take("ADDED", "5"), (0, "5".into()));
        assert_eq!(take("BOOKMARK", "9"), (0, "9".into()));
        assert_eq!(take("MODIFIED", "10"), (1, "10".into()));
        assert_eq!(take("DELETED", "11"), (2, "11".into()));
        assert_eq!(take("ADDED", "12"), (3, "12".into()), "it was made again");
    }

    #[test]
    fn a_secret_that_is_made_after_the_watch_began_is_a_change() {
        let (told, mut known) = (AtomicU32::new(0), Known::default());
        let tell = || {
            told.fetch_add(1, Ordering::Relaxed);
        };
        for (kind, version) in [("BOOKMARK", "5"), ("ADDED", "6")] {
            known.take_in(event(kind, version).as_bytes(), "https://c", &tell).expect("an event");
        }
        assert_eq!(told.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn an_error_in_the_stream_is_what_its_status_says() {
        let gone = r#"{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}"#;
        let mut known = Known::default();
        let error = known.take_in(gone.as_bytes(), "https://c", &|| {}).expect_err("gone");
        assert!(matches!(error, ClusterError::Gone));
        assert!(known.take_in(b"<html>", "https://c", &|| {}).is_err());
    }
}
