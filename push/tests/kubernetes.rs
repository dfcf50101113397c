//! Targets of kind `kubernetes`, on an API server of our own or a real one.

use std::time::{Duration, Instant};

use data_encoding::BASE64;
use push::probe::{self, Expected, Probe};
use push::{Bundle, Fault, Observed, PushError, Spec};
use serde_json::{Value, json};

use crate::cluster::{Cluster, succeed};
use crate::scene::{Folder, Issuer, PATIENCE, Server, port, proof, push, rotate_under_load, spec};

fn target(cluster: &Cluster, more: &str) -> Spec {
    spec(&format!(
        "name = \"ingress\"\nkind = \"kubernetes\"\nkubeconfig = {:?}\nnamespace = {:?}\n\
         secret = \"shop\"\ntimeout = \"5s\"\n{more}",
        cluster.kubeconfig(),
        cluster.namespace
    ))
}

async fn observe(spec: &Spec) -> Observed {
    spec.open().observe().await.expect("it can be read")
}

/// Pushes what must be refused, and leave everything as it was; gives what was said.
async fn refused(cluster: &Cluster, spec: &Spec, bundle: &Bundle) -> String {
    let before = cluster.secret("shop");
    let error = push(spec, 7, bundle).await.expect_err("it is refused");
    assert!(error.left_untouched(), "{error}");
    assert_eq!(cluster.secret("shop"), before, "{error}");
    error.to_string()
}

fn field(secret: &Value, name: &str) -> String {
    let text = secret["data"][name].as_str().expect("a field");
    String::from_utf8(BASE64.decode(text.as_bytes()).expect("base64")).expect("PEM")
}

/// A TLS Secret that kubectl makes.
fn foreign(cluster: &Cluster, bundle: &Bundle, more: &Value) {
    let key = bundle.key_pem().expect("a key");
    let mut secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": { "name": "shop" },
        "data": {
            "tls.crt": BASE64.encode(bundle.fullchain_pem().as_bytes()),
            "tls.key": BASE64.encode(key.as_bytes()),
        },
    });
    for (name, value) in more.as_object().expect("fields") {
        secret[name] = value.clone();
    }
    secret["metadata"]["name"] = "shop".into();
    cluster.create("foreign", &secret);
}

#[tokio::test]
async fn a_secret_is_applied_as_ours_and_the_version_before_comes_back_the_same_way() {
    let (folder, issuer) = (Folder::new(), Issuer::new());
    let cluster = Cluster::start(&folder.path("cluster"));
    let spec = target(&cluster, "labels = { team = \"web\" }");
    let (one, two) = (issuer.bundle(&["a.example"]), issuer.bundle(&["a.example"]));
    assert_eq!(observe(&spec).await, Observed::Nothing);
    assert!(push(&spec, 1, &one).await.expect("the first version").changed);
    let secret = cluster.secret("shop").expect("it is there");
    assert_eq!(secret["type"], "kubernetes.io/tls");
    assert_eq!(field(&secret, "tls.crt"), one.fullchain_pem(), "leaf first, no root");
    assert_eq!(field(&secret, "tls.key"), *one.key_pem().expect("a key"));
    assert_eq!(field(&secret, "ca.crt"), issuer.root().pem());
    let metadata = &secret["metadata"];
    assert_eq!(
        metadata["labels"],
        json!({ "app.kubernetes.io/managed-by": "perennial", "team": "web" })
    );
    assert_eq!(metadata["annotations"]["perennial/certificate"], "shop");
    assert_eq!(metadata["annotations"]["perennial/version"], "1");
    assert_eq!(metadata["annotations"]["perennial/not-after"], one.not_after().to_string());
    let managers = metadata["managedFields"].as_array().expect("managers");
    assert_eq!(managers.len(), 1);
    assert_eq!(managers[0]["manager"], "perennial");
    assert_eq!(managers[0]["operation"], "Apply");

    assert!(!push(&spec, 1, &one).await.expect("again").changed, "it was there already");
    assert!(push(&spec, 2, &two).await.expect("the second version").changed);
    assert_eq!(observe(&spec).await, Observed::Leaf(two.fingerprint()));
    assert!(push(&spec, 1, &one).await.expect("back").changed);
    assert_eq!(observe(&spec).await, Observed::Leaf(one.fingerprint()));
}

