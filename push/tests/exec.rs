//! Targets of kind `exec`: hooks in the styles of certbot, lego and acme.sh, as their users write them.

use std::fs;

use push::{Bundle, PushError, Spec};

use crate::scene::{Folder, Issuer, push, script, spec};

fn exec(folder: &Folder, content: &str, more: &str) -> Spec {
    let hook = script(folder, "hook", content);
    spec(&format!("name = \"h\"\nkind = \"exec\"\ncommand = [{hook:?}]\n{more}"))
}

fn read(folder: &Folder, name: &str) -> String {
    fs::read_to_string(folder.path(name)).expect(name)
}

fn is_delivered(folder: &Folder, bundle: &Bundle) {
    assert_eq!(read(folder, "out.key"), *bundle.key_pem().expect("a key"));
    assert_eq!(read(folder, "out.crt"), bundle.fullchain_pem());
}

#[tokio::test]
async fn a_certbot_deploy_hook_runs_unchanged() {
    let (folder, bundle) = (Folder::new(), Issuer::new().bundle(&["shop.test", "*.shop.test"]));
    let hook = format!(
        "#!/bin/bash\nset -e\nout={}\nfor domain in $RENEWED_DOMAINS; do\n  case $domain in\n  \
         shop.test)\n    cat \"$RENEWED_LINEAGE/privkey.pem\" > \"$out.key\"\n    \
         cat \"$RENEWED_LINEAGE/cert.pem\" \"$RENEWED_LINEAGE/chain.pem\" > \"$out.crt\"\n    \
         cmp \"$out.crt\" \"$RENEWED_LINEAGE/fullchain.pem\"\n    echo \"deployed $domain\"\n    ;;\n  \
         esac\ndone\n",
        folder.text("out")
    );
    let receipt = push(&exec(&folder, &hook, ""), 3, &bundle).await.expect("deployed");
    assert_eq!(receipt.output, "deployed shop.test");
    is_delivered(&folder, &bundle);
}

#[tokio::test]
async fn lego_hooks_of_both_versions_run_unchanged() {
    let (folder, bundle) = (Folder::new(), Issuer::new().bundle(&["shop.test"]));
    for prefix in ["LEGO_CERT", "LEGO_HOOK_CERT"] {
        let hook = format!(
            "#!/bin/sh\nset -eu\ncp \"${prefix}_PATH\" {out}.crt\ncp \"${prefix}_KEY_PATH\" {out}.key\n\
             cmp \"${prefix}_PEM_PATH\" \"${prefix}_PEM_PATH\"\n\
             echo \"${{LEGO_CERT_DOMAIN}} ${{LEGO_HOOK_CERT_NAME}} ${{LEGO_HOOK_CERT_DOMAINS}} \
             ${{LEGO_HOOK_CERT_KEY_TYPE}}\"\n",
            out = folder.text("out")
        );
        let receipt = push(&exec(&folder, &hook, ""), 3, &bundle).await.expect("deployed");
        assert_eq!(receipt.output, "shop.test shop shop.test EC256");
        is_delivered(&folder, &bundle);
    }
}

