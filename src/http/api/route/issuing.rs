//! The routes of what is issued here, and of who asks for it.

use super::super::listing::{Certificates, Listing};
use super::super::shape::{self, Declared, List};
use super::super::{external_key, inventory, issue};
use super::{On, Route, act, read};
use crate::access::Action;

/// All of them.
pub(super) fn routes() -> Vec<Route> {
    use Action::{
        AccountRead, AccountRevoke, AuthorityRead, CertificateIssue, CertificateRead,
        CertificateRevoke, DirectoryRead, ExternalKeyCreate, ExternalKeyRead, ExternalKeyRevoke,
        OrderRead, ProfileRead,
    };
    use On::{Body, Listed, Named, Several};
    vec![
        read("/authorities", "List authorities", AuthorityRead, Listed, inventory::authorities)
            .gives::<List<shape::Authority>>(),
        read(
            "/authorities/{name}",
            "Show an authority",
            AuthorityRead,
            Named("authority"),
            inventory::authority,
        )
        .gives::<shape::Authority>(),
        read("/profiles", "List profiles", ProfileRead, Listed, inventory::profiles)
            .gives::<List<Declared>>(),
        read(
            "/profiles/{name}",
            "Show a profile",
            ProfileRead,
            Named("profile"),
            inventory::profile,
        )
        .gives::<Declared>(),
        read(
            "/directories",
            "List ACME directories",
            DirectoryRead,
            Listed,
            inventory::directories,
        )
        .gives::<List<shape::Directory>>(),
        read(
            "/directories/{name}",
            "Show an ACME directory",
            DirectoryRead,
            Named("directory"),
            inventory::directory,
        )
        .gives::<shape::Directory>(),
        read("/accounts", "List ACME accounts", AccountRead, Listed, inventory::accounts)
            .asks::<Listing>()
            .gives::<List<shape::Account>>(),
        read(
            "/accounts/{id}",
            "Show an ACME account",
            AccountRead,
            Named("account"),
            inventory::account,
        )
        .gives::<shape::Account>(),
        act(
            "/accounts/{id}/revoke",
            "Take an ACME account out of use",
            AccountRevoke,
            Named("account"),
            issue::revoke_account,
        )
        .gives::<shape::Account>(),
        read("/orders", "List ACME orders", OrderRead, Listed, inventory::orders)
            .asks::<Listing>()
            .gives::<List<shape::Order>>(),
        read("/orders/{id}", "Show an ACME order", OrderRead, Named("order"), inventory::order)
            .gives::<shape::Order>(),
        read(
            "/certificates",
            "List issued certificates",
            CertificateRead,
            Listed,
            inventory::certificates,
        )
        .asks::<Certificates>()
        .gives::<List<shape::Certificate>>(),
        act(
            "/certificates",
            "Issue a certificate for a CSR",
            CertificateIssue,
            Body,
            issue::create,
        )
        .takes::<issue::Wanted>()
        .gives::<shape::Certificate>(),
        read(
            "/certificates/{serial}",
            "Show an issued certificate",
            CertificateRead,
            Named("certificate"),
            inventory::certificate,
        )
        .gives::<shape::Certificate>(),
        act(
            "/certificates/{serial}/revoke",
            "Revoke a certificate",
            CertificateRevoke,
            Named("certificate"),
            issue::revoke,
        )
        .takes::<issue::Why>()
        .gives::<shape::Certificate>(),
        read(
            "/external-keys",
            "List external account keys",
            ExternalKeyRead,
            Several,
            external_key::list,
        )
        .asks::<Listing>()
        .gives::<List<shape::ExternalKey>>(),
        act(
            "/external-keys",
            "Make an external account key",
            ExternalKeyCreate,
            Several,
            external_key::create,
        )
        .takes::<external_key::Wanted>()
        .gives::<shape::ExternalKey>(),
        act(
            "/external-keys/{kid}/revoke",
            "Revoke an external account key",
            ExternalKeyRevoke,
            Named("external-key"),
            external_key::revoke,
        )
        .gives::<shape::ExternalKey>(),
    ]
}
