//! Authorities and the certificates they issue, seen from outside: what is granted, what is refused,
//! and that `openssl` agrees.

mod bench;

use bench::{ALGORITHMS, Bench, NOW, day, id, ids, serial, spec};
use ca::issue::{self, Fault};
use ca::profile::{ExtendedKeyUsage, KeyFamily, KeyPolicy};
use ca::{BlockedKeys, Certificate, IssueError, KeyAlgorithm, NameConstraints, Profile, Signer};
use jiff::{SignedDuration, Timestamp};

#[test]
fn openssl_verifies_a_chain_of_every_algorithm() {
    for algorithm in ALGORITHMS {
        let bench = Bench::new(algorithm, NameConstraints::default());
        for leaf_algorithm in ALGORITHMS {
            let key = bench::key(leaf_algorithm);
            let names = ids(&["www.example.com", "*.example.com", "192.0.2.1", "2001:db8::1"]);
            let leaf = bench.issue(&Profile::tls_server(), key.public_key(), &names);
            for (flag, name) in [
                ("-verify_hostname", "www.example.com"),
                ("-verify_hostname", "any.example.com"),
                ("-verify_ip", "192.0.2.1"),
                ("-verify_ip", "2001:db8::1"),
            ] {
                bench.openssl_verifies(&leaf, &["-purpose", "sslserver", flag, name]);
            }
        }
    }
}

#[test]
fn a_leaf_says_what_rfc_5280_wants() {
    let bench = Bench::p256();
    let key = bench::key(KeyAlgorithm::EcdsaP256);
    let leaf = bench.issue(&Profile::tls_server(), key.public_key(), &ids(&["a.example.com"]));
    let text = bench::openssl_text(&leaf);
    for expected in [
        "Version: 3 (0x2)",
        "Subject: \n",
        "X509v3 Subject Alternative Name: critical",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
        "TLS Web Server Authentication\n",
        "URI:http://pki.example.com/issuing.crl",
        "CA Issuers - URI:http://pki.example.com/issuing.crt",
        "OCSP - URI:http://pki.example.com/ocsp",
    ] {
        assert!(text.contains(expected), "{expected:?} is missing from\n{text}");
    }
    assert!(!text.contains("Basic Constraints"), "{text}");
    assert_eq!(leaf.authority_key_id(), bench.issuing.certificate().subject_key_id());
    assert_eq!(leaf.subject_key_id(), Some(&key.public_key().key_id()[..]));
}

#[test]
fn rsa_servers_may_decipher_and_others_may_not() {
    let bench = Bench::p256();
    let rsa = bench::key(KeyAlgorithm::Rsa { bits: 2048 });
    let names = ids(&["a.example.com"]);
    let server = bench.issue(&Profile::tls_server(), rsa.public_key(), &names);
    assert!(bench::openssl_text(&server).contains("Digital Signature, Key Encipherment\n"));
    let client = bench.issue(&Profile::tls_client(), rsa.public_key(), &names);
    assert!(!bench::openssl_text(&client).contains("Key Encipherment"));
    bench.openssl_verifies(&client, &["-purpose", "sslclient"]);
}

#[test]
fn the_common_name_is_the_first_dns_name_that_fits() {
    let bench = Bench::p256();
    let profile = Profile { common_name: true, ..Profile::tls_server() };
    let key = bench::key(KeyAlgorithm::EcdsaP256);
    let long = format!("{}.example.com", "a".repeat(60));
    let leaf = bench.issue(&profile, key.public_key(), &ids(&["10.0.0.1", &long, "b.example.com"]));
    assert_eq!(leaf.subject(), "CN=b.example.com");
    assert!(!bench::openssl_text(&leaf).contains("Alternative Name: critical"));
    let leaf = bench.issue(&profile, key.public_key(), &ids(&["10.0.0.1", &long]));
    assert_eq!(leaf.subject(), "");
    assert!(bench::openssl_text(&leaf).contains("Alternative Name: critical"));
}

#[test]
fn ninety_days_are_ninety_days_to_the_second() {
    let bench = Bench::p256();
    let key = bench::key(KeyAlgorithm::EcdsaP256);
    let leaf = bench.issue(&Profile::tls_server(), key.public_key(), &ids(&["a.example.com"]));
    assert_eq!(leaf.not_before(), NOW - SignedDuration::from_hours(1));
    assert_eq!(leaf.not_after().as_second() - leaf.not_before().as_second() + 1, 90 * 86_400);
}

