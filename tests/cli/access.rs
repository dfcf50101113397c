//! Who may what, as operators meet it: declared, tried out, asked for, agreed to, and done without.

use std::fs;

use crate::program::{program, run, succeed};
use crate::scene::Scene;

const RULES: &str = r#"
[[approval]]
name = "tokens"
actions = ["token.create"]

[[binding]]
name = "web"
to = "group/web"
role = "operator"
scope = { owners = ["web"], names = ["*.web.example.test"] }
"#;

#[test]
fn a_request_waits_until_another_agrees_and_the_machine_can_do_without() {
    let scene = Scene::ours("access-approval");
    let server = &scene.server;
    let boss = server.json(["token", "create", "boss", "--role", "admin"]);
    let rules = scene.directory("declared").join("rules.toml");
    fs::write(&rules, RULES).expect("declarations");
    succeed(&mut server.command(["apply".as_ref(), rules.as_os_str()]));

    let url = server.directory.replace("/acme/default/directory", "/api/v1/tokens");
    let ask = |headers: &[&str]| {
        let mut curl = program("curl");
        curl.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert"]).arg(&server.trust);
        let bearer = boss["token"].as_str().expect("a token");
        curl.args(["-H", &format!("Authorization: Bearer {bearer}")]);
        curl.args(["-H", "Content-Type: application/json"]);
        for header in headers {
            curl.args(["-H", header]);
        }
        curl.args(["-d", r#"{"name":"ci","scope":["group/web"]}"#]);
        succeed(curl.arg(&url))
    };
    assert_eq!(ask(&["Reason: the pipeline is new"]), "403");
    let listed = server.json(["approval", "list"]);
    let request = &listed["items"][0];
    let shown =
        ["status", "asked_by", "reason"].map(|field| request[field].as_str().expect("text"));
    assert_eq!(shown, ["open", "token/boss", "the pipeline is new"]);
    let id = request["id"].to_string();
    let approved = succeed(&mut server.command(["approval", "approve", &id, "--comment", "fine"]));
    assert!(approved.contains("approved"), "{approved}");
    assert_eq!(ask(&[&format!("Approval: {id}")]), "200");
    assert_eq!(ask(&[&format!("Approval: {id}")]), "403", "once");

    let make = ["token", "create", "mine", "--role", "viewer"];
    let (output, text) = run(&mut server.command(make));
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("approval of another") && text.contains("--approval"), "{text}");
    succeed(server.command(make).args(["--break-glass", "nobody else is awake"]));
    let audit = succeed(&mut server.command(["audit", "--subject", "node"]));
    assert!(audit.contains("approval.break-glass"), "{audit}");
}

#[test]
fn what_somebody_may_is_said_before_they_try() {
    let scene = Scene::ours("access-said");
    let server = &scene.server;
    let home = scene.directory("declared");
    let [rules, shop, wrong] =
        ["rules.toml", "shop.toml", "wrong.toml"].map(|name| home.join(name));
    fs::write(&rules, RULES).expect("declarations");
    succeed(&mut server.command(["apply".as_ref(), rules.as_os_str()]));
    let text = "[[certificate]]\nname = 'a'\nnames = ['a.web.example.test']\nowner = 'web'\n\
                [[certificate]]\nname = 'b'\nnames = ['b.example.test']\nowner = 'web'\n";
    fs::write(&shop, text).expect("declarations");
    let (_, seen) = run(server.command(["plan", "--as", "group/web"]).arg(&shop));
    let line = |name: &str| {
        let found =
            seen.lines().find(|line| line.starts_with("certificate") && line.contains(name));
        found.unwrap_or_else(|| panic!("{seen}")).to_owned()
    };
    assert!(line(" a ").contains("true") && line(" b ").contains("false"), "{seen}");
    succeed(&mut server.command(["apply".as_ref(), shop.as_os_str()]));

    let asks = |action: &str, on: &str| {
        run(&mut server.command(["access", "test", "group/web", action, on]))
    };
    let (output, text) = asks("managed.renew", "managed/a");
    assert!(output.status.success() && text.contains("role operator by binding web"), "{text}");
    let (output, text) = asks("managed.renew", "managed/b");
    assert_eq!(output.status.code(), Some(1), "{text}");
    let schema = succeed(&mut server.command(["access", "schema"]));
    assert!(schema.contains("action \"keyset.rotate\" in"), "{schema}");

    let policy = "[[policy]]\nname = 'p'\ncedar = '''\nforbid (principal, action, resource)\n\
                  when { resource.ownr == \"web\" };\n'''\n";
    fs::write(&wrong, policy).expect("declarations");
    let (output, text) = run(&mut server.command(["apply".as_ref(), wrong.as_os_str()]));
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("line 1: policy \"p\": line 2, column"), "{text}");
}
