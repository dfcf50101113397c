//! Content codings (RFC 9110 §12.5.3): whether a client would rather have gzip than plain octets.

use axum::http::{HeaderMap, header};

use super::tags::listed;

/// Whether gzip may be sent, and the client does not like it less than what is not coded at all.
pub(super) fn wants_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    for element in listed(headers, &header::ACCEPT_ENCODING) {
        let (coding, parameters) = element.split_once(';').unwrap_or((element, ""));
        let place = match coding.trim().to_ascii_lowercase().as_str() {
            // §8.4.1.3: x-gzip is the same.
            "gzip" | "x-gzip" => &mut gzip,
            "identity" => &mut identity,
            "*" => &mut any,
            _ => continue,
        };
        *place = Some(weight(parameters));
    }
    let gzip = gzip.or(any).unwrap_or(0);
    // What is not named is acceptable still; who names gzip alone would rather have that.
    gzip > 0 && gzip >= identity.unwrap_or(0)
}

/// A weight in thousandths (§12.4.2): one if there is none, nothing if it cannot be read.
fn weight(parameters: &str) -> u16 {
    let parameters = parameters.trim();
    if parameters.is_empty() {
        return 1000;
    }
    let value =
        parameters.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    let Some((_, value)) = value else { return 0 };
    let (whole, part) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    if part.len() > 3 || !part.bytes().all(|digit| digit.is_ascii_digit()) {
        return 0;
    }
    let thousandths = format!("{part:0<3}").parse().unwrap_or(0);
    match whole {
        "0" => thousandths,
        "1" if thousandths == 0 => 1000,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn gzip_goes_to_those_who_would_rather_have_it() {
        for (accepted, wanted) in [
            ("gzip", true),
            ("deflate, gzip, br", true),
            ("X-GZIP;Q=0.5", true),
            ("*", true),
            ("gzip;q=0.001", true),
            ("gzip;q=1.000, identity;q=1", true),
            ("identity;q=0.5, *;q=0.5", true),
            ("gzip ; q=0.8 , identity ; q=0.7", true),
            ("", false),
            ("br", false),
            ("identity", false),
            ("gzip;q=0", false),
            ("gzip;q=0.000, *", false),
            ("*;q=0", false),
            ("gzip;q=0.5, identity;q=0.6", false),
            ("gzip;q=2", false),
            ("gzip;q=1.1", false),
            ("gzip;q=-1", false),
            ("gzip;q=0.1234", false),
            ("gzip;level=1", false),
            ("gzipped", false),
        ] {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_static(accepted);
            headers.insert(header::ACCEPT_ENCODING, value);
            assert_eq!(wants_gzip(&headers), wanted, "{accepted:?}");
        }
        assert!(!wants_gzip(&HeaderMap::new()), "who says nothing gets plain octets");
    }
}
