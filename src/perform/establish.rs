//! Makes what is declared stand: authorities that have no certificate yet get one, and the catalog
//! is built from what is stored. Run at the start and after each `apply`; running it again changes
//! nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use ca::{Certificate, MemorySigner, Serial, Signer, Subject, Urls};
use jiff::SignedDuration;
use serde_json::json;

use crate::access::Rules;
use crate::catalog::{
    Authority, AuthoritySpec, Catalog, Declared, Directory, DirectorySpec, Entry, Keyset, Target,
    defaults,
};
use crate::node::Node;
use crate::perform::validate::Validator;
use crate::perform::{discovery, own};
use crate::store::{Actor, AuthorityRow, Commit, CommitError, Declaration, Event, ReadError};

/// What is declared, from the store; a node that was told nothing declares its defaults first.
///
/// # Errors
/// When the store fails.
pub(crate) async fn declared(node: &Node) -> Result<Declared, EstablishError> {
    let rows = node.store.declarations()?;
    if !rows.is_empty() {
        return from_rows(&rows);
    }
    let declared = defaults();
    declare(node, "serve".into(), &Declared::default(), &declared).await?;
    Ok(declared)
}

/// Stores everything in `wanted` that is not in `standing`, in one commit.
///
/// # Errors
/// When the store fails, or somebody else declared something in between.
async fn declare(
    node: &Node,
    actor: Actor,
    standing: &Declared,
    wanted: &Declared,
) -> Result<(), EstablishError> {
    let changed = changed(node, standing, wanted)?;
    if changed.is_empty() {
        return Ok(());
    }
    let event =
        Event::new(actor, "declaration.apply", "node").with(json!({ "of": names(&changed) }));
    let commit = changed.into_iter().fold(Commit::new(event), Commit::put);
    node.store.commit(commit, node.world.now()).await?;
    Ok(())
}

/// What declarations are of, as `kind/name`.
pub(super) fn names(rows: &[Declaration]) -> Vec<String> {
    rows.iter().map(|row| format!("{}/{}", row.kind, row.name)).collect()
}

/// The rows of everything in `wanted` that is not in `standing`, as they are to be stored.
///
/// # Errors
/// When the store fails.
pub(super) fn changed(
    node: &Node,
    standing: &Declared,
    wanted: &Declared,
) -> Result<Vec<Declaration>, ReadError> {
    let stored = node.store.declarations()?;
    let stands: BTreeMap<_, _> = (standing.entries().into_iter())
        .map(|entry| ((entry.kind, entry.name), entry.spec))
        .collect();
    let fresh = wanted
        .entries()
        .into_iter()
        .filter(|entry| stands.get(&(entry.kind, entry.name.clone())) != Some(&entry.spec));
    let known: BTreeMap<_, _> = (stored.iter())
        .map(|row| ((row.kind.as_str(), row.name.as_str()), (row.id, row.version)))
        .collect();
    let changed: Vec<_> = fresh
        .map(|Entry { kind, name, spec }| {
            let known = known.get(&(kind, name.as_str())).copied();
            let (id, version) = known.unwrap_or_else(|| (node.store.id(), 0));
            Declaration { id, version, kind: kind.to_owned(), name, spec: spec.to_string() }
        })
        .collect();
    Ok(changed)
}

/// Gives every declared authority a certificate and builds the catalog.
///
/// # Errors
/// When an authority cannot be made or its key not opened, or the store fails.
pub(crate) async fn establish(node: &Node) -> Result<Catalog, EstablishError> {
    let (catalog, made) = raise(node, declared(node).await?)?;
    record(node, &"serve".into(), made).await?;
    Ok(catalog)
}

/// Held by whoever changes what the node manages, from deciding what to putting it in place: each
/// builds on what the one before left.
pub(crate) static CONVERGING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Makes everything in `wanted` stand besides what stands. All of it is made before any of it is
/// stored: what cannot stand must not be declared, or the node would not start again.
///
/// # Errors
/// As for [`establish`]; unless the store failed half-way, nothing is changed then.
pub(crate) async fn apply(
    node: &Node,
    actor: impl Into<Actor>,
    standing: &Declared,
    wanted: &Declared,
) -> Result<Catalog, EstablishError> {
    let actor = actor.into();
    let (catalog, made) = raise(node, standing.clone().with(wanted))?;
    declare(node, actor.clone(), standing, wanted).await?;
    record(node, &actor, made).await?;
    Ok(catalog)
}

