//! dns-persist-01 (draft-ietf-acme-dns-persist): a TXT record that an operator writes once. Nothing
//! is published here; but the CA is not sent to look for what is not there, and whoever is to write
//! the record is told its text.

use ::acme::challenge::{Persist, account_uris_by_thumbprint, judge_dns_persist01, persist_name};
use ca::Identifier;
use jiff::Timestamp;
use serde::Deserialize;

use super::client::Client;
use super::dns::Lookup;
use super::error::ObtainError;
use super::respond::Demand;

impl Client {
    /// Whether the record for a name is on every server of its zone.
    ///
    /// # Errors
    /// [`ObtainError::Answer`] with the record to write.
    pub(super) async fn check_persistent(
        &self,
        lookup: &Lookup,
        demand: &Demand,
    ) -> Result<(), ObtainError> {
        let Identifier::Dns(name) = &demand.identifier else {
            let why = "an address cannot be proven by DNS; declare another challenge".into();
            return Err(ObtainError::Answer { name: demand.identifier.to_string(), why });
        };
        let (issuers, now) = self.issuers(&demand.url).await?;
        let account = self.account.id();
        let mut uris = vec![account.to_owned()];
        if let Some(prefix) = &self.wire.directory.meta.account_hash_prefix {
            let thumbprint = self.account.key_thumbprint();
            let hashed = account_uris_by_thumbprint(prefix, name, thumbprint, account);
            uris.splice(0..0, hashed);
        }
        let (Some(issuer), Some(uri)) = (issuers.first(), uris.first()) else {
            return Err(self.misbehaved("its dns-persist-01 challenge names no issuer".into()));
        };
        let policy = if demand.wildcard { "; policy=wildcard" } else { "" };
        let owner = persist_name(name);
        let remedy = format!(
            "write the record  {owner}. IN TXT \"{issuer}; accounturi={uri}{policy}\"  and leave it"
        );
        let expected = Persist {
            issuer_domain_names: &issuers,
            account_uris: &uris,
            wildcard: demand.wildcard,
        };
        let target = lookup.target(&owner).await?;
        for server in lookup.servers(&target).await? {
            let judged = match server.texts(&target).await {
                Ok(texts) => judge_dns_persist01(&expected, &owner, &texts, now)
                    .map_err(|problem| problem.detail),
                Err(why) => Err(why),
            };
            judged.map_err(|why| ObtainError::Answer {
                name: owner.clone(),
                why: format!("{server}: {why}; {remedy}"),
            })?;
        }
        Ok(())
    }

    /// Whom a record may name for the authorization at `url`, and when it was asked: by the CA's
    /// own clock, without which an end is the CA's to see.
    async fn issuers(&self, url: &str) -> Result<(Vec<String>, Timestamp), ObtainError> {
        // The library does not read the challenge's own field.
        let (text, noted) = self.fetch(url).await?;
        let authorization: Authorization =
            serde_json::from_str(&text).map_err(|e| self.misbehaved(format!("{url}: {e}")))?;
        let mut ours = authorization.challenges.into_iter().filter(|c| c.kind == KIND);
        let issuers = ours.next().map(Challenge::issuers).unwrap_or_default();
        Ok((issuers, noted.date.unwrap_or(Timestamp::MIN)))
    }
}

#[derive(Deserialize)]
struct Authorization {
    challenges: Vec<Challenge>,
}

#[derive(Deserialize)]
struct Challenge {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, rename = "issuerDomainNames")]
    issuer_domain_names: Vec<String>,
    /// The same in the drafts before -02; a CA may write both.
    #[serde(default, rename = "issuer-domain-names")]
    issuer_domain_names_01: Vec<String>,
}

impl Challenge {
    fn issuers(self) -> Vec<String> {
        match self.issuer_domain_names.as_slice() {
            [] => self.issuer_domain_names_01,
            _ => self.issuer_domain_names,
        }
    }
}

const KIND: &str = "dns-persist-01";
