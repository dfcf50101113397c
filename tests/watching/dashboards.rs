//! The dashboards: every metric in them is one that a node shows, every recorded ratio is recorded, and a
//! real Prometheus that scrapes a real node takes every query and knows of the alerts.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::metrics::{asked, shown, until, worked};
use super::rules::{alerts, directory, rules};
use crate::program::{Daemon, free_port, program, run, succeed};
use crate::scene::Scene;

#[test]
fn every_metric_of_a_dashboard_is_one_that_a_node_shows() {
    let scene = worked("watching-dashboards");
    let shown = shown(&scene);
    let rules = rules();
    for (file, queries) in dashboards() {
        assert!(queries.len() > 10, "{file}: they were found");
        let text = queries.join("\n");
        let asked = asked(&text);
        let missing: Vec<_> = asked.difference(&shown).collect();
        assert!(missing.is_empty(), "{file}: {missing:?} is not in {shown:#?}");
        for recorded in text.split(['{', ' ', '\n']).filter(|word| word.starts_with("perennial:")) {
            assert!(rules.contains(&format!("record: {recorded}\n")), "{file}: {recorded}");
        }
    }
    prometheus_takes_every_query(&scene);
}

#[test]
fn panels_have_names_of_their_own_and_do_not_lie_on_each_other() {
    for (file, dashboard) in files() {
        let panels = dashboard["panels"].as_array().expect("panels");
        let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
        assert_eq!(ids.len(), panels.len(), "{file}");
        let mut taken = BTreeSet::new();
        for panel in panels {
            let side = |name: &str| panel["gridPos"][name].as_u64().expect("a length");
            assert!(side("x") + side("w") <= 24, "{file}: {panel}");
            for x in side("x")..side("x") + side("w") {
                for y in side("y")..side("y") + side("h") {
                    assert!(taken.insert((x, y)), "{file}: {}", panel["title"]);
                }
            }
        }
    }
}

/// Has a Prometheus, set up by the sample that is given out, scrape the node.
fn prometheus_takes_every_query(scene: &Scene) {
    let home = scene.directory("prometheus");
    let wrote = scene.server.wrote();
    let admin = wrote.split(" admin=http://").nth(1).and_then(|rest| rest.split(' ').next());
    let sample = fs::read_to_string(directory().join("prometheus.yml")).expect("the sample");
    let settings = sample
        .replace("127.0.0.1:9464", admin.expect("an address"))
        .replace("scrape_interval: 30s", "scrape_interval: 1s")
        .replace("evaluation_interval: 1m", "evaluation_interval: 1s")
        .replace("scrape_interval: 10m", "scrape_interval: 5s")
        .replace("scrape_timeout: 30s", "scrape_timeout: 5s");
    fs::write(home.join("prometheus.yml"), settings).expect("settings");
    fs::write(home.join("rules.yml"), rules()).expect("rules");
    let port = free_port();
    let listen = format!("--web.listen-address=127.0.0.1:{port}");
    let mut prometheus =
        Daemon::start("prometheus", ["--config.file=prometheus.yml", listen.as_str()], &home);
    prometheus.wait_for_port(port);
    let ready = format!("http://127.0.0.1:{port}/-/ready");
    prometheus.wait("its store", || {
        run(program("curl").args(["--silent", "--fail", &ready])).0.status.success().then_some(())
    });
    let base = format!("http://127.0.0.1:{port}/api/v1");
    let ask = |query: &str| -> Value {
        let mut curl = program("curl");
        curl.args(["--silent", "--show-error", "--get", "--data-urlencode"]);
        let (_, text) = run(curl.arg(format!("query={query}")).arg(format!("{base}/query")));
        let body = text.split_once("stdout: ").map_or("", |(_, rest)| rest);
        let body = body.split("\nstderr: ").next().unwrap_or_default();
        serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {text}"))
    };
    let found = |query: &str| ask(query)["data"]["result"].as_array().map_or(0, Vec::len);
    until("two scrapes", || found("perennial_tick_seconds_count offset 3s") > 0);
    for (file, queries) in dashboards() {
        for query in queries {
            let answer = ask(&filled(&query));
            assert_eq!(answer["status"], "success", "{file}: {query}: {answer}");
            assert!(answer.get("warnings").is_none(), "{file}: {query}: {answer}");
        }
    }
    until("each certificate", || found("certmanager_certificate_ready_status") > 0);
    let url = format!("{base}/rules");
    let known = succeed(program("curl").args(["--silent", &url]));
    let known: Value = serde_json::from_str(&known).expect("JSON");
    let groups = known["data"]["groups"].as_array().expect("groups");
    let all: Vec<_> = groups.iter().flat_map(|group| group["rules"].as_array()).flatten().collect();
    assert!(all.iter().all(|rule| rule["health"] != "err"), "{known:#}");
    let there = all.iter().filter(|rule| rule["type"] == "alerting").count();
    assert_eq!(there, alerts().len());
}

/// A query as Grafana sends it.
fn filled(query: &str) -> String {
    let values = [("$__rate_interval", "1m"), ("$__range", "1h"), ("$job", ".*")];
    let filled =
        values.iter().fold(query.to_owned(), |query, (name, value)| query.replace(name, value));
    filled.replace("$instance", ".*")
}

/// The queries of each dashboard, those of its variables aside.
fn dashboards() -> Vec<(String, Vec<String>)> {
    let queries = |dashboard: &Value| {
        let panels = dashboard["panels"].as_array().expect("panels").iter();
        let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
        targets.map(|target| target["expr"].as_str().expect("a query").to_owned()).collect()
    };
    files().iter().map(|(file, dashboard)| (file.clone(), queries(dashboard))).collect()
}

fn files() -> Vec<(String, Value)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana");
    let read = |name: &str| {
        let text = fs::read_to_string(here.join(name)).expect("a dashboard");
        (name.to_owned(), serde_json::from_str(&text).expect("JSON"))
    };
    ["executive.json", "on-call.json", "debug.json"].map(read).into()
}
