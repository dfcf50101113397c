//! An order (RFC 8555 §7.4), from its opening to its certificate, from wherever it stands: what
//! was done before a crash is not done twice, and an order is not wasted.

use std::time::Duration;

use ca::Identifier;
use instant_acme::{NewOrder, Order, OrderStatus};

use super::answers::Answers;
use super::client::{Client, identifier};
use super::error::{ObtainError, Refusal};
use super::patience::{call, noting};
use super::respond::Published;

/// What is ordered.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The names, all of which the request names too.
    pub(crate) identifiers: Vec<Identifier>,
    /// The certification request in DER. Whoever resumes an order hands in the same.
    pub(crate) csr: Vec<u8>,
    /// The certificate that this one takes the place of (RFC 9773 §5).
    pub(crate) replaces: Option<ca::Certificate>,
}

impl Client {
    /// Obtains a certificate: the chain, leaf first. The order's URL goes to `on_created` before
    /// anything else is done, so that it can be stored and the order [resumed](Self::resume).
    ///
    /// # Errors
    /// [`ObtainError`], by whose fault it is.
    pub(crate) async fn order(
        &self,
        wanted: &Wanted,
        answers: &Answers,
        on_created: impl AsyncFnOnce(String),
    ) -> Result<Vec<ca::Certificate>, ObtainError> {
        let order = self.open(wanted).await?;
        on_created(order.url().to_owned()).await;
        self.finish(order, wanted, answers).await
    }

    /// Takes up the order at `url`: whatever of it is done stays done.
    ///
    /// # Errors
    /// As [`order`](Self::order); [`ObtainError::OrderLost`] if it can come to nothing any more.
    pub(crate) async fn resume(
        &self,
        url: &str,
        wanted: &Wanted,
        answers: &Answers,
    ) -> Result<Vec<ca::Certificate>, ObtainError> {
        let lost = |why: String| ObtainError::OrderLost {
            issuer: self.spec.name.clone(),
            url: url.to_owned(),
            why,
        };
        let mut order = match call!(self, self.account.order(url.to_owned()).await) {
            // Expired and forgotten, or another account's.
            Err(ObtainError::Refused { refusal, .. }) if !refusal.any(is_about_us) => {
                return Err(lost(refusal.to_string()));
            }
            outcome => outcome?,
        };
        if order.state().status == OrderStatus::Invalid {
            return Err(lost(self.reasons(&mut order).await?.to_string()));
        }
        self.finish(order, wanted, answers).await
    }

    async fn open(&self, wanted: &Wanted) -> Result<Order, ObtainError> {
        let identifiers: Vec<_> = wanted.identifiers.iter().map(in_library).collect();
        let mut new = NewOrder::new(&identifiers);
        if let Some(profile) = &self.spec.profile {
            self.check_profile(profile)?;
            new = new.profile(profile);
        }
        let ari = self.wire.directory.renewal_info.is_some();
        let replaced = wanted.replaces.as_ref().filter(|_| ari).and_then(identifier);
        let Some(replaced) = replaced else { return self.new_order(&new).await };
        let plain = NewOrder::new(&identifiers);
        let plain = match &self.spec.profile {
            Some(profile) => plain.profile(profile),
            None => plain,
        };
        match self.new_order(&new.replaces(replaced)).await {
            // It was replaced by an order of ours that came to nothing, or the CA knows nothing of
            // it. That must not keep its names from being renewed (RFC 9773 §5).
            Err(ObtainError::Refused { refusal, .. }) if refusal.any(is_about_replacing) => {
                self.new_order(&plain).await
            }
            outcome => outcome,
        }
    }

    async fn new_order(&self, new: &NewOrder<'_>) -> Result<Order, ObtainError> {
        call!(self, self.account.new_order(new).await)
    }

    fn check_profile(&self, profile: &str) -> Result<(), ObtainError> {
        let offered = &self.wire.directory.meta.profiles;
        if offered.contains_key(profile) {
            return Ok(());
        }
        let names: Vec<_> = offered.keys().map(String::as_str).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Err(ObtainError::Settings(format!(
            "{} offers no profile {profile:?}, but {names}; change the issuer's profile",
            self.spec.name
        )))
    }

