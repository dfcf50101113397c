//! What would change: the difference between what is declared and what stands, decided without
//! touching either.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::declared::{Declared, Entry};
use super::wrong::Wrong;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    /// What happens to it.
    pub(crate) change: Verb,
    /// `authority`, `profile`, `directory`, ...
    pub(crate) kind: &'static str,
    /// Its name.
    pub(crate) name: String,
    /// Why, for people.
    pub(crate) why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verb {
    Create,
    Update,
    Delete,
}

/// What must change for `standing` to hold everything in `wanted`. What stands and is not
/// mentioned is left alone.
///
/// # Errors
/// When a change is impossible, in words: what makes an authority is in its certificate.
pub(crate) fn plan(standing: &Declared, wanted: &Declared) -> Result<Vec<Change>, Wrong> {
    for (name, spec) in &wanted.authorities {
        if let Some(old) = standing.authorities.get(name) {
            let mut movable = old.clone();
            movable.crl_lifetime = spec.crl_lifetime;
            if movable != *spec {
                let why = "it exists, and its certificate cannot change; declare an authority of another name instead";
                return Err(Wrong::new("authority", name, why));
            }
        }
    }
    let stands: BTreeMap<_, _> = (standing.entries().into_iter())
        .map(|entry| ((entry.kind, entry.name), entry.spec))
        .collect();
    let changes = wanted.entries().into_iter().filter_map(|Entry { kind, name, spec }| {
        let (change, why) = match stands.get(&(kind, name.clone())) {
            None => (Verb::Create, "it is declared and does not exist".to_owned()),
            Some(old) if *old != spec => {
                (Verb::Update, format!("changed: {}", changed(old, &spec)))
            }
            Some(_) => return None,
        };
        Some(Change { change, kind, name, why })
    });
    Ok(changes.collect())
}

/// What of `standing` is not in `wanted`, and goes if nothing else is to stand.
pub(crate) fn prune(standing: &Declared, wanted: &Declared) -> Vec<Change> {
    // What names others comes before what is named.
    let gone = standing.entries().into_iter().rev();
    let gone = gone.filter(|entry| !wanted.holds(entry.kind, &entry.name));
    let delete = |Entry { kind, name, .. }: Entry| Change {
        change: Verb::Delete,
        kind,
        name,
        why: match kind {
            "keyset" => "it is not declared any more; what it signed verifies until it expires",
            _ => "it is not declared any more",
        }
        .to_owned(),
    };
    gone.map(delete).collect()
}

/// The keys in which two specifications differ.
fn changed(old: &Value, wanted: &Value) -> String {
    let keys = |spec: &Value| spec.as_object().map(|o| o.keys().cloned().collect::<Vec<_>>());
    let keys: BTreeSet<_> = [old, wanted].into_iter().filter_map(keys).flatten().collect();
    let differing = keys.into_iter().filter(|key| old.get(key) != wanted.get(key));
    differing.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::defaults;
    use super::*;

    #[test]
    fn applying_twice_is_the_same_as_once() {
        let wanted = defaults();
        let first = plan(&Declared::default(), &wanted).expect("possible");
        assert_eq!(first.len(), 4);
        let standing = Declared::default().with(&wanted);
        assert_eq!(plan(&standing, &wanted), Ok(Vec::new()));
    }

    #[test]
    fn an_update_says_what_changed() {
        let standing = defaults();
        let mut wanted = defaults();
        wanted.directories.get_mut("default").expect("there").attempts = 5;
        let changes = plan(&standing, &wanted).expect("possible");
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].why, "changed: attempts");
    }

    #[test]
    fn only_what_is_not_declared_is_pruned() {
        let standing = defaults();
        assert_eq!(prune(&standing, &standing), Vec::new());
        let mut wanted = defaults();
        wanted.directories.clear();
        wanted.authorities.remove("internal");
        let gone = prune(&standing, &wanted);
        let gone: Vec<_> = gone.iter().map(|change| (change.kind, change.name.as_str())).collect();
        assert_eq!(gone, [("directory", "default"), ("authority", "internal")]);
    }

    #[test]
    fn what_is_in_a_certificate_cannot_change() {
        let standing = defaults();
        let mut wanted = defaults();
        wanted.authorities.get_mut("root").expect("there").common_name = "Other".into();
        assert!(plan(&standing, &wanted).is_err());
    }
}
