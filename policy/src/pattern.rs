//! How bindings say of which names they are. A pattern is a text with `*` for anything; of DNS names a
//! star can only stand for whole labels in front, so that `*.example.com` never means `evilexample.com`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a thing, with `*` for any text: `auth`, `edge-*`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

impl Pattern {
    /// Whether `name` is one that it means.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let Some(last) = self.0.rsplit_once('*').map(|(_, last)| last) else {
            return rest.is_empty();
        };
        let middle = self.0.matches('*').count() - 1;
        for part in parts.take(middle) {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.len() >= last.len() && rest.ends_with(last)
    }
}

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        // What names of things are made of: nothing else could ever be covered.
        let plain = |b: u8| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.' | b'*')
        };
        let good = (1..=LONGEST).contains(&text.len())
            && text.bytes().all(plain)
            && text.matches('*').count() <= MOST_STARS;
        if good { Ok(Self(text.to_owned())) } else { Err(BadPattern::Thing(shortened(text))) }
    }
}

/// A DNS name or an address; `*.example.com`: every name below that; `*`: every name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamePattern(String);

impl NamePattern {
    /// Whether `name` is one that it means. `*.example.com` is among what `*.example.com` means.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        match self.0.strip_prefix('*') {
            Some("") => true,
            // The dot is part of what is left, and something stands before it.
            Some(below) => name.len() > below.len() && name.ends_with(below),
            None => self.0 == name,
        }
    }
}

impl FromStr for NamePattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let bad = || BadPattern::Name(shortened(text));
        let name = match text.strip_prefix('*') {
            Some("") => return Ok(Self(text.to_owned())),
            Some(below) => below.strip_prefix('.').ok_or_else(bad)?,
            None => text,
        };
        let plain = |b: u8| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.' | b':')
        };
        let good = (1..=LONGEST).contains(&name.len()) && name.bytes().all(plain);
        let good = good && name.split('.').all(|label| !label.is_empty());
        if good { Ok(Self(text.to_owned())) } else { Err(bad()) }
    }
}

macro_rules! texts {
    ($($pattern:ident),+) => {
        $(
            impl TryFrom<String> for $pattern {
                type Error = BadPattern;

                fn try_from(text: String) -> Result<Self, BadPattern> {
                    text.parse()
                }
            }

            impl From<$pattern> for String {
                fn from(pattern: $pattern) -> Self {
                    pattern.0
                }
            }

            impl fmt::Display for $pattern {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(&self.0)
                }
            }
        )+
    };
}

texts!(Pattern, NamePattern);

/// A pattern is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// Of the names of things.
    #[error(
        "{0:?} is no pattern of names: use lower-case letters, digits, hyphens and underscores, and up to \
         {MOST_STARS} times * for any text"
    )]
    Thing(String),
    /// Of DNS names.
    #[error("{0:?} is no DNS name or address, nor *.NAME for every name below one, nor * alone")]
    Name(String),
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

/// As long as a DNS name (RFC 1035 §2.3.4).
const LONGEST: usize = 253;
const MOST_STARS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_what_it_names_and_nothing_else() {
        for (pattern, name, covered) in [
            ("auth", "auth", true),
            ("auth", "auth2", false),
            ("auth", "oauth", false),
            ("edge-*", "edge-a", true),
            ("edge-*", "edge-", true),
            ("edge-*", "edge", false),
            ("*-a", "edge-a", true),
            ("*-a", "edge-ab", false),
            ("a*b", "ab", true),
            ("a*a", "a", false),
            ("a*b*c", "axbxc", true),
            ("a*b*c", "acb", false),
            ("a*bc*c", "abc", false),
            ("*", "", true),
            ("*", "anything", true),
        ] {
            let parsed: Pattern = pattern.parse().expect(pattern);
            assert_eq!(parsed.covers(name), covered, "{pattern} {name}");
        }
    }

    #[test]
    fn a_star_stands_for_whole_labels_of_a_name() {
        for (pattern, name, covered) in [
            ("shop.example.com", "shop.example.com", true),
            ("shop.example.com", "a.shop.example.com", false),
            ("*.example.com", "shop.example.com", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "*.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "evilexample.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "example.com.evil", false),
            ("*", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.1", true),
        ] {
            let parsed: NamePattern = pattern.parse().expect(pattern);
            assert_eq!(parsed.covers(name), covered, "{pattern} {name}");
        }
    }

    #[test]
    fn what_could_mean_more_than_it_seems_is_no_pattern() {
        for bad in
            ["", "*example.com", "a.*.com", "*.*.com", "Shop.example.com", "a..b", "*.", "a b"]
        {
            assert!(bad.parse::<NamePattern>().is_err(), "{bad:?}");
        }
        for bad in ["", "Auth", "a/b", "*****", "a\"b", "a b"] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad:?}");
        }
    }
}
