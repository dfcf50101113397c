//! Signer targets on virtual time: which keys their files hold, and that what they sign with stays
//! published.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use jwks::Phase;
use serde_json::Value;

use super::tests::Stage;

const STEP: SignedDuration = SignedDuration::from_mins(31);
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

#[tokio::test]
async fn what_a_target_signs_verifies_until_it_expires_also_when_it_was_away_for_weeks() {
    let site = Site::new("away");
    let stage = Stage::new(&site.declared("jwks", "rotate_every = \"7d\"")).await;
    let mut application = Application::default();
    let (begun, away) = (stage.now(), stage.now() + WEEK * 2..stage.now() + WEEK * 5);
    let mut complained = false;
    while stage.now() < begun + WEEK * 8 {
        let is_away = away.contains(&stage.now());
        site.be_away(is_away);
        stage.work().await;
        application.read(&site);
        application.sign(stage.now());
        application.check(&stage);
        let error = stage.known().row.error;
        complained |= error.as_ref().is_some_and(|error| {
            error.contains("signer gateway at ") && error.contains("No such file")
        });
        assert!(is_away || error.is_none(), "{error:?}");
        stage.pass(STEP);
    }
    assert!(complained, "nobody was told that it was away");
    assert!((5..=7).contains(&application.used.len()), "{:?}", application.used);
    let events = stage.node.store.events(None, i64::MAX, 10_000).await.expect("a read");
    let exports = events.iter().filter(|event| event.action == "keyset.export").count();
    assert!(exports >= application.used.len(), "each export is in the audit log");
}

#[tokio::test]
async fn the_file_is_private_and_a_key_that_waits_is_only_given_when_it_may_sign() {
    let site = Site::new("private");
    let stage = Stage::new(&site.declared("jwks", "rotate_every = \"7d\"")).await;
    stage.work().await;
    let mode = fs::metadata(site.path()).expect("the file").mode() & 0o777;
    assert_eq!(mode, 0o600);
    let first = site.kids();
    assert_eq!(first.len(), 1);
    assert_eq!(stage.sign().await.expect("a key signs"), first[0], "we sign with the same");
    while stage.known().keys.iter().filter(|row| row.key.phase.is_published()).count() == 1 {
        stage.pass(STEP);
        stage.work().await;
    }
    assert_eq!(site.kids(), first, "the next is announced, and not every consumer has it yet");
    while stage.sign().await.expect("a key signs") == first[0] {
        stage.pass(SignedDuration::from_mins(1));
        stage.work().await;
    }
    assert_eq!(site.kids(), [stage.sign().await.expect("a key signs")]);
}

#[tokio::test]
async fn a_key_that_was_made_to_stay_never_leaves() {
    let site = Site::new("stays");
    let stage = Stage::new("rotate_every = \"7d\"").await;
    stage.work().await;
    let stays = stage.sign().await.expect("a key signs");
    stage.declare(&site.declared("jwks", "rotate_every = \"7d\"")).await;
    for _ in 0..10 {
        stage.work().await;
        assert!(site.kids().iter().all(|kid| *kid != stays), "it was exported");
        stage.pass(STEP);
    }
    let now = stage.sign().await.expect("a key signs");
    assert_ne!(now, stays, "a key for the target was made at once");
    assert_eq!(site.kids(), [now]);
}

#[tokio::test]
async fn a_key_that_is_with_a_target_that_is_declared_no_more_is_replaced() {
    let site = Site::new("undeclared");
    let stage = Stage::new(&site.declared("jwks", "rotate_every = \"30d\"")).await;
    stage.work().await;
    let mut application = Application::default();
    application.read(&site);
    application.sign(stage.now());
    let given = site.kids();
    stage.declare("rotate_every = \"30d\"").await;
    for _ in 0..10 {
        stage.work().await;
        application.check(&stage);
        stage.pass(STEP);
    }
    assert_ne!(stage.sign().await.expect("a key signs"), given[0]);
    assert!(!stage.published().contains(&given[0]), "it is gone in the end");
    assert_eq!(site.kids(), given, "what is not declared is not touched");
}

