//! How keys are named. A kid is chosen once, when the key is made; naming keys otherwise from then on
//! leaves those that are there as they are.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::jwk::{Kid, PublicKey};

/// From what a kid is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Naming {
    /// The key's RFC 7638 thumbprint.
    #[default]
    Thumbprint,
    /// The SHA-256 of its SubjectPublicKeyInfo in base64url without padding, as Kubernetes names the
    /// keys of service account tokens.
    Spki,
    /// A random UUID (RFC 9562 §5.4).
    Uuid,
    /// The day on which it was made, such as `2026-11-24`; with a number after it from the second key
    /// of that day on.
    Date,
}

impl Naming {
    /// The name of `key`, made at `now`; none of those that `is_taken`. `random` is drawn for this
    /// name alone.
    #[must_use]
    pub fn name(
        self,
        key: &PublicKey,
        now: Timestamp,
        random: [u8; 16],
        is_taken: impl Fn(&Kid) -> bool,
    ) -> Kid {
        let text = match self {
            Self::Thumbprint => return Kid::of(key),
            Self::Spki => BASE64URL_NOPAD.encode(digest(&SHA256, &key.spki()).as_ref()),
            Self::Uuid => uuid(random),
            Self::Date => {
                let day = now.to_zoned(TimeZone::UTC).date().to_string();
                let counted = (2_u64..).map(|count| format!("{day}-{count}"));
                let kids = std::iter::once(day.clone()).chain(counted);
                // Some number is free.
                return kids
                    .filter_map(|kid| kid.parse().ok())
                    .find(|kid| !is_taken(kid))
                    .unwrap_or_else(|| Kid::of(key));
            }
        };
        // All of these are letters, digits and hyphens.
        text.parse().unwrap_or_else(|_| Kid::of(key))
    }
}

fn uuid(mut random: [u8; 16]) -> String {
    random[6] = random[6] & 0x0f | 0x40;
    random[8] = random[8] & 0x3f | 0x80;
    let hex = HEXLOWER.encode(&random);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
