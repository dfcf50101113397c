//! Who gets what: of all that is asked for, what may be had. A Secret belongs to who had it before, else to
//! who asks for what is in it, else to the oldest object; others may ask for the same, and for nothing
//! else. Nothing is changed here.

use std::collections::{BTreeMap, BTreeSet};

use super::Seen;
use super::admission::{Admission, Request};
use crate::catalog::{Certificate, ClusterDiscoverySpec, Origin, Target};
use crate::store::AskedRow;

/// What becomes of what is asked for.
#[derive(Default)]
pub(super) struct Decision {
    /// What may be had, by the name of the certificate.
    pub(super) held: BTreeMap<String, (Request, Certificate, Target)>,
    pub(super) refused: BTreeSet<Refusal>,
}

/// What is refused, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Refusal {
    pub(super) origin: Origin,
    pub(super) why: String,
}

/// A request, and what decides who comes first.
struct Candidate {
    request: Request,
    claim: Claim,
    created: String,
}

impl Candidate {
    fn rank(&self) -> (Claim, &str, &Origin) {
        (self.claim, &self.created, &self.request.origin)
    }
}

/// What somebody has to do with the Secret asked for. The first comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    HadIt,
    /// If they get it, nothing changes for those who use it.
    WantsTheSame,
    None,
}

/// Decides on everything that `seen` asks for; what was found before in what was not seen yet still
/// asks.
pub(super) fn decide(
    spec: &ClusterDiscoverySpec,
    admission: &Admission<'_>,
    standing: &[AskedRow],
    seen: &Seen,
) -> Decision {
    let mut decision = Decision::default();
    let mut candidates = candidates(spec, standing, seen, &mut decision);
    candidates.sort_by(|a, b| a.rank().cmp(&b.rank()));
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for Candidate { request, .. } in candidates {
        let origin = request.origin.clone();
        let mut refuse = |why: String| {
            decision.refused.insert(Refusal { origin: origin.clone(), why });
        };
        let name = request.name();
        if let Some((holder, ..)) = decision.held.get(&name) {
            if !holder.is_for_the_same(&request) {
                refuse(format!(
                    "Secret {} is asked for by {}, for other names or by another profile",
                    request.place(),
                    holder.origin
                ));
            }
            continue;
        }
        let most =
            spec.allowance(&origin.namespace).map_or(0, |allowance| allowance.max_certificates);
        let count = counts.entry(origin.namespace.clone()).or_default();
        match admission.admit(spec, &request) {
            Err(why) => refuse(format!("Secret {}: {why}", request.place())),
            Ok(_) if *count >= most => refuse(format!(
                "namespace {} has as many certificates as it may, {most}",
                origin.namespace
            )),
            Ok((certificate, target)) => {
                *count += 1;
                decision.held.insert(name, (request, certificate, target));
            }
        }
    }
    decision
}

