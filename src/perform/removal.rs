//! Removal of what is declared no more. Accounts and orders of a directory are kept, and stand again
//! if it is declared again; an authority goes with its key and its CRL, so that only one goes that
//! nothing depends on.

use std::collections::BTreeSet;

use std::time::Duration;

use serde_json::json;

use super::establish::{EstablishError, changed, names, raise, record};
use crate::catalog::Declared;
use crate::node::Node;
use crate::store::{Actor, AuthorityRow, Commit, CrlRow, Declaration, Event};

/// Makes everything in `whole` stand, and nothing else: what stands besides is removed. The catalog
/// is in place when this returns.
///
/// # Errors
/// As for [`apply`](super::establish::apply), and when an authority would go that has issued
/// something; nothing is changed then.
pub(crate) async fn prune(
    node: &Node,
    actor: Actor,
    standing: &Declared,
    whole: &Declared,
) -> Result<(), RemovalError> {
    let removal = Removal::decide(node, whole).await?;
    let (catalog, made) = raise(node, whole.clone())?;
    let before = node.catalog.load();
    node.catalog.replace(catalog);
    let removed = remove(node, actor.clone(), standing, whole, removal).await;
    let removal = removed.inspect_err(|_| node.catalog.restore(before))?;
    record(node, &actor, made).await?;
    removal.forget(node);
    Ok(())
}

/// Stores what is new or changed and removes what goes, in one commit.
async fn remove(
    node: &Node,
    actor: Actor,
    standing: &Declared,
    whole: &Declared,
    mut removal: Removal,
) -> Result<Removal, RemovalError> {
    if !removal.authorities.is_empty() {
        // Nobody finds them any more; who found one a moment ago stores now what it will sign.
        tokio::time::sleep(PARTING).await;
        removal = Removal::decide(node, whole).await?;
    }
    let changed = changed(node, standing, whole).map_err(EstablishError::from)?;
    if changed.is_empty() && removal.declarations.is_empty() {
        return Ok(removal);
    }
    let detail = json!({ "of": names(&changed), "removed": names(&removal.declarations) });
    let event = Event::new(actor, "declaration.apply", "node").with(detail);
    let commit = changed.into_iter().fold(Commit::new(event), Commit::put);
    let commit = removal.put_in(commit);
    node.store.commit(commit, node.world.now()).await.map_err(EstablishError::from)?;
    Ok(removal)
}

/// The rows to remove.
pub(crate) struct Removal {
    declarations: Vec<Declaration>,
    authorities: Vec<AuthorityRow>,
    crls: Vec<CrlRow>,
}

impl Removal {
    /// What must go for nothing to be declared but `whole`.
    ///
    /// # Errors
    /// When an authority must that has issued something, or the store fails.
    pub(crate) async fn decide(node: &Node, whole: &Declared) -> Result<Self, RemovalError> {
        let fault = EstablishError::from;
        let mut declarations = node.store.declarations().map_err(fault)?;
        declarations.retain(|row| !whole.holds(&row.kind, &row.name));
        let mut authorities = node.store.authorities().map_err(fault)?;
        let all = authorities.clone();
        authorities.retain(|row| {
            declarations.iter().any(|gone| gone.kind == "authority" && gone.name == row.name)
        });
        let ids: BTreeSet<_> = authorities.iter().map(|row| row.id).collect();
        let mut crls = Vec::new();
        for row in &authorities {
            let in_use = |why| Err(RemovalError::InUse { name: row.name.clone(), why });
            let below = |other: &&AuthorityRow| other.issuer == Some(row.id);
            if let Some(other) = all.iter().filter(below).find(|other| !ids.contains(&other.id)) {
                return in_use(format!("it has certified authority {:?}", other.name));
            }
            if node.store.has_issued(row.id).await.map_err(fault)? {
                return in_use("certificates were issued by it".into());
            }
            crls.extend(node.store.crl(row.id).map_err(fault)?);
        }
        Ok(Self { declarations, authorities, crls })
    }

    /// `commit`, which also removes all of it.
    fn put_in(&self, commit: Commit) -> Commit {
        let commit = self.declarations.iter().fold(commit, Commit::remove);
        let commit = self.crls.iter().fold(commit, Commit::remove);
        self.authorities.iter().fold(commit, Commit::remove)
    }

    /// Nothing is shown of it any more.
    fn forget(&self, node: &Node) {
        node.crls.update(|published| {
            for row in &self.authorities {
                published.remove(&row.id);
            }
        });
        for row in &self.authorities {
            node.metrics.levels.unpublished(row.id);
        }
    }
}

