//! Secrets that are followed: what changes is told, whatever becomes of the watch.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ::cluster::{Access, ClusterError, Connection, Place};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::cluster::{Cluster, succeed};
use crate::scene::Folder;

/// A Secret that is followed, in turns of a second.
struct Followed {
    told: Arc<AtomicU32>,
    task: JoinHandle<ClusterError>,
}

impl Followed {
    async fn begin(cluster: &Cluster) -> Self {
        let access = Access { kubeconfig: Some(cluster.kubeconfig()), context: None };
        let connection = Connection::to(&access, Duration::from_secs(10));
        let place = Place::new(&cluster.namespace, "shop").expect("a place");
        let told = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&told);
        let task = tokio::spawn(async move {
            let tell = || {
                count.fetch_add(1, Ordering::Relaxed);
            };
            connection.follow(&place, Duration::from_secs(1), &tell).await
        });
        // Until the first watch is open.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert!(!task.is_finished(), "{}", task.await.expect("it ends"));
        Self { told, task }
    }

    fn count(&self) -> u32 {
        self.told.load(Ordering::Relaxed)
    }

    /// Waits until more was told than `before`.
    async fn more_than(&self, before: u32) {
        let begun = Instant::now();
        while self.count() <= before {
            assert!(begun.elapsed() < Duration::from_secs(60), "nothing was told");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn secret(cluster: &Cluster) {
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "shop" } });
    cluster.create("shop", &secret);
}

fn change(cluster: &Cluster, to: &str) {
    let patch = json!({ "metadata": { "annotations": { "x": to } } }).to_string();
    succeed(&cluster.kubectl(&["patch", "secret", "shop", "--patch", &patch]));
}

#[tokio::test]
async fn what_is_made_changed_or_removed_is_told_and_what_was_there_is_not() {
    let folder = Folder::new();
    let cluster = Cluster::start(&folder.path("cluster"));
    secret(&cluster);
    let followed = Followed::begin(&cluster).await;
    // Many watches begin and end meanwhile.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(followed.count(), 0, "nothing changed");
    change(&cluster, "1");
    followed.more_than(0).await;
    let before = followed.count();
    succeed(&cluster.kubectl(&["delete", "secret", "shop"]));
    followed.more_than(before).await;
    let before = followed.count();
    secret(&cluster);
    followed.more_than(before).await;
}

#[tokio::test]
async fn another_secret_is_none_of_its_business() {
    let folder = Folder::new();
    let cluster = Cluster::start(&folder.path("cluster"));
    let followed = Followed::begin(&cluster).await;
    let other = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "other" } });
    cluster.create("other", &other);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(followed.count(), 0);
}

#[tokio::test]
async fn where_the_history_is_gone_it_starts_over_and_tells_so() {
    let folder = Folder::new();
    let mut cluster = Cluster::own(&folder.path("cluster"));
    secret(&cluster);
    let followed = Followed::begin(&cluster).await;
    change(&cluster, "1");
    followed.more_than(0).await;
    let before = followed.count();
    // The next watch is kept waiting until it would go on from before.
    cluster.fail(&json!({ "watch": { "sleep": 6 } }));
    tokio::time::sleep(Duration::from_secs(3)).await;
    for name in ["a", "b"] {
        let other = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name } });
        cluster.create(name, &other);
    }
    cluster.compact();
    cluster.fail(&json!({}));
    assert_eq!(followed.count(), before, "nothing happened to it");
    followed.more_than(before).await;
    let before = followed.count();
    change(&cluster, "2");
    followed.more_than(before).await;
}

#[tokio::test]
async fn a_watch_on_which_nothing_comes_is_taken_for_dead() {
    let folder = Folder::new();
    let cluster = Cluster::own(&folder.path("cluster"));
    secret(&cluster);
    cluster.fail(&json!({ "watch": "silent" }));
    let followed = Followed::begin(&cluster).await;
    cluster.fail(&json!({}));
    // Nobody knows what it has missed.
    followed.more_than(0).await;
    let before = followed.count();
    tokio::time::sleep(Duration::from_secs(2)).await;
    change(&cluster, "1");
    followed.more_than(before).await;
}

