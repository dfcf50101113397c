//! What is answered of a keyset, as octets: plain, and compressed where that is smaller. Made once for
//! each change; which of them a client gets is HTTP's to say.

use std::io::Write;

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::HeaderValue;
use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use flate2::Compression;
use flate2::write::GzEncoder;

/// A document in its representations (RFC 9110 §3.2).
pub(crate) struct Document {
    pub(crate) plain: Representation,
    /// None where it would be no smaller.
    pub(crate) gzip: Option<Representation>,
}

/// Octets, and the strong tag they have for themselves (RFC 9110 §8.8.3.3).
pub(crate) struct Representation {
    pub(crate) octets: Bytes,
    /// With its quotation marks; visible ASCII.
    pub(crate) tag: HeaderValue,
}

impl Document {
    /// The document with this JSON text.
    pub(super) fn new(text: Vec<u8>) -> Self {
        let gzip = compressed(&text).filter(|octets| octets.len() < text.len());
        Self { plain: Representation::new(text), gzip: gzip.map(Representation::new) }
    }
}

impl Representation {
    fn new(octets: Vec<u8>) -> Self {
        let tag = BASE64URL_NOPAD.encode(digest(&SHA256, &octets).as_ref());
        let tag = HeaderValue::try_from(format!("\"{tag}\""));
        // base64url is visible ASCII, which every header may hold (RFC 9110 §5.5).
        let tag = tag.unwrap_or_else(|_| HeaderValue::from_static("\"\""));
        Self { octets: octets.into(), tag }
    }
}

/// The same text gives the same octets: no time and no name stand in them.
fn compressed(text: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).and_then(|()| encoder.finish()).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_document_is_compressed_only_where_that_is_smaller_and_each_form_has_its_tag() {
        let long = "perennial ".repeat(50).into_bytes();
        let document = Document::new(long.clone());
        let gzip = document.gzip.expect("it is smaller");
        assert!(gzip.octets.len() < long.len() && gzip.tag != document.plain.tag);
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(&gzip.octets[..]).read_to_end(&mut back).expect("gzip");
        assert_eq!(back, long);
        assert_eq!(Document::new(long).gzip.expect("again").tag, gzip.tag);
        assert!(Document::new(b"{\"keys\":[]}".to_vec()).gzip.is_none());
    }
}
