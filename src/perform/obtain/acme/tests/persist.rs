//! dns-persist-01 at our own server, which offers it.

use super::super::{AcmeSpec, account};
use super::knot::Knot;
use super::own::Own;
use super::scene::{assert_good, home, wanted};

#[tokio::test(flavor = "multi_thread")]
async fn the_record_to_write_is_told_and_once_it_is_there_nothing_else_is_needed() {
    let knot = Knot::start(&home(), &["127.0.0.1"]);
    let settings = "profiles = ['default']\ncaa_identities = ['ca.test']\n\
                    challenges = ['dns-persist-01']";
    let ca = Own::serving(settings, knot.port).await;
    let challenge = knot.looking("0s").replace("propagation = '0s'\n", "");
    let challenge = challenge.replace("dns-01", "dns-persist-01");
    let challenge = toml::from_str(&challenge).expect("a declaration");
    let spec = AcmeSpec { challenge, ..ca.spec("") };
    let client = account(&spec, None).await.expect("an account").0;
    let names = ["open.test", "*.open.test"];
    let wanted = wanted(&names);
    let mut url = String::new();
    let order = client.order(&wanted, &ca.node.answers, async |at| url = at).await;
    let error = order.expect_err("no record");
    assert!(!error.is_order_over(), "the order waits for the record: {error:?}");
    let told = error.to_string();
    let value = told.split('"').nth(1).unwrap_or_else(|| panic!("{told}"));
    assert!(value.starts_with("ca.test; accounturi="), "{told}");
    let value = format!("{}; policy=wildcard", value.trim_end_matches("; policy=wildcard"));
    knot.update(&format!("update add _validation-persist.open.test. 1 TXT \"{value}\""));
    let chain = client.resume(&url, &wanted, &ca.node.answers).await.expect("a certificate");
    assert_good(&chain, &names);
}