    /// Brings an order to its end in the time it may take, and clears away what answered it.
    async fn finish(
        &self,
        mut order: Order,
        wanted: &Wanted,
        answers: &Answers,
    ) -> Result<Vec<ca::Certificate>, ObtainError> {
        let mut published = Published::default();
        let limit = self.spec.order_timeout;
        let within = Duration::try_from(limit).unwrap_or(Duration::ZERO);
        let drive = self.drive(&mut order, wanted, answers, &mut published);
        let outcome = tokio::time::timeout(within, drive).await;
        published.withdraw().await;
        outcome.unwrap_or_else(|_| {
            let issuer = self.spec.name.clone();
            Err(ObtainError::TooSlow { issuer, what: "an order", after: limit })
        })
    }

    async fn drive(
        &self,
        order: &mut Order,
        wanted: &Wanted,
        answers: &Answers,
        published: &mut Published,
    ) -> Result<Vec<ca::Certificate>, ObtainError> {
        let mut answered = false;
        let mut pause = FIRST_PAUSE;
        loop {
            match order.state().status {
                OrderStatus::Pending if !answered => {
                    self.respond(order, answers, published).await?;
                    answered = true;
                }
                OrderStatus::Ready => {
                    self.finalize(order, wanted).await?;
                    pause = FIRST_PAUSE;
                    continue;
                }
                OrderStatus::Valid => return self.chain(order, wanted).await,
                OrderStatus::Invalid => {
                    let refusal = Box::new(self.reasons(order).await?);
                    return Err(ObtainError::Failed { issuer: self.spec.name.clone(), refusal });
                }
                OrderStatus::Pending | OrderStatus::Processing => {}
            }
            let (_, noted) = noting!(&self.spec.name, order.refresh().await.map(drop))?;
            if matches!(order.state().status, OrderStatus::Pending | OrderStatus::Processing) {
                let asked = noted.retry_after.and_then(|wait| Duration::try_from(wait).ok());
                tokio::time::sleep(asked.unwrap_or(pause).max(FIRST_PAUSE)).await;
                pause = (pause * 3 / 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Sends the request. A CA that is not ready after all is asked for the order's state again.
    async fn finalize(&self, order: &mut Order, wanted: &Wanted) -> Result<(), ObtainError> {
        match call!(self, order.finalize_csr(&wanted.csr).await) {
            Err(ObtainError::Refused { refusal, .. }) if refusal.any(|k| k == "orderNotReady") => {
                tokio::time::sleep(FIRST_PAUSE).await;
                call!(self, order.refresh().await.map(drop))
            }
            outcome => outcome,
        }
    }

    /// Why an order is invalid: its own error, and those of its challenges.
    async fn reasons(&self, order: &mut Order) -> Result<Refusal, ObtainError> {
        let url = order.url().to_owned();
        // Authorizations that were fetched are not fetched again but from a fresh order.
        let mut order = call!(self, self.account.order(url.clone()).await)?;
        let parts = call!(self, {
            let mut parts = Vec::new();
            let mut authorizations = order.authorizations();
            while let Some(authorization) = authorizations.next().await {
                let authorization = authorization?;
                parts.extend(errors(&authorization));
            }
            Ok(parts)
        })?;
        let mut refusal: Refusal = order.state().error.as_ref().map(Into::into).unwrap_or_default();
        if refusal.detail.is_empty() {
            refusal.detail = "the order is invalid".into();
        }
        refusal.parts.extend(parts);
        Ok(refusal)
    }
}

/// What went wrong with the challenges of one authorization.
fn errors(authorization: &instant_acme::AuthorizationState) -> Vec<Refusal> {
    let errors = authorization.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
    let name = authorization.identifier().to_string();
    errors.map(|error| Refusal { identifier: Some(name.clone()), ..error.into() }).collect()
}

fn in_library(identifier: &Identifier) -> instant_acme::Identifier {
    match identifier {
        Identifier::Dns(name) => instant_acme::Identifier::Dns(name.to_string()),
        Identifier::Ip(address) => instant_acme::Identifier::Ip(*address),
    }
}

/// What says nothing of the order.
fn is_about_us(kind: &str) -> bool {
    matches!(kind, "rateLimited" | "badNonce" | "accountDoesNotExist" | "userActionRequired")
}

/// RFC 9773 §5, and what CAs say of a certificate they do not know.
fn is_about_replacing(kind: &str) -> bool {
    matches!(kind, "alreadyReplaced" | "malformed")
}

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
