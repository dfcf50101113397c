//! The certificate at the end of an order: fetched with its chain (RFC 8555 §7.4.2), the preferred
//! one if the CA has several, and believed only if it is what was asked for.

use der::Decode;
use instant_acme::{Error, Order};
use url::Url;
use x509_cert::name::RdnSequence;

use super::client::Client;
use super::error::ObtainError;
use super::heard::Noted;
use super::order::Wanted;
use super::patience::noting;

impl Client {
    /// The chain of a valid order, leaf first.
    pub(super) async fn chain(
        &self,
        order: &mut Order,
        wanted: &Wanted,
    ) -> Result<Vec<ca::Certificate>, ObtainError> {
        let (pem, noted) = noting!(&self.spec.name, order.certificate().await)?;
        let pem = pem.ok_or_else(|| self.misbehaved("a valid order has no certificate".into()))?;
        let chain = self.read(&pem, wanted)?;
        let Some(preferred) = &self.spec.preferred_chain else { return Ok(chain) };
        if ends_at(&chain, preferred) {
            return Ok(chain);
        }
        let base = order.state().certificate.as_deref().and_then(|url| Url::parse(url).ok());
        for link in &noted.alternates {
            let url = base.as_ref().and_then(|base| base.join(link).ok());
            let url = url.ok_or_else(|| self.misbehaved(format!("{link} is no URL")))?;
            let other = self.read(&self.fetch(url.as_str()).await?.0, wanted)?;
            if ends_at(&other, preferred) {
                return Ok(other);
            }
        }
        // Which root signs is for the CA to change; a certificate is better than none.
        tracing::warn!(
            issuer = self.spec.name,
            preferred,
            "the CA has no chain to the preferred issuer; its own choice is taken"
        );
        Ok(chain)
    }

    /// Fetches a resource that must be asked for by POST (RFC 8555 §6.3). The library asks so for
    /// orders only; what it does not understand was heard all the same.
    pub(super) async fn fetch(&self, url: &str) -> Result<(String, Noted), ObtainError> {
        let (_, noted) = noting!(&self.spec.name, {
            match self.account.order(url.to_owned()).await {
                Ok(_) | Err(Error::Json(_)) => Ok(()),
                Err(error) => Err(error),
            }
        })?;
        let text = String::from_utf8(noted.body.to_vec());
        let text = text.map_err(|_| self.misbehaved(format!("{url} is no text")))?;
        Ok((text, noted))
    }

    /// Reads a chain and holds it against what was wanted.
    fn read(&self, pem: &str, wanted: &Wanted) -> Result<Vec<ca::Certificate>, ObtainError> {
        let chain = ca::Certificate::from_pem(pem)
            .map_err(|e| self.misbehaved(format!("its chain is not readable: {e}")))?;
        check(&chain, wanted).map_err(|why| self.misbehaved(why))?;
        Ok(chain)
    }
}

fn check(chain: &[ca::Certificate], wanted: &Wanted) -> Result<(), String> {
    let leaf = chain.first().ok_or("it sent no certificate")?;
    let request = ca::Csr::parse(&wanted.csr).map_err(|e| e.to_string())?;
    if leaf.spki() != request.public_key().spki() {
        return Err("the certificate is for another key than the request's".into());
    }
    let missing = wanted.identifiers.iter().find(|name| !leaf.identifiers().contains(name));
    if let Some(name) = missing {
        return Err(format!("the certificate does not name {name}"));
    }
    for pair in chain.windows(2) {
        // A key or algorithm that we do not know is for those to judge who rely on it.
        if let Err(ca::key::BadKey::Signature) = pair[0].verify_issued_by(&pair[1]) {
            let (issuer, subject) = (pair[1].subject(), pair[0].subject());
            return Err(format!("the chain is broken: {issuer} did not issue {subject}"));
        }
    }
    Ok(())
}

/// Whether a chain leads to the issuer of that common name.
fn ends_at(chain: &[ca::Certificate], name: &str) -> bool {
    let Some(top) = chain.last() else { return false };
    let Ok(issuer) = RdnSequence::from_der(top.issuer_der()) else { return false };
    issuer.iter().flat_map(|part| part.iter()).any(|pair| {
        pair.oid == const_oid::db::rfc4519::COMMON_NAME && pair.value.value() == name.as_bytes()
    })
}
