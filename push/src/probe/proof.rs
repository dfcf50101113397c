//! What was seen, in a form that is stored, compared and read by a person on call.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What every address showed under every name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// By address, then name.
    pub sightings: Vec<Sighting>,
    /// Whether all showed what was expected, as often as was asked for. False if there was nowhere
    /// to look.
    pub proven: bool,
}

impl Proof {
    /// Whether there was somewhere to look, and nobody was there.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        let unreachable = |seen: &Sighting| matches!(seen.found, Found::Unreachable(_));
        !self.sightings.is_empty() && self.sightings.iter().all(unreachable)
    }
}

/// What one address showed under one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// `address:port`, or the host as declared where it cannot be resolved.
    pub address: String,
    /// The server name that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// What was seen last.
    pub found: Found,
    /// How many handshakes were tried.
    pub handshakes: u32,
    /// From the first handshake of the proof to the end of the last here, in milliseconds.
    pub millis: u64,
}

/// What a handshake showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Found {
    /// The certificate and chain that are expected.
    New,
    /// The expected certificate with another chain.
    Chain {
        /// How many certificates followed the leaf.
        served: usize,
        /// How many should have.
        expected: usize,
    },
    /// A certificate from before.
    Old,
    /// What the server shows to anybody: it has none for this name.
    Default,
    /// Some other certificate.
    Other {
        /// SHA-256 of its DER in hexadecimal.
        fingerprint: String,
        /// Its subject or first name, or why it cannot be read.
        subject: String,
        /// Its last second of validity, if it can be read.
        not_after: Option<Timestamp>,
    },
    /// The handshake failed; why.
    Alert(String),
    /// There was no handshake; why.
    Unreachable(String),
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handshakes: u32 = self.sightings.iter().map(|seen| seen.handshakes).sum();
        if self.proven {
            let count = self.sightings.len();
            return write!(f, "proven by {handshakes} handshakes with {count} addresses and names");
        }
        if self.sightings.is_empty() {
            return f.write_str("not proven: the target has no address to probe; set probe");
        }
        let failed = self.sightings.iter().filter(|seen| seen.found != Found::New);
        write!(f, "not proven after {handshakes} handshakes")?;
        let mut separator = ": ";
        for seen in failed {
            write!(f, "{separator}{seen}")?;
            separator = "; ";
        }
        Ok(())
    }
}

impl fmt::Display for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)?;
        if let Some(sni) = &self.sni {
            write!(f, " as {sni}")?;
        }
        write!(f, " {}", self.found)?;
        match self.handshakes {
            0 | 1 => Ok(()),
            count => write!(f, " (handshake {count})"),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("serves the new certificate"),
            Self::Chain { served, expected } => write!(
                f,
                "serves the new certificate with a wrong chain ({served} certificates above it \
                 where {expected} are expected)"
            ),
            Self::Old => f.write_str("still serves the previous certificate"),
            Self::Default => {
                f.write_str("serves its default certificate: it has none for this name")
            }
            Self::Other { fingerprint, subject, not_after } => {
                let short = fingerprint.get(..16).unwrap_or(fingerprint);
                write!(f, "serves another certificate ({subject}, SHA-256 {short}...")?;
                match not_after {
                    Some(at) => write!(f, ", valid to {at})"),
                    None => f.write_str(")"),
                }
            }
            Self::Alert(why) => write!(f, "fails the handshake: {why}"),
            Self::Unreachable(why) => write!(f, "cannot be reached: {why}"),
        }
    }
}