#[tokio::test]
async fn all_secrets_of_ours_in_a_namespace_are_followed_over_one_watch() {
    let folder = Folder::new();
    let mut cluster = Cluster::own(&folder.path("cluster"));
    let secret = |name: &str, labels: Value| {
        let metadata = json!({ "name": name, "labels": labels });
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata });
        cluster.create(name, &secret);
    };
    let ours = json!({ "app.kubernetes.io/managed-by": "perennial" });
    secret("one", ours.clone());
    secret("two", ours);
    secret("theirs", json!({}));
    let access = Access { kubeconfig: Some(cluster.kubeconfig()), context: None };
    let connection = Connection::to(&access, Duration::from_secs(10));
    let told = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&told);
    let task = tokio::spawn(async move {
        let tell = |name: Option<&str>| {
            list.lock().expect("it").push(name.unwrap_or("*").to_owned());
        };
        connection.follow_ours("web", Duration::from_secs(1), &tell).await
    });
    let until = async |names: &[&str]| {
        let begun = Instant::now();
        while *told.lock().expect("it") != names {
            assert!(begun.elapsed() < Duration::from_secs(60), "told: {told:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::sleep(Duration::from_millis(3500)).await;
    until(&[]).await;
    let patch = json!({ "metadata": { "annotations": { "x": "1" } } }).to_string();
    for name in ["theirs", "two"] {
        succeed(&cluster.kubectl(&["patch", "secret", name, "--patch", &patch]));
    }
    until(&["two"]).await;
    succeed(&cluster.kubectl(&["delete", "secret", "one"]));
    until(&["two", "one"]).await;
    // Where the history is gone any of them may have changed.
    cluster.fail(&json!({ "watch": { "sleep": 6 } }));
    tokio::time::sleep(Duration::from_secs(3)).await;
    succeed(&cluster.kubectl(&["delete", "secret", "two"]));
    cluster.compact();
    cluster.fail(&json!({}));
    until(&["two", "one", "*"]).await;
    task.abort();
}

#[tokio::test]
async fn it_ends_where_it_may_not_watch_or_nobody_answers() {
    let folder = Folder::new();
    let mut cluster = Cluster::own(&folder.path("cluster"));
    let followed = Followed::begin(&cluster).await;
    cluster.allow(&["get"]);
    let begun = Instant::now();
    while !followed.task.is_finished() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it goes on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    cluster.allow(&["watch"]);
    let access = Access { kubeconfig: Some(cluster.kubeconfig()), context: None };
    let connection = Connection::to(&access, Duration::from_secs(10));
    let place = Place::new(&cluster.namespace, "shop").expect("a place");
    cluster.stop();
    let follow = connection.follow(&place, Duration::from_secs(1), &|| {});
    let ended = tokio::time::timeout(Duration::from_secs(60), follow).await;
    assert!(ended.is_ok(), "it goes on");
}

#[test]
fn kubectl_takes_the_test_server_for_an_api_server() {
    let folder = Folder::new();
    let cluster = Cluster::own(&folder.path("cluster"));
    let manifest = |value: &str| {
        let data = json!({ "stringData": { "a": value }, "metadata": { "name": "shop" } });
        let head = json!({ "apiVersion": "v1", "kind": "Secret" });
        let mut whole = head.as_object().expect("fields").clone();
        whole.extend(data.as_object().expect("fields").clone());
        let path = folder.write("manifest.json", serde_json::to_vec(&whole).expect("JSON"));
        path.to_str().expect("a plain path").to_owned()
    };
    let apply = |value: &str, manager: &str, more: &[&str]| {
        let (file, manager) = (manifest(value), format!("--field-manager={manager}"));
        let fixed = ["apply", "--server-side", "--validate=false", "-f", &file, &manager];
        cluster.kubectl(&[&fixed[..], more].concat())
    };
    succeed(&apply("1", "one", &[]));
    succeed(&apply("1", "two", &[]));
    let refused = apply("2", "two", &[]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("conflict with \"one\""), "{said}");
    succeed(&apply("2", "two", &["--force-conflicts"]));
    let secret = cluster.secret("shop").expect("it is there");
    let managers = secret["metadata"]["managedFields"].as_array().expect("managers");
    let fields = |name: &str| managers.iter().find(|entry| entry["manager"] == name);
    assert!(fields("two").expect("two").to_string().contains("f:a"));
    assert!(!fields("one").is_some_and(|entry| entry.to_string().contains("f:a")));
    for (arguments, told) in [
        (&["get", "secrets", "--output=name"][..], "secret/shop"),
        (
            &["get", "secret", "shop", "--watch", "--output=name", "--request-timeout=1s"],
            "secret/shop",
        ),
        (&["delete", "secret", "shop"], "deleted"),
        (&["get", "secrets"], ""),
    ] {
        let output = cluster.kubectl(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains(told), "{arguments:?}: {said}");
    }
    assert_eq!(cluster.secret("shop"), None);
}
