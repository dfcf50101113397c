//! Objects that ask for certificates: all of them are seen, whatever becomes of lists and watches.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ::cluster::{Access, Asker, Askings, ClusterError, Connection};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::cluster::{Cluster, succeed};
use crate::scene::Folder;

/// The Ingresses of a namespace, in turns of a second.
struct Discovery {
    seen: Arc<Mutex<Option<Askings>>>,
    task: JoinHandle<ClusterError>,
}

impl Discovery {
    fn begin(cluster: &Cluster) -> Self {
        let access = Access { kubeconfig: Some(cluster.kubeconfig()), context: None };
        let connection = Connection::to(&access, Duration::from_secs(20));
        let namespace = cluster.namespace.clone();
        let seen = Arc::new(Mutex::new(None));
        let last = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let tell = |askings: &Askings| *last.lock().expect("it") = Some(askings.clone());
            connection.discover(Asker::Ingress, &namespace, Duration::from_secs(1), &tell).await
        });
        Self { seen, task }
    }

    fn names(&self) -> Vec<String> {
        let seen = self.seen.lock().expect("it");
        seen.iter().flat_map(|askings| askings.by_name.keys().cloned()).collect()
    }

    /// Waits until exactly these ask.
    async fn until(&self, names: &[&str]) {
        let begun = Instant::now();
        while self.names() != names {
            assert!(!self.task.is_finished(), "it ended");
            assert!(begun.elapsed() < Duration::from_secs(60), "seen: {:?}", self.names());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn ingress(name: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": { "name": name, "annotations": { "perennial/profile": "default" } },
        "spec": { "tls": [{ "hosts": ["a.test"], "secretName": name }] },
    })
}

fn set(folder: &Folder) -> Cluster {
    let cluster = Cluster::own(&folder.path("cluster"));
    let rule = json!({ "verbs": ["list", "watch"], "resources": ["ingresses"] });
    cluster.allow_by(&json!([rule]));
    cluster
}

fn remove(cluster: &Cluster, name: &str) {
    succeed(&cluster.kubectl(&["delete", "ingress", name]));
}

#[tokio::test]
async fn a_list_of_many_pages_is_whole_and_what_comes_and_goes_is_told() {
    let folder = Folder::new();
    let cluster = set(&folder);
    let many: Vec<_> = (0..450).map(|i| ingress(&format!("i{i:03}"))).collect();
    cluster.create("many", &json!({ "apiVersion": "v1", "kind": "List", "items": many }));
    let discovery = Discovery::begin(&cluster);
    let mut names: Vec<_> = (0..450).map(|i| format!("i{i:03}")).collect();
    discovery.until(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    // Many watches begin and end meanwhile.
    tokio::time::sleep(Duration::from_secs(3)).await;
    cluster.create("z", &ingress("z"));
    names.push("z".into());
    discovery.until(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let plain = ["annotate", "ingress", "i000", "perennial/profile-"];
    succeed(&cluster.kubectl(&plain));
    remove(&cluster, "i001");
    discovery.until(&names[2..].iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn where_the_history_is_gone_it_is_listed_anew() {
    let folder = Folder::new();
    let mut cluster = set(&folder);
    cluster.create("a", &ingress("a"));
    let discovery = Discovery::begin(&cluster);
    discovery.until(&["a"]).await;
    // The next watch is kept waiting until it would go on from before.
    cluster.fail(&json!({ "watch": { "sleep": 8, "resource": "ingresses" } }));
    tokio::time::sleep(Duration::from_secs(3)).await;
    cluster.create("b", &ingress("b"));
    remove(&cluster, "a");
    cluster.compact();
    cluster.fail(&json!({}));
    discovery.until(&["b"]).await;
    cluster.create("c", &ingress("c"));
    discovery.until(&["b", "c"]).await;
}

#[tokio::test]
async fn a_watch_on_which_nothing_comes_is_taken_for_dead_and_nothing_is_missed() {
    let folder = Folder::new();
    let cluster = set(&folder);
    cluster.create("a", &ingress("a"));
    cluster.fail(&json!({ "watch": "silent" }));
    let discovery = Discovery::begin(&cluster);
    discovery.until(&["a"]).await;
    remove(&cluster, "a");
    cluster.create("b", &ingress("b"));
    cluster.fail(&json!({}));
    discovery.until(&["b"]).await;
}

#[tokio::test]
async fn it_ends_where_the_kind_is_unknown_or_may_not_be_seen() {
    let folder = Folder::new();
    let cluster = set(&folder);
    cluster.fail(&json!({ "absent": ["ingresses"] }));
    let mut discovery = Discovery::begin(&cluster);
    let ended = tokio::time::timeout(Duration::from_secs(60), &mut discovery.task).await;
    assert!(matches!(ended, Ok(Ok(ClusterError::Missing(_)))));
    cluster.fail(&json!({}));
    cluster.allow_by(&json!([{ "verbs": ["list"], "resources": ["ingresses"] }]));
    let mut discovery = Discovery::begin(&cluster);
    let ended = tokio::time::timeout(Duration::from_secs(60), &mut discovery.task).await;
    assert!(matches!(ended, Ok(Ok(ClusterError::Forbidden(_)))));
}
