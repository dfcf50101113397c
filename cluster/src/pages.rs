//! Lists, page by page: the server is asked for a few objects at a time, and for fewer where they are
//! large, so that no list takes more memory than a page of it.

use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::connection::{Call, Connection};
use crate::error::ClusterError;

/// A list that is read from its beginning on.
pub(crate) struct Pages {
    path: String,
    query: Vec<(&'static str, String)>,
    /// How many objects are asked for at once.
    size: u32,
    /// Where it goes on; empty: at the beginning. None: nowhere, it has ended.
    next: Option<String>,
}

/// Some objects of a list.
#[derive(Deserialize)]
pub(crate) struct Page<T> {
    #[serde(default)]
    metadata: ListMetadata,
    /// `null` is what some servers write for none.
    #[serde(default = "Option::default")]
    items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ListMetadata {
    r#continue: String,
    resource_version: String,
}

impl<T> Page<T> {
    /// The objects, and the version of the list they are of.
    pub(crate) fn into_parts(self) -> (Vec<T>, String) {
        (self.items.unwrap_or_default(), self.metadata.resource_version)
    }
}

impl Pages {
    /// The list at `path`, of what `query` selects.
    pub(crate) fn new(path: String, query: Vec<(&'static str, String)>) -> Self {
        Self { path, query, size: PAGE, next: Some(String::new()) }
    }

    /// The next page; none after the last.
    ///
    /// # Errors
    /// [`ClusterError`]; [`ClusterError::Gone`] when it took too long, and must begin anew.
    pub(crate) async fn next<T: DeserializeOwned>(
        &mut self,
        connection: &Connection,
    ) -> Result<Option<Page<T>>, ClusterError> {
        loop {
            let Some(next) = &self.next else { return Ok(None) };
            let mut query = self.query.clone();
            query.push(("limit", self.size.to_string()));
            if !next.is_empty() {
                query.push(("continue", next.clone()));
            }
            let (method, accept) = (Method::GET, "application/json");
            let call = Call { method, path: self.path.clone(), query, accept, body: None };
            let answer = match connection.call(&call).await {
                Err(ClusterError::TooLarge { .. }) if self.size > 1 => {
                    self.size = (self.size / 4).max(1);
                    continue;
                }
                answer => answer?,
            };
            let page: Page<T> = connection.parse(&answer)?;
            // Large ones may be few.
            self.size = (self.size * 2).min(PAGE);
            self.next = Some(page.metadata.r#continue.clone()).filter(|next| !next.is_empty());
            return Ok(Some(page));
        }
    }
}

/// Few enough for ordinary objects to stay far below what an answer may have.
const PAGE: u32 = 200;
