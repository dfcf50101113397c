//! dns-01 (RFC 8555 §8.4) and dns-account-01 (draft-ietf-acme-dns-account-label-03): the same TXT
//! record at two different names.

use data_encoding::{BASE64URL_NOPAD, Specification};

use super::{KeyAuthorization, shown};
use crate::jwk::sha256;
use crate::{Problem, ProblemType};

/// Where dns-01 looks for `name`; a wildcard is looked for at its base (RFC 8555 §7.1.3).
#[must_use]
pub fn dns01_name(name: &ca::DnsName) -> String {
    format!("_acme-challenge.{}", name.base())
}

/// Where dns-account-01 looks for `name` on behalf of the account with this URL: under
/// `_<label>._acme-challenge`, the label being the first ten octets of the URL's SHA-256 in
/// lower-case base32.
#[must_use]
pub fn dns_account01_name(name: &ca::DnsName, account_url: &str) -> String {
    format!("_{}._acme-challenge.{}", account_label(account_url), name.base())
}

/// What the TXT record must hold: the key authorization's SHA-256 in base64url.
#[must_use]
pub fn dns_value(key_authorization: &KeyAuthorization) -> String {
    BASE64URL_NOPAD.encode(&key_authorization.digest())
}

/// Whether one of the TXT records found at `place` (each with its strings joined) is the one
/// expected. Others beside it do no harm.
///
/// # Errors
/// `incorrectResponse`, saying what was found instead.
pub fn judge_txt<R: AsRef<[u8]>>(
    expected: &KeyAuthorization,
    place: &str,
    records: &[R],
) -> Result<(), Problem> {
    let value = dns_value(expected);
    if records.iter().any(|record| record.as_ref() == value.as_bytes()) {
        return Ok(());
    }
    let mut found: Vec<_> =
        records.iter().take(SHOWN_RECORDS).map(|record| shown(record.as_ref())).collect();
    if records.len() > SHOWN_RECORDS {
        found.push("...".to_owned());
    }
    let (count, found) = (records.len(), found.join(", "));
    Err(Problem::new(
        ProblemType::IncorrectResponse,
        format!("{place} has {count} TXT record(s): {found}, but none equal to \"{value}\""),
    ))
}

fn account_label(account_url: &str) -> String {
    let mut specification = Specification::new();
    specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    let digest = sha256(account_url.as_bytes());
    // The specification is RFC 4648 §6 in lower case and always valid.
    specification.encoding().map_or_else(|_| String::new(), |base32| base32.encode(&digest[..10]))
}

/// Records shown in a detail.
const SHOWN_RECORDS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_looked_for_at_their_base() {
        let name = ca::DnsName::parse("*.example.com").expect("test name");
        assert_eq!(dns01_name(&name), "_acme-challenge.example.com");
    }

    /// The example of draft-ietf-acme-dns-account-label.
    #[test]
    fn the_account_has_its_own_label() {
        let name = ca::DnsName::parse("*.example.org").expect("test name");
        assert_eq!(
            dns_account01_name(&name, "https://example.com/acme/acct/ExampleAccount"),
            "_ujmmovf2vn55tgye._acme-challenge.example.org"
        );
    }

    #[test]
    fn one_right_record_among_others_is_enough() {
        let expected = KeyAuthorization("token.thumb".into());
        let right = dns_value(&expected);
        assert!(judge_txt(&expected, "n", &["other", &right]).is_ok());
        let detail = judge_txt(&expected, "n", &["a\u{7}", "b"]).expect_err("wrong").detail;
        assert!(detail.contains("2 TXT record(s): \"a\\u{7}\", \"b\", but"), "{detail}");
        let detail = judge_txt(&expected, "n", &["x"; 9]).expect_err("wrong").detail;
        assert!(detail.contains("9 TXT") && detail.contains("\"x\", ..., but"), "{detail}");
        assert!(judge_txt(&expected, "n", &[right.to_uppercase()]).is_err());
        assert!(judge_txt(&expected, "n", &[format!(" {right}")]).is_err());
    }
}
