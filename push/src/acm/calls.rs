//! The actions of ACM that are used, and the JSON they speak.

use std::time::Duration;

use ca::{Certificate, pem_chain};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::sleep;
use zeroize::Zeroizing;

use super::held::Held;
use super::wire::{Failure, Wire};
use crate::Bundle;

/// ACM in one region.
pub(super) struct Calls(Wire);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    #[serde(default)]
    certificate_summary_list: Vec<Summary>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    certificate_arn: String,
    r#type: Option<String>,
    imported_at: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tags {
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pem {
    certificate: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Imported {
    certificate_arn: String,
}

/// What is sent to import, each in base64.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Import<'a> {
    certificate: &'a str,
    private_key: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    certificate_chain: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_arn: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Tag>,
}

impl Calls {
    pub(super) fn new(wire: Wire) -> Self {
        Self(wire)
    }

    /// The certificate under an ARN.
    pub(super) async fn certificate(&self, arn: &str, imported_at: f64) -> Result<Held, Failure> {
        let Pem { certificate } =
            self.ask("GetCertificate", &json!({ "CertificateArn": arn })).await?;
        let certificates = Certificate::from_pem(&certificate);
        let leaf = certificates.ok().and_then(|certificates| certificates.into_iter().next());
        let leaf = leaf.ok_or_else(|| Failure::Lost(format!("{arn} cannot be read")))?;
        Ok(Held { arn: arn.to_owned(), leaf, imported_at })
    }

    /// All imported certificates that have our tag with this value.
    pub(super) async fn tagged(&self, value: &str) -> Result<Vec<Held>, Failure> {
        let mut held = Vec::new();
        for Summary { certificate_arn: arn, imported_at, .. } in self.imported().await? {
            let tags = self.ask("ListTagsForCertificate", &json!({ "CertificateArn": arn })).await;
            let tags: Tags = match tags {
                Ok(tags) => tags,
                // It was deleted meanwhile.
                Err(error) if error.is_missing() => continue,
                Err(error) => return Err(error),
            };
            let is_ours = |tag: &Tag| tag.key == TAG && tag.value.as_deref() == Some(value);
            if tags.tags.iter().any(is_ours) {
                held.push(self.certificate(&arn, imported_at.unwrap_or_default()).await?);
            }
        }
        Ok(held)
    }

    /// The imported certificates of the region, with keys of every kind: without being asked, ACM lists
    /// those with keys of RSA up to 2048 bits alone.
    async fn imported(&self) -> Result<Vec<Summary>, Failure> {
        let mut asked = json!({ "Includes": { "keyTypes": KEY_TYPES }, "MaxItems": PAGE });
        let mut found = Vec::new();
        for _ in 0..MAX_PAGES {
            let page: Listed = self.ask("ListCertificates", &asked).await?;
            let is_imported = |one: &Summary| one.r#type.as_deref().is_none_or(|t| t == "IMPORTED");
            found.extend(page.certificate_summary_list.into_iter().filter(is_imported));
            if found.len() > MAX_IMPORTED {
                break;
            }
            match page.next_token.filter(|token| !token.is_empty()) {
                Some(token) => asked["NextToken"] = Value::String(token),
                None => return Ok(found),
            }
        }
        Err(Failure::Refused {
            word: String::new(),
            said: format!(
                "there are more than {MAX_IMPORTED} imported certificates, too many to look for a tag: \
                 set arn instead"
            ),
        })
    }

    /// Imports a bundle under an ARN, or a new one with our tag, and gives the ARN.
    pub(super) async fn import(
        &self,
        bundle: &Bundle,
        arn: Option<&str>,
        tag: Option<&str>,
    ) -> Result<String, Failure> {
        // An issuer must be in the chain, even if it is the root.
        let root = bundle.root().filter(|_| bundle.chain().is_empty());
        let chain = pem_chain(bundle.chain().iter().chain(root));
        let key = bundle.key_pem().unwrap_or_default();
        let key = Zeroizing::new(BASE64.encode(key.as_bytes()));
        let tag = tag.filter(|_| arn.is_none());
        let import = Import {
            certificate: &BASE64.encode(bundle.cert_pem().as_bytes()),
            private_key: &key,
            certificate_chain: &BASE64.encode(chain.as_bytes()),
            certificate_arn: arn,
            tags: tag
                .map(|tag| Tag { key: TAG.into(), value: Some(tag.into()) })
                .into_iter()
                .collect(),
        };
        // Room for all of it at once: what grows leaves copies of the key behind.
        let room = import.certificate.len() + key.len() + import.certificate_chain.len();
        let mut body = Zeroizing::new(Vec::with_capacity(room + ROOM));
        let written = serde_json::to_writer(&mut *body, &import);
        written.map_err(|error| Failure::Lost(error.to_string()))?;
        let Imported { certificate_arn } = self.0.call("ImportCertificate", body).await?;
        Ok(certificate_arn)
    }

    /// Whether ACM shows the leaf of the bundle under an ARN, if not at once then soon.
    pub(super) async fn shows(&self, arn: &str, bundle: &Bundle) -> Result<bool, Failure> {
        for _ in 0..LOOKS {
            if self.certificate(arn, 0.0).await?.leaf.fingerprint() == bundle.fingerprint() {
                return Ok(true);
            }
            sleep(BETWEEN_LOOKS).await;
        }
        Ok(false)
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        action: &str,
        asked: &Value,
    ) -> Result<T, Failure> {
        self.0.call(action, Zeroizing::new(asked.to_string().into_bytes())).await
    }
}

/// The key of the tag by which a certificate is found.
const TAG: &str = "perennial";
const KEY_TYPES: [&str; 7] = [
    "RSA_1024",
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "EC_prime256v1",
    "EC_secp384r1",
    "EC_secp521r1",
];
const PAGE: u32 = 100;
const MAX_IMPORTED: usize = 1000;
/// Of a hundred certificates each, imported or not.
const MAX_PAGES: u32 = 100;
/// For names, ARN and tag.
const ROOM: usize = 8 * 1024;
const LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
