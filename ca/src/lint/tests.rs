//! Every rule is shown a certificate that breaks it, and it alone.

use jiff::{SignedDuration, Timestamp};

use super::{Finding, Throwaway, authority, leaf};
use crate::algorithm::{KeyAlgorithm, SignatureAlgorithm};
use crate::asn1;
use crate::authority::{Authority, Urls};
use crate::ceremony::{AuthoritySpec, Subject, create_root};
use crate::certificate::Certificate;
use crate::constraints::NameConstraints;
use crate::name::Identifier;
use crate::profile::ExtendedKeyUsage;
use crate::serial::Serial;
use crate::signer::{MemorySigner, Signer};
use crate::tbs::{self, Tbs, Validity};

/// The parts of a sound certificate, to be spoiled one at a time.
struct Parts {
    serial: Serial,
    inner: SignatureAlgorithm,
    issuer: Vec<u8>,
    validity: Validity,
    subject: Vec<u8>,
    key: MemorySigner,
    extensions: Vec<Vec<u8>>,
}

impl Parts {
    fn leaf(issuer: &Certificate) -> Self {
        let key = MemorySigner::generate(KeyAlgorithm::EcdsaP256).expect("key");
        let names = [id("a.corp"), id("10.0.0.1")];
        let extensions = vec![
            tbs::key_usage(tbs::DIGITAL_SIGNATURE),
            tbs::extended_key_usage(std::iter::once(ExtendedKeyUsage::ServerAuth.oid())),
            tbs::subject_key_id(&key.public_key().key_id()),
            tbs::authority_key_id(issuer.subject_key_id().expect("SKI")),
            tbs::subject_alt_name(names.iter(), true),
            tbs::crl_distribution_point(&["http://pki.corp/a.crl".into()]),
            tbs::authority_info_access(&[], &["http://pki.corp/a.crt".into()]),
        ];
        Self { extensions, ..Self::new(issuer, key, tbs::name(None, None)) }
    }

    fn authority(issuer: &Certificate) -> Self {
        let key = MemorySigner::generate(KeyAlgorithm::EcdsaP256).expect("key");
        let extensions = vec![
            tbs::basic_constraints(Some(0)),
            tbs::key_usage(tbs::KEY_CERT_SIGN | tbs::CRL_SIGN),
            tbs::subject_key_id(&key.public_key().key_id()),
            tbs::authority_key_id(issuer.subject_key_id().expect("SKI")),
        ];
        Self { extensions, ..Self::new(issuer, key, tbs::name(Some("Below"), None)) }
    }

    fn new(issuer: &Certificate, key: MemorySigner, subject: Vec<u8>) -> Self {
        Self {
            serial: Serial::from_random([9; 16]),
            inner: SignatureAlgorithm::EcdsaSha256,
            issuer: issuer.subject_der().to_vec(),
            validity: Validity { not_before: NOW, not_after: later(90) },
            subject,
            key,
            extensions: Vec::new(),
        }
    }

    fn der(&self) -> Vec<u8> {
        let tbs = Tbs {
            serial: &self.serial,
            signature: self.inner,
            issuer: &self.issuer,
            validity: self.validity,
            subject: &self.subject,
            spki: self.key.public_key().spki(),
            extensions: &self.extensions,
        };
        tbs::assemble(&tbs.to_der().expect("dates"), SignatureAlgorithm::EcdsaSha256, b"none")
    }
}

fn root(path_len: Option<u8>) -> Authority {
    let signer = MemorySigner::generate(KeyAlgorithm::EcdsaP256).expect("key");
    let permitted = ["corp", "10.0.0.0/8"].map(|text| text.parse().expect("subtree"));
    let spec = AuthoritySpec {
        subject: Subject::new("Root", None).expect("subject"),
        path_len,
        constraints: NameConstraints::only(permitted.to_vec()),
        lifetime: SignedDuration::from_hours(24 * 365),
        backdate: SignedDuration::ZERO,
        ocsp: false,
    };
    let certificate = create_root(&spec, &signer, Serial::from_random([1; 16]), NOW).expect("root");
    Authority::new(certificate, std::sync::Arc::new(signer), Vec::new(), Urls::default())
        .expect("authority")
}

fn id(text: &str) -> Identifier {
    Identifier::parse(text).expect("test name")
}

fn later(days: i64) -> Timestamp {
    NOW + SignedDuration::from_hours(24 * days)
}

fn lints(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.lint).collect()
}

fn names(texts: &[&str], critical: bool) -> Vec<u8> {
    let names: Vec<Identifier> = texts.iter().map(|text| id(text)).collect();
    tbs::subject_alt_name(names.iter(), critical)
}

