//! The account at a CA: registered once, then known by its credentials. What is done with a
//! certificate after its order, renewal information and revocation, is here too.

use std::fmt;
use std::sync::Arc;

use ::acme::ari::CertificateId;
use data_encoding::BASE64URL_NOPAD;
use instant_acme::{
    Account, AccountCredentials, CertificateIdentifier, Error, ExternalAccountKey, NewAccount,
    RevocationRequest,
};
use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::error::ObtainError;
use super::heard::Noted;
use super::patience::{call, noting};
use super::secret;
use super::spec::{AcmeSpec, ExternalAccount};
use super::wire::{Wire, listening};
use crate::seal::Secret;

/// Our account at a CA outside; cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    pub(super) account: Account,
    pub(super) spec: Arc<AcmeSpec>,
    pub(super) wire: Wire,
}

/// When the CA wants a certificate renewed (RFC 9773 §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RenewalInfo {
    /// From here on.
    pub(crate) start: Timestamp,
    /// And before here.
    pub(crate) end: Timestamp,
    /// A page that says why.
    pub(crate) explanation_url: Option<String>,
    /// How long it is good to wait before asking again.
    pub(crate) poll_again_after: SignedDuration,
}

/// Our account at `spec`'s CA: the stored one, or one registered now. Credentials are given back
/// where they are new or changed, to be sealed and stored before anything else is done.
///
/// # Errors
/// When settings do not suffice, or the CA refuses or is down.
pub(crate) async fn account(
    spec: &AcmeSpec,
    stored: Option<&Secret>,
) -> Result<(Client, Option<Secret>), ObtainError> {
    let wire = Wire::connect(spec).await?;
    let stored = stored.map(|secret| Credentials::read(spec, secret)).transpose()?;
    // Credentials of another CA are of no use at this one.
    match stored.filter(|stored| stored.directory == spec.directory) {
        Some(stored) => restore(spec, wire, stored).await,
        None => register(spec, wire).await,
    }
}

async fn restore(
    spec: &AcmeSpec,
    wire: Wire,
    stored: Credentials,
) -> Result<(Client, Option<Secret>), ObtainError> {
    let Credentials { account: credentials, contact, .. } = stored;
    // The library gives credentials out, but neither clones them nor lends them again.
    let copy = serde_json::to_vec(&credentials).map(Zeroizing::new);
    let builder = Account::builder_with_http(Box::new(wire.clone()));
    let (account, noted) = listening(builder.from_credentials(credentials)).await;
    let account = account.map_err(|e| ObtainError::of(&spec.name, e, &noted))?;
    let client = Client { account, spec: Arc::new(spec.clone()), wire };
    if contact == spec.contact {
        return Ok((client, None));
    }
    let contact: Vec<&str> = spec.contact.iter().map(String::as_str).collect();
    call!(client, client.account.update_contacts(&contact).await)?;
    let copy = copy.and_then(|copy| serde_json::from_slice(&copy));
    let credentials = copy.map_err(|_| unreadable(spec))?;
    let secret = Credentials::new(spec, credentials).write(spec)?;
    Ok((client, Some(secret)))
}

async fn register(spec: &AcmeSpec, wire: Wire) -> Result<(Client, Option<Secret>), ObtainError> {
    let meta = &wire.directory.meta;
    if let (Some(terms), false) = (&meta.terms_of_service, spec.terms_agreed) {
        return Err(ObtainError::Settings(format!(
            "{} wants its terms of service agreed to: read {terms}, then set terms_agreed = true",
            spec.name
        )));
    }
    if meta.external_account_required && spec.external_account.is_none() {
        return Err(ObtainError::Settings(format!(
            "{} only takes accounts that belong to one outside of ACME: get a key from it and \
             declare it as external_account",
            spec.name
        )));
    }
    let external = spec.external_account.as_ref().map(external_key).transpose()?;
    let contact: Vec<&str> = spec.contact.iter().map(String::as_str).collect();
    let new = NewAccount {
        contact: &contact,
        terms_of_service_agreed: spec.terms_agreed,
        only_return_existing: false,
    };
    let ((account, credentials), _) = noting!(&spec.name, {
        let builder = Account::builder_with_http(Box::new(wire.clone()));
        builder.create(&new, spec.directory.clone(), external.as_ref()).await
    })?;
    let secret = Credentials::new(spec, credentials).write(spec)?;
    Ok((Client { account, spec: Arc::new(spec.clone()), wire }, Some(secret)))
}

fn external_key(external: &ExternalAccount) -> Result<ExternalAccountKey, ObtainError> {
    let text = secret::read(&external.hmac_file)?;
    let text = text.trim().trim_end_matches('=');
    let key = BASE64URL_NOPAD.decode(text.as_bytes()).map(Zeroizing::new).map_err(|_| {
        ObtainError::Settings(format!(
            "{}: it does not hold a key in base64url; put the CA's text there as it is",
            external.hmac_file.display()
        ))
    })?;
    Ok(ExternalAccountKey::new(external.kid.clone(), &key))
}

impl Client {
    /// The account's URL, which identifies it at the CA (RFC 8555 §7.3).
    pub(crate) fn id(&self) -> &str {
        self.account.id()
    }

