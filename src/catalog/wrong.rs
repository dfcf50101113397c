//! What is wrong with one declared thing, and where in the files it is written.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

/// What is wrong with a declared thing, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {name:?}: {why}")]
pub(crate) struct Wrong {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    why: String,
}

impl Wrong {
    pub(crate) fn new(kind: &'static str, name: &str, why: impl Into<String>) -> Self {
        Self { kind, name: name.to_owned(), why: why.into() }
    }

    /// It names something that is not there.
    pub(super) fn missing(kind: &'static str, name: &str, what: &str, target: &str) -> Self {
        let why = format!(
            "it names {what} {target:?}, which is not declared; declare it or correct the name"
        );
        Self::new(kind, name, why)
    }

    /// The same in words, after the file and line of the thing, where it is in one of `files`, each a
    /// name and a text.
    pub(crate) fn placed<'a>(&self, files: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        let mut files = files.into_iter();
        let place = files.find_map(|(file, text)| Some((file, line(text, self.kind, &self.name)?)));
        match place {
            Some((file, line)) => format!("{file}: line {line}: {self}"),
            None => format!("{self} (declared before, and in none of these files)"),
        }
    }
}

/// The line on which the table of a thing begins, counted from 1; of several, the last.
pub(super) fn line(text: &str, kind: &str, name: &str) -> Option<usize> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let tables: BTreeMap<String, Vec<Spanned<Named>>> = toml::from_str(text).ok()?;
    let table = tables.get(kind)?.iter().rfind(|table| table.as_ref().name == name)?;
    let before = text.get(..table.span().start)?;
    Some(before.bytes().filter(|byte| *byte == b'\n').count() + 1)
}
