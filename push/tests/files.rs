//! Targets of kind `files`.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use push::{Fault, PushError};

use crate::scene::{Folder, Issuer, push, spec};

fn directory(folder: &Folder, more: &str) -> push::Spec {
    spec(&format!("name = \"f\"\nkind = \"files\"\ndirectory = {:?}\n{more}", folder.text("tls")))
}

fn pair(folder: &Folder, more: &str) -> push::Spec {
    spec(&format!(
        "name = \"f\"\nkind = \"files\"\npath = {:?}\nkey_path = {:?}\n{more}",
        folder.text("shop.crt"),
        folder.text("shop.key")
    ))
}

#[tokio::test]
async fn a_release_is_private_and_whole_and_the_link_points_to_it() {
    let (folder, bundle) = (Folder::new(), Issuer::new().bundle(&["shop.test"]));
    assert!(push(&directory(&folder, ""), 7, &bundle).await.expect("written").changed);
    let link = fs::read_link(folder.path("tls/current")).expect("a link");
    assert_eq!(link.to_str(), Some("releases/7"));
    let key = bundle.key_pem().expect("a key");
    let combined = bundle.key_first_pem().expect("a key");
    for (name, content) in [
        ("tls.crt", bundle.fullchain_pem().as_str()),
        ("tls.key", &key),
        ("chain.pem", &bundle.chain_pem()),
        ("bundle.pem", &combined),
    ] {
        let path = folder.path("tls/current").join(name);
        assert_eq!(fs::read_to_string(&path).expect(name), content, "{name}");
        assert_eq!(fs::metadata(&path).expect(name).mode() & 0o777, 0o600, "{name}");
    }
    assert_eq!(fs::metadata(folder.path("tls/current/")).expect("it").mode() & 0o777, 0o700);
}

