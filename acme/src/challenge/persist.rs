//! dns-persist-01 (draft-ietf-acme-dns-persist-02): a TXT record that names the authority and the
//! account and stays in place. There is no token; what a record must name is the account, hashed
//! together with its key and the domain (-02) or, where the caller hands in the plain account URL
//! too, as -00 and -01 had it.

use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;

use super::shown;
use crate::caa::IssueValue;
use crate::jwk::{Jwk, sha256};
use crate::{Problem, ProblemType};

/// What a record is held against.
#[derive(Clone, Copy, Debug)]
pub struct Persist<'a> {
    /// The challenge's `issuerDomainNames`: 1 to 10 lower-case names without trailing dot.
    pub issuer_domain_names: &'a [String],
    /// The `accounturi` values that mean the account: see [`hashed_account_uris`].
    pub account_uris: &'a [String],
    /// Whether a wildcard is asked for, which takes `policy=wildcard`.
    pub wildcard: bool,
}

/// Where the record is looked for; a wildcard at its base.
#[must_use]
pub fn persist_name(name: &ca::DnsName) -> String {
    format!("_validation-persist.{}", name.base())
}

/// The two `accounturi` values (draft -02 §4.1) that mean this account for `name`: bound to the
/// domain, and, opting out of that, to none. `prefix` is the directory's `accountHashPrefix`. An
/// account that changed its key needs them for the earlier key as well, as far as a record with
/// them was accepted before.
#[must_use]
pub fn hashed_account_uris(
    prefix: &str,
    name: &ca::DnsName,
    account_key: &Jwk,
    account_url: &str,
) -> [String; 2] {
    account_uris_by_thumbprint(prefix, name, &account_key.thumbprint_text(), account_url)
}

/// Whether one of the TXT records found at `name` (each with its strings joined) is by this
/// account, for this authority, and good at `now`. Records for others are ignored.
///
/// # Errors
/// `unauthorized` if one for this authority does not fit, else `incorrectResponse`.
pub fn judge_dns_persist01<R: AsRef<[u8]>>(
    expected: &Persist<'_>,
    name: &str,
    records: &[R],
    now: Timestamp,
) -> Result<(), Problem> {
    let mut refusal = None;
    for record in records {
        let octets = record.as_ref();
        match std::str::from_utf8(octets).ok().and_then(IssueValue::parse) {
            Some(value) if value.names(expected.issuer_domain_names) => {
                match expected.check(&value, now) {
                    Ok(()) => return Ok(()),
                    Err(why) => refusal = Some(format!("{}: {why}", shown(octets))),
                }
            }
            _ => {}
        }
    }
    Err(match refusal {
        Some(why) => Problem::new(
            ProblemType::Unauthorized,
            format!("the TXT record at {name} does not authorize this account: {why}"),
        ),
        None => Problem::new(
            ProblemType::IncorrectResponse,
            format!(
                "none of the {} TXT records at {name} names {}",
                records.len(),
                expected.issuer_domain_names.join(" or ")
            ),
        ),
    })
}

impl Persist<'_> {
    fn check(&self, value: &IssueValue<'_>, now: Timestamp) -> Result<(), &'static str> {
        let only = |tag| value.only(tag).map_err(|_| "it has a parameter twice");
        let account = only("accounturi")?.ok_or("it has no accounturi")?;
        let policy = only("policy")?;
        let until = only("persistUntil")?;
        // Simple string comparison (RFC 3986 §6.2.1).
        if !self.account_uris.iter().any(|uri| uri == account) {
            return Err("accounturi is not this account's");
        }
        if self.wildcard && !policy.is_some_and(|policy| policy.eq_ignore_ascii_case("wildcard")) {
            return Err("a wildcard takes policy=wildcard");
        }
        match until.map(seconds) {
            None => Ok(()),
            Some(None) => Err("persistUntil is not a number of seconds"),
            Some(Some(until)) if now.as_second() > until => Err("persistUntil is over"),
            Some(Some(_)) => Ok(()),
        }
    }
}

