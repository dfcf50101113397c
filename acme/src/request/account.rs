//! Payloads about accounts (RFC 8555 §7.3).

use super::contact::{Contact, contacts};
use crate::Problem;
use crate::eab::ExternalBinding;
use crate::json::Object;

/// newAccount (RFC 8555 §7.3).
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Where to reach the holder; at most ten.
    pub contact: Vec<Contact>,
    /// Whether the client says it agreed to the terms.
    pub terms_of_service_agreed: bool,
    /// Whether only an existing account is wanted (RFC 8555 §7.3.1).
    pub only_return_existing: bool,
    /// The account outside ACME, not yet verified (RFC 8555 §7.3.4).
    pub external_account_binding: Option<ExternalBinding>,
}

impl NewAccount {
    /// Reads the payload.
    ///
    /// # Errors
    /// `malformed`, `invalidContact`, `unsupportedContact`, or what [`ExternalBinding::parse`]
    /// says.
    pub fn parse(payload: &[u8]) -> Result<Self, Problem> {
        let mut members = Object::parse(payload, "the newAccount request")?;
        Ok(Self {
            contact: contacts(&mut members)?.unwrap_or_default(),
            terms_of_service_agreed: members.boolean("termsOfServiceAgreed")?.unwrap_or(false),
            only_return_existing: members.boolean("onlyReturnExisting")?.unwrap_or(false),
            external_account_binding: members
                .take("externalAccountBinding")
                .map(ExternalBinding::parse)
                .transpose()?,
        })
    }
}

/// An update of an account (RFC 8555 §7.3.2, §7.3.6). Members a client may not change are ignored,
/// as §7.3.2 demands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountUpdate {
    /// The new contacts, if they are to change.
    pub contact: Option<Vec<Contact>>,
    /// Whether the client now agrees to the terms (RFC 8555 §7.3.3).
    pub terms_of_service_agreed: Option<bool>,
    /// Whether the account is to be deactivated, which nothing undoes.
    pub deactivate: bool,
}

impl AccountUpdate {
    /// Reads the payload; a POST-as-GET is an update of nothing.
    ///
    /// # Errors
    /// `malformed`, `invalidContact`, `unsupportedContact`.
    pub fn parse(payload: &[u8]) -> Result<Self, Problem> {
        if payload.is_empty() {
            return Ok(Self::default());
        }
        let mut members = Object::parse(payload, "the account update")?;
        let deactivate = match members.string("status")?.as_deref() {
            None | Some("valid") => false,
            Some("deactivated") => true,
            Some(_) => return Err(members.wrong("status", "\"deactivated\"")),
        };
        Ok(Self {
            contact: contacts(&mut members)?,
            terms_of_service_agreed: members.boolean("termsOfServiceAgreed")?,
            deactivate,
        })
    }
}

/// A page of the orders list (RFC 8555 §7.1.2.1): which query parameters select it is the server's
/// own affair; here the only one is `cursor`, a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrdersQuery {
    /// Orders before this number, or the latest.
    pub cursor: Option<u64>,
}

impl OrdersQuery {
    /// Reads a query string.
    ///
    /// # Errors
    /// `malformed` if `cursor` is no number.
    pub fn parse(query: &str) -> Result<Self, Problem> {
        let Some(cursor) = query.split('&').find_map(|pair| pair.strip_prefix("cursor=")) else {
            return Ok(Self::default());
        };
        let cursor =
            cursor.parse().map_err(|_| Problem::malformed("\"cursor\" is not a number"))?;
        Ok(Self { cursor: Some(cursor) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProblemType;

    #[test]
    fn a_new_account_may_be_empty() {
        let account = NewAccount::parse(b"{}").expect("valid");
        assert!(account.contact.is_empty());
        assert!(!account.terms_of_service_agreed && !account.only_return_existing);
        assert!(account.external_account_binding.is_none());
    }

    #[test]
    fn unknown_members_are_ignored_and_wrong_types_are_not() {
        let payload = br#"{"termsOfServiceAgreed":true,"contact":["mailto:a@example.org"],
            "orders":"https://evil.example/","status":"revoked","nickname":[1]}"#;
        let account = NewAccount::parse(payload).expect("valid");
        assert!(account.terms_of_service_agreed);
        assert_eq!(account.contact[0].as_str(), "mailto:a@example.org");
        for bad in [
            &b""[..],
            b"[]",
            br#"{"termsOfServiceAgreed":"yes"}"#,
            br#"{"contact":"mailto:a@example.org"}"#,
            br#"{"contact":[1]}"#,
            br#"{"onlyReturnExisting":1}"#,
            br#"{"externalAccountBinding":true}"#,
        ] {
            let problem = NewAccount::parse(bad).expect_err("refused");
            assert_eq!(problem.kind, ProblemType::Malformed);
        }
    }

    #[test]
    fn an_update_changes_contacts_or_deactivates() {
        assert_eq!(AccountUpdate::parse(b"").expect("POST-as-GET"), AccountUpdate::default());
        let update = AccountUpdate::parse(br#"{"contact":[]}"#).expect("valid");
        assert_eq!(update.contact, Some(vec![]));
        let update = AccountUpdate::parse(br#"{"status":"deactivated"}"#).expect("valid");
        assert!(update.deactivate);
        assert!(AccountUpdate::parse(br#"{"status":"revoked"}"#).is_err());
    }

    #[test]
    fn a_cursor_is_a_number() {
        assert_eq!(OrdersQuery::parse("").expect("none").cursor, None);
        assert_eq!(OrdersQuery::parse("a=b&cursor=42").expect("number").cursor, Some(42));
        assert!(OrdersQuery::parse("cursor=-1").is_err());
    }
}