#[test]
fn requested_dates_are_honoured_within_limits_and_refused_beyond() {
    let bench = Bench::p256();
    let at = |from, to| bench.dated(&Profile::tls_server(), from, to);
    let leaf = at(Some(day(1)), Some(day(3))).expect("within the profile");
    assert_eq!((leaf.not_before(), leaf.not_after()), (day(1), day(3)));
    for (from, to) in [
        (Some(day(-1)), None),
        (Some(day(91)), None),
        (None, Some(day(0))),
        (None, Some(day(-1))),
        (None, Some(day(90))),
        (Some(day(5)), Some(day(5))),
        (Some(day(5)), Some(day(4))),
        (Some(Timestamp::MIN), None),
        (None, Some(Timestamp::MAX)),
    ] {
        let error = at(from, to).expect_err("beyond the profile");
        assert_eq!(error.fault(), Fault::Request, "{from:?} {to:?}: {error}");
    }
}

#[test]
fn nothing_outlives_its_issuer() {
    let bench = Bench::p256();
    let long =
        Profile { lifetime: SignedDuration::from_hours(24 * 10_000), ..Profile::tls_server() };
    let leaf = bench.dated(&long, None, None).expect("clamped");
    assert_eq!(leaf.not_after(), bench.issuing.certificate().not_after());
    let beyond = bench.issuing.not_after() + SignedDuration::from_secs(1);
    let error = bench.dated(&long, None, Some(beyond)).expect_err("longer than the authority");
    assert!(matches!(error, IssueError::NotAfter { .. }), "{error}");
    let late = bench.issuing.not_after() + SignedDuration::from_hours(1);
    let error = bench.prepare_at(&long, late).expect_err("the authority has expired");
    assert_eq!(error.fault(), Fault::Authority);
}

#[test]
fn names_outside_profile_or_constraints_are_refused() {
    let permitted = ["corp", "10.0.0.0/8"].map(|text| text.parse().expect("subtree")).to_vec();
    let bench = Bench::new(KeyAlgorithm::EcdsaP256, NameConstraints::only(permitted));
    let key = bench::key(KeyAlgorithm::EcdsaP256);
    let good = ids(&["corp", "a.corp", "*.a.corp", "10.1.2.3"]);
    let leaf = bench.issue(&Profile::tls_server(), key.public_key(), &good);
    bench.openssl_verifies(&leaf, &["-verify_hostname", "a.corp"]);
    for bad in ["example.com", "corp.example.com", "11.0.0.1", "2001:db8::1"] {
        let error = bench.try_issue(&Profile::tls_server(), key.public_key(), &ids(&["corp", bad]));
        assert_eq!(error.expect_err("outside"), IssueError::Constrained(id(bad)));
    }
    let profile = Profile {
        names: ca::NamePolicy {
            forbidden: vec!["db.corp".parse().expect("pattern")],
            ..Default::default()
        },
        ..Profile::tls_server()
    };
    let error = bench.try_issue(&profile, key.public_key(), &ids(&["*.corp"]));
    assert_eq!(error.expect_err("forbidden").fault(), Fault::Policy);
}

#[test]
fn constraints_of_the_root_bind_the_authorities_below() {
    let excluded = vec!["secret.corp".parse().expect("subtree")];
    let constraints = NameConstraints { permitted: Vec::new(), excluded };
    let bench = Bench::with_root_constraints(constraints);
    assert!(bench.issuing.certificate().constraints().is_empty());
    assert!(bench.issuing.permits(&id("a.corp")));
    assert!(!bench.issuing.permits(&id("a.secret.corp")));
    let key = bench::key(KeyAlgorithm::EcdsaP256);
    let refused =
        bench.try_issue(&Profile::tls_server(), key.public_key(), &ids(&["a.secret.corp"]));
    assert_eq!(refused.expect_err("excluded"), IssueError::Constrained(id("a.secret.corp")));
}

