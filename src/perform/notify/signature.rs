//! How a receiver knows that a message is ours: signatures after Standard Webhooks, HMAC-SHA256 under a
//! secret that both know, or Ed25519. With several secrets there are several signatures, so that one
//! can be replaced without a message that is refused.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::Ed25519KeyPair;
use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::catalog::WebhookSpec;
use crate::perform::obtain::acme::secret;

/// The secrets of a webhook.
pub(super) struct Secrets(Vec<Secret>);

enum Secret {
    Shared(Box<hmac::Key>),
    Private(Ed25519KeyPair),
}

impl Secrets {
    /// Reads what a webhook declares.
    ///
    /// # Errors
    /// In words, when there is no secret or it is none; never what was read.
    pub(super) fn of(spec: &WebhookSpec) -> Result<Self, String> {
        let (text, place) = match (&spec.secret_file, &spec.secret_env) {
            (Some(path), _) => {
                let text = secret::read(path).map_err(|error| error.to_string())?;
                (text, format!("secret_file {}", path.display()))
            }
            (None, Some(name)) => {
                let text = std::env::var(name).map(Zeroizing::new);
                let text = text.map_err(|_| format!("secret_env {name} is not set"))?;
                (text, format!("secret_env {name}"))
            }
            (None, None) => return Err("no secret is declared".into()),
        };
        Self::parse(&text).map_err(|why| format!("{place}: {why}"))
    }

    /// Reads secrets, one a line.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let secrets =
            lines.take(MAX_SECRETS + 1).map(Secret::parse).collect::<Result<Vec<_>, _>>()?;
        match secrets.len() {
            0 => Err("it is empty: put a secret there, whsec_ and the base64 of 32 random octets"),
            1..=MAX_SECRETS => Ok(Self(secrets)),
            _ => Err("it holds more than four secrets: remove the old ones"),
        }
    }

    /// The value of `webhook-signature` for a message sent at `second` of the Unix epoch.
    pub(super) fn sign(&self, message: &str, second: i64, body: &str) -> String {
        let signed = format!("{message}.{second}.{body}");
        let signatures = self.0.iter().map(|secret| match secret {
            Secret::Shared(key) => {
                format!("v1,{}", BASE64.encode(hmac::sign(key, signed.as_bytes()).as_ref()))
            }
            Secret::Private(pair) => {
                format!("v1a,{}", BASE64.encode(pair.sign(signed.as_bytes()).as_ref()))
            }
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

impl Secret {
    fn parse(line: &str) -> Result<Self, &'static str> {
        let decoded = |text: &str| {
            let octets = BASE64.decode(text.as_bytes()).map(Zeroizing::new);
            octets.map_err(|_| "what follows whsec_ or whsk_ is not base64")
        };
        if let Some(text) = line.strip_prefix("whsec_") {
            let octets = decoded(text)?;
            if !(24..=64).contains(&octets.len()) {
                return Err("a secret must have 24 to 64 octets");
            }
            return Ok(Self::Shared(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &octets))));
        }
        let text = line.strip_prefix("whsk_").ok_or("a secret begins with whsec_ or whsk_")?;
        let octets = decoded(text)?;
        let wrong =
            "what follows whsk_ is no Ed25519 private key: 32 octets, or with the public ones 64";
        let pair = match octets.len() {
            32 => Ed25519KeyPair::from_seed_unchecked(&octets),
            64 => Ed25519KeyPair::from_seed_and_public_key(&octets[..32], &octets[32..]),
            _ => return Err(wrong),
        };
        pair.map(Self::Private).map_err(|_| wrong)
    }
}

const MAX_SECRETS: usize = 4;

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, KeyPair, UnparsedPublicKey};

    use super::*;

    #[test]
    fn the_signature_is_that_of_the_specification() {
        // The example of the Standard Webhooks reference libraries.
        let secrets = Secrets::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").expect("a secret");
        let signed =
            secrets.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_secrets_give_two_signatures_of_their_kinds() {
        let seed = [7; 32];
        let text = format!("whsec_{}\n\nwhsk_{}\n", BASE64.encode(&[1; 32]), BASE64.encode(&seed));
        let signed = Secrets::parse(&text).expect("secrets").sign("msg_1", 5, "{}");
        let (first, second) = signed.split_once(' ').expect("two");
        assert!(first.starts_with("v1,"));
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("a key");
        let key = UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref());
        let signature = BASE64.decode(second.strip_prefix("v1a,").expect("v1a").as_bytes());
        key.verify(b"msg_1.5.{}", &signature.expect("base64")).expect("it verifies");
    }

    #[test]
    fn what_is_no_secret_is_refused_and_not_repeated() {
        let short = format!("whsec_{}", BASE64.encode(b"short"));
        for text in ["", "hunter2", "whsec_???", "whsk_AAAA", &short, &"whsec_\n".repeat(9)] {
            let error = Secrets::parse(text).err().expect("refused");
            assert!(!error.contains("hunter2") && !error.contains("AAAA"), "{error}");
        }
    }
}