#[tokio::test]
async fn an_acme_sh_deploy_hook_runs_unchanged() {
    let (folder, bundle) = (Folder::new(), Issuer::new().bundle(&["shop.test", "*.shop.test"]));
    let hook = "#!/usr/bin/env sh\n# Deploys to a directory.\nmyhook_deploy() {\n  _cdomain=\"$1\"\n  _ckey=\"$2\"\n  \
         _ccert=\"$3\"\n  _cca=\"$4\"\n  _cfullchain=\"$5\"\n  _debug _cdomain \"$_cdomain\"\n  \
         _getdeployconf MYHOOK_DIR\n  if [ -z \"$MYHOOK_DIR\" ]; then\n    _err 'MYHOOK_DIR is not set'\n    \
         return 1\n  fi\n  _savedeployconf MYHOOK_DIR \"$MYHOOK_DIR\"\n  cat \"$_ckey\" > \"$MYHOOK_DIR/out.key\"\n  \
         cat \"$_ccert\" \"$_cca\" > \"$MYHOOK_DIR/out.crt\"\n  cmp \"$MYHOOK_DIR/out.crt\" \"$_cfullchain\" \
         || return 1\n  if _contains \"$Le_Alt\" 'shop'; then _info \"deployed $_cdomain\"; fi\n  return 0\n}\n";
    let path = folder.write("myhook.sh", hook);
    let table = |environment: &str| {
        spec(&format!("name = \"h\"\nkind = \"exec\"\nacme_sh = {path:?}\n{environment}"))
    };
    let configured = table(&format!("environment = {{ MYHOOK_DIR = {:?} }}", folder.text("")));
    let receipt = push(&configured, 3, &bundle).await.expect("deployed");
    assert_eq!(receipt.output, "deployed shop.test");
    is_delivered(&folder, &bundle);
    let error = push(&table(""), 3, &bundle).await.expect_err("not configured");
    assert!(error.to_string().contains("MYHOOK_DIR is not set"), "{error}");
}

#[tokio::test]
async fn names_are_never_read_as_shell() {
    let (folder, issuer) = (Folder::new(), Issuer::new());
    let bundle = issuer.bundle(&["*.shop.test"]);
    let hook = "#!/bin/sh\necho \"$PERENNIAL_CERTIFICATE|$PERENNIAL_ROTATION\"";
    let delivery = push::Delivery {
        certificate: "$(touch pwned); `id`",
        version: 1,
        rotation: "a'b\"c",
        bundle: &bundle,
    };
    let spec = exec(&folder, hook, "");
    let receipt = spec.open().push(&delivery).await.expect("deployed");
    assert_eq!(receipt.output, "$(touch pwned); `id`|a'b\"c");
}

#[tokio::test]
async fn the_key_is_gone_when_the_hook_is() {
    let (folder, bundle) = (Folder::new(), Issuer::new().bundle(&["shop.test"]));
    for end in ["exit 0", "exit 1", "sleep 60"] {
        let hook =
            format!("#!/bin/sh\necho \"$RENEWED_LINEAGE\" > {}\n{end}", folder.text("where"));
        let _ = push(&exec(&folder, &hook, "timeout = \"1s\""), 1, &bundle).await;
        let lineage = read(&folder, "where");
        assert!(!std::path::Path::new(lineage.trim()).exists(), "{lineage} after {end}");
    }
    // Unless it is to be kept.
    let more = format!("directory = {:?}", folder.text("live"));
    push(&exec(&folder, "#!/bin/sh\ntrue", &more), 1, &bundle).await.expect("deployed");
    assert_eq!(read(&folder, "live/privkey.pem"), *bundle.key_pem().expect("a key"));
}

#[tokio::test]
async fn failure_and_delay_are_told_with_what_the_hook_said() {
    let (folder, bundle) = (Folder::new(), Issuer::new().bundle(&["shop.test"]));
    let hook = "#!/bin/sh\necho no space left; cat \"$RENEWED_LINEAGE/privkey.pem\"; exit 4";
    let error = push(&exec(&folder, hook, ""), 1, &bundle).await.expect_err("it fails");
    let text = error.to_string();
    assert!(text.contains("no space left") && text.contains("exit status: 4"), "{text}");
    assert!(!text.contains(bundle.key_pem().expect("a key").lines().nth(1).expect("a line")));
    let hook = "#!/bin/sh\necho waiting for the appliance; sleep 60";
    let error = push(&exec(&folder, hook, "timeout = \"1s\""), 1, &bundle).await.expect_err("slow");
    assert!(matches!(error, PushError::TimedOut { .. }), "{error}");
    assert!(error.to_string().contains("waiting for the appliance"), "{error}");
}
