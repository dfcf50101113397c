//! How keys are named.

use jwks::{Algorithm, Kid, Naming, PrivateKey};

use crate::start;

fn named(naming: Naming, random: [u8; 16], taken: &[&str]) -> String {
    let key = PrivateKey::generate(Algorithm::Es256, 2048).expect("a key");
    let is_taken = |kid: &Kid| taken.contains(&kid.as_str());
    naming.name(key.public_key(), start(), random, is_taken).to_string()
}

#[test]
fn a_name_has_the_form_that_is_declared() {
    let random = [0xff; 16];
    assert_eq!(named(Naming::Uuid, random, &[]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    let day = named(Naming::Date, random, &[]);
    assert_eq!(day, start().to_string()[..10]);
    assert_eq!(named(Naming::Date, random, &[&day]), format!("{day}-2"));
    let second = format!("{day}-2");
    assert_eq!(named(Naming::Date, random, &[&day, &second]), format!("{day}-3"));
    for naming in [Naming::Thumbprint, Naming::Spki] {
        let (one, other) = (named(naming, random, &[]), named(naming, random, &[]));
        assert_eq!(one.len(), 43, "SHA-256 in base64url");
        assert_ne!(one, other);
    }
}

#[test]
fn words_are_as_they_are_declared() {
    for (word, naming) in [
        ("\"thumbprint\"", Naming::Thumbprint),
        ("\"spki\"", Naming::Spki),
        ("\"uuid\"", Naming::Uuid),
        ("\"date\"", Naming::Date),
    ] {
        assert_eq!(serde_json::from_str::<Naming>(word).expect("a word"), naming);
    }
    assert!(serde_json::from_str::<Naming>("\"Spki\"").is_err());
}
