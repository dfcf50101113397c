//! Contact URLs (RFC 8555 §7.3, RFC 6068): `mailto` with exactly one address and no header fields.

use ca::DnsName;
use serde::Serialize;
use serde_json::Value;

use crate::json::Object;
use crate::{Problem, ProblemType};

/// A `mailto:` URL with one address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Contact(String);

impl Contact {
    /// Reads a contact URL.
    ///
    /// # Errors
    /// `unsupportedContact` unless it is a `mailto:` URL, `invalidContact` if it has header
    /// fields, several addresses, or an address that is none.
    pub fn parse(url: &str) -> Result<Self, Problem> {
        let shown: String = url.chars().take(100).collect();
        let invalid = |why: &str| {
            Problem::new(
                ProblemType::InvalidContact,
                format!("contact {shown:?} is invalid: {why}"),
            )
        };
        if url.len() > MAX_LENGTH {
            return Err(invalid("it is too long"));
        }
        let Some((scheme, address)) = url.split_once(':') else {
            return Err(invalid("it is not a URL"));
        };
        if !scheme.eq_ignore_ascii_case("mailto") {
            return Err(Problem::new(
                ProblemType::UnsupportedContact,
                format!("contact {shown:?} is not a mailto: URL, the only kind supported"),
            ));
        }
        if address.contains('?') {
            return Err(invalid("header fields are not allowed (RFC 8555 §7.3)"));
        }
        if address.contains(',') {
            return Err(invalid("it must be one address (RFC 8555 §7.3)"));
        }
        check_address(address).map_err(invalid)?;
        Ok(Self(format!("mailto:{address}")))
    }

    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The member `contact` of an account, if present.
pub(super) fn contacts(members: &mut Object) -> Result<Option<Vec<Contact>>, Problem> {
    let Some(values) = members.array("contact")? else {
        return Ok(None);
    };
    if values.len() > MAX_CONTACTS {
        return Err(Problem::new(
            ProblemType::InvalidContact,
            format!("{} contacts are given; at most {MAX_CONTACTS} are kept", values.len()),
        ));
    }
    let mut contacts = Vec::with_capacity(values.len());
    for value in values {
        let Value::String(url) = value else {
            return Err(members.wrong("contact", "an array of strings"));
        };
        let contact = Contact::parse(&url)?;
        if !contacts.contains(&contact) {
            contacts.push(contact);
        }
    }
    Ok(Some(contacts))
}

/// A dot-atom and a DNS name (RFC 5322 §3.4.1), either of which may be percent-encoded where RFC
/// 6068 §2 asks for it.
fn check_address(encoded: &str) -> Result<(), &'static str> {
    let address = percent_decoded(encoded).ok_or("its percent-encoding is broken")?;
    let Some((local, domain)) = address.rsplit_once('@') else {
        return Err("its address has no @");
    };
    if local.len() > 64 || local.split('.').any(|atom| atom.is_empty() || !atom.bytes().all(atext))
    {
        return Err("what stands before the @ is not a dot-atom (RFC 5322 §3.2.3)");
    }
    match DnsName::parse(domain) {
        Ok(name) if !name.is_wildcard() => Ok(()),
        _ => Err("what stands after the @ is not a domain name"),
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split('%');
    out.push_str(parts.next()?);
    for part in parts {
        let hex = part.get(..2).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
        out.push(char::from(u8::from_str_radix(hex, 16).ok()?));
        out.push_str(&part[2..]);
    }
    Some(out)
}

fn atext(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet)
}

const MAX_CONTACTS: usize = 10;
const MAX_LENGTH: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_plain_address_is_a_contact() {
        for good in [
            "mailto:admin@example.org",
            "MAILTO:first.last+acme@mail.example.org",
            "mailto:a%25b@example.org",
            "mailto:root@localhost",
        ] {
            assert!(Contact::parse(good).is_ok(), "{good}");
        }
        assert_eq!(Contact::parse("MailTo:a@b.c").expect("valid").as_str(), "mailto:a@b.c");
    }

    #[test]
    fn anything_else_has_its_own_problem() {
        for (bad, kind) in [
            ("tel:+12025551212", ProblemType::UnsupportedContact),
            ("https://example.org/", ProblemType::UnsupportedContact),
            ("admin@example.org", ProblemType::InvalidContact),
            ("", ProblemType::InvalidContact),
            ("mailto:", ProblemType::InvalidContact),
            ("mailto:@example.org", ProblemType::InvalidContact),
            ("mailto:a@", ProblemType::InvalidContact),
            ("mailto:a", ProblemType::InvalidContact),
            ("mailto:a@b.c?subject=x", ProblemType::InvalidContact),
            ("mailto:a@b.c,d@e.f", ProblemType::InvalidContact),
            ("mailto:a@b.c%2Cd@e.f", ProblemType::InvalidContact),
            ("mailto:a%4", ProblemType::InvalidContact),
            ("mailto:a%zz@b.c", ProblemType::InvalidContact),
            ("mailto:a%+1@b.c", ProblemType::InvalidContact),
            ("mailto:a..b@c.d", ProblemType::InvalidContact),
            ("mailto:\"a b\"@c.d", ProblemType::InvalidContact),
            ("mailto:a@10.0.0.1", ProblemType::InvalidContact),
            ("mailto:a@*.example.org", ProblemType::InvalidContact),
            ("mailto:ü@example.org", ProblemType::InvalidContact),
            ("mailto:a@exämple.org", ProblemType::InvalidContact),
            ("mailto:a\n@example.org", ProblemType::InvalidContact),
        ] {
            assert_eq!(Contact::parse(bad).expect_err(bad).kind, kind, "{bad}");
        }
    }
}