#[tokio::test]
async fn a_secret_of_somebody_else_is_left_alone_until_it_is_declared_ours() {
    let (folder, issuer) = (Folder::new(), Issuer::new());
    let cluster = Cluster::start(&folder.path("cluster"));
    let (theirs, ours) = (issuer.bundle(&["a.example"]), issuer.bundle(&["a.example"]));
    let labels = json!({ "metadata": { "labels": { "theirs": "kept" } } });
    foreign(&cluster, &theirs, &labels);
    let spec = target(&cluster, "");
    let told = refused(&cluster, &spec, &ours).await;
    assert!(told.contains("belongs to kubectl"), "{told}");
    assert!(told.contains("adopt = true"), "{told}");
    assert_eq!(observe(&spec).await, Observed::Leaf(theirs.fingerprint()));

    let spec = target(&cluster, "adopt = true");
    push(&spec, 1, &ours).await.expect("it is taken over");
    let secret = cluster.secret("shop").expect("it is there");
    assert_eq!(field(&secret, "tls.crt"), ours.fullchain_pem());
    assert_eq!(secret["metadata"]["labels"]["theirs"], "kept");
    // From now on it is ours without force.
    push(&target(&cluster, ""), 2, &theirs).await.expect("it is ours");
}

#[tokio::test]
async fn what_cert_manager_or_another_object_owns_is_told_by_its_name() {
    for (metadata, told) in [
        (
            json!({ "annotations": { "cert-manager.io/certificate-name": "shop-cert" } }),
            "belongs to cert-manager (Certificate shop-cert)",
        ),
        (
            json!({ "ownerReferences": [
                { "apiVersion": "v1", "kind": "ConfigMap", "name": "parent", "uid": "1-2-3" }
            ] }),
            "belongs to ConfigMap parent, and goes when that goes",
        ),
    ] {
        let (folder, issuer) = (Folder::new(), Issuer::new());
        // A real one collects what belongs to nothing that is there.
        let cluster = Cluster::own(&folder.path("cluster"));
        foreign(&cluster, &issuer.bundle(&["a.example"]), &json!({ "metadata": metadata }));
        let said = refused(&cluster, &target(&cluster, ""), &issuer.bundle(&["a.example"])).await;
        assert!(said.contains(told), "{said}");
    }
}

#[tokio::test]
async fn a_conflict_names_the_manager_of_the_field() {
    let (folder, issuer) = (Folder::new(), Issuer::new());
    let cluster = Cluster::start(&folder.path("cluster"));
    let spec = target(&cluster, "");
    push(&spec, 1, &issuer.bundle(&["a.example"])).await.expect("the first version");
    let label = "app.kubernetes.io/managed-by=Helm";
    succeed(&cluster.kubectl(&[
        "label",
        "secret",
        "shop",
        label,
        "--overwrite",
        "--field-manager=helm",
    ]));
    let told = refused(&cluster, &spec, &issuer.bundle(&["a.example"])).await;
    assert!(told.contains("it belongs to helm") && told.contains("adopt = true"), "{told}");
}

#[tokio::test]
async fn what_can_never_become_ours_is_said_before_anything_is_tried() {
    for (more, told) in [
        (json!({ "type": "Opaque" }), "is of type \"Opaque\", which cannot change: delete it"),
        (json!({ "immutable": true }), "is immutable: delete it"),
    ] {
        let (folder, issuer) = (Folder::new(), Issuer::new());
        let cluster = Cluster::start(&folder.path("cluster"));
        foreign(&cluster, &issuer.bundle(&["a.example"]), &more);
        let spec = target(&cluster, "adopt = true");
        let said = refused(&cluster, &spec, &issuer.bundle(&["a.example"])).await;
        assert!(said.contains(told), "{said}");
        // What was said to do helps.
        succeed(&cluster.kubectl(&["delete", "secret", "shop"]));
        push(&spec, 8, &issuer.bundle(&["a.example"])).await.expect("it is made anew");
    }
}

