//! Whether declarations could work, found out before anything is made of them. Each mistake is a
//! sentence that says what to do.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::declared::Declared;
use super::issuing::{AuthoritySpec, DirectorySpec, Trust};

impl Declared {
    /// Checks that every name is fit for a URL and that every reference is declared.
    ///
    /// # Errors
    /// The first that is not, in words.
    pub(crate) fn check(&self) -> Result<(), String> {
        for entry in self.entries() {
            check_name(&entry.name)?;
        }
        self.check_managed()?;
        for spec in self.authorities.values() {
            self.check_issuers(spec)?;
        }
        let mut subjects = BTreeMap::new();
        for spec in self.authorities.values() {
            if spec.crl_lifetime < MIN_CRL_LIFETIME {
                let shortest = ca::duration::format(MIN_CRL_LIFETIME);
                return Err(format!(
                    "authority {:?} has a crl_lifetime below {shortest}; choose a longer one",
                    spec.name
                ));
            }
            // RFC 5280 §4.1.2.4: a name means one authority; by it certificates find their issuer.
            let subject = (&spec.common_name, &spec.organization);
            if let Some(other) = subjects.insert(subject, &spec.name) {
                return Err(format!(
                    "authorities {other:?} and {:?} have the same common_name; tell them apart",
                    spec.name
                ));
            }
        }
        for profile in self.profiles.values() {
            profile.validate().map_err(|why| format!("profile {:?}: {why}", profile.name))?;
        }
        for directory in self.directories.values() {
            directory.check_limits()?;
            let name = &directory.name;
            if let Some(settings) = &directory.validation {
                settings.check().map_err(|why| format!("directory {name:?}: {why}"))?;
            }
            if !self.authorities.contains_key(&directory.authority) {
                return Err(missing("directory", name, "authority", &directory.authority));
            }
            if directory.profiles.is_empty() {
                return Err(format!("directory {name:?} offers no profile; name at least one"));
            }
            if let Some(gone) = directory.profiles.iter().find(|p| !self.profiles.contains_key(*p))
            {
                return Err(missing("directory", name, "profile", gone));
            }
            if directory.trust == Trust::Eab && !directory.external_account_required {
                return Err(format!(
                    "directory {name:?} trusts external account bindings but does not require one; set external_account_required = true"
                ));
            }
        }
        Ok(())
    }

    /// Whether managed certificates and their targets could work.
    fn check_managed(&self) -> Result<(), String> {
        for target in self.targets.values() {
            target.push.check().map_err(|why| format!("target {:?}: {why}", target.name()))?;
            if target.care.watch < MIN_WATCH {
                let shortest = ca::duration::format(MIN_WATCH);
                return Err(format!(
                    "target {:?}: watch must be at least {shortest}",
                    target.name()
                ));
            }
        }
        for issuer in self.issuers.values() {
            let name = &issuer.name;
            issuer.check().map_err(|why| format!("issuer {name:?}: {why}"))?;
            if self.authorities.contains_key(name) {
                return Err(format!(
                    "{name:?} is an authority and an issuer; certificates could not tell which is meant"
                ));
            }
        }
        for spec in self.certificates.values() {
            let name = &spec.name;
            for issuer in &spec.issuers {
                if !self.authorities.contains_key(issuer) && !self.issuers.contains_key(issuer) {
                    return Err(missing("certificate", name, "issuer", issuer));
                }
            }
            if !self.profiles.contains_key(&spec.profile) {
                return Err(missing("certificate", name, "profile", &spec.profile));
            }
            if let Some(gone) = spec.targets.iter().find(|t| !self.targets.contains_key(*t)) {
                return Err(missing("certificate", name, "target", gone));
            }
            spec.check().map_err(|why| format!("certificate {name:?}: {why}"))?;
        }
        Ok(())
    }

    fn check_issuers(&self, spec: &AuthoritySpec) -> Result<(), String> {
        let mut below = spec;
        for _ in 0..MAX_CHAIN {
            let Some(issuer) = &below.issuer else { return Ok(()) };
            let Some(above) = self.authorities.get(issuer) else {
                return Err(missing("authority", &below.name, "issuer", issuer));
            };
            below = above;
        }
        Err(format!(
            "authority {:?} has no root within {MAX_CHAIN} issuers; end the circle",
            spec.name
        ))
    }
}

impl DirectorySpec {
    /// Times must pass before they are over, and an order must not outlive what is kept of its
    /// authorizations.
    fn check_limits(&self) -> Result<(), String> {
        let name = &self.name;
        for (what, lifetime, longest) in [
            ("order_lifetime", self.order_lifetime, MAX_ORDER_LIFETIME),
            ("authorization_lifetime", self.authorization_lifetime, MAX_AUTHORIZATION_LIFETIME),
        ] {
            if lifetime < SignedDuration::from_secs(1) || lifetime > longest {
                let longest = ca::duration::format(longest);
                return Err(format!(
                    "directory {name:?}: {what} must lie between 1s and {longest}"
                ));
            }
        }
        if self.limits.names_per_order == 0 {
            return Err(format!("directory {name:?}: names_per_order must be at least 1"));
        }
        if self.limits.pending_orders_per_account == 0 {
            let key = "pending_orders_per_account";
            return Err(format!("directory {name:?}: {key} must be at least 1"));
        }
        Ok(())
    }
}

/// Checks that something can be called so.
///
/// # Errors
/// When it cannot, in words.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if name.is_empty() || name.len() > 63 || !name.bytes().all(plain) {
        return Err(format!(
            "{name:?} cannot be a name: use 1 to 63 lower-case letters, digits, hyphens and underscores"
        ));
    }
    // Names stand in URLs, next to these.
    if RESERVED.contains(&name) {
        return Err(format!("{name:?} is reserved; choose another name"));
    }
    Ok(())
}

fn missing(kind: &str, name: &str, what: &str, target: &str) -> String {
    format!(
        "{kind} {name:?} names {what} {target:?}, which is not declared; declare it or correct the name"
    )
}

const RESERVED: [&str; 2] = ["ocsp", "bundle"];
/// Looking costs the target a handshake.
const MIN_WATCH: SignedDuration = SignedDuration::from_secs(10);
const MAX_CHAIN: usize = 8;
/// Made at half of their life; a shorter one would be made all the time.
const MIN_CRL_LIFETIME: SignedDuration = SignedDuration::from_mins(1);
/// As long as ended authorizations are kept (`perform::retention`).
const MAX_ORDER_LIFETIME: SignedDuration = SignedDuration::from_hours(30 * 24);
const MAX_AUTHORIZATION_LIFETIME: SignedDuration = SignedDuration::from_hours(398 * 24);
