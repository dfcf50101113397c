//! What is acted on, as far as rules ask about it.

/// A thing, or all things of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// `certificate`, `managed`, `keyset`, ...: the first part of its actions' names; of declarations the
    /// kind that is declared.
    pub kind: &'static str,
    /// What it is called; none: all things of its kind, or one that is not there yet.
    pub name: Option<String>,
    /// The team that answers for it.
    pub owner: Option<String>,
    /// The authorities and issuers that it is of, or may come from.
    pub authorities: Vec<String>,
    /// The profile that it follows.
    pub profile: Option<String>,
    /// The DNS names and addresses that it stands for.
    pub names: Vec<String>,
    /// The targets that it is brought to.
    pub targets: Vec<String>,
}

impl Resource {
    /// All things of a kind.
    #[must_use]
    pub fn all(kind: &'static str) -> Self {
        Self { kind, ..Self::default() }
    }

    /// The thing of this kind and name, of which nothing else is known.
    #[must_use]
    pub fn named(kind: &'static str, name: impl Into<String>) -> Self {
        Self { kind, name: Some(name.into()), ..Self::default() }
    }

    /// `kind/name`, as the audit log calls it.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.kind, self.name.as_deref().unwrap_or_default())
    }

    /// The domains that all of its names are in, or are, with everything above those.
    pub(crate) fn within(&self) -> Vec<&str> {
        let Some((first, others)) = self.names.split_first() else { return Vec::new() };
        let shared =
            |zone: &&str| others.iter().all(|name| zones(name).any(|other| other == *zone));
        zones(first).filter(shared).collect()
    }

    /// The domains that any of its names is in, or is, with everything above those.
    pub(crate) fn touches(&self) -> impl Iterator<Item = &str> {
        self.names.iter().flat_map(|name| zones(name))
    }
}

/// A name and the domains above it; an address is in nothing but itself.
fn zones(name: &str) -> impl Iterator<Item = &str> {
    let name = name.strip_prefix("*.").unwrap_or(name);
    let is_address = name.parse::<std::net::IpAddr>().is_ok();
    std::iter::successors(Some(name), move |zone| match zone.split_once('.') {
        Some((_, above)) if !is_address => Some(above),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_are_within_is_shared_by_all_and_what_they_touch_by_any() {
        let names = ["a.shop.example.com", "*.example.com"].map(str::to_owned).to_vec();
        let resource = Resource { names, ..Resource::all("managed") };
        assert_eq!(resource.within(), ["example.com", "com"]);
        assert!(resource.touches().any(|zone| zone == "shop.example.com"));
        let names = ["10.0.0.1", "a.example.com"].map(str::to_owned).to_vec();
        let resource = Resource { names, ..Resource::all("managed") };
        assert_eq!(resource.within(), Vec::<&str>::new());
        assert!(!resource.touches().any(|zone| zone == "0.0.1"));
    }
}
