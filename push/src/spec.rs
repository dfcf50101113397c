//! What a `[[target]]` table says, for every kind. A new kind is one file, one variant of [`Kind`] and
//! one test.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::SignedDuration;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::placement::Placement;
use crate::probe::Probe;
use crate::probe::starttls::StartTls;
use crate::{
    Acm, Apache, Caddy, Dovecot, Exec, Files, Haproxy, Kubernetes, Mariadb, Nginx, Postfix,
    Postgresql, Pull, Sds, Target, Traefik,
};

/// A declared target: what is delivered where, and how it is proven.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Spec {
    /// What certificates call it.
    pub name: String,
    /// Where it answers TLS: `host:port`, IPv6 addresses in brackets. Every address of a host is
    /// looked at. Nothing can be proven if it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probe: Vec<String>,
    /// The server name to ask for; by default each DNS name of the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// What is spoken before TLS; by default what suits the kind, or nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starttls: Option<StartTls>,
    /// How many handshakes in a row must show the new certificate.
    #[serde(default = "default_matches", skip_serializing_if = "is_default_matches")]
    pub matches: u32,
    /// Over how much time, at least, those are spread.
    #[serde(
        default = "default_over",
        skip_serializing_if = "is_default_over",
        with = "ca::duration"
    )]
    pub over: SignedDuration,
    /// How long after a push the proof may take; by default what suits the kind.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    pub window: Option<SignedDuration>,
    /// What kind of place it is, with the fields of that kind.
    #[serde(flatten)]
    pub kind: Kind,
}

/// The kinds of targets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Kind {
    /// Files, and perhaps a command.
    Files(Files),
    /// A command that delivers by itself: hooks for certbot, lego or acme.sh.
    Exec(Exec),
    /// nginx.
    Nginx(Nginx),
    /// Apache httpd.
    Apache(Apache),
    /// HAProxy, over its runtime socket.
    Haproxy(Haproxy),
    /// A TLS Secret in a Kubernetes cluster.
    Kubernetes(Kubernetes),
    /// Machines that come and take it.
    Pull(Pull),
    /// Envoys, over streams that they hold open.
    Sds(Sds),
    /// PostgreSQL.
    Postgresql(Postgresql),
    /// MariaDB, and MySQL.
    Mariadb(Mariadb),
    /// Postfix.
    Postfix(Postfix),
    /// Dovecot.
    Dovecot(Dovecot),
    /// AWS Certificate Manager.
    Acm(Acm),
    /// Traefik, by a file of its dynamic configuration.
    Traefik(Traefik),
    /// Caddy, over its admin API.
    Caddy(Caddy),
}

impl Kind {
    /// What a declaration calls it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Files(_) => "files",
            Self::Exec(_) => "exec",
            Self::Nginx(_) => "nginx",
            Self::Apache(_) => "apache",
            Self::Haproxy(_) => "haproxy",
            Self::Kubernetes(_) => "kubernetes",
            Self::Pull(_) => "pull",
            Self::Sds(_) => "sds",
            Self::Postgresql(_) => "postgresql",
            Self::Mariadb(_) => "mariadb",
            Self::Postfix(_) => "postfix",
            Self::Dovecot(_) => "dovecot",
            Self::Acm(_) => "acm",
            Self::Traefik(_) => "traefik",
            Self::Caddy(_) => "caddy",
        }
    }
}

impl Kind {
    /// Whether what comes out of a push is our own words for those who read the timeline. What programs
    /// print is not for there: it may be long, and hold what nobody should see.
    #[must_use]
    pub fn reports(&self) -> bool {
        matches!(self, Self::Acm(_))
    }
}

