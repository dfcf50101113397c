//! Making authorities: a self-signed root, an authority below another, and the cross-signing of one
//! that exists. As with every signature, the intended bytes are linted under a throwaway key first.

use jiff::{SignedDuration, Timestamp};

use crate::authority::Authority;
use crate::certificate::{BadCertificate, Certificate};
use crate::constraints::NameConstraints;
use crate::key::{BadKey, PublicKey};
use crate::lint::{self, Finding};
use crate::serial::Serial;
use crate::signer::{MemorySigner, SignError, Signer};
use crate::tbs::{self, Tbs, Validity};
use crate::weak::{self, WeakKey};

/// What an authority's certificate is to say.
#[derive(Clone, Debug)]
pub struct AuthoritySpec {
    /// Its name.
    pub subject: Subject,
    /// How many authorities may follow below it; `None`: as many as its issuer permits.
    pub path_len: Option<u8>,
    /// What it may certify; empty for no constraints.
    pub constraints: NameConstraints,
    /// From the first to the last second of validity, both included.
    pub lifetime: SignedDuration,
    /// How far before now the validity begins.
    pub backdate: SignedDuration,
    /// Whether it signs OCSP responses itself, and so needs digitalSignature.
    pub ocsp: bool,
}

/// The name of an authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    name: Vec<u8>,
    /// The identifier its key goes by, if it is not the one computed from the key.
    key_id: Option<Vec<u8>>,
}

impl Subject {
    /// A common name and perhaps an organization, each of 1 to 64 characters (RFC 5280, appendix A.1,
    /// upper bounds) and without control characters.
    ///
    /// # Errors
    /// [`CeremonyError::Subject`] with the text that is not.
    pub fn new(common_name: &str, organization: Option<&str>) -> Result<Self, CeremonyError> {
        let bad = |text: &str| {
            !(1..=MAX_TEXT).contains(&text.chars().count()) || text.chars().any(char::is_control)
        };
        match std::iter::once(common_name).chain(organization).find(|text| bad(text)) {
            Some(text) => Err(CeremonyError::Subject(text.chars().take(MAX_TEXT).collect())),
            None => Ok(Self { name: tbs::name(Some(common_name), organization), key_id: None }),
        }
    }

    /// The name and key identifier of an authority that exists: what a cross-signed certificate must
    /// keep, or the certificates below it would not find it.
    #[must_use]
    pub fn of(certificate: &Certificate) -> Self {
        Self {
            name: certificate.subject_der().to_vec(),
            key_id: certificate.subject_key_id().map(<[u8]>::to_vec),
        }
    }
}

/// Makes a self-signed root for `signer`'s key.
///
/// # Errors
/// [`CeremonyError`].
pub fn create_root(
    spec: &AuthoritySpec,
    signer: &dyn Signer,
    serial: Serial,
    now: Timestamp,
) -> Result<Certificate, CeremonyError> {
    let validity = validity(spec, now, None)?;
    let key = signer.public_key();
    let path_len = spec.path_len;
    let key_id = spec.key_id(key);
    let extensions = extensions(spec, path_len, &key_id, &key_id);
    let tbs = Tbs {
        serial: &serial,
        signature: key.algorithm().signature(),
        issuer: &spec.subject.name,
        validity,
        subject: &spec.subject.name,
        spki: key.spki(),
        extensions: &extensions,
    };
    sign(&tbs, key, signer, None)
}

/// Makes the certificate of an authority below `parent`. To cross-sign an authority that exists, take
/// [`Subject::of`] its certificate and its public key.
///
/// # Errors
/// [`CeremonyError`]; among others when `parent` may have no authority below it, or not one so deep.
pub fn create_issuing(
    parent: &Authority,
    spec: &AuthoritySpec,
    public_key: &PublicKey,
    serial: Serial,
    now: Timestamp,
) -> Result<Certificate, CeremonyError> {
    let path_len = match (parent.path_len(), spec.path_len) {
        (None, asked) => asked,
        (Some(0), _) => return Err(CeremonyError::PathLength),
        (Some(limit), None) => Some(limit - 1),
        (Some(limit), Some(asked)) if asked < limit => Some(asked),
        (Some(_), Some(_)) => return Err(CeremonyError::PathLength),
    };
    let validity = validity(spec, now, Some(parent))?;
    let parent_id = parent.certificate().subject_key_id().unwrap_or_default();
    let mut extensions = extensions(spec, path_len, &spec.key_id(public_key), parent_id);
    extensions.extend(parent.pointers());
    let signer = parent.signer();
    let tbs = Tbs {
        serial: &serial,
        signature: signer.public_key().algorithm().signature(),
        issuer: parent.certificate().subject_der(),
        validity,
        subject: &spec.subject.name,
        spki: public_key.spki(),
        extensions: &extensions,
    };
    sign(&tbs, public_key, signer, Some(parent))
}