#[tokio::test]
async fn one_key_in_each_file_and_the_next_beside_it() {
    let site = Site::new("pem");
    let stage = Stage::new(&site.declared("pem", "")).await;
    stage.work().await;
    let first = fs::read_to_string(site.path()).expect("the file");
    assert!(first.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    while fs::read_to_string(site.path()).expect("the file") == first {
        stage.pass(STEP);
        stage.work().await;
    }
    let next = site.path().with_extension("json.next");
    assert!(!next.exists(), "it has taken its place");
    assert_eq!(fs::read_dir(&site.directory).expect("there").count(), 1, "nothing is left");
}

#[tokio::test]
async fn a_reader_that_does_not_take_up_the_new_key_keeps_the_old_one_published() {
    let site = Site::new("reload");
    let script = format!("test ! -e {}/broken", site.directory.display());
    let reload = format!("reload = [\"sh\", \"-c\", {script:?}]");
    let stage = Stage::new(&site.declared_with("jwks", "rotate_every = \"7d\"", &reload)).await;
    stage.work().await;
    let first = site.kids().remove(0);
    // It breaks when the next key is there already and its turn has come.
    while stage.sign().await.expect("a key signs") == first {
        stage.pass(STEP);
        if stage.known().keys.iter().any(|row| row.key.phase == Phase::Proven) {
            fs::write(site.directory.join("broken"), "").expect("written");
        }
        stage.work().await;
        if stage.now()
            > Timestamp::from_second(2_000_000_000).expect("an instant") + WEEK + STEP * 8
        {
            break;
        }
    }
    assert_eq!(stage.sign().await.expect("a key signs"), first, "undelivered, it does not sign");
    assert!(stage.known().row.error.expect("why").contains("the reload command failed"));
    fs::remove_file(site.directory.join("broken")).expect("removed");
    stage.pass(SignedDuration::from_mins(6));
    stage.work().await;
    assert_ne!(stage.sign().await.expect("a key signs"), first);
    assert_eq!(stage.known().row.error, None);
}

#[tokio::test]
async fn whatever_is_lost_in_a_crash_no_key_leaves_unrecorded_and_the_rotation_goes_on() {
    for (commits, lost) in (0..8).flat_map(|commits| [(commits, true), (commits, false)]) {
        let site = Site::new(&format!("crash-{commits}-{lost}"));
        let stage = Stage::new(&site.declared("jwks", "rotate_every = \"7d\"")).await;
        stage.node.store.crash_after(commits, lost);
        stage.work().await;
        stage.node.store.recover();
        let recorded = |kid: &String| {
            let keys = stage.known().keys;
            keys.iter().any(|row| row.key.kid.as_str() == kid && !row.key.held.is_empty())
        };
        assert!(site.kids().iter().all(recorded), "after {commits} commits: a key nobody knows of");
        super::live::refresh(&stage.node).expect("published");
        stage.work().await;
        assert_eq!(site.kids(), [stage.sign().await.expect("a key signs")]);
    }
}

/// A directory for the file of a signer target.
struct Site {
    directory: PathBuf,
}

impl Site {
    fn new(name: &str) -> Self {
        let directory =
            std::env::temp_dir().join(format!("perennial-signer-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        Self { directory }
    }

    fn path(&self) -> PathBuf {
        self.directory.join("keys.json")
    }

    fn declared(&self, format: &str, more: &str) -> String {
        self.declared_with(format, more, "settle = \"1m\"")
    }

    fn declared_with(&self, format: &str, more: &str, key: &str) -> String {
        let path = self.path();
        format!(
            "signers = [{{ name = \"gateway\", path = {path:?}, format = \"{format}\", {key} }}]\n\
             {more}"
        )
    }

    /// Its directory is gone, or back.
    fn be_away(&self, away: bool) {
        let hidden = self.directory.with_extension("hidden");
        let (from, to) = if away { (&self.directory, &hidden) } else { (&hidden, &self.directory) };
        if from.exists() {
            fs::rename(from, to).expect("renamed");
        }
    }

    /// The kids in the file, in their order.
    fn kids(&self) -> Vec<String> {
        kids(&self.path())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.be_away(false);
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn kids(path: &Path) -> Vec<String> {
    let Ok(text) = fs::read(path) else { return Vec::new() };
    let set: Value = serde_json::from_slice(&text).expect("JSON");
    let keys = set["keys"].as_array().expect("keys").iter();
    keys.map(|key| {
        assert!(key["d"].is_string(), "no private key");
        key["kid"].as_str().expect("a kid").to_owned()
    })
    .collect()
}

/// What signs with the first key in the file.
#[derive(Default)]
struct Application {
    kid: Option<String>,
    used: std::collections::BTreeSet<String>,
    tokens: Vec<(String, Timestamp)>,
}

impl Application {
    /// It goes on with what it has while there is no file.
    fn read(&mut self, site: &Site) {
        if let Some(kid) = site.kids().first() {
            self.kid = Some(kid.clone());
        }
    }

    fn sign(&mut self, now: Timestamp) {
        let kid = self.kid.clone().expect("it has a key");
        self.used.insert(kid.clone());
        self.tokens.push((kid, now + SignedDuration::from_mins(10)));
    }

    fn check(&mut self, stage: &Stage) {
        let (now, published) = (stage.now(), stage.published());
        self.tokens.retain(|(_, expires)| *expires > now);
        for (kid, expires) in &self.tokens {
            assert!(published.contains(kid), "{kid} is gone before {expires}, at {now}");
        }
    }
}
