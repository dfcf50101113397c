//! CRLs, seen from outside: what they say, and that `openssl` and webpki believe them.

mod bench;

use bench::{Bench, Directory, NOW, day, ids, openssl, serial};
use ca::crl::{self, BadReason, CrlError, Scope};
use ca::{Crl, KeyAlgorithm, NameConstraints, Profile, RevocationReason, Revoked, Serial};
use jiff::SignedDuration;
use webpki::{BorrowedCertRevocationList, CertRevocationList};

fn revoked(serial: Serial, reason: RevocationReason) -> Revoked {
    Revoked { serial, at: day(-1), reason }
}

fn sign(bench: &Bench, entries: &[Revoked], scope: Option<&Scope>) -> Crl {
    crl::sign(&bench.issuing, entries.iter().copied(), 7, NOW, day(7), scope).expect("signed")
}

fn scope() -> Scope {
    Scope { urls: vec!["http://pki.example.com/issuing.crl".into()], only_user_certificates: true }
}

fn text(crl: &Crl) -> String {
    openssl(&["crl", "-noout", "-text"], crl.pem().as_bytes())
}

#[test]
fn openssl_reads_the_crl_of_every_algorithm_and_checks_its_signature() {
    for algorithm in [
        KeyAlgorithm::EcdsaP256,
        KeyAlgorithm::EcdsaP384,
        KeyAlgorithm::Ed25519,
        KeyAlgorithm::Rsa { bits: 2048 },
    ] {
        let bench = Bench::new(algorithm, NameConstraints::default());
        let entries = [revoked(serial(), RevocationReason::KeyCompromise)];
        let crl = sign(&bench, &entries, Some(&scope()));
        let directory = Directory::new();
        let issuer = directory.write("issuer.pem", bench.issuing.certificate().pem());
        let list = directory.write("list.pem", crl.pem());
        openssl(&["crl", "-noout", "-verify", "-CAfile", &issuer, "-in", &list], b"");
    }
}

#[test]
fn a_crl_says_what_rfc_5280_wants() {
    let bench = Bench::p256();
    let (plain, stolen) = (serial(), serial());
    let crl = sign(
        &bench,
        &[
            revoked(plain, RevocationReason::Unspecified),
            revoked(stolen, RevocationReason::KeyCompromise),
        ],
        Some(&scope()),
    );
    let text = text(&crl);
    let upper = |serial: Serial| serial.to_string().to_uppercase();
    for expected in [
        "Version 2 (0x1)".to_owned(),
        "Last Update: Nov 20 12:00:00 2026 GMT".to_owned(),
        "Next Update: Nov 27 12:00:00 2026 GMT".to_owned(),
        "X509v3 CRL Number: \n                7\n".to_owned(),
        "X509v3 Issuing Distribution Point: critical\n".to_owned(),
        "Only User Certificates\n".to_owned(),
        "X509v3 Authority Key Identifier: \n".to_owned(),
        format!(
            "Serial Number: {}\n        Revocation Date: Nov 19 12:00:00 2026 GMT\n    Serial",
            upper(plain)
        ),
        format!(
            "Serial Number: {}\n        Revocation Date: Nov 19 12:00:00 2026 GMT\n        CRL entry extensions:\n            X509v3 CRL Reason Code: \n                Key Compromise\n",
            upper(stolen)
        ),
    ] {
        assert!(text.contains(&expected), "{expected:?} is missing from\n{text}");
    }
    assert_eq!((crl.number(), crl.entries()), (7, 2));
}

#[test]
fn an_empty_list_and_an_empty_scope_are_left_out() {
    let bench = Bench::p256();
    let nothing = Scope { urls: Vec::new(), only_user_certificates: false };
    for scope in [None, Some(&nothing)] {
        let text = text(&sign(&bench, &[], scope));
        assert!(text.contains("No Revoked Certificates."), "{text}");
        assert!(!text.contains("Issuing Distribution Point"), "{text}");
    }
}

#[test]
fn openssl_refuses_exactly_what_is_listed() {
    let bench = Bench::p256();
    let key = bench.leaf_key().clone();
    let issue = || bench.issue(&Profile::tls_server(), &key, &ids(&["a.example.com"]));
    let (good, bad) = (issue(), issue());
    let crl = sign(&bench, &[revoked(bad.serial(), RevocationReason::Superseded)], Some(&scope()));
    let directory = Directory::new();
    let list = directory.write("list.pem", crl.pem());
    let with_list = ["-crl_check", "-CRLfile", &list];
    bench.openssl_verifies(&good, &with_list);
    let own = bench.issuing.certificate();
    let message = bench::openssl_verdict(&bad, &[own], bench.root.certificate(), &with_list)
        .expect_err("revoked");
    assert!(message.contains("certificate revoked"), "{message}");
}

#[test]
fn webpki_finds_what_is_listed_among_many() {
    let bench = Bench::p256();
    let entries: Vec<Revoked> =
        (0..20_000).map(|_| revoked(serial(), RevocationReason::CessationOfOperation)).collect();
    let crl = sign(&bench, &entries, Some(&scope()));
    assert!(crl.der().len() < 20_000 * 56, "{} octets", crl.der().len());
    let read = BorrowedCertRevocationList::from_der(crl.der()).expect("a CRL");
    let read = CertRevocationList::from(read);
    let find = |serial: Serial| read.find_serial(serial.as_bytes()).expect("readable");
    assert!(find(entries[0].serial).is_some());
    assert!(find(entries[19_999].serial).is_some());
    assert!(find(serial()).is_none());
}

#[test]
fn lists_of_every_length_are_well_formed() {
    // Lengths at which the DER headers grow.
    let bench = Bench::p256();
    for count in [1, 2, 3, 4, 5, 6, 1500, 1700] {
        let entries: Vec<Revoked> =
            (0..count).map(|_| revoked(serial(), RevocationReason::Unspecified)).collect();
        let crl = sign(&bench, &entries, None);
        assert!(BorrowedCertRevocationList::from_der(crl.der()).is_ok(), "{count}");
    }
}

#[test]
fn bad_dates_and_urls_are_refused() {
    let bench = Bench::p256();
    let attempt = |next, scope: Option<&Scope>| crl::sign(&bench.issuing, [], 1, NOW, next, scope);
    assert_eq!(attempt(NOW, None).expect_err("no time"), CrlError::Dates);
    assert_eq!(
        attempt(NOW - SignedDuration::from_secs(1), None).expect_err("past"),
        CrlError::Dates
    );
    let bad = Scope { urls: vec!["https://x/".into()], only_user_certificates: false };
    assert!(matches!(attempt(day(1), Some(&bad)), Err(CrlError::Url(_))));
}

#[test]
fn acme_clients_may_give_five_reasons() {
    let accepted: Vec<u64> =
        (0..300).filter(|code| RevocationReason::for_acme(*code).is_ok()).collect();
    assert_eq!(accepted, [0, 1, 3, 4, 5]);
    let known: Vec<u64> =
        (0..300).filter(|code| RevocationReason::from_code(*code).is_ok()).collect();
    assert_eq!(known, [0, 1, 2, 3, 4, 5, 6, 9, 10]);
    for code in known {
        let reason = RevocationReason::from_code(code).expect("known");
        assert_eq!(u64::from(reason.code()), code);
        assert_eq!(reason.to_string().parse(), Ok(reason));
    }
    assert_eq!("removeFromCRL".parse::<RevocationReason>(), Err(BadReason));
}
