//! Pulling: machines that come for their certificates over HTTPS, with curl, an API token and what
//! it says about the version it has.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::program::{program, run, succeed};
use crate::scene::Scene;

#[test]
fn a_certificate_is_pulled_once_and_not_again_while_it_is_the_same() {
    let scene = declared("pull-forms", "");
    let token = made(&scene, &["edge", "--certificate", "shop"]);
    let puller = Puller::new(&scene, &token);
    let first = puller.first("shop");
    assert!(first.headers.contains("cache-control: no-store"), "{}", first.headers);
    let whole: Value = serde_json::from_str(&first.body).expect("JSON");
    assert_eq!((&whole["name"], &whole["version"]), (&"shop".into(), &1.into()));
    let text = |field: &str| whole[field].as_str().unwrap_or_else(|| panic!("{field}")).to_owned();
    assert_eq!(text("fullchain"), text("certificate") + &text("chain"));
    assert_eq!(puller.get("shop", &["If-None-Match: \"x\"", &has(&first)]).status, 304);

    let combined = puller.get("shop.pem", &[]);
    assert_eq!(combined.body, text("fullchain") + &text("key"));
    let negotiated = puller.get("shop", &["Accept: application/x-pem-file"]);
    assert_eq!(negotiated.body, combined.body);
    assert_ne!(combined.tag(), first.tag(), "each form has its own");
    agree(&scene.directory("pulled"), &combined.body);
    let chain = puller.get("shop", &["Accept: application/pem-certificate-chain"]);
    assert_eq!(chain.body, text("fullchain"));
    assert_eq!(puller.get("shop.fullchain.pem", &[]).tag(), chain.tag());
    assert_eq!(puller.get("shop", &["Accept: text/html"]).status, 406);

    // Each key that was given is on record, and nothing else that was answered.
    let pulled = pulls(&scene);
    let forms: Vec<_> =
        pulled.iter().map(|event| event["detail"]["representation"].clone()).collect();
    let (pem, json) = ("application/x-pem-file", "application/json");
    assert_eq!(forms, [json, pem, pem]);
    assert!(pulled.iter().all(|e| e["actor"] == "token/edge" && e["detail"]["version"] == 1));

    let key = text("key");
    let secret: Vec<_> = key.lines().filter(|line| !line.starts_with('-')).collect();
    let audit = succeed(&mut scene.server.command(["audit", "--json", "--limit", "1000"]));
    for (where_, said) in [("log", scene.server.wrote()), ("audit log", audit)] {
        assert!(!said.contains(&token), "the token is in the {where_}");
        assert!(secret.iter().all(|line| !said.contains(line)), "the key is in the {where_}");
    }
}

#[test]
fn who_waits_is_told_of_a_renewal_at_once_and_of_nothing_when_the_time_is_over() {
    let mut scene = declared("pull-wait", "");
    let token = made(&scene, &["edge", "--certificate", "sho*"]);
    let puller = Puller::new(&scene, &token);
    let first = puller.first("shop");
    let begun = Instant::now();
    let none = puller.get("shop", &[&has(&first), "Prefer: wait=1"]);
    assert_eq!(none.status, 304);
    assert!(begun.elapsed() >= Duration::from_secs(1), "it did not wait");
    assert!(none.headers.contains("preference-applied: wait=1"), "{}", none.headers);

    let waiting = puller.in_background("shop", &[&has(&first), "Prefer: wait=60"]);
    thread::sleep(Duration::from_millis(500));
    assert!(!waiting.is_finished(), "it does not wait");
    succeed(&mut scene.server.command(["renew", "shop"]));
    let renewed = Instant::now();
    let second = waiting.join().expect("a thread");
    assert!(renewed.elapsed() < SOON, "{:?}", renewed.elapsed());
    assert_eq!(second.status, 200, "{}", second.headers);
    let whole: Value = serde_json::from_str(&second.body).expect("JSON");
    assert_eq!(whole["version"], 2);

    // Who waits with a token that is revoked meanwhile gets nothing more.
    let waiting = puller.in_background("shop", &[&has(&second), "Prefer: wait=60"]);
    thread::sleep(Duration::from_millis(500));
    succeed(&mut scene.server.command(["token", "revoke", "edge"]));
    succeed(&mut scene.server.command(["renew", "shop"]));
    assert_eq!(waiting.join().expect("a thread").status, 401);

    // A drain ends the wait.
    let token = made(&scene, &["other", "--certificate", "shop"]);
    let puller = Puller::new(&scene, &token);
    let third = puller.first("shop");
    let waiting = puller.in_background("shop", &[&has(&third), "Prefer: wait=60"]);
    thread::sleep(Duration::from_millis(500));
    let begun = Instant::now();
    assert_eq!(scene.server.stop(Signal::TERM).code(), Some(0));
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(waiting.join().expect("a thread").status, 304);
}

