//! What would change: the difference between what is declared and what stands, decided without
//! touching either.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};

use super::Declared;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    /// What happens to it.
    pub(crate) change: Verb,
    /// `authority`, `profile` or `directory`.
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
pub(crate) fn plan(standing: &Declared, wanted: &Declared) -> Result<Vec<Change>, String> {
    let mut changes = Vec::new();
    for (name, spec) in &wanted.authorities {
        if let Some(old) = standing.authorities.get(name) {
            let mut movable = old.clone();
            movable.crl_lifetime = spec.crl_lifetime;
            if movable != *spec {
                return Err(format!(
                    "authority {name:?} exists, and its certificate cannot change; declare an authority of another name instead"
                ));
            }
        }
        note(&mut changes, "authority", name, standing.authorities.get(name), spec);
    }
    for (name, spec) in &wanted.profiles {
        note(&mut changes, "profile", name, standing.profiles.get(name), spec);
    }
    for (name, spec) in &wanted.directories {
        note(&mut changes, "directory", name, standing.directories.get(name), spec);
    }
    Ok(changes)
}

/// What of `standing` is not in `wanted`, and goes if nothing else is to stand.
pub(crate) fn prune(standing: &Declared, wanted: &Declared) -> Vec<Change> {
    let gone = standing.things().filter(|(kind, name)| !wanted.holds(kind, name));
    let delete = |(kind, name): (&'static str, &String)| Change {
        change: Verb::Delete,
        kind,
        name: name.clone(),
        why: "it is not declared any more".to_owned(),
    };
    gone.map(delete).collect()
}

impl Declared {
    /// Kind and name of everything in it; what names others comes before what is named.
    fn things(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let of = |kind: &'static str| move |name| (kind, name);
        let directories = self.directories.keys().map(of("directory"));
        let profiles = self.profiles.keys().map(of("profile"));
        directories.chain(profiles).chain(self.authorities.keys().map(of("authority")))
    }

    /// Whether it has something of this kind and name.
    pub(crate) fn holds(&self, kind: &str, name: &str) -> bool {
        self.things().any(|thing| thing.0 == kind && thing.1 == name)
    }

    /// This set with everything in `wanted` put in or over.
    pub(crate) fn with(mut self, wanted: &Self) -> Self {
        self.authorities.extend(wanted.authorities.clone());
        self.profiles.extend(wanted.profiles.clone());
        self.directories.extend(wanted.directories.clone());
        self
    }
}

/// The keys in which two specifications differ.
fn changed<T: Serialize>(old: &T, wanted: &T) -> String {
    let fields = |spec: &T| match serde_json::to_value(spec) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let (old, wanted) = (fields(old), fields(wanted));
    let keys: BTreeSet<_> = old.keys().chain(wanted.keys()).collect();
    let differing = keys.into_iter().filter(|key| old.get(*key) != wanted.get(*key));
    differing.map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn note<T: PartialEq + Serialize>(
    changes: &mut Vec<Change>,
    kind: &'static str,
    name: &str,
    standing: Option<&T>,
    wanted: &T,
) {
    let (change, why) = match standing {
        None => (Verb::Create, "it is declared and does not exist".to_owned()),
        Some(old) if old != wanted => (Verb::Update, format!("changed: {}", changed(old, wanted))),
        Some(_) => return,
    };
    changes.push(Change { change, kind, name: name.to_owned(), why });
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
