//! What the path of a request is about, as far as rules ask: looked up where it stands. What is not there
//! has a name and nothing else, so that who may see only some things cannot tell the two apart.

use acme::Problem;
use ca::Serial;

use crate::access::Resource;
use crate::http::error::unreadable;
use crate::node::Node;
use crate::store::CertificateRow;

/// The thing of this kind that `name` means in a path.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn find(node: &Node, kind: &'static str, name: &str) -> Result<Resource, Problem> {
    let catalog = node.catalog.load();
    let known = match kind {
        "managed" => catalog.certificates.get(name).map(|certificate| {
            let spec = &certificate.spec;
            Resource {
                owner: spec.owner.clone(),
                profile: Some(spec.profile.clone()),
                names: spec.names.iter().map(ToString::to_string).collect(),
                ..Resource::named(kind, name)
            }
        }),
        "certificate" => {
            let row = match (name.parse::<i64>(), name.parse::<Serial>()) {
                (Ok(id), _) => node.store.certificate(id),
                (_, Ok(serial)) => node.store.certificate_by_serial(&serial),
                _ => Ok(None),
            };
            row.map_err(unreadable)?.map(|row| certificate(node, &row))
        }
        _ => None,
    };
    Ok(known.unwrap_or_else(|| Resource::named(kind, name)))
}

/// An issued certificate.
pub(super) fn certificate(node: &Node, row: &CertificateRow) -> Resource {
    let catalog = node.catalog.load();
    Resource {
        authority: catalog.authority(row.authority).map(|authority| authority.name.clone()),
        ..Resource::named("certificate", row.serial.to_string())
    }
}
