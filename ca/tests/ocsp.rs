//! OCSP as one who asks, answered by the real `openssl ocsp`: with an authority, end entities and
//! responders that `openssl` made. What it would never answer is put together from what it did.

mod bench;

use std::fs;

use bench::{Bench, Directory, NOW, extension, ids, openssl, serial, spec, tlv};
use ca::key::BadKey;
use ca::ocsp::{self, BadResponse, MAX_RESPONSE, Status};
use ca::{Certificate, Profile, RevocationReason};
use jiff::{SignedDuration, Timestamp};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// An authority with its end entities: `good`, `bad` and `held`, and `stranger`, of which its
/// responder knows nothing; and its responders.
struct Authority {
    directory: Directory,
    /// What has been made there.
    issuer: Certificate,
}

impl Authority {
    /// One with a key as `openssl req -newkey` has it.
    fn new(key: &str) -> Self {
        let directory = Directory::new();
        let [pem, private] = ["ca.pem", "ca.key"].map(|name| directory.write(name, ""));
        let make = ["req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=Outside", "-newkey"];
        let key: Vec<&str> = key.split(' ').collect();
        let files = ["-keyout", &private, "-out", &pem];
        openssl(&[&make[..], &key, &files].concat(), b"");
        let issuer = read(&pem);
        let authority = Self { directory, issuer };
        for (name, days, extension) in [
            ("good", "30", ""),
            ("bad", "30", ""),
            ("held", "30", ""),
            ("stranger", "30", ""),
            ("responder", "2", "extendedKeyUsage = OCSPSigning\n"),
            ("impostor", "30", "extendedKeyUsage = serverAuth\n"),
        ] {
            authority.certify(name, days, extension);
        }
        authority.index();
        authority
    }

    fn path(&self, name: &str) -> String {
        self.directory.path(name)
    }

    fn certify(&self, name: &str, days: &str, extensions: &str) {
        let file = |end: &str| self.directory.write(&format!("{name}.{end}"), "");
        let [key, request, pem] = ["key", "csr", "pem"].map(file);
        let subject = format!("/CN={name}");
        let make = ["req", "-new", "-nodes", "-newkey", "ec", "-pkeyopt"];
        let more =
            ["ec_paramgen_curve:P-256", "-subj", &subject, "-keyout", &key, "-out", &request];
        openssl(&[&make[..], &more].concat(), b"");
        let extensions = self.directory.write(&format!("{name}.ext"), extensions);
        let [ca, ca_key] = ["ca.pem", "ca.key"].map(|name| self.path(name));
        let sign = ["x509", "-req", "-CAcreateserial", "-days", days, "-extfile", &extensions];
        let files = ["-CA", &ca, "-CAkey", &ca_key, "-in", &request, "-out", &pem];
        openssl(&[&sign[..], &files].concat(), b"");
    }

    /// What is known of the certificates, as `openssl ca` writes it.
    fn index(&self) {
        let line = |name: &str, status: &str, revoked: &str| {
            let serial = self.certificate(name).serial().to_string().to_uppercase();
            format!("{status}\t361231235959Z\t{revoked}\t{serial}\tunknown\t/CN={name}\n")
        };
        let text = line("good", "V", "")
            + &line("bad", "R", "260101000000Z,keyCompromise")
            + &line("held", "R", "260201000000Z,certificateHold");
        self.directory.write("index", &text);
    }

    fn certificate(&self, name: &str) -> Certificate {
        read(&self.path(&format!("{name}.pem")))
    }

    /// The response to our request about `name`, signed by `signer`.
    fn ask(&self, name: &str, signer: &str, more: &[&str]) -> Vec<u8> {
        let request = ocsp::request(&self.certificate(name), &self.issuer).expect("a request");
        let [asked, answered] = ["request.der", "response.der"].map(|name| self.path(name));
        fs::write(&asked, request).expect("written");
        let [index, ca] = ["index", "ca.pem"].map(|name| self.path(name));
        let [pem, key] = ["pem", "key"].map(|end| self.path(&format!("{signer}.{end}")));
        let know = ["ocsp", "-index", &index, "-CA", &ca, "-rsigner", &pem, "-rkey", &key];
        let files = ["-rmd", "sha256", "-reqin", &asked, "-respout", &answered];
        openssl(&[&know[..], &files, more].concat(), b"");
        fs::read(answered).expect("a response")
    }

