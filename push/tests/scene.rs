//! What every test stands on: an issuer, a directory, a free port, a real server.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use ca::{
    Authority, AuthoritySpec, BlockedKeys, Certificate, Identifier, KeyAlgorithm, MemorySigner,
    NameConstraints, Profile, Request, Serial, Signer, Subject, Urls,
};
use jiff::{SignedDuration, Timestamp};
use push::probe::{self, Expected, Probe, Proof};
use push::{Bundle, Delivery, PushError, Receipt, Spec, StartTls};
use tokio::task::JoinHandle;

/// A root and an issuing authority below it.
pub(crate) struct Issuer {
    issuing: Authority,
    root: Certificate,
}

impl Issuer {
    pub(crate) fn new() -> Self {
        let root_signer = Arc::new(generate(KeyAlgorithm::EcdsaP256));
        let spec = |name: &str, days: i64| AuthoritySpec {
            subject: Subject::new(name, None).expect("subject"),
            path_len: None,
            constraints: NameConstraints::default(),
            lifetime: SignedDuration::from_hours(24 * days),
            backdate: SignedDuration::from_hours(1),
            ocsp: false,
        };
        let now = Timestamp::now();
        let root = ca::create_root(&spec("Test Root", 3650), &*root_signer, serial(), now)
            .expect("a root");
        let authority = Authority::new(root.clone(), root_signer, Vec::new(), Urls::default())
            .expect("the root signs");
        let signer = Arc::new(generate(KeyAlgorithm::EcdsaP256));
        let key = signer.public_key().clone();
        let issuing =
            ca::create_issuing(&authority, &spec("Test Issuing", 1000), &key, serial(), now)
                .expect("an issuing authority");
        let issuing = Authority::new(issuing, signer, vec![root.clone()], Urls::default())
            .expect("the issuing authority signs");
        Self { issuing, root }
    }

    /// A P-256 key and a certificate for these names.
    pub(crate) fn bundle(&self, names: &[&str]) -> Bundle {
        self.bundle_of(KeyAlgorithm::EcdsaP256, names)
    }

    pub(crate) fn bundle_of(&self, algorithm: KeyAlgorithm, names: &[&str]) -> Bundle {
        let key = generate(algorithm);
        let names = identifiers(names);
        let certificates = self.certificates(&key, &names);
        let names = names.into_iter().collect();
        let key = key.pkcs8().expect("the key is exported");
        Bundle::new(certificates, Some(key), &names, Timestamp::now())
            .expect("all belongs together")
    }

    pub(crate) fn root(&self) -> &Certificate {
        &self.root
    }

    /// Leaf, issuing authority, root.
    pub(crate) fn certificates(
        &self,
        key: &MemorySigner,
        names: &[Identifier],
    ) -> Vec<Certificate> {
        let request = Request {
            public_key: key.public_key(),
            identifiers: names,
            not_before: None,
            not_after: None,
            must_staple: false,
            blocked: &BlockedKeys::default(),
        };
        let profile = Profile { max_names: 1000, ..Profile::tls_server() };
        let prepared =
            ca::issue::prepare(&self.issuing, &profile, &request, serial(), Timestamp::now())
                .expect("prepared");
        let leaf = ca::issue::sign(&self.issuing, prepared).expect("signed");
        vec![leaf, self.issuing.certificate().clone(), self.root.clone()]
    }
}

pub(crate) fn generate(algorithm: KeyAlgorithm) -> MemorySigner {
    MemorySigner::generate(algorithm).expect("a key")
}

pub(crate) fn identifiers(names: &[&str]) -> Vec<Identifier> {
    names.iter().map(|name| Identifier::parse(name).expect("a name")).collect()
}

fn serial() -> Serial {
    let mut random = [0; 16];
    SystemRandom::new().fill(&mut random).expect("randomness");
    Serial::from_random(random)
}

/// A directory of one test, removed when it ends.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("perennial-push-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a temporary directory");
        // Servers that give up root must be able to look in.
        open_up(&path);
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The same, as text for a configuration.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("a plain path").to_owned()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("the file is written");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open_up(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions");
}

