//! Issuing certificates, in two movements. [`prepare`] decides everything and lints the result under
//! a throwaway key; what it returns can be stored. [`sign`] puts the real key to those bytes and to
//! no others.

use jiff::{SignedDuration, Timestamp};

use crate::algorithm::KeyAlgorithm;
use crate::authority::Authority;
use crate::certificate::{BadCertificate, Certificate};
use crate::key::PublicKey;
use crate::lint::{self, Finding};
use crate::name::{Identifier, Refused};
use crate::profile::{ExtendedKeyUsage, Profile};
use crate::serial::Serial;
use crate::signer::SignError;
use crate::tbs::{self, Tbs, Validity};
use crate::weak::{self, BlockedKeys, WeakKey};

/// What is asked for. That the requester holds the key and controls the names has been proved before.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The key to certify.
    pub public_key: &'a PublicKey,
    /// The names to certify; duplicates count once.
    pub identifiers: &'a [Identifier],
    /// A first second of validity other than the profile's.
    pub not_before: Option<Timestamp>,
    /// A last second of validity other than the profile's.
    pub not_after: Option<Timestamp>,
    /// Whether the TLS feature extension (RFC 7633) is wanted.
    pub must_staple: bool,
    /// Keys that are not certified for anybody.
    pub blocked: &'a BlockedKeys,
}

/// A certificate that is decided and linted, and lacks only the signature. Made by [`prepare`] alone,
/// used up by [`sign`].
#[derive(Debug)]
pub struct Prepared {
    tbs: Vec<u8>,
    serial: Serial,
    validity: Validity,
    public_key: PublicKey,
    issuer: [u8; 32],
}

impl Prepared {
    /// The DER TBSCertificate that will be signed.
    #[must_use]
    pub fn tbs(&self) -> &[u8] {
        &self.tbs
    }

    /// The serial number, used up by this even if it is never signed.
    #[must_use]
    pub fn serial(&self) -> Serial {
        self.serial
    }

    /// First second of validity.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.validity.not_before
    }

    /// Last second of validity.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.validity.not_after
    }

    /// The key to be certified.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }
}

/// Decides what the certificate says, and lints exactly those bytes: against RFC 5280 by own rules,
/// and by webpki as a path to a throwaway anchor with the authority's name and constraints.
///
/// Validity is the profile's, begins no earlier than the authority's and never ends after it;
/// requested dates are honoured within those limits and refused beyond them.
///
/// # Errors
/// [`IssueError`]; its [`fault`](IssueError::fault) says whose.
pub fn prepare(
    authority: &Authority,
    profile: &Profile,
    request: &Request<'_>,
    serial: Serial,
    now: Timestamp,
) -> Result<Prepared, IssueError> {
    let identifiers = check_names(authority, profile, request.identifiers)?;
    check_key(authority, profile, request)?;
    if request.must_staple && !profile.must_staple {
        return Err(IssueError::MustStaple);
    }
    let validity = validity(authority, profile, request, now)?;
    let tbs = compose(authority, profile, request, &identifiers, &serial, validity)?;
    let findings = judge(authority, profile, &tbs, validity, &identifiers)?;
    if !findings.is_empty() {
        return Err(IssueError::Lint(findings));
    }
    Ok(Prepared {
        tbs,
        serial,
        validity,
        public_key: request.public_key.clone(),
        issuer: authority.certificate().fingerprint(),
    })
}

/// Signs what was prepared.
///
/// # Errors
/// [`IssueError::WrongAuthority`] when another authority prepared it, [`IssueError::Sign`] when the
/// key fails, [`IssueError::Unreadable`] when the signer returns nonsense.
pub fn sign(authority: &Authority, prepared: Prepared) -> Result<Certificate, IssueError> {
    let Prepared { tbs, issuer, .. } = prepared;
    if issuer != authority.certificate().fingerprint() {
        return Err(IssueError::WrongAuthority);
    }
    let algorithm = authority.signer().public_key().algorithm().signature();
    let signature = authority.signer().sign(&tbs)?;
    Ok(Certificate::from_der(&tbs::assemble(&tbs, algorithm, &signature))?)
}

/// Whose fault an [`IssueError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The requester's: another request may be granted.
    Request,
    /// Nobody's: policy refuses what was asked.
    Policy,
    /// Ours.
    Authority,
}

