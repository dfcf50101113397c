//! The property, over many years of virtual time: every unexpired token verifies at every declared
//! consumer at every instant, no key signs before it was proven and the required consumers fetched
//! it, and no bad token is accepted past the promised exposure. Whatever is drawn: policies,
//! consumers, edges, crashes, clocks, races and changes of mind.

use jiff::SignedDuration;
use jwks::consumer::Cache;
use jwks::{Algorithm, Consumer, Policy, Settings};

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
        let world = std::panic::catch_unwind(|| live(seed, 5 * YEAR));
        let world = world.unwrap_or_else(|_| panic!("in the world of JWKS_SEED={seed}"));
        years += world.now / YEAR;
        rotations += world.rotations;
        reinstated += world.reinstated;
    }
    println!("{years} years, {rotations} rotations, {reinstated} rolled back after the switch");
    assert!(rotations > usize::try_from(worlds).expect("few") * 20, "{rotations} rotations");
    assert!(worlds < 100 || reinstated > 100, "{reinstated} rolled back after the switch");
}

fn live(seed: u64, end: i64) -> World {
    let mut dice = Dice::new(seed ^ 0x5eed);
    let slack = 15 + dice.below(150);
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
            _ if close => 1 + world.dice.below(90),
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
        settings.max_age = seconds(dice.extreme(7200));
        settings.copy_age = seconds(dice.extreme(7200));
        settings.safety = if dice.one_in(2) { 100 } else { 150 };
        settings.lag = seconds(8 * slack + dice.extreme(600));
        settings.signer_lag = seconds(slack + dice.extreme(600));
        settings.grace = seconds(dice.extreme(86_400));
        if let Ok(policy) = Policy::new(settings) {
            return policy;
        }
    }
}
