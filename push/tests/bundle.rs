//! Bundles: what belongs together becomes one, and nothing else.

use ca::KeyAlgorithm::{EcdsaP256, EcdsaP384, Ed25519, Rsa};
use jiff::{SignedDuration, Timestamp};
use push::{Bundle, BundleError};

use crate::scene::{Issuer, generate, identifiers};

#[test]
fn the_root_is_dropped_and_the_rest_is_in_order() {
    let issuer = Issuer::new();
    let bundle = issuer.bundle(&["shop.test", "192.0.2.1"]);
    assert_eq!(bundle.chain().len(), 1);
    let read = ca::Certificate::from_pem(&bundle.fullchain_pem()).expect("PEM");
    assert_eq!(read, [bundle.leaf().clone(), bundle.chain()[0].clone()]);
    assert_eq!(ca::Certificate::from_pem(&bundle.chain_pem()).expect("PEM"), bundle.chain());
    assert_eq!(bundle.names().len(), 2);
}

#[test]
fn keys_of_every_kind_make_a_bundle_whose_texts_have_no_blank_lines() {
    let issuer = Issuer::new();
    for algorithm in [EcdsaP256, EcdsaP384, Ed25519, Rsa { bits: 2048 }] {
        let bundle = issuer.bundle_of(algorithm, &["shop.test"]);
        let combined = bundle.combined_pem().expect("a key");
        assert!(combined.lines().all(|line| !line.is_empty() && line.len() <= 64), "{algorithm}");
        assert_eq!(combined.matches("-----BEGIN CERTIFICATE-----").count(), 2);
        assert_eq!(combined.matches("-----BEGIN PRIVATE KEY-----").count(), 1);
        assert!(combined.starts_with(&bundle.cert_pem()) && combined.ends_with("KEY-----\n"));
        let first = bundle.key_first_pem().expect("a key");
        let key = bundle.key_pem().expect("a key");
        assert_eq!(first.strip_prefix(key.as_str()), Some(bundle.fullchain_pem().as_str()));
    }
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let issuer = Issuer::new();
    let (key, other) = (generate(EcdsaP256), generate(EcdsaP256));
    let names = identifiers(&["shop.test"]);
    let chain = issuer.certificates(&key, &names);
    let other = other.pkcs8().expect("exported");
    let covered = names.into_iter().collect();
    let refused = Bundle::new(chain.clone(), Some(other), &covered, Timestamp::now());
    assert_eq!(refused.expect_err("refused"), BundleError::Key("shop.test".to_owned()));
    let garbage = zeroize::Zeroizing::new(b"secret material".to_vec());
    let refused =
        Bundle::new(chain, Some(garbage), &covered, Timestamp::now()).expect_err("refused");
    assert!(
        matches!(refused, BundleError::UnreadableKey(_))
            && !format!("{refused:?}").contains("secret")
    );
}

#[test]
fn a_chain_with_a_gap_in_the_wrong_order_or_of_strangers_is_refused() {
    let (issuer, stranger) = (Issuer::new(), Issuer::new());
    let key = generate(EcdsaP256);
    let names = identifiers(&["shop.test"]);
    let chain = issuer.certificates(&key, &names);
    let foreign = stranger.certificates(&key, &names);
    let [leaf, issuing, root] = &chain[..] else { panic!("three certificates") };
    let attempt = |certificates: &[&ca::Certificate]| {
        let certificates = certificates.iter().map(|one| (*one).clone()).collect();
        let key = key.pkcs8().expect("exported");
        Bundle::new(certificates, Some(key), &names.iter().cloned().collect(), Timestamp::now())
    };
    assert!(attempt(&[leaf, issuing, root]).is_ok());
    assert!(attempt(&[leaf, issuing]).is_ok());
    for wrong in [&[leaf, root][..], &[leaf, root, issuing], &[leaf, &foreign[1]]] {
        assert!(matches!(attempt(wrong), Err(BundleError::Chain { .. })), "{wrong:?}");
    }
    assert!(matches!(attempt(&[leaf, leaf]), Err(BundleError::NotAuthority(_))));
    assert!(matches!(attempt(&[issuing, root]), Err(BundleError::Authority(_))));
    assert!(matches!(attempt(&[]), Err(BundleError::Empty)));
}

#[test]
fn names_must_be_covered_and_a_wildcard_covers_one_label() {
    let issuer = Issuer::new();
    let key = generate(EcdsaP256);
    let chain = issuer.certificates(&key, &identifiers(&["*.shop.test", "192.0.2.1"]));
    let attempt = |name: &str| {
        let key = Some(key.pkcs8().expect("exported"));
        Bundle::new(
            chain.clone(),
            key,
            &identifiers(&[name]).into_iter().collect(),
            Timestamp::now(),
        )
    };
    for name in ["a.shop.test", "*.shop.test", "192.0.2.1"] {
        assert!(attempt(name).is_ok(), "{name}");
    }
    for name in ["shop.test", "a.b.shop.test", "*.b.shop.test", "192.0.2.2", "xshop.test"] {
        assert_eq!(attempt(name).expect_err(name), BundleError::Names(name.to_owned()));
    }
}

#[test]
fn dates_count_to_the_last_second() {
    let issuer = Issuer::new();
    let key = generate(EcdsaP256);
    let names = identifiers(&["shop.test"]);
    let chain = issuer.certificates(&key, &names);
    let (from, to) = (chain[0].not_before(), chain[0].not_after());
    let second = SignedDuration::from_secs(1);
    let attempt = |now: Timestamp| {
        let key = Some(key.pkcs8().expect("exported"));
        Bundle::new(chain.clone(), key, &names.iter().cloned().collect(), now)
    };
    assert!(attempt(from).is_ok() && attempt(to).is_ok());
    assert!(matches!(attempt(from - second), Err(BundleError::NotYet { .. })));
    assert!(matches!(attempt(to + second), Err(BundleError::Expired { .. })));
}

#[test]
fn nothing_shows_the_key() {
    let bundle = Issuer::new().bundle(&["shop.test"]);
    let key = bundle.key_pem().expect("a key");
    let second_line = key.lines().nth(1).expect("a line");
    assert!(!format!("{bundle:?}").contains(second_line));
    assert!(format!("{bundle:?}").len() < 600);
}
