//! Checkpoints of the audit log: signed when there are new events, now and then, and when the node stops.
//! What was signed before must still be the beginning of what is signed now; else nothing is.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use audit::{Checkpoint, CheckpointError, Key, NoteError, Verifier};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tracing::{error, warn};
use zeroize::Zeroizing;

use crate::node::Node;
use crate::seal::{Sealed, Unsealable};
use crate::store::{CheckpointRow, Commit, CommitError, Event, ReadError, Row, VERIFIER};
use crate::world::second;

/// What keeps a checkpoint from being made, if anything does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    pub(crate) fault: Option<String>,
}

/// No checkpoint is made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsigned {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the checkpoint is not stored: {0}")]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Sealed(#[from] Unsealable),
    #[error("the key of the audit log is not one: {0}")]
    Key(#[from] NoteError),
    #[error("the newest checkpoint was changed: {0}")]
    Changed(#[from] CheckpointError),
    /// Half of what signs is gone; another key would hide that.
    #[error("the audit log's key or its public half is gone: restore the store from a backup")]
    Half,
    /// What is stored is not what was signed.
    #[error(
        "the audit log is not what was signed when it had {size} events: run perennial audit verify"
    )]
    Rewritten { size: u64 },
}

/// Signs what is new, unless something was signed not long ago.
pub(crate) async fn look(node: Arc<Node>) {
    let newest = match node.store.newest_checkpoint() {
        Ok(newest) => newest,
        Err(error) => return error!(%error, "checkpoints of the audit log cannot be read"),
    };
    let now = node.world.now();
    // One that says it was made later than now was made by a clock that ran ahead.
    let is_recent = |at: Timestamp| at <= now && now < at + PAUSE;
    if !newest.is_some_and(|row| is_recent(second(row.made_at))) {
        // What keeps it from that is logged.
        let _ = keep(&node).await;
    }
}

/// Signs what is new, and gives the checkpoint that covers all of the log. What keeps it from that is
/// logged, and shown until it is over.
///
/// # Errors
/// When it cannot be signed or stored, or what was signed before is not there any more.
pub(crate) async fn keep(node: &Arc<Node>) -> Result<CheckpointRow, Unsigned> {
    let made = make(node).await;
    let fault = made.as_ref().err().map(ToString::to_string);
    if let Some(error) = &fault {
        error!(error, "no checkpoint of the audit log is made");
    }
    node.checkpoints.replace(Standing { fault });
    made
}

async fn make(node: &Arc<Node>) -> Result<CheckpointRow, Unsigned> {
    let _alone = node.steps.alone(VERIFIER).await;
    let key = key(node).await?;
    let size = node.store.log_counts()?.size;
    let newest = node.store.newest_checkpoint()?;
    if let Some(row) = &newest {
        let before = Checkpoint::open(&row.note, key.verifier())?;
        if before.size > size || node.store.log_root(before.size)? != Some(before.root) {
            return Err(Unsigned::Rewritten { size: before.size });
        }
    }
    let row = match newest.filter(|row| row.size == size) {
        Some(row) => row,
        None => sign(node, &key, size).await?,
    };
    ship(&node.config.data_dir, &row.note);
    Ok(row)
}

async fn sign(node: &Node, key: &Key, size: u64) -> Result<CheckpointRow, Unsigned> {
    let origin = key.verifier().name().to_owned();
    let root = node.store.log_root(size)?.ok_or(Unsigned::Rewritten { size })?;
    let note = Checkpoint { origin, size, root }.sign(key);
    let now = node.world.now();
    node.store.commit(Commit::note_checkpoint(size, note.clone()), now).await?;
    Ok(CheckpointRow { size, made_at: now.as_second(), note })
}

/// Whose signatures count; none before anything was signed.
pub(crate) fn verifier(node: &Node) -> Result<Option<Verifier>, ReadError> {
    let stored = node.store.meta(VERIFIER)?;
    Ok(stored.and_then(|text| Verifier::parse(&String::from_utf8(text).ok()?).ok()))
}

