//! Edges: the places where consumers get the set, asked whether they serve a key. What one serves
//! instead is said as what it is, and what it may serve for longer than was declared as well: a lead
//! is computed from that.

use std::sync::Arc;

use jiff::SignedDuration;
use jwks::set::BadSet;
use jwks::window::words;
use jwks::{Jwk, Policy, Served};
use tokio::task::JoinSet;

use super::Known;
use super::fetch::{Answer, Trust};
use crate::node::Node;

/// Looks whether edges serve a key: those that do, and what is to be said of the others.
pub(super) async fn look(
    node: &Arc<Node>,
    known: &Known,
    jwk: &Jwk,
    edges: Vec<String>,
) -> (Vec<String>, Vec<String>) {
    let trust = match Trust::declared(node, known.keyset.spec.edge_roots.as_deref()) {
        Ok(trust) => Arc::new(trust),
        Err(why) => return (Vec::new(), vec![why]),
    };
    let mut looks = JoinSet::new();
    for (place, edge) in edges.into_iter().enumerate() {
        let (node, trust) = (Arc::clone(node), Arc::clone(&trust));
        looks.spawn(async move {
            let answer = node.edges.get(&edge, &trust).await;
            (place, edge, answer)
        });
    }
    let ours: Vec<Jwk> =
        known.set().published().iter().filter_map(|key| known.jwk(&key.kid).ok()).collect();
    let policy = &known.keyset.policy;
    let (mut seen, mut complaints) = (Vec::new(), Vec::new());
    let mut looked = looks.join_all().await;
    looked.sort_by_key(|(place, ..)| *place);
    for (_, edge, answer) in looked {
        let judged = answer.and_then(|answer| {
            judge(&answer, jwk, &ours, policy).map_err(|wrong| wrong.to_string())
        });
        match judged {
            Ok(()) => seen.push(edge),
            Err(why) => complaints.push(format!("{edge}: {why}")),
        }
    }
    (seen, complaints)
}

/// Whether an answer of an edge is a set that has the key, and is not kept for too long. `ours` is
/// what is published here, the key included.
fn judge(answer: &Answer, jwk: &Jwk, ours: &[Jwk], policy: &Policy) -> Result<(), Wrong> {
    let served = match Served::parse(&answer.body) {
        Ok(served) => served,
        Err(_) if answer.is_html() => return Err(Wrong::Html),
        Err(bad) => return Err(bad.into()),
    };
    if let Some(kid) = &served.leaked {
        return Err(Wrong::Leaked(kid.clone()));
    }
    if !served.serves(jwk) {
        let count = served.keys.len() + served.ignored;
        let same = |key: &&Jwk| key.kid == jwk.kid;
        return Err(match served.keys.iter().find(same) {
            Some(key) if key.key != jwk.key => Wrong::OtherKey,
            Some(_) => Wrong::OtherAlgorithm,
            None if count == 0 => Wrong::Empty,
            None if ours.iter().any(|key| served.serves(key)) => Wrong::Old {
                count,
                age: answer.age.map_or_else(String::new, |age| format!(" (Age: {age})")),
            },
            None => Wrong::Other(count),
        });
    }
    let settings = policy.settings();
    let allowed = settings.max_age + settings.copy_age;
    let kept = answer.kept();
    if kept > allowed {
        let needed = kept - settings.max_age;
        return Err(Wrong::Kept {
            kept,
            said: answer.said(),
            max_age: settings.max_age,
            copy_age: settings.copy_age,
            needed: ca::duration::format(needed),
        });
    }
    Ok(())
}

/// What an edge serves instead.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Wrong {
    #[error(
        "it answers with a page (HTML), not with a key set: is it behind a login, or a wrong path?"
    )]
    Html,
    #[error(transparent)]
    Set(#[from] BadSet),
    #[error(
        "it gives the private half of key {0:?} away: replace that key, and what is served there"
    )]
    Leaked(String),
    #[error("it serves an older set of {count} keys, without this one{age}")]
    Old { count: usize, age: String },
    #[error("it serves a set without keys")]
    Empty,
    #[error("it serves {0} keys, and none of this keyset: is it another issuer's?")]
    Other(usize),
    #[error("it serves another key under the same kid")]
    OtherKey,
    #[error("it serves the key for another algorithm")]
    OtherAlgorithm,
    #[error(
        "it serves copies that may be {} old ({said}); max_age {} and copy_age {} allow less: declare \
         copy_age = \"{needed}\", or let it keep to the Cache-Control it is given",
        words(*kept), words(*max_age), words(*copy_age)
    )]
    Kept {
        kept: SignedDuration,
        said: String,
        max_age: SignedDuration,
        copy_age: SignedDuration,
        needed: String,
    },
}

