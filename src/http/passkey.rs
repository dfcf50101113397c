//! What browsers bring of passkeys, as our pages send it: bytes in base64url.

use acme::Problem;
use data_encoding::BASE64URL_NOPAD;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::people::passkey::Proof;

/// A new passkey.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPasskey {
    /// What its owner calls it.
    pub(super) name: String,
    client_data: String,
    attestation: String,
}

/// A proof that somebody holds a passkey.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ShownPasskey {
    id: String,
    client_data: String,
    authenticator_data: String,
    signature: String,
    #[serde(default)]
    user: Option<String>,
}

impl NewPasskey {
    /// `clientDataJSON` and `attestationObject`.
    pub(super) fn parts(&self) -> Result<(Vec<u8>, Vec<u8>), Problem> {
        Ok((bytes(&self.client_data)?, bytes(&self.attestation)?))
    }
}

impl ShownPasskey {
    /// The proof.
    pub(super) fn proof(&self) -> Result<Proof, Problem> {
        Ok(Proof {
            credential: bytes(&self.id)?,
            client_data: bytes(&self.client_data)?,
            authenticator_data: bytes(&self.authenticator_data)?,
            signature: bytes(&self.signature)?,
            user: self.user.as_deref().map(bytes).transpose()?,
        })
    }
}

fn bytes(text: &str) -> Result<Vec<u8>, Problem> {
    let decoded = BASE64URL_NOPAD.decode(text.as_bytes());
    decoded.map_err(|_| Problem::malformed("what the browser sent of the passkey is not base64url"))
}
