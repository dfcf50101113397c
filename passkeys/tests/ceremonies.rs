//! Registrations and assertions of an authenticator that is written here from the standard, with real keys;
//! and each check tried by breaking what it is about, and nothing else.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
};
use data_encoding::BASE64URL_NOPAD;
use minicbor::Encoder;
use passkeys::{
    Algorithm, Assertion, AuthenticatorData, ClientData, Credential, PublicKey, Refusal,
    Registration, RelyingParty, Used,
};
use proptest::prelude::*;

enum Key {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl Key {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Es256 => {
                Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key"))
            }
            Algorithm::EdDsa => Self::Ed25519(Ed25519KeyPair::generate().expect("a key")),
            Algorithm::Rs256 => Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key")),
        }
    }

    fn cose(&self) -> Vec<u8> {
        let mut out = Encoder::new(Vec::new());
        match self {
            Self::P256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = point[1..].split_at(32);
                members(
                    &mut out,
                    &[(1, Is(2)), (3, Is(-7)), (-1, Is(1)), (-2, Of(x)), (-3, Of(y))],
                );
            }
            Self::Ed25519(pair) => {
                let x = pair.public_key().as_ref();
                members(&mut out, &[(1, Is(1)), (3, Is(-8)), (-1, Is(6)), (-2, Of(x))]);
            }
            Self::Rsa(pair) => {
                // RFC 8017 §A.1.1: two headers, a zero, 2048 bits of modulus, the exponent.
                let modulus = &pair.public_key().as_ref()[9..265];
                members(
                    &mut out,
                    &[(1, Is(3)), (3, Is(-257)), (-1, Of(modulus)), (-2, Of(&[1, 0, 1]))],
                );
            }
        }
        out.into_writer()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::P256(pair) => pair.sign(&random, message).expect("signed").as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).expect("signed");
                signature
            }
        }
    }
}

/// A member of a key.
#[derive(Clone, Copy)]
enum Member<'a> {
    Is(i64),
    Of(&'a [u8]),
}
use Member::{Is, Of};