const NOW: Timestamp = Timestamp::constant(1_795_176_000, 0);
const USAGE: usize = 0;
const PURPOSE: usize = 1;
const SKI: usize = 2;
const AKI: usize = 3;
const NAMES: usize = 4;
const CRL: usize = 5;
const AIA: usize = 6;

/// The name of a rule, and how to break it.
type Spoil = (&'static str, fn(&mut Parts));

#[test]
fn each_rule_for_leaves_finds_its_own_fault() {
    let root = root(Some(1));
    assert_eq!(leaf(&Parts::leaf(root.certificate()).der(), root.certificate()), []);
    let spoils: [Spoil; 31] = [
        ("serial", |p| p.serial = "7fffffffffffff".parse().expect("56 bits")),
        ("signature-algorithm", |p| p.inner = SignatureAlgorithm::EcdsaSha384),
        ("issuer-name", |p| p.issuer = tbs::name(Some("Else"), None)),
        ("validity-form", |p| p.validity.not_after = p.validity.not_before),
        ("validity-nested", |p| p.validity.not_before = later(-1)),
        ("validity-nested", |p| p.validity.not_after = later(366)),
        ("critical-known", |p| p.extensions.push(tbs::extension(tbs::TLS_FEATURE, true, b"0"))),
        ("authority-key-id", |p| p.extensions[AKI] = tbs::authority_key_id(&[1; 20])),
        ("authority-key-id", |p| drop(p.extensions.remove(AKI))),
        ("subject-key-id", |p| p.extensions[SKI] = tbs::subject_key_id(&[1; 20])),
        ("crl-points", |p| {
            p.extensions[CRL] = tbs::crl_distribution_point(&["https://a/".into()]);
        }),
        ("info-access", |p| {
            p.extensions[AIA] = tbs::authority_info_access(&["ldap://a/".into()], &[]);
        }),
        ("info-access", |p| p.extensions[AIA] = tbs::authority_info_access(&[], &[])),
        ("leaf-not-ca", |p| p.extensions.push(tbs::basic_constraints(None))),
        ("leaf-key-usage", |p| p.extensions[USAGE] = tbs::key_usage(tbs::CRL_SIGN)),
        ("leaf-key-usage", |p| p.extensions[USAGE] = tbs::key_usage(0x80 | tbs::KEY_CERT_SIGN)),
        ("leaf-key-usage", |p| p.extensions[USAGE] = tbs::key_usage(0x80 | tbs::KEY_ENCIPHERMENT)),
        ("leaf-key-usage", |p| p.extensions[USAGE] = tbs::key_usage(0x80 | 0x40)),
        ("leaf-key-usage", |p| p.extensions[USAGE] = tbs::key_usage(0x80 | 0x08)),
        ("leaf-key-usage", |p| {
            p.extensions[USAGE] = tbs::extension(tbs::KEY_USAGE, false, &[3, 2, 7, 0x80]);
        }),
        ("leaf-purpose", |p| p.extensions[PURPOSE] = tbs::extended_key_usage(std::iter::empty())),
        ("leaf-purpose", |p| {
            let any = der::asn1::ObjectIdentifier::new_unwrap("2.5.29.37.0");
            p.extensions[PURPOSE] = tbs::extended_key_usage(std::iter::once(any));
        }),
        ("alt-name", |p| p.extensions[NAMES] = names(&["a.corp"], false)),
        ("alt-name", |p| p.extensions[NAMES] = names(&[], true)),
        ("alt-name", |p| p.extensions[NAMES] = names(&["a.corp", "a.corp"], true)),
        ("alt-name", |p| {
            let name = asn1::element(asn1::context(2), &[b"A.corp"]);
            let value = asn1::element(asn1::SEQUENCE, &[&name]);
            p.extensions[NAMES] = tbs::extension(tbs::SUBJECT_ALT_NAME, true, &value);
        }),
        ("alt-name", |p| {
            let name = asn1::element(asn1::context(2), &[b"a.corp."]);
            let value = asn1::element(asn1::SEQUENCE, &[&name]);
            p.extensions[NAMES] = tbs::extension(tbs::SUBJECT_ALT_NAME, true, &value);
        }),
        ("common-name", |p| {
            p.subject = tbs::name(Some("b.corp"), None);
            p.extensions[NAMES] = names(&["a.corp"], false);
        }),
        ("leaf-no-constraints", |p| {
            let constraints = NameConstraints::only(vec!["corp".parse().expect("subtree")]);
            let value = constraints.to_der();
            p.extensions.push(tbs::extension(tbs::NAME_CONSTRAINTS, true, &value));
        }),
        ("constraints-hold", |p| p.extensions[NAMES] = names(&["a.corp", "b.com"], true)),
        ("constraints-hold", |p| p.extensions[NAMES] = names(&["11.0.0.1"], true)),
    ];
    for (rule, spoil) in spoils {
        let mut parts = Parts::leaf(root.certificate());
        spoil(&mut parts);
        let findings = leaf(&parts.der(), root.certificate());
        assert_eq!(lints(&findings), [rule], "{findings:?}");
    }
}

#[test]
fn an_extension_that_is_there_twice_makes_a_certificate_unreadable_or_is_found() {
    let root = root(Some(1));
    let mut parts = Parts::leaf(root.certificate());
    parts.extensions.push(parts.extensions[NAMES].clone());
    assert_eq!(lints(&leaf(&parts.der(), root.certificate())), ["readable"]);
    let mut parts = Parts::leaf(root.certificate());
    parts.extensions.extend([tbs::must_staple(), tbs::must_staple()]);
    assert_eq!(lints(&leaf(&parts.der(), root.certificate())), ["extensions-once"]);
    assert_eq!(lints(&leaf(b"nonsense", root.certificate())), ["readable"]);
}

#[test]
fn the_wrong_type_of_time_is_no_certificate() {
    // GeneralizedTime before 2050: written by hand, since `Tbs` would not.
    let root = root(Some(1));
    let good = Parts::leaf(root.certificate()).der();
    let utc = asn1::time(NOW).expect("date");
    let at = good.windows(utc.len()).position(|window| window == utc).expect("notBefore");
    let mut bad = good;
    bad[at] = asn1::GENERALIZED_TIME;
    assert_eq!(lints(&leaf(&bad, root.certificate())), ["readable"]);
}

#[test]
fn each_rule_for_authorities_finds_its_own_fault() {
    let root = root(Some(1));
    let sound = Parts::authority(root.certificate()).der();
    assert_eq!(authority(&sound, Some(root.certificate())), []);
    let spoils: [Spoil; 6] = [
        ("ca-key-usage", |p| p.extensions[1] = tbs::key_usage(tbs::CRL_SIGN)),
        ("ca-key-usage", |p| p.extensions[1] = tbs::key_usage(tbs::KEY_CERT_SIGN)),
        ("ca-subject", |p| p.subject = tbs::name(None, None)),
        ("ca-path-length", |p| p.extensions[0] = tbs::basic_constraints(Some(1))),
        ("ca-path-length", |p| p.extensions[0] = tbs::basic_constraints(None)),
        ("ca-constraints", |p| {
            let nothing = NameConstraints::default().to_der();
            p.extensions.push(tbs::extension(tbs::NAME_CONSTRAINTS, true, &nothing));
        }),
    ];
    for (rule, spoil) in spoils {
        let mut parts = Parts::authority(root.certificate());
        spoil(&mut parts);
        let findings = authority(&parts.der(), Some(root.certificate()));
        assert_eq!(lints(&findings), [rule], "{findings:?}");
    }
    let mut parts = Parts::authority(root.certificate());
    parts.extensions.remove(0);
    let findings = authority(&parts.der(), Some(root.certificate()));
    assert!(lints(&findings).contains(&"ca-basic-constraints"), "{findings:?}");
}

#[test]
fn webpki_is_asked_for_the_whole_path() {
    let root = root(None);
    let throwaway = Throwaway::new(root.certificate()).expect("throwaway");
    let judge = |parts: &Parts, usage, name: &str| {
        let der = parts.der();
        let tbs = Certificate::from_der(&der).expect("readable").tbs().to_vec();
        let der = throwaway.sign(&tbs).expect("signed");
        lints(&throwaway.path(&der, parts.validity, usage, &id(name)))
    };
    let good = || Parts::leaf(root.certificate());
    let server = ExtendedKeyUsage::ServerAuth;
    assert_eq!(judge(&good(), server, "a.corp"), [""; 0]);
    assert_eq!(judge(&good(), server, "10.0.0.1"), [""; 0]);
    assert_eq!(judge(&good(), server, "b.corp"), ["path"]);
    assert_eq!(judge(&good(), ExtendedKeyUsage::ClientAuth, "a.corp"), ["path"]);
    for names in [names(&["a.com"], true), names(&["a.corp", "11.0.0.1"], true)] {
        let mut parts = good();
        parts.extensions[NAMES] = names;
        assert_eq!(judge(&parts, server, "a.corp"), ["path"]);
    }
    let mut parts = good();
    parts.issuer = tbs::name(Some("Else"), None);
    assert_eq!(judge(&parts, server, "a.corp"), ["path"]);
}
