//! A stream on which each secret has a version of its own and only what is new is sent (the xDS protocol,
//! incremental). A client that comes back says what it has, and is not sent that again.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use tonic::Status;

use super::messages::{
    Any, DeltaDiscoveryRequest as Request, DeltaDiscoveryResponse as Response, Resource, SECRET,
};
use super::secret::Secret;
use super::seen::{Draft, Part, Protocol, Seen, Sent, unnamed, why};

/// What a stream has come to.
#[derive(Debug, Default)]
pub(super) struct Delta {
    seen: Seen,
    nonce: u64,
    heard: bool,
    /// The version of each secret that the client has, or was sent.
    versions: BTreeMap<String, String>,
    /// What was in the last answer.
    last: BTreeSet<String>,
    /// Secrets that the client has refused, and why.
    refusals: BTreeMap<String, String>,
}

impl Delta {
    /// What it makes of the last answer; what it says of another one comes too late.
    fn judge(&mut self, said: &mut Request) {
        if said.response_nonce.is_empty() || said.response_nonce != self.nonce.to_string() {
            return;
        }
        match said.error_detail.take().map(why) {
            Some(why) => {
                self.refusals.extend(self.last.iter().map(|name| (name.clone(), why.clone())));
            }
            None => self.refusals.retain(|name, _| !self.last.contains(name)),
        }
        self.tell(true);
    }

    fn tell(&mut self, is_judged: bool) {
        self.seen.refused = self.refusals.values().next().cloned();
        self.seen.acknowledged = is_judged && self.refusals.is_empty();
    }

    fn subscribe(&mut self, said: Request) -> Result<(), Status> {
        let mut names: BTreeSet<String> = self.seen.names.drain(..).collect();
        for name in said.resource_names_unsubscribe {
            names.remove(&name);
            self.versions.remove(&name);
            self.refusals.remove(&name);
        }
        for name in said.resource_names_subscribe {
            if name == EVERYTHING {
                return Err(unnamed());
            }
            // Who asks for something again wants to have it again.
            self.versions.remove(&name);
            names.insert(name);
        }
        self.seen.want(names.into_iter().collect())?;
        if !self.heard {
            let wanted = |(name, _): &(String, String)| self.seen.names.contains(name);
            self.versions = said.initial_resource_versions.into_iter().filter(wanted).collect();
        }
        self.heard = true;
        Ok(())
    }
}

impl Protocol for Delta {
    type Said = Request;
    type Answer = Response;

    fn hear(&mut self, mut said: Request) -> Result<bool, Status> {
        self.seen.introduce(said.node.take(), &said.type_url)?;
        self.judge(&mut said);
        let asks = !said.resource_names_subscribe.is_empty()
            || !said.resource_names_unsubscribe.is_empty();
        self.subscribe(said)?;
        Ok(asks)
    }

    fn seen(&mut self) -> &mut Seen {
        &mut self.seen
    }

    fn send(&mut self, secrets: &[Secret]) -> Option<Draft> {
        self.seen.sent = secrets.iter().map(Sent::of).collect();
        let mut parts = Vec::new();
        for secret in secrets {
            let version = HEXLOWER.encode(&digest(&SHA256, &secret.identity).as_ref()[..8]);
            if self.versions.get(&secret.name) != Some(&version) {
                parts.push(Part { name: secret.name.clone(), version });
            }
        }
        let missing = self.seen.missing.iter();
        let removed: Vec<_> =
            missing.filter(|name| self.versions.contains_key(*name)).cloned().collect();
        if parts.is_empty() && removed.is_empty() {
            // It came with everything it wants.
            if self.nonce == 0 {
                self.tell(!secrets.is_empty());
            }
            return None;
        }
        self.nonce += 1;
        self.last = parts.iter().map(|part| part.name.clone()).chain(removed.clone()).collect();
        for name in &removed {
            self.versions.remove(name);
        }
        for Part { name, version } in &parts {
            self.versions.insert(name.clone(), version.clone());
        }
        self.refusals.retain(|name, _| !self.last.contains(name));
        self.tell(false);
        let nonce = self.nonce.to_string();
        Some(Draft { version: nonce.clone(), nonce, parts, removed })
    }

    fn answer(draft: Draft, secrets: Vec<Any>) -> Response {
        let resources = draft.parts.into_iter().zip(secrets);
        Response {
            system_version_info: draft.version,
            resources: resources
                .map(|(Part { name, version }, secret)| Resource {
                    name,
                    version,
                    resource: Some(secret),
                })
                .collect(),
            type_url: SECRET.to_owned(),
            removed_resources: draft.removed,
            nonce: draft.nonce,
        }
    }
}

/// What subscribes to all resources there are.
const EVERYTHING: &str = "*";

#[cfg(test)]
mod tests {
    use super::super::messages::Detail;
    use super::super::secret::Content;
    use super::*;

