//! Certification requests: which are read, which are refused, and why.

mod bench;

use bench::{Directory, body, id, openssl, public};
use ca::csr::BadCsr;
use ca::key::BadKey;
use ca::{Csr, KeyAlgorithm, MemorySigner, Signer};
use der::asn1::{Any, BitString, Ia5String, ObjectIdentifier, OctetString, SetOfVec};
use der::{Decode, Encode};
use proptest::prelude::*;
use x509_cert::attr::Attribute;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo};

#[test]
fn requests_of_openssl_are_read() {
    let directory = Directory::new();
    let path = directory.write("key.pem", "");
    for (algorithm, option, digest) in [
        ("EC", "ec_paramgen_curve:P-256", "-sha256"),
        ("EC", "ec_paramgen_curve:P-384", "-sha512"),
        ("RSA", "rsa_keygen_bits:2048", "-sha384"),
        ("RSA", "rsa_keygen_bits:4096", "-sha256"),
        ("ED25519", "", "-sha256"),
    ] {
        let mut arguments = vec!["genpkey", "-algorithm", algorithm, "-out", &path];
        if !option.is_empty() {
            arguments.extend(["-pkeyopt", option]);
        }
        openssl(&arguments, b"");
        let pem = openssl(
            &[
                "req",
                "-new",
                "-key",
                &path,
                digest,
                "-subj",
                "/O=ignored/CN=A.example.com",
                "-addext",
                "subjectAltName=DNS:b.example.com,DNS:*.example.com,IP:192.0.2.1",
                "-addext",
                "tlsfeature=status_request",
                "-addext",
                "keyUsage=keyCertSign",
            ],
            b"",
        );
        let csr = Csr::parse(&body(&pem)).expect(algorithm);
        let expected = ["a.example.com", "b.example.com", "*.example.com", "192.0.2.1"].map(id);
        assert_eq!(csr.identifiers(), &expected.into_iter().collect());
        assert!(csr.must_staple());
        assert_eq!(csr.public_key().spki(), public(&openssl(&["pkey", "-in", &path], b"")));
    }
}

#[test]
fn requests_signed_with_sha1_md5_or_pss_are_refused() {
    let directory = Directory::new();
    let path = directory.write("key.pem", "");
    openssl(
        &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", &path],
        b"",
    );
    let request = ["req", "-new", "-key", &path, "-subj", "/CN=a.example.com"];
    for more in [&["-sha1"][..], &["-md5"], &["-sha256", "-sigopt", "rsa_padding_mode:pss"]] {
        let pem = openssl(&[&request, more].concat(), b"");
        let error = Csr::parse(&body(&pem)).expect_err("weak signature");
        assert!(matches!(error, BadCsr::Key(BadKey::SignatureAlgorithm(_))), "{more:?}: {error}");
    }
}

