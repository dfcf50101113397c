//! The routes of what is kept valid: managed certificates, keysets, and where both go.

use super::super::listing::Listing;
use super::super::shape::{self, Declared, List};
use super::super::{figures, issuer, keyset, keyset_status, managed, wish};
use super::{On, Route, act, read};
use crate::access::Action;

/// All of them.
pub(super) fn routes() -> Vec<Route> {
    use Action::{
        IssuerRead, IssuerRollKey, KeysetRead, KeysetRollBack, KeysetRotate, ManagedRead,
        ManagedRenew, ManagedRollBack, TargetRead,
    };
    use On::{Listed, Named, Several};
    vec![
        read("/managed", "List managed certificates", ManagedRead, Listed, managed::list)
            .asks::<Listing>()
            .gives::<List<shape::Managed>>(),
        read(
            "/managed/{name}",
            "Show a managed certificate",
            ManagedRead,
            Named("managed"),
            managed::show,
        )
        .gives::<shape::ManagedInFull>(),
        act(
            "/managed/{name}/renew",
            "Renew a managed certificate now",
            ManagedRenew,
            Named("managed"),
            wish::renew,
        )
        .takes::<wish::Renewal>()
        .gives::<shape::Begun>(),
        act(
            "/managed/{name}/rollback",
            "Put an earlier version back",
            ManagedRollBack,
            Named("managed"),
            wish::roll_back,
        )
        .takes::<wish::RollBack>()
        .gives::<shape::Begun>(),
        read("/issuers", "List issuers outside", IssuerRead, Several, issuer::list)
            .gives::<List<Declared>>(),
        read("/issuers/{name}", "Show an issuer", IssuerRead, Named("issuer"), issuer::show)
            .gives::<Declared>(),
        act(
            "/issuers/{name}/roll-key",
            "Give our account at an issuer a new key",
            IssuerRollKey,
            Named("issuer"),
            issuer::roll_key,
        )
        .gives::<Declared>(),
        read("/keysets", "List keysets", KeysetRead, Listed, keyset::list)
            .asks::<Listing>()
            .gives::<List<shape::Keyset>>(),
        read("/keysets/{name}", "Show a keyset", KeysetRead, Named("keyset"), keyset::show)
            .gives::<shape::KeysetInFull>(),
        read(
            "/keysets/{name}/status",
            "Show who has fetched a keyset",
            KeysetRead,
            Named("keyset"),
            keyset_status::show,
        )
        .gives::<shape::KeysetStatus>(),
        act(
            "/keysets/{name}/rotate",
            "Rotate a keyset",
            KeysetRotate,
            Named("keyset"),
            keyset::rotate,
        )
        .takes::<keyset::Rotation>()
        .gives::<shape::KeysetInFull>(),
        act(
            "/keysets/{name}/rollback",
            "Withdraw an announced key",
            KeysetRollBack,
            Named("keyset"),
            keyset::roll_back,
        )
        .gives::<shape::KeysetInFull>(),
        read(
            "/rotations/{id}",
            "Show a rotation",
            ManagedRead,
            Named("rotation"),
            managed::rotation,
        )
        .gives::<shape::Rotation>(),
        read("/targets", "List targets", TargetRead, Several, managed::targets)
            .gives::<List<Declared>>(),
        read("/placements", "List placements", TargetRead, Several, figures::placements)
            .asks::<figures::Placements>()
            .gives::<List<shape::Placed>>(),
        read("/targets/{name}", "Show a target", TargetRead, Named("target"), managed::target)
            .gives::<Declared>(),
    ]
}
