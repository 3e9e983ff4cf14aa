//! Which policies were in force when.

use sqlx::Row;

use crate::{Result, Store};

/// Policies as they were in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its number, which grows.
    pub number: i64,
    /// What it is called in records.
    pub version: String,
    /// Since when, in microseconds since 1970-01-01 UTC.
    pub since: i64,
    /// What put it in force: `start` or `reload`.
    pub cause: String,
    /// All of it, as JSON.
    pub content: String,
}

/// As many are kept; then the oldest go.
const MOST: i64 = 100;

const LAST: &str = "SELECT version FROM policy_version ORDER BY number DESC LIMIT 1";
const INSERT: &str = "INSERT INTO policy_version (version, since, cause, content) VALUES ($1, $2, $3, $4)";
const PRUNE: &str = "DELETE FROM policy_version WHERE number <= (SELECT max(number) FROM policy_version) - $1";
const ALL: &str = "SELECT number, version, since, cause, content FROM policy_version ORDER BY number";

impl Store {
    /// Keeps policies that are in force from now on, unless they are those of before. Nobody who remembers what is in the
    /// store is told: nothing depends on it.
    ///
    /// # Errors
    /// If they cannot be kept.
    pub async fn note_policies(&self, version: &str, since: i64, cause: &str, content: &str) -> Result<()> {
        self.write_unmarked(async |connection| {
            let last: Option<String> = sqlx::query_scalar(LAST).fetch_optional(&mut *connection).await?;
            if last.as_deref() == Some(version) {
                return Ok(());
            }
            let query = sqlx::query(INSERT).bind(version).bind(since).bind(cause).bind(content);
            query.execute(&mut *connection).await?;
            sqlx::query(PRUNE).bind(MOST).execute(connection).await?;
            Ok(())
        })
        .await
    }

    /// The policies that were in force, the oldest first.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn policies(&self) -> Result<Vec<Version>> {
        let rows = sqlx::query(ALL).fetch_all(self.reading()).await?;
        let read = |row: &sqlx::sqlite::SqliteRow| {
            Ok(Version {
                number: row.try_get("number")?,
                version: row.try_get("version")?,
                since: row.try_get("since")?,
                cause: row.try_get("cause")?,
                content: row.try_get("content")?,
            })
        };
        rows.iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_change_is_kept_and_the_oldest_go() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("state.db")).await.unwrap();
        for (version, since) in [("a", 1), ("a", 2), ("b", 3), ("a", 4)] {
            store.note_policies(version, since, "reload", "{}").await.unwrap();
        }
        let held: Vec<_> = store.policies().await.unwrap().into_iter().map(|held| (held.version, held.since)).collect();
        assert_eq!(held, [("a".to_owned(), 1), ("b".to_owned(), 3), ("a".to_owned(), 4)]);
        for number in 0..MOST + 5 {
            store.note_policies(&number.to_string(), number, "reload", "{}").await.unwrap();
        }
        let held = store.policies().await.unwrap();
        assert_eq!((held.len() as i64, held[0].version.as_str()), (MOST, "5"));
    }
}
