//! A certificate that its issuer takes back: a second Perennial is the CA outside, which nobody told
//! the first about but its CRL.

use std::fs;

use rustix::process::Signal;

use super::client::Client;
use super::fleet::Nginx;
use super::stage::{NAME, SHORT, Stage, leaf, shop_on};
use crate::chain::Chain;
use crate::dns::Dns;
use crate::program::{free_port, succeed};
use crate::server::Server;

#[test]
fn what_its_issuer_outside_revoked_is_replaced_and_the_timeline_says_why() {
    let mut stage = Stage::set("revoked");
    let dns = Dns::start(&stage.directory("dns"));
    let nginx = Nginx::start(stage.directory("nginx"));
    let mut outside = Server::bare(&stage.directory("outside"), free_port());
    expect_from(&mut outside, &dns, &stage);
    let declared = |owner: &str| {
        let more = format!("issuers = [\"outside\"]\nowner = {owner:?}");
        shop_on(&["edge"], &more) + &nginx.table("edge", "") + &issuer(&outside)
    };
    let first = declared("one");
    let second = declared("another");

    let shop = stage.open(&first);
    let client = Client::trusting(&outside.trust);
    assert_eq!(client.leaf(nginx.address, NAME).as_ref(), Ok(&leaf(&shop, 1)));
    let pem = stage.directory("chain").join("shop.pem");
    fs::write(&pem, shop["pem"].as_str().expect("PEM")).expect("written");
    let chain = Chain::check(&outside.issuer, &pem, &[NAME]);
    chain.assert_not_revoked(&outside.issuer);

    succeed(&mut outside.command(["revoke", &chain.serial(), "--reason", "keyCompromise"]));
    chain.assert_revoked(&outside.issuer);
    // A CRL is good for an hour and a look comes twice a day: a start has none of the old ones, and
    // another declaration is a reason to look.
    stage.server.stop(Signal::TERM);
    stage.server.resume();
    expect_from(&mut outside, &dns, &stage);
    stage.declare(&second);
    let shop = stage.until("the second version", SHORT, |shop| {
        shop["version"] == 2 && shop["rotation"].is_null()
    });

    assert_eq!(client.leaf(nginx.address, NAME).as_ref(), Ok(&leaf(&shop, 2)));
    let rotation = &shop["rotations"][0];
    assert_eq!(rotation["because"], "the version served was revoked", "{rotation:#}");
    assert_eq!(shop["versions"][1]["status"], "revoked", "{shop:#}");
    let said = stage.say(&["status", "certificate", "shop"]);
    assert!(said.out.contains("the version served was revoked"), "{said:?}");
    let learned: Vec<_> =
        stage.events().into_iter().filter(|event| event["action"] == "version.revoked").collect();
    assert_eq!(learned.len(), 1, "{learned:#?}");
}

/// Has the CA look for the shop where Perennial listens now.
fn expect_from(outside: &mut Server, dns: &Dns, stage: &Stage) {
    let port = stage.server.directory.split(['/', ':']).find_map(|part| part.parse::<u16>().ok());
    outside.declare(
        "outside",
        &format!(
            "[[directory]]\nname = \"outside\"\nauthority = \"internal\"\nprofiles = [\"default\"]\n\
             [directory.validation]\n\
             tls_port = {}\nresolvers = [{:?}]\nloopback = true\n",
            port.expect("a port"),
            dns.address()
        ),
    );
}

/// The CA as an issuer.
fn issuer(outside: &Server) -> String {
    format!(
        "[[issuer]]\nname = \"outside\"\ndirectory = {:?}\nroots = {:?}\n\
         challenge = {{ kind = \"tls-alpn-01\" }}\n",
        outside.directory, outside.trust
    )
}
