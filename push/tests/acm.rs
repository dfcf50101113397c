//! Targets of kind `acm`, with moto, which plays AWS: it checks signatures and policies, and takes a key
//! that is not the certificate's. It is a Python package that `tests/run tools` puts into `target/venv`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use ca::KeyAlgorithm::{EcdsaP256, Ed25519, Rsa};
use push::{Bundle, Fault, Observed, PushError, Spec};

use crate::scene::{Folder, Issuer, Server, keyless, port, push, spec};

/// AWS with one user, who may use ACM and nothing else.
struct Aws {
    folder: Folder,
    port: u16,
    _server: Server,
}

impl Aws {
    fn start() -> Self {
        let (folder, port) = (Folder::new(), port());
        let mut command = Command::new(python("moto_server"));
        // After so many actions every request must be signed by somebody who may.
        command.env("INITIAL_NO_AUTH_ACTION_COUNT", "3");
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        let aws = Self { _server: Server::start_with(&mut command, port), folder, port };
        let keys = aws.python(
            "iam = client('iam')\n\
             iam.create_user(UserName='perennial')\n\
             allow = [{'Effect': 'Allow', 'Action': 'acm:*', 'Resource': '*'}]\n\
             policy = json.dumps({'Version': '2012-10-17', 'Statement': allow})\n\
             iam.put_user_policy(UserName='perennial', PolicyName='acm', PolicyDocument=policy)\n\
             key = iam.create_access_key(UserName='perennial')['AccessKey']\n\
             print('aws_access_key_id =', key['AccessKeyId'])\n\
             print('aws_secret_access_key =', key['SecretAccessKey'])",
        );
        aws.folder
            .write("credentials", format!("[default]\n{keys}\n[wrong]\n{}\n", reversed(&keys)));
        aws
    }

    /// What AWS's own library makes of it.
    fn python(&self, script: &str) -> String {
        let before = format!(
            "import boto3, json, sys\ndef client(service):\n  return boto3.client(service, \
             region_name='eu-west-1', endpoint_url='http://127.0.0.1:{}')\nacm = client('acm')\n",
            self.port
        );
        let mut command = Command::new(python("python"));
        command.args(["-c", &format!("{before}{script}")]).env_clear();
        match self.folder.path("credentials") {
            file if file.exists() => command.env("AWS_SHARED_CREDENTIALS_FILE", file),
            _ => command.envs([("AWS_ACCESS_KEY_ID", "none"), ("AWS_SECRET_ACCESS_KEY", "none")]),
        };
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    fn spec(&self, more: &str) -> Spec {
        at(&format!("http://127.0.0.1:{}", self.port), &self.folder.text("credentials"), more)
    }

    fn by_arn(&self, arn: &str) -> Spec {
        self.spec(&format!("arn = {arn:?}"))
    }

    fn by_tag(&self, more: &str) -> Spec {
        self.spec(&format!("tag = \"shop\"\nregion = \"eu-west-1\"\n{more}"))
    }

    /// The serial number that ACM tells.
    fn serial(&self, arn: &str) -> String {
        let script =
            "print(acm.describe_certificate(CertificateArn='ARN')['Certificate']['Serial'])";
        self.python(&script.replace("ARN", arn))
    }

    /// ACM keeps tags through an import, and moto does not.
    fn tagged(&self, arn: &str) {
        let tags = "[dict(Key='perennial', Value='shop')]";
        self.python(&format!("acm.add_tags_to_certificate(CertificateArn={arn:?}, Tags={tags})"));
    }

    fn arns(&self) -> usize {
        let script = "print(len(acm.list_certificates()['CertificateSummaryList']))";
        self.python(script).parse().expect("a number")
    }

    /// Imported by somebody else, with these purposes of its key.
    fn imported(&self, purposes: &str) -> String {
        let (key, crt) = (self.folder.text("other.key"), self.folder.text("other.crt"));
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
            ])
            .args(["-subj", "/CN=shop.test", "-days", "5", "-keyout", &key, "-out", &crt])
            .args(["-addext", &format!("extendedKeyUsage={purposes}")])
            .output()
            .expect("openssl runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        self.python(&format!(
            "read = lambda file: open(file, 'rb').read()\n\
             print(acm.import_certificate(Certificate=read({crt:?}), PrivateKey=read({key:?}))\
             ['CertificateArn'])"
        ))
    }
}

