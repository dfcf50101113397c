//! A bundle as Envoy reads it from a file (SDS, `path_config_source`): one secret with key and certificates in
//! it, so that no file beside it can be of another version.

use serde::Serialize;
use zeroize::Zeroizing;

use crate::Bundle;
use crate::error::PushError;

impl Bundle {
    /// The resources of a `DiscoveryResponse` in JSON: a TLS certificate called `name`.
    ///
    /// # Errors
    /// [`PushError::Declaration`] if the key is not here.
    pub(crate) fn secret_file(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, PushError> {
        let key = self.key_pem().ok_or_else(|| PushError::no_key("a secret holds the key"))?;
        let chain = self.fullchain_pem();
        let tls_certificate = TlsCertificate {
            certificate_chain: Inline { inline_string: &chain },
            private_key: Inline { inline_string: &key },
        };
        let resources = [Secret { type_url: SECRET, name, tls_certificate }];
        // Reserved at once, with room for a backslash before each line feed: what grows leaves copies
        // of the key behind in freed memory.
        let texts = chain.len() + key.len();
        let room = texts + texts / 16 + 2 * name.len() + 512;
        let mut out = Zeroizing::new(Vec::with_capacity(room));
        // Writing texts to memory does not fail.
        let _ = serde_json::to_writer(&mut *out, &Resources { resources });
        Ok(out)
    }
}

#[derive(Serialize)]
struct Resources<'a> {
    resources: [Secret<'a>; 1],
}

/// `envoy.extensions.transport_sockets.tls.v3.Secret`.
#[derive(Serialize)]
struct Secret<'a> {
    #[serde(rename = "@type")]
    type_url: &'static str,
    name: &'a str,
    tls_certificate: TlsCertificate<'a>,
}

#[derive(Serialize)]
struct TlsCertificate<'a> {
    certificate_chain: Inline<'a>,
    private_key: Inline<'a>,
}

/// `envoy.config.core.v3.DataSource`.
#[derive(Serialize)]
struct Inline<'a> {
    inline_string: &'a str,
}

const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
