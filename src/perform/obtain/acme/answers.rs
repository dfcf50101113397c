//! What our own listeners answer to a CA that validates: key authorizations over HTTP, challenge
//! certificates over TLS. In memory only: an order taken up after a crash puts them here again.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::sign::CertifiedKey;

/// The answers of the orders under way; clones share them.
#[derive(Clone, Default)]
pub(crate) struct Answers(Arc<RwLock<Table>>);

#[derive(Default)]
struct Table {
    http: HashMap<String, String>,
    tls: HashMap<String, Arc<CertifiedKey>>,
}

/// An answer in its place; dropped, it is gone.
pub(super) struct Answer {
    answers: Answers,
    key: Key,
}

enum Key {
    Token(String),
    ServerName(String, Arc<CertifiedKey>),
}

impl Answers {
    /// The key authorization to serve for `token` (RFC 8555 §8.3).
    pub(crate) fn key_authorization(&self, token: &str) -> Option<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).http.get(token).cloned()
    }

    /// The certificate to show, under the protocol `acme-tls/1` alone, to who asks for
    /// `server_name` (RFC 8737 §3).
    pub(crate) fn certificate(&self, server_name: &str) -> Option<Arc<CertifiedKey>> {
        let name = server_name.to_ascii_lowercase();
        self.0.read().unwrap_or_else(PoisonError::into_inner).tls.get(&name).cloned()
    }

    /// Serves a key authorization.
    pub(super) fn put_token(&self, token: String, key_authorization: String) -> Answer {
        self.change(|table| table.http.insert(token.clone(), key_authorization));
        Answer { answers: self.clone(), key: Key::Token(token) }
    }

    /// Shows a challenge certificate. Of two orders for one name, the later is answered: the
    /// protocol has no way to tell which is asked about.
    pub(super) fn put_certificate(&self, name: String, certificate: Arc<CertifiedKey>) -> Answer {
        self.change(|table| table.tls.insert(name.clone(), Arc::clone(&certificate)));
        Answer { answers: self.clone(), key: Key::ServerName(name, certificate) }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Table) -> T) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.answers.change(|table| match &self.key {
            Key::Token(token) => drop(table.http.remove(token)),
            Key::ServerName(name, ours) => {
                if table.tls.get(name).is_some_and(|shown| Arc::ptr_eq(shown, ours)) {
                    table.tls.remove(name);
                }
            }
        });
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answers")
    }
}

#[cfg(test)]
mod tests {
    use ca::Identifier;

    use super::super::csr::challenge_certificate;
    use super::*;

    #[test]
    fn an_answer_is_there_as_long_as_it_is_held() {
        let answers = Answers::default();
        let held = answers.put_token("t".into(), "t.thumb".into());
        assert_eq!(answers.key_authorization("t").as_deref(), Some("t.thumb"));
        assert_eq!(answers.key_authorization("u"), None);
        drop(held);
        assert_eq!(answers.key_authorization("t"), None);
    }

    #[test]
    fn the_end_of_an_order_leaves_the_answer_of_a_later_one() {
        let answers = Answers::default();
        let name = Identifier::parse("example.com").expect("a name");
        let made = || challenge_certificate(&name, &[7; 32]).expect("a certificate");
        let earlier = answers.put_certificate("example.com".into(), made());
        let later = answers.put_certificate("example.com".into(), made());
        drop(earlier);
        assert!(answers.certificate("EXAMPLE.com").is_some());
        drop(later);
        assert!(answers.certificate("example.com").is_none());
    }
}
