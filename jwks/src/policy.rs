//! What is declared for a keyset, checked: a [`Policy`] that exists can be kept. Only settings that
//! allow one rotation to end before the next begins get that far.

use jiff::SignedDuration;

use crate::algorithm::Algorithm;
use crate::consumer::{Consumer, UnknownKid};
use crate::elsewhere::SignerTarget;
use crate::window::{Lead, Retirement, words};

/// What is declared, unchecked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// With which algorithms tokens are signed; the first is the usual one. Each has its own key.
    pub algorithms: Vec<Algorithm>,
    /// Who verifies.
    pub consumers: Vec<Consumer>,
    /// URLs that must serve a key before it signs.
    pub edges: Vec<String>,
    /// Places that are given the private keys and sign with them.
    pub signers: Vec<SignerTarget>,
    /// How long a key signs.
    pub rotate_every: SignedDuration,
    /// The longest lifetime of a token.
    pub token_lifetime: SignedDuration,
    /// The longest `max-age` that is served.
    pub max_age: SignedDuration,
    /// How old what a CDN serves may be beyond `max-age`.
    pub copy_age: SignedDuration,
    /// Safety on what is cached, in percent.
    pub safety: u16,
    /// How long until every node serves what one has decided, with reserve: that takes a quarter of
    /// it at most, nodes' clocks disagree by another, and edges are proven in the second half.
    pub lag: SignedDuration,
    /// How far past its expiry a consumer accepts a token, at least.
    pub skew: SignedDuration,
    /// How far nodes' clocks are from the true time, or signers beyond their lease, and a second.
    pub signer_lag: SignedDuration,
    /// How long the private half of a key that was replaced is kept, to go back to it. Zero: it is
    /// destroyed at once.
    pub grace: SignedDuration,
}

impl Settings {
    /// The usual settings for what must be declared.
    #[must_use]
    pub fn new(
        algorithm: Algorithm,
        rotate_every: SignedDuration,
        token_lifetime: SignedDuration,
    ) -> Self {
        Self {
            algorithms: vec![algorithm],
            consumers: Vec::new(),
            edges: Vec::new(),
            signers: Vec::new(),
            rotate_every,
            token_lifetime,
            max_age: SignedDuration::from_mins(5),
            copy_age: SignedDuration::ZERO,
            safety: 125,
            lag: SignedDuration::from_mins(10),
            skew: SignedDuration::from_mins(5),
            signer_lag: SignedDuration::from_mins(1),
            grace: SignedDuration::ZERO,
        }
    }

    fn lead(&self) -> Lead {
        let slowest = self.consumers.iter().max_by_key(|consumer| consumer.staleness());
        let slowest = slowest.filter(|consumer| !consumer.staleness().is_zero());
        Lead {
            staleness: slowest.map_or(SignedDuration::ZERO, Consumer::staleness),
            consumer: slowest.map(|consumer| consumer.name.clone()),
            max_age: self.max_age,
            copy_age: self.copy_age,
            safety: self.safety,
            lag: self.lag,
        }
    }

    fn retirement(&self) -> Retirement {
        let skews = self.consumers.iter().map(|consumer| consumer.skew);
        Retirement {
            token_lifetime: self.token_lifetime,
            skew: skews.fold(self.skew, Ord::max),
            signer_lag: self.signer_lag,
        }
    }

    fn check_algorithms(&self) -> Result<(), Impossible> {
        let Some(first) = self.algorithms.first() else { return Err(Impossible::NoAlgorithm) };
        for (place, algorithm) in self.algorithms.iter().enumerate() {
            if self.algorithms[..place].contains(algorithm) {
                return Err(Impossible::Twice(*algorithm));
            }
            if algorithm.is_classical() != first.is_classical() {
                return Err(Impossible::Mixed(*first, *algorithm));
            }
        }
        Ok(())
    }

    fn check_signers(&self) -> Result<(), Impossible> {
        for (place, signer) in self.signers.iter().enumerate() {
            if !self.algorithms.contains(&signer.algorithm) {
                return Err(Impossible::Signer(signer.name.clone(), signer.algorithm));
            }
            if self.signers[..place].iter().any(|other| other.name == signer.name) {
                return Err(Impossible::SameSigner(signer.name.clone()));
            }
            if signer.settle.is_negative() || signer.settle > LONGEST {
                return Err(Impossible::Duration("signers"));
            }
        }
        Ok(())
    }

    fn check_durations(&self) -> Result<(), Impossible> {
        for (name, duration) in [
            ("rotate_every", self.rotate_every),
            ("token_lifetime", self.token_lifetime),
            ("max_age", self.max_age),
            ("copy_age", self.copy_age),
            ("lag", self.lag),
            ("skew", self.skew),
            ("signer_lag", self.signer_lag),
            ("grace", self.grace),
        ] {
            if duration.is_negative() || duration > LONGEST {
                return Err(Impossible::Duration(name));
            }
        }
        for (name, duration, least) in [
            ("token_lifetime", self.token_lifetime, SECOND),
            ("max_age", self.max_age, SECOND),
            ("lag", self.lag, LEAST_LAG),
            ("signer_lag", self.signer_lag, LEAST_SIGNER_LAG),
        ] {
            if duration < least {
                return Err(Impossible::Least(name, least));
            }
        }
        if !(100..=1000).contains(&self.safety) {
            return Err(Impossible::Safety(self.safety));
        }
        Ok(())
    }
}

/// Settings that can be kept, and what follows from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    settings: Settings,
    lead: Lead,
    retirement: Retirement,
}

