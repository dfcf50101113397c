//! Challenges that passkeys answer. None is stored while it is out, so that strangers who ask for them cost
//! nothing: a challenge proves by its tag that it was made here, for what, and until when it is good.
//! Only those that were answered well are remembered, until they are good for nothing anyway.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::hmac;
use jiff::{SignedDuration, Timestamp};

use crate::world::World;

/// What a challenge is for. An answer to one is none to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To sign in.
    SignIn,
    /// To register a passkey, in the session of this secret's hash.
    Register([u8; 32]),
    /// To sign in at the identity provider of this name's hash.
    Provider([u8; 32]),
    /// To prove again who it is, in the session of this secret's hash.
    StepUp([u8; 32]),
}

/// Makes challenges, and uses them up.
pub(crate) struct Challenges {
    key: hmac::Key,
    /// Those that were used up, by their random part, and until when they would be good.
    used: Mutex<BTreeMap<[u8; NONCE], Timestamp>>,
}

impl Challenges {
    /// Starts with a key of its own: challenges do not outlive the process.
    pub(crate) fn new(world: &World) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &world.random::<32>());
        Self { key, used: Mutex::default() }
    }

    /// A challenge that never was, good for [`GOOD_FOR`], or [`ELSEWHERE`].
    pub(crate) fn make(&self, world: &World, purpose: Purpose) -> Vec<u8> {
        let good_for = match purpose {
            Purpose::Provider(_) => ELSEWHERE,
            _ => GOOD_FOR,
        };
        let until = (world.now() + good_for).as_second().to_be_bytes();
        let mut challenge = [&world.random::<NONCE>()[..], &until].concat();
        let tag = hmac::sign(&self.key, &tagged(&challenge, purpose));
        challenge.extend_from_slice(tag.as_ref());
        challenge
    }

    /// Whether `challenge` was made here for `purpose`, and is still good.
    pub(crate) fn is_good(&self, challenge: &[u8], purpose: Purpose, now: Timestamp) -> bool {
        let Some((head, tag)) = challenge.split_at_checked(HEAD) else { return false };
        let genuine = hmac::verify(&self.key, &tagged(head, purpose), tag).is_ok();
        genuine && until(head).is_some_and(|until| now < until)
    }

    /// Uses up a challenge that is good and was answered well. False: it was used up before.
    pub(crate) fn use_up(&self, challenge: &[u8], now: Timestamp) -> bool {
        let (Some(nonce), Some(until)) = (challenge.first_chunk(), until(challenge)) else {
            return false;
        };
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= MOST {
            used.retain(|_, until| now < *until);
        }
        // So many good answers in so short a time are an attack by somebody who has a passkey.
        used.len() < MOST && used.insert(*nonce, until).is_none()
    }
}

fn until(challenge: &[u8]) -> Option<Timestamp> {
    let seconds = challenge.get(NONCE..)?.first_chunk()?;
    Timestamp::from_second(i64::from_be_bytes(*seconds)).ok()
}

fn tagged(head: &[u8], purpose: Purpose) -> Vec<u8> {
    match purpose {
        Purpose::SignIn => [head, b"sign-in"].concat(),
        Purpose::Register(session) => [head, b"register", &session].concat(),
        Purpose::Provider(name) => [head, b"provider", &name].concat(),
        Purpose::StepUp(session) => [head, b"step-up", &session].concat(),
    }
}

/// How long somebody may look for their authenticator.
pub(crate) const GOOD_FOR: SignedDuration = SignedDuration::from_mins(5);
/// How long somebody may take to sign in at an identity provider.
const ELSEWHERE: SignedDuration = SignedDuration::from_mins(10);
const NONCE: usize = 16;
const HEAD: usize = NONCE + 8;
const MOST: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_good_for_one_purpose_for_a_time_and_once() {
        let world = World::system();
        let (challenges, now) = (Challenges::new(&world), world.now());
        let all = [
            Purpose::SignIn,
            Purpose::Register([1; 32]),
            Purpose::Register([2; 32]),
            Purpose::StepUp([1; 32]),
        ];
        for purpose in all {
            let challenge = challenges.make(&world, purpose);
            for other in all {
                assert_eq!(challenges.is_good(&challenge, other, now), other == purpose);
            }
            let late = now + SignedDuration::from_secs(302);
            assert!(!challenges.is_good(&challenge, purpose, late));
            assert!(
                !Challenges::new(&world).is_good(&challenge, purpose, now),
                "of another process"
            );
            for bit in 0..challenge.len() * 8 {
                let mut changed = challenge.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(!challenges.is_good(&changed, purpose, now), "{bit}");
            }
            for cut in 0..challenge.len() {
                assert!(!challenges.is_good(&challenge[..cut], purpose, now), "{cut}");
            }
            assert!(challenges.use_up(&challenge, now) && !challenges.use_up(&challenge, now));
        }
    }

    #[test]
    fn what_is_used_up_is_remembered_no_longer_than_it_would_be_good() {
        let world = World::system();
        let (challenges, now) = (Challenges::new(&world), world.now());
        for _ in 0..MOST {
            assert!(challenges.use_up(&challenges.make(&world, Purpose::SignIn), now));
        }
        assert!(!challenges.use_up(&challenges.make(&world, Purpose::SignIn), now));
        let later = now + SignedDuration::from_secs(302);
        assert!(challenges.use_up(&challenges.make(&world, Purpose::SignIn), later));
    }
}