fn at(endpoint: &str, credentials: &str, more: &str) -> Spec {
    spec(&format!(
        "name = \"cdn\"\nkind = \"acm\"\nendpoint = {endpoint:?}\ncredentials_file = {credentials:?}\n{more}"
    ))
}

/// Each line's value backwards: the right form, and wrong.
fn reversed(keys: &str) -> String {
    let turn = |line: &str| {
        let (key, value) = line.split_once(" = ").expect("a key");
        if key == "aws_access_key_id" {
            return line.to_owned();
        }
        format!("{key} = {}", value.chars().rev().collect::<String>())
    };
    keys.lines().map(turn).collect::<Vec<_>>().join("\n")
}

fn python(program: &str) -> PathBuf {
    // cargo's directory for tests is `tmp` in the target directory.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target directory");
    let path = target.join("venv/bin").join(program);
    assert!(path.exists(), "{} is not there: run `tests/run tools`", path.display());
    path
}

fn arn(output: &str) -> String {
    let words =
        output.split([' ', ',', ';']).find(|word| word.starts_with("arn:")).expect("an ARN");
    words.to_owned()
}

async fn observed(spec: &Spec) -> Observed {
    spec.open().observe().await.expect("ACM tells")
}

#[tokio::test]
async fn rotations_in_a_row_keep_the_arn_and_acm_shows_each() {
    let (aws, issuer) = (Aws::start(), Issuer::new());
    let first = issuer.bundle(&["shop.test"]);
    assert_eq!(observed(&aws.by_tag("")).await, Observed::Nothing);
    let receipt = push(&aws.by_tag(""), 1, &first).await.expect("imported");
    let arn = arn(&receipt.output);
    assert!(receipt.changed && arn.starts_with("arn:aws:acm:eu-west-1:"), "{receipt:?}");
    assert_eq!(observed(&aws.by_tag("")).await, Observed::Leaf(first.fingerprint()));
    // Found by its tag, and not written again.
    assert!(!push(&aws.by_tag(""), 1, &first).await.expect("it is there").changed);

    let rotations: u64 =
        std::env::var("PUSH_ROTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let spec = aws.by_arn(&arn);
    for version in 2..2 + rotations {
        let bundle = issuer.bundle(&["shop.test"]);
        let receipt = push(&spec, version, &bundle).await.expect("imported");
        assert!(
            receipt.changed && receipt.output == format!("imported under {arn}"),
            "{receipt:?}"
        );
        assert_eq!(observed(&spec).await, Observed::Leaf(bundle.fingerprint()));
    }
    // Going back is importing the one before.
    push(&spec, 1, &first).await.expect("imported");
    let decimal =
        u128::from_str_radix(&first.leaf().serial().to_string(), 16).expect("hexadecimal");
    assert_eq!(aws.serial(&arn), decimal.to_string());
    assert_eq!(aws.arns(), 1);
}

/// The latest import is what a target holds, and moto dates imports to the second.
async fn another_second() {
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
}

#[tokio::test]
async fn a_key_of_another_kind_is_refused_or_gets_an_arn_of_its_own_and_each_goes_on() {
    let (aws, issuer) = (Aws::start(), Issuer::new());
    let ecdsa = issuer.bundle(&["shop.test"]);
    let old = arn(&push(&aws.by_tag(""), 1, &ecdsa).await.expect("imported").output);
    let rsa = issuer.bundle_of(Rsa { bits: 2048 }, &["shop.test"]);
    for (spec, way) in [(aws.by_tag(""), "replace = true"), (aws.by_arn(&old), "instead of arn")] {
        let error = push(&spec, 2, &rsa).await.expect_err("the kind stays");
        let text = error.to_string();
        assert!(text.contains("its key is p256") && text.contains("rsa2048"), "{text}");
        assert!(text.contains(&old) && text.contains(way), "{text}");
        assert!(error.left_untouched() && error.fault() == Fault::Operator);
        assert_eq!(observed(&spec).await, Observed::Leaf(ecdsa.fingerprint()));
    }

    let spec = aws.by_tag("replace = true");
    let receipt = push(&spec, 2, &rsa).await.expect("under a new ARN");
    let new = arn(&receipt.output);
    assert!(
        new != old && receipt.output.contains(&format!("{old} keeps what it has")),
        "{receipt:?}"
    );
    assert_eq!(observed(&aws.by_arn(&new)).await, Observed::Leaf(rsa.fingerprint()));
    assert_eq!(observed(&aws.by_arn(&old)).await, Observed::Leaf(ecdsa.fingerprint()));
    // Back to the first kind: under the first ARN, and no third.
    let again = issuer.bundle_of(EcdsaP256, &["shop.test"]);
    another_second().await;
    let receipt = push(&spec, 3, &again).await.expect("imported");
    assert!(
        receipt.output.starts_with(&format!("imported under {old}; {new} keeps")),
        "{receipt:?}"
    );
    aws.tagged(&old);
    let again_leaf = again.fingerprint();
    let again = push(&spec, 3, &again).await.expect("it is there");
    assert!(!again.changed && again.output.contains(&new), "{again:?}");
    assert_eq!(observed(&aws.by_tag("")).await, Observed::Leaf(again_leaf));
    // And forth, to what the second ARN has still: it is what the target holds from then on.
    another_second().await;
    let receipt = push(&spec, 2, &rsa).await.expect("imported");
    assert!(receipt.changed && receipt.output.starts_with(&format!("imported under {new}")));
    aws.tagged(&new);
    assert_eq!(observed(&aws.by_tag("")).await, Observed::Leaf(rsa.fingerprint()));
    assert_eq!(aws.arns(), 2);
}

#[tokio::test]
async fn what_a_key_may_be_used_for_is_not_taken_back() {
    let (aws, issuer) = (Aws::start(), Issuer::new());
    let bundle = issuer.bundle(&["shop.test"]);
    // clientAuth is let go.
    let arn = aws.imported("serverAuth,clientAuth");
    push(&aws.by_arn(&arn), 1, &bundle).await.expect("imported");
    let arn = aws.imported("serverAuth,codeSigning");
    let error = push(&aws.by_arn(&arn), 1, &bundle).await.expect_err("codeSigning stays");
    assert!(error.to_string().contains("used for 1.3.6.1.5.5.7.3.3"), "{error}");
    assert!(error.left_untouched(), "{error}");
}

#[tokio::test]
async fn what_acm_never_takes_is_refused_before_it_is_asked() {
    let folder = Folder::new();
    let credentials = folder.write("credentials", "");
    let credentials = credentials.to_str().expect("a plain path");
    // Nobody listens there.
    let spec = at("http://127.0.0.1:9", credentials, "tag = \"a\"\nregion = \"eu-west-1\"");
    let issuer = Issuer::new();
    for bundle in [issuer.bundle_of(Ed25519, &["shop.test"]), keyless(&issuer, &["shop.test"])] {
        let error = push(&spec, 1, &bundle).await.expect_err("not taken");
        assert!(matches!(error, PushError::Declaration(_)), "{error}");
    }
    let error = push(&spec, 1, &issuer.bundle(&["shop.test"])).await.expect_err("no keys");
    assert!(error.to_string().contains("aws_access_key_id") && error.left_untouched(), "{error}");
    fs::write(credentials, KEYS).expect("written");
    let error = push(&spec, 1, &issuer.bundle(&["shop.test"])).await.expect_err("nobody");
    assert!(matches!(error, PushError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn what_aws_says_is_told_and_no_secret_with_it() {
    let (aws, issuer) = (Aws::start(), Issuer::new());
    let bundle = issuer.bundle(&["shop.test"]);
    let gone = "arn:aws:acm:eu-west-1:123456789012:certificate/none";
    let error = push(&aws.by_arn(gone), 1, &bundle).await.expect_err("there is none");
    assert!(error.to_string().contains("import one there first"), "{error}");
    assert!(error.left_untouched() && error.fault() == Fault::Operator, "{error}");

    let error = push(&aws.by_tag("profile = \"wrong\""), 1, &bundle).await.expect_err("no");
    assert!(error.to_string().contains("SignatureDoesNotMatch"), "{error}");
    assert!(error.left_untouched() && error.fault() == Fault::Target, "{error}");
    let keys = fs::read_to_string(aws.folder.path("credentials")).expect("readable");
    let secrets = keys.lines().filter_map(|line| line.strip_prefix("aws_secret_access_key = "));
    for secret in secrets {
        assert!(!error.to_string().contains(secret) && !format!("{error:?}").contains(secret));
    }
}

/// What one who stands for ACM answers to an action; `None` hangs up.
type Answer = Box<dyn Fn(&str) -> Option<(u16, String)> + Send>;

/// Answers as it is told to; gives its address.
fn stand_in(answer: Answer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut reader = BufReader::new(stream.try_clone().expect("a copy"));
            let (mut action, mut length, mut line) = (String::new(), 0, String::new());
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                let (name, value) = line.trim().split_once(": ").unwrap_or_default();
                match name.to_lowercase().as_str() {
                    "x-amz-target" => action = value.rsplit('.').next().unwrap_or("").into(),
                    "content-length" => length = value.parse().expect("a number"),
                    _ => {}
                }
                line.clear();
            }
            let mut body = vec![0; length];
            let _ = reader.read_exact(&mut body);
            if let Some((status, text)) = answer(&action) {
                let length = text.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status} So\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
                );
            }
        }
    });
    format!("http://{address}")
}