impl Policy {
    /// Checks `settings`.
    ///
    /// # Errors
    /// [`Impossible`] says why they cannot be kept and what to change.
    pub fn new(settings: Settings) -> Result<Self, Impossible> {
        settings.check_algorithms()?;
        settings.check_durations()?;
        settings.check_signers()?;
        for consumer in &settings.consumers {
            if consumer.is_lazy() && consumer.unknown_kid == UnknownKid::Never {
                return Err(Impossible::Frozen(consumer.name.clone()));
            }
            if consumer.is_lazy() && consumer.required {
                return Err(Impossible::Unseen(consumer.name.clone()));
            }
            if consumer.staleness() > LONGEST || consumer.skew > LONGEST {
                return Err(Impossible::Duration("consumers"));
            }
        }
        let (lead, retirement) = (settings.lead(), settings.retirement());
        if settings.rotate_every < lead.total() + retirement.total() {
            let every = settings.rotate_every;
            return Err(Impossible::Short { every, lead: Box::new(lead), retirement });
        }
        let most = settings.rotate_every - lead.total();
        if settings.grace > most {
            return Err(Impossible::Grace { grace: settings.grace, most });
        }
        Ok(Self { settings, lead, retirement })
    }

    /// What was declared.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How long a key is announced before it signs.
    #[must_use]
    pub fn lead(&self) -> &Lead {
        &self.lead
    }

    /// How long a key stays after its last signature.
    #[must_use]
    pub fn retirement(&self) -> Retirement {
        self.retirement
    }

    /// The signer targets that sign with this algorithm.
    pub(crate) fn signers(&self, algorithm: Algorithm) -> impl Iterator<Item = &SignerTarget> {
        self.settings.signers.iter().filter(move |signer| signer.algorithm == algorithm)
    }

    /// The signer target of this name.
    #[must_use]
    pub fn signer(&self, name: &str) -> Option<&SignerTarget> {
        self.settings.signers.iter().find(|signer| signer.name == name)
    }

    /// For how long a signer may be allowed to sign: ten minutes, or an eighth of how long a key
    /// signs, whole seconds. A key that was replaced stays for so much longer at the most.
    #[must_use]
    pub fn lease(&self) -> SignedDuration {
        let eighth = SignedDuration::from_secs(self.settings.rotate_every.as_secs() / 8);
        eighth.clamp(SECOND, LONGEST_LEASE)
    }

    /// Whether tokens are signed with this algorithm.
    pub(crate) fn declares(&self, algorithm: Algorithm) -> bool {
        self.settings.algorithms.contains(&algorithm)
    }
}

/// Settings that cannot be kept, by fault of who declared them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// No algorithm.
    #[error("the keyset has no algorithm: declare one, such as ES256")]
    NoAlgorithm,
    /// An algorithm that is declared twice.
    #[error("the keyset declares {0} twice")]
    Twice(Algorithm),
    /// Key types that break each other's consumers.
    #[error(
        "the keyset mixes {0} and {1}: keys of type AKP make some consumers drop the whole set; \
         declare a keyset of its own for ML-DSA"
    )]
    Mixed(Algorithm, Algorithm),
    /// A duration that is negative, or longer than ten years.
    #[error("the keyset's {0} is negative or longer than ten years")]
    Duration(&'static str),
    /// Less than can be told apart on clocks that are read in whole seconds.
    #[error("the keyset's {0} is less than {least}: clocks are read in whole seconds", least = words(*.1))]
    Least(&'static str, SignedDuration),
    /// Less than one, or more than ten.
    #[error("the keyset's safety is {0} %: 100 to 1000 can be kept")]
    Safety(u16),
    /// A signer target for an algorithm that is not declared.
    #[error("signer {0:?} is to sign with {1}, which the keyset does not: declare it, or another")]
    Signer(String, Algorithm),
    /// Two signer targets that are one.
    #[error("the keyset declares signer {0:?} twice")]
    SameSigner(String),
    /// A consumer that never fetches twice.
    #[error(
        "consumer {0:?} never fetches the set again: declare as its cache time how often it is \
         restarted"
    )]
    Frozen(String),
    /// A key would be kept to go back to when the next one is announced already.
    #[error(
        "grace {grace} is too long: the next key is announced {most} after the switch; shorten it, \
         or lengthen rotate_every",
        grace = words(*grace),
        most = words(*most)
    )]
    Grace {
        /// How long it would be kept.
        grace: SignedDuration,
        /// How long it may be.
        most: SignedDuration,
    },
    /// A required consumer that fetches no key before it signs.
    #[error(
        "consumer {0:?} fetches the set only for a key that signs already, so it cannot be required \
         to fetch it before: declare how long it caches, or leave out required"
    )]
    Unseen(String),
    /// The next rotation would begin before this one has ended.
    #[error(
        "rotate_every {every} is too short for {lead} and {retirement}: make it at least {least}, \
         shorten token_lifetime or max_age, or declare consumers that cache for less time",
        every = words(*every),
        least = words(lead.total() + retirement.total())
    )]
    Short {
        /// How long a key would sign.
        every: SignedDuration,
        /// What comes before.
        lead: Box<Lead>,
        /// What comes after.
        retirement: Retirement,
    },
}

const SECOND: SignedDuration = SignedDuration::from_secs(1);
/// A quarter of it is a second.
const LEAST_LAG: SignedDuration = SignedDuration::from_secs(4);
/// One second for clocks, one for who still accepts a token in the second in which it expires.
const LEAST_SIGNER_LAG: SignedDuration = SignedDuration::from_secs(2);
const LONGEST_LEASE: SignedDuration = SignedDuration::from_mins(10);
/// Ten years.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 3653);
