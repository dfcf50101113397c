//! Declarations of CAs outside: what is understood, and what is refused with what remedy.

use super::super::dns::services;
use super::super::spec::AcmeSpec;
use super::knot::private;
use super::scene::home;

const WHOLE: &str = r#"
name = "letsencrypt"
directory = "https://acme-v02.api.letsencrypt.org/directory"
contact = ["mailto:pki@example.com"]
terms_agreed = true
profile = "tlsserver"
preferred_chain = "ISRG Root X1"
limits = "100/3h"
order_timeout = "5m"
[external_account]
kid = "k"
hmac_file = "/etc/perennial/hmac"
[challenge]
kind = "dns-01"
propagation = "2m"
[challenge.lookup]
resolvers = ["192.0.2.53:53"]
[challenge.provider]
kind = "rfc2136"
server = "192.0.2.1:53"
key_name = "acme"
algorithm = "hmac-sha512"
secret_file = "/etc/perennial/tsig"
zone = "example.com"
"#;

#[test]
fn a_declaration_reads_back_as_it_was_written() {
    let spec: AcmeSpec = toml::from_str(WHOLE).expect("a declaration");
    spec.check().expect("it is good");
    let again = toml::to_string(&spec).expect("TOML");
    assert_eq!(toml::from_str::<AcmeSpec>(&again).expect("a declaration"), spec);
    let least = "name = 'a'\ndirectory = 'https://ca.example/dir'";
    let spec: AcmeSpec = toml::from_str(least).expect("a declaration");
    let again = toml::to_string(&spec).expect("TOML");
    assert_eq!(toml::from_str::<AcmeSpec>(&again).expect("a declaration"), spec);
}

#[test]
fn what_is_unknown_or_unsafe_is_refused() {
    for (from, to) in [
        ("terms_agreed", "terms_aggreed"),
        ("zone = ", "zoen = "),
        ("resolvers = ", "resolver = "),
        ("kind = \"dns-01\"", "kind = \"dns-02\""),
    ] {
        let text = WHOLE.replace(from, to);
        assert!(toml::from_str::<AcmeSpec>(&text).is_err(), "{to} was understood");
    }
    for (from, to, remedy) in [
        ("https://acme-v02.api.letsencrypt.org", "http://ca.example", "https://"),
        ("https://acme-v02", "https://me:secret@acme-v02", "take them out"),
        ("mailto:pki@example.com", "pki@example.com", "mailto:"),
        ("order_timeout = \"5m\"", "order_timeout = \"5s\"", "between"),
        ("propagation = \"2m\"", "propagation = \"2d\"", "at most 6h"),
    ] {
        let spec: AcmeSpec = toml::from_str(&WHOLE.replace(from, to)).expect("a declaration");
        let refusal = spec.check().expect_err(to);
        assert!(refusal.contains(remedy) && !refusal.contains("secret"), "{refusal}");
    }
}

#[test]
fn a_dns_service_names_the_credential_it_lacks_and_quotes_none() {
    let file = home().join("credentials");
    for name in services() {
        private(&file, "hidden = 'QUOTED'");
        let refusal = super::super::dns::check_service(name, &file).expect_err(name).to_string();
        assert!(refusal.contains("wants") && !refusal.contains("QUOTED"), "{refusal}");
    }
    private(&file, "token = QUOTED");
    let refusal = super::super::dns::check_service("cloudflare", &file).expect_err("no TOML");
    assert!(!refusal.to_string().contains("QUOTED"), "{refusal}");
    private(&file, "token = 'QUOTED'");
    super::super::dns::check_service("cloudflare", &file).expect("all it wants");
    let refusal = super::super::dns::check_service("nobody", &file).expect_err("unknown");
    assert!(refusal.to_string().contains("cloudflare"), "{refusal}");
}
