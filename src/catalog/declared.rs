//! Declarations: TOML in, checked specifications out. A mistake names the file, the line and the
//! remedy, and a set of declarations is taken whole or not at all.

use std::collections::BTreeMap;

use acme::ChallengeType;
use acme::limit::Bucket;
use ca::{KeyAlgorithm, NameConstraints, NamePolicy, Profile};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::perform::validate;

/// A set of declarations, by kind and name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Declared {
    pub(crate) authorities: BTreeMap<String, AuthoritySpec>,
    pub(crate) profiles: BTreeMap<String, Profile>,
    pub(crate) directories: BTreeMap<String, DirectorySpec>,
}

/// An internal CA: a root, or one issued by another authority.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuthoritySpec {
    /// What everything else calls it, and its place under `/pki/`.
    pub(crate) name: String,
    /// The authority that certifies it; none makes it a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<String>,
    /// Common name of its subject.
    pub(crate) common_name: String,
    /// Organization of its subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) organization: Option<String>,
    /// The kind of key it signs with.
    #[serde(default = "default_key")]
    pub(crate) key: KeyAlgorithm,
    /// How long it is valid, at most as long as its issuer.
    #[serde(with = "ca::duration")]
    pub(crate) lifetime: SignedDuration,
    /// How many authorities may stand below it in a chain (RFC 5280 §4.2.1.9); none: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path_length: Option<u8>,
    /// What it may certify at all, written into its certificate (RFC 5280 §4.2.1.10).
    #[serde(default, skip_serializing_if = "NameConstraints::is_empty")]
    pub(crate) name_constraints: NameConstraints,
    /// How long a CRL of it is valid; a fresh one is made at half of that.
    #[serde(with = "ca::duration", default = "default_crl_lifetime")]
    pub(crate) crl_lifetime: SignedDuration,
}

/// An ACME endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DirectorySpec {
    /// What everything else calls it, and its place under `/acme/`.
    pub(crate) name: String,
    /// The authority that signs.
    pub(crate) authority: String,
    /// The profiles on offer; the first is used when an order names none.
    pub(crate) profiles: Vec<String>,
    /// The challenges on offer.
    #[serde(default = "default_challenges")]
    pub(crate) challenges: Vec<ChallengeType>,
    /// Whether an account must be bound to an external key.
    #[serde(default)]
    pub(crate) external_account_required: bool,
    /// Whether names are proven by challenge, or by the external key of the account.
    #[serde(default)]
    pub(crate) trust: Trust,
    /// Which names may be ordered here at all.
    #[serde(default)]
    pub(crate) names: NamePolicy,
    /// The issuer domain names of this CA in CAA records; none: CAA is not asked.
    #[serde(default)]
    pub(crate) caa_identities: Vec<String>,
    /// Where the terms of service stand; accounts must agree if given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) terms_of_service: Option<String>,
    /// Where a person reads about this CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) website: Option<String>,
    /// How long an order may take.
    #[serde(with = "ca::duration", default = "default_order_lifetime")]
    pub(crate) order_lifetime: SignedDuration,
    /// How long a proven name stays proven for its account.
    #[serde(with = "ca::duration", default = "default_authorization_lifetime")]
    pub(crate) authorization_lifetime: SignedDuration,
    /// How often a validation is tried before it counts as failed.
    #[serde(default = "default_attempts")]
    pub(crate) attempts: u32,
    /// Rate limits.
    #[serde(default)]
    pub(crate) limits: Limits,
    /// Validation settings in place of the node's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) validation: Option<validate::Settings>,
}

/// What proves that an account may have a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Trust {
    /// A challenge answered for each name.
    #[default]
    Challenge,
    /// For names the account's external key permits, the binding itself.
    Eab,
}

/// Token buckets; a missing one does not limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// New accounts from one client address.
    pub(crate) accounts_per_address: Option<Bucket>,
    /// New orders of one account.
    pub(crate) orders_per_account: Option<Bucket>,
    /// Orders of one account that are neither finalized nor over.
    pub(crate) pending_orders_per_account: u32,
    /// Certificates for the same set of names.
    pub(crate) orders_per_names: Option<Bucket>,
    /// Failed validations of one name by one account.
    pub(crate) failures_per_name: Option<Bucket>,
    /// Names in one order.
    pub(crate) names_per_order: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            accounts_per_address: "500/3h".parse().ok(),
            orders_per_account: "100000/3h".parse().ok(),
            pending_orders_per_account: 1000,
            orders_per_names: None,
            failures_per_name: "60/1h".parse().ok(),
            names_per_order: 100,
        }
    }
}

