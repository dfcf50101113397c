//! The judge between preparing and signing. Reads a certificate's bytes back with parsers this crate
//! did not write and holds them against RFC 5280 and, where it suits an internal authority too, the
//! CA/Browser Forum's Baseline Requirements. Changes nothing, signs nothing but throwaways.

mod rules;
#[cfg(test)]
mod tests;
mod throwaway;

use std::fmt;

use crate::certificate::Certificate;

pub(crate) use throwaway::Throwaway;

/// One thing that is wrong with a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule, a name that does not change.
    pub lint: &'static str,
    /// Where the rule is written.
    pub section: &'static str,
    /// What is wrong.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.lint, self.section, self.detail)
    }
}

/// Lints the DER certificate of an end entity. The signature is not looked at.
#[must_use]
pub fn leaf(der: &[u8], issuer: &Certificate) -> Vec<Finding> {
    judge(der, Some(issuer), rules::EVERY.iter().chain(rules::LEAF))
}

/// Lints the DER certificate of an authority; a root has no `issuer`. The signature is not looked at.
#[must_use]
pub fn authority(der: &[u8], issuer: Option<&Certificate>) -> Vec<Finding> {
    judge(der, issuer, rules::EVERY.iter().chain(rules::AUTHORITY))
}

fn judge<'a>(
    der: &[u8],
    issuer: Option<&Certificate>,
    rules: impl Iterator<Item = &'a rules::Rule>,
) -> Vec<Finding> {
    match rules::Linted::read(der, issuer) {
        Ok(linted) => rules
            .filter_map(|rule| {
                let detail = (rule.check)(&linted).err()?;
                Some(Finding { lint: rule.name, section: rule.section, detail })
            })
            .collect(),
        Err(detail) => {
            vec![Finding { lint: "readable", section: "RFC 5280 §4.1", detail }]
        }
    }
}
