//! CertificateSigningRequests of the cluster (certificates.k8s.io/v1): which wait for a signer, and what
//! became of them. Whether one is approved is for others to say, and is respected; whether it is
//! signed is for callers.

use data_encoding::BASE64;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::connection::{Call, Connection};
use crate::error::ClusterError;
use crate::pages::Pages;
use crate::secret::MANAGER;

/// A request that was approved, and that no signer has answered.
#[derive(Clone, Debug)]
pub struct SigningRequest {
    /// Its name in the cluster.
    pub name: String,
    /// What tells it from another of the same name, at another time.
    pub uid: String,
    /// Who made it, as the cluster knows them; the first 128 characters.
    pub requester: String,
    /// The PKCS #10 request in PEM.
    pub request: Vec<u8>,
    /// What the certificate is to be for: `server auth`, ...
    pub usages: Vec<String>,
    /// How many seconds it is to be valid, if that was said.
    pub lifetime: Option<i64>,
    resource_version: String,
    conditions: Vec<Value>,
}

impl Connection {
    /// The requests that wait for `signer`, by name; of very many, some.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn waiting_for(&self, signer: &str) -> Result<Vec<SigningRequest>, ClusterError> {
        let mut waiting = Vec::new();
        let selected = vec![("fieldSelector", format!("spec.signerName={signer}"))];
        let mut pages = Pages::new(REQUESTS.into(), selected);
        while let Some(page) = pages.next::<Object>(self).await? {
            let (items, _) = page.into_parts();
            waiting.extend(items.into_iter().filter_map(|object| object.waiting(signer)));
            // The others wait until these are answered.
            if waiting.len() >= MOST {
                break;
            }
        }
        Ok(waiting)
    }

    /// Gives a request its certificate: leaf and chain in PEM.
    ///
    /// # Errors
    /// [`ClusterError::Conflict`] when the request is not what it was: denied, answered or made anew.
    pub async fn grant(
        &self,
        request: &SigningRequest,
        certificates: &str,
    ) -> Result<(), ClusterError> {
        let status = json!({ "certificate": BASE64.encode(certificates.as_bytes()) });
        self.answer(request, &status).await
    }

    /// Says that a request will never be signed, and why. `now` is written as RFC 3339 has it.
    ///
    /// # Errors
    /// As for [`grant`](Self::grant).
    pub async fn refuse(
        &self,
        request: &SigningRequest,
        why: &str,
        now: &str,
    ) -> Result<(), ClusterError> {
        let why: String = why.chars().take(LONGEST_WHY).collect();
        let mut conditions = request.conditions.clone();
        conditions.push(json!({
            "type": FAILED, "status": "True", "reason": "SignerValidationFailure", "message": why,
            "lastUpdateTime": now, "lastTransitionTime": now,
        }));
        self.answer(request, &json!({ "conditions": conditions })).await
    }

    async fn answer(&self, request: &SigningRequest, status: &Value) -> Result<(), ClusterError> {
        // Whoever denied it in the meantime is heard, and another of the same name is not answered.
        let patch = json!({
            "metadata": { "uid": request.uid, "resourceVersion": request.resource_version },
            "status": status,
        });
        let path = format!("{REQUESTS}/{}/status", request.name);
        let query = vec![("fieldManager", MANAGER.to_owned())];
        self.call(&call(path, query, &patch)).await.map(|_| ())
    }
}

fn call(path: String, query: Vec<(&'static str, String)>, patch: &Value) -> Call {
    let body = Zeroizing::new(patch.to_string().into_bytes());
    let body = Some(("application/merge-patch+json", body));
    Call { method: Method::PATCH, path, query, accept: "application/json", body }
}

#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    uid: String,
    resource_version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    request: String,
    signer_name: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    usages: Vec<String>,
    #[serde(default)]
    expiration_seconds: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    certificate: Option<String>,
    conditions: Vec<Value>,
}

impl Object {
    /// The request, if it waits for `signer`: approved, neither denied nor failed, not answered.
    fn waiting(self, signer: &str) -> Option<SigningRequest> {
        let Self { metadata, spec, status } = self;
        let is = |kind: &str| status.conditions.iter().any(|condition| condition["type"] == kind);
        let answered = status.certificate.as_ref().is_some_and(|text| !text.is_empty());
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.:".contains(c);
        // Its name becomes part of a URL.
        let addressable = !metadata.name.contains("..") && metadata.name.chars().all(plain);
        let waits = spec.signer_name == signer && is(APPROVED) && !is(DENIED) && !is(FAILED);
        if answered || !waits || !addressable {
            return None;
        }
        Some(SigningRequest {
            name: metadata.name,
            uid: metadata.uid,
            // It is written down, and whoever signs in chooses it.
            requester: spec.username.replace(char::is_control, "").chars().take(LONGEST).collect(),
            request: BASE64.decode(spec.request.as_bytes()).unwrap_or_default(),
            usages: spec.usages,
            lifetime: spec.expiration_seconds,
            resource_version: metadata.resource_version,
            conditions: status.conditions,
        })
    }
}

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const APPROVED: &str = "Approved";
const DENIED: &str = "Denied";
const FAILED: &str = "Failed";
const LONGEST: usize = 128;
const LONGEST_WHY: usize = 500;
/// From so many on no more are looked for at once.
const MOST: usize = 5000;

#[cfg(test)]
mod tests {
    use super::*;

    fn object(signer: &str, status: &Value) -> Option<SigningRequest> {
        let object = json!({
            "metadata": { "name": "csr-1", "uid": "u", "resourceVersion": "7" },
            "spec": { "request": "QUJD", "signerName": signer, "username": "robot",
                      "usages": ["server auth"], "expirationSeconds": 600 },
            "status": status,
        });
        serde_json::from_value::<Object>(object).expect("an object").waiting("example.com/mesh")
    }

    #[test]
    fn only_what_is_approved_and_unanswered_waits_and_only_for_its_own_signer() {
        let approved = json!({ "type": "Approved", "status": "True" });
        let waiting = object("example.com/mesh", &json!({ "conditions": [approved] }));
        let waiting = waiting.expect("it waits");
        assert_eq!((waiting.request.as_slice(), waiting.lifetime), (&b"ABC"[..], Some(600)));
        for (signer, status) in [
            ("example.com/other", json!({ "conditions": [approved] })),
            ("example.com/mesh", json!({})),
            ("example.com/mesh", json!({ "conditions": [approved], "certificate": "QQ==" })),
            ("example.com/mesh", json!({ "conditions": [approved, { "type": "Denied" }] })),
            ("example.com/mesh", json!({ "conditions": [approved, { "type": "Failed" }] })),
        ] {
            assert!(object(signer, &status).is_none(), "{signer} {status}");
        }
    }
}
