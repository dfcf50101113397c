//! Settings that are no settings, ports that are taken, a data directory that is taken: nothing is
//! written before all of that is known.

use std::fs;
use std::net::TcpListener;

use super::assert_says;
use crate::node::Site;
use crate::scene::Home;

#[test]
fn a_mistake_in_the_settings_names_file_and_line() {
    let home = Home::clear("faults-settings");
    let site = Site::alone(&home.directory("node"));
    let good = fs::read_to_string(&site.settings).expect("settings");
    for (line, what) in [
        ("htps = \"127.0.0.1:1\"", "unknown field `htps`"),
        ("https = \"nowhere\"", "invalid socket address"),
        ("https = ", ""),
        ("https 1", ""),
    ] {
        let lines: Vec<_> = good.lines().filter(|l| !l.starts_with("https")).collect();
        let at = lines.iter().position(|l| *l == "[listen]").expect("[listen]") + 1;
        let text = [&lines[..at], &[line], &lines[at..]].concat().join("\n");
        fs::write(&site.settings, text).expect("settings");
        let place = format!("{}:{}: ", site.settings.display(), at + 1);
        assert_says(&site.refused(), &[&place, what]);
    }
    let text = good.replace("[validation]\n", "[validation]\ntimeout = \"2h\"\n");
    fs::write(&site.settings, text).expect("settings");
    let name = site.settings.display().to_string();
    assert_says(&site.refused(), &[&name, "validation.timeout"]);
    fs::remove_file(&site.settings).expect("settings");
    let name = site.settings.display().to_string();
    assert_says(&site.refused(), &[&name, "No such file", "--config"]);
    assert!(!site.data.exists(), "nothing is written");
}

#[test]
fn a_taken_port_is_named_and_nothing_is_written() {
    let home = Home::clear("faults-port");
    let site = Site::alone(&home.directory("node"));
    for (port, flag) in site.ports.iter().zip(["--https", "--http ", "--admin"]) {
        let address = format!("127.0.0.1:{port}");
        let taken = TcpListener::bind(&address).expect("a port");
        let said = format!("{} ", site.refused().trim_end());
        assert_says(&said, &[&address, "Address already in use", flag]);
        drop(taken);
        assert!(!site.data.exists(), "nothing is written");
    }
    site.start();
}

#[test]
fn a_second_server_on_a_data_directory_is_refused() {
    let home = Home::clear("faults-second");
    let site = Site::alone(&home.directory("node"));
    let node = site.start();
    let name = site.data.display().to_string();
    assert_says(&site.refused(), &[&name, "another server runs", "--data-dir"]);
    assert_eq!(site.admin("/readyz").0, 200, "the first is not disturbed");
    drop(node);
    site.start();
}