/// Everything that is asked for. What an object cannot have by its own fault is refused.
fn candidates(
    spec: &ClusterDiscoverySpec,
    standing: &[AskedRow],
    seen: &Seen,
    decision: &mut Decision,
) -> Vec<Candidate> {
    let unseen = |row: &&AskedRow| !seen.contains_key(&(row.kind, row.namespace.clone()));
    let mut candidates: Vec<_> = standing
        .iter()
        .filter(unseen)
        .map(|row| Candidate { request: row.into(), claim: Claim::HadIt, created: String::new() })
        .collect();
    let before: BTreeMap<_, Request> =
        standing.iter().map(|row| ((&row.namespace, &row.secret), row.into())).collect();
    for asking in seen.values().flat_map(|askings| askings.by_name.values()) {
        let origin = Origin {
            discovery: spec.name.clone(),
            kind: asking.kind,
            namespace: asking.namespace.clone(),
            object: asking.name.clone(),
        };
        for why in &asking.faults {
            decision.refused.insert(Refusal { origin: origin.clone(), why: why.clone() });
        }
        candidates.extend(asking.wants.iter().map(|(secret, names)| {
            let request = Request {
                origin: origin.clone(),
                secret: secret.clone(),
                profile: asking.profile.clone(),
                names: names.clone(),
            };
            let claim = match before.get(&(&asking.namespace, secret)) {
                Some(before) if before.origin == origin => Claim::HadIt,
                Some(before) if before.is_for_the_same(&request) => Claim::WantsTheSame,
                _ => Claim::None,
            };
            Candidate { request, claim, created: asking.created.clone() }
        }));
    }
    candidates
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cluster::{Asker, Asking, Askings};
    use jiff::Timestamp;

    use super::*;
    use crate::catalog::{Catalog, parse};

    const DECLARED: &str = "[[profile]]\nname = 'default'\nlifetime = '7d'\n\
        [[cluster_discovery]]\nname = 'prod'\nkinds = ['ingress', 'service']\n\
        [[cluster_discovery.allow]]\nnamespaces = ['web', 'shop']\nprofiles = ['default']\n\
        names.permitted = ['*.test']\nprobe = ['10.0.0.1:443']\nmax_certificates = 2\n";

    fn catalog() -> Catalog {
        let declared = parse([("a.toml", DECLARED)]).expect("it parses");
        let mut catalog = Catalog::default();
        for (name, profile) in declared.profiles {
            catalog.profiles.insert(name, Arc::new(profile));
        }
        for (name, spec) in declared.cluster_discoveries {
            catalog.cluster_discoveries.insert(name, Arc::new(spec));
        }
        catalog
    }

    /// What is seen: objects of a kind in the namespace `web`, each with its age, Secret and name.
    fn seen(kind: Asker, asking: &[(&str, &str, &str, &str)]) -> Seen {
        let one = |(name, created, secret, host): &(&str, &str, &str, &str)| {
            let wants = BTreeMap::from([((*secret).to_owned(), vec![(*host).to_owned()])]);
            let asking = Asking {
                kind,
                namespace: "web".into(),
                name: (*name).to_owned(),
                created: (*created).to_owned(),
                profile: "default".into(),
                wants,
                faults: Vec::new(),
            };
            ((*name).to_owned(), Arc::new(asking))
        };
        let by_name = asking.iter().map(one).collect();
        Seen::from([((kind, "web".to_owned()), Askings { by_name, too_many: false })])
    }

    fn row(object: &str, kind: Asker, secret: &str, host: &str) -> AskedRow {
        AskedRow {
            id: 1,
            version: 1,
            discovery: "prod".into(),
            name: format!("prod_web_{secret}"),
            namespace: "web".into(),
            secret: secret.into(),
            profile: "default".into(),
            names: vec![host.into()],
            kind,
            object: object.into(),
            found_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn decided(standing: &[AskedRow], seen: &Seen) -> (Vec<(String, String)>, Vec<String>) {
        let catalog = catalog();
        let spec = &catalog.cluster_discoveries["prod"];
        let decision = decide(spec, &Admission::new(&catalog), standing, seen);
        let held = decision.held.values();
        let held = held.map(|(r, ..)| (r.secret.clone(), r.origin.object.clone())).collect();
        (held, decision.refused.into_iter().map(|refusal| refusal.origin.object).collect())
    }

    fn pair(secret: &str, object: &str) -> (String, String) {
        (secret.to_owned(), object.to_owned())
    }

    #[test]
    fn the_oldest_has_a_secret_and_others_may_ask_for_the_same() {
        let seen = seen(
            Asker::Ingress,
            &[("a", "2", "s", "x.test"), ("b", "1", "s", "y.test"), ("c", "3", "s", "Y.test")],
        );
        assert_eq!(decided(&[], &seen), (vec![pair("s", "b")], vec!["a".into()]));
    }

    #[test]
    fn who_had_it_keeps_it_and_who_wants_the_same_follows() {
        let had = [row("old", Asker::Ingress, "s", "y.test")];
        let objects = [("a", "1", "s", "x.test"), ("c", "3", "s", "y.test")];
        let gone = seen(Asker::Ingress, &objects);
        assert_eq!(decided(&had, &gone), (vec![pair("s", "c")], vec!["a".into()]));
        let there = [&objects[..], &[("old", "4", "s", "z.test")]].concat();
        let (held, refused) = decided(&had, &seen(Asker::Ingress, &there));
        assert_eq!((held, refused.len()), (vec![pair("s", "old")], 2));
    }

    #[test]
    fn what_was_not_seen_yet_is_still_there_unless_it_is_not_allowed_any_more() {
        let standing = [
            row("a", Asker::Ingress, "s", "x.test"),
            row("b", Asker::Gateway, "t", "x.test"),
            row("c", Asker::Service, "u", "x.example"),
        ];
        assert_eq!(decided(&standing, &Seen::new()).0, [pair("s", "a")]);
        let nothing = seen(Asker::Ingress, &[]);
        assert_eq!(decided(&standing, &nothing).0, []);
    }

    #[test]
    fn a_namespace_has_as_many_as_it_may_and_those_that_were_there_stay() {
        let standing = [row("z", Asker::Ingress, "z", "z.test")];
        let objects = ["a", "b", "z"].map(|name| (name, name, name, "x.test"));
        let objects = [objects[0], objects[1], ("z", "9", "z", "z.test")];
        let (held, refused) = decided(&standing, &seen(Asker::Ingress, &objects));
        assert_eq!((held, refused), (vec![pair("a", "a"), pair("z", "z")], vec!["b".into()]));
    }

    #[test]
    fn names_of_certificates_are_names_and_never_those_of_others() {
        let request = |namespace: &str, secret: &str| Request {
            secret: secret.into(),
            ..Request::from(&AskedRow {
                namespace: namespace.into(),
                ..row("a", Asker::Ingress, secret, "x.test")
            })
        };
        let long = "x".repeat(63);
        let all = [("a", "b-c"), ("a-b", "c"), ("a", "b.c"), ("a", "b-c.d"), (&long, &long)];
        let names: BTreeSet<_> =
            all.into_iter().map(|(space, secret)| request(space, secret).name()).collect();
        assert_eq!(names.len(), all.len());
        assert!(names.iter().all(|name| crate::catalog::check_name(name).is_ok()), "{names:?}");
    }

    #[test]
    fn only_what_answers_tls_where_ingresses_do_is_proven_there() {
        let catalog = catalog();
        let spec = &catalog.cluster_discoveries["prod"];
        let admission = Admission::new(&catalog);
        let probe = |kind| {
            let request = Request::from(&row("a", kind, "s", "x.test"));
            let (certificate, target) = admission.admit(spec, &request).expect("admitted");
            assert_eq!(certificate.origin, Some(request.origin));
            target.spec.push.probe
        };
        assert_eq!(probe(Asker::Ingress), ["10.0.0.1:443"]);
        assert!(probe(Asker::Service).is_empty());
    }
}
