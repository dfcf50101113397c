//! What is declared of an identity provider: where people may sign in instead of here, and what they are here
//! by what it says of them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

use super::receiver::check_path;
use crate::access::Role;

/// A provider of identities (OpenID Connect) that is believed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentityProviderSpec {
    /// What everything else calls it.
    pub(crate) name: String,
    /// Its issuer identifier: an https URL.
    pub(crate) issuer: String,
    /// What we are called there.
    pub(crate) client_id: String,
    /// A file with the secret that we have there; none: only PKCE protects the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_secret_file: Option<PathBuf>,
    /// What is asked for besides `openid`.
    #[serde(default = "default_scopes")]
    pub(crate) scopes: Vec<String>,
    /// The claim that people are called by here, such as `email` or `preferred_username`.
    #[serde(default = "default_name_claim")]
    pub(crate) name_claim: String,
    /// The claim with the groups they belong to.
    #[serde(default = "default_groups_claim")]
    pub(crate) groups_claim: String,
    /// The roles that whoever belongs to a group has here.
    #[serde(default)]
    pub(crate) roles: BTreeMap<String, Vec<String>>,
    /// Groups that are let in though they give no role by themselves.
    #[serde(default)]
    pub(crate) groups: Vec<String>,
    /// PEM certificates to trust for it, in place of the system's roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) roots: Option<PathBuf>,
}

impl IdentityProviderSpec {
    /// The roles of whoever belongs to `groups`; none: they are not let in.
    pub(crate) fn admitted(&self, groups: &[String]) -> Option<Vec<Role>> {
        let is_known =
            |group: &String| self.roles.contains_key(group) || self.groups.contains(group);
        if !groups.iter().any(is_known) {
            return None;
        }
        let named = groups.iter().filter_map(|group| self.roles.get(group)).flatten();
        let mut roles: Vec<Role> = named.filter_map(|role| role.parse().ok()).collect();
        roles.sort_unstable();
        roles.dedup();
        Some(roles)
    }

    /// Whether it could work.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        if RESERVED.contains(&self.name.as_str()) {
            return Err(format!("it cannot be called {:?}; choose another name", self.name));
        }
        let issuer =
            Url::parse(&self.issuer).map_err(|e| format!("issuer {:?}: {e}", self.issuer))?;
        if issuer.query().is_some() || issuer.fragment().is_some() || !issuer.username().is_empty()
        {
            return Err("issuer must be without user, query and fragment".into());
        }
        // OpenID Connect Discovery §4.1; in the clear only where nobody is in between.
        let local = crate::perform::outgoing::is_loopback(&issuer);
        if issuer.scheme() != "https" && !(issuer.scheme() == "http" && local) {
            return Err("issuer must be an https URL".into());
        }
        if let Some(file) = &self.client_secret_file {
            check_path("client_secret_file", file)?;
        }
        let plain = |text: &String| {
            !text.is_empty() && text.len() <= 255 && text.bytes().all(|b| b.is_ascii_graphic())
        };
        let named = [&self.client_id, &self.name_claim, &self.groups_claim];
        if !named.into_iter().chain(&self.scopes).all(plain) {
            return Err("client_id, scopes and claims are plain words".into());
        }
        if self.roles.is_empty() && self.groups.is_empty() {
            return Err("nobody is let in: give a group roles, or name it in groups".into());
        }
        if let Some(bad) = self.roles.values().flatten().find(|r| r.parse::<Role>().is_err()) {
            return Err(format!("there is no role {bad:?}"));
        }
        Ok(())
    }
}

fn default_scopes() -> Vec<String> {
    ["profile", "email"].map(ToOwned::to_owned).to_vec()
}

fn default_name_claim() -> String {
    "email".into()
}

fn default_groups_claim() -> String {
    "groups".into()
}

/// What sessions say of other ways in, and paths beside the providers'.
const RESERVED: [&str; 4] = ["link", "passkey", "options", "providers"];

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        name = "corp"
        issuer = "https://id.example.com"
        client_id = "perennial"
        roles = { admins = ["admin"], ops = ["operator", "viewer"] }
        groups = ["staff"]
    "#;

    #[test]
    fn groups_give_roles_and_who_is_in_none_that_is_named_is_not_let_in() {
        let spec: IdentityProviderSpec = toml::from_str(GOOD).expect("a provider");
        assert_eq!(spec.check(), Ok(()));
        let roles = |groups: &[&str]| {
            spec.admitted(&groups.iter().map(|group| (*group).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(
            roles(&["ops", "admins", "x"]),
            Some(vec![Role::Viewer, Role::Operator, Role::Admin])
        );
        assert_eq!(roles(&["staff"]), Some(vec![]));
        assert_eq!(roles(&["admin", "Staff"]), None);
        assert_eq!(roles(&[]), None);
    }

    #[test]
    fn what_could_not_work_or_would_let_anybody_in_is_refused() {
        for (from, to) in [
            ("\"corp\"", "\"passkey\""),
            ("https://", "http://"),
            ("id.example.com", "id.example.com?x"),
            ("id.example.com", "id.example.com#x"),
            ("\"perennial\"", "\"\""),
            ("\"admin\"", "\"root\""),
            ("groups = [\"staff\"]\n", "groups_claim = \"\"\n"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let spec: IdentityProviderSpec = toml::from_str(&GOOD.replace(from, to)).expect(to);
            assert!(spec.check().is_err(), "{to}");
        }
        let nobody = "name = 'a'\nissuer = 'https://a'\nclient_id = 'b'";
        let spec: IdentityProviderSpec = toml::from_str(nobody).expect("a provider");
        assert!(spec.check().is_err());
    }
}