    fn read(&self, response: &[u8], name: &str, now: Timestamp) -> Result<Status, BadResponse> {
        ocsp::read(response, &self.certificate(name), &self.issuer, now)
    }
}

fn read(pem: &str) -> Certificate {
    let text = fs::read_to_string(pem).expect("PEM");
    Certificate::from_pem(&text).expect("a certificate").remove(0)
}

const P256: &str = "ec -pkeyopt ec_paramgen_curve:P-256";
const WEEK: &[&str] = &["-ndays", "7"];

#[test]
fn openssl_understands_the_question_and_its_answer_is_understood() {
    for key in [P256, "ec -pkeyopt ec_paramgen_curve:P-384", "rsa:2048"] {
        let authority = Authority::new(key);
        let now = Timestamp::now();
        let revoked =
            |at: &str, reason| Status::Revoked { at: at.parse().expect("a time"), reason };
        for (name, status) in [
            ("good", Status::Good),
            ("bad", revoked("2026-01-01T00:00:00Z", RevocationReason::KeyCompromise)),
            ("held", revoked("2026-02-01T00:00:00Z", RevocationReason::CertificateHold)),
            ("stranger", Status::Unknown),
        ] {
            for (signer, more) in
                [("ca", WEEK), ("responder", WEEK), ("responder", &["-resp_key_id", "-ndays", "7"])]
            {
                let response = authority.ask(name, signer, more);
                let said = authority.read(&response, name, now);
                assert_eq!(said, Ok(status), "{key} {name} {signer} {more:?}");
            }
        }
    }
}

#[test]
fn who_was_not_appointed_says_nothing() {
    let authority = Authority::new(P256);
    let now = Timestamp::now();
    let by_impostor = authority.ask("bad", "impostor", WEEK);
    assert_eq!(authority.read(&by_impostor, "bad", now), Err(BadResponse::Responder));
    let without = authority.ask("bad", "responder", &["-ndays", "7", "-resp_no_certs"]);
    assert_eq!(authority.read(&without, "bad", now), Err(BadResponse::Responder));
    // The same names, other keys: the response is about another's certificate with this serial.
    let namesake = Authority::new(P256);
    fs::copy(namesake.path("ca.key"), authority.path("false.key")).expect("a copy");
    fs::copy(namesake.path("ca.pem"), authority.path("false.pem")).expect("a copy");
    let forged = authority.ask("bad", "false", WEEK);
    assert_eq!(authority.read(&forged, "bad", now), Err(BadKey::Signature.into()));
    for end in ["key", "pem"] {
        let from = namesake.path(&format!("responder.{end}"));
        fs::copy(from, authority.path(&format!("foreign.{end}"))).expect("a copy");
    }
    let foreign = authority.ask("bad", "foreign", WEEK);
    assert_eq!(authority.read(&foreign, "bad", now), Err(BadResponse::Responder));
    // Its responder's certificate lives for two days, the response for seven.
    let good = authority.ask("bad", "responder", WEEK);
    assert!(authority.read(&good, "bad", now + DAY).is_ok());
    assert_eq!(authority.read(&good, "bad", now + DAY * 3), Err(BadResponse::Responder));
}

#[test]
fn what_is_about_another_certificate_or_out_of_date_says_nothing() {
    let authority = Authority::new(P256);
    let now = Timestamp::now();
    let response = authority.ask("good", "ca", WEEK);
    assert_eq!(authority.read(&response, "bad", now), Err(BadResponse::Other));
    assert!(authority.read(&response, "good", now + DAY * 6).is_ok());
    let late = authority.read(&response, "good", now + DAY * 8);
    assert!(matches!(late, Err(BadResponse::Stale(_))), "{late:?}");
    let early = authority.read(&response, "good", now - DAY);
    assert!(matches!(early, Err(BadResponse::NotYet(_))), "{early:?}");
    // Without nextUpdate it was made for who asked.
    let endless = authority.ask("good", "ca", &[]);
    assert_eq!(authority.read(&endless, "good", now), Ok(Status::Good));
    let late = authority.read(&endless, "good", now + DAY);
    assert!(matches!(late, Err(BadResponse::Stale(_))), "{late:?}");
}

