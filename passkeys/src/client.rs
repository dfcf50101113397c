//! What the browser says of a ceremony (`CollectedClientData`, §5.8.1). It is JSON that the authenticator
//! signs the hash of, so that it is compared here and never written anew.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;

use crate::Refusal;

/// What a ceremony is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A registration.
    Create,
    /// An assertion.
    Get,
}

/// What the browser says. Members that are not known are left alone, as the standard wants.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
    #[serde(default)]
    top_origin: Option<String>,
}

impl ClientData {
    /// Reads `clientDataJSON`.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] when it is too long or is not such JSON.
    pub fn parse(json: &[u8]) -> Result<Self, Refusal> {
        if json.len() > MAX_LENGTH {
            return Err(Refusal::Malformed("the client data is too long"));
        }
        serde_json::from_slice(json).map_err(|_| Refusal::Malformed("the client data"))
    }

    /// The challenge that it says it answers.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] when that is not base64url.
    pub fn challenge(&self) -> Result<Vec<u8>, Refusal> {
        let decoded = BASE64URL_NOPAD.decode(self.challenge.as_bytes());
        decoded.map_err(|_| Refusal::Malformed("the challenge"))
    }

    /// Checks that it is for `purpose` and `challenge`, at a page of `origin` that is in no other's frame.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check(&self, purpose: Purpose, challenge: &[u8], origin: &str) -> Result<(), Refusal> {
        let kind = match purpose {
            Purpose::Create => "webauthn.create",
            Purpose::Get => "webauthn.get",
        };
        if self.kind != kind {
            return Err(Refusal::OtherPurpose);
        }
        verify_slices_are_equal(&self.challenge()?, challenge)
            .map_err(|_| Refusal::OtherChallenge)?;
        if self.origin != origin || self.cross_origin || self.top_origin.is_some() {
            return Err(Refusal::OtherOrigin);
        }
        Ok(())
    }
}

const MAX_LENGTH: usize = 4096;
