//! `kill -9` at random moments under load, and again on the same data directory. Clients write down
//! whatever the server acknowledged; after each restart all of it must be there, and everything
//! begun can be finished. What survives a power cut is the disk's part: the store syncs before it
//! acknowledges.

mod audit;
mod ledger;
mod load;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::dns::Dns;
use crate::node::Site;
use crate::program::{free_port, program, succeed};
use crate::scene::Home;
use crate::web;
use ledger::Ledger;
use load::Load;
pub(crate) use load::Random;

/// The seed is printed when the test fails; `PERENNIAL_TEST_SEED` repeats it, as far as moments can
/// be repeated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost() {
    let seed = std::env::var("PERENNIAL_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    let seed = seed.unwrap_or(u64::from(now.subsec_nanos()));
    println!("PERENNIAL_TEST_SEED={seed}");
    let mut random = Random::new(seed);
    let home = Home::clear("crash");
    let (dns, tokens) = (Dns::start(&home.directory("dns")), home.directory("tokens"));
    let http_port = free_port();
    web::serve_tokens(&tokens, http_port);
    let site = Site::new(&home.directory("node"), http_port, &dns.address());
    let ledger = Ledger::default();
    let begun = Instant::now();
    let mut kills = 0;
    while kills < KILLS && begun.elapsed() < LONGEST {
        let node = site.start();
        let load = Load { node: &node, tokens: &tokens, ledger: &ledger, round: kills };
        if kills % CHECK_EVERY == 0 {
            ledger.check(&node, &mut random, SAMPLE).await;
            load.finish_begun().await;
        }
        let running = load.start(&mut random);
        // Mostly in the very moment of an acknowledgement: it must be durable already.
        let moment = tokio::time::sleep(Duration::from_millis(200 + random.below(3000)));
        tokio::select! {
            () = ledger.acknowledges(1 + random.below(60)) => {}
            () = moment => {}
        }
        node.daemon.kill();
        running.await;
        kills += 1;
        println!("killed {kills} times in {:?}: {ledger}", begun.elapsed());
    }
    let node = site.start();
    ledger.check(&node, &mut random, usize::MAX).await;
    let load = Load { node: &node, tokens: &tokens, ledger: &ledger, round: kills };
    load.finish_begun().await;
    ledger.assert_revoked(&site).await;
    assert_eq!(site.admin("/readyz").0, 200);
    drop(node);
    audit::check(&site.store(), &ledger);
    // The log of hashes is whole, killed as often as it was.
    let mut verify = program(env!("CARGO_BIN_EXE_perennial"));
    let said = succeed(verify.args(["audit", "verify", "--store"]).arg(site.store()));
    println!("{said}");
    println!("{:?}: {ledger}", begun.elapsed());
    ledger.assert_worth();
}

const KILLS: usize = 18;
/// Kills between two looks at what is left.
const CHECK_EVERY: usize = 3;
/// How many accounts and orders are looked at that have been looked at before.
const SAMPLE: usize = 12;
const LONGEST: Duration = Duration::from_secs(30);
