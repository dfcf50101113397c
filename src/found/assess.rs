//! What a finding is, and what is wrong with it.

use ca::survey::{Anchors, Flaw, Survey, flaws};
use jiff::Timestamp;

use super::finding::{Finding, FindingError, short};

/// A finding, assessed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Assessed {
    pub(crate) place: String,
    pub(crate) keeper: Option<String>,
    /// The certificates with what they say of themselves, leaf first.
    pub(crate) chain: Vec<(Vec<u8>, Survey)>,
    pub(crate) flaws: Vec<Flaw>,
    /// Why nothing was seen, or why what was seen cannot be read.
    pub(crate) error: Option<String>,
}

impl Assessed {
    /// The certificate that stands there.
    pub(crate) fn leaf(&self) -> Option<&Survey> {
        self.chain.first().map(|(_, survey)| survey)
    }

    /// When the first of it ends, whether leaf or what is above.
    pub(crate) fn ends_at(&self) -> Option<Timestamp> {
        self.chain.iter().map(|(_, survey)| survey.not_after).min()
    }
}

/// Assesses a finding.
///
/// # Errors
/// [`FindingError`] where nobody here would have sent it. A certificate that cannot be read is none:
/// what was found is garbage then, and that is told.
pub(crate) fn assess(
    finding: &Finding,
    anchors: &Anchors,
    now: Timestamp,
) -> Result<Assessed, FindingError> {
    let ders = finding.decode()?;
    let surveys: Result<Vec<_>, _> = ders.iter().map(|der| Survey::of(der)).collect();
    let assessed = Assessed {
        place: finding.place.clone(),
        // Others wrote these: they are to do nothing to a terminal.
        keeper: finding.keeper.as_ref().map(|keeper| short(keeper, 253)),
        chain: Vec::new(),
        flaws: Vec::new(),
        error: finding.error.as_ref().map(|error| short(error, 300)),
    };
    Ok(match surveys {
        Ok(surveys) => {
            let parts: Vec<_> = ders.iter().map(Vec::as_slice).collect();
            let flaws = flaws(&parts, &surveys, finding.asked.as_deref(), anchors, now);
            Assessed { flaws, chain: ders.into_iter().zip(surveys).collect(), ..assessed }
        }
        Err(error) => Assessed { error: Some(short(&error.to_string(), 300)), ..assessed },
    })
}
