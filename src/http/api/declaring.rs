//! Declarations as actions: each change is one, on what stands and on what is to stand, and is decided like
//! any other. What reaches into machines or says who may what is for those who govern; of the rest a team
//! may declare what is in its scope. Nothing is changed here.

use acme::{Problem, ProblemType};
use serde_json::{Value, json};

use super::subject;
use crate::access::{Action, Asker, Denied, Resource};
use crate::catalog::{Change, Declared};

/// Whether all of `changes`, from `standing` to `wanted`, may be made.
///
/// # Errors
/// The first that may not, and why.
pub(super) fn permit(
    asker: &Asker,
    (standing, wanted): (&Declared, &Declared),
    changes: &[Change],
) -> Result<(), Problem> {
    let mut first = None;
    for change in changes {
        let Err(why) = judge(asker, (standing, wanted), change) else { continue };
        let told = format!("{} {:?}: {why}", change.kind, change.name);
        let problem = Problem::new(ProblemType::Unauthorized, told).with_status(403);
        if !matches!(why, Denied::NeedsApproval { .. }) {
            asker.need_nothing();
            return Err(problem);
        }
        // Whoever agrees is to know of all of it.
        first.get_or_insert(problem);
    }
    first.map_or(Ok(()), Err)
}

/// For each of `changes` whether it may be made, and why not.
pub(super) fn decisions(
    asker: &Asker,
    (standing, wanted): (&Declared, &Declared),
    changes: &[Change],
) -> Vec<Value> {
    let some = asker.may_any(Action::DeclarationApply);
    let judged = changes.iter().map(|change| {
        let decided = some.clone().and_then(|()| judge(asker, (standing, wanted), change));
        json!({
            "kind": change.kind,
            "name": change.name,
            "permitted": decided.is_ok(),
            "why": decided.err().map(|why| why.to_string()),
        })
    });
    judged.collect()
}

/// Whether one change may be made.
///
/// # Errors
/// Why not.
fn judge(
    asker: &Asker,
    (standing, wanted): (&Declared, &Declared),
    change: &Change,
) -> Result<(), Denied> {
    let Change { kind, name, .. } = change;
    let mut needs = Ok(());
    // Whoever takes something over needs both what it was and what it is to be.
    for (action, resource) in [standing, wanted].iter().filter_map(|of| actions(of, kind, name)) {
        if matches!(*kind, "approval" | "binding" | "identity_provider" | "policy") {
            asker.may_govern("who may what")?;
        }
        match asker.may(action, &resource) {
            Err(why @ Denied::NeedsApproval { .. }) => needs = Err(why),
            decided => decided?,
        }
    }
    needs
}

