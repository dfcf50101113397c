//! One stream of a client: what it wants, what it was sent, and what it made of that (the xDS protocol,
//! state of the world). Nothing here is looked up or sent.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use serde::Serialize;
use tonic::Status;

use super::messages::{DiscoveryRequest, SECRET};
use super::secret::{Content, Secret};

/// What a stream has come to.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Subscription {
    /// What the client calls itself; for people.
    pub(super) node: String,
    /// What it wants.
    pub(super) names: Vec<String>,
    /// What of that is not for it, or not there.
    pub(super) missing: Vec<String>,
    /// What it was sent last.
    pub(super) sent: Vec<Sent>,
    /// Whether it says that it uses that. It need not.
    pub(super) acknowledged: bool,
    /// Why it does not.
    pub(super) refused: Option<String>,
    #[serde(skip)]
    version: String,
    #[serde(skip)]
    nonce: u64,
}

/// A secret that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Sent {
    pub(super) secret: String,
    /// Of the certificate; none for what is trusted.
    pub(super) version: Option<u32>,
    /// For which target.
    pub(super) target: Option<String>,
}

impl Subscription {
    /// Takes in what the client says.
    ///
    /// # Errors
    /// What ends the stream.
    pub(super) fn hear(&mut self, said: DiscoveryRequest) -> Result<(), Status> {
        if !said.type_url.is_empty() && said.type_url != SECRET {
            return Err(Status::invalid_argument("only secrets are to be had here"));
        }
        if let Some(node) = said.node {
            self.node = node.id.chars().take(MAX_NODE).collect();
        }
        // About an answer before the last: what it says now is said again about the last.
        if !said.response_nonce.is_empty() && said.response_nonce != self.nonce.to_string() {
            return Ok(());
        }
        if !said.response_nonce.is_empty() {
            self.acknowledged = said.error_detail.is_none();
            self.refused = said.error_detail.map(|why| why.message.chars().take(MAX_WHY).collect());
        }
        let mut names = said.resource_names;
        names.sort();
        names.dedup();
        if names.is_empty() {
            return Err(Status::invalid_argument("name the secrets: all of them are for nobody"));
        }
        if names.len() > MAX_NAMES {
            let why = format!("at most {MAX_NAMES} secrets are sent on one stream; use another");
            return Err(Status::resource_exhausted(why));
        }
        self.names = names;
        Ok(())
    }

    /// Whether these are not what was sent last; if so, they are from now on, under this version and
    /// nonce.
    pub(super) fn send(&mut self, secrets: &[Secret]) -> Option<(String, String)> {
        let all: Vec<u8> = (secrets.iter())
            .flat_map(|secret| [secret.name.as_bytes(), &[0], &secret.identity].concat())
            .collect();
        let version = HEXLOWER.encode(&digest(&SHA256, &all).as_ref()[..8]);
        if secrets.is_empty() || version == self.version {
            return None;
        }
        self.version.clone_from(&version);
        self.nonce += 1;
        (self.acknowledged, self.refused) = (false, None);
        self.sent = secrets.iter().map(Sent::of).collect();
        Some((version, self.nonce.to_string()))
    }
}

impl Sent {
    fn of(secret: &Secret) -> Self {
        let (version, target) = match &secret.content {
            Content::Certificate { target, offer } => {
                (Some(offer.version.number), Some(target.clone()))
            }
            Content::Trust(_) => (None, None),
        };
        Self { secret: secret.name.clone(), version, target }
    }
}

const MAX_NAMES: usize = 32;
const MAX_NODE: usize = 128;
const MAX_WHY: usize = 1024;

#[cfg(test)]
mod tests {
    use super::super::messages::Detail;
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
        let (first, nonce) = stream.send(&[trust("trust/a", "1")]).expect("it is new");
        assert_eq!(stream.send(&[trust("trust/a", "1")]), None);
        stream.hear(about(&nonce, &["trust/a"], None)).expect("understood");
        assert!(stream.acknowledged);

        let (second, later) = stream.send(&[trust("trust/a", "2")]).expect("it is new");
        assert_ne!((&first, &nonce), (&second, &later));
        assert!(!stream.acknowledged, "of this one nothing was said yet");
        stream.hear(about(&nonce, &["trust/a"], Some("too late"))).expect("understood");
        assert_eq!(stream.refused, None);
        stream.hear(about(&later, &["trust/a"], Some("no"))).expect("understood");
        assert_eq!((stream.acknowledged, stream.refused.as_deref()), (false, Some("no")));
        assert_eq!(stream.send(&[trust("trust/a", "2")]), None, "it is not sent again as it is");
        assert!(stream.send(&[trust("trust/a", "3")]).is_some());
        assert_eq!(stream.refused, None);
    }

    #[test]
    fn a_stream_that_wants_other_things_gets_them() {
        let mut stream = Subscription::default();
        stream.hear(about("", &["b", "a", "a"], None)).expect("understood");
        assert_eq!(stream.names, ["a", "b"]);
        stream.send(&[trust("a", "1")]).expect("it is new");
        stream.hear(about("1", &["c"], None)).expect("understood");
        assert!(stream.send(&[trust("c", "1")]).is_some(), "under another name");
        let many: Vec<_> = (0..33).map(|n| n.to_string()).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert!(stream.hear(about("2", &many, None)).is_err());
        assert!(stream.hear(about("2", &[], None)).is_err());
        let other = DiscoveryRequest { type_url: "x".into(), ..about("2", &["a"], None) };
        assert!(stream.hear(other).is_err());
    }
}