    /// When `certificate` is to be renewed; nothing if the CA has no opinion.
    ///
    /// # Errors
    /// When the CA is down or its answer makes no sense.
    pub(crate) async fn renewal_info(
        &self,
        certificate: &ca::Certificate,
    ) -> Result<Option<RenewalInfo>, ObtainError> {
        let (Some(base), Some(id)) =
            (&self.wire.directory.renewal_info, certificate_id(certificate))
        else {
            return Ok(None);
        };
        // No signature (RFC 9773 §4.1). The library would insist on a Retry-After header.
        let url = format!("{}/{id}", base.trim_end_matches('/'));
        let (outcome, noted) = listening(self.wire.get(&url)).await;
        let body = outcome.map_err(|fault| self.of(Error::Other(Box::new(fault)), &noted))?;
        let answer: RenewalAnswer =
            serde_json::from_slice(&body).map_err(|e| self.misbehaved(format!("{url}: {e}")))?;
        let SuggestedWindow { start, end } = &answer.suggested_window;
        let instant = |text: &str| {
            text.parse()
                .map_err(|e| self.misbehaved(format!("{url}: {text:?} is no instant ({e})")))
        };
        let (start, end): (Timestamp, Timestamp) = (instant(start)?, instant(end)?);
        if start >= end {
            return Err(self.misbehaved(format!("{url}: the window ends before it starts")));
        }
        let wait = noted.retry_after.unwrap_or(DEFAULT_POLL).clamp(MIN_POLL, MAX_POLL);
        let explanation_url = answer.explanation_url;
        Ok(Some(RenewalInfo { start, end, explanation_url, poll_again_after: wait }))
    }

    /// Revokes `certificate` (RFC 8555 §7.6). That it is revoked already is no error.
    ///
    /// # Errors
    /// When the CA refuses or is down.
    pub(crate) async fn revoke(
        &self,
        certificate: &ca::Certificate,
        reason: ca::RevocationReason,
    ) -> Result<(), ObtainError> {
        let leaf = CertificateDer::from(certificate.der());
        let request = RevocationRequest { certificate: &leaf, reason: Some(reason_of(reason)) };
        match call!(self, self.account.revoke(&request).await) {
            Err(ObtainError::Refused { refusal, .. }) if refusal.kind == "alreadyRevoked" => Ok(()),
            outcome => outcome,
        }
    }

    /// Gives the account a new key (RFC 8555 §7.3.5). The credentials are to be stored at once in
    /// place of the old ones, which open nothing any more.
    ///
    /// # Errors
    /// When the CA refuses or is down; then the old key stands.
    pub(crate) async fn roll_key(&mut self) -> Result<Secret, ObtainError> {
        let mut account = self.account.clone();
        let credentials = call!(self, account.update_key().await)?;
        self.account = account;
        Credentials::new(&self.spec, credentials).write(&self.spec)
    }

    pub(super) fn of(&self, error: Error, noted: &Noted) -> ObtainError {
        ObtainError::of(&self.spec.name, error, noted)
    }

    pub(super) fn misbehaved(&self, why: String) -> ObtainError {
        ObtainError::Misbehaved { issuer: self.spec.name.clone(), why }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("issuer", &self.spec.name)
            .field("account", &self.account.id())
            .finish_non_exhaustive()
    }
}

/// How ARI names a certificate (RFC 9773 §4.1); nothing if its issuer gave it no key identifier.
fn certificate_id(certificate: &ca::Certificate) -> Option<CertificateId> {
    let authority_key_identifier = certificate.authority_key_id()?.to_vec();
    Some(CertificateId { authority_key_identifier, serial: certificate.serial().to_der_contents() })
}

/// The same in the library's words.
pub(super) fn identifier(certificate: &ca::Certificate) -> Option<CertificateIdentifier<'static>> {
    let id = certificate_id(certificate)?;
    let (issuer, serial) = (id.authority_key_identifier, id.serial);
    Some(CertificateIdentifier::new(issuer.into(), serial.into()).into_owned())
}

fn reason_of(reason: ca::RevocationReason) -> instant_acme::RevocationReason {
    use ca::RevocationReason as Ours;
    use instant_acme::RevocationReason as Theirs;
    match reason {
        Ours::Unspecified => Theirs::Unspecified,
        Ours::KeyCompromise => Theirs::KeyCompromise,
        Ours::CaCompromise => Theirs::CaCompromise,
        Ours::AffiliationChanged => Theirs::AffiliationChanged,
        Ours::Superseded => Theirs::Superseded,
        Ours::CessationOfOperation => Theirs::CessationOfOperation,
        Ours::CertificateHold => Theirs::CertificateHold,
        Ours::PrivilegeWithdrawn => Theirs::PrivilegeWithdrawn,
        Ours::AaCompromise => Theirs::AaCompromise,
    }
}

/// What is stored of an account.
#[derive(Serialize, Deserialize)]
struct Credentials {
    directory: String,
    contact: Vec<String>,
    account: AccountCredentials,
}

impl Credentials {
    fn new(spec: &AcmeSpec, account: AccountCredentials) -> Self {
        Self { directory: spec.directory.clone(), contact: spec.contact.clone(), account }
    }

    fn read(spec: &AcmeSpec, secret: &Secret) -> Result<Self, ObtainError> {
        serde_json::from_slice(secret).map_err(|_| unreadable(spec))
    }

    fn write(&self, spec: &AcmeSpec) -> Result<Secret, ObtainError> {
        serde_json::to_vec(self).map(Zeroizing::new).map_err(|_| unreadable(spec))
    }
}

fn unreadable(spec: &AcmeSpec) -> ObtainError {
    ObtainError::Settings(format!(
        "the stored credentials of the account at {} are not readable; restore a backup",
        spec.name
    ))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RenewalAnswer {
    suggested_window: SuggestedWindow,
    #[serde(rename = "explanationURL")]
    explanation_url: Option<String>,
}

#[derive(Deserialize)]
struct SuggestedWindow {
    start: String,
    end: String,
}

/// RFC 9773 §4.3.3.
const DEFAULT_POLL: SignedDuration = SignedDuration::from_hours(6);
const MIN_POLL: SignedDuration = SignedDuration::from_mins(1);
/// Twice a day at least, whatever the CA says.
const MAX_POLL: SignedDuration = SignedDuration::from_hours(12);
