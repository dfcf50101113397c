//! What a `[[target]]` table may say.

use jiff::SignedDuration;
use push::{Kind, Spec, StartTls};

#[test]
fn defaults_are_those_that_are_documented_and_are_not_written() {
    let table = "name = \"a\"\nkind = \"files\"\ndirectory = \"/etc/tls/shop\"\n";
    let spec: Spec = toml::from_str(table).expect("read");
    assert_eq!((spec.matches, spec.over.as_secs(), spec.window().as_secs()), (5, 1, 15));
    assert_eq!(toml::to_string(&spec).expect("written").lines().count(), 3);
}

#[test]
fn every_field_is_read_back_as_it_was_written() {
    for table in TABLES {
        let spec: Spec = toml::from_str(table).expect(table);
        spec.check().expect(table);
        let text = toml::to_string(&spec).expect("written");
        assert_eq!(toml::from_str::<Spec>(&text).expect(&text), spec);
        let asked: toml::Table = toml::from_str(table).expect("a table");
        let written: toml::Table = toml::from_str(&text).expect("a table");
        assert_eq!(asked, written);
        assert_eq!(asked["kind"].as_str(), Some(spec.kind.name()));
        let json = serde_json::to_string(&spec).expect("written");
        assert_eq!(serde_json::from_str::<Spec>(&json).expect(&json), spec);
    }
}

#[test]
fn an_unknown_field_is_refused_by_name_and_kind() {
    let table = "name = \"edge\"\nkind = \"nginx\"\npath = \"/a\"\nsocket = \"/b\"\n";
    let error = toml::from_str::<Spec>(table).expect_err("refused").to_string();
    for part in ["edge", "socket", "nginx", "pid_file"] {
        assert!(error.contains(part), "{error}");
    }
    let error = toml::from_str::<Spec>("name = \"edge\"\nkind = \"ngnix\"\n").expect_err("refused");
    assert!(
        error.to_string().contains("ngnix") && error.to_string().contains("haproxy"),
        "{error}"
    );
    let table = "name = \"edge\"\nkind = \"haproxy\"\npath = \"/a\"\n";
    let error = toml::from_str::<Spec>(table).expect_err("a field is missing").to_string();
    assert!(error.contains("edge") && error.contains("socket"), "{error}");
}

#[test]
fn what_cannot_work_is_refused_with_what_to_do() {
    for (table, hint) in [
        ("kind = \"files\"", "set directory"),
        ("kind = \"files\"\ndirectory = \"tls\"", "from / on"),
        ("kind = \"files\"\nkey_path = \"/k\"\ndirectory = \"/d\"", "set it to"),
        ("kind = \"files\"\npath = \"/k\"\nkey_path = \"/k\"", "different files"),
        ("kind = \"files\"\npath = \"/k\"\nformats = [\"jks\"]", "set directory"),
        ("kind = \"files\"\ndirectory = \"/k\"\nformats = [\"jks\"]", "keystore_password_file"),
        ("kind = \"files\"\npath = \"/k\"\nprobe = [\"shop\"]", "host:port"),
        ("kind = \"files\"\npath = \"/k\"\nprobe = [\"::1:443\"]", "[IPv6]:port"),
        ("kind = \"files\"\npath = \"/k\"\nsni = \"*.a.test\"", "below it"),
        ("kind = \"files\"\npath = \"/k\"\nmatches = 0", "1 to"),
        ("kind = \"files\"\npath = \"/k\"\nover = \"1m\"", "set window"),
        ("kind = \"exec\"", "set command or acme_sh"),
        ("kind = \"exec\"\ncommand = [\"a\"]\nacme_sh = \"/a.sh\"", "remove one"),
        ("kind = \"exec\"\nacme_sh = \"/a\"", "haproxy.sh"),
        ("kind = \"haproxy\"\nsocket = \"admin\"\npath = \"/a\"", "host:port"),
        ("kind = \"haproxy\"\nsocket = \"/s\"\npath = \"a\"", "set file"),
        ("kind = \"haproxy\"\nsocket = \"/s\"\npath = \"/a; quit\"", "as commands"),
        ("kind = \"nginx\"\npath = \"/a\"\nconfig = \"c\"", "config"),
        ("kind = \"acm\"\nregion = \"eu-west-1\"", "set arn, or tag"),
        ("kind = \"acm\"\ntag = \"a\"", "set region"),
        ("kind = \"acm\"\ntag = \"a\"\nregion = \"a.b/c\"", "like eu-west-1"),
        ("kind = \"acm\"\ntag = \"a;b\"\nregion = \"eu-west-1\"", "letters, digits"),
        ("kind = \"acm\"\narn = \"arn:aws:iam::1:server-certificate/a\"", "arn:aws:acm:REGION"),
        (
            "kind = \"acm\"\narn = \"arn:aws:acm:eu-west-1:1:certificate/a\"\nreplace = true",
            "set tag instead",
        ),
        (
            "kind = \"acm\"\narn = \"arn:aws:acm:eu-west-1:1:certificate/a\"\nregion = \"us-east-1\"",
            "remove it",
        ),
        (
            "kind = \"acm\"\ntag = \"a\"\nregion = \"eu-west-1\"\nendpoint = \"http://acm.test\"",
            "https://",
        ),
        ("kind = \"postgresql\"\npath = \"/a\"", "set data_directory"),
        (
            "kind = \"postgresql\"\npath = \"/a\"\ndata_directory = \"/d\"\nreload = [\"r\"]",
            "remove one",
        ),
    ] {
        let spec: Spec = toml::from_str(&format!("name = \"a\"\n{table}")).expect(table);
        let error = spec.check().expect_err(table);
        assert!(error.contains(hint), "{table}: {error}");
    }
    let table = "name = \"a\"\nkind = \"files\"\npath = \"/k\"\nmode = \"0777\"";
    assert!(toml::from_str::<Spec>(table).expect_err("executable").to_string().contains("0640"));
}