/// Which action it is to change what is declared so, and on what.
fn actions(declared: &Declared, kind: &'static str, name: &str) -> Option<(Action, Resource)> {
    if !declared.holds(kind, name) {
        return None;
    }
    let governed = (Action::DeclarationGovern, Resource::named(kind, name));
    Some(match kind {
        "certificate" => {
            let spec = declared.certificates.get(name)?;
            (Action::DeclarationApply, subject::managed(kind, spec))
        }
        // Signers and sockets are files and programs of machines, and so may be what edges are verified by.
        "keyset" => match declared.keysets.get(name)? {
            spec if spec.signers.is_empty()
                && spec.kubernetes.is_none()
                && (spec.edge_roots.iter())
                    .all(|roots| declared.authorities.contains_key(roots)) =>
            {
                (Action::DeclarationApply, subject::keyset(spec))
            }
            spec => (Action::DeclarationGovern, subject::keyset(spec)),
        },
        "endpoint" => {
            let owner = declared.endpoints.get(name)?.owner.clone();
            (Action::DeclarationApply, Resource { owner, ..governed.1 })
        }
        "alert" => (Action::DeclarationApply, governed.1),
        _ => governed,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::access::{Caller, Role, Rules, Who};
    use crate::catalog::{defaults, parse, plan, prune};

    const SHOP: &str = "[[certificate]]\nname = 'shop'\nnames = ['shop.example.com']\n\
                        owner = 'payments'\ntargets = ['edge-a']\n";
    const EDGE: &str = "[[target]]\nname = 'edge-a'\nkind = 'pull'\n";
    const TEAM: &str = "[[binding]]\nname = 'team'\nto = 'group/payments'\nrole = 'operator'\n\
                        scope = { owners = ['payments'], names = ['*.example.com'], targets = ['edge-*'] }\n";

    fn declared(text: &str) -> Declared {
        defaults().with(&parse([("a.toml", text)]).expect(text))
    }

    fn team() -> Asker {
        let groups = vec!["payments".to_owned()];
        let caller = Caller { groups, ..Caller::new(Who::Token("ci".into()), Vec::new()) };
        let bindings = declared(TEAM).bindings;
        let rules = Rules::compile(bindings.values(), [], []).expect("rules");
        Asker::new(caller, Arc::new(rules), "", Timestamp::UNIX_EPOCH)
    }

    fn holder(role: Role) -> Asker {
        let caller = Caller::new(Who::Token("t".into()), vec![role]);
        Asker::new(caller, Arc::new(Rules::default()), "", Timestamp::UNIX_EPOCH)
    }

    fn may(asker: &Asker, standing: &str, wanted: &str) -> bool {
        let (standing, wanted) = (declared(standing), declared(wanted));
        let mut changes = plan(&standing, &wanted).expect("possible");
        changes.extend(prune(&standing, &wanted));
        assert!(!changes.is_empty(), "{wanted:?}");
        permit(asker, (&standing, &wanted), &changes).is_ok()
    }

    #[test]
    fn a_team_declares_its_own_certificates_and_nothing_else() {
        let (team, both) = (team(), format!("{SHOP}{EDGE}"));
        assert!(may(&team, EDGE, &both), "it is theirs");
        assert!(may(&team, &both, EDGE), "it is theirs to remove");
        assert!(may(&team, &both, &both.replace("shop.example", "a.shop.example")));
        for (from, to) in [
            ("'payments'", "'core'"),
            ("owner = 'payments'\n", ""),
            ("shop.example.com", "shop.example.org"),
            ("['shop.example.com']", "['shop.example.com', 'example.org']"),
            ("targets = ['edge-a']", "targets = ['edge-a', 'core']"),
        ] {
            let other = both.replace(from, to);
            assert!(!may(&team, EDGE, &other), "{to}: not theirs to make");
            assert!(!may(&team, &both, &other), "{to}: not theirs to give away");
            assert!(!may(&team, &other, &both), "{to}: not theirs to take");
            assert!(!may(&team, &other, EDGE), "{to}: not theirs to remove");
        }
        assert!(!may(&team, "", EDGE), "a target");
        assert!(!may(&team, "", TEAM) && !may(&team, TEAM, ""), "who may what");
        assert!(!may(&team, &both, ""), "a target among what is removed");
    }

    #[test]
    fn who_may_what_is_for_admins_alone() {
        let policy = "[[policy]]\nname = 'p'\ncedar = 'permit (principal, action, resource);'\n";
        for role in Role::ALL {
            let approval = "[[approval]]\nname = 'a'\nactions = ['keyset.*']\n";
            for text in [TEAM, policy, approval] {
                assert_eq!(may(&holder(role), "", text), role == Role::Admin, "{role}");
            }
            let operates = matches!(role, Role::Operator | Role::Admin);
            assert_eq!(may(&holder(role), "", SHOP), operates, "{role}");
            assert_eq!(may(&holder(role), "", EDGE), role == Role::Admin, "{role}");
        }
        // Not even where a policy permits everything.
        let rules = Rules::compile([], declared(policy).policies.values(), []).expect("rules");
        let caller = Caller::new(Who::Token("t".into()), vec![Role::Viewer]);
        let asker = Asker::new(caller, Arc::new(rules), "", Timestamp::UNIX_EPOCH);
        assert!(may(&asker, "", EDGE));
        assert!(!may(&asker, "", policy) && !may(&asker, "", TEAM));
    }
}
