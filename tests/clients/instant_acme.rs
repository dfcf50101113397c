//! instant-acme, the library that our own ACME client is built on: all three challenges, and what
//! no other client here does: `replaces` (RFC 9773 §5), key rollover and account deactivation.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::SystemTime;

use der::Encode;
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, CertificateIdentifier, ChallengeType,
    Identifier, NewAccount, NewOrder, OrderStatus, RetryPolicy, RevocationReason,
    RevocationRequest,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::pki_types::{CertificateDer, Der};
use x509_cert::ext::pkix::AuthorityKeyIdentifier;

use crate::chain::Chain;
use crate::scene::Scene;
use crate::web;

#[tokio::test]
async fn instant_acme_http_01() {
    let scene = Scene::set("instant-acme-http");
    let tokens = scene.directory("tokens");
    web::serve_tokens(&tokens, scene.http_port);
    lives(&scene, ChallengeType::Http01, &tokens, &["instant.example.test"]).await;
}

#[tokio::test]
async fn instant_acme_dns_01_with_wildcard() {
    let scene = Scene::set("instant-acme-dns");
    let names = ["instant.example.test", "*.instant.example.test"];
    lives(&scene, ChallengeType::Dns01, Path::new(""), &names).await;
}

#[tokio::test]
async fn instant_acme_tls_alpn_01() {
    let scene = Scene::set("instant-acme-alpn");
    let certificates = scene.directory("alpn");
    web::serve_alpn(&certificates, scene.tls_port);
    lives(&scene, ChallengeType::TlsAlpn01, &certificates, &["instant.example.test"]).await;
}

#[tokio::test]
async fn instant_acme_address_by_http_01() {
    let scene = Scene::set("instant-acme-address-http");
    let tokens = scene.directory("tokens");
    web::serve_tokens(&tokens, scene.http_port);
    lives(&scene, ChallengeType::Http01, &tokens, &["127.0.0.1"]).await;
}

#[tokio::test]
async fn instant_acme_address_by_tls_alpn_01() {
    let scene = Scene::set("instant-acme-address-alpn");
    let certificates = scene.directory("alpn");
    web::serve_alpn(&certificates, scene.tls_port);
    lives(&scene, ChallengeType::TlsAlpn01, &certificates, &["127.0.0.1"]).await;
}

#[tokio::test]
async fn account_key_rollover_and_deactivation() {
    let scene = Scene::set("instant-acme-account");
    let tokens = scene.directory("tokens");
    web::serve_tokens(&tokens, scene.http_port);
    let (mut account, old_credentials) = register(&scene).await;
    let old = account.key_thumbprint().to_owned();
    let _credentials = account.update_key().await.expect("key rollover");
    assert_ne!(account.key_thumbprint(), old);
    let builder = Account::builder_with_root(&scene.server.trust).expect("a client");
    let former = builder.from_credentials(old_credentials).await.expect("credentials");
    let names = [Identifier::Dns("former.example.test".into())];
    let refused = former.new_order(&NewOrder::new(&names)).await;
    assert!(refused.is_err(), "the former key must not order");
    let place = Place { scene: &scene, kind: ChallengeType::Http01, files: &tokens };
    place.order(&account, &["rolled.example.test"], None).await;
    let names = [Identifier::Dns("gone.example.test".into())];
    account.clone().deactivate().await.expect("deactivation");
    let refused = account.new_order(&NewOrder::new(&names)).await;
    assert!(refused.is_err(), "a deactivated account must not order");
}

#[tokio::test]
async fn pending_orders_of_an_account_have_a_limit_and_finalized_ones_do_not_count() {
    let mut scene = Scene::ours("instant-acme-pending");
    let tokens = scene.directory("tokens");
    web::serve_tokens(&tokens, scene.http_port);
    let text = "[[directory]]\nname = \"default\"\nauthority = \"internal\"\n\
                profiles = [\"default\"]\nlimits.pending_orders_per_account = 2\n";
    scene.server.declare("default", text);
    let (account, _) = register(&scene).await;
    let place = Place { scene: &scene, kind: ChallengeType::Http01, files: &tokens };
    for _ in 0..3 {
        place.order(&account, &["done.example.test"], None).await;
    }
    let names = [Identifier::Dns("pending.example.test".into())];
    for _ in 0..2 {
        account.new_order(&NewOrder::new(&names)).await.expect("within the limit");
    }
    let error = account.new_order(&NewOrder::new(&names)).await.err().expect("one too many");
    assert!(error.to_string().contains("pending orders"), "{error}");
    let (other, _) = register(&scene).await;
    other.new_order(&NewOrder::new(&names)).await.expect("another account is not concerned");
}

