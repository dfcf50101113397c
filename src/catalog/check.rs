//! Whether declarations could work, found out before anything is made of them. Each mistake is a
//! sentence that says what to do.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::declared::Declared;
use super::issuing::{AuthoritySpec, DirectorySpec, Trust};
use super::kubernetes::check_sockets;
use super::managed::CertificateSpec;
use super::signer::SignerSpec;
use super::wrong::Wrong;
use crate::access::{Fault, Rules};

impl Declared {
    /// Checks that every name is fit for a URL and that every reference is declared.
    ///
    /// # Errors
    /// The first that is not, in words.
    pub(crate) fn check(&self) -> Result<(), Wrong> {
        for entry in self.entries() {
            let wrong = |why| Wrong::new(entry.kind, &entry.name, why);
            check_name(&entry.name).map_err(wrong)?;
        }
        self.check_managed()?;
        self.check_keysets()?;
        self.check_signers()?;
        self.check_receivers()?;
        for spec in self.identity_providers.values() {
            spec.check().map_err(|why| Wrong::new("identity_provider", &spec.name, why))?;
        }
        self.check_endpoints()?;
        check_sockets(&self.keysets)?;
        self.check_cluster_signers()?;
        self.check_discoveries()?;
        self.check_bundles()?;
        self.check_rules()?;
        self.check_authorities()?;
        for profile in self.profiles.values() {
            let wrong = |why: String| Wrong::new("profile", &profile.name, why);
            profile.validate().map_err(|why| wrong(why.to_string()))?;
        }
        self.check_directories()
    }

    /// Whether bindings and policies say something that there is.
    fn check_rules(&self) -> Result<(), Wrong> {
        let most = |kind, names: Vec<&String>| match names.get(MOST_RULES) {
            Some(name) => {
                Err(Wrong::new(kind, name, format!("there are more than {MOST_RULES} of them")))
            }
            None => Ok(()),
        };
        most("binding", self.bindings.keys().collect())?;
        most("policy", self.policies.keys().collect())?;
        most("approval", self.approvals.keys().collect())?;
        for spec in self.approvals.values() {
            spec.check().map_err(|why| Wrong::new("approval", &spec.name, why))?;
        }
        let rules = Rules::compile(self.bindings.values(), self.policies.values(), []);
        rules.map(|_| ()).map_err(|fault| match fault {
            Fault::Binding { name, why } => Wrong::new("binding", &name, why.to_string()),
            Fault::Policy { name, why } => Wrong::new("policy", &name, why.to_string()),
            Fault::Program(why) => Wrong::new("policy", "", why),
        })
    }

    /// Whether requests of clusters could be signed.
    fn check_cluster_signers(&self) -> Result<(), Wrong> {
        for spec in self.cluster_signers.values() {
            let name = &spec.name;
            spec.check().map_err(|why| Wrong::new("cluster_signer", name, why))?;
            if !self.authorities.contains_key(&spec.authority) {
                return Err(Wrong::missing("cluster_signer", name, "authority", &spec.authority));
            }
            if !self.profiles.contains_key(&spec.profile) {
                return Err(Wrong::missing("cluster_signer", name, "profile", &spec.profile));
            }
        }
        Ok(())
    }

    /// Whether authorities could stand, each under a name of its own.
    fn check_authorities(&self) -> Result<(), Wrong> {
        for spec in self.authorities.values() {
            self.check_issuers(spec)?;
        }
        let mut subjects = BTreeMap::new();
        for spec in self.authorities.values() {
            if spec.crl_lifetime < MIN_CRL_LIFETIME {
                let shortest = ca::duration::format(MIN_CRL_LIFETIME);
                let why = format!("crl_lifetime must be at least {shortest}");
                return Err(Wrong::new("authority", &spec.name, why));
            }
            // RFC 5280 §4.1.2.4: a name means one authority; by it certificates find their issuer.
            let subject = (&spec.common_name, &spec.organization);
            if let Some(other) = subjects.insert(subject, &spec.name) {
                let why = format!("it has the common_name of authority {other:?}; tell them apart");
                return Err(Wrong::new("authority", &spec.name, why));
            }
        }
        Ok(())
    }

