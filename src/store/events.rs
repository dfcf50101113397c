//! What is asked of the store about the audit log.

use rusqlite::Row;

use super::audit::Recorded;
use super::error::ReadError;
use super::sqlite::Store;

impl Store {
    /// The audit events of a rotation, oldest first.
    pub(crate) async fn events_of_rotation(&self, id: i64) -> Result<Vec<Recorded>, ReadError> {
        let sql = format!("{SELECT} WHERE rotation = ?1 ORDER BY id LIMIT 1000");
        self.scan(move |c| c.prepare_cached(&sql)?.query_map([id], recorded)?.collect()).await
    }

    /// Audit events, newest first.
    pub(crate) async fn events(
        &self,
        subject: Option<String>,
        before: i64,
        limit: u32,
    ) -> Result<Vec<Recorded>, ReadError> {
        self.scan(move |c| {
            let (tail, params): (&str, &[&dyn rusqlite::ToSql]) = match &subject {
                Some(subject) => (
                    "WHERE subject = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3",
                    &[subject, &before, &limit],
                ),
                None => ("WHERE id < ?1 ORDER BY id DESC LIMIT ?2", &[&before, &limit]),
            };
            let mut statement = c.prepare_cached(&format!("{SELECT} {tail}"))?;
            let rows = statement.query_map(params, recorded)?;
            rows.collect()
        })
        .await
    }
}

fn recorded(row: &Row<'_>) -> rusqlite::Result<Recorded> {
    let detail: Option<String> = row.get(7)?;
    Ok(Recorded {
        id: row.get(0)?,
        at: row.get(1)?,
        actor: row.get(2)?,
        action: row.get(3)?,
        subject: row.get(4)?,
        request: row.get(5)?,
        rotation: row.get(6)?,
        detail: detail.and_then(|text| serde_json::from_str(&text).ok()),
    })
}

const SELECT: &str = "SELECT id, at, actor, action, subject, request, rotation, detail FROM event";
