//! The routes of what is found in use, and of looking for it.

use super::super::listing::{Ends, Listing};
use super::super::shape::{self, List};
use super::super::{crypto, found};
use super::{On, Route, act, read};
use crate::access::Action;

/// All of them.
pub(super) fn routes() -> Vec<Route> {
    use Action::{EndpointRead, FoundRead, ScanRead, ScanRun};
    use On::{Listed, Named, Several};
    vec![
        read("/found", "List found certificates", FoundRead, Listed, found::list)
            .asks::<Ends>()
            .gives::<List<shape::Found>>(),
        read("/found/{id}", "Show a found certificate", FoundRead, Named("found"), found::show)
            .gives::<shape::FoundInFull>(),
        read("/endpoints", "List watched endpoints", EndpointRead, Listed, found::endpoints)
            .gives::<List<shape::Endpoint>>(),
        read(
            "/endpoints/{name}",
            "Show a watched endpoint",
            EndpointRead,
            Named("endpoint"),
            found::endpoint,
        )
        .gives::<shape::WatchedInFull>(),
        read("/crypto", "List the cryptography in use", FoundRead, Several, crypto::list)
            .gives::<List<shape::Use>>(),
        read("/expiring", "List what ends soon", FoundRead, Several, found::expiring)
            .asks::<Ends>()
            .gives::<List<shape::Ending>>(),
        read("/scans", "List scans", ScanRead, Several, found::scans)
            .asks::<Listing>()
            .gives::<List<shape::Scan>>(),
        act("/scans", "Begin a scan", ScanRun, Several, found::begin)
            .takes::<found::Begun>()
            .gives::<shape::Scan>(),
        read("/scans/{id}", "Show a scan", ScanRead, Named("scan"), found::scan_of)
            .gives::<shape::Scan>(),
        act(
            "/scans/{id}/findings",
            "Report what a scan found",
            ScanRun,
            Named("scan"),
            found::tell,
        )
        .takes::<found::Told>()
        .gives::<shape::Scan>(),
    ]
}