/// Why an authority could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CeremonyError {
    /// A name that is empty, too long or has control characters: the operator's.
    #[error("{0:?} cannot name an authority: 1 to 64 characters, no control characters")]
    Subject(String),
    /// Deeper than the issuer permits: the operator's.
    #[error("the path length of the authority above does not permit this one below it")]
    PathLength,
    /// No time is left, or dates cannot be expressed: the operator's.
    #[error("the lifetime is empty, or ends before it begins")]
    Lifetime,
    /// A weak key: the operator's.
    #[error(transparent)]
    WeakKey(#[from] WeakKey),
    /// A key that cannot be used: the operator's.
    #[error(transparent)]
    Key(#[from] BadKey),
    /// The certificate would have broken these rules: a defect of this program.
    #[error("the certificate would not be sound: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Lint(Vec<Finding>),
    /// The signed bytes cannot be read back: a defect of this program or of the signer.
    #[error("the signed certificate is unreadable: {0}")]
    Unreadable(#[from] BadCertificate),
    /// The key failed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl AuthoritySpec {
    fn key_id(&self, key: &PublicKey) -> Vec<u8> {
        self.subject.key_id.clone().unwrap_or_else(|| key.key_id().to_vec())
    }
}

fn extensions(
    spec: &AuthoritySpec,
    path_len: Option<u8>,
    own_id: &[u8],
    issuer_id: &[u8],
) -> Vec<Vec<u8>> {
    let ocsp = if spec.ocsp { tbs::DIGITAL_SIGNATURE } else { 0 };
    let mut extensions = vec![
        tbs::basic_constraints(path_len),
        tbs::key_usage(tbs::KEY_CERT_SIGN | tbs::CRL_SIGN | ocsp),
        tbs::subject_key_id(own_id),
        tbs::authority_key_id(issuer_id),
    ];
    if !spec.constraints.is_empty() {
        extensions.push(tbs::extension(tbs::NAME_CONSTRAINTS, true, &spec.constraints.to_der()));
    }
    extensions
}

/// Never beyond the issuer's own validity.
fn validity(
    spec: &AuthoritySpec,
    now: Timestamp,
    issuer: Option<&Authority>,
) -> Result<Validity, CeremonyError> {
    let out_of_range = |_| CeremonyError::Lifetime;
    let now = Timestamp::from_second(now.as_second()).map_err(out_of_range)?;
    let mut not_before = now.checked_sub(spec.backdate).map_err(out_of_range)?;
    if let Some(issuer) = issuer {
        not_before = not_before.max(issuer.not_before());
    }
    let last = spec.lifetime - SignedDuration::from_secs(1);
    let mut not_after = not_before.checked_add(last).map_err(out_of_range)?;
    if let Some(issuer) = issuer {
        not_after = not_after.min(issuer.not_after());
    }
    if not_after <= not_before || not_after <= now {
        return Err(CeremonyError::Lifetime);
    }
    Ok(Validity { not_before, not_after })
}

fn sign(
    tbs: &Tbs<'_>,
    key: &PublicKey,
    signer: &dyn Signer,
    issuer: Option<&Authority>,
) -> Result<Certificate, CeremonyError> {
    weak::check_numbers(key)?;
    let algorithm = tbs.signature;
    let tbs = tbs.to_der().ok_or(CeremonyError::Lifetime)?;
    let findings = match issuer {
        Some(issuer) => {
            lint::authority(&issuer.throwaway()?.sign(&tbs)?, Some(issuer.certificate()))
        }
        None => {
            let throwaway = MemorySigner::generate(crate::KeyAlgorithm::EcdsaP256)?;
            lint::authority(&tbs::assemble(&tbs, algorithm, &throwaway.sign(&tbs)?), None)
        }
    };
    if !findings.is_empty() {
        return Err(CeremonyError::Lint(findings));
    }
    let signature = signer.sign(&tbs)?;
    signer.public_key().verify(algorithm, &tbs, &signature)?;
    Ok(Certificate::from_der(&tbs::assemble(&tbs, algorithm, &signature))?)
}

const MAX_TEXT: usize = 64;
