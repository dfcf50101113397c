//! The property, over many years of virtual time: every unexpired token verifies at every declared
//! consumer at every instant, no key signs before it was proven and the required consumers fetched
//! it, nothing is exported that was not declared, and no bad token is accepted past the promised
//! exposure. Whatever is drawn: policies, consumers, edges, signer targets, crashes, clocks, races and
//! changes of mind.

use jiff::SignedDuration;
use jwks::consumer::{Cache, UnknownKid};
use jwks::{Algorithm, Consumer, Policy, Settings, SignerTarget};

use crate::dice::Dice;
use crate::world::{World, secs};

const YEAR: i64 = 365 * 86_400;

/// Two thousand years, in some seconds; `JWKS_WORLDS=2000` makes them ten thousand, and `JWKS_SEED`
/// says with which world to begin.
#[test]
fn every_unexpired_token_verifies_everywhere_at_every_instant() {
    let worlds = std::env::var("JWKS_WORLDS").ok().and_then(|n| n.parse().ok()).unwrap_or(400);
    let first = std::env::var("JWKS_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    let (mut years, mut rotations, mut reinstated) = (0, 0, 0);
    for seed in first..first + worlds {
        let world = std::panic::catch_unwind(|| {
            let mut dice = Dice::new(seed ^ 0x5eed);
            let slack = 15 + dice.below(150);
            live(seed, 5 * YEAR, slack, dice, draw)
        });
        let world = world.unwrap_or_else(|_| panic!("in the world of JWKS_SEED={seed}"));
        years += world.now / YEAR;
        rotations += world.rotations;
        reinstated += world.reinstated;
    }
    println!("{years} years, {rotations} rotations, {reinstated} rolled back after the switch");
    assert!(rotations > usize::try_from(worlds).expect("few") * 20, "{rotations} rotations");
    assert!(worlds < 100 || reinstated > 100, "{reinstated} rolled back after the switch");
}

/// The same where everything takes seconds: what is declared to see rotations in a test.
#[test]
fn every_unexpired_token_verifies_where_keys_live_for_seconds() {
    let worlds = std::env::var("JWKS_WORLDS").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let first = std::env::var("JWKS_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut rotations = 0;
    for seed in first..first + worlds {
        let world = std::panic::catch_unwind(|| {
            live(seed, 86_400, 1, Dice::new(seed ^ 0x5ec0), draw_short)
        });
        let world = world.unwrap_or_else(|_| panic!("in the world of JWKS_SEED={seed}"));
        rotations += world.rotations;
    }
    println!("{worlds} days, {rotations} rotations");
    assert!(rotations > usize::try_from(worlds).expect("few") * 100, "{rotations} rotations");
}

fn live(
    seed: u64,
    end: i64,
    slack: i64,
    mut dice: Dice,
    draw: fn(&mut Dice, i64) -> Policy,
) -> World {
    let policy = draw(&mut dice, slack);
    let mut world = World::new(seed, policy, slack);
    let mut close = false;
    while world.now < end {
        let lead = secs(world.policy.lead().total());
        let planned = world.planned();
        if world.is_quiet()
            && let Some(at) = planned
        {
            // Nothing happens for long: a consumer that fetched last is as old as it can be.
            let before = world.dice.below(lead);
            let pause = at - world.now - before;
            if pause > lead {
                world.pass(pause);
            }
        }
        let stride = match world.dice.below(5) {
            // Just after something happened is when it is too early or too late.
            _ if close => 1 + world.dice.below(90.min(world.slack * 4)),
            0 => world.slack / 4,
            1 => lead / 12,
            2 => lead / 5,
            _ => secs(world.policy.retirement().total()) / 8,
        };
        let jump = world.planned().map(|at| at - world.now).filter(|left| *left < stride);
        close = jump.is_some();
        world.pass(jump.unwrap_or(stride));
        match world.dice.below(600) {
            0 => world.ask(),
            1 => world.roll_back(),
            2 => world.emergency(),
            3 | 4 => {
                let policy = draw(&mut dice, slack);
                world.reconfigure(policy);
            }
            5..=8 => world.reinstate(),
            // An operator who undeclares a keyset has mostly erred, and declares it again.
            9 if !world.keyset.closed => world.toggle(),
            9..=50 if world.keyset.closed => world.toggle(),
            _ => {}
        }
    }
    world
}

/// A policy that can be kept, whatever it is. `slack` is an eighth of the lag at the most.
fn draw(dice: &mut Dice, slack: i64) -> Policy {
    let seconds = SignedDuration::from_secs;
    loop {
        let algorithms = [Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa];
        let mut settings = Settings::new(
            *dice.pick(&algorithms),
            seconds(3600 + dice.below(60 * 86_400)),
            seconds(60 + dice.extreme(86_400)),
        );
        let second = *dice.pick(&algorithms);
        if dice.one_in(4) && !settings.algorithms.contains(&second) {
            settings.algorithms.push(second);
        }
        let names: Vec<&str> = Consumer::names().collect();
        for _ in 0..dice.below(4) {
            let cache = if dice.one_in(2) { None } else { Some(seconds(dice.extreme(40_000))) };
            let name = if dice.one_in(4) { "ours" } else { *dice.pick(&names) };
            if let Ok(consumer) = Consumer::named(name, cache) {
                settings.consumers.push(consumer);
            }
        }
        settings.edges = ["a", "b", "c"].map(str::to_owned).to_vec();
        settings.edges.truncate(usize::try_from(dice.below(4)).expect("small"));
        if settings.edges.is_empty() && dice.one_in(2) {
            let bounded = |consumer: &&mut Consumer| consumer.cache != Cache::Forever;
            for consumer in settings.consumers.iter_mut().filter(bounded) {
                consumer.required = dice.one_in(2);
            }
        }
        for name in ["one", "two"] {
            if dice.one_in(3) {
                let settle = seconds(dice.extreme(3600));
                let algorithm = *dice.pick(&settings.algorithms);
                settings.signers.push(SignerTarget { name: name.to_owned(), algorithm, settle });
            }
        }
        settings.max_age = seconds(dice.extreme(7200));
        settings.copy_age = seconds(dice.extreme(7200));
        settings.safety = if dice.one_in(2) { 100 } else { 150 };
        settings.lag = seconds(8 * slack + dice.extreme(600));
        settings.signer_lag = seconds(slack + 1 + dice.extreme(600));
        settings.grace = seconds(dice.extreme(86_400));
        if let Ok(policy) = Policy::new(settings) {
            return policy;
        }
    }
}

/// A policy of seconds that can be kept.
fn draw_short(dice: &mut Dice, slack: i64) -> Policy {
    let seconds = SignedDuration::from_secs;
    loop {
        let algorithms = [Algorithm::Es256, Algorithm::EdDsa];
        let mut settings = Settings::new(
            *dice.pick(&algorithms),
            seconds(12 + dice.below(300)),
            seconds(1 + dice.below(30)),
        );
        for _ in 0..dice.below(3) {
            let name = *dice.pick(&["jose", "envoy", "jwks-rsa", "go-oidc"]);
            let cache = if name == "go-oidc" { None } else { Some(seconds(dice.below(20))) };
            let mut consumer = Consumer::named(name, cache).expect("in the table");
            consumer.skew = seconds(dice.below(3));
            if let UnknownKid::Cooldown(time) = &mut consumer.unknown_kid {
                *time = seconds(dice.below(20));
            }
            settings.consumers.push(consumer);
        }
        settings.edges = ["a", "b"].map(str::to_owned).to_vec();
        settings.edges.truncate(usize::try_from(dice.below(3)).expect("small"));
        settings.max_age = seconds(1 + dice.below(10));
        settings.copy_age = seconds(dice.below(10));
        settings.safety = 100;
        settings.lag = seconds(8 * slack);
        settings.skew = seconds(dice.below(3));
        settings.signer_lag = seconds(slack + 1 + dice.below(3));
        if let Ok(policy) = Policy::new(settings) {
            return policy;
        }
    }
}
