//! What holds of every certificate, whatever it is asked to say, and of every input, whatever it is.

mod bench;

use bench::{Bench, NOW, id};
use ca::{BlockedKeys, Certificate, Profile, PublicKey, Serial, issue};
use jiff::SignedDuration;
use proptest::prelude::*;

fn names() -> impl Strategy<Value = Vec<ca::Identifier>> {
    let dns = "(\\*\\.)?([a-z0-9]([a-z0-9]{0,8}[a-z0-9])?\\.){1,4}[a-z]{2,8}";
    let dns = dns.prop_map(|text| id(&text));
    let v4 = any::<[u8; 4]>().prop_map(|ip| ca::Identifier::Ip(ip.into()));
    let v6 = any::<[u8; 16]>().prop_map(|ip| ca::Identifier::Ip(ip.into()));
    proptest::collection::vec(prop_oneof![4 => dns, 1 => v4, 1 => v6], 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn names_serial_and_dates_survive_the_certificate(
        names in names(),
        random: [u8; 16],
        lifetime in 2..4_000 * 86_400i64,
        backdate in 0..100_000i64,
        now in 0..1_500 * 86_400i64,
    ) {
        let bench = Bench::shared();
        let profile = Profile {
            lifetime: SignedDuration::from_secs(lifetime + backdate),
            backdate: SignedDuration::from_secs(backdate),
            ..Profile::tls_server()
        };
        let now = NOW + SignedDuration::from_secs(now);
        let key = bench.leaf_key();
        let blocked = BlockedKeys::default();
        let request = bench::request(key, &names, &blocked);
        let serial = Serial::from_random(random);
        let prepared = issue::prepare(&bench.issuing, &profile, &request, serial, now);
        let leaf = issue::sign(&bench.issuing, prepared.expect("prepared")).expect("signed");
        prop_assert_eq!(leaf.identifiers(), &names.into_iter().collect());
        prop_assert_eq!(leaf.serial(), serial);
        prop_assert!(leaf.not_before() <= now && now < leaf.not_after());
        prop_assert!(leaf.not_before() >= bench.issuing.not_before());
        prop_assert!(leaf.not_after() <= bench.issuing.not_after());
        let spent = leaf.not_after().as_second() - leaf.not_before().as_second() + 1;
        prop_assert!(spent <= lifetime + backdate);
        prop_assert_eq!(ca::lint::leaf(leaf.der(), bench.issuing.certificate()), []);
    }

    #[test]
    fn nonsense_is_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(Certificate::from_der(&bytes).is_err());
        prop_assert!(PublicKey::from_spki(&bytes).is_err());
        prop_assert!(ca::Csr::parse(&bytes).is_err());
    }

    #[test]
    fn a_damaged_certificate_is_another_or_none(at in 0..10_000usize, bit in 0..8u32) {
        let bench = Bench::shared();
        let whole = bench.issuing.certificate();
        let mut der = whole.der().to_vec();
        let at = at % der.len();
        der[at] ^= 1 << bit;
        if let Ok(damaged) = Certificate::from_der(&der) {
            prop_assert!(damaged.verify_issued_by(bench.root.certificate()).is_err());
        }
        let _ = ca::lint::authority(&der, Some(bench.root.certificate()));
    }
}
