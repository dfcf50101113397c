//! Certification Authority Authorization (RFC 8659, RFC 8657): whether the CAA records of a name
//! let this authority certify it. Finding the records, following aliases included, is the
//! caller's; in which names to look is said by [`climb`].

use ca::DnsName;

use crate::{ChallengeType, Problem, ProblemType};

/// A CAA record (RFC 8659 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Bit 7 is the critical flag.
    pub flags: u8,
    /// The property's tag.
    pub tag: String,
    /// The property's value.
    pub value: String,
}

/// What is to be certified, by whom, for whom.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The names by which records may mean this authority.
    pub issuer_domain_names: &'a [String],
    /// Whether a wildcard is asked for.
    pub wildcard: bool,
    /// The account (RFC 8657 §3).
    pub account_url: &'a str,
    /// How control was, or is to be, proven (RFC 8657 §4); `None` if by no ACME challenge.
    pub challenge: Option<ChallengeType>,
}

/// The names at which to look for CAA records of `name`, in order: the first that has any decides
/// (RFC 8659 §3). A wildcard is looked for at its base.
pub fn climb(name: &DnsName) -> impl Iterator<Item = &str> {
    let base = name.as_str().strip_prefix("*.").unwrap_or(name.as_str());
    std::iter::successors(Some(base), |name| name.split_once('.').map(|(_, parent)| parent))
}

/// Judges the relevant record set, found at `at`; an empty one forbids nothing (RFC 8659 §4).
///
/// # Errors
/// `caa`, naming the record that forbids or the lack of one that permits.
pub fn judge(records: &[Record], at: &str, question: &Question<'_>) -> Result<(), Problem> {
    let forbidden =
        |why: String| Err(Problem::new(ProblemType::Caa, format!("CAA at {at}: {why}")));
    if let Some(record) = records.iter().find(|record| record.is_critical_and_unknown()) {
        let tag: String = record.tag.chars().take(64).collect();
        return forbidden(format!("the property {tag:?} is critical and not understood"));
    }
    let tagged = |tag: &'static str| records.iter().filter(move |record| record.is(tag));
    // `issuewild` overrides `issue` for wildcards and says nothing of other names (RFC 8659 §4.3).
    let tag = if question.wildcard && tagged("issuewild").next().is_some() {
        "issuewild"
    } else {
        "issue"
    };
    let mut refusals = Vec::new();
    for record in tagged(tag) {
        match question.is_answered_by(&record.value) {
            Ok(()) => return Ok(()),
            Err(why) => refusals.push(why),
        }
    }
    if refusals.is_empty() {
        return Ok(());
    }
    // One that names this authority and still refuses tells more than one that names another.
    let why = refusals.iter().copied().max().unwrap_or(Refusal::OtherIssuer);
    forbidden(format!("no {tag} record permits it: {}", why.text()))
}

impl Record {
    fn is(&self, tag: &str) -> bool {
        self.tag.eq_ignore_ascii_case(tag)
    }

    fn is_critical_and_unknown(&self) -> bool {
        self.flags & CRITICAL != 0 && !UNDERSTOOD.iter().any(|tag| self.is(tag))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Refusal {
    Unreadable,
    OtherIssuer,
    OtherMethod,
    OtherAccount,
}

impl Refusal {
    fn text(self) -> &'static str {
        match self {
            Self::Unreadable => "they are not well-formed (RFC 8659 §4.2)",
            Self::OtherIssuer => "they do not name this authority",
            Self::OtherMethod => "validationmethods does not allow the challenge (RFC 8657 §4)",
            Self::OtherAccount => "accounturi names another account (RFC 8657 §3)",
        }
    }
}

impl Question<'_> {
    fn is_answered_by(&self, value: &str) -> Result<(), Refusal> {
        let value = IssueValue::parse(value).ok_or(Refusal::Unreadable)?;
        if !value.names(self.issuer_domain_names) {
            return Err(Refusal::OtherIssuer);
        }
        // Either parameter given twice can never be satisfied (RFC 8657 §3, §4).
        match value.only("accounturi") {
            Ok(uri) if uri.is_none_or(|uri| uri == self.account_url) => {}
            _ => return Err(Refusal::OtherAccount),
        }
        match value.only("validationmethods") {
            Ok(methods) if methods.is_none_or(|methods| self.is_among(methods)) => Ok(()),
            _ => Err(Refusal::OtherMethod),
        }
    }

    fn is_among(&self, methods: &str) -> bool {
        self.challenge.is_some_and(|one| methods.split(',').any(|method| method == one.name()))
    }
}

/// The value of `issue`, `issuewild` (RFC 8659 §4.2) and of a dns-persist-01 record.
pub(crate) struct IssueValue<'a> {
    issuer: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> IssueValue<'a> {
    /// Reads a value; `None` if it breaks the grammar.
    pub(crate) fn parse(value: &'a str) -> Option<Self> {
        let (issuer, rest) = match value.split_once(';') {
            Some((issuer, rest)) => (issuer, trimmed(rest)),
            None => (value, ""),
        };
        let issuer = trimmed(issuer);
        if !issuer.is_empty() && !issuer.split('.').all(is_label) {
            return None;
        }
        let mut parameters = Vec::new();
        if !rest.is_empty() {
            for parameter in rest.split(';') {
                let (tag, value) = parameter.split_once('=')?;
                let (tag, value) = (trimmed(tag), trimmed(value));
                if !is_label(tag) || !value.bytes().all(|octet| octet.is_ascii_graphic()) {
                    return None;
                }
                parameters.push((tag, value));
            }
        }
        Some(Self { issuer, parameters })
    }

    /// Whether it names one of these issuers.
    pub(crate) fn names(&self, issuers: &[String]) -> bool {
        !self.issuer.is_empty()
            && issuers.iter().any(|issuer| issuer.eq_ignore_ascii_case(self.issuer))
    }

    /// The parameter `tag`, if there is one.
    ///
    /// # Errors
    /// If there are several.
    pub(crate) fn only(&self, tag: &str) -> Result<Option<&'a str>, Repeated> {
        let mut values = self
            .parameters
            .iter()
            .filter(|(own, _)| own.eq_ignore_ascii_case(tag))
            .map(|(_, v)| *v);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            _ => Err(Repeated),
        }
    }
}

