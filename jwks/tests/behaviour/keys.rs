//! Keys of every algorithm: made, sealed, read back, signing, named by thumbprint.

use jwks::set::{Profile, Published, Served};
use jwks::{Algorithm, Jwk, PrivateKey};

#[test]
fn a_key_of_every_algorithm_signs_what_its_published_half_verifies() {
    for algorithm in Algorithm::ALL {
        let made = PrivateKey::generate(algorithm, 2048).expect("a key");
        let secret = made.secret().expect("its octets");
        let key = PrivateKey::from_secret(algorithm, secret.expose()).expect("the same key");
        assert_eq!(key.public_key(), made.public_key());
        let jwk = Jwk::new(key.public_key().clone(), algorithm, None).expect("a JWK");
        let profile =
            if algorithm.is_classical() { Profile::Classical } else { Profile::PostQuantum };
        let set = Published::new(std::slice::from_ref(&jwk), profile).expect("a set");
        let served = Served::parse(&set.body).expect("a set");
        assert!(served.serves(&jwk), "{algorithm}");
        let signature = key.sign(b"message").expect("a signature");
        assert!(served.keys[0].key.verifies(algorithm, b"message", &signature), "{algorithm}");
        assert!(!served.keys[0].key.verifies(algorithm, b"massage", &signature), "{algorithm}");
    }
}