fn members(out: &mut Encoder<Vec<u8>>, members: &[(i64, Member<'_>)]) {
    out.map(members.len() as u64).expect("room");
    for (label, member) in members {
        out.i64(*label).expect("room");
        match member {
            Is(number) => out.i64(*number).expect("room"),
            Of(bytes) => out.bytes(bytes).expect("room"),
        };
    }
}

fn cose(of: &[(i64, Member<'_>)]) -> Vec<u8> {
    let mut out = Encoder::new(Vec::new());
    members(&mut out, of);
    out.into_writer()
}

fn party() -> RelyingParty {
    RelyingParty { id: "ca.example.com".into(), origin: "https://ca.example.com:8443".into() }
}

const CHALLENGE: &[u8] = b"thirty-two bytes of a challenge!";
const PRESENT: u8 = 1;
const VERIFIED: u8 = 4;
const ELIGIBLE: u8 = 8;
const BACKED_UP: u8 = 16;
const ATTESTED: u8 = 64;
const EXTENDED: u8 = 128;

fn client_data(kind: &str, challenge: &[u8], more: &str) -> Vec<u8> {
    let challenge = BASE64URL_NOPAD.encode(challenge);
    let origin = party().origin;
    format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}"{more}}}"#)
        .into_bytes()
}

fn data(id: &str, flags: u8, count: u32, rest: &[u8]) -> Vec<u8> {
    let hash = digest(&SHA256, id.as_bytes());
    [hash.as_ref(), &[flags], &count.to_be_bytes(), rest].concat()
}

fn credential(id: &[u8], key: &[u8]) -> Vec<u8> {
    let length = u16::try_from(id.len()).expect("short").to_be_bytes();
    [&[0; 16], &length[..], id, key].concat()
}

fn attestation(format: &str, data: &[u8]) -> Vec<u8> {
    let mut out = Encoder::new(Vec::new());
    out.map(3).and_then(|o| o.str("fmt")?.str(format)?.str("attStmt")?.map(0)).expect("room");
    out.str("authData").and_then(|o| o.bytes(data)).expect("room");
    out.into_writer()
}

fn register_with(client: &[u8], attestation: &[u8]) -> Result<Credential, Refusal> {
    party().register(CHALLENGE, &Registration { client_data: client, attestation })
}

fn register(key: &Key, flags: u8) -> Result<Credential, Refusal> {
    let data = data("ca.example.com", flags | ATTESTED, 0, &credential(b"mine", &key.cose()));
    register_with(&client_data("webauthn.create", CHALLENGE, ""), &attestation("none", &data))
}

/// What the holder of `key` answers.
fn assert_with(key: &Key, known: &Credential, client: &[u8], data: &[u8]) -> Result<Used, Refusal> {
    let signed = [data, digest(&SHA256, client).as_ref()].concat();
    let signature = key.sign(&signed);
    let assertion =
        Assertion { client_data: client, authenticator_data: data, signature: &signature };
    party().authenticate(CHALLENGE, known, &assertion)
}

fn get() -> Vec<u8> {
    client_data("webauthn.get", CHALLENGE, "")
}

fn proof(flags: u8, count: u32) -> Vec<u8> {
    data("ca.example.com", flags, count, &[])
}

#[test]
fn each_kind_of_key_registers_and_proves_itself() {
    for algorithm in Algorithm::ALL {
        let key = Key::new(algorithm);
        let known = register(&key, PRESENT | VERIFIED).expect("registered");
        assert_eq!((known.id.as_slice(), known.sign_count), (&b"mine"[..], 0));
        assert_eq!(PublicKey::parse(&known.key).expect("a key").algorithm(), algorithm);
        let used = assert_with(&key, &known, &get(), &proof(PRESENT | VERIFIED, 7));
        assert_eq!(used, Ok(Used { sign_count: 7, backed_up: false }));
        let other = Key::new(algorithm);
        let seen = assert_with(&other, &known, &get(), &proof(PRESENT | VERIFIED, 7));
        assert_eq!(seen, Err(Refusal::Signature), "{algorithm:?}");
    }
}

#[test]
fn what_a_browser_says_of_another_page_purpose_or_challenge_is_refused() {
    let key = Key::new(Algorithm::Es256);
    let known = register(&key, PRESENT | VERIFIED).expect("registered");
    let say = |client: &[u8]| assert_with(&key, &known, client, &proof(PRESENT | VERIFIED, 1));
    assert!(say(&client_data("webauthn.get", CHALLENGE, r#","new":{"member":1}"#)).is_ok());
    let elsewhere = |origin: &str| {
        String::from_utf8(get()).expect("text").replace("https://ca.example.com:8443", origin)
    };
    for (client, refusal) in [
        (client_data("webauthn.create", CHALLENGE, ""), Refusal::OtherPurpose),
        (client_data("payment.get", CHALLENGE, ""), Refusal::OtherPurpose),
        (client_data("webauthn.get", b"another", ""), Refusal::OtherChallenge),
        (client_data("webauthn.get", b"", ""), Refusal::OtherChallenge),
        (client_data("webauthn.get", CHALLENGE, r#","crossOrigin":true"#), Refusal::OtherOrigin),
        (
            client_data("webauthn.get", CHALLENGE, r#","topOrigin":"https://evil.example""#),
            Refusal::OtherOrigin,
        ),
        (elsewhere("https://evil.example").into_bytes(), Refusal::OtherOrigin),
        (elsewhere("https://ca.example.com").into_bytes(), Refusal::OtherOrigin),
        (elsewhere("http://ca.example.com:8443").into_bytes(), Refusal::OtherOrigin),
        (elsewhere("https://CA.example.com:8443").into_bytes(), Refusal::OtherOrigin),
    ] {
        assert_eq!(say(&client), Err(refusal), "{}", String::from_utf8_lossy(&client));
    }
    for client in [
        client_data("webauthn.get", CHALLENGE, r#","type":"webauthn.get""#),
        client_data("webauthn.get", CHALLENGE, r#","crossOrigin":"no""#),
        b"".to_vec(),
        b"{}".to_vec(),
        b"[1]".to_vec(),
        [get(), b"x".to_vec()].concat(),
        [get(), vec![b' '; 4096]].concat(),
        String::from_utf8(get())
            .expect("text")
            .replace("\"challenge\":\"", "\"challenge\":\"=")
            .into(),
    ] {
        assert!(matches!(say(&client), Err(Refusal::Malformed(_))), "{client:?}");
    }
}

#[test]
fn an_authenticator_must_know_its_user_and_belong_to_this_server() {
    let key = Key::new(Algorithm::EdDsa);
    let known = register(&key, PRESENT | VERIFIED).expect("registered");
    let synced = Credential { backup_eligible: true, ..known.clone() };
    let say = |known: &Credential, data: &[u8]| assert_with(&key, known, &get(), data);
    for (known, data, refusal) in [
        (&known, proof(PRESENT, 1), Refusal::NotVerified),
        (&known, proof(VERIFIED, 1), Refusal::NotVerified),
        (&known, proof(0, 1), Refusal::NotVerified),
        (&known, data("example.com", PRESENT | VERIFIED, 1, &[]), Refusal::OtherParty),
        (&known, data("", PRESENT | VERIFIED, 1, &[]), Refusal::OtherParty),
        (&known, proof(PRESENT | VERIFIED | BACKED_UP, 1), Refusal::Backup),
        (&known, proof(PRESENT | VERIFIED | ELIGIBLE, 1), Refusal::Backup),
        (&synced, proof(PRESENT | VERIFIED, 1), Refusal::Backup),
    ] {
        assert_eq!(say(known, &data), Err(refusal));
    }
    let seen = say(&synced, &proof(PRESENT | VERIFIED | ELIGIBLE | BACKED_UP, 1));
    assert_eq!(seen, Ok(Used { sign_count: 1, backed_up: true }));
    for flags in [PRESENT, VERIFIED, 0] {
        assert_eq!(register(&key, flags), Err(Refusal::NotVerified));
    }
    assert_eq!(register(&key, PRESENT | VERIFIED | BACKED_UP), Err(Refusal::Backup));
}

#[test]
fn a_copy_shows_by_its_counter_and_who_does_not_count_is_believed() {
    let key = Key::new(Algorithm::Es256);
    let known = register(&key, PRESENT | VERIFIED).expect("registered");
    let counted = |sign_count| Credential { sign_count, ..known.clone() };
    for (before, now, accepted) in [
        (0, 0, true),
        (0, 1, true),
        (1, 2, true),
        (1, u32::MAX, true),
        (1, 1, false),
        (2, 1, false),
        (1, 0, false),
        (u32::MAX, 0, false),
    ] {
        let seen = assert_with(&key, &counted(before), &get(), &proof(PRESENT | VERIFIED, now));
        let refused = seen == Err(Refusal::Cloned);
        assert_eq!((seen.is_ok(), refused), (accepted, !accepted), "{before} {now}");
    }
}

#[test]
fn no_bit_of_what_was_signed_can_be_changed() {
    let key = Key::new(Algorithm::Es256);
    let known = register(&key, PRESENT | VERIFIED).expect("registered");
    let (client, data) = (get(), proof(PRESENT | VERIFIED, 9));
    let signature = key.sign(&[&data[..], digest(&SHA256, &client).as_ref()].concat());
    let ask = |client: &[u8], data: &[u8], signature: &[u8]| {
        let assertion = Assertion { client_data: client, authenticator_data: data, signature };
        party().authenticate(CHALLENGE, &known, &assertion)
    };
    assert!(ask(&client, &data, &signature).is_ok());
    let flipped = |bytes: &[u8], bit: usize| {
        let mut bytes = bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    };
    for bit in 0..data.len() * 8 {
        assert!(ask(&client, &flipped(&data, bit), &signature).is_err(), "{bit}");
    }
    for bit in 0..client.len() * 8 {
        assert!(ask(&flipped(&client, bit), &data, &signature).is_err(), "{bit}");
    }
    for bit in 0..signature.len() * 8 {
        assert!(ask(&client, &data, &flipped(&signature, bit)).is_err(), "{bit}");
    }
    for cut in 0..signature.len() {
        assert!(ask(&client, &data, &signature[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn what_has_another_form_is_malformed() {
    let key = Key::new(Algorithm::Es256).cose();
    let flags = PRESENT | VERIFIED | ATTESTED;
    let whole = data("ca.example.com", flags, 0, &credential(b"mine", &key));
    let create = client_data("webauthn.create", CHALLENGE, "");
    let try_data = |data: &[u8]| register_with(&create, &attestation("none", data));
    assert!(try_data(&whole).is_ok());
    for cut in 0..whole.len() {
        assert!(matches!(try_data(&whole[..cut]), Err(Refusal::Malformed(_))), "{cut}");
    }
    let id = |length: usize| data("ca.example.com", flags, 0, &credential(&vec![7; length], &key));
    assert!(try_data(&id(1023)).is_ok());
    for bad in [
        [&whole[..], &[0xa0]].concat(),
        id(0),
        id(1024),
        proof(PRESENT | VERIFIED, 0),
        data("ca.example.com", flags | EXTENDED, 0, &credential(b"mine", &key)),
        data(
            "ca.example.com",
            flags | EXTENDED,
            0,
            &[&credential(b"mine", &key)[..], &[1]].concat(),
        ),
    ] {
        assert!(matches!(try_data(&bad), Err(Refusal::Malformed(_))), "{bad:?}");
    }
    // An extension that nobody asked for is read over.
    let extended = [&credential(b"mine", &key)[..], &[0xa1, 0x61, b'x', 0xf5]].concat();
    assert!(try_data(&data("ca.example.com", flags | EXTENDED, 0, &extended)).is_ok());

    let object = attestation("none", &whole);
    assert!(register_with(&create, &object).is_ok());
    for bad in [
        attestation("packed", &whole),
        [&object[..], &[0]].concat(),
        object[..object.len() - 1].to_vec(),
        vec![0xa0],
        vec![0xbf],
        vec![0x9b, 255, 255, 255, 255, 255, 255, 255, 255],
        vec![0x81; 4000],
        vec![0; 5000],
    ] {
        assert!(matches!(register_with(&create, &bad), Err(Refusal::Malformed(_))), "{bad:?}");
    }
}

#[test]
fn keys_that_are_none_or_weak_are_refused() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
    let point = pair.public_key().as_ref().to_vec();
    let (x, y) = (&point[1..33], &point[33..]);
    let good = [(1, Is(2)), (3, Is(-7)), (-1, Is(1)), (-2, Of(x)), (-3, Of(y))];
    assert!(PublicKey::parse(&cose(&good)).is_ok());
    let with = |label: i64, member| {
        let mut members = good.to_vec();
        members.iter_mut().filter(|(known, _)| *known == label).for_each(|m| m.1 = member);
        cose(&members)
    };
    let zero = [0; 32];
    let mut off = y.to_vec();
    off[31] ^= 1;
    let modulus = [&[0x80][..], &[1; 255]].concat();
    let rsa = |n, e| cose(&[(1, Is(3)), (3, Is(-257)), (-1, Of(n)), (-2, Of(e))]);
    assert!(PublicKey::parse(&rsa(&modulus, &[1, 0, 1])).is_ok());
    for bad in [
        with(1, Is(1)),
        with(1, Is(4)),
        with(3, Is(-8)),
        with(3, Is(-35)),
        with(3, Is(-65535)),
        with(-1, Is(2)),
        with(-1, Of(x)),
        with(-2, Of(&x[1..])),
        with(-2, Is(1)),
        with(-3, Of(&zero)),
        with(-3, Of(&off)),
        cose(&good[..4]),
        cose(&[&good[..], &[(1, Is(2))]].concat()),
        cose(&[&good[..4], &[(-2, Of(x))]].concat()),
        cose(&[&good[..4], &[(-4, Of(x))]].concat()),
        [cose(&good), vec![0]].concat(),
        cose(&[(1, Is(1)), (3, Is(-8)), (-1, Is(6)), (-2, Of(&x[1..]))]),
        cose(&[(1, Is(1)), (3, Is(-8)), (-1, Is(4)), (-2, Of(x))]),
        rsa(&modulus[..255], &[1, 0, 1]),
        rsa(&modulus, &[3]),
        rsa(&modulus, &[1]),
        rsa(&[&[0][..], &modulus].concat(), &[1, 0, 1]),
        rsa(&[0x80; 513], &[1, 0, 1]),
        vec![0xa1, 1, 2],
        vec![0xbf, 0xff],
        vec![],
    ] {
        assert!(PublicKey::parse(&bad).is_err(), "{bad:?}");
    }
}

#[test]
fn nothing_that_is_not_a_ceremony_makes_the_parsers_fail_otherwise() {
    for bytes in [&[][..], &[0xff], &[0xa3, 0x63, b'f', b'm', b't']] {
        assert!(AuthenticatorData::parse(bytes).is_err());
        assert!(ClientData::parse(bytes).is_err());
        assert!(PublicKey::parse(bytes).is_err());
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = AuthenticatorData::parse(&bytes);
        let _ = ClientData::parse(&bytes);
        let _ = PublicKey::parse(&bytes);
        let _ = register_with(&client_data("webauthn.create", CHALLENGE, ""), &bytes);
        let attested = data("ca.example.com", PRESENT | VERIFIED | ATTESTED, 0, &bytes);
        let _ = AuthenticatorData::parse(&attested);
    }
}
