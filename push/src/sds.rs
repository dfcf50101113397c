//! Targets of kind `sds`: Envoys that hold a stream open and are told of each version over it (the
//! secret discovery service). Nothing is brought there; who has a stream gets the version that is meant
//! for the target. What an Envoy acknowledges it need not serve: only its addresses show that.

use std::future::Future;
use std::pin::Pin;

use ca::{DnsName, Identifier};
use serde::{Deserialize, Serialize};

use crate::error::PushError;
use crate::{Delivery, Observed, Receipt, Target};

/// What a target of kind `sds` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sds {
    /// Names in the client certificates of those who may have what is meant for it; a wildcard stands for
    /// one label.
    pub clients: Vec<String>,
}

impl Sds {
    pub(crate) const FIELDS: &[&str] = &["clients"];

    pub(crate) fn check(&self) -> Result<(), String> {
        if self.clients.is_empty() {
            return Err(
                "clients is empty: write the names in the client certificates of its Envoys".into(),
            );
        }
        let bad = self.clients.iter().find_map(|name| Some((name, DnsName::parse(name).err()?)));
        bad.map_or(Ok(()), |(name, error)| Err(format!("clients: {name:?}: {error}")))
    }

    /// Whether who has a certificate with these names may have what is meant for this target.
    #[must_use]
    pub fn allows<'a>(&self, names: impl IntoIterator<Item = &'a Identifier>) -> bool {
        let clients: Vec<_> = self.clients.iter().filter_map(|c| DnsName::parse(c).ok()).collect();
        names.into_iter().any(|name| match name {
            // A wildcard certificate is no client's name.
            Identifier::Dns(name) if !name.is_wildcard() => {
                clients.iter().any(|client| match client.as_str().strip_prefix("*.") {
                    Some(base) => {
                        name.as_str().split_once('.').is_some_and(|(_, rest)| rest == base)
                    }
                    None => client == name,
                })
            }
            _ => false,
        })
    }
}

impl Target for Sds {
    /// Does nothing: from when on the version is given is the caller's to say.
    fn push<'a>(
        &'a self,
        _: &'a Delivery<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Receipt, PushError>> + Send + 'a>> {
        Box::pin(std::future::ready(Ok(Receipt::default())))
    }

    /// Cannot tell.
    fn observe<'a>(
        &'a self,
    ) -> Pin<Box<dyn Future<Output = Result<Observed, PushError>> + Send + 'a>> {
        Box::pin(std::future::ready(Ok(Observed::Untold)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Spec;

    #[test]
    fn only_who_is_named_may_have_what_is_meant_for_it() {
        let text =
            "name = \"edge\"\nkind = \"sds\"\nclients = [\"envoy-1.example.com\", \"*.edge.test\"]";
        let spec: Spec = toml::from_str(text).expect("a target");
        assert_eq!(spec.check(), Ok(()));
        let crate::Kind::Sds(sds) = &spec.kind else { panic!("another kind") };
        let allows = |name: &str| sds.allows(&[Identifier::parse(name).expect("a name")]);
        assert!(allows("envoy-1.example.com") && allows("a.edge.test"));
        for other in
            ["envoy-2.example.com", "edge.test", "a.b.edge.test", "*.edge.test", "10.0.0.1"]
        {
            assert!(!allows(other), "{other}");
        }
        for bad in ["clients = []", "clients = [\"no name\"]"] {
            let spec: Spec =
                toml::from_str(&format!("name = \"e\"\nkind = \"sds\"\n{bad}")).expect("read");
            assert!(spec.check().is_err(), "{bad}");
        }
    }
}
