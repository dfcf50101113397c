//! CRLs of other authorities: what follows from them, and which are refused. Those that no honest
//! program makes are put together here, octet by octet.

mod bench;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bench::{Bench, Directory, NOW, day, extension, ids, key, openssl, serial, spec, tlv};
use ca::crl::{self, Scope};
use ca::key::BadKey;
use ca::revocation_list::{BadList, MAX_LIST};
use ca::{
    Authority, Certificate, KeyAlgorithm, NameConstraints, Pointers, Profile, RevocationList,
    RevocationReason, Revoked, Serial, Urls,
};
use jiff::{SignedDuration, Timestamp};

const URL: &str = "http://pki.example.com/issuing.crl";

fn leaf(bench: &Bench) -> Certificate {
    let key = bench.leaf_key().clone();
    bench.issue(&Profile::tls_server(), &key, &ids(&["a.example.com"]))
}

fn revoked(serial: Serial, reason: RevocationReason) -> Revoked {
    Revoked { serial, at: day(-1), reason }
}

fn sign(bench: &Bench, entries: &[Revoked], scope: Option<&Scope>) -> Vec<u8> {
    let list = crl::sign(&bench.issuing, entries.iter().copied(), 7, NOW, day(7), scope);
    list.expect("signed").into_der()
}

fn read(bench: &Bench, der: Vec<u8>) -> Result<RevocationList, BadList> {
    RevocationList::read(der, bench.issuing.certificate(), NOW)
}

fn find(list: &RevocationList, certificate: &Certificate) -> Result<Option<Revoked>, BadList> {
    list.find(certificate, &Pointers::of(certificate).expect("pointers"))
}

/// The parts of a CRL that the tests change.
struct Draft {
    issuer: Vec<u8>,
    this_update: &'static str,
    next_update: Option<&'static str>,
    entries: Vec<u8>,
    extensions: Vec<u8>,
}

impl Draft {
    fn of(bench: &Bench) -> Self {
        Self {
            issuer: bench.issuing.certificate().subject_der().to_vec(),
            this_update: "261120120000Z",
            next_update: Some("261127120000Z"),
            entries: Vec::new(),
            extensions: Vec::new(),
        }
    }

    fn list(mut self, certificate: &Certificate, extensions: &[u8]) -> Self {
        let extensions = if extensions.is_empty() { Vec::new() } else { tlv(0x30, &[extensions]) };
        let date = tlv(0x17, &[b"261119120000Z"]);
        let entry = tlv(0x30, &[&certificate.serial().to_der(), &date, &extensions]);
        self.entries.extend(entry);
        self
    }

    fn with(mut self, extension: Vec<u8>) -> Self {
        self.extensions.extend(extension);
        self
    }

    fn sign(self, bench: &Bench) -> Vec<u8> {
        // ecdsa-with-SHA256.
        let algorithm = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
        let next = self.next_update.map(|at| tlv(0x17, &[at.as_bytes()])).unwrap_or_default();
        let list = if self.entries.is_empty() { Vec::new() } else { tlv(0x30, &[&self.entries]) };
        let extensions = match self.extensions.as_slice() {
            [] => Vec::new(),
            all => tlv(0xa0, &[&tlv(0x30, &[all])]),
        };
        let this = tlv(0x17, &[self.this_update.as_bytes()]);
        let tbs =
            tlv(0x30, &[&[2, 1, 1], algorithm, &self.issuer, &this, &next, &list, &extensions]);
        let signature = bench.issuing_key().sign(&tbs).expect("signed");
        tlv(0x30, &[&tbs, algorithm, &tlv(0x03, &[&[0], &signature])])
    }
}

#[test]
fn a_certificate_says_where_its_revocation_can_be_asked_about() {
    let bench = Bench::shared();
    let pointers = Pointers::of(&leaf(bench)).expect("pointers");
    assert_eq!(pointers.crl, [URL]);
    assert_eq!(pointers.ocsp, ["http://pki.example.com/ocsp"]);
    let root = Pointers::of(bench.root.certificate()).expect("pointers");
    assert_eq!(root, Pointers::default());
}