/// A port nothing listens on. Each is given out once, above those the kernel picks by itself.
pub(crate) fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 10_000 + u16::try_from(std::process::id() % 8_000).expect("below 8000");
    loop {
        let port = base + NEXT.fetch_add(1, Ordering::Relaxed);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Where a program is.
///
/// # Panics
/// When it is not installed: with what to do about it.
pub(crate) fn need(program: &str, package: &str) -> String {
    let places = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/local/sbin";
    let found = places.split(':').map(|place| Path::new(place).join(program)).find(|p| p.exists());
    match found {
        Some(path) => path.to_str().expect("a plain path").to_owned(),
        None => panic!("{program} is not installed: run `sudo apt-get install {package}`"),
    }
}

/// A server in the foreground, ended when dropped.
pub(crate) struct Server(Child);

impl Server {
    /// Starts it, and waits until it listens.
    pub(crate) fn start(program: &str, arguments: &[&str], port: u16) -> Self {
        Self::start_with(Command::new(program).args(arguments), port)
    }

    pub(crate) fn start_with(command: &mut Command, port: u16) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let mut server = Self(child);
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Ok(Some(status)) = server.0.try_wait() {
                panic!("{command:?} ended with {status}");
            }
            assert!(begun.elapsed() < PATIENCE, "{command:?} does not listen on {port}");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let id = rustix::process::Pid::from_raw(self.0.id().cast_signed()).expect("a process");
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(3) {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads a target from what an operator would write.
pub(crate) fn spec(table: &str) -> Spec {
    let spec: Spec = toml::from_str(table).expect("the table is read");
    spec.check().expect("the table makes sense");
    spec
}

/// Pushes one version.
pub(crate) async fn push(spec: &Spec, version: u64, bundle: &Bundle) -> Result<Receipt, PushError> {
    let delivery = Delivery { certificate: "shop", version, rotation: "rotation-1", bundle };
    spec.open().push(&delivery).await
}

/// Waits for the proof of a target.
pub(crate) async fn proof(spec: &Spec, bundle: &Bundle, previous: &[[u8; 32]]) -> Proof {
    let window = Duration::try_from(spec.window()).expect("a window");
    let probe = Probe::new(spec, bundle.names());
    probe::wait_until_proven(&probe, &Expected::of(bundle, previous), window).await
}

/// A probe of one address with one handshake.
pub(crate) fn once(port: u16, names: &[&str]) -> Probe {
    Probe {
        hosts: vec![format!("127.0.0.1:{port}")],
        names: names.iter().map(|name| Some((*name).to_owned())).collect(),
        starttls: None,
        matches: 1,
        over: Duration::ZERO,
        timeout: PATIENCE,
    }
}

/// Clients that connect all the time.
pub(crate) struct Load {
    running: Arc<AtomicBool>,
    clients: Vec<JoinHandle<(u64, Vec<String>)>>,
}

impl Load {
    pub(crate) fn start(port: u16, name: &str, starttls: Option<StartTls>) -> Self {
        let running = Arc::new(AtomicBool::new(true));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let clients = (0..2).map(|_| {
            let (running, name) = (Arc::clone(&running), name.to_owned());
            tokio::spawn(async move {
                let (mut served, mut failed) = (0, Vec::new());
                while running.load(Ordering::Relaxed) {
                    match probe::sight(address, Some(&name), starttls, PATIENCE).await {
                        Ok(_) => served += 1,
                        Err(error) => failed.push(error.to_string()),
                    }
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
                (served, failed)
            })
        });
        Self { clients: clients.collect(), running }
    }

    /// How many handshakes succeeded, and how the others failed.
    pub(crate) async fn end(self) -> (u64, Vec<String>) {
        self.running.store(false, Ordering::Relaxed);
        let (mut served, mut failed) = (0, Vec::new());
        for client in self.clients {
            let (good, bad) = client.await.expect("the client ends");
            served += good;
            failed.extend(bad);
        }
        (served, failed)
    }
}

/// Rotates many times under load: no handshake fails, and each version is proven.
pub(crate) async fn rotate_under_load(spec: &Spec, issuer: &Issuer, first: &Bundle, port: u16) {
    let (_, served, failed) = rotate(spec, issuer, first, port).await;
    let some: Vec<&String> = failed.iter().take(3).collect();
    assert!(failed.is_empty(), "{} beside {served} failed: {some:?}", failed.len());
}

/// Rotates many times under load: each version is proven. How many, how many handshakes succeeded, and
/// how the others failed.
pub(crate) async fn rotate(
    spec: &Spec,
    issuer: &Issuer,
    first: &Bundle,
    port: u16,
) -> (u64, u64, Vec<String>) {
    let rotations: u64 =
        std::env::var("PUSH_ROTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let names: Vec<String> = first.names().iter().map(ToString::to_string).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let asked = names.iter().find(|name| !name.contains('*')).expect("a plain name");
    let load = Load::start(port, asked, spec.starttls());
    let mut previous = vec![first.fingerprint()];
    for version in 2..2 + rotations {
        let bundle = issuer.bundle(&names);
        let receipt = push(spec, version, &bundle).await.expect("the push succeeds");
        assert!(receipt.changed);
        let proof = proof(spec, &bundle, &previous).await;
        assert!(proof.proven, "version {version}: {proof}");
        let held = spec.open().observe().await.expect("it is readable");
        assert_eq!(held, push::Observed::Leaf(bundle.fingerprint()));
        previous.push(bundle.fingerprint());
    }
    let (served, failed) = load.end().await;
    assert!(served > rotations * 20, "only {served} handshakes");
    (rotations, served, failed)
}

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// An executable script.
pub(crate) fn script(folder: &Folder, name: &str, content: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.write(name, content);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions");
    folder.text(name)
}

/// A certificate whose key is kept elsewhere.
pub(crate) fn keyless(issuer: &Issuer, names: &[&str]) -> Bundle {
    let names = identifiers(names);
    let key = generate(KeyAlgorithm::EcdsaP256);
    let certificates = issuer.certificates(&key, &names);
    let names = names.into_iter().collect();
    Bundle::new(certificates, None, &names, Timestamp::now()).expect("whole")
}

/// The numbers of a user, from passwd(5).
pub(crate) fn account(name: &str) -> (u32, u32) {
    let table = fs::read_to_string("/etc/passwd").expect("readable");
    let line = table.lines().find(|line| line.starts_with(&format!("{name}:"))).expect(name);
    let numbers: Vec<u32> =
        line.split(':').skip(2).take(2).filter_map(|n| n.parse().ok()).collect();
    (numbers[0], numbers[1])
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
