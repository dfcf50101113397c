//! Mail, as an operator meets it: Postfix takes what Perennial tells, with a certificate of Perennial's
//! own CA and Dovecot's word on who may send; what arrived is read as a mail program reads it. What
//! goes wrong is said as what it is.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::keyset::{keyset, text};
use crate::program::{Daemon, free_port, program, run, succeed};
use crate::scene::Scene;

#[test]
fn people_are_told_by_mail_and_what_goes_wrong_is_said_as_what_it_is() {
    if !rustix::process::geteuid().is_root() {
        // Postfix's master runs as root or not at all.
        return;
    }
    let scene = Scene::ours("mail");
    let postfix = Postfix::start(&scene);
    declare(&scene, &(keyset("auth", "") + &postfix.declared(&scene)));

    let test = |name: &str| run(&mut scene.server.command(["notify", "test", name]));
    for name in ["ops", "night"] {
        let (output, said) = test(name);
        assert!(output.status.success() && said.contains("took message msg_"), "{said}");
    }
    for (name, why) in [
        ("mistrusting", "UnknownIssuer"),
        ("misnamed", "not valid for name"),
        ("stranger", "the login is refused"),
        ("later", "450"),
        ("never", "550"),
        ("partly", "not for never@example.test"),
        ("clear", "554"),
        ("nowhere", "refused"),
    ] {
        let (output, said) = test(name);
        assert!(!output.status.success() && said.contains(why), "{name}: {said}");
        assert!(!said.contains(PASSWORD), "{name}: {said}");
    }
    let read = postfix.read(3);
    let tested = read.iter().find(|mail| text(&mail["to"]).contains("ops@")).expect("it came");
    assert_eq!(tested["subject"], "[perennial] mail.test");
    assert!(text(&tested["text"]).contains("Nothing happened"), "{tested}");

    succeed(&mut scene.server.command(["rotate", "auth", "--emergency"]));
    let read = postfix.read(6);
    let told = |to: &str| {
        let told = |mail: &&Value| {
            text(&mail["to"]).contains(to) && text(&mail["subject"]).contains("taken out")
        };
        read.iter().find(told).unwrap_or_else(|| panic!("{to}: {read:#?}"))
    };
    told("night@");
    let mail = told("ops@");
    assert_eq!(mail["to"], "Öps <ops@example.test>");
    assert_eq!(mail["from"], "Perennial <pki@example.test>");
    assert_eq!(
        mail["subject"],
        "[perennial] keyset/auth: a key was taken out, and a fresh one signs"
    );
    assert_eq!(mail["auto-submitted"], "auto-generated");
    assert_eq!(mail["content-type"], "text/plain; charset=\"utf-8\"");
    assert_eq!(mail["defects"], 0);
    assert_eq!(mail["age"], true, "it has a date, and that of today");
    let shown = scene.server.json(["get", "receiver", "ops"]);
    let message = text(&shown["notifications"][0]["message"]);
    assert_eq!(mail["id"], format!("<{message}@example.test>"), "a retry is the same mail");
    assert!(text(&mail["text"]).contains("emergency: keyset/auth"), "{mail}");
    assert_eq!((&shown["status"], &shown["error"]), (&"delivered".into(), &Value::Null));
    assert!(shown["delivered"].is_string() && shown["waiting"] == 0, "{shown:#}");

    let status = |name: &str| text(&scene.server.json(["get", "receiver", name])["status"]);
    for (name, expected) in [
        ("later", "failing"),
        ("never", "abandoned"),
        ("stranger", "failing"),
        ("partly", "delivered"),
    ] {
        wait_until(&format!("{name}: {expected}"), || (status(name) == expected).then_some(()));
    }
    let (output, said) = run(&mut scene.server.command(["status"]));
    assert_eq!(output.status.code(), Some(3), "{said}");
    for line in ["mail later: a message is not delivered", "mail partly: it was taken, but not"] {
        assert!(said.contains(line), "{said}");
    }
    let audit = succeed(&mut scene.server.command(["audit", "--json"]));
    let all = format!("{said}{audit}{}", scene.server.json(["get", "receiver"]));
    assert!(!all.contains(PASSWORD) && !scene.server.wrote().contains(PASSWORD));
}

fn declare(scene: &Scene, text: &str) {
    let file = scene.directory("declared").join("mail.toml");
    fs::write(&file, text).expect("written");
    succeed(&mut scene.server.command(["apply".as_ref(), file.as_os_str()]));
}

