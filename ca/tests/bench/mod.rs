//! A workbench for the tests: a root and an issuing authority, keys, and `openssl` to ask.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use ca::authority::BadAuthority;
use ca::issue;
use ca::{
    Authority, AuthoritySpec, BlockedKeys, Certificate, Identifier, IssueError, KeyAlgorithm,
    MemorySigner, NameConstraints, Prepared, Profile, PublicKey, Request, Serial, Signer, Subject,
    Urls,
};
use jiff::{SignedDuration, Timestamp};

/// One of each kind.
pub(crate) const ALGORITHMS: [KeyAlgorithm; 4] = [
    KeyAlgorithm::EcdsaP256,
    KeyAlgorithm::EcdsaP384,
    KeyAlgorithm::Ed25519,
    KeyAlgorithm::Rsa { bits: 2048 },
];

/// 2026-11-20T12:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp::constant(1_795_176_000, 0);

pub(crate) fn day(number: i64) -> Timestamp {
    NOW + SignedDuration::from_hours(24 * number)
}

pub(crate) fn id(text: &str) -> Identifier {
    Identifier::parse(text).expect("test name")
}

pub(crate) fn ids(texts: &[&str]) -> Vec<Identifier> {
    texts.iter().map(|text| id(text)).collect()
}

pub(crate) fn key(algorithm: KeyAlgorithm) -> MemorySigner {
    MemorySigner::generate(algorithm).expect("key")
}

/// Another one at every call.
pub(crate) fn serial() -> Serial {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut random = [0; 16];
    random[8..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Serial::from_random(random)
}

pub(crate) fn spec(name: &str, path_len: Option<u8>) -> AuthoritySpec {
    AuthoritySpec {
        subject: Subject::new(name, Some("Example & Söhne")).expect("subject"),
        path_len,
        constraints: NameConstraints::default(),
        lifetime: SignedDuration::from_hours(24 * 365 * 5),
        backdate: SignedDuration::from_hours(24),
        ocsp: true,
    }
}

pub(crate) fn request<'a>(
    public_key: &'a PublicKey,
    identifiers: &'a [Identifier],
    blocked: &'a BlockedKeys,
) -> Request<'a> {
    Request {
        public_key,
        identifiers,
        not_before: None,
        not_after: None,
        must_staple: false,
        blocked,
    }
}

pub(crate) struct Bench {
    pub(crate) root: Authority,
    pub(crate) issuing: Authority,
    key: Arc<MemorySigner>,
    leaf: MemorySigner,
}

impl Bench {
    pub(crate) fn p256() -> Self {
        Self::new(KeyAlgorithm::EcdsaP256, NameConstraints::default())
    }

    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<Bench> = LazyLock::new(Bench::p256);
        &SHARED
    }

    pub(crate) fn new(algorithm: KeyAlgorithm, constraints: NameConstraints) -> Self {
        Self::build(algorithm, NameConstraints::default(), constraints)
    }

    pub(crate) fn with_root_constraints(constraints: NameConstraints) -> Self {
        Self::build(KeyAlgorithm::EcdsaP256, constraints, NameConstraints::default())
    }

    fn build(algorithm: KeyAlgorithm, of_root: NameConstraints, own: NameConstraints) -> Self {
        let signer = Arc::new(key(algorithm));
        let root_spec = AuthoritySpec {
            lifetime: SignedDuration::from_hours(24 * 365 * 10),
            constraints: of_root,
            ..spec("Root", Some(1))
        };
        let root = ca::create_root(&root_spec, &*signer, serial(), NOW).expect("root");
        let urls = Urls {
            crl: vec!["http://pki.example.com/root.crl".into()],
            issuer: vec!["http://pki.example.com/root.crt".into()],
            ocsp: Vec::new(),
        };
        let root = Authority::new(root, signer, Vec::new(), urls).expect("root");
        let signer = Arc::new(key(algorithm));
        let issuing_spec = AuthoritySpec { constraints: own, ..spec("Issuing", Some(0)) };
        let issuing = ca::create_issuing(&root, &issuing_spec, signer.public_key(), serial(), NOW)
            .expect("issuing");
        let urls = Urls {
            crl: vec!["http://pki.example.com/issuing.crl".into()],
            issuer: vec!["http://pki.example.com/issuing.crt".into()],
            ocsp: vec!["http://pki.example.com/ocsp".into()],
        };
        let chain = vec![root.certificate().clone()];
        let issuing = Authority::new(issuing, signer.clone(), chain, urls).expect("issuing");
        Self { root, issuing, key: signer, leaf: key(KeyAlgorithm::EcdsaP256) }
    }

    pub(crate) fn issuing_key(&self) -> Arc<dyn Signer> {
        self.key.clone()
    }

    pub(crate) fn leaf_key(&self) -> &PublicKey {
        self.leaf.public_key()
    }

    pub(crate) fn issuing_with_alternate(
        &self,
        chain: Vec<Certificate>,
    ) -> Result<Authority, BadAuthority> {
        let own = self.issuing.certificate().clone();
        let above = self.issuing.chain().to_vec();
        Authority::new(own, self.issuing_key(), above, Urls::default())?.with_alternate(chain)
    }

    pub(crate) fn issue(
        &self,
        profile: &Profile,
        key: &PublicKey,
        names: &[Identifier],
    ) -> Certificate {
        self.try_issue(profile, key, names).expect("issued")
    }

    pub(crate) fn try_issue(
        &self,
        profile: &Profile,
        key: &PublicKey,
        names: &[Identifier],
    ) -> Result<Certificate, IssueError> {
        let blocked = BlockedKeys::default();
        let request = request(key, names, &blocked);
        let prepared = issue::prepare(&self.issuing, profile, &request, serial(), NOW)?;
        issue::sign(&self.issuing, prepared)
    }

    pub(crate) fn dated(
        &self,
        profile: &Profile,
        not_before: Option<Timestamp>,
        not_after: Option<Timestamp>,
    ) -> Result<Certificate, IssueError> {
        let blocked = BlockedKeys::default();
        let names = ids(&["a.example.com"]);
        let request =
            Request { not_before, not_after, ..request(self.leaf_key(), &names, &blocked) };
        let prepared = issue::prepare(&self.issuing, profile, &request, serial(), NOW)?;
        issue::sign(&self.issuing, prepared)
    }

    pub(crate) fn prepare_at(
        &self,
        profile: &Profile,
        now: Timestamp,
    ) -> Result<Prepared, IssueError> {
        let blocked = BlockedKeys::default();
        let names = ids(&["a.example.com"]);
        let request = request(self.leaf_key(), &names, &blocked);
        issue::prepare(&self.issuing, profile, &request, serial(), now)
    }

    pub(crate) fn openssl_verifies(&self, leaf: &Certificate, more: &[&str]) {
        openssl_verify(leaf, &[self.issuing.certificate()], self.root.certificate(), more);
    }
}

