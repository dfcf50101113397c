//! The documents by which a consumer finds the set: OpenID Provider configuration (OpenID Connect
//! Discovery 1.0 §3) and authorization server metadata (RFC 8414 §2), with no more than an issuer of
//! tokens can say of itself.

use serde::Serialize;

use crate::algorithm::Algorithm;

/// The minimal OpenID Provider configuration, as JSON. `issuer` is a URL without query or fragment,
/// exactly as it stands in `iss`; `algorithms` are those that sign, without repetition.
#[must_use]
pub fn openid_configuration(issuer: &str, jwks_uri: &str, algorithms: &[Algorithm]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Configuration<'a> {
        issuer: &'a str,
        jwks_uri: &'a str,
        response_types_supported: [&'a str; 1],
        subject_types_supported: [&'a str; 1],
        id_token_signing_alg_values_supported: &'a [Algorithm],
    }
    json(&Configuration {
        issuer,
        jwks_uri,
        response_types_supported: ["id_token"],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: algorithms,
    })
}

/// The minimal authorization server metadata, as JSON. It demands `response_types_supported`, which
/// is empty: no authorization endpoint is offered.
#[must_use]
pub fn server_metadata(issuer: &str, jwks_uri: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Metadata<'a> {
        issuer: &'a str,
        jwks_uri: &'a str,
        response_types_supported: [&'a str; 0],
        grant_types_supported: [&'a str; 0],
    }
    json(&Metadata { issuer, jwks_uri, response_types_supported: [], grant_types_supported: [] })
}

fn json(document: &impl Serialize) -> Vec<u8> {
    // Structs of strings cannot fail to be written.
    serde_json::to_vec(document).unwrap_or_default()
}
