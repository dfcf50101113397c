//! Who verifies tokens with a set: how long each keeps what it fetched, and what it does when a token
//! names a key it does not know. The built-in table describes well-known ones with their defaults;
//! its sources are in the project's notes on JWKS rotation. What is undocumented counts as the worst
//! that was seen.

use jiff::SignedDuration;

/// A declared consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// Its name, as declared.
    pub name: String,
    /// How long it goes on with a set, or a key, that it knows.
    pub cache: Cache,
    /// What it does when a token names a key it does not know.
    pub unknown_kid: UnknownKid,
    /// How far past its expiry it accepts a token.
    pub skew: SignedDuration,
    /// Whether no key signs that it was not seen to fetch.
    pub required: bool,
    /// What is particular about it, one sentence; empty for one that is not in the table.
    pub quirk: &'static str,
}

/// How long what was fetched is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// At most so long.
    For(SignedDuration),
    /// Until a token names an unknown key, or a restart.
    Forever,
}

/// What happens at a `kid` that is not in the cached set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownKid {
    /// The set is fetched again, each time.
    Refetch,
    /// The set is fetched again, but not sooner than so long after the last time.
    Cooldown(SignedDuration),
    /// The token is refused, and the set stays until its cache time is over.
    Never,
}

impl Consumer {
    /// The consumer of this name: from the table, with `cache` in place of its default if given; or
    /// any other, which needs a cache time and is assumed never to fetch at an unknown key.
    ///
    /// # Errors
    /// [`BadConsumer`] when there is no cache time, or a senseless one.
    pub fn named(name: &str, cache: Option<SignedDuration>) -> Result<Self, BadConsumer> {
        let shown = || name.chars().take(64).collect::<String>();
        if cache.is_some_and(|cache| cache.is_negative() || cache > LONGEST) {
            return Err(BadConsumer::Cache(shown()));
        }
        let known = TABLE.iter().find(|row| row.name == name);
        let cache = match (cache, known.map(|row| row.cache)) {
            (Some(cache), _) => Cache::For(cache),
            (None, Some(For(seconds))) => Cache::For(SignedDuration::from_secs(seconds)),
            (None, Some(Forever)) => Cache::Forever,
            (None, Some(Declared)) => return Err(BadConsumer::Needed(shown())),
            (None, None) => return Err(BadConsumer::Unknown(shown())),
        };
        Ok(Self {
            name: name.to_owned(),
            cache,
            unknown_kid: known.map_or(UnknownKid::Never, |row| row.unknown_kid),
            skew: known.map_or(MINUTE, |row| SignedDuration::from_secs(row.skew)),
            required: false,
            quirk: known.map_or("", |row| row.quirk),
        })
    }

    /// The names in the table.
    pub fn names() -> impl Iterator<Item = &'static str> {
        TABLE.iter().map(|row| row.name)
    }

    /// Whether it fetches only for a key that it does not know: not before the key signs.
    #[must_use]
    pub fn is_lazy(&self) -> bool {
        self.cache == Cache::Forever
    }

    /// How long after it fetched a set this consumer may still refuse a key that was not in it.
    /// One that keeps a set forever fetches again for an unknown key, at the latest when its
    /// cooldown is over: that its cache never ends delays nothing.
    #[must_use]
    pub fn staleness(&self) -> SignedDuration {
        let cooldown = match self.unknown_kid {
            UnknownKid::Cooldown(time) => time,
            UnknownKid::Refetch | UnknownKid::Never => SignedDuration::ZERO,
        };
        match self.cache {
            Cache::For(time) => time.max(cooldown),
            Cache::Forever => cooldown,
        }
    }
}

/// A consumer that cannot be planned for, by fault of who declared it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadConsumer {
    /// Not in the table, and no cache time.
    #[error("consumer {0:?} is not in the table: say how long it caches the key set")]
    Unknown(String),
    /// In the table, but its cache time is whatever its operator set.
    #[error("consumer {0:?} caches as long as its operator set: say how long")]
    Needed(String),
    /// Negative, or longer than ten years.
    #[error("consumer {0:?} has a cache time that is negative or longer than ten years")]
    Cache(String),
}