/// The catalog of what is declared, and the authorities that were made for it and are not stored.
pub(super) fn raise(
    node: &Node,
    declared: Declared,
) -> Result<(Catalog, Vec<AuthorityRow>), EstablishError> {
    let mut made = Vec::new();
    let mut authorities = BTreeMap::new();
    let mut rows: BTreeMap<String, AuthorityRow> = BTreeMap::new();
    for row in node.store.authorities()? {
        rows.insert(row.name.clone(), row);
    }
    // Issuers first; `Declared::check` saw to it that there is no circle.
    let mut waiting: Vec<_> = declared.authorities.values().collect();
    while !waiting.is_empty() {
        let (ready, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|spec| {
            spec.issuer.as_ref().is_none_or(|issuer| authorities.contains_key(issuer))
        });
        if ready.is_empty() {
            return Err(EstablishError::Declared("the authorities form a circle".into()));
        }
        for spec in ready {
            let issuer = spec.issuer.as_ref().and_then(|name| authorities.get(name));
            let (authority, new) = stand(node, spec, issuer, rows.get(&spec.name))?;
            made.extend(new);
            authorities.insert(spec.name.clone(), Arc::new(authority));
        }
        waiting = later;
    }
    Ok((build(node, declared, authorities)?, made))
}

/// Stores authorities just made.
pub(super) async fn record(
    node: &Node,
    actor: &Actor,
    made: Vec<AuthorityRow>,
) -> Result<(), EstablishError> {
    for row in made {
        let certificate = Certificate::from_der(&row.certificate)?;
        let event =
            Event::new(actor.clone(), "authority.create", format!("authority/{}", row.name))
                .with(json!({ "serial": certificate.serial().to_string() }));
        let at = row.created_at;
        node.store.commit(Commit::new(event).put(row), at).await?;
    }
    Ok(())
}

fn build(
    node: &Node,
    declared: Declared,
    authorities: BTreeMap<String, Arc<Authority>>,
) -> Result<Catalog, EstablishError> {
    let profiles = shared(declared.profiles);
    let mut directories = BTreeMap::new();
    for (name, spec) in declared.directories {
        let directory = directory(node, spec, &authorities, &profiles)?;
        directories.insert(name, Arc::new(directory));
    }
    let certificates = (declared.certificates.into_iter())
        .map(|(name, spec)| (name, Arc::new(crate::catalog::Certificate::new(spec))))
        .collect();
    let targets = declared
        .targets
        .into_iter()
        .map(|(name, spec)| (name, Arc::new(Target::new(spec))))
        .collect();
    let mut keysets = BTreeMap::new();
    for (name, spec) in declared.keysets {
        let keyset = Keyset::new(spec).map_err(EstablishError::Declared)?;
        keysets.insert(name, Arc::new(keyset));
    }
    let (bindings, policies) = (declared.bindings.values(), declared.policies.values());
    let rules = Rules::compile(bindings, policies, declared.approvals.values());
    let rules = rules.map_err(|fault| EstablishError::Declared(fault.to_string()))?;
    let mut catalog = Catalog {
        authorities,
        profiles,
        directories,
        issuers: shared(declared.issuers),
        certificates,
        targets,
        keysets,
        webhooks: shared(declared.webhooks),
        cluster_signers: shared(declared.cluster_signers),
        endpoints: shared(declared.endpoints),
        alerts: shared(declared.alerts),
        mails: shared(declared.mails),
        chats: shared(declared.chats),
        cluster_discoveries: shared(declared.cluster_discoveries),
        cluster_bundles: shared(declared.cluster_bundles),
        identity_providers: shared(declared.identity_providers),
        rules: Arc::new(rules),
    };
    own::declare(node, &mut catalog);
    discovery::place_all(node.store.asked()?, &mut catalog);
    Ok(catalog)
}

fn shared<T>(specs: BTreeMap<String, T>) -> BTreeMap<String, Arc<T>> {
    specs.into_iter().map(|(name, spec)| (name, Arc::new(spec))).collect()
}

/// What is declared, from the stored rows.
fn from_rows(rows: &[Declaration]) -> Result<Declared, EstablishError> {
    let mut declared = Declared::default();
    for row in rows {
        let added = declared.add_stored(&row.kind, &row.name, &row.spec);
        added.map_err(EstablishError::Declared)?;
    }
    declared.check().map_err(|wrong| EstablishError::Declared(wrong.to_string()))?;
    Ok(declared)
}

/// The authority as it stands; made now if it has no row, which is then given too.
fn stand(
    node: &Node,
    spec: &AuthoritySpec,
    issuer: Option<&Arc<Authority>>,
    row: Option<&AuthorityRow>,
) -> Result<(Authority, Option<AuthorityRow>), EstablishError> {
    let (row, signer, new) = match row {
        Some(row) => {
            let secret = node.key.open(&sealed_identity(row), &row.sealed_key)?;
            (row.clone(), MemorySigner::from_pkcs8(&secret)?, None)
        }
        None => {
            let (row, signer) = create(node, spec, issuer)?;
            (row.clone(), signer, Some(row))
        }
    };
    let certificate = Certificate::from_der(&row.certificate)?;
    let chain = issuer.map_or_else(Vec::new, |above| above.ca.path().cloned().collect());
    let authority = Authority {
        id: row.id,
        name: row.name,
        generation: row.generation,
        issuer: spec.issuer.clone(),
        spec: spec.clone(),
        ca: ca::Authority::new(certificate, Arc::new(signer), chain, urls(node, &spec.name))?,
    };
    Ok((authority, new))
}