/// The key that signs, made with its name the first time. The name stays whatever becomes of the node's
/// addresses: it is that of the log.
async fn key(node: &Node) -> Result<Key, Unsigned> {
    let (verifier, sealed) = (verifier(node)?, node.store.meta(KEY)?);
    if verifier.is_some() != sealed.is_some() {
        return Err(Unsigned::Half);
    }
    if let (Some(verifier), Some(sealed)) = (verifier, sealed) {
        let opened = node.key.open(KEY, &Sealed(sealed))?;
        let mut seed = Zeroizing::new([0; 32]);
        if opened.len() != seed.len() {
            return Err(NoteError::Key.into());
        }
        seed.copy_from_slice(&opened);
        return Ok(Key::new(verifier.name(), &seed)?);
    }
    let seed = Zeroizing::new(node.world.random::<32>());
    let key = Key::new(&origin(&node.https_url), &seed)?;
    let verifier = key.verifier().to_string();
    let event = Event::new("worker", "audit-key.create", "node").with(json!({ "key": verifier }));
    let commit = Commit::new(event)
        .put(Row::Meta { name: KEY, value: node.key.seal(&node.world, KEY, seed.as_slice()).0 })
        .put(Row::Meta { name: VERIFIER, value: verifier.into_bytes() });
    node.store.commit(commit, node.world.now()).await?;
    Ok(key)
}

/// What the log is called: by where the node is reached, as a URL without its scheme (C2SP tlog-checkpoint).
fn origin(url: &str) -> String {
    let place = url.split_once("://").map_or(url, |(_, place)| place).trim_end_matches('/');
    let place: String = place.chars().filter(|c| !c.is_whitespace() && *c != '+').collect();
    format!("{place}/audit")
}

/// Puts the newest checkpoint where it is taken from to another place; whole, or not at all.
fn ship(data_dir: &Path, note: &str) {
    let path = data_dir.join(FILE);
    if fs::read_to_string(&path).is_ok_and(|there| there == note) {
        return;
    }
    let partial = data_dir.join("audit-checkpoint.new");
    let written = fs::File::create(&partial)
        .and_then(|mut file| file.write_all(note.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&partial, &path));
    if let Err(error) = written {
        warn!(file = %path.display(), %error, "the checkpoint is stored, but not written here");
    }
}

/// The private key of the log: a fact of the node, sealed.
const KEY: &str = "audit-key";
/// Where the newest checkpoint is, in the data directory.
const FILE: &str = "audit-checkpoint";
/// How long a checkpoint stands before there is another.
const PAUSE: SignedDuration = SignedDuration::from_mins(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::tests::node;

    #[tokio::test]
    async fn what_is_new_is_signed_now_and_then_and_only_what_goes_on_from_what_was() {
        let (node, clock) = node().await;
        look(Arc::clone(&node)).await;
        let first = node.store.newest_checkpoint().expect("a read").expect("one was made");
        let file = node.config.data_dir.join(FILE);
        assert_eq!(fs::read_to_string(&file).expect("shipped"), first.note);
        let verifier = verifier(&node).expect("a read").expect("a key");
        assert_eq!(verifier.name(), "localhost:8443/audit");
        let opened = Checkpoint::open(&first.note, &verifier).expect("signed");
        assert_eq!(opened.size, node.store.log_counts().expect("a read").size);

        let put = || {
            let event = Event::new("test", "test.fill", "test/1");
            node.store.commit(Commit::new(event), node.world.now())
        };
        put().await.expect("stored");
        look(Arc::clone(&node)).await;
        let newest = || node.store.newest_checkpoint().expect("a read").expect("one was made");
        assert_eq!(newest(), first, "not so soon");
        clock.fetch_add(300, std::sync::atomic::Ordering::SeqCst);
        look(Arc::clone(&node)).await;
        assert_eq!(newest().size, first.size + 1);
        let same = keep(&node).await.expect("made");
        assert_eq!(same, newest(), "nothing is new");
        let report = node.store.check_log(verifier).await.expect("a read");
        assert_eq!((report.findings.len(), report.checkpoints), (0, 2));

        let store = rusqlite::Connection::open(node.config.data_dir.join("perennial.db"));
        let sql = "UPDATE audit_leaf SET hash = zeroblob(32) WHERE position = 2";
        store.expect("opens").execute_batch(sql).expect("done by hand");
        put().await.expect("stored");
        assert!(keep(&node).await.is_err());
        assert_eq!(newest(), same, "nothing is signed any more");
        let fault = node.checkpoints.load().fault.clone().expect("it is said");
        assert!(fault.contains("is not what was signed"), "{fault}");
        let _ = fs::remove_dir_all(&node.config.data_dir);
    }
}