#[tokio::test]
async fn old_releases_are_pruned_and_a_rollback_uses_the_one_that_is_there() {
    let (folder, issuer) = (Folder::new(), Issuer::new());
    let spec = directory(&folder, "");
    let mut bundles = Vec::new();
    for version in 1..=6 {
        let bundle = issuer.bundle(&["shop.test"]);
        push(&spec, version, &bundle).await.expect("written");
        bundles.push(bundle);
    }
    let releases = || {
        let entries = fs::read_dir(folder.path("tls/releases")).expect("a directory");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(releases(), ["4", "5", "6"]);
    assert!(push(&spec, 5, &bundles[4]).await.expect("back").changed);
    assert_eq!(releases(), ["4", "5", "6"]);
    let held = spec.open().observe().await.expect("readable");
    assert_eq!(held, push::Observed::Leaf(bundles[4].fingerprint()));
}

#[tokio::test]
async fn a_version_with_other_files_gets_a_directory_of_its_own() {
    let (folder, issuer) = (Folder::new(), Issuer::new());
    let (one, other) = (issuer.bundle(&["shop.test"]), issuer.bundle(&["shop.test"]));
    push(&directory(&folder, ""), 1, &one).await.expect("written");
    push(&directory(&folder, ""), 1, &other).await.expect("written");
    let link = fs::read_link(folder.path("tls/current")).expect("a link");
    assert_eq!(link.to_str(), Some("releases/1-2"));
    assert!(!push(&directory(&folder, ""), 1, &other).await.expect("the same").changed);
}

#[tokio::test]
async fn what_a_crash_left_half_written_is_no_obstacle() {
    let (folder, bundle) = (Folder::new(), Issuer::new().bundle(&["shop.test"]));
    fs::create_dir_all(folder.path("tls/releases/.1.new")).expect("a directory");
    folder.write("tls/releases/.1.new/tls.key", "half");
    push(&directory(&folder, ""), 1, &bundle).await.expect("written");
    assert!(!folder.path("tls/releases/.1.new").exists());
    let held = directory(&folder, "").open().observe().await.expect("readable");
    assert_eq!(held, push::Observed::Leaf(bundle.fingerprint()));
}

#[tokio::test]
async fn single_files_are_replaced_by_others_and_keep_owner_and_mode() {
    let (folder, bundle) = (Folder::new(), Issuer::new().bundle(&["shop.test"]));
    let old = folder.write("shop.key", "old");
    fs::set_permissions(&old, fs::Permissions::from_mode(0o640)).expect("permissions");
    let before = fs::metadata(&old).expect("it is there");
    push(&pair(&folder, ""), 1, &bundle).await.expect("written");
    let after = fs::metadata(&old).expect("it is there");
    assert_ne!(before.ino(), after.ino());
    assert_eq!(after.mode() & 0o777, 0o640);
    assert_eq!(fs::metadata(folder.path("shop.crt")).expect("new").mode() & 0o777, 0o600);
    push(&pair(&folder, "mode = \"0644\""), 2, &Issuer::new().bundle(&["shop.test"]))
        .await
        .expect("written");
    assert_eq!(fs::metadata(&old).expect("it is there").mode() & 0o777, 0o644);
    let left = fs::read_dir(folder.path("")).expect("a directory").count();
    assert_eq!(left, 2, "something was left behind");
}

#[tokio::test]
async fn a_reload_that_fails_brings_the_previous_files_back() {
    let (folder, issuer) = (Folder::new(), Issuer::new());
    let first = issuer.bundle(&["shop.test"]);
    let more = "reload = [\"sh\", \"-c\", \"echo port in use; exit 1\"]";
    for (good, bad) in [
        (directory(&folder, ""), directory(&folder, more)),
        (pair(&folder, ""), pair(&folder, &format!("mode = \"0644\"\n{more}"))),
    ] {
        // Where there was nothing before, there is nothing afterwards.
        push(&bad, 1, &first).await.expect_err("it fails");
        assert_eq!(good.open().observe().await.expect("readable"), push::Observed::Nothing);
        push(&good, 1, &first).await.expect("written");
        let error = push(&bad, 2, &issuer.bundle(&["shop.test"])).await.expect_err("it fails");
        assert!(error.to_string().contains("port in use"), "{error}");
        let held = good.open().observe().await.expect("readable");
        assert_eq!(held, push::Observed::Leaf(first.fingerprint()));
    }
    let key = fs::read_to_string(folder.path("shop.key")).expect("readable");
    assert_eq!(key, *first.key_pem().expect("a key"));
    let mode = fs::metadata(folder.path("shop.key")).expect("it is there").mode();
    assert_eq!(mode & 0o777, 0o600, "who may read it goes back as well");
}

#[tokio::test]
async fn a_missing_directory_or_user_says_what_to_do() {
    let (folder, bundle) = (Folder::new(), Issuer::new().bundle(&["shop.test"]));
    let lost = spec(&format!(
        "name = \"f\"\nkind = \"files\"\npath = {:?}",
        folder.text("missing/shop.pem")
    ));
    let error = push(&lost, 1, &bundle).await.expect_err("no directory");
    assert!(matches!(&error, PushError::Disk { .. }) && error.fault() == Fault::Machine, "{error}");
    assert!(error.to_string().contains("missing/"), "{error}");
    let error =
        push(&pair(&folder, "owner = \"nosuchuser\""), 1, &bundle).await.expect_err("nobody");
    assert_eq!(error.fault(), Fault::Operator);
    assert!(!folder.path("shop.key").exists());
}

#[tokio::test]
async fn readers_never_see_half_a_release() {
    let (folder, issuer) = (Folder::new(), Issuer::new());
    let spec = directory(&folder, "");
    push(&spec, 1, &issuer.bundle(&["shop.test"])).await.expect("written");
    let current = folder.path("tls/current");
    let running = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let reader = {
        let running = std::sync::Arc::clone(&running);
        std::thread::spawn(move || {
            let mut reads = 0;
            while running.load(std::sync::atomic::Ordering::Relaxed) {
                // As a server does it: the link is followed once.
                let release = fs::canonicalize(&current).expect("always there");
                let key = fs::read_to_string(release.join("tls.key"));
                let combined = fs::read_to_string(release.join("bundle.pem"));
                if !release.exists() {
                    // Three rotations went by while this thread waited for a processor.
                    continue;
                }
                assert!(combined.expect("whole").starts_with(&key.expect("whole")));
                reads += 1;
            }
            reads
        })
    };
    for version in 2..30 {
        push(&spec, version, &issuer.bundle(&["shop.test"])).await.expect("written");
    }
    running.store(false, std::sync::atomic::Ordering::Relaxed);
    assert!(reader.join().expect("no read failed") > 0);
}
