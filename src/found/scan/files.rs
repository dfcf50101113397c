//! Looking into files: certificates in PEM and DER, wherever below a directory they are. Links are not
//! followed, keys are not read for what they are, and what cannot be read is told and passed over.

use std::fs;
use std::io;
use std::io::Read;
use std::path::{Path, PathBuf};

use ca::survey::Survey;
use tokio::sync::mpsc::Sender;

use crate::found::finding::Finding;

/// Looks at a file, or at everything below a directory.
pub(super) async fn look(path: PathBuf, findings: Sender<Finding>) {
    let walk = move || {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        // A path that was named may be a link.
        let whole = fs::canonicalize(&path);
        let root = whole.as_ref().unwrap_or(&path);
        Walk { host, findings, left: MAX_ENTRIES }.enter(root, 0);
    };
    // A walk that panics takes nothing with it but itself.
    let _ = tokio::task::spawn_blocking(walk).await;
}

struct Walk {
    host: String,
    findings: Sender<Finding>,
    /// Entries that are looked at yet.
    left: u32,
}

impl Walk {
    fn enter(&mut self, path: &Path, depth: u32) {
        if self.findings.is_closed() {
            return;
        }
        let kind = match fs::symlink_metadata(path) {
            Ok(kind) => kind,
            Err(error) => return self.unread(path, &error),
        };
        if kind.is_dir() {
            if depth == MAX_DEPTH {
                return self.nothing(path, "directories are not followed deeper than this");
            }
            match fs::read_dir(path) {
                Ok(entries) => self.enter_all(entries, depth),
                Err(error) => self.unread(path, &error),
            }
        } else if kind.is_file() && kind.len() <= MAX_FILE {
            match read(path) {
                Ok(contents) => self.open(path, &contents),
                Err(error) => self.unread(path, &error),
            }
        }
    }

    fn enter_all(&mut self, entries: fs::ReadDir, depth: u32) {
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            if self.left == 0 {
                return self.nothing(&path, "more files than are looked at in one go; scan parts");
            }
            self.left -= 1;
            self.enter(&path, depth + 1);
        }
    }

    fn open(&mut self, path: &Path, contents: &[u8]) {
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        if contents.starts_with(&JKS) || matches!(extension.as_str(), "p12" | "pfx") {
            return self
                .nothing(path, "a keystore: what is in it cannot be told without its password");
        }
        let text = String::from_utf8_lossy(contents);
        let blocks = pem_blocks(&text);
        if blocks.is_empty() {
            let named = matches!(extension.as_str(), "der" | "cer" | "crt" | "cert");
            // Any other file is none of ours.
            if named && contents.first() == Some(&0x30) {
                self.tell(Finding::seen(self.place(path, 0), [contents]));
            }
            return;
        }
        let ders: Result<Vec<_>, _> = blocks.iter().map(|block| decode(block)).collect();
        let Ok(ders) = ders else {
            return self.nothing(path, "a certificate in it is not base64");
        };
        for (number, chain) in chains(&ders).into_iter().enumerate() {
            let chain = chain.iter().map(Vec::as_slice);
            self.tell(Finding::seen(self.place(path, number), chain));
        }
    }

    fn place(&self, path: &Path, number: usize) -> String {
        let part = if number == 0 { String::new() } else { format!("#{}", number + 1) };
        let plain = path.to_string_lossy().replace(char::is_control, "?");
        format!("file://{}{plain}{part}", self.host)
    }

    fn unread(&mut self, path: &Path, error: &io::Error) {
        self.nothing(path, &error.to_string());
    }

    fn nothing(&mut self, path: &Path, why: &str) {
        self.tell(Finding::nothing(self.place(path, 0), why));
    }

    fn tell(&self, finding: Finding) {
        let _ = self.findings.blocking_send(finding);
    }
}

/// Reads a file that may grow meanwhile.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    fs::File::open(path)?.take(MAX_FILE).read_to_end(&mut contents)?;
    Ok(contents)
}

/// What stands between the lines that mark certificates (RFC 7468 §5); of what OpenSSL calls trusted
/// ones, the certificate alone is not to be had, so they are passed over.
pub(super) fn pem_blocks(text: &str) -> Vec<&str> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, tail)) = rest.split_once(BEGIN) {
        let Some((block, tail)) = tail.split_once(END) else { break };
        blocks.push(block);
        rest = tail;
    }
    blocks
}

pub(super) fn decode(block: &str) -> Result<Vec<u8>, data_encoding::DecodeError> {
    let text: String = block.split_ascii_whitespace().collect();
    data_encoding::BASE64.decode(text.as_bytes())
}

/// Certificates in the order of a file, each with what follows and issued it.
pub(super) fn chains(ders: &[Vec<u8>]) -> Vec<&[Vec<u8>]> {
    let surveys: Vec<_> = ders.iter().map(|der| Survey::of(der).ok()).collect();
    let goes_on = |index: usize| match (&surveys[index - 1], &surveys[index]) {
        (Some(below), Some(above)) => !below.self_issued && below.issuer == above.subject,
        _ => false,
    };
    let mut starts: Vec<_> = (0..ders.len()).filter(|i| *i == 0 || !goes_on(*i)).collect();
    starts.push(ders.len());
    starts.windows(2).map(|pair| &ders[pair[0]..pair[1]]).collect()
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// How a Java keystore begins.
const JKS: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];
/// Bundles of all public roots have a quarter of this.
const MAX_FILE: u64 = 1024 * 1024;
const MAX_DEPTH: u32 = 32;
const MAX_ENTRIES: u32 = 1_000_000;