#[test]
fn keys_policy_does_not_want_are_refused() {
    let bench = Bench::p256();
    let only = |algorithm| Profile {
        keys: KeyPolicy { algorithms: vec![algorithm], rsa_min: 3072, rsa_max: 4096 },
        ..Profile::tls_server()
    };
    let names = ids(&["a.example.com"]);
    let p256 = bench::key(KeyAlgorithm::EcdsaP256);
    let rsa = bench::key(KeyAlgorithm::Rsa { bits: 2048 });
    for (profile, key) in [
        (only(KeyFamily::Rsa), p256.public_key()),
        (only(KeyFamily::P384), p256.public_key()),
        (only(KeyFamily::Rsa), rsa.public_key()),
    ] {
        let error = bench.try_issue(&profile, key, &names).expect_err("refused");
        assert_eq!(error, IssueError::KeyPolicy(key.algorithm()));
    }
    let own = bench.issuing.signer().public_key().clone();
    let error = bench.try_issue(&Profile::tls_server(), &own, &names).expect_err("refused");
    assert_eq!(error, IssueError::AuthorityKey);
    let blocked = BlockedKeys::new(vec![p256.public_key().spki_sha256()]);
    let request = bench::request(p256.public_key(), &names, &blocked);
    let error = issue::prepare(&bench.issuing, &Profile::tls_server(), &request, serial(), NOW);
    assert_eq!(error.expect_err("blocked").fault(), Fault::Request);
}

#[test]
fn must_staple_is_granted_only_where_the_profile_does() {
    let bench = Bench::p256();
    let key = bench::key(KeyAlgorithm::EcdsaP256);
    let names = ids(&["a.example.com"]);
    let blocked = BlockedKeys::default();
    let request =
        ca::Request { must_staple: true, ..bench::request(key.public_key(), &names, &blocked) };
    let prepare =
        |profile: &Profile| issue::prepare(&bench.issuing, profile, &request, serial(), NOW);
    assert_eq!(prepare(&Profile::tls_server()).expect_err("refused"), IssueError::MustStaple);
    let profile = Profile { must_staple: true, ..Profile::tls_server() };
    let prepared = prepare(&profile).expect("granted");
    let leaf = issue::sign(&bench.issuing, prepared).expect("signed");
    assert!(bench::openssl_text(&leaf).contains("TLS Feature: \n                status_request"));
}

#[test]
fn what_one_authority_prepared_another_does_not_sign() {
    let (bench, other) = (Bench::p256(), Bench::p256());
    let key = bench::key(KeyAlgorithm::EcdsaP256);
    let blocked = BlockedKeys::default();
    let names = ids(&["a.example.com"]);
    let request = bench::request(key.public_key(), &names, &blocked);
    let prepared = issue::prepare(&bench.issuing, &Profile::tls_server(), &request, serial(), NOW);
    let error = issue::sign(&other.issuing, prepared.expect("prepared")).expect_err("foreign");
    assert_eq!(error, IssueError::WrongAuthority);
}

#[test]
fn the_prepared_bytes_are_the_signed_bytes() {
    let bench = Bench::p256();
    let key = bench::key(KeyAlgorithm::Ed25519);
    let blocked = BlockedKeys::default();
    let names = ids(&["a.example.com"]);
    let request = bench::request(key.public_key(), &names, &blocked);
    let prepared = issue::prepare(&bench.issuing, &Profile::tls_peer(), &request, serial(), NOW)
        .expect("prepared");
    let tbs = prepared.tbs().to_vec();
    let leaf = issue::sign(&bench.issuing, prepared).expect("signed");
    assert_eq!(leaf.tbs(), tbs);
    assert_eq!(leaf.verify_issued_by(bench.issuing.certificate()), Ok(()));
    assert!(leaf.verify_issued_by(bench.issuing.root()).is_err());
}

