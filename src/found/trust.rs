//! Whom those who connect to what was found trust: the system's roots, and the authorities here.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ca::survey::Anchors;

use crate::catalog::Catalog;

/// The roots that programs on this machine trust. Those that cannot be read are left out. Read at most
/// once a minute: each look at an endpoint and each part of a scan asks for them, and there are some
/// hundred.
pub(crate) fn system_roots() -> Vec<ca::Certificate> {
    // What was read before a panic is as good after it.
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, roots)) = kept.as_ref().filter(|(read, _)| read.elapsed() < FRESH) {
        return roots.clone();
    }
    let roots = rustls_native_certs::load_native_certs().certs;
    let roots = roots.iter().filter_map(|der| ca::Certificate::from_der(der).ok());
    let roots: Vec<_> = roots.collect();
    *kept = Some((Instant::now(), roots.clone()));
    roots
}

/// The system's roots, and the roots here.
pub(crate) fn trusted(system: &[ca::Certificate], catalog: &Catalog) -> Anchors {
    let own = catalog.authorities.values().map(|authority| authority.ca.certificate().clone());
    let own = own.filter(ca::Certificate::is_self_issued);
    Anchors::new(system.iter().cloned().chain(own))
}

static KEPT: Mutex<Option<(Instant, Vec<ca::Certificate>)>> = Mutex::new(None);
const FRESH: Duration = Duration::from_secs(60);