/// Panics unless `openssl verify -x509_strict` accepts the leaf.
pub(crate) fn openssl_verify(
    leaf: &Certificate,
    untrusted: &[&Certificate],
    root: &Certificate,
    more: &[&str],
) {
    openssl_verdict(leaf, untrusted, root, more).expect("openssl verifies");
}

/// What `openssl verify -x509_strict` says of the leaf.
pub(crate) fn openssl_verdict(
    leaf: &Certificate,
    untrusted: &[&Certificate],
    root: &Certificate,
    more: &[&str],
) -> Result<String, String> {
    let directory = Directory::new();
    let untrusted = ca::certificate::pem_chain(untrusted.iter().copied());
    let time = NOW.as_second().to_string();
    let (root, untrusted) =
        (directory.write("root.pem", root.pem()), directory.write("untrusted.pem", untrusted));
    let leaf = directory.write("leaf.pem", leaf.pem());
    let mut arguments = vec!["verify", "-x509_strict", "-policy_check", "-attime", &time];
    arguments.extend(["-trusted", &root, "-untrusted", &untrusted]);
    arguments.extend(more);
    arguments.push(&leaf);
    try_openssl(&arguments, b"")
}

pub(crate) fn openssl_text(certificate: &Certificate) -> String {
    openssl(&["x509", "-noout", "-text"], certificate.pem().as_bytes())
}

/// What `openssl` prints; panics when it fails.
pub(crate) fn openssl(arguments: &[&str], input: &[u8]) -> String {
    try_openssl(arguments, input).expect("openssl succeeds")
}

/// What `openssl` prints, as an error when it fails.
pub(crate) fn try_openssl(arguments: &[&str], input: &[u8]) -> Result<String, String> {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is needed: apt-get install openssl");
    // It may end without reading all, which its exit status tells better than a broken pipe.
    let _ = child.stdin.take().expect("stdin").write_all(input);
    let output = child.wait_with_output().expect("openssl ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("openssl {arguments:?}:\n{text}\n{errors}"))
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let padded = if text.len() % 2 == 1 { format!("0{text}") } else { text.to_owned() };
    data_encoding::HEXLOWER_PERMISSIVE.decode(padded.as_bytes()).expect("hexadecimal")
}

/// What is inside a PEM.
pub(crate) fn body(pem: &str) -> Vec<u8> {
    let lines = pem.lines().skip_while(|line| !line.starts_with("-----BEGIN"));
    let lines = lines.skip(1).take_while(|line| !line.starts_with("-----END"));
    data_encoding::BASE64.decode(lines.collect::<String>().as_bytes()).expect("base64")
}

/// The SubjectPublicKeyInfo of a private key in PEM.
pub(crate) fn public(private: &str) -> Vec<u8> {
    body(&openssl(&["pkey", "-pubout"], private.as_bytes()))
}

/// One DER element of less than 64 KiB.
pub(crate) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    let [high, low] = u16::try_from(contents.len()).expect("short").to_be_bytes();
    let header: &[u8] = match (high, low) {
        (0, 0..0x80) => &[tag, low],
        (0, _) => &[tag, 0x81, low],
        _ => &[tag, 0x82, high, low],
    };
    [header, &contents].concat()
}

/// An extension; `oid` is the contents of its identifier.
pub(crate) fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    tlv(0x30, &[&tlv(0x06, &[oid]), critical, &tlv(0x04, &[value])])
}

/// A directory that goes away with the test.
pub(crate) struct Directory(std::path::PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ca-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("directory");
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, contents).expect("file");
        path
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8 path").to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