fn shown(bundle: &Bundle) -> (u16, String) {
    (200, serde_json::json!({ "Certificate": bundle.cert_pem() }).to_string())
}

fn with_keys(endpoint: &str) -> (Folder, Spec) {
    let folder = Folder::new();
    folder.write("credentials", KEYS);
    let arn = "arn = \"arn:aws:acm:eu-west-1:123456789012:certificate/one\"\ntimeout = \"5s\"";
    let spec = at(endpoint, &folder.text("credentials"), arn);
    (folder, spec)
}

#[tokio::test]
async fn an_answer_that_is_lost_is_asked_for_again() {
    let issuer = Issuer::new();
    let (old, new) = (issuer.bundle(&["shop.test"]), issuer.bundle(&["shop.test"]));
    let (before, after) = (shown(&old), shown(&new));
    for is_done in [true, false] {
        let imported = std::sync::atomic::AtomicBool::new(false);
        let (before, after) = (before.clone(), after.clone());
        let endpoint = stand_in(Box::new(move |action| {
            if action == "ImportCertificate" {
                imported.store(is_done, std::sync::atomic::Ordering::Relaxed);
                return None;
            }
            let done = imported.load(std::sync::atomic::Ordering::Relaxed);
            Some(if done { after.clone() } else { before.clone() })
        }));
        let (_folder, spec) = with_keys(&endpoint);
        match push(&spec, 2, &new).await {
            Ok(receipt) => assert!(is_done && receipt.changed),
            Err(error) => assert!(!is_done && !error.left_untouched(), "{error}"),
        }
    }
}

