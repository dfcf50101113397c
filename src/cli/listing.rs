//! What commands that list have in common: which things, how many, and the path that asks for them.

/// Which things of a kind, and how to show them.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Which one: the name of an authority, profile, directory, target or managed certificate, the
    /// serial number of an issued certificate or its id, the id of an account, order or rotation
    pub(super) name: Option<String>,
    /// Certificates: only those that carry exactly this name or address
    #[arg(long, value_name = "NAME")]
    pub(super) names: Option<String>,
    /// Issued certificates: only those of this authority
    #[arg(long, value_name = "NAME")]
    pub(super) authority: Option<String>,
    /// Issued certificates: only those that follow this profile
    #[arg(long, value_name = "NAME")]
    pub(super) profile: Option<String>,
    /// Issued certificates: only those that are valid, expired or revoked
    #[arg(long, value_name = "STATUS")]
    pub(super) status: Option<String>,
    /// Certificates, found or issued: only those that expire within this time, such as 30d, the
    /// soonest first
    #[arg(long, visible_alias = "within", value_name = "TIME")]
    pub(super) expiring_within: Option<String>,
    /// Found and expiring certificates: only those of this owner
    #[arg(long, value_name = "OWNER")]
    pub(super) owner: Option<String>,
    /// How many at the most, up to 1000
    #[arg(long, default_value_t = 100)]
    pub(super) limit: u32,
    /// The next page: what follows the one with this id
    #[arg(long, value_name = "ID")]
    pub(super) after: Option<i64>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    /// One certificate or authority: print its chain as PEM
    #[arg(long, conflicts_with = "json")]
    pub(super) pem: bool,
}

/// A path with a query, grown parameter by parameter.
pub(super) struct Query(pub(super) String);

impl Query {
    pub(super) fn new(path: &str) -> Self {
        Self(path.to_owned())
    }

    pub(super) fn add(&mut self, name: &str, value: Option<impl std::fmt::Display>) {
        let Some(value) = value else { return };
        let mark = if self.0.contains('?') { '&' } else { '?' };
        self.0.push_str(&format!("{mark}{name}={value}"));
    }
}

/// Percent-encodes what a path segment or query value may not hold (RFC 3986 §2.3).
pub(super) fn escape(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes()
        .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// Exit code of `status` and `plan` when there is something to do.
pub(super) const SOMETHING_TO_DO: u8 = 3;
