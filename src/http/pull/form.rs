//! In which form a certificate is pulled: named by the ending of its URL, or negotiated (RFC 9110
//! §12.5.1); and the bytes of each. What holds a key is erased when it has been sent.

use bytes::Bytes;
use data_encoding::HEXLOWER;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::store::VersionRow;

/// A representation of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Everything, with names.
    Json,
    /// Leaf, chain and key in one file.
    Combined,
    /// Leaf and chain, no key (RFC 8555 §9.1).
    Fullchain,
}

impl Form {
    /// Splits the last part of a URL into the certificate's name, which has no dots, and the form
    /// that its ending asks for. `None` if there is no such form.
    pub(super) fn split(file: &str) -> Option<(&str, Option<Self>)> {
        let Some((name, ending)) = file.split_once('.') else { return Some((file, None)) };
        let form = ALL.into_iter().find(|form| form.ending() == ending)?;
        Some((name, Some(form)))
    }

    /// The form that fits `accept` best, of those that can be had with or without a key; the first
    /// if it does not matter to the client.
    pub(super) fn negotiate(accept: Option<&str>, has_key: bool) -> Option<Self> {
        let mut best = None;
        for form in ALL.into_iter().filter(|form| form.can_be_had(has_key)) {
            let quality = accept.map_or(WANTED, |accept| form.quality(accept));
            if quality > best.map_or(0, |(quality, _)| quality) {
                best = Some((quality, form));
            }
        }
        best.map(|(_, form)| form)
    }

    /// Whether it says anything if there is no key here, since it was made elsewhere.
    pub(super) fn can_be_had(self, has_key: bool) -> bool {
        has_key || self != Self::Combined
    }

    /// Whether the private key is in it, if there is one.
    pub(super) fn holds_key(self) -> bool {
        self != Self::Fullchain
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Combined => "application/x-pem-file",
            Self::Fullchain => "application/pem-certificate-chain",
        }
    }

    /// The strong entity tag (RFC 9110 §8.8.3) of a version in this form. A version never changes;
    /// the leaf tells it from one of the same number in another store.
    pub(super) fn tag(self, version: &VersionRow) -> String {
        let leaf = HEXLOWER.encode(&version.fingerprint[..8]);
        format!("\"{}-{leaf}-{}\"", version.number, self.ending())
    }

    /// The bytes of a version in this form. `None` if it needs a key that is not here.
    pub(super) fn render(
        self,
        name: &str,
        version: &VersionRow,
        bundle: &push::Bundle,
    ) -> Option<Bytes> {
        match self {
            Self::Json => json(name, version, bundle),
            Self::Combined => bundle.combined_pem().map(|text| Bytes::from_owner(Text(text))),
            Self::Fullchain => Some(bundle.fullchain_pem().into()),
        }
    }

    fn ending(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Combined => "pem",
            Self::Fullchain => "fullchain.pem",
        }
    }

    /// How much a client wants this form, in thousandths: what the most specific of its ranges says.
    fn quality(self, accept: &str) -> u16 {
        let mut found = (0, 0);
        for range in accept.split(',').take(MAX_RANGES) {
            let mut parts = range.split(';').map(str::trim);
            let media_range = parts.next().unwrap_or_default();
            let specific = match media_range.split_once('/') {
                _ if media_range.eq_ignore_ascii_case(self.media_type()) => 3,
                Some((kind, "*")) if kind.eq_ignore_ascii_case("application") => 2,
                Some(("*", "*")) => 1,
                _ => continue,
            };
            let weight = parts.find_map(|p| p.strip_prefix("q=").or(p.strip_prefix("Q=")));
            let quality = weight.map_or(Some(WANTED), thousandths);
            if let Some(quality) = quality
                && specific > found.0
            {
                found = (specific, quality);
            }
        }
        found.1
    }
}

/// A weight (RFC 9110 §12.4.2).
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, part) = weight.split_once('.').unwrap_or((weight, ""));
    if part.len() > 3 || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(WANTED),
        _ => None,
    }
}

