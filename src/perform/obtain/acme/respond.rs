//! Answering the challenges of an order (RFC 8555 §7.5.1): what the CA asks for is put where it
//! looks, then the CA is told. Whatever was put anywhere is taken away again at the end.

use data_encoding::BASE64URL_NOPAD;
use instant_acme::{
    AuthorizationStatus, ChallengeStatus, ChallengeType, Identifier, Order, OrderStatus,
};

use super::answers::{Answer, Answers};
use super::client::Client;
use super::csr::challenge_certificate;
use super::dns::{Dns, Lookup, Placed};
use super::error::ObtainError;
use super::patience::call;
use super::spec::ChallengeSpec;

/// What one order has put where CAs look.
#[derive(Default)]
pub(super) struct Published {
    answers: Vec<Answer>,
    records: Vec<Placed>,
}

impl Published {
    /// Takes all of it away.
    pub(super) async fn withdraw(self) {
        drop(self.answers);
        for record in self.records {
            record.withdraw().await;
        }
    }
}

/// What the CA wants to see of one name.
pub(super) struct Demand {
    /// Its place among the order's authorizations.
    position: usize,
    /// The authorization's URL.
    pub(super) url: String,
    pub(super) identifier: ca::Identifier,
    pub(super) wildcard: bool,
    token: String,
    key_authorization: String,
    digest: Vec<u8>,
    /// Whether the CA waits to be told; else it was told before a crash.
    untold: bool,
}

impl Client {
    /// Answers every challenge that still wants an answer.
    pub(super) async fn respond(
        &self,
        order: &mut Order,
        answers: &Answers,
        published: &mut Published,
    ) -> Result<(), ObtainError> {
        call!(self, {
            let mut authorizations = order.authorizations();
            while let Some(authorization) = authorizations.next().await {
                authorization?;
            }
            Ok(())
        })?;
        let demands = self.demands(order).await?;
        self.publish(&demands, answers, published).await?;
        for demand in demands.iter().filter(|demand| demand.untold) {
            self.tell(order, demand).await?;
        }
        Ok(())
    }

    /// Puts everything where the CA will look, and sees that it is there.
    async fn publish(
        &self,
        demands: &[Demand],
        answers: &Answers,
        published: &mut Published,
    ) -> Result<(), ObtainError> {
        match &self.spec.challenge {
            ChallengeSpec::Http01 {} => {
                for demand in demands {
                    let (token, text) = (demand.token.clone(), demand.key_authorization.clone());
                    published.answers.push(answers.put_token(token, text));
                }
            }
            ChallengeSpec::TlsAlpn01 {} => {
                for demand in demands {
                    let name = ::acme::challenge::server_name(&demand.identifier);
                    let certificate = challenge_certificate(&demand.identifier, &demand.digest)?;
                    published.answers.push(answers.put_certificate(name, certificate));
                }
            }
            ChallengeSpec::Dns01(spec) => {
                let dns = Dns::new(spec)?;
                for demand in demands {
                    let (name, value) = (demand.identifier.to_string(), &demand.digest);
                    let value = BASE64URL_NOPAD.encode(value);
                    dns.place(&name, value, &mut published.records).await?;
                }
                dns.propagated(&published.records).await?;
            }
            ChallengeSpec::DnsPersist01(spec) => {
                let lookup = Lookup::new(&spec.lookup)?;
                for demand in demands {
                    self.check_persistent(&lookup, demand).await?;
                }
            }
        }
        Ok(())
    }

    /// What is still to be proven.
    async fn demands(&self, order: &mut Order) -> Result<Vec<Demand>, ObtainError> {
        let kind = self.challenge_type();
        let mut demands = Vec::new();
        let mut authorizations = order.authorizations();
        let mut position = 0;
        // They are there already: nothing is fetched.
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(|e| self.of(e, &Default::default()))?;
            let at = position;
            position += 1;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let name = authorization.identifier().to_string();
            let (url, wildcard) = (authorization.url().to_owned(), authorization.wildcard);
            let offered = authorization.challenges.iter().map(|one| name_of(&one.r#type));
            let offered = offered.collect::<Vec<_>>().join(", ");
            let Some(challenge) = authorization.challenge(kind.clone()) else {
                return Err(ObtainError::Answer {
                    why: format!(
                        "{} does not take {} for it, but {offered}; declare another challenge",
                        self.spec.name,
                        name_of(&kind)
                    ),
                    name,
                });
            };
            let identifier = in_ours(challenge.identifier().identifier)
                .ok_or_else(|| self.misbehaved(format!("it asks for a proof of {name}")))?;
            let proof = challenge.key_authorization();
            demands.push(Demand {
                position: at,
                url,
                identifier,
                wildcard,
                token: challenge.token.clone(),
                key_authorization: proof.as_str().to_owned(),
                digest: proof.digest().as_ref().to_vec(),
                untold: challenge.status == ChallengeStatus::Pending,
            });
        }
        Ok(demands)
    }

    /// Tells the CA to look. One that has looked already is right, whatever it says.
    async fn tell(&self, order: &mut Order, demand: &Demand) -> Result<(), ObtainError> {
        let kind = self.challenge_type();
        let told = call!(self, {
            let mut authorizations = order.authorizations();
            let mut left = demand.position;
            while let Some(authorization) = authorizations.next().await {
                let mut authorization = authorization?;
                if left == 0 {
                    return match authorization.challenge(kind.clone()) {
                        Some(mut challenge) => challenge.set_ready().await,
                        None => Ok(()),
                    };
                }
                left -= 1;
            }
            Ok(())
        });
        let Err(error @ ObtainError::Refused { .. }) = told else { return told };
        call!(self, order.refresh().await.map(drop))?;
        match order.state().status {
            OrderStatus::Pending => Err(error),
            _ => Ok(()),
        }
    }

    fn challenge_type(&self) -> ChallengeType {
        match &self.spec.challenge {
            ChallengeSpec::Http01 {} => ChallengeType::Http01,
            ChallengeSpec::TlsAlpn01 {} => ChallengeType::TlsAlpn01,
            ChallengeSpec::Dns01(_) => ChallengeType::Dns01,
            ChallengeSpec::DnsPersist01(_) => ChallengeType::Unknown("dns-persist-01".into()),
        }
    }
}

fn name_of(kind: &ChallengeType) -> &str {
    match kind {
        ChallengeType::Http01 => "http-01",
        ChallengeType::Dns01 => "dns-01",
        ChallengeType::TlsAlpn01 => "tls-alpn-01",
        ChallengeType::Unknown(name) => name,
        _ => "another challenge",
    }
}

/// A name to prove; a wildcard's is its base (RFC 8555 §7.1.3).
fn in_ours(identifier: &Identifier) -> Option<ca::Identifier> {
    match identifier {
        Identifier::Dns(name) => ca::DnsName::parse(name).ok().map(ca::Identifier::Dns),
        Identifier::Ip(address) => Some(ca::Identifier::Ip(*address)),
        _ => None,
    }
}