#[test]
fn a_token_is_good_for_what_it_names_until_it_expires_or_is_revoked() {
    let scene = declared("pull-refused", "");
    let good = made(&scene, &["good", "--certificate", "shop", "--certificate", "absent"]);
    Puller::new(&scene, &good).first("shop");
    let narrow = made(&scene, &["narrow", "--certificate", "edge-*", "--keyset", "shop"]);
    let expired = made(&scene, &["expired", "--certificate", "shop", "--expires", "1s"]);
    let revoked = made(&scene, &["revoked", "--certificate", "shop"]);
    succeed(&mut scene.server.command(["token", "revoke", "revoked"]));
    thread::sleep(Duration::from_millis(2100));

    // Nobody learns which tokens there are.
    let unknown = format!("perennial_{}", "A".repeat(43));
    let mut told = Vec::new();
    for token in [&unknown, &expired, &revoked, "", "nonsense"] {
        let refused = Puller::new(&scene, token).get("shop", &[]);
        assert_eq!(refused.status, 401, "{token}");
        let challenge = "www-authenticate: Bearer realm=\"perennial\"\r\n";
        assert!(refused.headers.contains(challenge), "{}", refused.headers);
        told.push(refused.body);
    }
    assert!(told.iter().all(|body| *body == told[0]), "{told:?}");
    assert_eq!(Puller::new(&scene, &good).get("shop", &["Authorization: Basic QTpC"]).status, 401);

    // Nor which certificates.
    let narrow = Puller::new(&scene, &narrow);
    let [there, absent] = ["shop", "absent"].map(|name| narrow.get(name, &[]));
    assert_eq!((there.status, absent.status), (403, 403));
    assert_eq!(there.body, absent.body);
    assert!(there.headers.contains("insufficient_scope"), "{}", there.headers);
    assert_eq!(narrow.get("edge-a", &[]).status, 404);
    let good = Puller::new(&scene, &good);
    for (what, status) in
        [("absent", 404), ("shop.p12", 404), ("shop?target=none", 404), ("shop?targets=a", 400)]
    {
        assert_eq!(good.get(what, &[]).status, status, "{what}");
    }

    let listed = scene.server.json(["token", "list"]);
    let items = listed["items"].as_array().expect("items");
    let statuses: Vec<_> = items.iter().map(|token| token["status"].clone()).collect();
    assert_eq!(statuses, ["valid", "valid", "expired", "revoked"]);
    assert!(items[0]["used_at"].is_string() && items[3]["used_at"].is_null(), "{listed}");
    assert!(!listed.to_string().contains("perennial_"), "a token is shown once");
    for (arguments, why) in [
        (&["create", "good", "--certificate", "a"][..], "already"),
        (&["create", "Bad", "--certificate", "a"], "cannot be a name"),
        (&["create", "bad", "--certificate", "a*b"], "certificate/NAME"),
        (&["create", "bad", "--certificate", "a", "--expires", "0s"], "of no use"),
        (&["revoke", "revoked"], "already"),
        (&["revoke", "none"], "there is no token"),
    ] {
        let (output, text) = run(scene.server.command(["token"]).args(arguments));
        assert!(output.status.code() == Some(1) && text.contains(why), "{text}");
    }
    let (output, _) = run(&mut scene.server.command(["token", "create", "nothing"]));
    assert_eq!(output.status.code(), Some(2), "it must be for something");
}