#[tokio::test]
async fn half_a_pair_is_seen_and_mended_by_the_next_push() {
    let (folder, issuer) = (Folder::new(), Issuer::new());
    let cluster = Cluster::start(&folder.path("cluster"));
    let (spec, bundle) = (target(&cluster, "adopt = true"), issuer.bundle(&["a.example"]));
    push(&spec, 1, &bundle).await.expect("the first version");
    let key = issuer.bundle(&["a.example"]).key_pem().expect("a key");
    let patch = json!({ "data": { "tls.key": BASE64.encode(key.as_bytes()) } }).to_string();
    succeed(&cluster.kubectl(&["patch", "secret", "shop", "--patch", &patch]));
    assert_eq!(observe(&spec).await, Observed::Torn);
    assert!(push(&spec, 1, &bundle).await.expect("again").changed);
    assert_eq!(observe(&spec).await, Observed::Leaf(bundle.fingerprint()));
}

#[tokio::test]
async fn a_role_that_lacks_a_verb_is_told_which() {
    let (folder, issuer) = (Folder::new(), Issuer::new());
    let cluster = Cluster::own(&folder.path("cluster"));
    let spec = target(&cluster, "");
    for (verbs, lacking) in
        [(&[][..], "get"), (&["get"][..], "patch"), (&["get", "patch"][..], "create")]
    {
        cluster.allow(verbs);
        let told = refused(&cluster, &spec, &issuer.bundle(&["a.example"])).await;
        assert!(told.contains(&format!("cannot {lacking} resource \"secrets\"")), "{told}");
    }
    cluster.allow(&["get", "patch", "create"]);
    push(&spec, 1, &issuer.bundle(&["a.example"])).await.expect("it may");
}

#[tokio::test]
async fn a_namespace_that_is_not_there_is_named() {
    let (folder, issuer) = (Folder::new(), Issuer::new());
    let cluster = Cluster::start(&folder.path("cluster"));
    let mut spec = target(&cluster, "");
    if let push::Kind::Kubernetes(kind) = &mut spec.kind {
        kind.namespace = "perennial-moon".into();
        kind.access.kubeconfig = Some(cluster.admin());
    }
    let told = refused(&cluster, &spec, &issuer.bundle(&["a.example"])).await;
    assert!(told.contains("namespaces \"perennial-moon\" not found"), "{told}");
}

#[tokio::test]
async fn a_token_that_was_replaced_is_read_again_when_the_old_one_is_refused() {
    let (folder, issuer) = (Folder::new(), Issuer::new());
    let cluster = Cluster::own(&folder.path("cluster"));
    let spec = target(&cluster, "");
    push(&spec, 1, &issuer.bundle(&["a.example"])).await.expect("with the first token");
    cluster.accept("second-token");
    let told = refused(&cluster, &spec, &issuer.bundle(&["a.example"])).await;
    assert!(told.contains("does not accept our credentials (401"), "{told}");
    assert!(!told.contains("token\""), "{told}");
    folder.write("cluster/perennial.token", "second-token\n");
    push(&spec, 2, &issuer.bundle(&["a.example"])).await.expect("with the second");
}

#[tokio::test]
async fn a_credential_plugin_is_asked_for_a_token() {
    let (folder, issuer) = (Folder::new(), Issuer::new());
    let cluster = Cluster::own(&folder.path("cluster"));
    let kubeconfig = cluster.kubeconfig();
    let text = std::fs::read_to_string(&kubeconfig).expect("a kubeconfig");
    let plugin = crate::scene::script(
        &folder,
        "plugin",
        "#!/bin/sh\ntest -n \"$KUBERNETES_EXEC_INFO\" || exit 1\n\
         echo \"{\\\"kind\\\":\\\"ExecCredential\\\",\\\"status\\\":{\\\"token\\\":\\\"$WORD-token\\\"}}\"\n",
    );
    let mut kubeconfig_of_plugin: Value = serde_json::from_str(&text).expect("JSON");
    kubeconfig_of_plugin["users"][0]["user"] = json!({ "exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": plugin,
        "env": [{ "name": "WORD", "value": "perennial" }], "interactiveMode": "Never",
    } });
    std::fs::write(&kubeconfig, kubeconfig_of_plugin.to_string()).expect("written");
    let (spec, bundle) = (target(&cluster, ""), issuer.bundle(&["a.example"]));
    push(&spec, 1, &bundle).await.expect("the plugin's token is taken");

    std::fs::write(&plugin, "#!/bin/sh\necho s3cret; exit 1\n").expect("written");
    cluster.accept("another");
    let told = refused(&cluster, &spec, &bundle).await;
    assert!(told.contains("failed (exit status: 1)") && !told.contains("s3cret"), "{told}");
}

