//! Declarations: TOML in, specifications out. A mistake names the file, the line and the remedy, and
//! a set of declarations is taken whole or not at all.

use std::collections::BTreeMap;

use ca::Profile;
use serde::Deserialize;
use serde_json::Value;

use super::cluster_bundle::ClusterBundleSpec;
use super::cluster_discovery::ClusterDiscoverySpec;
use super::cluster_signer::ClusterSignerSpec;
use super::endpoint::{AlertSpec, EndpointSpec};
use super::identity_provider::IdentityProviderSpec;
use super::issuing::{AuthoritySpec, DirectorySpec};
use super::keyset::KeysetSpec;
use super::mail::MailSpec;
use super::managed::{CertificateSpec, TargetSpec};
use super::receiver::ChatSpec;
use super::webhook::WebhookSpec;
use super::wrong::{self, Wrong};
use crate::access::{ApprovalSpec, Binding, Policy};
use crate::perform::obtain::acme::AcmeSpec;

/// One declared thing, whatever its kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// `authority`, `profile`, ...
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    /// Its specification, as it is stored.
    pub(crate) spec: Value,
}

macro_rules! kinds {
    ($($field:ident: $spec:ty, $kind:literal, $name:expr;)+) => {
        /// A set of declarations, by kind and name.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub(crate) struct Declared {
            $(pub(crate) $field: BTreeMap<String, $spec>,)+
        }

        /// The tables of a file.
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        struct Tables {
            $(#[serde(rename = $kind)] $field: Vec<$spec>,)+
        }

        impl Declared {
            /// This set with everything in `wanted` put in or over.
            pub(crate) fn with(mut self, wanted: &Self) -> Self {
                $(self.$field.extend(wanted.$field.clone());)+
                self
            }

            /// Whether it has something of this kind and name.
            pub(crate) fn holds(&self, kind: &str, name: &str) -> bool {
                match kind {
                    $($kind => self.$field.contains_key(name),)+
                    _ => false,
                }
            }

            /// Everything in it, kind by kind.
            pub(crate) fn entries(&self) -> Vec<Entry> {
                let mut entries = Vec::new();
                $(entries.extend(self.$field.iter().map(|(name, spec)| Entry {
                    kind: $kind,
                    name: name.clone(),
                    // Specifications hold only what has a JSON form.
                    spec: serde_json::to_value(spec).unwrap_or_default(),
                }));)+
                entries
            }

            /// Adds what is stored of a thing.
            ///
            /// # Errors
            /// When it cannot be read, or is there already; in words.
            pub(crate) fn add_stored(
                &mut self,
                kind: &str,
                name: &str,
                spec: &str,
            ) -> Result<(), String> {
                let unreadable = |e| format!("{kind} {name:?} cannot be read: {e}");
                match kind {
                    $($kind => {
                        let spec: $spec = serde_json::from_str(spec).map_err(unreadable)?;
                        let added = add(&mut self.$field, $kind, $name(&spec), spec);
                        added.map_err(|wrong| wrong.to_string())
                    })+
                    _ => Err(format!("there is no kind {kind:?}")),
                }
            }

            fn add_tables(&mut self, tables: Tables) -> Result<(), Wrong> {
                $(for spec in tables.$field {
                    add(&mut self.$field, $kind, $name(&spec), spec)?;
                })+
                Ok(())
            }
        }
    };
}

// A new kind of thing is a line here and the type of its table.
kinds! {
    authorities: AuthoritySpec, "authority", |spec: &AuthoritySpec| spec.name.clone();
    profiles: Profile, "profile", |spec: &Profile| spec.name.clone();
    directories: DirectorySpec, "directory", |spec: &DirectorySpec| spec.name.clone();
    issuers: AcmeSpec, "issuer", |spec: &AcmeSpec| spec.name.clone();
    certificates: CertificateSpec, "certificate", |spec: &CertificateSpec| spec.name.clone();
    targets: TargetSpec, "target", |spec: &TargetSpec| spec.name().to_owned();
    keysets: KeysetSpec, "keyset", |spec: &KeysetSpec| spec.name.clone();
    webhooks: WebhookSpec, "webhook", |spec: &WebhookSpec| spec.name.clone();
    mails: MailSpec, "mail", |spec: &MailSpec| spec.name.clone();
    chats: ChatSpec, "chat", |spec: &ChatSpec| spec.name.clone();
    cluster_signers: ClusterSignerSpec, "cluster_signer", |spec: &ClusterSignerSpec| spec.name.clone();
    endpoints: EndpointSpec, "endpoint", |spec: &EndpointSpec| spec.name.clone();
    alerts: AlertSpec, "alert", |spec: &AlertSpec| spec.name.clone();
    cluster_discoveries: ClusterDiscoverySpec, "cluster_discovery", |spec: &ClusterDiscoverySpec| spec.name.clone();
    cluster_bundles: ClusterBundleSpec, "cluster_bundle", |spec: &ClusterBundleSpec| spec.name.clone();
    identity_providers: IdentityProviderSpec, "identity_provider", |spec: &IdentityProviderSpec| spec.name.clone();
    bindings: Binding, "binding", |spec: &Binding| spec.name.clone();
    policies: Policy, "policy", |spec: &Policy| spec.name.clone();
    approvals: ApprovalSpec, "approval", |spec: &ApprovalSpec| spec.name.clone();
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
        let tables = toml::from_str(text).map_err(|error| Mistake::in_toml(file, &error))?;
        declared.add_tables(tables).map_err(|wrong| Mistake::in_table(file, text, &wrong))?;
    }
    Ok(declared)
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

    fn in_table(file: &str, text: &str, wrong: &Wrong) -> Self {
        let line = wrong::line(text, wrong.kind, &wrong.name).unwrap_or_default();
        Self { file: file.to_owned(), what: format!("line {line}: {wrong}") }
    }
}

fn add<T>(
    to: &mut BTreeMap<String, T>,
    kind: &'static str,
    name: String,
    spec: T,
) -> Result<(), Wrong> {
    if to.contains_key(&name) {
        return Err(Wrong::new(kind, &name, "it is declared twice; remove or rename one of them"));
    }
    to.insert(name, spec);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::issuing::defaults;
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
        let twice = parse([("a.toml", GOOD), ("b.toml", GOOD)]).expect_err("declared twice");
        assert!(twice.to_string().starts_with("b.toml: line 2: authority \"root\""), "{twice}");
    }

    #[test]
    fn what_does_not_fit_together_names_the_line_of_its_table() {
        let files = [("a.toml", GOOD.replace("authority = \"edge\"", "authority = \"moon\""))];
        let files = || files.iter().map(|(name, text)| (*name, text.as_str()));
        let wrong = parse(files()).expect("parses").check().expect_err("no such authority");
        let told = wrong.placed(files());
        assert!(told.starts_with("a.toml: line 18: directory \"edge\": it names"), "{told}");
        assert!(wrong.placed([("b.toml", "")]).contains("in none of these files"));
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