struct Row {
    name: &'static str,
    cache: Usual,
    unknown_kid: UnknownKid,
    /// Seconds.
    skew: i64,
    quirk: &'static str,
}

/// A cache time in the table.
#[derive(Clone, Copy)]
enum Usual {
    /// Seconds.
    For(i64),
    Forever,
    /// Set by its operator.
    Declared,
}

const fn row(
    name: &'static str,
    cache: Usual,
    unknown_kid: UnknownKid,
    skew: i64,
    quirk: &'static str,
) -> Row {
    Row { name, cache, unknown_kid, skew, quirk }
}

const fn cooldown(seconds: i64) -> UnknownKid {
    UnknownKid::Cooldown(SignedDuration::from_secs(seconds))
}

use Usual::{Declared, For, Forever};

const TABLE: [Row; 20] = [
    row("apigee", For(300), UnknownKid::Never, 60, "Caches for a fixed five minutes."),
    row("authlib", Declared, UnknownKid::Never, 0, "Does not fetch by itself."),
    row(
        "aws-api-gateway",
        For(7200),
        UnknownKid::Never,
        60,
        "May cache for two hours, and takes RSA keys only.",
    ),
    row("azure-apim", For(3600), cooldown(300), 60, "Fetches again at most every five minutes."),
    row(
        "envoy",
        For(600),
        UnknownKid::Never,
        60,
        "Does not fetch at an unknown key; each worker has its own cache.",
    ),
    row(
        "go-oidc",
        Forever,
        UnknownKid::Refetch,
        0,
        "Trusts a key it knows until it meets one it does not know; version 2 fetches for that not \
         before max-age has 30 seconds left.",
    ),
    row(
        "istio",
        For(1200),
        UnknownKid::Never,
        60,
        "istiod fetches for everyone, every 20 minutes.",
    ),
    row("jose", For(600), cooldown(30), 0, "After its cache time a failed fetch fails the token."),
    row(
        "joserfc",
        Declared,
        UnknownKid::Never,
        0,
        "Does not fetch by itself; newer ones take EdDSA only where it is named.",
    ),
    row("jsonwebtoken", Declared, UnknownKid::Never, 60, "Does not fetch by itself."),
    row(
        "jwks-rsa",
        For(600),
        UnknownKid::Refetch,
        0,
        "Caches five single keys, and leaves out keys of type AKP.",
    ),
    row("keycloak", For(86_400), cooldown(10), 0, "Keeps another issuer's keys for a day."),
    row(
        "keyfunc",
        For(3600),
        cooldown(300),
        0,
        "Tokens with random keys can delay a fetch by five minutes.",
    ),
    row(
        "microsoft-identitymodel",
        For(43_200),
        cooldown(300),
        300,
        "The first token with a new key may fail; falls back to the last good set for an hour.",
    ),
    row(
        "mod-auth-openidc",
        For(3600),
        UnknownKid::Refetch,
        0,
        "Apache's; caches for five minutes at least, and knows no EdDSA.",
    ),
    row("nginx", Declared, UnknownKid::Never, 0, "auth_jwt_key_cache is set by its operator."),
    row("nimbus", For(300), cooldown(30), 60, "Refuses the name Ed25519."),
    row("pyjwt", For(300), cooldown(30), 0, "With cache_keys on, a key it knows is never dropped."),
    row(
        "spring-security",
        For(300),
        UnknownKid::Refetch,
        60,
        "Every expiry of its cache blocks a request.",
    ),
    row(
        "zitadel-oidc",
        Forever,
        UnknownKid::Refetch,
        0,
        "Trusts a key it knows until it meets one it does not know.",
    ),
];

const MINUTE: SignedDuration = SignedDuration::from_secs(60);
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 3653);