#[tokio::test]
async fn a_cluster_that_is_away_busy_or_silent_is_told_as_that() {
    let (folder, issuer) = (Folder::new(), Issuer::new());
    let mut cluster = Cluster::own(&folder.path("cluster"));
    let (spec, bundle) = (target(&cluster, ""), issuer.bundle(&["a.example"]));
    push(&spec, 1, &bundle).await.expect("the first version");
    let two = issuer.bundle(&["a.example"]);

    cluster.fail(&json!({ "patch": { "code": 429, "message": "slow down" } }));
    let error = push(&spec, 2, &two).await.expect_err("busy");
    assert!(matches!(error, PushError::Busy(_)), "{error}");

    // Where it says that it will soon have less to do, that is waited for.
    let soon = json!({ "patch": { "code": 429, "times": 3, "after": 1 } });
    cluster.fail(&soon);
    push(&spec, 2, &two).await.expect("after a rest");

    cluster.fail(&json!({ "patch": { "code": 503, "message": "etcd has no leader" } }));
    let three = issuer.bundle(&["a.example"]);
    let error = push(&spec, 3, &three).await.expect_err("broken");
    assert!(!error.left_untouched(), "who knows what it did: {error}");
    assert!(error.to_string().contains("etcd has no leader"), "{error}");

    cluster.fail(&json!({ "get": { "sleep": 20 } }));
    let error = push(&spec, 2, &two).await.expect_err("silent");
    assert!(error.left_untouched() && error.to_string().contains("within 5 s"), "{error}");

    cluster.fail(&json!({}));
    cluster.stop();
    let error = push(&spec, 2, &two).await.expect_err("away");
    assert!(matches!(error, PushError::Unreachable { .. }), "{error}");
    assert_eq!(error.fault(), Fault::Target);
    assert!(spec.open().observe().await.is_err());
}

#[tokio::test]
async fn what_was_done_and_not_acknowledged_is_found_done() {
    let (folder, issuer) = (Folder::new(), Issuer::new());
    let cluster = Cluster::own(&folder.path("cluster"));
    let (spec, bundle) = (target(&cluster, ""), issuer.bundle(&["a.example"]));
    cluster.fail(&json!({ "patch": "hang up after" }));
    assert!(push(&spec, 1, &bundle).await.expect("it is there").changed);
    cluster.fail(&json!({}));
    assert_eq!(observe(&spec).await, Observed::Leaf(bundle.fingerprint()));
    assert!(!push(&spec, 1, &bundle).await.expect("again").changed);
}

#[tokio::test]
async fn a_key_of_another_kind_takes_the_place_of_the_one_before() {
    let (folder, issuer) = (Folder::new(), Issuer::new());
    let cluster = Cluster::start(&folder.path("cluster"));
    let spec = target(&cluster, "");
    push(&spec, 1, &issuer.bundle(&["a.example"])).await.expect("P-256");
    let rsa = issuer.bundle_of(ca::KeyAlgorithm::Rsa { bits: 2048 }, &["a.example"]);
    push(&spec, 2, &rsa).await.expect("RSA");
    assert_eq!(observe(&spec).await, Observed::Leaf(rsa.fingerprint()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traefik_serves_each_version_and_no_handshake_fails() {
    let (folder, issuer) = (Folder::new(), Issuer::new());
    let cluster = Cluster::start(&folder.path("cluster"));
    let host = "shop.example";
    let port = port();
    let (program, arguments) = cluster.traefik(host, port);
    let _traefik = Server::start_with(std::process::Command::new(program).args(arguments), port);
    let spec = target(&cluster, &format!("probe = [\"127.0.0.1:{port}\"]"));
    let first = issuer.bundle(&[host]);
    // Before there is a Secret, Traefik shows a certificate of its own, with a key of another kind.
    let once = Probe { matches: 1, ..Probe::new(&spec, first.names()) };
    let begun = Instant::now();
    loop {
        let before = probe::prove(&once, &Expected::of(&first, &[])).await;
        assert!(!before.proven && begun.elapsed() < PATIENCE, "{before}");
        if before.to_string().contains("its default certificate") {
            break;
        }
        // It is not quite there yet.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    push(&spec, 1, &first).await.expect("the first version");
    let proof = proof(&spec, &first, &[]).await;
    assert!(proof.proven, "{proof}");
    rotate_under_load(&spec, &issuer, &first, port).await;
}
