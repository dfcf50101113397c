//! What of a list its asker sees: everything, or of what is there only that which they may see. Rows are
//! looked at in their order, and no more of them than an answer can wait for.

use std::pin::Pin;

use acme::Problem;

use super::guard::denied;
use super::subject;
use crate::access::{Action, Asker};
use crate::http::error::unreadable;
use crate::node::Node;
use crate::store::{Page, ReadError};

/// A page of rows, as it is read.
pub(super) type Reading<'r, T> =
    Pin<Box<dyn Future<Output = Result<Vec<T>, ReadError>> + Send + 'r>>;

/// The eyes of one asker on things of a kind.
pub(super) struct Sight<'a> {
    node: &'a Node,
    asker: &'a Asker,
    action: Action,
    kind: &'static str,
    all: bool,
}

impl<'a> Sight<'a> {
    /// What `asker` sees who may do `action` to some things of this kind, or to all.
    pub(super) fn new(
        node: &'a Node,
        asker: &'a Asker,
        (action, kind): (Action, &'static str),
    ) -> Self {
        Self { node, asker, action, kind, all: asker.may_all(action) }
    }

    /// Whether the thing of this name is seen.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn sees(&self, name: &str) -> Result<bool, Problem> {
        if self.all {
            return Ok(true);
        }
        let resource = subject::find(self.node, self.kind, name)?;
        Ok(self.asker.may(self.action, &resource).map_err(denied).is_ok())
    }

    /// Those of `things` that are seen, by what each is called.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn of<T>(
        &self,
        things: impl Iterator<Item = T>,
        name: impl Fn(&T) -> &str,
    ) -> Result<Vec<T>, Problem> {
        let mut seen = Vec::new();
        for thing in things {
            if self.sees(name(&thing))? {
                seen.push(thing);
            }
        }
        Ok(seen)
    }

    /// A page of rows that are seen, and after which id the next one begins. `key` is the id of a row and
    /// what it is called.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) async fn page<'r, T>(
        &self,
        page: Page,
        read: impl Fn(Page) -> Reading<'r, T>,
        key: fn(&T) -> (i64, String),
    ) -> Result<(Vec<T>, Option<i64>), Problem> {
        let (mut seen, mut looked, mut after) = (Vec::new(), 0, page.after);
        loop {
            let limit = if self.all { page.limit } else { page.limit.max(STRIDE) };
            let rows = read(Page { after, limit }).await.map_err(unreadable)?;
            let last = rows.len() < limit as usize;
            looked += rows.len();
            for row in rows {
                // One more would be there: the page is full, and not the last.
                if seen.len() >= page.limit as usize {
                    return Ok((seen, Some(after)));
                }
                let (id, name) = key(&row);
                after = id;
                if self.sees(&name)? {
                    seen.push(row);
                }
            }
            if last {
                return Ok((seen, None));
            }
            if seen.len() >= page.limit as usize || looked >= MOST {
                return Ok((seen, Some(after)));
            }
        }
    }
}

const STRIDE: u32 = 500;
/// So many rows are looked at for one page, whether they are seen or not.
const MOST: usize = 10_000;
