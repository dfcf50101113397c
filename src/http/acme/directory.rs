//! The directory itself, and nonces (RFC 8555 §7.1.1, §7.2).

use std::collections::BTreeMap;

use acme::ChallengeType;
use acme::resource::{Directory, Meta};
use axum::body::Body;
use axum::http::{Method, Response, StatusCode, header};
use ca::ExtendedKeyUsage;

use super::call::{Call, with_header};
use super::resource::Resource;
use crate::perform::validation::hash_prefix;

/// The directory object.
pub(super) fn show(call: &Call) -> Response<Body> {
    let spec = &call.directory.spec;
    let persistent = call.directory.offers(ChallengeType::DnsPersist01);
    let profiles: BTreeMap<_, _> = (call.directory.profiles.iter())
        .map(|profile| (profile.name.clone(), describe(profile)))
        .collect();
    let directory = Directory {
        new_nonce: call.url_of(&Resource::NewNonce),
        new_account: call.url_of(&Resource::NewAccount),
        new_order: call.url_of(&Resource::NewOrder),
        new_authz: Some(call.url_of(&Resource::NewAuthorization)),
        revoke_cert: call.url_of(&Resource::RevokeCertificate),
        key_change: call.url_of(&Resource::KeyChange),
        renewal_info: Some(call.url_of(&Resource::RenewalInfo(String::new()))),
        meta: Meta {
            terms_of_service: spec.terms_of_service.clone(),
            website: spec.website.clone(),
            caa_identities: spec.caa_identities.clone(),
            external_account_required: spec.external_account_required,
            profiles,
            issuer_domain_names: if persistent { spec.caa_identities.clone() } else { Vec::new() },
            account_hash_prefix: persistent.then(|| hash_prefix(&call.account_url(0))),
        },
    };
    call.json(StatusCode::OK, &directory)
}

/// A nonce, which every answer carries: 200 to HEAD, 204 to GET (RFC 8555 §7.2).
pub(super) fn nonce(call: &Call, method: &Method) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    if method == Method::GET {
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    let response = with_header(response, header::CACHE_CONTROL, "no-store");
    call.with_index(response)
}

/// A profile for people (draft-ietf-acme-profiles §3).
fn describe(profile: &ca::Profile) -> String {
    let lifetime = ca::duration::format(profile.lifetime);
    let usages: Vec<_> = profile.extended_key_usages.iter().map(purpose).collect();
    format!("{lifetime}, {}", usages.join(" and "))
}

fn purpose(usage: &ExtendedKeyUsage) -> &'static str {
    match usage {
        ExtendedKeyUsage::ServerAuth => "TLS servers",
        ExtendedKeyUsage::ClientAuth => "TLS clients",
        ExtendedKeyUsage::Jwt => "signatures of JWTs",
    }
}
