//! Public keys: which are read, which are refused, and why.

mod bench;

use bench::{body, hex, openssl, public};
use ca::key::BadKey;
use ca::weak::{self, WeakKey};
use ca::{BlockedKeys, KeyAlgorithm, MemorySigner, PublicKey, SignatureAlgorithm, Signer};
use der::Encode;
use der::asn1::{Any, BitString, ObjectIdentifier, UintRef};
use proptest::prelude::*;

#[test]
fn weak_rsa_keys_are_refused_each_for_its_reason() {
    let good = bench::key(KeyAlgorithm::Rsa { bits: 2048 });
    assert_eq!(weak::check_numbers(good.public_key()), Ok(()));
    let modulus = modulus(good.public_key());
    let check = |modulus: &[u8], exponent: &[u8]| weak::check_numbers(&rsa(modulus, exponent));
    for exponent in [&[3][..], &[1], &[0xff, 0xff], &[1, 0, 0], &[1, 0, 2], &[0x7f; 33]] {
        assert_eq!(check(&modulus, exponent), Err(WeakKey::Exponent), "{exponent:?}");
    }
    for exponent in [&[1, 0, 1][..], &[1, 0, 3], &[1, 0, 0, 1], &[0xff; 32]] {
        assert_eq!(check(&modulus, exponent), Ok(()), "{exponent:?}");
    }
    let mut even = modulus;
    even[255] &= 0xfe;
    assert_eq!(check(&even, F4), Err(WeakKey::SmallFactor(2)));
    assert_eq!(check(&multiple_of_751(), F4), Err(WeakKey::SmallFactor(751)));
    assert_eq!(check(&hex(ROCA), F4), Err(WeakKey::Roca));
    assert_eq!(check(&hex(ADJACENT), F4), Err(WeakKey::ClosePrimes));
    assert_eq!(check(&hex(CLOSE), F4), Err(WeakKey::ClosePrimes));
    let square = openssl(&["prime", "-generate", "-bits", "1024", "-hex"], b"");
    assert_eq!(check(&squared(&hex(square.trim())), F4), Err(WeakKey::ClosePrimes));
}

#[test]
fn rsa_sizes_out_of_bounds_are_refused() {
    let sized = |octets: usize| {
        let mut modulus = vec![0xc1; octets];
        modulus[octets - 1] = 1;
        PublicKey::from_spki(&rsa_spki(&modulus, F4))
    };
    assert_eq!(sized(128).expect_err("1024 bits"), BadKey::RsaSize(1024));
    assert_eq!(sized(1032).expect_err("8256 bits"), BadKey::RsaSize(8256));
    assert_eq!(sized(1024).expect("8192").algorithm(), KeyAlgorithm::Rsa { bits: 8192 });
    let odd = PublicKey::from_spki(&rsa_spki(&hex(ODD_SIZE), F4));
    assert_eq!(odd.expect_err("2047 bits"), BadKey::RsaSize(2047));
    let mut odd = hex(ODD_SIZE);
    odd.push(1);
    assert_eq!(weak::check_numbers(&rsa(&odd, F4)), Err(WeakKey::ModulusSize));
}

#[test]
fn generated_rsa_keys_are_never_taken_for_weak() {
    for _ in 0..8 {
        let key = bench::key(KeyAlgorithm::Rsa { bits: 2048 });
        assert_eq!(weak::check(key.public_key(), &BlockedKeys::default()), Ok(()));
    }
}