fn wait_until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(value) = condition() {
            return value;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("{what}: not within a minute");
}

/// A mail server that asks who somebody is, and the one it asks.
struct Postfix {
    home: PathBuf,
    /// It goes on by STARTTLS; it begins with TLS.
    ports: [u16; 2],
    _dovecot: Daemon,
}

impl Postfix {
    fn start(scene: &Scene) -> Self {
        let home = scene.directory("postfix");
        for name in ["etc", "spool", "data", "mail", "dovecot"] {
            scene.directory(&format!("postfix/{name}"));
        }
        // Its workers are others than we, and must find the way to what is theirs.
        for above in home.ancestors().take(2) {
            fs::set_permissions(above, fs::Permissions::from_mode(0o755)).expect("permissions");
        }
        chown(home.join("data"), Some(number("postfix")), None).expect("root may");
        chown(home.join("mail"), Some(number("nobody")), None).expect("root may");
        let (chain, key) = (home.join("tls.pem"), home.join("tls.key"));
        let mut issue = scene.server.command(["issue", "localhost"]);
        succeed(issue.arg("--out").arg(&chain).arg("--key-out").arg(&key));
        // The key first: Postfix wants it so.
        let pair = [&key, &chain].map(|file| fs::read_to_string(file).expect("issued"));
        fs::write(home.join("chain.pem"), pair.concat()).expect("written");
        let ports = [free_port(), free_port()];
        let auth = free_port();
        let mut dovecot = Daemon::start("dovecot", dovecot(&home, auth), &home);
        dovecot.wait_for_port(auth);
        fs::write(home.join("etc/main.cf"), main_cf(&home, auth)).expect("written");
        fs::write(home.join("etc/master.cf"), master_cf(ports)).expect("written");
        let postfix = Self { home, ports, _dovecot: dovecot };
        postfix.run("start");
        for port in ports {
            let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
            wait_until("Postfix listens", connect);
        }
        postfix
    }

    fn run(&self, what: &str) {
        succeed(program("postfix").arg("-c").arg(self.home.join("etc")).arg(what));
    }

    /// What is declared of it: what works, and what does not.
    fn declared(&self, scene: &Scene) -> String {
        let secret = |name: &str, password: &str| {
            let file = self.home.join(name);
            fs::write(&file, format!("perennial\n{password}\n")).expect("written");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("private");
            file
        };
        let (good, bad) = (secret("login", PASSWORD), secret("wrong", "guessed"));
        let (ours, others) = (scene.server.issuer.root.clone(), self.home.join("others.pem"));
        let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a CA");
        fs::write(&others, stranger.cert.pem()).expect("written");
        let [starttls, implicit] = self.ports.map(|port| format!("localhost:{port}"));
        let address = starttls.replace("localhost", "127.0.0.1");
        let nobody = format!("localhost:{}", free_port());
        let mail = |name: &str, server: &str, roots: &Path, login: Option<&Path>, more: &str| {
            let login = login.map(|login| format!("login_file = {login:?}\n")).unwrap_or_default();
            let to = match more.contains("to =") {
                true => String::new(),
                false => format!("to = [\"{name}@example.test\"]\n"),
            };
            format!(
                "[[mail]]\nname = \"{name}\"\nserver = \"{server}\"\nroots = {roots:?}\n{login}\
                 from = \"Perennial <pki@example.test>\"\nwait = \"0s\"\n{to}{more}\n"
            )
        };
        let login = Some(good.as_path());
        [
            mail("ops", &starttls, &ours, login, "to = [\"Öps <ops@example.test>\"]"),
            mail("night", &implicit, &ours, login, "tls = \"implicit\"\nseverity = \"emergency\""),
            mail("mistrusting", &starttls, &others, login, ""),
            mail("misnamed", &address, &ours, login, ""),
            mail("stranger", &starttls, &ours, Some(bad.as_path()), ""),
            mail("later", &starttls, &ours, login, ""),
            mail("never", &starttls, &ours, login, ""),
            mail(
                "partly",
                &starttls,
                &ours,
                login,
                "to = [\"partly@example.test\", \"never@example.test\"]",
            ),
            mail("clear", &starttls, &ours, None, "tls = \"none\""),
            mail("nowhere", &nobody, &ours, login, ""),
        ]
        .concat()
    }

