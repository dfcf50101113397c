//! What was seen at one place, as whoever saw it tells the server.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// What was seen at a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Finding {
    /// `tls://ADDRESS:PORT/NAME`, `file://HOST/PATH`, `secret://CLUSTER/NAMESPACE/NAME`.
    pub(crate) place: String,
    /// The name that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) asked: Option<String>,
    /// The certificates, DER in base64, leaf first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) chain: Vec<String>,
    /// Who keeps it there, as far as that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keeper: Option<String>,
    /// Why nothing was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

impl Finding {
    /// Certificates (DER, leaf first) that were seen at `place`; no more and no larger ones than are
    /// kept.
    pub(crate) fn seen<'a>(place: String, chain: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let chain: Vec<_> = chain.into_iter().take(MAX_CHAIN).collect();
        if chain.iter().any(|der| der.len() > MAX_DER) {
            return Self::nothing(place, "a certificate there is larger than 64 KiB");
        }
        let encoded = chain.into_iter().map(|der| data_encoding::BASE64.encode(der));
        Self { place, asked: None, chain: encoded.collect(), keeper: None, error: None }
    }

    /// Why nothing was seen at `place`.
    pub(crate) fn nothing(place: String, why: impl Into<String>) -> Self {
        let error = Some(short(&why.into(), MAX_ERROR));
        Self { place, asked: None, chain: Vec::new(), keeper: None, error }
    }

    /// The same, asked for by this name.
    pub(crate) fn asked(self, name: Option<&str>) -> Self {
        Self { asked: name.map(str::to_owned), ..self }
    }

    /// The certificates, decoded.
    ///
    /// # Errors
    /// When it is larger than findings are, or not what it should be.
    pub(crate) fn decode(&self) -> Result<Vec<Vec<u8>>, FindingError> {
        let told = |text: &Option<String>, most| text.as_ref().is_none_or(|t| t.len() <= most);
        let known = PLACES.iter().any(|scheme| self.place.starts_with(scheme));
        let plain = !self.place.contains(char::is_control);
        if !known || !plain || self.place.len() > MAX_PLACE {
            return Err(FindingError::Place(short(&self.place, 80)));
        }
        if self.chain.len() > MAX_CHAIN
            || !told(&self.asked, MAX_NAME)
            || !told(&self.keeper, MAX_NAME)
            || !told(&self.error, 2 * MAX_ERROR)
        {
            return Err(FindingError::TooLarge(self.place.clone()));
        }
        if self.chain.is_empty() == self.error.is_none() {
            return Err(FindingError::Both(self.place.clone()));
        }
        let decode = |text: &String| {
            if text.len() > MAX_ENCODED {
                return Err(FindingError::TooLarge(self.place.clone()));
            }
            let decoded = data_encoding::BASE64.decode(text.as_bytes());
            decoded.map_err(|_| FindingError::Base64(self.place.clone()))
        };
        self.chain.iter().map(decode).collect()
    }
}

/// A finding that nobody here would have sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FindingError {
    /// Not a place as places are written.
    #[error(
        "{0:?} is no place: write tls://ADDRESS:PORT/NAME, file://HOST/PATH or secret://CLUSTER/NAMESPACE/NAME"
    )]
    Place(String),
    /// More, or longer, than is kept.
    #[error("what was found at {0:?} is larger than what is kept of a place")]
    TooLarge(String),
    /// Certificates and an error, or neither.
    #[error("what was found at {0:?} is to be either certificates or an error")]
    Both(String),
    /// Not base64.
    #[error("a certificate found at {0:?} is not base64")]
    Base64(String),
}

/// The place of an address, asked for by a name or without one.
pub(crate) fn tls_place(address: SocketAddr, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("tls://{address}/{name}"),
        None => format!("tls://{address}"),
    }
}

/// The beginning of a text, on one line.
pub(super) fn short(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

const PLACES: [&str; 3] = ["tls://", "file://", "secret://"];
/// A path, each octet of which may have become a mark of three.
const MAX_PLACE: usize = 16 * 1024;
const MAX_NAME: usize = 253;
const MAX_ERROR: usize = 300;
/// As many as servers send at the most, and more.
const MAX_CHAIN: usize = 16;
const MAX_DER: usize = 64 * 1024;
const MAX_ENCODED: usize = MAX_DER * 4 / 3 + 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_finding_is_is_refused() {
        let good = Finding::seen("tls://127.0.0.1:443".into(), [&b"der"[..]]);
        assert_eq!(good.decode(), Ok(vec![b"der".to_vec()]));
        let place = |place: &str| Finding { place: place.into(), ..good.clone() }.decode();
        assert!(matches!(place("http://a"), Err(FindingError::Place(_))));
        assert!(matches!(place("file://a/\n"), Err(FindingError::Place(_))));
        assert!(matches!(
            place(&format!("file://{}", "a".repeat(20_000))),
            Err(FindingError::Place(_))
        ));
        let neither = Finding { chain: Vec::new(), ..good.clone() };
        assert!(matches!(neither.decode(), Err(FindingError::Both(_))));
        let both = Finding { error: Some("why".into()), ..good.clone() };
        assert!(matches!(both.decode(), Err(FindingError::Both(_))));
        let many = Finding { chain: vec![good.chain[0].clone(); 17], ..good.clone() };
        assert!(matches!(many.decode(), Err(FindingError::TooLarge(_))));
        let long = Finding { chain: vec!["A".repeat(100_000)], ..good.clone() };
        assert!(matches!(long.decode(), Err(FindingError::TooLarge(_))));
        let bad = Finding { chain: vec!["?".into()], ..good.clone() };
        assert!(matches!(bad.decode(), Err(FindingError::Base64(_))));
        let large = vec![0; MAX_DER + 1];
        let large = Finding::seen(good.place.clone(), [large.as_slice()]);
        assert!(large.error.is_some() && large.decode() == Ok(Vec::new()), "what is told is taken");
        let many = Finding::seen(good.place, [&b"der"[..]; 100]);
        assert_eq!(many.decode().map(|chain| chain.len()), Ok(MAX_CHAIN));
    }
}