#[test]
fn requests_for_what_is_not_certified_are_refused() {
    let parse = |subject: &str, extensions: Vec<Extension>| {
        Csr::parse(&request(subject, vec![extension_request(&[extensions])]))
    };
    let dns = |text: &str| GeneralName::DnsName(Ia5String::new(text).expect("ASCII"));
    let mail = GeneralName::Rfc822Name(Ia5String::new("a@example.com").expect("ASCII"));
    let uri = GeneralName::UniformResourceIdentifier(Ia5String::new("http://a/").expect("ASCII"));
    let address = |octets: &[u8]| GeneralName::IpAddress(OctetString::new(octets).expect("octets"));
    for (name, expected) in [(mail, "e-mail"), (uri, "URI"), (address(&[1, 2, 3]), "address")] {
        let error = parse("", vec![names(&[dns("a.example.com"), name])]).expect_err(expected);
        assert!(matches!(error, BadCsr::NameType(_)), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    for bad in ["a_b.example.com", "example.com.", "*", "a..b", "127.0.0.1", ""] {
        let error = parse("", vec![names(&[dns(bad)])]).expect_err(bad);
        assert!(matches!(error, BadCsr::Name(_)), "{bad}: {error}");
    }
    assert!(matches!(parse("CN=Alice", vec![]), Ok(csr) if csr.identifiers().len() == 1));
    assert!(matches!(parse("CN=Alice Smith", vec![]), Err(BadCsr::Name(_))));
    let many: Vec<GeneralName> = (0..1001).map(|n| dns(&format!("n{n}.example.com"))).collect();
    assert_eq!(parse("", vec![names(&many)]).expect_err("many"), BadCsr::TooManyNames);
    let authority = extension("2.5.29.19", &[0x30, 3, 1, 1, 0xff]);
    assert_eq!(parse("CN=a.b", vec![authority]).expect_err("CA"), BadCsr::Authority);
    let leaf = extension("2.5.29.19", &[0x30, 0]);
    assert!(parse("CN=a.b", vec![leaf]).is_ok());
}

#[test]
fn requests_that_say_something_twice_are_refused() {
    let dns = |text: &str| GeneralName::DnsName(Ia5String::new(text).expect("ASCII"));
    let one = || names(&[dns("a.example.com")]);
    let duplicate = |attributes| match Csr::parse(&request("", attributes)) {
        Err(BadCsr::Duplicate(oid)) => oid,
        other => panic!("{other:?}"),
    };
    assert_eq!(duplicate(vec![extension_request(&[vec![one(), one()]])]), "2.5.29.17");
    let other = names(&[dns("b.example.com")]);
    let twice = extension_request(&[vec![one()], vec![other.clone()]]);
    assert_eq!(duplicate(vec![twice]), "1.2.840.113549.1.9.14");
    let attributes = vec![extension_request(&[vec![one()]]), extension_request(&[vec![other]])];
    assert_eq!(duplicate(attributes), "1.2.840.113549.1.9.14");
}

#[test]
fn a_request_that_was_tampered_with_is_refused() {
    let key = bench::key(KeyAlgorithm::EcdsaP256);
    let good = signed("CN=a.example.com", Vec::new(), &key);
    assert!(Csr::parse(&good).is_ok());
    let at = good.windows(9).position(|window| window == b"a.example").expect("name");
    let mut tampered = good.clone();
    tampered[at] = b'b';
    assert_eq!(Csr::parse(&tampered).expect_err("tampered"), BadCsr::Key(BadKey::Signature));
    let mut trailing = good.clone();
    trailing.push(0);
    assert!(Csr::parse(&trailing).is_err());
    assert_eq!(Csr::parse(&vec![0x30; 70_000]).expect_err("large"), BadCsr::TooLarge);
    for end in 0..good.len() {
        assert!(Csr::parse(&good[..end]).is_err(), "cut at {end}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_damaged_request_is_refused_without_panic(at in 0..10_000usize, bit in 0..8u32) {
        static GOOD: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
            let names = names(&[GeneralName::DnsName(Ia5String::new("a.b").expect("ASCII"))]);
            request("CN=a.example.com", vec![extension_request(&[vec![names]])])
        });
        let mut der = GOOD.clone();
        let at = at % der.len();
        der[at] ^= 1 << bit;
        prop_assert!(Csr::parse(&der).is_err());
    }
}

fn request(subject: &str, attributes: Vec<Attribute>) -> Vec<u8> {
    signed(subject, attributes, &bench::key(KeyAlgorithm::EcdsaP256))
}

/// A request with the attributes as given, twice or not.
fn signed(subject: &str, attributes: Vec<Attribute>, key: &MemorySigner) -> Vec<u8> {
    let mut set = SetOfVec::new();
    for attribute in attributes {
        set.insert_ordered(attribute.clone()).or_else(|_| set.insert(attribute)).expect("set");
    }
    let info = CertReqInfo {
        version: x509_cert::request::Version::V1,
        subject: if subject.is_empty() {
            Name::default()
        } else {
            subject.parse().expect("subject")
        },
        public_key: Decode::from_der(key.public_key().spki()).expect("SPKI"),
        attributes: set,
    };
    let signature = key.sign(&info.to_der().expect("DER")).expect("signature");
    let algorithm = key.public_key().algorithm().signature().identifier();
    CertReq {
        info,
        algorithm: Decode::from_der(algorithm).expect("algorithm"),
        signature: BitString::from_bytes(&signature).expect("bits"),
    }
    .to_der()
    .expect("DER")
}

fn extension_request(values: &[Vec<Extension>]) -> Attribute {
    let values = values.iter().map(|value| Any::encode_from(value).expect("extensions"));
    Attribute {
        oid: ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14"),
        values: SetOfVec::from_iter(values).expect("set"),
    }
}

fn names(names: &[GeneralName]) -> Extension {
    extension("2.5.29.17", &names.to_vec().to_der().expect("DER"))
}

fn extension(oid: &str, value: &[u8]) -> Extension {
    Extension {
        extn_id: oid.parse().expect("OID"),
        critical: false,
        extn_value: OctetString::new(value).expect("octets"),
    }
}