#[test]
fn points_for_some_reasons_or_of_others_and_other_schemes_are_passed_over() {
    let directory = Directory::new();
    let config = "[req]\ndistinguished_name = d\n[d]\n[x]\ncrlDistributionPoints = some, other, \
                  plain\nauthorityInfoAccess = OCSP;URI:ldap://a/,OCSP;URI:http://b/,\
                  caIssuers;URI:http://c/\n[some]\nfullname = URI:http://some/\nreasons = \
                  keyCompromise\n[other]\nfullname = URI:http://other/\nCRLissuer = dirName:i\n\
                  [i]\nCN = I\n[plain]\nfullname = URI:ldap://x/,URI:http://plain/,URI:https://s/\n";
    let config = directory.write("config", config);
    let pem = openssl(
        &[
            "req",
            "-new",
            "-x509",
            "-newkey",
            "ed25519",
            "-nodes",
            "-keyout",
            "/dev/null",
            "-subj",
            "/CN=a",
            "-config",
            &config,
            "-extensions",
            "x",
        ],
        b"",
    );
    let certificate = Certificate::from_pem(&pem).expect("a certificate").remove(0);
    let pointers = Pointers::of(&certificate).expect("pointers");
    assert_eq!(pointers.crl, ["http://plain/"]);
    assert_eq!(pointers.ocsp, ["http://b/"]);
}

#[test]
fn what_is_listed_is_found_with_date_and_reason_whatever_the_kind_of_key() {
    for algorithm in bench::ALGORITHMS {
        let bench = Bench::new(algorithm, NameConstraints::default());
        let (good, bad) = (leaf(&bench), leaf(&bench));
        let entries: Vec<_> = (0..500)
            .map(|_| revoked(serial(), RevocationReason::Unspecified))
            .chain([revoked(bad.serial(), RevocationReason::KeyCompromise)])
            .collect();
        let scope = Scope { urls: vec![URL.into()], only_user_certificates: true };
        for scope in [None, Some(&scope)] {
            let list = read(&bench, sign(&bench, &entries, scope)).expect("a list");
            assert_eq!((list.entries(), list.next_update()), (501, day(7)));
            let found = find(&list, &bad).expect("about it").expect("listed");
            assert_eq!(found, revoked(bad.serial(), RevocationReason::KeyCompromise));
            assert_eq!(find(&list, &good), Ok(None));
        }
        let empty = read(&bench, sign(&bench, &[], None)).expect("a list");
        assert_eq!((empty.entries(), find(&empty, &bad)), (0, Ok(None)));
    }
}

#[test]
fn a_list_that_openssl_made_is_read() {
    let directory = Directory::new();
    let path = |name: &str| directory.write(name, "");
    let (root, key, index) = (path("root.pem"), path("root.key"), path("index.txt"));
    let make = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        &key,
        "-out",
        &root,
        "-subj",
        "/CN=Other",
        "-days",
        "30",
    ];
    openssl(&make, b"");
    let issuer = Certificate::from_pem(&std::fs::read_to_string(&root).expect("a root"))
        .expect("a root")
        .remove(0);
    let config = format!(
        "[ca]\ndefault_ca = a\n[a]\ndatabase = {index}\ncrlnumber = {}\ndefault_md = sha256\n",
        directory.write("number", "01\n")
    );
    let config = directory.write("config", &config);
    let entry = |serial: &str, reason: &str| {
        format!("R\t301231235959Z\t260101000000Z{reason}\t{serial}\tunknown\t/CN=x\n")
    };
    let own = issuer.serial().to_string().to_uppercase();
    let text = entry("01", "") + &entry(&own, ",certificateHold") + &entry("00FF", ",superseded");
    directory.write("index.txt", &text);
    let list =
        ["ca", "-config", &config, "-gencrl", "-keyfile", &key, "-cert", &root, "-crldays", "9"];
    let pem = openssl(&list, b"");
    let pem = directory.write("list.pem", &pem);
    let der = directory.write("list.der", "");
    openssl(&["crl", "-in", &pem, "-outform", "DER", "-out", &der], b"");
    let der = std::fs::read(der).expect("a list");
    let list = RevocationList::read(der, &issuer, Timestamp::now()).expect("a list");
    assert_eq!(list.entries(), 3);
    // The root lists itself, which serves here: it is a certificate of its own.
    let found = list.find(&issuer, &Pointers::default()).expect("about it").expect("listed");
    assert_eq!(found.reason, RevocationReason::CertificateHold);
    assert_eq!(found.at.to_string(), "2026-01-01T00:00:00Z");
}

