//! What the path of a request is about, as far as rules ask: looked up where it stands. What is not there
//! has a name and nothing else, so that who may see only some things cannot tell the two apart.

use acme::Problem;
use ca::Serial;

use crate::access::Resource;
use crate::catalog::{Catalog, CertificateSpec, DirectorySpec, KeysetSpec};
use crate::http::error::unreadable;
use crate::node::Node;
use crate::store::{CertificateRow, ReadError};

/// The thing of this kind that `name` means in a path.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn find(node: &Node, kind: &'static str, name: &str) -> Result<Resource, Problem> {
    let catalog = node.catalog.load();
    let known = declared(&catalog, kind, name);
    let known = match known {
        Some(known) => Some(known),
        None => stored(node, &catalog, kind, name).map_err(unreadable)?,
    };
    Ok(known.unwrap_or_else(|| Resource::named(kind, name)))
}

/// An issued certificate.
pub(super) fn certificate(node: &Node, row: &CertificateRow) -> Resource {
    let catalog = node.catalog.load();
    let authority = catalog.authority(row.authority).map(|authority| authority.name.clone());
    let der = row.der.as_deref().map(ca::Certificate::from_der);
    let names = match &der {
        Some(Ok(leaf)) => leaf.identifiers().iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    };
    Resource {
        authorities: authority.into_iter().collect(),
        profile: Some(row.profile.clone()),
        names,
        ..Resource::named("certificate", row.serial.to_string())
    }
}

/// A managed certificate, under the kind by which it is asked for.
pub(super) fn managed(kind: &'static str, spec: &CertificateSpec) -> Resource {
    Resource {
        owner: spec.owner.clone(),
        authorities: spec.issuers.clone(),
        profile: Some(spec.profile.clone()),
        names: spec.names.iter().map(ToString::to_string).collect(),
        targets: spec.targets.clone(),
        ..Resource::named(kind, &spec.name)
    }
}

/// A keyset.
pub(super) fn keyset(spec: &KeysetSpec) -> Resource {
    Resource {
        owner: spec.owner.clone(),
        authorities: spec.x5c.iter().cloned().collect(),
        ..Resource::named("keyset", &spec.name)
    }
}

/// What is in the catalog, or is of something there.
fn declared(catalog: &Catalog, kind: &'static str, name: &str) -> Option<Resource> {
    let named = || Resource::named(kind, name);
    match kind {
        "managed" => catalog.certificates.get(name).map(|known| managed(kind, &known.spec)),
        "keyset" => catalog.keysets.get(name).map(|known| keyset(&known.spec)),
        "endpoint" => {
            let known = catalog.endpoints.get(name)?;
            Some(Resource { owner: known.owner.clone(), ..named() })
        }
        "directory" => {
            let known = catalog.directories.get(name)?;
            Some(Resource { authorities: authorities(&known.spec), ..named() })
        }
        "authority" | "issuer" => Some(Resource { authorities: vec![name.to_owned()], ..named() }),
        "profile" => Some(Resource { profile: Some(name.to_owned()), ..named() }),
        _ => None,
    }
}

/// What is a row, and of what it is.
fn stored(
    node: &Node,
    catalog: &Catalog,
    kind: &'static str,
    name: &str,
) -> Result<Option<Resource>, ReadError> {
    let number = name.parse::<i64>().ok();
    let of_directory = |directory: &str| {
        let known = catalog.directories.get(directory);
        let authorities = known.map(|known| authorities(&known.spec)).unwrap_or_default();
        Resource { authorities, ..Resource::named(kind, name) }
    };
    Ok(match (kind, number) {
        ("certificate", number) => {
            let row = match (number, name.parse::<Serial>()) {
                (Some(id), _) => node.store.certificate(id)?,
                (_, Ok(serial)) => node.store.certificate_by_serial(&serial)?,
                _ => None,
            };
            row.map(|row| certificate(node, &row))
        }
        ("account", Some(id)) => node.store.account(id)?.map(|row| of_directory(&row.directory)),
        ("order", Some(id)) => match node.store.order(id)? {
            Some((order, _)) => {
                let account = node.store.account(order.account)?;
                account.map(|account| of_directory(&account.directory))
            }
            None => None,
        },
        ("rotation", Some(id)) => match node.store.rotation(id)? {
            Some(row) => {
                let row = node.store.managed(row.managed)?;
                let known = row.and_then(|row| catalog.certificates.get(&row.name).cloned());
                known.map(|known| Resource {
                    name: Some(name.to_owned()),
                    ..managed(kind, &known.spec)
                })
            }
            None => None,
        },
        ("found", Some(id)) => node
            .store
            .found_one(id)?
            .map(|(found, _)| Resource { owner: found.owner, ..Resource::named(kind, name) }),
        _ => None,
    })
}

fn authorities(directory: &DirectorySpec) -> Vec<String> {
    vec![directory.authority.clone()]
}
