//! One stream of a client: what it wants, what it was sent, and what it made of that (the xDS protocol,
//! state of the world). Nothing here is looked up or sent.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use tonic::Status;

use super::messages::{Any, DiscoveryRequest, DiscoveryResponse, SECRET};
use super::secret::Secret;
use super::seen::{Draft, Part, Protocol, Seen, Sent, unnamed, why};

/// What a stream has come to.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    seen: Seen,
    version: String,
    nonce: u64,
}

impl Protocol for Subscription {
    type Said = DiscoveryRequest;
    type Answer = DiscoveryResponse;

    fn hear(&mut self, said: DiscoveryRequest) -> Result<bool, Status> {
        self.seen.introduce(said.node, &said.type_url)?;
        // About an answer before the last: what it says now is said again about the last.
        if !said.response_nonce.is_empty() && said.response_nonce != self.nonce.to_string() {
            return Ok(false);
        }
        if !said.response_nonce.is_empty() {
            self.seen.acknowledged = said.error_detail.is_none();
            self.seen.refused = said.error_detail.map(why);
        }
        if said.resource_names.is_empty() {
            return Err(unnamed());
        }
        let before = std::mem::take(&mut self.seen.names);
        self.seen.want(said.resource_names)?;
        Ok(self.seen.names != before)
    }

    fn seen(&mut self) -> &mut Seen {
        &mut self.seen
    }

    /// All or nothing, under one version.
    fn send(&mut self, secrets: &[Secret]) -> Option<Draft> {
        let all: Vec<u8> = (secrets.iter())
            .flat_map(|secret| [secret.name.as_bytes(), &[0], &secret.identity].concat())
            .collect();
        let version = HEXLOWER.encode(&digest(&SHA256, &all).as_ref()[..8]);
        if secrets.is_empty() || version == self.version {
            return None;
        }
        self.version.clone_from(&version);
        self.nonce += 1;
        (self.seen.acknowledged, self.seen.refused) = (false, None);
        self.seen.sent = secrets.iter().map(Sent::of).collect();
        let part = |secret: &Secret| Part { name: secret.name.clone(), version: version.clone() };
        let parts = secrets.iter().map(part).collect();
        Some(Draft { nonce: self.nonce.to_string(), version, parts, removed: Vec::new() })
    }

    fn answer(draft: Draft, resources: Vec<Any>) -> DiscoveryResponse {
        let (version_info, nonce) = (draft.version, draft.nonce);
        DiscoveryResponse { version_info, resources, type_url: SECRET.to_owned(), nonce }
    }
}

#[cfg(test)]
mod tests {
    use super::super::messages::Detail;
    use super::super::secret::Content;
    use super::*;

    fn trust(name: &str, pem: &str) -> Secret {
        let (identity, content) = (pem.as_bytes().to_vec(), Content::Trust(pem.into()));
        Secret { name: name.into(), identity, content }
    }

    fn about(nonce: &str, names: &[&str], error: Option<&str>) -> DiscoveryRequest {
        DiscoveryRequest {
            resource_names: names.iter().map(|name| (*name).to_owned()).collect(),
            response_nonce: nonce.into(),
            error_detail: error.map(|why| Detail { code: 13, message: why.into() }),
            ..DiscoveryRequest::default()
        }
    }

    #[test]
    fn the_same_is_sent_once_and_what_is_said_of_an_older_answer_says_nothing() {
        let mut stream = Subscription::default();
        stream.hear(about("", &["trust/a"], None)).expect("understood");
        let first = stream.send(&[trust("trust/a", "1")]).expect("it is new");
        let nonce = first.nonce.clone();
        assert_eq!(stream.send(&[trust("trust/a", "1")]), None);
        let asks = stream.hear(about(&nonce, &["trust/a"], None)).expect("understood");
        assert!(stream.seen.acknowledged && !asks);

        let second = stream.send(&[trust("trust/a", "2")]).expect("it is new");
        let later = second.nonce.clone();
        assert!(first.version != second.version && nonce != later);
        assert!(!stream.seen.acknowledged, "of this one nothing was said yet");
        stream.hear(about(&nonce, &["trust/a"], Some("too late"))).expect("understood");
        assert_eq!(stream.seen.refused, None);
        stream.hear(about(&later, &["trust/a"], Some("no"))).expect("understood");
        assert_eq!((stream.seen.acknowledged, stream.seen.refused.as_deref()), (false, Some("no")));
        assert_eq!(stream.send(&[trust("trust/a", "2")]), None, "it is not sent again as it is");
        assert!(stream.send(&[trust("trust/a", "3")]).is_some());
        assert_eq!(stream.seen.refused, None);
    }

    #[test]
    fn a_stream_that_wants_other_things_gets_them() {
        let mut stream = Subscription::default();
        stream.hear(about("", &["b", "a", "a"], None)).expect("understood");
        assert_eq!(stream.seen.names, ["a", "b"]);
        stream.send(&[trust("a", "1")]).expect("it is new");
        assert!(stream.hear(about("1", &["c"], None)).expect("understood"), "it asks for more");
        assert!(stream.send(&[trust("c", "1")]).is_some(), "under another name");
        let many: Vec<_> = (0..33).map(|n| n.to_string()).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert!(stream.hear(about("2", &many, None)).is_err());
        assert!(stream.hear(about("2", &[], None)).is_err());
        let other = DiscoveryRequest { type_url: "x".into(), ..about("2", &["a"], None) };
        assert!(stream.hear(other).is_err());
    }
}
