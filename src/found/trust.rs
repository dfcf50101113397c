//! Whom those who connect to what was found trust: the system's roots, and the authorities here.

use ca::survey::Anchors;

use crate::catalog::Catalog;

/// The roots that programs on this machine trust. Those that cannot be read are left out.
pub(crate) fn system_roots() -> Vec<ca::Certificate> {
    let roots = rustls_native_certs::load_native_certs().certs;
    roots.iter().filter_map(|der| ca::Certificate::from_der(der).ok()).collect()
}

/// The system's roots, and the roots here.
pub(crate) fn trusted(system: &[ca::Certificate], catalog: &Catalog) -> Anchors {
    let own = catalog.authorities.values().map(|authority| authority.ca.certificate().clone());
    let own = own.filter(ca::Certificate::is_self_issued);
    Anchors::new(system.iter().cloned().chain(own))
}
