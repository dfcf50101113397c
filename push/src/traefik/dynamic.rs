//! Traefik's dynamic configuration of certificates, as JSON, which is YAML too. It takes PEM texts where
//! it takes paths.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Leaf and chain, and key: each in PEM or as the path of a file.
type Pair = (String, Zeroizing<String>);

/// The configuration that has Traefik serve `pairs`, and `default` where none of them fits.
#[must_use]
pub fn dynamic(pairs: &[Pair], default: Option<&Pair>) -> Zeroizing<Vec<u8>> {
    let stores = default.map(|pair| Stores { default: Store { default_certificate: of(pair) } });
    let tls = Tls { certificates: pairs.iter().map(of).collect(), stores };
    // Reserved at once, with room for a backslash before each line feed: what grows leaves copies of
    // keys behind in freed memory.
    let length = |(certificate, key): &Pair| certificate.len() + key.len();
    let texts: usize = pairs.iter().chain(default).map(length).sum();
    let room = texts + texts / 16 + 256 * (pairs.len() + 2);
    let mut out = Zeroizing::new(Vec::with_capacity(room));
    // Writing texts to memory does not fail.
    let _ = serde_json::to_writer(&mut *out, &Dynamic { tls });
    out
}

/// The first pair of what [`dynamic`] wrote, below comments.
pub(super) fn first_pair(content: &[u8]) -> Option<(Zeroizing<String>, Zeroizing<String>)> {
    let text = std::str::from_utf8(content).ok()?;
    let json = text.trim_start_matches(|one| one != '{');
    let written: Written = serde_json::from_str(json).ok()?;
    let pair = written.tls.certificates.into_iter().next()?;
    Some((pair.cert_file, pair.key_file))
}

fn of((certificate, key): &Pair) -> Certificate<'_> {
    Certificate { cert_file: certificate, key_file: key }
}

#[derive(Serialize)]
struct Dynamic<'a> {
    tls: Tls<'a>,
}

#[derive(Serialize)]
struct Tls<'a> {
    certificates: Vec<Certificate<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stores: Option<Stores<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Certificate<'a> {
    cert_file: &'a str,
    key_file: &'a str,
}

/// There is only one that Traefik looks at.
#[derive(Serialize)]
struct Stores<'a> {
    default: Store<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Store<'a> {
    default_certificate: Certificate<'a>,
}

#[derive(Deserialize)]
struct Written {
    tls: WrittenTls,
}

#[derive(Deserialize)]
struct WrittenTls {
    certificates: Vec<WrittenPair>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenPair {
    cert_file: Zeroizing<String>,
    key_file: Zeroizing<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_fits_the_room_that_was_reserved() {
        let text = |word: &str| format!("-----BEGIN {word}-----\n{}", "A\n".repeat(5));
        let pair = (text("CERTIFICATE"), Zeroizing::new(text("PRIVATE KEY")));
        let written = dynamic(std::slice::from_ref(&pair), Some(&pair));
        let found = first_pair(&[b"# a comment\n", written.as_slice()].concat()).expect("a pair");
        assert_eq!((&*found.0, &*found.1), (&pair.0, &*pair.1));
        let json: serde_json::Value = serde_json::from_slice(&written).expect("JSON");
        let default = &json["tls"]["stores"]["default"]["defaultCertificate"];
        assert_eq!(default["certFile"].as_str(), Some(pair.0.as_str()));
        for nonsense in ["", "# no", "{", "{\"tls\":{\"certificates\":[]}}", "[{]"] {
            assert!(first_pair(nonsense.as_bytes()).is_none(), "{nonsense}");
        }
    }
}