    /// Whether directories could serve.
    fn check_directories(&self) -> Result<(), Wrong> {
        for directory in self.directories.values() {
            let name = &directory.name;
            let wrong = |why: String| Wrong::new("directory", name, why);
            directory.check_limits().map_err(wrong)?;
            if let Some(settings) = &directory.validation {
                settings.check().map_err(|why| wrong(why.to_string()))?;
            }
            if !self.authorities.contains_key(&directory.authority) {
                return Err(Wrong::missing("directory", name, "authority", &directory.authority));
            }
            if directory.profiles.is_empty() {
                return Err(wrong("it offers no profile; name at least one".into()));
            }
            if let Some(gone) = directory.profiles.iter().find(|p| !self.profiles.contains_key(*p))
            {
                return Err(Wrong::missing("directory", name, "profile", gone));
            }
            if directory.trust == Trust::Eab && !directory.external_account_required {
                return Err(wrong(
                    "it trusts external account bindings but does not require one; set external_account_required = true".into()
                ));
            }
        }
        Ok(())
    }

    /// Whether endpoints could be watched, each by itself.
    fn check_endpoints(&self) -> Result<(), Wrong> {
        let mut addresses = BTreeMap::new();
        for spec in self.endpoints.values() {
            let wrong = |why| Wrong::new("endpoint", &spec.name, why);
            spec.check().map_err(wrong)?;
            if let Some(other) = addresses.insert((&spec.address, spec.asked()), &spec.name) {
                return Err(wrong(format!("endpoint {other:?} is the same address; remove one")));
            }
        }
        Ok(())
    }

    /// Whether keysets could work.
    fn check_keysets(&self) -> Result<(), Wrong> {
        for spec in self.keysets.values() {
            spec.check().map_err(|why| Wrong::new("keyset", &spec.name, why))?;
            // What can be a name is meant as one; a file has a directory, or an extension.
            let roots = spec.edge_roots.iter().filter(|roots| check_name(roots).is_ok());
            for authority in spec.x5c.iter().chain(roots) {
                if !self.authorities.contains_key(authority) {
                    return Err(Wrong::missing("keyset", &spec.name, "authority", authority));
                }
            }
        }
        Ok(())
    }

    /// Whether everybody can be told, and is called otherwise than the others.
    fn check_receivers(&self) -> Result<(), Wrong> {
        let mut kinds = BTreeMap::new();
        let webhooks = self.webhooks.values().map(|spec| ("webhook", &spec.name, spec.check()));
        let mails = self.mails.values().map(|spec| ("mail", &spec.name, spec.check()));
        let chats = self.chats.values().map(|spec| ("chat", &spec.name, spec.check()));
        for (kind, name, checked) in webhooks.chain(mails).chain(chats) {
            checked.map_err(|why| Wrong::new(kind, name, why))?;
            if let Some(other) = kinds.insert(name, kind) {
                let why = format!("there is a {other} of this name; rename one of them");
                return Err(Wrong::new(kind, name, why));
            }
        }
        Ok(())
    }

    /// Whether each signer target has a file of its own.
    fn check_signers(&self) -> Result<(), Wrong> {
        let mut files = BTreeMap::new();
        for spec in self.keysets.values() {
            for file in spec.signers.iter().flat_map(SignerSpec::files) {
                if let Some(other) = files.insert(file.clone(), &spec.name) {
                    let file = file.display();
                    let why = format!("a signer of keyset {other:?} has the file {file} too");
                    return Err(Wrong::new("keyset", &spec.name, why));
                }
            }
        }
        Ok(())
    }

