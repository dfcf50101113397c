//! API tokens: how their text looks, what is kept of it, and what each may be used for. Who holds
//! one proves nothing but that, so a token is good for a list of things and no more.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::access::Role;
use crate::world::World;

/// A token as its holder has it.
pub(crate) struct Token(Zeroizing<String>);

impl Token {
    /// A token nobody can guess.
    pub(crate) fn new(world: &World) -> Self {
        let secret = Zeroizing::new(world.random::<SECRET>());
        let mut text = Zeroizing::new(String::with_capacity(LENGTH));
        text.push_str(PREFIX);
        BASE64URL_NOPAD.encode_append(secret.as_slice(), &mut text);
        Self(text)
    }

    /// What has the form of a token; whether there is such a one is for the store to say.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let secret = text.strip_prefix(PREFIX)?;
        let whole = text.len() == LENGTH && secret.bytes().all(plain);
        whole.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The text, for the one answer that shows it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// SHA-256 of the text: all that is ever stored. Nobody can try out 256 random bits, so no
    /// slow hash is needed.
    pub(crate) fn hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, self.0.as_bytes()).as_ref());
        hash
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Everything a token may be used for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Grant>")]
pub(crate) struct Scope(Vec<Grant>);

impl Scope {
    /// Whether a thing of this kind and name is among it.
    pub(crate) fn covers(&self, kind: Kind, name: &str) -> bool {
        self.0.iter().any(|grant| grant.kind == kind && grant.pattern.covers(name))
    }

    /// The roles among it.
    pub(crate) fn roles(&self) -> impl Iterator<Item = Role> {
        let named = self.0.iter().filter(|grant| grant.kind == Kind::Role);
        named.filter_map(|grant| match &grant.pattern {
            Pattern::Name(name) => name.parse().ok(),
            Pattern::Prefix(_) => None,
        })
    }
}

impl Scope {
    /// The groups among it.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &str> {
        let named = self.0.iter().filter(|grant| grant.kind == Kind::Group);
        named.filter_map(|grant| match &grant.pattern {
            Pattern::Name(name) => Some(name.as_str()),
            Pattern::Prefix(_) => None,
        })
    }

    /// Whether private keys are among it.
    pub(crate) fn gives_keys(&self) -> bool {
        self.0.iter().any(|grant| matches!(grant.kind, Kind::Certificate | Kind::Keyset))
    }
}

impl TryFrom<Vec<Grant>> for Scope {
    type Error = BadScope;

    fn try_from(grants: Vec<Grant>) -> Result<Self, BadScope> {
        match grants.len() {
            0 => Err(BadScope::Empty),
            1..=MAX_GRANTS => Ok(Self(grants)),
            _ => Err(BadScope::TooMuch),
        }
    }
}

/// A thing, or the things whose names begin alike: `certificate/shop`, `keyset/auth-*`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Grant {
    kind: Kind,
    pattern: Pattern,
}

/// The kinds of things that tokens are good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A managed certificate, with its private key.
    Certificate,
    /// A set of signing keys.
    Keyset,
    /// A role at the API.
    Role,
    /// A group that bindings give roles to.
    Group,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Keyset => "keyset",
            Self::Role => "role",
            Self::Group => "group",
        }
    }
}

/// A name, or how names begin.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Name(String),
    Prefix(String),
}

impl Pattern {
    fn covers(&self, name: &str) -> bool {
        match self {
            Self::Name(whole) => whole == name,
            Self::Prefix(prefix) => name.starts_with(prefix),
        }
    }
}

impl Pattern {
    fn names_role(&self) -> bool {
        matches!(self, Self::Name(name) if name.parse::<Role>().is_ok())
    }
}

impl FromStr for Grant {
    type Err = BadScope;

    fn from_str(text: &str) -> Result<Self, BadScope> {
        let bad = || BadScope::Grant(text.chars().take(80).collect());
        let (kind, name) = text.split_once('/').ok_or_else(bad)?;
        let kind = [Kind::Certificate, Kind::Keyset, Kind::Role, Kind::Group]
            .into_iter()
            .find(|known| known.name() == kind);
        let kind = kind.ok_or_else(bad)?;
        let (name, pattern): (_, fn(String) -> Pattern) = match name.strip_suffix('*') {
            Some(prefix) => (prefix, Pattern::Prefix),
            None if name.is_empty() => return Err(bad()),
            None => (name, Pattern::Name),
        };
        // What names are made of: nothing else could ever be covered.
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        if name.len() > MAX_NAME || !name.bytes().all(plain) {
            return Err(bad());
        }
        let pattern = pattern(name.to_owned());
        if kind == Kind::Role && !pattern.names_role() {
            return Err(BadScope::Role);
        }
        if kind == Kind::Group && matches!(pattern, Pattern::Prefix(_)) {
            return Err(bad());
        }
        Ok(Self { kind, pattern })
    }
}