/// Something is not removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemovalError {
    /// The authority has issued something, which could not be revoked or verified without it.
    #[error("authority {name:?} cannot be removed: {why}; declare it in one of the files")]
    InUse { name: String, why: String },
    /// What else is declared cannot be made to stand.
    #[error(transparent)]
    Establish(#[from] EstablishError),
}

/// How long issuing may take from finding an authority to storing what it will sign.
const PARTING: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, defaults, parse};
    use crate::node::tests::{account, node, present};
    use crate::perform::{establish, revocation};

    const EDGE: &str = "[[authority]]\nname = 'edge'\nissuer = 'root'\ncommon_name = 'E'\n\
                        lifetime = '30d'\npath_length = 1\n\
                        [[authority]]\nname = 'low'\nissuer = 'edge'\ncommon_name = 'L'\n\
                        lifetime = '20d'\n\
                        [[profile]]\nname = 'short'\nlifetime = '7d'\n\
                        [[directory]]\nname = 'shop'\nauthority = 'low'\nprofiles = ['short']\n";

    /// A node that declares `EDGE` besides its defaults.
    async fn with_edge() -> (std::sync::Arc<Node>, Declared) {
        let (node, _) = node().await;
        present(&node).await;
        let standing = establish::declared(&node).await.expect("defaults");
        let wanted = parse([("a.toml", EDGE)]).expect("parses");
        let catalog = establish::apply(&node, "admin", &standing, &wanted).await.expect("stands");
        node.catalog.replace(catalog);
        revocation::ensure_crls(&node).await.expect("CRLs");
        (node, standing.with(&wanted))
    }

    async fn prune(node: &Node, standing: &Declared, whole: &Declared) -> Result<(), String> {
        super::prune(node, "admin".into(), standing, whole).await.map_err(|e| e.to_string())
    }

    fn known(catalog: &Catalog) -> Vec<&str> {
        let names = catalog.authorities.keys().chain(catalog.profiles.keys());
        names.chain(catalog.directories.keys()).map(String::as_str).collect()
    }

    #[tokio::test]
    async fn what_is_declared_no_more_is_gone_and_stays_gone() {
        let (node, standing) = with_edge().await;
        let edge = node.catalog.load().authorities["edge"].id;
        prune(&node, &standing, &defaults()).await.expect("nothing depends on it");
        let expected = ["internal", "root", "default", "node", "default"];
        assert_eq!(known(&node.catalog.load()), expected);
        assert!(node.store.crl(edge).expect("read").is_none());
        assert!(!node.crls.load().contains_key(&edge));
        let again = establish::establish(&node).await.expect("it starts again");
        assert_eq!(known(&again), expected);
        assert_eq!(node.store.authorities().expect("read").len(), 2);
    }

    #[tokio::test]
    async fn an_authority_that_issued_something_stays_and_says_why() {
        let (node, standing) = with_edge().await;
        let mut whole = standing.clone();
        whole.authorities.remove("edge");
        let why = prune(&node, &standing, &whole).await.expect_err("it certified another");
        assert!(why.contains("\"edge\"") && why.contains("\"low\""), "{why}");
        let mut whole = standing.clone();
        whole.directories.remove("default");
        whole.authorities.remove("internal");
        let why = prune(&node, &standing, &whole).await.expect_err("it certified the node");
        assert!(why.contains("\"internal\"") && why.contains("issued"), "{why}");
        assert_eq!(establish::declared(&node).await.expect("read"), standing, "nothing is changed");
    }

    #[tokio::test]
    async fn a_directory_declared_again_has_its_accounts_again() {
        let (node, standing) = with_edge().await;
        let account = account(&node).await;
        let mut whole = standing.clone();
        whole.directories.remove("default");
        prune(&node, &standing, &whole).await.expect("removed");
        assert!(!node.catalog.load().directories.contains_key("default"));
        let kept = node.store.account(account.id).expect("read").expect("kept");
        assert_eq!(kept.directory, "default");
        let back = establish::apply(&node, "admin", &whole, &standing).await.expect("stands");
        assert!(back.directories.contains_key("default"));
    }

    #[tokio::test]
    async fn an_id_that_was_removed_is_never_given_again() {
        let (node, standing) = with_edge().await;
        let last = node.store.authorities().expect("read").iter().map(|row| row.id).max();
        prune(&node, &standing, &defaults()).await.expect("removed");
        let path = node.config.data_dir.join("perennial.db");
        let reopened = crate::store::Store::open(&path, &node.world).expect("the store");
        assert!(reopened.id() > last.expect("authorities"));
    }
}