/// A parameter stands in a value more than once.
pub(crate) struct Repeated;

/// Without RFC 5234's WSP at either end.
fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// RFC 8659 §4.2's `label` and `tag`: letters, digits, and hyphens between them.
fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

const CRITICAL: u8 = 0x80;
/// Tags whose meaning is known: RFC 8659 §4, and those that by definition do not bear on TLS
/// certificates (RFC 9495; contacts, CA/Browser Forum Baseline Requirements appendix A.1).
const UNDERSTOOD: [&str; 6] =
    ["issue", "issuewild", "iodef", "issuemail", "contactemail", "contactphone"];

#[cfg(test)]
mod tests {
    use super::*;

    fn record(flags: u8, tag: &str, value: &str) -> Record {
        Record { flags, tag: tag.into(), value: value.into() }
    }

    fn judged(records: &[(u8, &str, &str)], wildcard: bool) -> Result<(), String> {
        let records: Vec<_> = records.iter().map(|(f, t, v)| record(*f, t, v)).collect();
        let question = Question {
            issuer_domain_names: &["ca.example".into(), "alias.example".into()],
            wildcard,
            account_url: "https://ca.example/acct/1",
            challenge: Some(ChallengeType::Dns01),
        };
        judge(&records, "example.com", &question).map_err(|problem| {
            assert_eq!(problem.kind, ProblemType::Caa);
            problem.detail
        })
    }

    #[test]
    fn climbing_goes_up_to_the_top_level_domain() {
        let name = DnsName::parse("*.a.b.example.com").expect("test name");
        let names: Vec<_> = climb(&name).collect();
        assert_eq!(names, ["a.b.example.com", "b.example.com", "example.com", "com"]);
    }

    #[test]
    fn without_issue_records_everyone_may() {
        assert!(judged(&[], false).is_ok());
        assert!(judged(&[(0, "iodef", "mailto:a@b.c")], true).is_ok());
        assert!(judged(&[(0, "issuewild", ";")], false).is_ok());
        assert!(judged(&[(0, "unknown", "x")], false).is_ok());
    }

    #[test]
    fn an_issue_record_permits_whom_it_names() {
        for value in ["ca.example", " CA.example\t", "ca.example;", "alias.example ; x=y"] {
            assert!(judged(&[(0, "issue", value)], false).is_ok(), "{value}");
        }
        assert!(
            judged(&[(0, "ISSUE", "other.example"), (128, "Issue", "ca.example")], true).is_ok()
        );
        for value in ["", ";", "other.example", "sub.ca.example", "ca.example.", "ca.example other"]
        {
            assert!(judged(&[(0, "issue", value)], false).is_err(), "{value}");
        }
    }

    #[test]
    fn issuewild_decides_alone_for_wildcards() {
        let records = [(0, "issue", "ca.example"), (0, "issuewild", "other.example")];
        assert!(judged(&records, false).is_ok());
        assert!(judged(&records, true).is_err());
        let records = [(0, "issue", ";"), (0, "issuewild", "ca.example")];
        assert!(judged(&records, false).is_err());
        assert!(judged(&records, true).is_ok());
        assert!(judged(&[(0, "issue", ";")], true).is_err());
    }

    #[test]
    fn an_unknown_critical_property_forbids() {
        let detail = judged(&[(128, "tbs", "x"), (0, "issue", "ca.example")], false);
        assert!(detail.expect_err("critical").contains("\"tbs\" is critical"));
        assert!(judged(&[(127, "tbs", "x")], false).is_ok());
        assert!(judged(&[(128, "issuemail", ";")], false).is_ok());
    }

    #[test]
    fn account_and_method_can_be_required() {
        for (parameters, permits) in [
            ("accounturi=https://ca.example/acct/1", true),
            ("AccountURI = https://ca.example/acct/1 ; validationmethods=http-01,dns-01", true),
            ("accounturi=https://ca.example/acct/2", false),
            ("accounturi=https://ca.example/acct/1;accounturi=https://ca.example/acct/1", false),
            ("validationmethods=http-01", false),
            ("validationmethods=", false),
            ("validationmethods=dns-01;validationmethods=dns-01", false),
            ("accounturi", false),
            ("a=b;", false),
            ("-a=b", false),
            ("a=b c", false),
            ("a=\u{e9}", false),
            ("a=", true),
        ] {
            let value = format!("ca.example; {parameters}");
            assert_eq!(judged(&[(0, "issue", &value)], false).is_ok(), permits, "{parameters}");
        }
        let detail = judged(
            &[(0, "issue", "other.example"), (0, "issue", "ca.example; accounturi=x")],
            false,
        );
        assert!(detail.expect_err("refused").contains("accounturi"));
    }
}
