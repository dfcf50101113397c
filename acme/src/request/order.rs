//! Payloads that ask for names (RFC 8555 §7.4, §7.4.1, RFC 8738, RFC 9773 §5,
//! draft-ietf-acme-profiles-01).

use std::collections::HashSet;
use std::net::IpAddr;

use ca::DnsName;
use jiff::Timestamp;
use serde_json::Value;

use crate::ari::CertificateId;
use crate::json::Object;
use crate::{Identifier, Problem, ProblemType};

/// newOrder (RFC 8555 §7.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// What to certify: no two the same, at least one, in the order given.
    pub identifiers: Vec<ca::Identifier>,
    /// The `notBefore` wished for.
    pub not_before: Option<Timestamp>,
    /// The `notAfter` wished for; later than `not_before`.
    pub not_after: Option<Timestamp>,
    /// The certificate profile wished for (draft-ietf-acme-profiles-01 §4).
    pub profile: Option<String>,
    /// The certificate this one is to replace (RFC 9773 §5).
    pub replaces: Option<CertificateId>,
}

impl NewOrder {
    /// Reads the payload; at most `max_identifiers` are accepted.
    ///
    /// # Errors
    /// `malformed`; for identifiers `malformed`, `unsupportedIdentifier` or, if several are at
    /// fault, `compound`, with subproblems that name them.
    pub fn parse(payload: &[u8], max_identifiers: usize) -> Result<Self, Problem> {
        let mut members = Object::parse(payload, "the newOrder request")?;
        let values = members.array("identifiers")?.ok_or_else(|| members.missing("identifiers"))?;
        let identifiers = identifiers(values, max_identifiers)?;
        let not_before = instant(&mut members, "notBefore")?;
        let not_after = instant(&mut members, "notAfter")?;
        if let (Some(from), Some(to)) = (not_before, not_after)
            && from >= to
        {
            return Err(Problem::malformed("\"notAfter\" is not later than \"notBefore\""));
        }
        let profile = members.string("profile")?;
        if profile.as_ref().is_some_and(|profile| profile.len() > MAX_PROFILE) {
            return Err(Problem::new(
                ProblemType::InvalidProfile,
                "\"profile\" is longer than any profile's name here",
            ));
        }
        let replaces = members
            .string("replaces")?
            .map(|text| text.parse::<CertificateId>())
            .transpose()
            .map_err(|e| Problem::malformed(format!("\"replaces\": {e}")))?;
        Ok(Self { identifiers, not_before, not_after, profile, replaces })
    }
}

/// newAuthz: an authorization ahead of any order (RFC 8555 §7.4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAuthorization {
    /// What to authorize; never a wildcard.
    pub identifier: ca::Identifier,
}

impl NewAuthorization {
    /// Reads the payload.
    ///
    /// # Errors
    /// `malformed` (also for a wildcard), `unsupportedIdentifier`.
    pub fn parse(payload: &[u8]) -> Result<Self, Problem> {
        let mut members = Object::parse(payload, "the newAuthz request")?;
        let value = members.take("identifier").ok_or_else(|| members.missing("identifier"))?;
        let wire = wire_identifier(value)?;
        let identifier = parse_identifier(&wire)?;
        if identifier.is_wildcard() {
            return Err(Problem::malformed(format!(
                "{identifier} is a wildcard, which cannot be authorized ahead of an order"
            )));
        }
        Ok(Self { identifier })
    }
}