impl Spec {
    /// Whether it can work at all. Looks at nothing outside the table.
    ///
    /// # Errors
    /// A sentence that says which field is wrong and what to write.
    pub fn check(&self) -> Result<(), String> {
        if self.name.is_empty() {
            return Err("a target has no name: set name".into());
        }
        for address in &self.probe {
            crate::probe::host_and_port(address)?;
        }
        if let Some(sni) = &self.sni {
            let name = ca::DnsName::parse(sni).map_err(|error| format!("sni: {error}"))?;
            if name.is_wildcard() {
                return Err(format!("sni = {sni:?} is a wildcard: write a name below it"));
            }
        }
        if !(1..=MAX_MATCHES).contains(&self.matches) {
            return Err(format!("matches = {} must be 1 to {MAX_MATCHES}", self.matches));
        }
        if self.over > self.window() {
            return Err(format!(
                "over = {:?} is longer than the window of {}: lower it, or set window",
                ca::duration::format(self.over),
                ca::duration::format(self.window())
            ));
        }
        match &self.kind {
            Kind::Files(kind) => kind.check(),
            Kind::Exec(kind) => kind.check(),
            Kind::Nginx(kind) => kind.check(),
            Kind::Apache(kind) => kind.check(),
            Kind::Haproxy(kind) => kind.check(),
            Kind::Kubernetes(kind) => kind.check(),
            Kind::Pull(_) => Ok(()),
            Kind::Sds(kind) => kind.check(),
            Kind::Postgresql(kind) => kind.check(),
            Kind::Mariadb(kind) => kind.check(),
            Kind::Postfix(kind) => kind.check(),
            Kind::Dovecot(kind) => kind.check(),
            Kind::Acm(kind) => kind.check(),
            Kind::Traefik(kind) => kind.check(),
            Kind::Caddy(kind) => kind.check(),
        }
    }

    /// The target itself. Nothing is read or called yet.
    #[must_use]
    pub fn open(&self) -> Box<dyn Target> {
        match self.kind.clone() {
            Kind::Files(kind) => Box::new(kind),
            Kind::Exec(kind) => Box::new(kind),
            Kind::Nginx(kind) => Box::new(kind),
            Kind::Apache(kind) => Box::new(kind),
            Kind::Haproxy(kind) => Box::new(kind),
            Kind::Kubernetes(kind) => Box::new(kind),
            Kind::Pull(kind) => Box::new(kind),
            Kind::Sds(kind) => Box::new(kind),
            Kind::Postgresql(kind) => Box::new(kind),
            Kind::Mariadb(kind) => Box::new(kind),
            Kind::Postfix(kind) => Box::new(kind),
            Kind::Dovecot(kind) => Box::new(kind),
            Kind::Acm(kind) => Box::new(kind),
            Kind::Traefik(kind) => Box::new(kind),
            Kind::Caddy(kind) => Box::new(kind),
        }
    }

    /// What is spoken before TLS: as declared, or what servers of this kind speak.
    #[must_use]
    pub fn starttls(&self) -> Option<StartTls> {
        self.starttls.or(match self.kind {
            Kind::Postgresql(_) => Some(StartTls::Postgres),
            Kind::Mariadb(_) => Some(StartTls::Mysql),
            Kind::Postfix(_) => Some(StartTls::Smtp),
            Kind::Dovecot(_) => Some(StartTls::Imap),
            _ => None,
        })
    }

    /// How long after a push the proof may take: 5 s where the server is told over a socket, 15 s
    /// where it reloads or may have to connect again, 60 s behind a hook or an ingress, 10 min where it is
    /// pulled.
    #[must_use]
    pub fn window(&self) -> SignedDuration {
        self.window.unwrap_or(match self.kind {
            Kind::Haproxy(_) | Kind::Caddy(_) => SignedDuration::from_secs(5),
            Kind::Files(_) | Kind::Nginx(_) | Kind::Apache(_) | Kind::Sds(_) => {
                SignedDuration::from_secs(15)
            }
            Kind::Postgresql(_) | Kind::Mariadb(_) | Kind::Postfix(_) | Kind::Dovecot(_) => {
                SignedDuration::from_secs(15)
            }
            // It may wait for two seconds before it takes what it read.
            Kind::Traefik(_) => SignedDuration::from_secs(15),
            Kind::Exec(_) | Kind::Kubernetes(_) => SignedDuration::from_secs(60),
            // What uses a certificate of a cloud is told in its own time.
            Kind::Acm(_) => SignedDuration::from_mins(30),
            // As often as a timer comes that does not wait for news.
            Kind::Pull(_) => SignedDuration::from_mins(10),
        })
    }
}

impl Probe {
    /// What proves that a certificate with these names is served by this target: each DNS name in
    /// turn, for a wildcard a name below it, or without a name where there are only addresses.
    #[must_use]
    pub fn new(spec: &Spec, names: &BTreeSet<ca::Identifier>) -> Self {
        let names: BTreeSet<Option<String>> = match &spec.sni {
            Some(sni) => BTreeSet::from([Some(sni.clone())]),
            None => names.iter().filter_map(asked_for).map(Some).collect(),
        };
        let mut names: Vec<Option<String>> = names.into_iter().collect();
        if names.is_empty() {
            names.push(None);
        }
        Self {
            hosts: spec.probe.clone(),
            names,
            starttls: spec.starttls(),
            matches: spec.matches,
            over: limit(spec.over),
            timeout: HANDSHAKE,
        }
    }
}