/// The same by the key's thumbprint (RFC 7638) in base64url, all that a client may know of it:
/// `prefix sha-256/ BASE64URL(SHA-256(length ‖ domain ‖ thumbprint ‖ account URL))`, the length
/// being one octet.
#[must_use]
pub fn account_uris_by_thumbprint(
    prefix: &str,
    name: &ca::DnsName,
    thumbprint: &str,
    account_url: &str,
) -> [String; 2] {
    let base = name.base();
    [base.as_str(), "*"].map(|domain| {
        // A name has at most 253 octets.
        let length = u8::try_from(domain.len()).unwrap_or(u8::MAX);
        let octets =
            [&[length], domain.as_bytes(), thumbprint.as_bytes(), account_url.as_bytes()].concat();
        format!("{prefix}sha-256/{}", BASE64URL_NOPAD.encode(&sha256(&octets)))
    })
}

/// Digits only: no sign. A number too large for the type lies beyond all time.
fn seconds(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "https://ca.example/acct/1";

    fn judged(records: &[&str], wildcard: bool) -> Result<(), ProblemType> {
        let expected = Persist {
            issuer_domain_names: &["ca.example".into()],
            account_uris: &[ACCOUNT.into()],
            wildcard,
        };
        let now = Timestamp::from_second(1_800_000_000).expect("in range");
        judge_dns_persist01(&expected, "_validation-persist.example.com", records, now)
            .map_err(|problem| problem.kind)
    }

    /// Draft -02 §10.2, and its form with the domain left out.
    #[test]
    fn the_account_is_hashed_as_in_the_draft() {
        let name = ca::DnsName::parse("*.example.com").expect("test name");
        let thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
        let prefix = "https://ca.example/account-hash/";
        let uris =
            account_uris_by_thumbprint(prefix, &name, thumbprint, "https://ca.example/acct/123");
        for (uri, hash) in uris.iter().zip([
            "5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw",
            "NpDnSwUthQK8zCgFdefYxAdAVPnygMLbs9US6oO-5ug",
        ]) {
            assert_eq!(*uri, format!("{prefix}sha-256/{hash}"));
        }
    }

    #[test]
    fn a_record_for_this_authority_and_account_is_enough() {
        let own = format!("ca.example; accounturi={ACCOUNT}");
        assert_eq!(judged(&[&own], false), Ok(()));
        assert_eq!(judged(&["other.example; accounturi=x", "junk;;", &own], false), Ok(()));
        assert_eq!(judged(&["ca.example; accounturi=other", &own], false), Ok(()));
        assert_eq!(judged(&[&format!("{own}; future=1")], false), Ok(()));
        assert_eq!(judged(&[], false), Err(ProblemType::IncorrectResponse));
        assert_eq!(judged(&["other.example"], false), Err(ProblemType::IncorrectResponse));
        for bad in ["ca.example", "ca.example; accounturi=https://ca.example/acct/12"] {
            assert_eq!(judged(&[bad], false), Err(ProblemType::Unauthorized), "{bad}");
        }
        let twice = format!("{own}; accounturi={ACCOUNT}");
        assert_eq!(judged(&[&twice], false), Err(ProblemType::Unauthorized));
    }

    #[test]
    fn a_wildcard_takes_the_policy() {
        let own = format!("ca.example; accounturi={ACCOUNT}");
        assert_eq!(judged(&[&own], true), Err(ProblemType::Unauthorized));
        assert_eq!(judged(&[&format!("{own}; policy=host")], true), Err(ProblemType::Unauthorized));
        assert_eq!(judged(&[&format!("{own}; POLICY=WildCard")], true), Ok(()));
        assert_eq!(judged(&[&format!("{own}; policy=host")], false), Ok(()));
    }

    #[test]
    fn a_record_can_end() {
        let own = format!("ca.example; accounturi={ACCOUNT}; persistUntil");
        for (until, good) in [
            ("=1800000000", true),
            ("=99999999999999999999", true),
            ("=1799999999", false),
            ("=+1900000000", false),
            ("=", false),
            ("=soon", false),
        ] {
            assert_eq!(judged(&[&format!("{own}{until}")], false).is_ok(), good, "{until}");
        }
    }
}
