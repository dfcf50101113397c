//! The relying party's side of WebAuthn (Web Authentication Level 3) without I/O: what browsers bring is
//! parsed and judged here. Challenges are made, kept and used up by the caller, as are credentials.
//!
//! Attestation is neither asked for nor believed: a passkey is as good as the session that registers it. The
//! authenticator must have verified its user each time, since nothing else is asked of them.

mod authenticator;
mod client;
mod cose;

pub use authenticator::AuthenticatorData;
pub use client::{ClientData, Purpose};
pub use cose::{Algorithm, PublicKey};

use aws_lc_rs::digest::{SHA256, digest};

/// The server that people sign in to, as browsers know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelyingParty {
    /// The host's name: what credentials are bound to (§5.4.2).
    pub id: String,
    /// `https://host[:port]`: where the pages are that may use them.
    pub origin: String,
}

/// A passkey, as it is kept of a registration. Nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// What the authenticator calls it; at most [`MAX_CREDENTIAL_ID`] bytes.
    pub id: Vec<u8>,
    /// The public key, as the authenticator wrote it (COSE, RFC 9052 §7).
    pub key: Vec<u8>,
    /// How often it had signed; 0 also from those that do not count.
    pub sign_count: u32,
    /// Whether it may be on several devices of its owner.
    pub backup_eligible: bool,
    /// Whether it is.
    pub backed_up: bool,
}

/// What a browser brings from `navigator.credentials.create()`.
#[derive(Clone, Copy, Debug)]
pub struct Registration<'a> {
    /// `clientDataJSON`
    pub client_data: &'a [u8],
    /// `attestationObject`
    pub attestation: &'a [u8],
}

/// What a browser brings from `navigator.credentials.get()`.
#[derive(Clone, Copy, Debug)]
pub struct Assertion<'a> {
    /// `clientDataJSON`
    pub client_data: &'a [u8],
    /// `authenticatorData`
    pub authenticator_data: &'a [u8],
    /// `signature`
    pub signature: &'a [u8],
}

/// What an assertion that was accepted changes of its credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// How often the credential has signed now.
    pub sign_count: u32,
    /// Whether it is on several devices now.
    pub backed_up: bool,
}

impl RelyingParty {
    /// Accepts a new credential (§7.1) that answers `challenge`, which must not be accepted again.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn register(
        &self,
        challenge: &[u8],
        registration: &Registration<'_>,
    ) -> Result<Credential, Refusal> {
        let client = ClientData::parse(registration.client_data)?;
        client.check(Purpose::Create, challenge, &self.origin)?;
        let data = authenticator::in_attestation(registration.attestation)?;
        let data = AuthenticatorData::parse(data)?;
        self.check(&data)?;
        let attested = data.attested.ok_or(Refusal::Malformed("no credential is in it"))?;
        PublicKey::parse(attested.key)?;
        Ok(Credential {
            id: attested.credential_id.to_vec(),
            key: attested.key.to_vec(),
            sign_count: data.sign_count,
            backup_eligible: data.flags.backup_eligible,
            backed_up: data.flags.backed_up,
        })
    }

    /// Accepts a proof (§7.2) that whoever holds `credential` answers `challenge`, which must not be
    /// accepted again. What it gives is to be kept with the credential before anything is done for them.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn authenticate(
        &self,
        challenge: &[u8],
        credential: &Credential,
        assertion: &Assertion<'_>,
    ) -> Result<Used, Refusal> {
        let client = ClientData::parse(assertion.client_data)?;
        client.check(Purpose::Get, challenge, &self.origin)?;
        let data = AuthenticatorData::parse(assertion.authenticator_data)?;
        if data.attested.is_some() {
            return Err(Refusal::Malformed("a credential is in an assertion"));
        }
        self.check(&data)?;
        if data.flags.backup_eligible != credential.backup_eligible {
            return Err(Refusal::Backup);
        }
        let key = PublicKey::parse(&credential.key)?;
        let mut signed = assertion.authenticator_data.to_vec();
        signed.extend_from_slice(digest(&SHA256, assertion.client_data).as_ref());
        key.verify(&signed, assertion.signature)?;
        // §6.1.1: where either counts, each use counts more than the one before.
        let counts = data.sign_count != 0 || credential.sign_count != 0;
        if counts && data.sign_count <= credential.sign_count {
            return Err(Refusal::Cloned);
        }
        Ok(Used { sign_count: data.sign_count, backed_up: data.flags.backed_up })
    }

    fn check(&self, data: &AuthenticatorData<'_>) -> Result<(), Refusal> {
        if data.rp_id_hash != digest(&SHA256, self.id.as_bytes()).as_ref() {
            return Err(Refusal::OtherParty);
        }
        let flags = data.flags;
        if !flags.user_present || !flags.user_verified {
            return Err(Refusal::NotVerified);
        }
        if flags.backed_up && !flags.backup_eligible {
            return Err(Refusal::Backup);
        }
        Ok(())
    }
}

/// Why a passkey is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It cannot be read, or has not the form that it must have.
    #[error("what the browser sent is not understood: {0}")]
    Malformed(&'static str),
    /// It was made for something else, such as a registration for a sign-in.
    #[error("it was made for something else")]
    OtherPurpose,
    /// It answers another challenge.
    #[error("it answers another challenge than the one that was given")]
    OtherChallenge,
    /// It was made for another page, or inside another's.
    #[error("it was made for another page than this server's")]
    OtherOrigin,
    /// It was made for another server.
    #[error("it was made for another server")]
    OtherParty,
    /// Nobody touched the authenticator, or it did not check who did.
    #[error("the authenticator did not verify its user; set a PIN or a fingerprint on it")]
    NotVerified,
    /// What it says of copies contradicts itself or what it said before.
    #[error("what it says about copies of itself does not fit")]
    Backup,
    /// The kind of key or signature is not one that is accepted.
    #[error("its kind of key is not accepted: use ES256, Ed25519 or RS256")]
    Algorithm,
    /// The signature does not verify.
    #[error("the signature is wrong")]
    Signature,
    /// Its counter stood still or ran back.
    #[error("it has signed less often than before: there may be a copy of it; register another")]
    Cloned,
}

/// Of a credential's name (§7.1, step 25).
pub const MAX_CREDENTIAL_ID: usize = 1023;
