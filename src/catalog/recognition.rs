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

    /// Whether it tells anybody apart, and can be said in a URL, a metric and on a terminal.
    ///
    /// # Errors
    /// A sentence that says what does not.
    pub(super) fn check(&self) -> Result<(), String> {
        let plain = |c: char| (c.is_ascii_graphic() || c == ' ') && !"\"\\".contains(c);
        let trimmed = self.name.trim() == self.name && !self.name.is_empty();
        if !trimmed || self.name.len() > LONGEST_NAME || !self.name.chars().all(plain) {
            let name = self.name.chars().take(LONGEST_NAME).collect::<String>();
            return Err(format!(
                "consumer {name:?}: a name is 1 to {LONGEST_NAME} printable ASCII characters without \
                 quotation marks and backslashes"
            ));
        }
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

/// The longest name of a consumer; of others no more is kept.
pub(crate) const LONGEST_NAME: usize = 64;

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

#[cfg(test)]
mod tests {
    use super::super::KeysetSpec;

    fn spec(consumers: &str) -> Result<KeysetSpec, String> {
        let text = format!(
            "name = \"auth\"\nissuer = \"https://auth.example.com\"\nalgorithm = \"ES256\"\n\
             consumers = [{consumers}]\n"
        );
        toml::from_str(&text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_consumer_says_what_is_particular_about_it_and_nothing_else() {
        let gateway =
            "{ name = \"gateway\", cache = \"15m\", agent = \"gw/\", address = \"10.1.2.3/8\" }";
        let read = spec(&format!("\"envoy\", {gateway}, {{ name = \"jose\", required = true }}"));
        let read = read.expect("understood");
        read.check().expect("makes sense");
        let [envoy, gateway, jose] = &read.recognitions()[..] else { panic!("three") };
        assert!(!envoy.is_expected() && !jose.is_expected() && jose.required);
        assert_eq!(gateway.address, Some("10.0.0.0/8".parse().expect("a network")));
        let stored = serde_json::to_string(&read).expect("JSON");
        assert_eq!(serde_json::from_str::<KeysetSpec>(&stored).expect("read back"), read);
        let before = "[\"envoy\",{\"name\":\"gw\",\"cache\":\"15m\"}]";
        let stored = spec("\"envoy\", { name = \"gw\", cache = \"15m\" }").expect("understood");
        let stored = serde_json::to_string(&stored.consumers).expect("JSON");
        assert_eq!(stored, before, "what was stored before is the same still");

        let single = spec("{ name = \"jose\", address = \"2001:db8::1\" }").expect("understood");
        let single = single.recognitions()[0].address.expect("one");
        assert_eq!(single.to_string(), "2001:db8::1/128");
    }

    #[test]
    fn what_tells_nobody_apart_is_refused() {
        for odd in
            ["{ name = \"jose\", adress = \"10.0.0.0/8\" }", "{ name = \"jose\", address = \"x\" }"]
        {
            assert!(spec(odd).expect_err(odd).contains("a consumer is a name, or"), "{odd}");
        }
        for (odd, why) in [
            ("{ name = \"jose\", agent = \"\" }", "agent is empty"),
            ("{ name = \"\", cache = \"1h\" }", "a name is 1 to 64"),
            ("{ name = \"a\\\"b\", cache = \"1h\" }", "a name is 1 to 64"),
            ("\"jose\", \"jose\"", "declared twice"),
        ] {
            let refused = spec(odd).expect("understood").check().expect_err(odd);
            assert!(refused.contains(why), "{odd}: {refused}");
        }
    }
}