fn create(
    node: &Node,
    spec: &AuthoritySpec,
    issuer: Option<&Arc<Authority>>,
) -> Result<(AuthorityRow, MemorySigner), EstablishError> {
    let now = node.world.now();
    let signer = MemorySigner::generate(spec.key)?;
    let intended = ca::AuthoritySpec {
        subject: Subject::new(&spec.common_name, spec.organization.as_deref())?,
        path_len: spec.path_length,
        constraints: spec.name_constraints.clone(),
        lifetime: spec.lifetime,
        backdate: BACKDATE,
        ocsp: false,
    };
    let serial = Serial::from_random(node.world.random());
    let certificate = match issuer {
        None => ca::create_root(&intended, &signer, serial, now)?,
        Some(above) => ca::create_issuing(&above.ca, &intended, signer.public_key(), serial, now)?,
    };
    let mut row = AuthorityRow {
        id: node.store.id(),
        version: 0,
        name: spec.name.clone(),
        generation: 1,
        issuer: issuer.map(|above| above.id),
        certificate: certificate.der().to_vec(),
        sealed_key: crate::seal::Sealed(Vec::new()),
        created_at: now,
    };
    row.sealed_key = node.key.seal(&node.world, &sealed_identity(&row), &signer.pkcs8()?);
    Ok((row, signer))
}

fn directory(
    node: &Node,
    spec: DirectorySpec,
    authorities: &BTreeMap<String, Arc<Authority>>,
    profiles: &BTreeMap<String, Arc<ca::Profile>>,
) -> Result<Directory, EstablishError> {
    let gone = || EstablishError::Declared(format!("directory {:?} is incomplete", spec.name));
    let authority = Arc::clone(authorities.get(&spec.authority).ok_or_else(gone)?);
    let of_name = |name: &String| profiles.get(name).map(Arc::clone).ok_or_else(gone);
    let profiles = spec.profiles.iter().map(of_name).collect::<Result<Vec<_>, _>>()?;
    let own = spec.validation.as_ref();
    let mut settings = own.unwrap_or(&node.config.validation).clone();
    // A node that only this machine can reach is being tried out, or serves this machine: names
    // that lead back to it are what its users have.
    // Behind a public URL it is not such a node, wherever it listens: a proxy stands before it.
    let listen = &node.config.listen;
    settings.loopback |= listen.https.ip().is_loopback() && listen.public_url.is_none();
    let whose = own.map_or("the node's".to_owned(), |_| format!("directory {:?}:", spec.name));
    let validator = Validator::new(settings)
        .map_err(|error| EstablishError::Declared(format!("{whose} {error}")))?;
    Ok(Directory { spec, authority, profiles, validator })
}

fn urls(node: &Node, name: &str) -> Urls {
    Urls {
        crl: vec![format!("{}/pki/{name}.crl", node.http_url)],
        issuer: vec![format!("{}/pki/{name}.crt", node.http_url)],
        ocsp: Vec::new(),
    }
}

fn sealed_identity(row: &AuthorityRow) -> String {
    format!("authority/{}/{}", row.name, row.generation)
}

/// What is declared cannot be made to stand.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EstablishError {
    #[error("{0}")]
    Declared(String),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Seal(#[from] crate::seal::Unsealable),
    #[error("a key does not work: {0}")]
    Key(#[from] ca::SignError),
    #[error("an authority's certificate cannot be read: {0}")]
    Certificate(#[from] ca::certificate::BadCertificate),
    #[error("an authority does not hold together: {0}")]
    Authority(#[from] ca::authority::BadAuthority),
    #[error("an authority cannot be made: {0}")]
    Ceremony(#[from] ca::ceremony::CeremonyError),
}

/// For clients whose clocks are behind.
const BACKDATE: SignedDuration = SignedDuration::from_hours(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::parse;
    use crate::node::tests::node;

    #[tokio::test]
    async fn what_cannot_stand_is_not_declared() {
        let (node, _) = node().await;
        let standing = declared(&node).await.expect("defaults");
        let below_the_lowest = "[[authority]]\nname = 'low'\nissuer = 'internal'\n\
                                common_name = 'L'\nlifetime = '30d'";
        let wanted = parse([("a.toml", below_the_lowest)]).expect("parses");
        assert!(apply(&node, "admin", &standing, &wanted).await.is_err());
        assert_eq!(declared(&node).await.expect("readable"), standing);
        establish(&node).await.expect("the node starts again");
    }

    #[tokio::test]
    async fn what_is_applied_stands_and_stays() {
        let (node, _) = node().await;
        let standing = declared(&node).await.expect("defaults");
        let edge = "[[authority]]\nname = 'edge'\nissuer = 'root'\n\
                    common_name = 'E'\nlifetime = '30d'";
        let wanted = parse([("a.toml", edge)]).expect("parses");
        let now = apply(&node, "admin", &standing, &wanted).await.expect("stands");
        let again = establish(&node).await.expect("stands");
        let of = |catalog: &Catalog| catalog.authorities["edge"].ca.certificate().fingerprint();
        assert_eq!(of(&now), of(&again));
    }
}