#[derive(Serialize)]
struct Whole<'a> {
    name: &'a str,
    version: u32,
    not_before: String,
    not_after: String,
    /// Of the leaf.
    sha256: String,
    certificate: String,
    chain: String,
    fullchain: String,
    /// None where it was made elsewhere.
    key: Option<&'a str>,
}

fn json(name: &str, version: &VersionRow, bundle: &push::Bundle) -> Option<Bytes> {
    let key = bundle.key_pem();
    let whole = Whole {
        name,
        version: version.number,
        not_before: version.not_before.to_string(),
        not_after: version.not_after.to_string(),
        sha256: HEXLOWER.encode(&version.fingerprint),
        certificate: bundle.cert_pem(),
        chain: bundle.chain_pem(),
        fullchain: bundle.fullchain_pem(),
        key: key.as_ref().map(|key| key.as_str()),
    };
    // Reserved at once, with room for a backslash before each line feed: what grows leaves copies
    // of the key behind in freed memory.
    let texts = whole.fullchain.len() * 2 + key.as_ref().map_or(0, |key| key.len());
    let mut out = Zeroizing::new(Vec::with_capacity(texts + texts / 16 + 1024));
    serde_json::to_writer(&mut *out, &whole).ok()?;
    Some(Bytes::from_owner(out))
}

/// A text as bytes that are erased when the last who has them is done.
struct Text(Zeroizing<String>);

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

const ALL: [Form; 3] = [Form::Json, Form::Combined, Form::Fullchain];
/// A weight of 1.
const WANTED: u16 = 1000;
const MAX_RANGES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_of_a_url_names_the_form() {
        assert_eq!(Form::split("shop"), Some(("shop", None)));
        assert_eq!(Form::split("shop.json"), Some(("shop", Some(Form::Json))));
        assert_eq!(Form::split("shop.pem"), Some(("shop", Some(Form::Combined))));
        assert_eq!(Form::split("shop.fullchain.pem"), Some(("shop", Some(Form::Fullchain))));
        for none in ["shop.", "shop.p12", "shop.pem.", "shop.PEM", "shop.x.pem"] {
            assert_eq!(Form::split(none), None, "{none}");
        }
    }

    #[test]
    fn a_client_gets_what_it_likes_best_of_what_there_is() {
        let chosen = |accept| Form::negotiate(Some(accept), true);
        for (accept, form) in [
            ("*/*", Some(Form::Json)),
            ("application/*", Some(Form::Json)),
            ("application/x-pem-file", Some(Form::Combined)),
            ("Application/X-PEM-File", Some(Form::Combined)),
            ("application/pem-certificate-chain, */*;q=0.1", Some(Form::Fullchain)),
            ("application/json;q=0.5, application/x-pem-file;q=0.501", Some(Form::Combined)),
            ("application/json;q=0, */*", Some(Form::Combined)),
            ("application/*;q=0, application/json", Some(Form::Json)),
            ("application/json;q=0", None),
            ("text/html", None),
            ("text/*, image/png", None),
            ("", None),
            ("application/json;q=2", None),
        ] {
            assert_eq!(chosen(accept), form, "{accept}");
        }
        assert_eq!(Form::negotiate(None, true), Some(Form::Json));
    }

    #[test]
    fn where_there_is_no_key_no_file_is_promised_that_needs_one() {
        assert_eq!(Form::negotiate(Some("application/x-pem-file"), false), None);
        let either = "application/x-pem-file, application/pem-certificate-chain;q=0.1";
        assert_eq!(Form::negotiate(Some(either), false), Some(Form::Fullchain));
        assert!(Form::Json.can_be_had(false) && !Form::Combined.can_be_had(false));
    }

    #[test]
    fn weights_are_read_as_the_rfc_writes_them() {
        for (weight, value) in [("0", 0), ("1", 1000), ("0.5", 500), ("0.05", 50), ("1.000", 1000)]
        {
            assert_eq!(thousandths(weight), Some(value), "{weight}");
        }
        for bad in ["", "2", "1.1", "0.1234", "0.x", "-1", "0,5", "1.+1"] {
            assert_eq!(thousandths(bad), None, "{bad}");
        }
    }
}