async fn lives(scene: &Scene, kind: ChallengeType, files: &Path, names: &[&str]) {
    let (account, _) = register(scene).await;
    let place = Place { scene, kind, files };
    let first = place.order(&account, names, None).await;
    let replaces = scene.server.issuer.is_ours().then(|| identifier(&first));
    if scene.server.issuer.is_ours() {
        assert!(renews_in(&account, &first).await > 0, "no reason to renew yet");
    }
    let second = place.order(&account, names, replaces).await;
    assert_ne!(first.serial(), second.serial(), "renewal must bring another certificate");
    let leaf = CertificateDer::from(second.leaf().to_der().expect("DER"));
    let reason = Some(RevocationReason::CessationOfOperation);
    account.revoke(&RevocationRequest { certificate: &leaf, reason }).await.expect("revocation");
    second.assert_revoked(&scene.server.issuer);
    if scene.server.issuer.is_ours() {
        assert!(renews_in(&account, &second).await <= 0, "what is revoked is to be renewed now");
    }
    first.assert_not_revoked(&scene.server.issuer);
}

/// Until when the server suggests to wait with the renewal (RFC 9773), in seconds from now.
async fn renews_in(account: &Account, chain: &Chain) -> i64 {
    let (info, again) = account.renewal_info(&identifier(chain)).await.expect("renewal info");
    assert!(again.as_secs() > 0, "Retry-After");
    let [start, end] = [info.suggested_window.start, info.suggested_window.end];
    let [start, end] = [start.unix_timestamp(), end.unix_timestamp()];
    assert!(start < end && end < chain.not_after(), "{start} to {end}");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    end - i64::try_from(now.as_secs()).expect("before the end of time")
}

async fn register(scene: &Scene) -> (Account, AccountCredentials) {
    let new = NewAccount {
        contact: &["mailto:tests@example.test"],
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let builder = Account::builder_with_root(&scene.server.trust).expect("a client");
    let created = builder.create(&new, scene.server.directory.clone(), None).await;
    created.expect("an account")
}

/// How and where challenges are answered.
struct Place<'a> {
    scene: &'a Scene,
    kind: ChallengeType,
    files: &'a Path,
}

impl Place<'_> {
    async fn order(
        &self,
        account: &Account,
        names: &[&str],
        replaces: Option<CertificateIdentifier<'_>>,
    ) -> Chain {
        let identifier = |&name: &&str| match name.parse() {
            Ok(address) => Identifier::Ip(address),
            Err(_) => Identifier::Dns(name.into()),
        };
        let identifiers: Vec<_> = names.iter().map(identifier).collect();
        let mut new = NewOrder::new(&identifiers);
        if let Some(old) = replaces {
            new = new.replaces(old);
        }
        let mut order = account.new_order(&new).await.expect("an order");
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.expect("an authorization");
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let offered = authorization.challenge(self.kind.clone());
            let mut challenge = offered.expect("the challenge is offered");
            let name = challenge.identifier().identifier.clone();
            let proof = challenge.key_authorization();
            match self.kind {
                ChallengeType::Http01 => {
                    fs::write(self.files.join(&challenge.token), proof.as_str()).expect("a token");
                }
                ChallengeType::Dns01 => {
                    let Identifier::Dns(name) = name else { panic!("{name:?}") };
                    let at = format!("_acme-challenge.{name}");
                    self.scene.dns.add_txt(&at, &proof.dns_value());
                }
                _ => write_alpn(self.files, &name, proof.digest().as_ref()),
            }
            challenge.set_ready().await.expect("the challenge is taken");
        }
        let retries = RetryPolicy::default();
        let status = order.poll_ready(&retries).await.expect("an answer");
        assert_eq!(status, OrderStatus::Ready);
        order.finalize_csr(&request(names)).await.expect("finalize");
        let chain = order.poll_certificate(&retries).await.expect("a certificate");
        let pem = self.scene.directory("instant-acme").join("chain.pem");
        fs::write(&pem, chain).expect("the chain");
        Chain::check(&self.scene.server.issuer, &pem, names)
    }
}

/// A request for `names` by a key that nobody keeps.
fn request(names: &[&str]) -> Vec<u8> {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate().expect("a key");
    params.serialize_request(&key).expect("a request").der().to_vec()
}

/// The certificate that answers tls-alpn-01 (RFC 8737 §3), under the name it is asked for: that of
/// an address is its reverse mapping (RFC 8738 §6).
fn write_alpn(directory: &Path, identifier: &Identifier, digest: &[u8]) {
    let (name, subject) = match identifier {
        Identifier::Dns(name) => (name.clone(), name.clone()),
        Identifier::Ip(IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            (format!("{d}.{c}.{b}.{a}.in-addr.arpa"), address.to_string())
        }
        other => panic!("{other:?}"),
    };
    let mut params = CertificateParams::new([subject]).expect("a name");
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    let write = |kind, text| fs::write(directory.join(format!("{name}.{kind}.pem")), text);
    write("crt", certificate.pem()).expect("the certificate");
    write("key", key.serialize_pem()).expect("its key");
}

/// How ARI names a certificate (RFC 9773 §4.1).
fn identifier(chain: &Chain) -> CertificateIdentifier<'static> {
    let tbs = chain.leaf().tbs_certificate();
    let Ok(Some((_, issuer))) = tbs.get_extension::<AuthorityKeyIdentifier>() else {
        panic!("no authority key identifier")
    };
    let issuer = issuer.key_identifier.expect("a key identifier");
    let (issuer, serial) = (issuer.as_bytes(), tbs.serial_number().as_bytes());
    CertificateIdentifier::new(Der::from_slice(issuer), Der::from_slice(serial)).into_owned()
}
