//! Deploy hooks that people have already, run as they are: one for certbot, one for lego. Each puts
//! files where its server reads them and reloads it, as it does behind the client it was written for.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::fleet::{Nginx, script};
use super::stage::{NAME, Stage, shop_on};

/// The example of certbot's user guide ("Renewing certificates"), its two settings filled in.
const CERTBOT: &str = r#"#!/bin/sh

set -e

for domain in $RENEWED_DOMAINS; do
        case $domain in
        shop.example.test)
                daemon_cert_root=/etc/some-daemon/certs

                # Make sure the certificate and private key files are
                # never world readable, even just for an instant while
                # we're copying them into daemon_cert_root.
                umask 077

                cp "$RENEWED_LINEAGE/fullchain.pem" "$daemon_cert_root/$domain.cert"
                cp "$RENEWED_LINEAGE/privkey.pem" "$daemon_cert_root/$domain.key"

                # Apply the proper file ownership and permissions for
                # the daemon to read its certificate and key.
                chown some-daemon "$daemon_cert_root/$domain.cert" \
                        "$daemon_cert_root/$domain.key"
                chmod 400 "$daemon_cert_root/$domain.cert" \
                        "$daemon_cert_root/$domain.key"

                service some-daemon restart >/dev/null
                ;;
        esac
done
"#;

/// In the manner of lego's documentation of `--renew-hook`: variables of lego 4, in bash.
const LEGO: &str = r#"#!/bin/bash
set -euo pipefail
echo "renewed ${LEGO_CERT_DOMAIN}"
[[ -f "${LEGO_ISSUER_CERT_PATH}" ]] || { echo "no issuer" >&2; exit 1; }
install -m 0644 "${LEGO_CERT_PATH}" "/etc/some-daemon/certs/${LEGO_CERT_DOMAIN}.cert"
install -m 0600 "${LEGO_CERT_KEY_PATH}" "/etc/some-daemon/certs/${LEGO_CERT_DOMAIN}.key"
service some-daemon reload
"#;

#[test]
fn a_deploy_hook_for_certbot_runs_unchanged() {
    runs_unchanged("hooks-certbot", CERTBOT);
}

#[test]
fn a_renew_hook_for_lego_runs_unchanged() {
    runs_unchanged("hooks-lego", LEGO);
}

#[test]
fn a_hook_that_fails_is_quoted_and_what_it_broke_is_put_right_by_the_version_before() {
    let stage = Stage::set("hooks-failing");
    let nginx = Nginx::start(stage.directory("nginx"));
    let broken = nginx.home.join("broken");
    // It copies, and only then fails.
    let hook = format!(
        "{}\n[ -e {1} ] && rm {1} && echo cannot reach the load balancer >&2 && exit 7\nexit 0\n",
        settled(CERTBOT, &nginx.home),
        broken.display(),
    );
    stage.open(&(shop_on(&["edge"], "") + &target(&nginx, &hook)));
    fs::write(&broken, "").expect("written");
    stage.renew_in_vain();
    stage.assert_alarm(&["the hook failed", "cannot reach the load balancer", "exit status: 7"]);
    stage.assert_served(&stage.shop(), 1, &[nginx.address]);
}

fn runs_unchanged(name: &str, hook: &str) {
    let stage = Stage::set(name);
    let nginx = Nginx::start(stage.directory("nginx"));
    stage.open(&(shop_on(&["edge"], "") + &target(&nginx, &settled(hook, &nginx.home))));
    for version in 1..=3 {
        let shop = stage.shop();
        assert_eq!(shop["version"], version);
        stage.assert_served(&shop, version, &[nginx.address]);
        let key = nginx.home.join(format!("certs/{NAME}.key"));
        let mode = fs::metadata(key).expect("the key").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
        stage.renew(&[]);
    }
}

/// A hook as its owner has it: with the daemon's directory and user in the places of the example's.
fn settled(hook: &str, home: &Path) -> String {
    let certs = home.join("certs");
    fs::create_dir_all(&certs).expect("a directory");
    let user = rustix::process::geteuid().as_raw().to_string();
    hook.replace("/etc/some-daemon/certs", &certs.display().to_string())
        .replace("chown some-daemon", &format!("chown {user}"))
}

/// A target of kind `exec` that runs `hook` where `service` restarts the nginx.
fn target(nginx: &Nginx, hook: &str) -> String {
    let (home, tls) = (&nginx.home, nginx.home.join("tls/current"));
    script(&home.join("hook"), hook);
    fs::create_dir(home.join("bin")).expect("a directory");
    let service = format!("#!/bin/sh\n[ \"$1\" = some-daemon ] && exec {}\n", nginx.reload());
    script(&home.join("bin/service"), &service);
    // It reads what the hook brings.
    for (from, to) in [("tls.crt", "cert"), ("tls.key", "key")] {
        let brought = home.join(format!("certs/{NAME}.{to}"));
        fs::copy(tls.join(from), &brought).expect("a copy");
        fs::remove_file(tls.join(from)).expect("removed");
        std::os::unix::fs::symlink(brought, tls.join(from)).expect("a link");
    }
    let path = std::env::var("PATH").unwrap_or_default();
    format!(
        "[[target]]\nname = \"edge\"\nkind = \"exec\"\ncommand = [{:?}]\n\
         environment.PATH = \"{}:{path}\"\nprobe = [\"{}\"]\nwindow = \"5s\"\n",
        home.join("hook"),
        home.join("bin").display(),
        nginx.address
    )
}