#[cfg(test)]
mod tests {
    use jwks::{Algorithm, PrivateKey, Published, Settings, set::Profile};

    use super::*;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    fn key() -> Jwk {
        let key = PrivateKey::generate(Algorithm::Es256, 2048).expect("a key");
        Jwk::new(key.public_key().clone(), Algorithm::Es256, None).expect("suits")
    }

    fn said(answer: &Answer, jwk: &Jwk, ours: &[Jwk]) -> String {
        let mut settings = Settings::new(Algorithm::Es256, HOUR * 24, HOUR);
        settings.copy_age = SignedDuration::from_mins(1);
        let policy = Policy::new(settings).expect("a policy");
        judge(answer, jwk, ours, &policy).map_or_else(|wrong| wrong.to_string(), |()| String::new())
    }

    fn answer(body: impl Into<Vec<u8>>) -> Answer {
        Answer { body: body.into(), ..Answer::default() }
    }

    fn set(keys: &[Jwk]) -> Vec<u8> {
        Published::new(keys, Profile::Classical).expect("a set").body
    }

    #[test]
    fn what_an_edge_serves_is_said_as_what_it_is() {
        let (old, new, other) = (key(), key(), key());
        let ours = [old.clone(), new.clone()];
        assert_eq!(said(&answer(set(&ours)), &new, &ours), "");
        let mut stale = answer(set(std::slice::from_ref(&old)));
        stale.age = Some(7200);
        let renamed = Jwk { kid: new.kid.clone(), ..other.clone() };
        let text = String::from_utf8(set(std::slice::from_ref(&new))).expect("text");
        let leaked = text.replace("\"kty\":\"EC\"", "\"kty\":\"EC\",\"d\":\"AAAA\"");
        for (answer, what) in [
            (stale, "an older set of 1 keys, without this one (Age: 7200)"),
            (answer("<!doctype html><p>Log in"), "a page (HTML)"),
            (answer("not json"), "not acceptable JSON"),
            (answer("[]"), "no array \"keys\""),
            (answer("{\"keys\":[]}"), "without keys"),
            (answer(set(std::slice::from_ref(&other))), "another issuer's"),
            (answer(set(&[renamed])), "another key under the same kid"),
            (answer(text.replace("ES256", "ES384")), "for another algorithm"),
            (answer(leaked), "gives the private half"),
        ] {
            let said = said(&answer, &new, &ours);
            assert!(said.contains(what), "{what}: {said}");
        }
    }

    #[test]
    fn an_edge_that_keeps_copies_for_longer_than_declared_is_told_with_what_to_declare() {
        let new = key();
        let with = |control: &str, age: Option<u64>| {
            let body = set(std::slice::from_ref(&new));
            said(&Answer { body, age, cache_control: control.into(), html: false }, &new, &[])
        };
        for (control, age) in [
            ("", None),
            ("public, max-age=300, stale-if-error=900", Some(290)),
            ("max-age=360", Some(360)),
            ("no-store", None),
            ("max-age=\"60\", x-y=900", None),
        ] {
            assert_eq!(with(control, age), "", "{control} {age:?}");
        }
        for (control, age, what) in [
            ("max-age=86400", Some(12), "1 d old (Cache-Control: max-age=86400; Age: 12)"),
            ("max-age=300", Some(7200), "2 h old"),
            ("max-age=60, s-maxage=3600", None, "copy_age = \"55m\""),
            ("max-age=300, stale-while-revalidate=600", None, "15 min old"),
            ("Max-Age=361", None, "copy_age = \"1m1s\""),
            ("max-age=99999999999999999999", None, "old"),
        ] {
            let said = with(control, age);
            assert!(said.contains(what), "{control}: {said}");
        }
    }
}