/// Reads the declarations of several files as one set.
///
/// # Errors
/// The first mistake, with its file and line.
pub(crate) fn parse<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Declared, Mistake> {
    let mut declared = Declared::default();
    for (file, text) in files {
        let tables: Tables =
            toml::from_str(text).map_err(|error| Mistake::in_toml(file, &error))?;
        let twice = |Duplicate { kind, name }: Duplicate| Mistake {
            file: file.to_owned(),
            what: format!("{kind} {name:?} is declared twice; remove or rename one of them"),
        };
        for spec in tables.authority {
            declared.add_authority(spec).map_err(twice)?;
        }
        for spec in tables.profile {
            declared.add_profile(spec).map_err(twice)?;
        }
        for spec in tables.directory {
            declared.add_directory(spec).map_err(twice)?;
        }
    }
    Ok(declared)
}

/// What a node declares for itself when nobody told it anything: a root, an issuing authority
/// named `internal`, and a directory and a profile named `default`.
pub(crate) fn defaults() -> Declared {
    let years = |n: i64| SignedDuration::from_hours(n * 365 * 24);
    let authority = |name: &str, issuer: Option<&str>, common_name: &str, lifetime| AuthoritySpec {
        name: name.into(),
        issuer: issuer.map(Into::into),
        common_name: common_name.into(),
        organization: None,
        key: KeyAlgorithm::EcdsaP256,
        lifetime,
        path_length: issuer.map(|_| 0),
        name_constraints: NameConstraints::default(),
        crl_lifetime: default_crl_lifetime(),
    };
    let mut declared = Declared::default();
    let root = authority("root", None, "Perennial Root CA", years(20));
    let internal = authority("internal", Some("root"), "Perennial Internal CA", years(5));
    let directory = DirectorySpec {
        name: "default".into(),
        authority: "internal".into(),
        profiles: vec!["default".into()],
        challenges: default_challenges(),
        external_account_required: false,
        trust: Trust::Challenge,
        names: NamePolicy::default(),
        caa_identities: Vec::new(),
        terms_of_service: None,
        website: None,
        order_lifetime: default_order_lifetime(),
        authorization_lifetime: default_authorization_lifetime(),
        attempts: default_attempts(),
        limits: Limits::default(),
        validation: None,
    };
    declared.authorities.insert(root.name.clone(), root);
    declared.authorities.insert(internal.name.clone(), internal);
    declared
        .profiles
        .insert("default".into(), Profile { name: "default".into(), ..Profile::tls_server() });
    declared.directories.insert(directory.name.clone(), directory);
    declared
}

impl Declared {
    /// Adds an authority.
    ///
    /// # Errors
    /// When one of that name is there.
    pub(crate) fn add_authority(&mut self, spec: AuthoritySpec) -> Result<(), Duplicate> {
        add(&mut self.authorities, "authority", spec.name.clone(), spec)
    }

    /// Adds a profile.
    ///
    /// # Errors
    /// When one of that name is there.
    pub(crate) fn add_profile(&mut self, spec: Profile) -> Result<(), Duplicate> {
        add(&mut self.profiles, "profile", spec.name.clone(), spec)
    }

    /// Adds a directory.
    ///
    /// # Errors
    /// When one of that name is there.
    pub(crate) fn add_directory(&mut self, spec: DirectorySpec) -> Result<(), Duplicate> {
        add(&mut self.directories, "directory", spec.name.clone(), spec)
    }
}

/// A name declared twice.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Duplicate {
    kind: &'static str,
    name: String,
}

/// A mistake in a declaration file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {what}")]
pub(crate) struct Mistake {
    file: String,
    what: String,
}