#[test]
fn who_pulls_for_a_target_gets_what_the_rotation_has_given_to_it() {
    let targets = |calendar: &str| {
        format!(
            "targets = [\"first\", \"second\"]\ncanary = [\"first\"]\n\
             [[target]]\nname = \"first\"\nkind = \"pull\"\n\
             [[target]]\nname = \"second\"\nkind = \"pull\"\n{calendar}\
             [[target]]\nname = \"other\"\nkind = \"pull\"\n"
        )
    };
    let scene = declared("pull-canary", &targets(""));
    let token = made(&scene, &["fleet", "--certificate", "shop"]);
    let puller = Puller::new(&scene, &token);
    puller.first("shop");
    // From now on the second may not be touched, so that a rotation stops before it.
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(48);
    let frozen =
        format!("freezes = [{{ from = \"2020-01-01T00:00:00Z\", until = \"{until}\" }}]\n");
    apply(&scene, &targets(&frozen));
    let waiting = puller.in_background(
        "shop.fullchain.pem?target=first",
        &[&has(&puller.get("shop.fullchain.pem", &[])), "Prefer: wait=60"],
    );
    succeed(&mut scene.server.command(["renew", "shop", "--no-wait"]));
    let second = waiting.join().expect("a thread");
    assert_eq!(second.status, 200, "{}", second.headers);
    assert!(second.tag().starts_with("\"2-"), "{}", second.headers);
    for what in ["shop.fullchain.pem", "shop.fullchain.pem?target=second"] {
        assert!(puller.get(what, &[]).tag().starts_with("\"1-"), "{what}");
    }
    assert_eq!(puller.get("shop?target=other", &[]).status, 404, "it is not its target");
}

#[test]
fn a_traefik_gets_all_that_its_token_covers_in_one_answer_and_nothing_else() {
    let more = "targets = [\"edge\"]\n[[target]]\nname = \"edge\"\nkind = \"pull\"\n\
                [[certificate]]\nname = \"shop-2\"\nnames = [\"2.example.test\"]\n\
                [[certificate]]\nname = \"mail\"\nnames = [\"mail.example.test\"]\n";
    let scene = declared("pull-traefik", more);
    let token = made(&scene, &["traefik", "--certificate", "shop*", "--certificate", "node"]);
    let puller = Puller::new(&scene, &token);
    for name in ["shop", "shop-2"] {
        puller.first(name);
    }
    let all = puller.get("?format=traefik", &[]);
    assert_eq!(all.status, 200, "{}", all.body);
    assert!(all.headers.contains("cache-control: no-store"), "{}", all.headers);
    let pairs = pairs(&all);
    let combined = ["shop.pem", "shop-2.pem"].map(|file| puller.get(file, &[]).body);
    assert_eq!(pairs, combined, "not the node's own, nor mail");
    agree(&scene.directory("pulled"), &pairs[0]);
    assert_eq!(puller.get("?format=traefik", &[&has(&all)]).status, 304);

    // For a target only what has it.
    let one = puller.get("?format=traefik&target=edge", &[]);
    assert_eq!(self::pairs(&one), combined[..1]);
    for (query, status) in [
        ("?format=traefik&target=none", 404),
        ("?format=caddy", 400),
        ("", 400),
        ("?format=traefik&more=1", 400),
    ] {
        assert_eq!(puller.get(query, &[]).status, status, "{query}");
    }
    let narrow = made(&scene, &["narrow", "--certificate", "other-*"]);
    assert_eq!(Puller::new(&scene, &narrow).get("?format=traefik", &[]).status, 403);
    assert_eq!(Puller::new(&scene, "").get("?format=traefik", &[]).status, 401);

    // The same again and again is on record once, another version anew.
    let given = |scene: &Scene| {
        let pulls = pulls(scene).into_iter().map(|event| event["detail"].clone());
        let pulls = pulls.filter(|detail| detail["representation"] == "traefik");
        pulls.map(|detail| detail["version"].clone()).collect::<Vec<_>>()
    };
    puller.get("?format=traefik", &[]);
    assert_eq!(given(&scene), [1, 1], "for itself, and for the target");
    succeed(&mut scene.server.command(["renew", "shop"]));
    assert_ne!(self::pairs(&puller.get("?format=traefik", &[&has(&all)]))[0], combined[0]);
    assert_eq!(given(&scene), [1, 1, 2]);
}

/// Certificate and key of each pair in an answer for Traefik.
fn pairs(pulled: &Pulled) -> Vec<String> {
    let whole: Value = serde_json::from_str(&pulled.body).expect("JSON");
    let pairs = whole["tls"]["certificates"].as_array().expect("certificates");
    let text = |pair: &Value, field: &str| pair[field].as_str().expect("PEM").to_owned();
    pairs.iter().map(|pair| text(pair, "certFile") + &text(pair, "keyFile")).collect()
}