#[test]
fn a_list_of_another_issuer_or_with_a_wrong_signature_is_refused() {
    let bench = Bench::shared();
    let bad = leaf(bench);
    let entries = [revoked(bad.serial(), RevocationReason::Superseded)];
    let der = sign(bench, &entries, None);
    for at in 0..der.len() {
        let mut torn = der.clone();
        torn[at] ^= 1;
        assert!(read(bench, torn).is_err(), "octet {at}");
    }
    let mut torn = der.clone();
    *torn.last_mut().expect("octets") ^= 1;
    assert_eq!(read(bench, torn).err(), Some(BadList::Signature(BadKey::Signature)));
    let mut more = der.clone();
    more.push(0);
    assert!(matches!(read(bench, more), Err(BadList::Malformed(_))));

    let of_root = RevocationList::read(der.clone(), bench.root.certificate(), NOW);
    assert_eq!(of_root.err(), Some(BadList::Issuer));
    // The same name, another key.
    let namesake = Bench::p256();
    assert_eq!(read(&namesake, der.clone()).err(), Some(BadList::Signature(BadKey::Signature)));
    let list = read(bench, der).expect("a list");
    assert_eq!(find(&list, bench.issuing.certificate()), Err(BadList::Issuer));
}

#[test]
fn a_list_of_tomorrow_or_of_last_week_or_without_an_end_is_refused() {
    let bench = Bench::shared();
    let der = sign(bench, &[], None);
    let at = |now| RevocationList::read(der.clone(), bench.issuing.certificate(), now).err();
    let minutes = SignedDuration::from_mins;
    assert_eq!(at(NOW - minutes(6)), Some(BadList::NotYet(NOW)));
    assert_eq!(at(NOW - minutes(4)), None, "clocks differ");
    assert_eq!(at(day(7) + minutes(4)), None);
    assert_eq!(at(day(7) + minutes(6)), Some(BadList::Stale(day(7))));
    let endless = Draft { next_update: None, ..Draft::of(bench) }.sign(bench);
    assert_eq!(read(bench, endless).err(), Some(BadList::NoEnd));
}

#[test]
fn what_covers_a_part_only_is_refused() {
    let bench = Bench::shared();
    let point = |value: &[u8]| extension(&[0x55, 0x1d, 0x1c], true, &tlv(0x30, &[value]));
    for (extension, why) in [
        (extension(&[0x55, 0x1d, 0x1b], true, &[2, 1, 6]), "a delta CRL"),
        (point(&[0x84, 1, 0xff]), "indirect"),
        (point(&[0x83, 2, 5, 0x60]), "for some reasons only"),
        (point(&[0x85, 1, 0xff]), "for attribute certificates"),
        (point(&[0xa0, 2, 0xa1, 0]), "named relative to its issuer"),
    ] {
        let der = Draft::of(bench).with(extension).sign(bench);
        assert_eq!(read(bench, der).err(), Some(BadList::Partial(why)));
    }
    let der = Draft::of(bench).with(point(&[0x81, 1, 0xff])).with(point(&[0x81, 1, 0xff]));
    assert!(matches!(read(bench, der.sign(bench)), Err(BadList::Malformed(_))), "there twice");
}

#[test]
fn a_list_about_other_certificates_says_nothing() {
    let bench = Bench::shared();
    let leaf = leaf(bench);
    let elsewhere = Scope { urls: vec!["http://b/".into()], only_user_certificates: true };
    let list = read(bench, sign(bench, &[], Some(&elsewhere))).expect("a list");
    assert_eq!(find(&list, &leaf), Err(BadList::Elsewhere));
    let point = |value: &[u8]| extension(&[0x55, 0x1d, 0x1c], true, &tlv(0x30, &[value]));
    let authorities = Draft::of(bench).with(point(&[0x82, 1, 0xff])).sign(bench);
    let list = read(bench, authorities).expect("a list");
    assert_eq!(find(&list, &leaf), Err(BadList::Elsewhere));
    // distributionPoint: fullName: a directory name, which no certificate here points to.
    let name = tlv(0xa4, &[bench.issuing.certificate().subject_der()]);
    let named = point(&tlv(0xa0, &[&tlv(0xa0, &[&name])]));
    let list = read(bench, Draft::of(bench).with(named).sign(bench)).expect("a list");
    assert_eq!(find(&list, &leaf), Err(BadList::Elsewhere));
}