#[tokio::test]
async fn one_who_has_too_much_to_do_is_asked_again_and_nonsense_is_told() {
    let issuer = Issuer::new();
    let (old, new) = (issuer.bundle(&["shop.test"]), issuer.bundle(&["shop.test"]));
    let (shown, throttled) = (shown(&old), std::sync::atomic::AtomicU32::new(0));
    let endpoint = stand_in(Box::new(move |_| {
        let times = throttled.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let refused = r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#;
        Some(if times == 0 { (400, refused.into()) } else { shown.clone() })
    }));
    let (_folder, spec) = with_keys(&endpoint);
    assert_eq!(observed(&spec).await, Observed::Leaf(old.fingerprint()));
    // It takes everything, and shows what it had.
    let error = push(&spec, 2, &new).await.expect_err("ACM does not show it");
    assert!(!error.left_untouched(), "{error}");
    for nonsense in ["<html>".to_owned(), "{}".to_owned(), "x".repeat(5_000_000)] {
        let endpoint = stand_in(Box::new(move |_| Some((200, nonsense.clone()))));
        let (_folder, spec) = with_keys(&endpoint);
        let error = push(&spec, 2, &new).await.expect_err("nonsense");
        assert!(error.to_string().contains("no answer that can be used"), "{error}");
        assert!(error.left_untouched() && error.to_string().len() < 400, "{error}");
    }
}

const KEYS: &str = "[default]\naws_access_key_id = AKIA\naws_secret_access_key = secret\n";