#[test]
fn no_octet_can_be_changed() {
    let authority = Authority::new(P256);
    let now = Timestamp::now();
    let alone = authority.ask("bad", "ca", &["-ndays", "7", "-resp_no_certs"]);
    let response = authority.ask("bad", "responder", WEEK);
    for response in [&alone, &response] {
        let said = authority.read(response, "bad", now).expect("an answer");
        for at in 0..response.len() {
            let mut torn = response.clone();
            torn[at] ^= 1;
            let torn = authority.read(&torn, "bad", now);
            assert!(torn.is_err(), "octet {at}: {torn:?} instead of {said:?}");
        }
    }
    let more = [&response[..], &[0]].concat();
    assert!(matches!(authority.read(&more, "bad", now), Err(BadResponse::Malformed(_))));
    assert_eq!(authority.read(&vec![0; MAX_RESPONSE + 1], "bad", now), Err(BadResponse::TooLarge));
}

#[test]
fn a_responder_without_an_answer_says_so() {
    let authority = Authority::new(P256);
    for (code, word) in [(1, "malformedRequest"), (3, "tryLater"), (6, "unauthorized")] {
        let said = authority.read(&[0x30, 3, 0x0a, 1, code], "good", Timestamp::now());
        assert_eq!(said, Err(BadResponse::Refused(word)));
    }
    let said = authority.read(&[0x30, 3, 0x0a, 1, 4], "good", Timestamp::now());
    assert!(matches!(said, Err(BadResponse::Malformed(_))), "{said:?}");
}

/// A response by the issuer of a bench to a request, with the extensions of the whole and of the one
/// answer.
fn respond(bench: &Bench, request: &[u8], whole: &[u8], single: &[u8]) -> Vec<u8> {
    let issuer = bench.issuing.certificate();
    // Around the CertID are four headers of two octets.
    let id = &request[8..];
    let time = tlv(0x18, &[b"20261120110000Z"]);
    let tagged = |tag, value: &[u8]| match value {
        [] => Vec::new(),
        value => tlv(tag, &[&tlv(0x30, &[value])]),
    };
    let until = tlv(0xa0, &[&tlv(0x18, &[b"20261121110000Z"])]);
    let single = tlv(0x30, &[id, &[0x80, 0], &time, &until, &tagged(0xa1, single)]);
    let by = tlv(0xa1, &[issuer.subject_der()]);
    let data = tlv(0x30, &[&by, &time, &tlv(0x30, &[&single]), &tagged(0xa1, whole)]);
    // ecdsa-with-SHA256.
    let algorithm = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
    let signature = bench.issuing_key().sign(&data).expect("signed");
    let basic = tlv(0x30, &[&data, algorithm, &tlv(0x03, &[&[0], &signature])]);
    let kind = b"\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x01";
    let bytes = tlv(0x30, &[kind, &tlv(0x04, &[&basic])]);
    tlv(0x30, &[&[0x0a, 1, 0], &tlv(0xa0, &[&bytes])])
}

#[test]
fn critical_extensions_that_nobody_knows_make_a_response_useless() {
    let bench = Bench::shared();
    let key = bench.leaf_key().clone();
    let leaf = bench.issue(&Profile::tls_server(), &key, &ids(&["a.example.com"]));
    let unknown = |critical| extension(&[0x2a, 3], critical, &[5, 0]);
    let read = |whole: &[u8], single: &[u8]| {
        let request = ocsp::request(&leaf, bench.issuing.certificate()).expect("a request");
        let response = respond(bench, &request, whole, single);
        ocsp::read(&response, &leaf, bench.issuing.certificate(), NOW)
    };
    assert_eq!(read(&[], &[]), Ok(Status::Good));
    assert_eq!(read(&unknown(false), &unknown(false)), Ok(Status::Good));
    let refused = Err(BadResponse::Critical("1.2.3".parse().expect("an oid")));
    assert_eq!(read(&unknown(true), &[]), refused);
    assert_eq!(read(&[], &unknown(true)), refused);
}

#[test]
fn an_issuer_of_the_same_name_or_with_the_same_key_is_another() {
    let bench = Bench::shared();
    let key = bench.leaf_key().clone();
    let leaf = bench.issue(&Profile::tls_server(), &key, &ids(&["a.example.com"]));
    let namesake = Bench::p256();
    let spec = spec("Elsewhere", Some(0));
    let own = bench.issuing_key();
    let renamed = ca::create_issuing(&bench.root, &spec, own.public_key(), serial(), NOW);
    for other in [namesake.issuing.certificate(), &renamed.expect("another")] {
        let request = ocsp::request(&leaf, other).expect("a request");
        let response = respond(bench, &request, &[], &[]);
        let said = ocsp::read(&response, &leaf, bench.issuing.certificate(), NOW);
        assert_eq!(said, Err(BadResponse::Other));
    }
}
