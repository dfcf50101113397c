//! People: how they are let in, and the sessions in which they are signed in. What they may then is decided
//! elsewhere, and nothing here knows HTTP.

mod challenge;
mod error;
pub(crate) mod passkey;
pub(crate) mod provider;
mod secret;
mod session;

pub(crate) use challenge::Challenges;
pub(crate) use error::EntryError;
pub(crate) use secret::Secret;
pub(crate) use session::{Entered, LONGEST as SESSION_LONGEST, Visit, end_all, enter, entered};

/// Checks that `name` can be a person's, such as `ada` or `ada@example.com`.
///
/// # Errors
/// What it must be like.
pub(crate) fn check_person_name(name: &str) -> Result<(), String> {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let plain = |b: u8| letter(b) || matches!(b, b'-' | b'_' | b'.' | b'@');
    let begins = name.bytes().next().is_some_and(letter);
    if !begins || name.len() > MAX_NAME || !name.bytes().all(plain) {
        let shown: String = name.chars().take(MAX_NAME + 1).collect();
        return Err(format!(
            "{shown:?} cannot be a person's name: use 1 to {MAX_NAME} lower-case letters, digits, and . @ - _, \
             a letter or digit first"
        ));
    }
    Ok(())
}

/// As long as addresses of mail are in practice.
const MAX_NAME: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_people_are_plain_and_none_means_a_place_in_a_path() {
        for good in ["ada", "ada@example.com", "a", "7of9", "ada.l-b_c"] {
            assert!(check_person_name(good).is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", ".", "..", "Ada", "a/b", "a b", "@a", "-a", "a%2e", "ä", "a\n", &long] {
            assert!(check_person_name(bad).is_err(), "{bad:?}");
        }
    }
}