#[test]
fn points_must_be_uncompressed_and_on_their_curve() {
    for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384] {
        let spki = bench::key(algorithm).public_key().spki().to_vec();
        let mut off = spki.clone();
        *off.last_mut().expect("byte") ^= 1;
        assert_eq!(PublicKey::from_spki(&off).expect_err("off-curve"), BadKey::Point);
        let octets = if algorithm == KeyAlgorithm::EcdsaP256 { 65 } else { 97 };
        let at = spki.len() - octets;
        for form in [0, 2, 3, 6, 7] {
            let mut other = spki.clone();
            other[at] = form;
            assert_eq!(PublicKey::from_spki(&other).expect_err("form"), BadKey::Point);
        }
    }
    let key = bench::key(KeyAlgorithm::EcdsaP256).pkcs8().expect("PKCS #8");
    let compressed = ["ec", "-inform", "DER", "-pubout", "-conv_form", "compressed"];
    let spki = body(&openssl(&compressed, &key));
    assert_eq!(PublicKey::from_spki(&spki).expect_err("compressed"), BadKey::Point);
}

#[test]
fn other_curves_and_algorithms_are_refused() {
    for curve in ["P-521", "secp256k1"] {
        let option = format!("ec_paramgen_curve:{curve}");
        let key = openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", &option], b"");
        let error = PublicKey::from_spki(&public(&key)).expect_err(curve);
        assert!(matches!(error, BadKey::Parameters(_)), "{error}");
    }
    let explicit = openssl(
        &[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-pkeyopt",
            "ec_param_enc:explicit",
        ],
        b"",
    );
    assert!(PublicKey::from_spki(&public(&explicit)).is_err());
    for algorithm in ["X25519", "ED448"] {
        let key = openssl(&["genpkey", "-algorithm", algorithm], b"");
        let error = PublicKey::from_spki(&public(&key)).expect_err(algorithm);
        assert!(matches!(error, BadKey::Algorithm(_)), "{error}");
    }
}

#[test]
fn edwards_points_of_low_order_or_odd_form_are_refused() {
    let good = bench::key(KeyAlgorithm::Ed25519).public_key().spki().to_vec();
    let at = good.len() - 32;
    let with = |point: &str, sign: u8| {
        let mut spki = good.clone();
        spki[at..].copy_from_slice(&hex(point));
        spki[at + 31] |= sign;
        PublicKey::from_spki(&spki)
    };
    for point in [
        // The eight points of order 1, 2, 4 and 8, by their y.
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        // p and p + 1: zero and one in another form; 2^255 - 1.
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ] {
        for sign in [0, 0x80] {
            assert_eq!(with(point, sign).expect_err(point), BadKey::LowOrder);
        }
    }
}

#[test]
fn a_private_key_survives_pkcs8_and_shows_nothing() {
    for algorithm in bench::ALGORITHMS {
        let key = MemorySigner::generate(algorithm).expect("key");
        assert_eq!(key.public_key().algorithm(), algorithm);
        let pkcs8 = key.pkcs8().expect("PKCS #8");
        let again = MemorySigner::from_pkcs8(&pkcs8).expect("read back");
        assert_eq!(again.public_key(), key.public_key());
        let signature = again.sign(b"message").expect("signed");
        let verify =
            |message: &[u8]| key.public_key().verify(algorithm.signature(), message, &signature);
        assert_eq!(verify(b"message"), Ok(()));
        assert!(verify(b"another").is_err());
        assert!(format!("{key:?}").len() < 120, "{key:?}");
    }
    assert!(MemorySigner::from_pkcs8(b"nonsense").is_err());
    assert!(MemorySigner::generate(KeyAlgorithm::Rsa { bits: 2047 }).is_err());
}

#[test]
fn the_encoding_must_be_der_to_the_last_octet() {
    let good = bench::key(KeyAlgorithm::EcdsaP256).public_key().spki().to_vec();
    let mut trailing = good.clone();
    trailing.push(0);
    assert!(PublicKey::from_spki(&trailing).is_err());
    // The same with a length in its long form: BER, but not DER.
    let mut long = vec![0x30, 0x81];
    long.extend_from_slice(&good[1..]);
    assert!(PublicKey::from_spki(&long).is_err());
    assert_eq!(PublicKey::from_spki(&[0; 5000]).expect_err("large"), BadKey::TooLarge);
}