    /// Waits for so many mails, and reads all there are.
    fn read(&self, count: usize) -> Vec<Value> {
        let inbox = self.home.join("mail/inbox/new");
        wait_until(&format!("{count} mails"), || {
            let arrived = fs::read_dir(&inbox).map(Iterator::count).unwrap_or_default();
            (arrived >= count).then_some(())
        });
        let script = "import email, email.policy, email.utils, json, pathlib, sys, time\n\
            read = []\n\
            for file in pathlib.Path(sys.argv[1]).iterdir():\n    \
                mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)\n    \
                sent = email.utils.parsedate_to_datetime(mail['date']).timestamp()\n    \
                read.append({'to': mail['to'], 'from': mail['from'], 'subject': mail['subject'],\n        \
                    'id': mail['message-id'], 'auto-submitted': mail['auto-submitted'],\n        \
                    'content-type': mail['content-type'], 'text': mail.get_content(),\n        \
                    'age': abs(time.time() - sent) < 86400, 'defects': len(mail.defects)})\n\
            print(json.dumps(read))\n";
        let read = succeed(program("python3").args(["-c", script]).arg(&inbox));
        serde_json::from_str(&read).expect("JSON")
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.run("stop");
    }
}

fn main_cf(home: &Path, auth: u16) -> String {
    let home = home.display();
    format!(
        "compatibility_level = 3.6\nqueue_directory = {home}/spool\ndata_directory = {home}/data\n\
         maillog_file = {home}/log\nmaillog_file_prefixes = /\ninet_protocols = ipv4\n\
         myhostname = mail.example.test\nmydestination =\nalias_maps =\nalias_database =\n\
         virtual_mailbox_domains = example.test\nvirtual_mailbox_base = {home}/mail\n\
         virtual_mailbox_maps = static:inbox/\nvirtual_uid_maps = static:{nobody}\n\
         virtual_gid_maps = static:{nobody}\nvirtual_minimum_uid = 1\n\
         smtpd_tls_chain_files = {home}/chain.pem\nsmtpd_tls_security_level = may\n\
         smtpd_tls_auth_only = yes\nsmtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\n\
         smtpd_sasl_path = inet:127.0.0.1:{auth}\nsmtpd_relay_restrictions =\n\
         smtpd_recipient_restrictions = check_recipient_access inline:{{ \
         {{ later@example.test = 450 4.7.1 come back }}, \
         {{ never@example.test = 550 5.7.1 not here }} }}, permit_sasl_authenticated, reject\n",
        nobody = number("nobody"),
    )
}

fn master_cf([starttls, implicit]: [u16; 2]) -> String {
    let others = "cleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\n\
        tlsmgr unix - - n 1000? 1 tlsmgr\nrewrite unix - - n - - trivial-rewrite\n\
        bounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\n\
        error unix - - n - - error\nretry unix - - n - - error\nproxymap unix - - n - - proxymap\n\
        anvil unix - - n - 1 anvil\nvirtual unix - n n - - virtual\n\
        postlog unix-dgram n - n - 1 postlogd\n";
    format!(
        "127.0.0.1:{starttls} inet n - n - - smtpd\n\
         127.0.0.1:{implicit} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n{others}"
    )
}

/// The arguments of a Dovecot that knows one user and serves nothing but that.
fn dovecot(home: &Path, port: u16) -> [String; 3] {
    let (file, at) = (home.join("dovecot/dovecot.conf"), home.display());
    fs::write(home.join("dovecot/users"), format!("perennial:{{PLAIN}}{PASSWORD}\n"))
        .expect("written");
    let text = format!(
        "base_dir = {at}/dovecot/run\nlog_path = {at}/dovecot/log\nprotocols =\nssl = no\n\
         auth_mechanisms = plain login\nservice anvil {{\n  chroot =\n}}\n\
         service auth {{\n  inet_listener {{\n    address = 127.0.0.1\n    port = {port}\n  }}\n}}\n\
         passdb {{\n  driver = passwd-file\n  args = {at}/dovecot/users\n}}\n\
         userdb {{\n  driver = static\n  args = uid=65534 gid=65534 home=/nonexistent\n}}\n"
    );
    fs::write(&file, text).expect("written");
    ["-F".into(), "-c".into(), file.display().to_string()]
}

/// The number of a user, from passwd(5).
fn number(name: &str) -> u32 {
    let table = fs::read_to_string("/etc/passwd").expect("readable");
    let line = table.lines().find(|line| line.starts_with(&format!("{name}:"))).expect(name);
    line.split(':').nth(2).and_then(|number| number.parse().ok()).expect("a number")
}

const PASSWORD: &str = "s3cret-of-mail";