/// Reads one identifier as it stands on the wire: a DNS name, lowered, or an IP address in its one
/// canonical form (RFC 8738 §3).
///
/// # Errors
/// `unsupportedIdentifier` if it is neither `dns` nor `ip`, else `malformed`.
pub fn parse_identifier(wire: &Identifier) -> Result<ca::Identifier, Problem> {
    let shown: String = wire.value.chars().take(MAX_SHOWN).collect();
    match wire.kind.as_str() {
        "dns" if wire.value.parse::<IpAddr>().is_ok() => Err(Problem::malformed(format!(
            "{shown} is an IP address: ask for it with type \"ip\" (RFC 8738)"
        ))),
        "dns" => DnsName::parse(&wire.value)
            .map(ca::Identifier::Dns)
            .map_err(|e| Problem::malformed(e.to_string())),
        "ip" => match wire.value.parse::<IpAddr>() {
            // Two identifiers for one address would be two ways around a policy.
            Ok(address) if address.to_canonical() != address => Err(Problem::malformed(format!(
                "{shown} is an IPv4 address: write {}",
                address.to_canonical()
            ))),
            Ok(address) if address.to_string() == wire.value => Ok(ca::Identifier::Ip(address)),
            Ok(address) => Err(Problem::malformed(format!(
                "{shown:?} is not the canonical text of an address: write {address} (RFC 8738 §3)"
            ))),
            Err(_) => Err(Problem::malformed(format!("{shown:?} is not an IP address"))),
        },
        other => {
            let other: String = other.chars().take(MAX_SHOWN).collect();
            Err(Problem::new(
                ProblemType::UnsupportedIdentifier,
                format!("identifiers of type {other:?} are not supported; dns and ip are"),
            ))
        }
    }
}

fn identifiers(values: Vec<Value>, max: usize) -> Result<Vec<ca::Identifier>, Problem> {
    if values.is_empty() {
        return Err(Problem::malformed("the order has no identifiers"));
    }
    if values.len() > max {
        return Err(Problem::malformed(format!(
            "the order has {} identifiers; at most {max} are accepted",
            values.len()
        )));
    }
    let (mut identifiers, mut seen, mut refused) = (Vec::new(), HashSet::new(), Vec::new());
    for value in values {
        let wire = wire_identifier(value)?;
        match parse_identifier(&wire) {
            Ok(identifier) if seen.insert(identifier.clone()) => identifiers.push(identifier),
            Ok(_) => {}
            Err(problem) => refused.push(problem.about(shortened(wire))),
        }
    }
    match Problem::from_subproblems(refused) {
        None => Ok(identifiers),
        Some(problem) => Err(problem),
    }
}

fn wire_identifier(value: Value) -> Result<Identifier, Problem> {
    let mut members = Object::from_value(value, "the identifier")?;
    Ok(Identifier {
        kind: members.required_string("type")?,
        value: members.required_string("value")?,
    })
}

/// What is echoed of an identifier that is none: no more than a name could be long.
fn shortened(mut wire: Identifier) -> Identifier {
    for text in [&mut wire.kind, &mut wire.value] {
        if text.chars().count() > MAX_SHOWN {
            *text = text.chars().take(MAX_SHOWN).collect();
        }
    }
    wire
}

/// An RFC 3339 date and time. `jiff` alone reads more than that.
fn instant(members: &mut Object, name: &str) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = members.string(name)? else {
        return Ok(None);
    };
    match Some(&text).filter(|text| is_rfc3339(text)).and_then(|text| text.parse().ok()) {
        Some(instant) => Ok(Some(instant)),
        None => Err(members.wrong(name, "an RFC 3339 date and time")),
    }
}

/// Whether `text` has the shape of RFC 3339 §5.6's `date-time`; the numbers are not judged.
fn is_rfc3339(text: &str) -> bool {
    let shaped = |text: &str, shape: &str| {
        text.len() == shape.len()
            && text.bytes().zip(shape.bytes()).all(|(octet, form)| match form {
                b'0' => octet.is_ascii_digit(),
                form => octet.eq_ignore_ascii_case(&form),
            })
    };
    let Some((whole, rest)) = text.split_at_checked("0000-00-00T00:00:00".len()) else {
        return false;
    };
    let offset = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => {
            let offset = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            if !(1..=9).contains(&(fraction.len() - offset.len())) {
                return false;
            }
            offset
        }
    };
    shaped(whole, "0000-00-00T00:00:00")
        && (shaped(offset, "Z") || shaped(offset, "+00:00") || shaped(offset, "-00:00"))
}

/// How many identifiers an order may have unless the directory says otherwise.
pub const DEFAULT_MAX_IDENTIFIERS: usize = 100;
const MAX_PROFILE: usize = 64;
const MAX_SHOWN: usize = 255;
