//! What a stream of a client has come to, whichever variant of the xDS protocol it speaks: what it wants,
//! what it was sent, and what it made of that. Nothing here is looked up or sent.

use prost::Message;
use serde::Serialize;
use tonic::Status;

use super::messages::{Any, Detail, Node, SECRET};
use super::secret::{Content, Secret};

/// A variant of the protocol, and what it keeps of a stream.
pub(super) trait Protocol: Default + Send + 'static {
    /// What the client says.
    type Said: Message + Default + 'static;
    /// What it is answered.
    type Answer: Message + Default + 'static;

    /// Takes in what the client says. Whether it asks for something, and does not only tell what it
    /// makes of what it was sent.
    ///
    /// # Errors
    /// What ends the stream.
    fn hear(&mut self, said: Self::Said) -> Result<bool, Status>;

    fn seen(&mut self) -> &mut Seen;

    /// What is to be sent of `secrets`, all that are there of those it wants; from now on it was sent.
    fn send(&mut self, secrets: &[Secret]) -> Option<Draft>;

    /// The answer with the secrets that the draft names, in its order.
    fn answer(draft: Draft, secrets: Vec<Any>) -> Self::Answer;
}

/// An answer, but for what is secret in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) nonce: String,
    /// Of all that the client wants; for people where each secret has its own.
    pub(super) version: String,
    /// The names of the secrets in it, in the order in which they were looked up.
    pub(super) parts: Vec<Part>,
    /// The names of those the client has and may not have any more.
    pub(super) removed: Vec<String>,
}

/// A secret in an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) version: String,
}

/// What is shown of a stream.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Seen {
    /// What the client calls itself; for people.
    pub(super) node: String,
    /// What it wants.
    pub(super) names: Vec<String>,
    /// What of that is not for it, or not there.
    pub(super) missing: Vec<String>,
    /// What it has, as far as it was sent or says so.
    pub(super) sent: Vec<Sent>,
    /// Whether it says that it uses that. It need not.
    pub(super) acknowledged: bool,
    /// Why it does not.
    pub(super) refused: Option<String>,
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

impl Seen {
    /// The client says who it is and which kind of resources it wants.
    pub(super) fn introduce(&mut self, node: Option<Node>, type_url: &str) -> Result<(), Status> {
        if !type_url.is_empty() && type_url != SECRET {
            return Err(Status::invalid_argument("only secrets are to be had here"));
        }
        if let Some(node) = node {
            self.node = node.id.chars().take(MAX_NODE).collect();
        }
        Ok(())
    }

    /// It wants these, and nothing else.
    pub(super) fn want(&mut self, mut names: Vec<String>) -> Result<(), Status> {
        names.sort();
        names.dedup();
        if names.len() > MAX_NAMES {
            let why = format!("at most {MAX_NAMES} secrets are sent on one stream; use another");
            return Err(Status::resource_exhausted(why));
        }
        self.names = names;
        Ok(())
    }
}

impl Sent {
    pub(super) fn of(secret: &Secret) -> Self {
        let (version, target) = match &secret.content {
            Content::Certificate { target, offer } => {
                (Some(offer.version.number), Some(target.clone()))
            }
            Content::Trust(_) => (None, None),
        };
        Self { secret: secret.name.clone(), version, target }
    }
}

/// Why something was refused, as much as is kept of it.
pub(super) fn why(detail: Detail) -> String {
    detail.message.chars().take(MAX_WHY).collect()
}

/// All secrets are for nobody.
pub(super) fn unnamed() -> Status {
    Status::invalid_argument("name the secrets: all of them are for nobody")
}

const MAX_NAMES: usize = 32;
const MAX_NODE: usize = 128;
const MAX_WHY: usize = 1024;