impl Mistake {
    fn in_toml(file: &str, error: &toml::de::Error) -> Self {
        Self { file: file.to_owned(), what: error.to_string().trim_end().to_owned() }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Tables {
    authority: Vec<AuthoritySpec>,
    profile: Vec<Profile>,
    directory: Vec<DirectorySpec>,
}

fn add<T>(
    to: &mut BTreeMap<String, T>,
    kind: &'static str,
    name: String,
    spec: T,
) -> Result<(), Duplicate> {
    if to.contains_key(&name) {
        return Err(Duplicate { kind, name });
    }
    to.insert(name, spec);
    Ok(())
}

fn default_key() -> KeyAlgorithm {
    KeyAlgorithm::EcdsaP256
}

fn default_crl_lifetime() -> SignedDuration {
    SignedDuration::from_hours(48)
}

fn default_challenges() -> Vec<ChallengeType> {
    vec![ChallengeType::Http01, ChallengeType::Dns01, ChallengeType::TlsAlpn01]
}

fn default_order_lifetime() -> SignedDuration {
    SignedDuration::from_hours(7 * 24)
}

fn default_authorization_lifetime() -> SignedDuration {
    SignedDuration::from_hours(7 * 24)
}

fn default_attempts() -> u32 {
    3
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [[authority]]
        name = "root"
        common_name = "R"
        lifetime = "3650d"

        [[authority]]
        name = "edge"
        issuer = "root"
        common_name = "E"
        lifetime = "365d"
        name_constraints.permitted = ["example.com"]

        [[profile]]
        name = "short"
        lifetime = "7d"

        [[directory]]
        name = "edge"
        authority = "edge"
        profiles = ["short"]
        limits.orders_per_account = "10/1h"
    "#;

    #[test]
    fn what_the_node_declares_for_itself_is_sound() {
        assert_eq!(defaults().check(), Ok(()));
    }

    #[test]
    fn a_mistake_names_its_file_and_line() {
        assert_eq!(parse([("a.toml", GOOD)]).expect("parses").check(), Ok(()));
        let bad = GOOD.replace("lifetime = \"7d\"", "lifetime = \"7 moons\"");
        let mistake = parse([("a.toml", bad.as_str())]).expect_err("no duration").to_string();
        assert!(mistake.contains("a.toml") && mistake.contains("line 16"), "{mistake}");
        assert!(parse([("a.toml", "[[directory]]\nnmae = 'x'")]).is_err());
        assert!(parse([("a.toml", GOOD), ("b.toml", GOOD)]).is_err(), "declared twice");
    }

    #[test]
    fn a_reference_to_nothing_is_a_mistake() {
        for (from, to) in [
            ("issuer = \"root\"", "issuer = \"moon\""),
            ("issuer = \"root\"", "issuer = \"edge\""),
            ("authority = \"edge\"", "authority = \"moon\""),
            ("profiles = [\"short\"]", "profiles = [\"long\"]"),
            ("profiles = [\"short\"]", "profiles = []"),
            ("name = \"short\"", "name = \"../x\""),
        ] {
            let text = GOOD.replace(from, to);
            let declared = parse([("a.toml", text.as_str())]).expect("parses");
            assert!(declared.check().is_err(), "{to}");
        }
    }

    #[test]
    fn what_could_not_work_is_a_mistake() {
        for (from, to) in [
            ("issuer = \"root\"", "issuer = \"root\"\ncrl_lifetime = \"0s\""),
            ("common_name = \"E\"", "common_name = \"R\""),
            ("lifetime = \"7d\"", "lifetime = \"0s\""),
            ("lifetime = \"7d\"", "lifetime = \"7d\"\nextended_key_usages = []"),
            ("authority = \"edge\"", "authority = \"edge\"\norder_lifetime = \"0s\""),
            ("authority = \"edge\"", "authority = \"edge\"\norder_lifetime = \"400d\""),
            ("authority = \"edge\"", "authority = \"edge\"\nauthorization_lifetime = \"0s\""),
            ("limits.orders_per_account = \"10/1h\"", "limits.names_per_order = 0"),
            ("limits.orders_per_account = \"10/1h\"", "validation.http_port = 0"),
            ("limits.orders_per_account = \"10/1h\"", "limits.pending_orders_per_account = 0"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let declared = parse([("a.toml", GOOD.replace(from, to).as_str())]).expect(to);
            assert!(declared.check().is_err(), "{to} was accepted");
        }
    }
}