    /// Whether managed certificates and their targets could work.
    fn check_managed(&self) -> Result<(), Wrong> {
        for target in self.targets.values() {
            let wrong = |why| Wrong::new("target", target.name(), why);
            target.push.check().map_err(wrong)?;
            if target.care.watch < MIN_WATCH {
                let shortest = ca::duration::format(MIN_WATCH);
                return Err(wrong(format!("watch must be at least {shortest}")));
            }
        }
        for issuer in self.issuers.values() {
            let name = &issuer.name;
            issuer.check().map_err(|why| Wrong::new("issuer", name, why))?;
            if self.authorities.contains_key(name) {
                let why = "there is an authority of this name, and certificates could not tell which is meant; rename it";
                return Err(Wrong::new("issuer", name, why));
            }
        }
        for spec in self.certificates.values() {
            let name = &spec.name;
            for issuer in &spec.issuers {
                if !self.authorities.contains_key(issuer) && !self.issuers.contains_key(issuer) {
                    return Err(Wrong::missing("certificate", name, "issuer", issuer));
                }
            }
            if !self.profiles.contains_key(&spec.profile) {
                return Err(Wrong::missing("certificate", name, "profile", &spec.profile));
            }
            if let Some(gone) = spec.targets.iter().find(|t| !self.targets.contains_key(*t)) {
                return Err(Wrong::missing("certificate", name, "target", gone));
            }
            self.check_key_can_be_given(spec)?;
            spec.check().map_err(|why| Wrong::new("certificate", name, why))?;
        }
        Ok(())
    }

    /// What is given over SDS has its key with it.
    fn check_key_can_be_given(&self, spec: &CertificateSpec) -> Result<(), Wrong> {
        let sds = |target: &&String| {
            let declared = self.targets.get(*target).map(|target| &target.push.kind);
            matches!(declared, Some(push::Kind::Sds(_)))
        };
        match (&spec.csr, spec.targets.iter().find(sds)) {
            (Some(_), Some(target)) => {
                let why = format!(
                    "its key is made elsewhere (csr), so target {target:?} of kind sds cannot give it; \
                     leave one of them out"
                );
                Err(Wrong::new("certificate", &spec.name, why))
            }
            _ => Ok(()),
        }
    }

    fn check_issuers(&self, spec: &AuthoritySpec) -> Result<(), Wrong> {
        let mut below = spec;
        for _ in 0..MAX_CHAIN {
            let Some(issuer) = &below.issuer else { return Ok(()) };
            let Some(above) = self.authorities.get(issuer) else {
                return Err(Wrong::missing("authority", &below.name, "issuer", issuer));
            };
            below = above;
        }
        let why = format!("it has no root within {MAX_CHAIN} issuers; end the circle");
        Err(Wrong::new("authority", &spec.name, why))
    }
}

impl DirectorySpec {
    /// Times must pass before they are over, and an order must not outlive what is kept of its
    /// authorizations.
    fn check_limits(&self) -> Result<(), String> {
        for (what, lifetime, longest) in [
            ("order_lifetime", self.order_lifetime, MAX_ORDER_LIFETIME),
            ("authorization_lifetime", self.authorization_lifetime, MAX_AUTHORIZATION_LIFETIME),
        ] {
            if lifetime < SignedDuration::from_secs(1) || lifetime > longest {
                let longest = ca::duration::format(longest);
                return Err(format!("{what} must lie between 1s and {longest}"));
            }
        }
        if self.limits.names_per_order == 0 {
            return Err("names_per_order must be at least 1".into());
        }
        if self.limits.pending_orders_per_account == 0 {
            return Err("pending_orders_per_account must be at least 1".into());
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

/// Each is looked at in every decision.
const MOST_RULES: usize = 1000;
const RESERVED: [&str; 2] = ["ocsp", "bundle"];
/// Looking costs the target a handshake.
const MIN_WATCH: SignedDuration = SignedDuration::from_secs(10);
const MAX_CHAIN: usize = 8;
/// Made at half of their life; a shorter one would be made all the time.
const MIN_CRL_LIFETIME: SignedDuration = SignedDuration::from_mins(1);
/// As long as ended authorizations are kept (`perform::retention`).
const MAX_ORDER_LIFETIME: SignedDuration = SignedDuration::from_hours(30 * 24);
const MAX_AUTHORIZATION_LIFETIME: SignedDuration = SignedDuration::from_hours(398 * 24);