#[test]
fn too_many_names_and_none_are_refused() {
    let bench = Bench::p256();
    let key = bench::key(KeyAlgorithm::EcdsaP256);
    let many: Vec<String> = (0..101).map(|n| format!("n{n}.example.com")).collect();
    let many = ids(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let error = bench.try_issue(&Profile::tls_server(), key.public_key(), &many);
    assert_eq!(error.expect_err("too many"), IssueError::TooManyNames { asked: 101, limit: 100 });
    let error = bench.try_issue(&Profile::tls_server(), key.public_key(), &[]);
    assert_eq!(error.expect_err("none"), IssueError::NoNames);
    let leaf = bench.issue(&Profile::tls_server(), key.public_key(), &many[..100]);
    assert_eq!(leaf.identifiers().len(), 100);
}

#[test]
fn path_lengths_are_honoured() {
    let bench = Bench::p256();
    let key = bench::key(KeyAlgorithm::EcdsaP256);
    // The root permits one level, which the issuing authority uses up.
    let below = |path_len| {
        ca::create_issuing(
            &bench.issuing,
            &spec("Deeper", path_len),
            key.public_key(),
            serial(),
            NOW,
        )
    };
    assert!(below(None).is_err());
    assert!(below(Some(0)).is_err());
    let beside = |path_len| {
        ca::create_issuing(&bench.root, &spec("Beside", path_len), key.public_key(), serial(), NOW)
    };
    assert_eq!(beside(None).expect("inherits").path_len(), Some(0));
    assert!(beside(Some(1)).is_err());
}

#[test]
fn a_cross_signed_authority_gives_an_alternate_chain() {
    let (bench, other) = (Bench::p256(), Bench::p256());
    let own = bench.issuing.certificate();
    let spec = ca::AuthoritySpec { subject: ca::Subject::of(own), ..spec("unused", Some(0)) };
    let key = bench.issuing.signer().public_key();
    let cross = ca::create_issuing(&other.root, &spec, key, serial(), NOW).expect("cross-signed");
    assert_eq!(cross.subject_key_id(), own.subject_key_id());
    let leaf_key = bench::key(KeyAlgorithm::EcdsaP256);
    let leaf = bench.issue(&Profile::tls_server(), leaf_key.public_key(), &ids(&["a.example.com"]));
    let issuing = bench
        .issuing_with_alternate(vec![cross.clone(), other.root.certificate().clone()])
        .expect("alternate");
    let bundles = issuing.bundles(&leaf);
    assert_eq!(bundles.len(), 2);
    let read = |text: &str| Certificate::from_pem(text).expect("PEM");
    assert_eq!(read(&bundles[0]), [leaf.clone(), own.clone()]);
    assert_eq!(read(&bundles[1]), [leaf.clone(), cross.clone()]);
    bench::openssl_verify(&leaf, &[&cross], other.root.certificate(), &[]);
}

#[test]
fn parts_that_do_not_belong_together_make_no_authority() {
    let (bench, other) = (Bench::p256(), Bench::p256());
    let stranger = std::sync::Arc::new(bench::key(KeyAlgorithm::EcdsaP256));
    let certificate = bench.issuing.certificate().clone();
    let chain = vec![bench.root.certificate().clone()];
    let new =
        |certificate, signer, chain, urls| ca::Authority::new(certificate, signer, chain, urls);
    let urls = ca::Urls::default;
    assert!(new(certificate.clone(), stranger, chain.clone(), urls()).is_err());
    let key = bench.issuing_key();
    assert!(new(certificate.clone(), key.clone(), vec![], urls()).is_err());
    let foreign = vec![other.root.certificate().clone()];
    assert!(new(certificate.clone(), key.clone(), foreign, urls()).is_err());
    for url in ["https://x/", "http://", "ldap://x", "http://bücher.example/", "http://a b/"] {
        let urls = ca::Urls { crl: vec![url.into()], ..Default::default() };
        assert!(new(certificate.clone(), key.clone(), chain.clone(), urls).is_err(), "{url}");
    }
    assert!(new(certificate, key, chain, urls()).is_ok());
}

#[test]
fn a_profile_is_read_strictly() {
    let profile: Profile = serde_json::from_str(
        r#"{"name": "short", "lifetime": "47d", "extended_key_usages": ["server-auth", "client-auth"],
            "keys": {"algorithms": ["p256", "rsa"], "rsa_min": 3072, "rsa_max": 4096},
            "names": {"permitted": ["*.corp"]}}"#,
    )
    .expect("profile");
    assert_eq!(profile.lifetime, SignedDuration::from_hours(47 * 24));
    assert_eq!(profile.backdate, SignedDuration::from_hours(1));
    assert_eq!(
        profile.extended_key_usages,
        [ExtendedKeyUsage::ServerAuth, ExtendedKeyUsage::ClientAuth]
    );
    assert!(serde_json::from_str::<Profile>(r#"{"name": "x", "lifetme": "47d"}"#).is_err());
    assert_eq!(profile.validate(), Ok(()));
    for bad in [
        Profile { lifetime: SignedDuration::from_mins(30), ..Profile::tls_server() },
        Profile { extended_key_usages: vec![], ..Profile::tls_server() },
        Profile { name: String::new(), ..Profile::tls_server() },
        Profile { max_names: 0, ..Profile::tls_server() },
    ] {
        assert!(bad.validate().is_err());
    }
}
