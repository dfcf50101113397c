//! How a declared consumer of a keyset is recognised when it fetches the set.

use std::net::IpAddr;

use ipnet::IpNet;

/// By what a consumer is recognised. The label in the URL always counts, and is its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recognition {
    pub(crate) name: String,
    /// How its `User-Agent` begins.
    pub(crate) agent: Option<String>,
    /// Where it comes from.
    pub(crate) address: Option<IpNet>,
    /// Whether no key signs that it was not seen to fetch.
    pub(crate) required: bool,
}

impl Recognition {
    /// Whether something but its label says that it is this one: all that is declared, if anything.
    pub(crate) fn is_like(&self, agent: &str, address: Option<IpAddr>) -> bool {
        let looks = self.agent.as_ref().is_none_or(|begin| agent.starts_with(begin.as_str()));
        let comes = self.address.is_none_or(|net| address.is_some_and(|ip| net.contains(&ip)));
        self.is_expected() && looks && comes
    }

    /// Whether it tells anybody apart.
    ///
    /// # Errors
    /// A sentence that says what does not.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.agent.as_ref().is_some_and(String::is_empty) {
            return Err(format!("consumer {:?}: agent is empty; leave it out", self.name));
        }
        Ok(())
    }

    /// Whether it is declared how it is recognised without a label.
    pub(crate) fn is_expected(&self) -> bool {
        self.agent.is_some() || self.address.is_some()
    }
}

/// A network, or a single address.
pub(super) mod network {
    use std::net::IpAddr;

    use ipnet::IpNet;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(crate) fn serialize<S: Serializer>(net: &Option<IpNet>, to: S) -> Result<S::Ok, S::Error> {
        match net {
            Some(net) => to.collect_str(net),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<IpNet>, D::Error> {
        let text = String::deserialize(from)?;
        let net = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let why = |_| serde::de::Error::custom("address must be one, or a network as 10.0.0.0/8");
        net.map(|net: IpNet| Some(net.trunc())).map_err(why)
    }
}