/// Why a certificate was not issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// No name was asked for.
    #[error("no name to certify")]
    NoNames,
    /// The key is weak or compromised.
    #[error("the key is refused: {0}")]
    WeakKey(#[from] WeakKey),
    /// The key is the authority's own.
    #[error("the key is the issuing authority's own")]
    AuthorityKey,
    /// A requested first second that is too early or too far off.
    #[error("notBefore {asked} is refused: it must lie between {earliest} and {latest}")]
    NotBefore {
        /// What was asked for.
        asked: Timestamp,
        /// The earliest that is granted.
        earliest: Timestamp,
        /// The latest that is granted.
        latest: Timestamp,
    },
    /// A requested last second that is in the past or too far off.
    #[error("notAfter {asked} is refused: it must lie after {earliest} and not after {latest}")]
    NotAfter {
        /// What was asked for.
        asked: Timestamp,
        /// It must be later than this.
        earliest: Timestamp,
        /// The latest that is granted.
        latest: Timestamp,
    },
    /// More names than the profile permits.
    #[error("{asked} names are more than the {limit} the profile permits")]
    TooManyNames {
        /// How many were asked for.
        asked: usize,
        /// How many are granted.
        limit: usize,
    },
    /// A name the profile refuses.
    #[error(transparent)]
    Name(#[from] Refused),
    /// A name outside the authority's name constraints.
    #[error("{0} is outside the name constraints of the issuing authority")]
    Constrained(Identifier),
    /// A kind or size of key the profile refuses.
    #[error("the profile does not accept {0} keys")]
    KeyPolicy(KeyAlgorithm),
    /// The TLS feature extension, which the profile refuses.
    #[error("the profile does not grant must-staple")]
    MustStaple,
    /// The authority is not valid now, or for too short a time to issue.
    #[error("the issuing authority is valid only from {from} to {to}")]
    AuthorityExpired {
        /// Its first second.
        from: Timestamp,
        /// Its last second.
        to: Timestamp,
    },
    /// The profile has no purpose or an impossible lifetime.
    #[error("the profile cannot issue: {0}")]
    Profile(#[from] crate::profile::BadProfile),
    /// The certificate would have broken these rules: a defect of this program.
    #[error("the certificate would not be sound: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Lint(Vec<Finding>),
    /// A date outside the years 1950 to 9999.
    #[error("a date cannot be expressed in a certificate")]
    Date,
    /// Prepared by another authority.
    #[error("the certificate was prepared by another authority")]
    WrongAuthority,
    /// The signed bytes cannot be read back.
    #[error("the signed certificate is unreadable: {0}")]
    Unreadable(#[from] BadCertificate),
    /// The key failed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl IssueError {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::NoNames
            | Self::WeakKey(_)
            | Self::AuthorityKey
            | Self::NotBefore { .. }
            | Self::NotAfter { .. } => Fault::Request,
            Self::TooManyNames { .. }
            | Self::Name(_)
            | Self::Constrained(_)
            | Self::KeyPolicy(_)
            | Self::MustStaple => Fault::Policy,
            Self::AuthorityExpired { .. }
            | Self::Profile(_)
            | Self::Lint(_)
            | Self::Date
            | Self::WrongAuthority
            | Self::Unreadable(_)
            | Self::Sign(_) => Fault::Authority,
        }
    }
}

/// The names in the order asked for, each once.
fn check_names<'a>(
    authority: &Authority,
    profile: &Profile,
    asked: &'a [Identifier],
) -> Result<Vec<&'a Identifier>, IssueError> {
    if asked.len() > profile.max_names {
        return Err(IssueError::TooManyNames { asked: asked.len(), limit: profile.max_names });
    }
    let mut seen = std::collections::BTreeSet::new();
    let names: Vec<&Identifier> = asked.iter().filter(|name| seen.insert(*name)).collect();
    if names.is_empty() {
        return Err(IssueError::NoNames);
    }
    for name in &names {
        profile.names.check(name)?;
        if !authority.permits(name) {
            return Err(IssueError::Constrained((*name).clone()));
        }
    }
    Ok(names)
}

fn check_key(
    authority: &Authority,
    profile: &Profile,
    request: &Request<'_>,
) -> Result<(), IssueError> {
    let key = request.public_key;
    if !profile.keys.allows(key.algorithm()) {
        return Err(IssueError::KeyPolicy(key.algorithm()));
    }
    if key == authority.signer().public_key() {
        return Err(IssueError::AuthorityKey);
    }
    weak::check(key, request.blocked)?;
    Ok(())
}