    fn trust(name: &str, pem: &str) -> Secret {
        let (identity, content) = (pem.as_bytes().to_vec(), Content::Trust(pem.into()));
        Secret { name: name.into(), identity, content }
    }

    fn wish(names: &[&str]) -> Request {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Request { resource_names_subscribe: names, ..Request::default() }
    }

    fn about(nonce: &str, error: Option<&str>) -> Request {
        Request {
            response_nonce: nonce.into(),
            error_detail: error.map(|why| Detail { code: 13, message: why.into() }),
            ..Request::default()
        }
    }

    fn sent(draft: Option<Draft>) -> (String, Vec<String>) {
        let draft = draft.expect("something is to be sent");
        (draft.nonce, draft.parts.into_iter().map(|part| part.name).collect())
    }

    #[test]
    fn only_what_is_new_is_sent_and_refusals_are_of_what_was_refused() {
        let mut stream = Delta::default();
        stream.hear(wish(&["a", "b"])).expect("understood");
        let (first, names) = sent(stream.send(&[trust("a", "1"), trust("b", "1")]));
        assert_eq!(names, ["a", "b"]);
        stream.hear(about(&first, None)).expect("understood");
        assert!(stream.seen.acknowledged);
        assert_eq!(stream.send(&[trust("a", "1"), trust("b", "1")]), None);

        let (second, names) = sent(stream.send(&[trust("a", "2"), trust("b", "1")]));
        assert_eq!(names, ["a"]);
        assert!(!stream.seen.acknowledged);
        stream.hear(about(&first, Some("too late"))).expect("understood");
        assert_eq!(stream.seen.refused, None);
        stream.hear(about(&second, Some("no"))).expect("understood");
        assert_eq!(stream.seen.refused.as_deref(), Some("no"));
        assert_eq!(stream.send(&[trust("a", "2"), trust("b", "1")]), None, "not as it is");

        // That another is taken says nothing of the one that was refused.
        let (third, names) = sent(stream.send(&[trust("a", "2"), trust("b", "2")]));
        assert_eq!(names, ["b"]);
        stream.hear(about(&third, None)).expect("understood");
        assert_eq!((stream.seen.acknowledged, stream.seen.refused.as_deref()), (false, Some("no")));
        let (fourth, _) = sent(stream.send(&[trust("a", "3"), trust("b", "2")]));
        stream.hear(about(&fourth, None)).expect("understood");
        assert_eq!((stream.seen.acknowledged, stream.seen.refused.as_deref()), (true, None));
    }

    #[test]
    fn who_comes_back_is_sent_what_it_has_not() {
        let mut before = Delta::default();
        before.hear(wish(&["a", "b"])).expect("understood");
        before.send(&[trust("a", "1"), trust("b", "1")]).expect("all of it");
        let mut had = before.versions.clone();
        had.insert("never-asked-for".into(), "1".into());
        let back = || Request { initial_resource_versions: had.clone(), ..wish(&["a", "b"]) };

        let mut same = Delta::default();
        same.hear(back()).expect("understood");
        assert_eq!(same.send(&[trust("a", "1"), trust("b", "1")]), None);
        assert!(same.seen.acknowledged, "it says so");
        assert_eq!(same.seen.sent.len(), 2);

        let mut other = Delta::default();
        other.hear(back()).expect("understood");
        assert_eq!(sent(other.send(&[trust("a", "1"), trust("b", "2")])).1, ["b"]);
        // Later on, what it says of versions counts no more, and what it asks for again it gets.
        other.hear(back()).expect("understood");
        assert_eq!(sent(other.send(&[trust("a", "1"), trust("b", "2")])).1, ["a", "b"]);
    }

    #[test]
    fn what_it_may_not_have_any_more_is_taken_back_once_and_bounds_hold() {
        let mut stream = Delta::default();
        stream.hear(wish(&["a", "b"])).expect("understood");
        sent(stream.send(&[trust("a", "1"), trust("b", "1")]));
        stream.seen.missing = vec!["b".into()];
        let draft = stream.send(&[trust("a", "1")]).expect("news");
        assert_eq!((draft.parts.len(), draft.removed), (0, vec!["b".to_owned()]));
        assert_eq!(stream.send(&[trust("a", "1")]), None);
        let drop_a = Request { resource_names_unsubscribe: vec!["a".into()], ..wish(&["c"]) };
        stream.hear(drop_a).expect("understood");
        assert_eq!(stream.seen.names, ["b", "c"]);

        assert!(stream.hear(wish(&["*"])).is_err(), "all of them are for nobody");
        let many: Vec<_> = (0..33).map(|n| n.to_string()).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert!(Delta::default().hear(wish(&many)).is_err());
        let other = Request { type_url: "x".into(), ..wish(&["a"]) };
        assert!(Delta::default().hear(other).is_err());
    }
}
