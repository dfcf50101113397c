//! Users and groups by name: from the files of the machine, else from whatever `getent` asks (LDAP,
//! systemd).

use std::fs;
use std::process::Command;

use crate::error::PushError;

/// The number of a user, from its name or number.
pub(super) fn user(name: &str) -> Result<u32, PushError> {
    number(name, "passwd", "owner")
}

/// The number of a group, from its name or number.
///
/// # Errors
/// [`PushError::Declaration`] when this machine knows none of that name.
pub fn group(name: &str) -> Result<u32, PushError> {
    number(name, "group", "group")
}

fn number(name: &str, database: &str, field: &str) -> Result<u32, PushError> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let file = fs::read_to_string(format!("/etc/{database}")).unwrap_or_default();
    in_table(&file, name)
        .or_else(|| {
            let asked = Command::new("getent").args([database, "--", name]).output().ok()?;
            in_table(&String::from_utf8_lossy(&asked.stdout), name)
        })
        .ok_or_else(|| {
            PushError::Declaration(format!(
                "{field} = {name:?} is not known on this machine: make it, or write its number"
            ))
        })
}

/// The third field of the line that begins with `name` (passwd(5), group(5)).
fn in_table(table: &str, name: &str) -> Option<u32> {
    let mut lines = table.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| {
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_found_and_others_are_the_operators_fault() {
        assert_eq!(user("root").expect("root is there"), 0);
        assert_eq!(group("1234").expect("a number needs nobody"), 1234);
        let error = user("nobody-of-this-name").expect_err("unknown");
        assert!(error.to_string().contains("owner = \"nobody-of-this-name\""), "{error}");
    }
}