#[test]
fn critical_extensions_that_nobody_knows_make_a_list_useless() {
    let bench = Bench::shared();
    let leaf = leaf(bench);
    let unknown = |critical| extension(&[0x2a, 3], critical, &[5, 0]);
    let oid = "1.2.3".parse().expect("an oid");
    let der = Draft::of(bench).with(unknown(true)).sign(bench);
    assert_eq!(read(bench, der).err(), Some(BadList::Critical(oid)));
    let der = Draft::of(bench).list(&leaf, &unknown(true)).sign(bench);
    assert_eq!(read(bench, der).err(), Some(BadList::Critical(oid)));
    let der = Draft::of(bench).with(unknown(false)).list(&leaf, &unknown(false)).sign(bench);
    let list = read(bench, der).expect("what is not critical may be passed over");
    assert!(find(&list, &leaf).expect("about it").is_some());
    let other = extension(&[0x55, 0x1d, 0x1d], true, &[0x30, 0]);
    let der = Draft::of(bench).list(&leaf, &other).sign(bench);
    assert_eq!(read(bench, der).err(), Some(BadList::Partial("indirect")));
}

#[test]
fn a_hold_is_a_revocation_and_what_was_taken_off_is_none() {
    let bench = Bench::shared();
    let leaf = leaf(bench);
    let reason = |code| extension(&[0x55, 0x1d, 0x15], false, &[0x0a, 1, code]);
    let listed = |code| {
        let list = read(bench, Draft::of(bench).list(&leaf, &reason(code)).sign(bench));
        find(&list.expect("a list"), &leaf).expect("about it").map(|entry| entry.reason)
    };
    assert_eq!(listed(6), Some(RevocationReason::CertificateHold));
    assert_eq!(listed(9), Some(RevocationReason::PrivilegeWithdrawn));
    assert_eq!(listed(8), None);
}

#[test]
fn an_issuer_that_may_not_sign_lists_signs_none() {
    let bench = Bench::shared();
    let leaf = leaf(bench);
    // An end entity's certificate says digitalSignature; its name and key could sign all the same.
    let list = RevocationList::read(sign(bench, &[], None), &leaf, NOW);
    assert_eq!(list.err(), Some(BadList::KeyUsage));
}

#[test]
fn size_and_time_are_bounded() {
    let bench = Bench::shared();
    assert_eq!(read(bench, vec![0; MAX_LIST + 1]).err(), Some(BadList::TooLarge));
    let entries: Vec<_> =
        (0..200_000).map(|_| revoked(serial(), RevocationReason::Unspecified)).collect();
    let der = sign(bench, &entries, None);
    let length = der.len();
    let begun = Instant::now();
    let list = read(bench, der).expect("a list");
    assert_eq!(list.size(), length + 8 * entries.len());
    let leaf = leaf(bench);
    for _ in 0..10_000 {
        assert_eq!(find(&list, &leaf), Ok(None));
    }
    // Minutes, if anything were quadratic or every lookup went through the list.
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[test]
fn a_cross_signed_issuer_reads_the_same_list() {
    let bench = Bench::shared();
    let other = Arc::new(key(KeyAlgorithm::EcdsaP256));
    let root = ca::create_root(&spec("Other", Some(1)), &*other, serial(), NOW).expect("a root");
    let root = Authority::new(root, other, Vec::new(), Urls::default()).expect("a root");
    let own = bench.issuing_key();
    let spec = spec("Issuing", Some(0));
    let crossed = ca::create_issuing(&root, &spec, own.public_key(), serial(), NOW);
    let crossed = crossed.expect("cross-signed");
    assert!(RevocationList::read(sign(bench, &[], None), &crossed, NOW).is_ok());
}
