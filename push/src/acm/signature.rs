//! Signature Version 4 of AWS, for what is sent here: a POST of JSON to the root of a service. By hand,
//! over AWS-LC, since the crate for it (aws-sigv4) brings a second crypto library.

use aws_lc_rs::{digest, hmac};
use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use super::credentials::Credentials;

/// What a signature is good for.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    /// `YYYYMMDDTHHMMSSZ`.
    pub(super) time: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

/// The value of the header Authorization for a POST to `/` with these headers, whose names are in lower
/// case and in order, and this body.
pub(super) fn authorization(
    credentials: &Credentials,
    scope: Scope<'_>,
    headers: &[(&str, &str)],
    body: &[u8],
) -> String {
    let Scope { time, region, service } = scope;
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let lines: String =
        headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let request = Zeroizing::new(format!("POST\n/\n\n{lines}\n{names}\n{}", sha256(body)));
    let date = time.split('T').next().unwrap_or_default();
    let range = format!("{date}/{region}/{service}/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{range}\n{}", sha256(request.as_bytes()));
    let signature = HEXLOWER.encode(mac(&key(credentials, date, scope), &text).as_ref());
    format!(
        "AWS4-HMAC-SHA256 Credential={}/{range}, SignedHeaders={names}, Signature={signature}",
        credentials.id
    )
}

/// A key for one day, one region and one service.
fn key(credentials: &Credentials, date: &str, scope: Scope<'_>) -> hmac::Key {
    let secret = Zeroizing::new(format!("AWS4{}", credentials.secret.as_str()));
    let first = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    [date, scope.region, scope.service, "aws4_request"]
        .iter()
        .fold(first, |key, word| hmac::Key::new(hmac::HMAC_SHA256, mac(&key, word).as_ref()))
}

fn mac(key: &hmac::Key, text: &str) -> hmac::Tag {
    hmac::sign(key, text.as_bytes())
}

fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest::digest(&digest::SHA256, bytes).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_aws_are_signed_as_it_has_them() {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let credentials = Credentials::new("AKIDEXAMPLE", secret, None);
        let scope = Scope { time: "20150830T123600Z", region: "us-east-1", service: "service" };
        let headers = [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")];
        // Of AWS's test suite for signatures: post-vanilla.
        assert_eq!(
            authorization(&credentials, scope, &headers, b""),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
        );
    }
}