#[test]
fn what_is_spoken_before_tls_suits_the_kind_unless_it_is_said() {
    let starttls = |kind: &str, more: &str| {
        let table = format!("name = \"a\"\nkind = {kind:?}\npath = \"/a\"\n{more}");
        toml::from_str::<Spec>(&table).expect("read").starttls()
    };
    for (kind, spoken) in [
        ("nginx", None),
        ("postgresql", Some(StartTls::Postgres)),
        ("mariadb", Some(StartTls::Mysql)),
        ("postfix", Some(StartTls::Smtp)),
        ("dovecot", Some(StartTls::Imap)),
    ] {
        assert_eq!(starttls(kind, ""), spoken, "{kind}");
        assert_eq!(starttls(kind, "starttls = \"pop3\""), Some(StartTls::Pop3), "{kind}");
    }
}

#[test]
fn windows_suit_the_kind() {
    let seconds = TABLES.map(|table| {
        let mut spec: Spec = toml::from_str(table).expect(table);
        spec.window = None;
        (spec.window().as_secs(), matches!(spec.kind, Kind::Haproxy(_)))
    });
    assert!(seconds.iter().all(|(seconds, socket)| (*seconds == 5) == *socket));
    let mut spec: Spec = toml::from_str(TABLES[0]).expect("read");
    spec.window = Some(SignedDuration::from_mins(3));
    assert_eq!(spec.window().as_secs(), 180);
}

/// One of each kind, with every field.
const TABLES: [&str; 11] = [
    r#"name = "a"
kind = "files"
probe = ["10.0.0.5:443", "[::1]:8443", "shop.example.com:443"]
sni = "shop.example.com"
starttls = "smtp"
matches = 7
over = "2s"
window = "1m"
directory = "/etc/tls/shop"
path = "/etc/tls/shop.crt"
key_path = "/etc/tls/shop.key"
chain_path = "/etc/tls/shop.chain"
owner = "www-data"
group = "ssl-cert"
mode = "0640"
formats = ["pkcs12", "jks"]
keystore_password_file = "/etc/tls/password"
reload = ["systemctl", "reload", "shop"]
timeout = "10s"
"#,
    r#"name = "b"
kind = "exec"
command = ["/etc/hooks/deploy", "--now"]
directory = "/etc/live/shop"
timeout = "2m"
environment = { HOOK_MODE = "fast" }
"#,
    r#"name = "c"
kind = "nginx"
directory = "/etc/tls/shop"
binary = "/opt/nginx/sbin/nginx"
config = "/etc/nginx/nginx.conf"
prefix = "/etc/nginx"
pid_file = "/run/nginx.pid"
timeout = "10s"
"#,
    r#"name = "d"
kind = "apache"
path = "/etc/tls/shop.crt"
key_path = "/etc/tls/shop.key"
binary = "apache2"
config = "/etc/apache2/apache2.conf"
pid_file = "/run/apache2.pid"
timeout = "10s"
"#,
    r#"name = "e"
kind = "haproxy"
socket = "/run/haproxy/admin.sock"
path = "certs/shop.pem"
file = "/etc/haproxy/certs/shop.pem"
owner = "haproxy"
group = "haproxy"
mode = "0600"
crt_list = "/etc/haproxy/list"
bufsize = 32768
master_socket = "/run/haproxy/master.sock"
timeout = "10s"
"#,
    r#"name = "f"
kind = "postgresql"
directory = "/etc/postgresql/tls"
data_directory = "/var/lib/postgresql/15/main"
timeout = "10s"
"#,
    r#"name = "g"
kind = "mariadb"
directory = "/etc/mysql/tls"
binary = "mysql"
defaults_file = "/etc/perennial/mysql.cnf"
timeout = "10s"
"#,
    r#"name = "h"
kind = "postfix"
path = "/etc/postfix/shop.pem"
binary = "/usr/sbin/postfix"
config = "/etc/postfix-edge"
timeout = "10s"
"#,
    r#"name = "i"
kind = "dovecot"
directory = "/etc/dovecot/tls"
binary = "/usr/bin/doveadm"
config = "/etc/dovecot/edge.conf"
timeout = "10s"
"#,
    r#"name = "j"
kind = "acm"
arn = "arn:aws-cn:acm:cn-north-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"
credentials_file = "/etc/perennial/aws"
profile = "edge"
timeout = "10s"
"#,
    r#"name = "k"
kind = "acm"
tag = "shop edge"
replace = true
region = "eu-west-1"
endpoint = "https://vpce-1.acm.eu-west-1.vpce.amazonaws.com"
"#,
];
