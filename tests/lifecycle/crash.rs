//! `kill -9` of Perennial at random moments of rotations: started again, it always ends up with the
//! newest version proven on every target, has obtained none twice, and has left no key lying about.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;

use super::fleet::{Apache, Haproxy, Nginx};
use super::stage::{Stage, shop_on};
use crate::crash::Random;

#[test]
fn a_rotation_that_is_killed_goes_on_and_ends_well() {
    let seed = std::env::var("PERENNIAL_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    let seed = seed.unwrap_or(u64::from(now.subsec_nanos()));
    println!("PERENNIAL_TEST_SEED={seed}");
    let mut random = Random::new(seed);
    let mut stage = Stage::set("crash");
    let nginx = Nginx::start(stage.directory("nginx"));
    let haproxy = Haproxy::start(stage.directory("haproxy"));
    let mut apache = Apache::start(stage.directory("apache"));
    let addresses = [nginx.address, haproxy.address, apache.address];
    stage.open(
        &(shop_on(&["a", "b", "c"], "wave = 2")
            + &nginx.table("a", "")
            + &haproxy.table("b", "")
            + &apache.table("c", "")),
    );
    for kill in 0..KILLS {
        let version = kill + 2;
        let said = stage.say(&["renew", "shop", "--no-wait"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        // A third dies in the first moments, the others anywhere in the course of a rotation.
        let span = if kill % 3 == 0 { 400 } else { 5000 };
        sleep(Duration::from_millis(random.below(span)));
        stage.server.stop(Signal::KILL);
        stage.server.resume();
        let shop = stage.until("the newest version everywhere", PATIENCE, |shop| {
            shop["rotation"].is_null() && shop["status"] == "served"
        });
        assert_eq!(
            (&shop["version"], &shop["versions"][0]["version"], &shop["targets"]),
            (&version.into(), &version.into(), &"3/3".into()),
            "one version for each wish: {shop:#}"
        );
        stage.assert_served(&shop, version, &addresses);
        apache.assert_alive();
    }
    stage.until("retirement", PATIENCE, |shop| {
        shop["rotations"].as_array().is_some_and(|all| all.iter().all(|r| r["phase"] == "done"))
    });
    assert_told_whole(&stage);
    for home in [&nginx.home, &haproxy.home, &apache.home] {
        assert_private(home);
    }
}

/// Demands that the audit log tells each rotation from its begin to its one end.
fn assert_told_whole(stage: &Stage) {
    let mut told: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for event in stage.events() {
        if let Some(rotation) = event["rotation"].as_i64() {
            let action = event["action"].as_str().expect("an action").to_owned();
            told.entry(rotation).or_default().push(action);
        }
    }
    assert_eq!(told.len() as u64, KILLS + 1, "{told:?}");
    for (at, actions) in told.values().enumerate() {
        let count = |wanted: &str| actions.iter().filter(|action| *action == wanted).count();
        assert_eq!((count("rotation.begin"), count("rotation.prove")), (1, 1), "{actions:?}");
        assert_eq!(count("rotation.fail"), 0, "{actions:?}");
        assert_eq!(count("rotation.retire"), usize::from(at > 0), "{actions:?}");
    }
}

/// Demands that every private key below `home` is its owner's alone, and no unfinished file is left.
fn assert_private(home: &Path) {
    for entry in fs::read_dir(home).expect("a directory").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        assert!(!name.to_string_lossy().ends_with(".new"), "{} was left", path.display());
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            assert_private(&path);
        } else if kind.is_file() {
            let content = fs::read(&path).expect("readable");
            let mode = entry.metadata().expect("metadata").permissions().mode();
            let has_key = content.windows(11).any(|part| part == b"PRIVATE KEY");
            assert!(!has_key || mode & 0o077 == 0, "{} is {mode:o}", path.display());
        }
    }
}

const KILLS: u64 = 8;
const PATIENCE: Duration = Duration::from_secs(90);
