//! A certificate in AWS Certificate Manager, which moto plays: what an operator has to do when its kind of
//! key changes is in the timeline.

use std::fs;
use std::path::Path;

use super::stage::{SHORT, Stage, leaf, shop_on};
use crate::program::{Daemon, free_port};

#[test]
fn a_new_kind_of_key_gets_an_arn_that_the_timeline_names() {
    let stage = Stage::set("acm");
    let (port, home) = (free_port(), stage.directory("aws"));
    let moto = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/moto_server");
    let arguments = ["-H", "127.0.0.1", "-p", &port.to_string()];
    let mut aws = Daemon::start(moto.to_str().expect("a plain path"), arguments, &home);
    aws.wait_for_port(port);
    let keys = "[default]\naws_access_key_id = AKIAX\naws_secret_access_key = in-no-log\n";
    fs::write(home.join("credentials"), keys).expect("written");
    let target = format!(
        "[[target]]\nname = \"cdn\"\nkind = \"acm\"\ntag = \"shop\"\nregion = \"eu-west-1\"\n\
         endpoint = \"http://127.0.0.1:{port}\"\ncredentials_file = {:?}\n",
        home.join("credentials")
    );

    let first = stage.open(&(shop_on(&["cdn"], "") + &target));
    stage.declare(&(shop_on(&["cdn"], "key = \"rsa2048\"") + &target));
    stage.until("ACM to refuse it", SHORT, |shop| shop["error"].is_string());
    stage.assert_alarm(&["its key is p256", "rsa2048", "replace = true"]);
    assert_eq!(stage.shop()["version"], 1);

    let replacing = format!("{target}replace = true\n");
    stage.declare(&(shop_on(&["cdn"], "key = \"rsa2048\"") + &replacing));
    let shop = stage.until("the new kind of key", SHORT, |shop| {
        shop["version"] == 2 && shop["rotation"].is_null()
    });
    assert_ne!(leaf(&shop, 2), leaf(&first, 1));
    let said = stage.say(&["status", "certificate", "shop"]).out;
    assert!(said.contains("cdn: imported under arn:aws:acm:eu-west-1:"), "{said}");
    assert!(said.contains("keeps what it has"), "{said}");
    let log = stage.server.wrote();
    assert!(!log.contains("in-no-log") && !log.contains("PRIVATE KEY"), "a secret is in the log");
}