impl TryFrom<String> for Grant {
    type Error = BadScope;

    fn try_from(text: String) -> Result<Self, BadScope> {
        text.parse()
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.name();
        match &self.pattern {
            Pattern::Name(name) => write!(f, "{kind}/{name}"),
            Pattern::Prefix(prefix) => write!(f, "{kind}/{prefix}*"),
        }
    }
}

impl From<Grant> for String {
    fn from(grant: Grant) -> Self {
        grant.to_string()
    }
}

/// What a token is to be used for is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadScope {
    #[error(
        "a token that is good for nothing is of no use; name a certificate, a keyset, a role or a group"
    )]
    Empty,
    #[error("a token may name {MAX_GRANTS} things at the most; use a pattern such as edge-*")]
    TooMuch,
    #[error(
        "{0:?} is nothing a token is for: write certificate/NAME or keyset/NAME, where NAME may end \
         in * for all that begin so, or role/NAME or group/NAME"
    )]
    Grant(String),
    #[error(
        "there is no such role: it is one of viewer, auditor, approver, issuer, rotator, operator, admin"
    )]
    Role,
}

/// Tells people and secret scanners what it is that they have found.
const PREFIX: &str = "perennial_";
const SECRET: usize = 32;
/// Of the whole text: 32 bytes are 43 characters.
const LENGTH: usize = PREFIX.len() + 43;
const MAX_GRANTS: usize = 100;
const MAX_NAME: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(grants: &[&str]) -> Scope {
        serde_json::from_value(serde_json::json!(grants)).expect("a scope")
    }

    #[test]
    fn a_token_is_recognised_and_its_hash_depends_on_all_of_it() {
        let token = Token::new(&World::system());
        let text = token.reveal().to_owned();
        assert!(text.starts_with("perennial_"), "{text}");
        assert_eq!(text.len(), LENGTH);
        assert_eq!(Token::parse(&text).expect("a token").hash(), token.hash());
        for (at, was) in text.char_indices().skip(PREFIX.len()) {
            let mut other = text.clone();
            other.replace_range(at..=at, if was == 'A' { "B" } else { "A" });
            assert_ne!(Token::parse(&other).expect("a token").hash(), token.hash(), "{at}");
        }
        assert_ne!(Token::new(&World::system()).hash(), token.hash());
    }

    #[test]
    fn what_has_not_the_form_of_a_token_is_none() {
        let text = Token::new(&World::system()).reveal().to_owned();
        let cut = &text[..text.len() - 1];
        let long = format!("{text}A");
        let strange = format!("{cut}=");
        let unmarked = text.replace("perennial_", "");
        for bad in ["", "perennial_", cut, &long, &strange, &unmarked, &text.to_uppercase()] {
            assert!(Token::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_token_does_not_show_itself() {
        let token = Token::new(&World::system());
        assert_eq!(format!("{token:?}"), "Token");
    }

    #[test]
    fn a_scope_covers_what_it_names_and_what_begins_as_it_says() {
        let everything = scope(&["certificate/*"]);
        let scope = scope(&["certificate/shop", "certificate/edge-*", "keyset/auth"]);
        for name in ["shop", "edge-", "edge-a", "edge-a-b"] {
            assert!(scope.covers(Kind::Certificate, name), "{name}");
        }
        for name in ["", "sho", "shop2", "edge", "medge-a", "auth", "edge*", "SHOP"] {
            assert!(!scope.covers(Kind::Certificate, name), "{name}");
        }
        assert!(scope.covers(Kind::Keyset, "auth") && !scope.covers(Kind::Keyset, "shop"));
        assert!(everything.covers(Kind::Certificate, "any"));
    }

    #[test]
    fn a_scope_is_written_as_it_was_read() {
        let grants = ["certificate/shop", "certificate/*", "keyset/auth-*"];
        let written = serde_json::to_value(scope(&grants)).expect("JSON");
        assert_eq!(written, serde_json::json!(grants));
    }

    #[test]
    fn what_a_token_cannot_be_for_is_refused_and_said() {
        for bad in [
            "",
            "shop",
            "/shop",
            "certificate/",
            "certificate/a*b",
            "certificate/**",
            "certificate/*-a",
            "certificate/Shop",
            "certificate/a/b",
            "target/a",
            "certificates/shop",
            "certificate/shop.pem",
            "group/*",
            "group/a-*",
            "role/*",
        ] {
            assert!(bad.parse::<Grant>().is_err(), "{bad:?}");
        }
        assert!(format!("certificate/{}", "a".repeat(63)).parse::<Grant>().is_ok());
        assert!(format!("certificate/{}", "a".repeat(64)).parse::<Grant>().is_err());
        let grant: Grant = "certificate/*".parse().expect("a grant");
        assert_eq!(Scope::try_from(Vec::new()), Err(BadScope::Empty));
        assert_eq!(Scope::try_from(vec![grant; 101]), Err(BadScope::TooMuch));
    }
}
