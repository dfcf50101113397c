//! Policies as people write them, read and checked against the schema. What is wrong is said with its
//! line and column.

use cedar_policy::{Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic;

/// Reads the policies of `text`, which are called `name`, or `name#2` and so on where there are several.
///
/// # Errors
/// When the text is no policy, or asks for what there is not; the first mistake.
pub(crate) fn read(schema: &Schema, name: &str, text: &str) -> Result<Vec<Policy>, BadStatement> {
    if text.len() > LONGEST {
        return Err(BadStatement::plain(format!(
            "it is longer than {LONGEST} bytes; make it several"
        )));
    }
    let set: PolicySet = text.parse().map_err(|errors: cedar_policy::ParseErrors| {
        let first = errors.iter().next();
        first.map_or_else(|| BadStatement::plain(errors.to_string()), |e| BadStatement::of(text, e))
    })?;
    if set.templates().next().is_some() {
        return Err(BadStatement::plain(
            "it has slots (?principal, ?resource), which nothing fills".into(),
        ));
    }
    let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
    if let Some(error) = result.validation_errors().next() {
        return Err(BadStatement::of(text, error));
    }
    let mut policies: Vec<_> = set.policies().collect();
    if policies.is_empty() {
        return Err(BadStatement::plain("it permits and forbids nothing".into()));
    }
    // Cedar counts them, from 0: policy10 comes after policy9.
    policies.sort_by_key(|policy| {
        let id = policy.id().to_string();
        (id.len(), id)
    });
    let named = policies.into_iter().zip(1..).map(|(policy, number)| match number {
        1 => policy.new_id(PolicyId::new(name)),
        number => policy.new_id(PolicyId::new(format!("{name}#{number}"))),
    });
    Ok(named.collect())
}

/// What is wrong with the text of a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}", placed(*.place))]
pub struct BadStatement {
    /// Line and column in the text, from 1.
    pub place: Option<(usize, usize)>,
    what: String,
}

impl BadStatement {
    fn plain(what: String) -> Self {
        Self { place: None, what }
    }

    fn of<E: Diagnostic + ?Sized>(text: &str, error: &E) -> Self {
        let label = error.labels().and_then(|mut labels| labels.next());
        let mut what = error.to_string();
        if let Some(label) = label.as_ref().and_then(|label| label.label()) {
            what = format!("{what} ({label})");
        }
        if let Some(help) = error.help() {
            what = format!("{what}; {help}");
        }
        // Ids that Cedar gives are nothing that anybody wrote.
        if let Some((first, rest)) = what.split_once(", ")
            && first.starts_with("for policy `")
        {
            what = rest.to_owned();
        }
        Self { place: label.map(|label| place(text, label.offset())), what }
    }
}

fn placed(place: Option<(usize, usize)>) -> String {
    place.map(|(line, column)| format!("line {line}, column {column}: ")).unwrap_or_default()
}

fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// Of the text of one declared policy.
const LONGEST: usize = 16 * 1024;