#[test]
fn the_key_identifier_is_rfc_7093_method_1() {
    let key = bench::key(KeyAlgorithm::EcdsaP256);
    let point = &key.public_key().spki()[26..];
    let hash = openssl(&["dgst", "-sha256", "-r"], point);
    let id = data_encoding::HEXLOWER.encode(&key.public_key().key_id());
    assert_eq!(id, hash[..40]);
}

#[test]
fn blocked_keys_are_read_from_text() {
    let key = bench::key(KeyAlgorithm::EcdsaP256);
    let hash = data_encoding::HEXUPPER.encode(&key.public_key().spki_sha256());
    let other = "00".repeat(32);
    let text = format!("# compromised\n\n{hash}  # leaked in a repository\n{other}\n{other}\n");
    let blocked = BlockedKeys::parse(&text).expect("list");
    assert_eq!(blocked.len(), 2);
    assert_eq!(weak::check(key.public_key(), &blocked), Err(WeakKey::Blocked));
    let fine = bench::key(KeyAlgorithm::EcdsaP256);
    assert_eq!(weak::check(fine.public_key(), &blocked), Ok(()));
    assert_eq!(BlockedKeys::parse("\n# x\nabc\n").expect_err("short").line, 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_damaged_key_is_another_or_none(at in 0..10_000usize, bit in 0..8u32) {
        static GOOD: std::sync::LazyLock<MemorySigner> =
            std::sync::LazyLock::new(|| bench::key(KeyAlgorithm::Rsa { bits: 2048 }));
        let mut der = GOOD.public_key().spki().to_vec();
        let at = at % der.len();
        der[at] ^= 1 << bit;
        if let Ok(key) = PublicKey::from_spki(&der) {
            prop_assert_eq!(key.spki(), &der[..]);
            let _ = weak::check_numbers(&key);
            let _ = key.verify(SignatureAlgorithm::RsaSha256, b"x", &[0; 256]);
        }
    }
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> PublicKey {
    PublicKey::from_spki(&rsa_spki(modulus, exponent)).expect("well-formed")
}

fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let uint = |bytes| UintRef::new(bytes).expect("number").to_der().expect("DER");
    let numbers = [uint(modulus), uint(exponent)].concat();
    let key = Any::new(der::Tag::Sequence, numbers).expect("sequence").to_der().expect("DER");
    let algorithm = x509_cert::spki::AlgorithmIdentifierOwned {
        oid: ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1"),
        parameters: Some(Any::null()),
    };
    x509_cert::spki::SubjectPublicKeyInfoOwned {
        algorithm,
        subject_public_key: BitString::from_bytes(&key).expect("bits"),
    }
    .to_der()
    .expect("DER")
}

/// The 256 octets of a 2048-bit modulus, which end eight octets before the exponent does.
fn modulus(key: &PublicKey) -> Vec<u8> {
    let end = key.spki().len() - 5;
    key.spki()[end - 256..end].to_vec()
}

/// 2048 bits, divisible by 751 and by no smaller prime. `openssl` sets the two topmost bits of a
/// prime, so that the product is of 2048 bits.
fn multiple_of_751() -> Vec<u8> {
    let prime = openssl(&["prime", "-generate", "-bits", "2038", "-hex"], b"");
    multiplied(&hex(prime.trim()), &[2, 0xef])
}

fn squared(number: &[u8]) -> Vec<u8> {
    multiplied(number, number)
}

/// By hand, as at school, in base 256.
fn multiplied(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut out = vec![0u32; a.len() + b.len()];
    for (i, x) in a.iter().rev().enumerate() {
        let mut carry = 0;
        for (j, y) in b.iter().rev().enumerate() {
            let sum = out[i + j] + u32::from(*x) * u32::from(*y) + carry;
            out[i + j] = sum & 0xff;
            carry = sum >> 8;
        }
        out[i + b.len()] += carry;
    }
    let bytes = out.iter().rev().map(|digit| u8::try_from(*digit).expect("a digit"));
    bytes.skip_while(|byte| *byte == 0).collect()
}

const F4: &[u8] = &[1, 0, 1];
/// Two primes of 1024 bits of the form `k·M + (65537^a mod M)`, M the product of the first 126 primes.
const ROCA: &str = "\
    ba4bab41da9ad0a2090dce8481c3599a86850fadc9a4f94f9aa8f42c55e74802943881698ab34d8455867ce6\
    cd3b4748e8016041eaf81d39fc620771c79d4c732e2ae17173020f30414d158444c320b56571b936e8b26adf\
    16c3965373fc955daa1d4153e6ab469a5d7cf41bd103d898acc9bb07fd52f1aa93b92cb76c6bf0ffdcebde3f\
    5bd35c68c93e7a0f8f0e0820fba4d0b6bdfdcf5c00c7b9d3106f153fbefe1aa8498e454a4c050a808b804a82\
    b3494d03ab2395a770b88dedec39101c2a3d1403b1af31cdb9e57d96e3001c53b94ea4202598fe06df798ab7\
    126962ca0638769576b281571b219aa225668c63869dc905ce18d84c982f39c537f48d87";
/// A prime of 1024 bits times the next.
const ADJACENT: &str = "\
    c5b46a807d8f66446881e58fac8f987ce850438bf3b361f2f50d2af0a16b82b53bf90fd51eaac99276217c29\
    c2c1930d6c12c107a26d70020046560ba58998ad86ef28ef2cd9ed4f000d328084aa4f83749ce0aaccbd103c\
    1b6e175e16c5f6f1a9fd2b2bc563b145e497856dfdb18c0d0095c4fd519d8abcb5e7618dfd83b1202f3b6b58\
    3a6e791e51f53216d68c616fc871e40e28007a592b8be422b512974839c0ed9ef87e9cfbd9e89f57e2f66d2e\
    d34b615ce9d748537173734f8ccfd93cfd528c622ee1b49a2066bbdbc93dfa0a9ca3c4aca77c9772141b8a7d\
    a7004b9314447694b77afa528bd5ff6eeaba25f697fb0f0207847f3f1b90585f015785e9";
/// Two primes that Fermat's method finds in its 51st round.
const CLOSE: &str = "\
    c5b46a807d8f66446881e58fac8f987ce850438bf3b361f2f50d2af0a16b82b53bf90fd51eaac99276217c29\
    c2c1930d6c12c107a26d70020046560ba58998be00e5cf5cfbb36c8764ee6b7dd82d25763d6c3441a4c69a2a\
    847e00f2bb9e0b80c0a76653d045aa0e24e706f697d04f788fd633ac0b3be4385d50c1cc102bfc4aca522698\
    34d64925a57095832cbc812dffd82e30a009216bebe2ca0b4b8eba51810af66fc2415f0d58e4bf51c69c94ef\
    57540ec9108b5bcd6dfa6a487b0eef6f56c92fd5bed9136b16e9e9e52ce255fb859b16e8958c77982d2e9d5f\
    0a040ef9c62a3bcaa47d116beba8c6b6f60dbc03a28458e854cd72344d26a79a90a55195";
/// A product of two primes, of 2047 bits.
const ODD_SIZE: &str = "\
    537bec61e72503b97be7facae84c48a1324097b8573c6cd988cc2f498478afcf337665ceed5621f1b8134470\
    6a107205ebcf4e8206236a4bce9615fd310572d41e657e17e88baeb7852f44e3807020418d774141f0e1b73d\
    cfa56c3c8674298a849938d087b3afa6c0c9027e1dc29939c71c5f45b39b8852a904c034f140d3e132d44386\
    c7f3917f2348ee5485f1ee9ea72a92707384dc3bf4e0ea5d29b923522805bac72143444972a11083e2b25809\
    4914778d9b8449d10938aa3bfac985d531335a3d0e9d6ef0d74d14d84d60b0b2cb884157c2a1e6145ab4fe9d\
    b591f1fa6d9129d30826fdb1c944d92e627224d846e8804d081e17d74ee949cf99f9c7f7";