/// A server that manages the certificate `shop`.
fn declared(name: &str, more: &str) -> Scene {
    let scene = Scene::ours(name);
    apply(&scene, more);
    scene
}

fn apply(scene: &Scene, more: &str) {
    let file = scene.directory("declared").join("shop.toml");
    let text = format!("[[certificate]]\nname = \"shop\"\nnames = [\"shop.example.test\"]\n{more}");
    fs::write(&file, text).expect("declarations");
    succeed(scene.server.command(["apply"]).arg(&file));
}

fn made(scene: &Scene, arguments: &[&str]) -> String {
    let made = scene.server.json([&["token", "create"], arguments].concat());
    made["token"].as_str().expect("a token").to_owned()
}

/// The header that says what is there already.
fn has(pulled: &Pulled) -> String {
    format!("If-None-Match: {}", pulled.tag())
}

/// The audit events of pulls.
fn pulls(scene: &Scene) -> Vec<Value> {
    let audit = ["audit", "--json", "--subject", "managed/shop"];
    let text = succeed(&mut scene.server.command(audit));
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    events.filter(|event| event["action"] == "certificate.pull").collect()
}

/// Checks with OpenSSL that the first certificate of a file is the key's in it.
fn agree(home: &Path, combined: &str) {
    let file = home.join("combined.pem");
    fs::write(&file, combined).expect("a file");
    let openssl =
        |arguments: &[&str]| succeed(program("openssl").args(arguments).arg("-in").arg(&file));
    let certified = openssl(&["x509", "-noout", "-pubkey"]);
    assert_eq!(openssl(&["pkey", "-pubout"]), certified);
}

/// Curl, with a token.
#[derive(Clone)]
struct Puller {
    base: String,
    root: String,
    token: String,
}

/// What curl got.
struct Pulled {
    status: u16,
    headers: String,
    body: String,
}

impl Pulled {
    fn tag(&self) -> String {
        let tag = self.headers.lines().find_map(|line| line.strip_prefix("etag: "));
        tag.unwrap_or_else(|| panic!("no tag: {}", self.headers)).to_owned()
    }
}

impl Puller {
    fn new(scene: &Scene, token: &str) -> Self {
        let (base, _) = scene.server.directory.split_once("/acme/").expect("a directory's URL");
        let root = scene.server.trust.display().to_string();
        Self { base: format!("{base}/api/v1/pull"), root, token: token.to_owned() }
    }

    fn get(&self, what: &str, headers: &[&str]) -> Pulled {
        let mut curl = program("curl");
        curl.args(["-sS", "--http1.1", "-i", "--cacert", &self.root]);
        if !self.token.is_empty() && !headers.iter().any(|h| h.starts_with("Authorization")) {
            curl.args(["-H", &format!("Authorization: Bearer {}", self.token)]);
        }
        for header in headers {
            curl.args(["-H", header]);
        }
        let slash = if what.is_empty() || what.starts_with('?') { "" } else { "/" };
        let said = succeed(curl.arg(format!("{}{slash}{what}", self.base)));
        let (headers, body) = said.split_once("\r\n\r\n").expect("an answer");
        let status = headers.split(' ').nth(1).and_then(|status| status.parse().ok());
        let (status, body) = (status.expect("a status"), body.to_owned());
        Pulled { status, headers: format!("{headers}\r\n"), body }
    }

    /// What is pulled once there is something.
    fn first(&self, what: &str) -> Pulled {
        let begun = Instant::now();
        loop {
            let pulled = self.get(what, &[]);
            if pulled.status == 200 {
                return pulled;
            }
            assert_eq!(pulled.status, 404, "{}", pulled.body);
            assert!(begun.elapsed() < Duration::from_secs(20), "{}", pulled.body);
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn in_background(&self, what: &str, headers: &[&str]) -> thread::JoinHandle<Pulled> {
        let (puller, what) = (self.clone(), what.to_owned());
        let headers: Vec<_> = headers.iter().map(|header| (*header).to_owned()).collect();
        thread::spawn(move || {
            puller.get(&what, &headers.iter().map(String::as_str).collect::<Vec<_>>())
        })
    }
}

/// Long before a wait of a minute is over, on a machine with much else to do.
const SOON: Duration = Duration::from_secs(15);