/// The name a client would ask for.
fn asked_for(name: &ca::Identifier) -> Option<String> {
    match name {
        ca::Identifier::Dns(name) if name.is_wildcard() => {
            Some(format!("{BELOW_WILDCARDS}.{}", name.base()))
        }
        ca::Identifier::Dns(name) => Some(name.to_string()),
        ca::Identifier::Ip(_) => None,
    }
}

impl Serialize for Spec {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, to)
    }
}

impl<'de> Deserialize<'de> for Spec {
    /// Serde cannot refuse unknown fields where structs are flattened, so the names are compared
    /// first.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let table = Map::<String, Value>::deserialize(from)?;
        let name = table.get("name").and_then(Value::as_str).unwrap_or("?").to_owned();
        let kind = table.get("kind").and_then(Value::as_str).unwrap_or_default();
        let fields = fields(kind).ok_or_else(|| {
            D::Error::custom(format!("target {name:?}: kind = {kind:?} must be one of {KINDS}"))
        })?;
        let mut known = COMMON.iter().chain(fields.into_iter().flatten());
        if let Some(unknown) = table.keys().find(|field| !known.clone().any(|known| known == field))
        {
            let known: Vec<&str> = known.by_ref().copied().collect();
            return Err(D::Error::custom(format!(
                "target {name:?}: {unknown:?} is no field of kind {kind:?}: remove it, or use one of {}",
                known.join(", ")
            )));
        }
        Self::deserialize(Value::Object(table))
            .map_err(|error| D::Error::custom(format!("target {name:?}: {error}")))
    }
}

/// The fields a kind has beside the common ones.
fn fields(kind: &str) -> Option<[&'static [&'static str]; 2]> {
    Some(match kind {
        "files" => [Placement::FIELDS, Files::FIELDS],
        "exec" => [&[], Exec::FIELDS],
        "nginx" => [Placement::FIELDS, Nginx::FIELDS],
        "apache" => [Placement::FIELDS, Apache::FIELDS],
        "haproxy" => [&[], Haproxy::FIELDS],
        "kubernetes" => [&[], Kubernetes::FIELDS],
        "pull" => [&[], Pull::FIELDS],
        "sds" => [&[], Sds::FIELDS],
        "postgresql" => [Placement::FIELDS, Postgresql::FIELDS],
        "mariadb" => [Placement::FIELDS, Mariadb::FIELDS],
        "postfix" => [Placement::FIELDS, Postfix::FIELDS],
        "dovecot" => [Placement::FIELDS, Dovecot::FIELDS],
        "acm" => [&[], Acm::FIELDS],
        "traefik" => [&[], Traefik::FIELDS],
        "caddy" => [&[], Caddy::FIELDS],
        _ => return None,
    })
}

/// A duration as a timer takes it.
pub(crate) fn limit(duration: SignedDuration) -> Duration {
    Duration::try_from(duration).unwrap_or_default()
}

pub(crate) fn default_timeout() -> SignedDuration {
    SignedDuration::from_secs(60)
}

pub(crate) fn is_default_timeout(timeout: &SignedDuration) -> bool {
    *timeout == default_timeout()
}

fn default_matches() -> u32 {
    5
}

// Serde hands fields over by reference.
#[expect(clippy::trivially_copy_pass_by_ref)]
fn is_default_matches(matches: &u32) -> bool {
    *matches == default_matches()
}

fn default_over() -> SignedDuration {
    SignedDuration::from_secs(1)
}

fn is_default_over(over: &SignedDuration) -> bool {
    *over == default_over()
}

/// `ca::duration` for a field that may be absent.
mod optional_duration {
    use jiff::SignedDuration;
    use serde::{Deserialize, Deserializer, Serializer};

    // Serde hands fields over by reference.
    pub(super) fn serialize<S: Serializer>(
        duration: &Option<SignedDuration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => ca::duration::serialize(duration, to),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<SignedDuration>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| ca::duration::parse(&text).map_err(serde::de::Error::custom)).transpose()
    }
}

const COMMON: &[&str] = &["name", "kind", "probe", "sni", "starttls", "matches", "over", "window"];
const KINDS: &str = "files, exec, nginx, apache, haproxy, traefik, caddy, kubernetes, pull, sds, postgresql, mariadb, postfix, dovecot, acm";
const MAX_MATCHES: u32 = 1000;
const HANDSHAKE: Duration = Duration::from_secs(5);
const BELOW_WILDCARDS: &str = "probe";
