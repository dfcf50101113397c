//! One complete order from newOrder to certificate (RFC 8555 §7.4), over http-01, as a careful
//! client does it. It measures nothing and starts nothing.

use std::time::Duration;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use crate::answers::Tokens;
use crate::client::{Answer, Client};
use crate::error::Error;

/// What orders of one client have in common.
pub(crate) struct Customer {
    /// Connection and account.
    pub(crate) client: Client,
    /// The key in every request for a certificate; making one key each would only measure us.
    pub(crate) key: KeyPair,
    /// Where answers to challenges are put.
    pub(crate) tokens: Tokens,
    /// Pause between polls after the first.
    pub(crate) poll_pause: Duration,
}

impl Customer {
    /// Orders a certificate for `name`, proves control of it, and downloads the chain.
    ///
    /// # Errors
    /// Whatever step failed first; the order is then left as it is.
    pub(crate) async fn order(&mut self, name: &str) -> Result<(), Error> {
        let payload = format!(r#"{{"identifiers":[{{"type":"dns","value":"{name}"}}]}}"#);
        let url = self.client.directory().new_order.clone();
        let answer = self.client.post("newOrder", &url, &payload).await?;
        let order: Order = parse("newOrder", &answer)?;
        let order_url = answer.location.ok_or_else(|| missing("newOrder", "Location"))?;
        for authorization in &order.authorizations {
            self.authorize(authorization).await?;
        }
        let order = self.poll("poll for ready", &order_url, None, "ready").await?;
        let order = self.finalize(&order, name).await?;
        let order = self.poll("poll for valid", &order_url, Some(order), "valid").await?;
        let url = order.certificate.ok_or_else(|| missing("poll for valid", "certificate"))?;
        let chain = self.client.post("certificate", &url, "").await?;
        check_leaf(&chain.body, name)
    }

    async fn authorize(&mut self, url: &str) -> Result<(), Error> {
        let step = "authorization";
        let authorization: Authorization = parse(step, &self.client.post(step, url, "").await?)?;
        if authorization.status == "valid" {
            return Ok(());
        }
        let offered = authorization.challenges.into_iter().find(|c| c.kind == "http-01");
        let challenge = offered.ok_or_else(|| missing(step, "http-01 challenge"))?;
        let token = challenge.token.ok_or_else(|| missing(step, "token"))?;
        self.tokens.put(&token, self.client.key_authorization(&token));
        self.client.post("challenge", &challenge.url, "{}").await.map(drop)
    }

    async fn finalize(&mut self, order: &Order, name: &str) -> Result<Order, Error> {
        let cannot = |_| Error::Crypto("make a certificate signing request");
        let mut params = CertificateParams::new([name.to_owned()]).map_err(cannot)?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&self.key).map_err(cannot)?;
        let payload = format!(r#"{{"csr":"{}"}}"#, BASE64URL_NOPAD.encode(request.der()));
        parse("finalize", &self.client.post("finalize", &order.finalize, &payload).await?)
    }

    /// Asks for the order until it is in `wanted`: the first time at once, unless it is `known`
    /// to be, then after every pause.
    async fn poll(
        &mut self,
        step: &'static str,
        url: &str,
        known: Option<Order>,
        wanted: &str,
    ) -> Result<Order, Error> {
        let begun = Instant::now();
        let mut asked = known.is_none();
        let mut order = match known {
            Some(order) => order,
            None => parse(step, &self.client.post(step, url, "").await?)?,
        };
        while order.status != wanted {
            if order.status == "invalid" {
                let what = format!("the order became invalid: {:?}", order.error);
                return Err(Error::Nonsense { step, what });
            }
            if begun.elapsed() > self.client.limit() {
                return Err(Error::Stalled(step));
            }
            if std::mem::replace(&mut asked, true) {
                sleep(self.poll_pause).await;
            }
            order = parse(step, &self.client.post(step, url, "").await?)?;
        }
        Ok(order)
    }
}

#[derive(Debug, Deserialize)]
struct Order {
    status: String,
    authorizations: Vec<String>,
    finalize: String,
    certificate: Option<String>,
    error: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Authorization {
    status: String,
    challenges: Vec<Challenge>,
}

#[derive(Debug, Deserialize)]
struct Challenge {
    #[serde(rename = "type")]
    kind: String,
    url: String,
    token: Option<String>,
}

fn parse<T: DeserializeOwned>(step: &'static str, answer: &Answer) -> Result<T, Error> {
    serde_json::from_slice(&answer.body)
        .map_err(|e| Error::Nonsense { step, what: format!("the body: {e}") })
}

fn missing(step: &'static str, what: &str) -> Error {
    Error::Nonsense { step, what: format!("no {what}") }
}

/// The first certificate must carry the name: enough to see that it is ours, and cheap.
fn check_leaf(chain: &[u8], name: &str) -> Result<(), Error> {
    let step = "certificate";
    let text = std::str::from_utf8(chain).map_err(|_| missing(step, "PEM in the answer"))?;
    let leaf = text
        .split_once("-----BEGIN CERTIFICATE-----")
        .and_then(|(_, rest)| rest.split_once("-----END CERTIFICATE-----"))
        .map(|(leaf, _)| leaf.split_ascii_whitespace().collect::<String>())
        .ok_or_else(|| missing(step, "PEM in the answer"))?;
    let der = BASE64.decode(leaf.as_bytes()).map_err(|_| missing(step, "base64 in the PEM"))?;
    if der.windows(name.len()).any(|part| part == name.as_bytes()) {
        return Ok(());
    }
    Err(missing(step, "ordered name in the certificate"))
}