fn validity(
    authority: &Authority,
    profile: &Profile,
    request: &Request<'_>,
    now: Timestamp,
) -> Result<Validity, IssueError> {
    profile.validate()?;
    let whole =
        |at: Timestamp| Timestamp::from_second(at.as_second()).map_err(|_| IssueError::Date);
    let plus = |at: Timestamp, by: SignedDuration| at.checked_add(by).map_err(|_| IssueError::Date);
    let now = whole(now)?;
    let (from, to) = (authority.not_before(), authority.not_after());
    let expired = IssueError::AuthorityExpired { from, to };
    if now < from || now >= to {
        return Err(expired);
    }
    let earliest = plus(now, -profile.backdate)?.max(from);
    let not_before = match request.not_before {
        None => earliest,
        Some(asked) => {
            let asked = whole(asked)?;
            let latest = plus(now, profile.lifetime)?.min(to);
            if asked < earliest || asked >= latest {
                return Err(IssueError::NotBefore { asked, earliest, latest });
            }
            asked
        }
    };
    let latest = plus(not_before, profile.lifetime - SignedDuration::from_secs(1))?.min(to);
    let not_after = match request.not_after {
        None => latest,
        Some(asked) => {
            let asked = whole(asked)?;
            let earliest = not_before.max(now);
            if asked <= earliest || asked > latest {
                return Err(IssueError::NotAfter { asked, earliest, latest });
            }
            asked
        }
    };
    if not_after <= not_before { Err(expired) } else { Ok(Validity { not_before, not_after }) }
}

fn compose(
    authority: &Authority,
    profile: &Profile,
    request: &Request<'_>,
    identifiers: &[&Identifier],
    serial: &Serial,
    validity: Validity,
) -> Result<Vec<u8>, IssueError> {
    let key = request.public_key;
    let common_name = identifiers.iter().find_map(|name| match name {
        Identifier::Dns(name) if profile.common_name && name.as_str().len() <= MAX_COMMON_NAME => {
            Some(name.as_str())
        }
        _ => None,
    });
    let mut extensions = vec![
        tbs::key_usage(key_usage(key.algorithm(), profile)),
        tbs::extended_key_usage(profile.extended_key_usages.iter().map(|usage| usage.oid())),
        tbs::subject_key_id(&key.key_id()),
        tbs::authority_key_id(authority.certificate().subject_key_id().unwrap_or_default()),
        // Critical where it is all the name there is (RFC 5280 §4.2.1.6).
        tbs::subject_alt_name(identifiers.iter().copied(), common_name.is_none()),
    ];
    extensions.extend(authority.pointers());
    if request.must_staple {
        extensions.push(tbs::must_staple());
    }
    let tbs = Tbs {
        serial,
        signature: authority.signer().public_key().algorithm().signature(),
        issuer: authority.certificate().subject_der(),
        validity,
        subject: &tbs::name(common_name, None),
        spki: key.spki(),
        extensions: &extensions,
    };
    tbs.to_der().ok_or(IssueError::Date)
}

/// RSA keys may also decrypt the premaster secret of TLS 1.2 servers (RFC 5246 §7.4.2).
fn key_usage(algorithm: KeyAlgorithm, profile: &Profile) -> u8 {
    let rsa = matches!(algorithm, KeyAlgorithm::Rsa { .. });
    let server = profile.extended_key_usages.contains(&ExtendedKeyUsage::ServerAuth);
    tbs::DIGITAL_SIGNATURE | if rsa && server { tbs::KEY_ENCIPHERMENT } else { 0 }
}

fn judge(
    authority: &Authority,
    profile: &Profile,
    tbs: &[u8],
    validity: Validity,
    identifiers: &[&Identifier],
) -> Result<Vec<Finding>, IssueError> {
    let throwaway = authority.throwaway()?;
    let der = throwaway.sign(tbs)?;
    let mut findings = lint::leaf(&der, authority.certificate());
    let usage = profile.extended_key_usages.first();
    if let (Some(usage), Some(name)) = (usage, identifiers.first()) {
        findings.extend(throwaway.path(&der, validity, *usage, name));
    }
    Ok(findings)
}

const MAX_COMMON_NAME: usize = 64;
