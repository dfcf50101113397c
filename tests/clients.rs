//! Real ACME clients, each as its own users run it: issue, renew, revoke, over every challenge that
//! it knows and we can answer. A client is told the directory and the root, nothing else of ours.

mod acme_tiny;
mod caddy;
mod certbot;
mod dehydrated;
mod instant_acme;
mod lego;
mod uacme;

use std::path::Path;

use crate::chain::Chain;
use crate::scene::Scene;

/// Issues with `issue`, again with `renew`, revokes with `revoke`, and checks what a relying party
/// sees after each. The file at `pem` must hold the current chain after both of the first two.
pub(crate) fn live_through(
    scene: &Scene,
    pem: &Path,
    names: &[&str],
    issue: impl FnOnce(),
    renew: impl FnOnce(),
    revoke: impl FnOnce(&Chain),
) {
    issue();
    let first = Chain::check(&scene.server.issuer, pem, names);
    renew();
    let second = Chain::check(&scene.server.issuer, pem, names);
    assert_ne!(first.serial(), second.serial(), "renewal must bring another certificate");
    revoke(&second);
    second.assert_revoked(&scene.server.issuer);
    first.assert_not_revoked(&scene.server.issuer);
}
