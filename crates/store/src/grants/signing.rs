//! Keys that access tokens are signed with.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::{Result, Store};

/// A key as it is kept. Moments are microseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// What it is called (`kid`); whom it was sealed for.
    pub id: String,
    /// The private key, sealed.
    pub sealed: Vec<u8>,
    /// From when on it signs; before, it is only shown.
    pub signs_from: i64,
    /// When it was made.
    pub created_at: i64,
}

const ALL: &str = "SELECT id, sealed, signs_from, created_at FROM signing_key ORDER BY signs_from, id";
const INSERT: &str = "INSERT INTO signing_key (id, sealed, signs_from, created_at) VALUES ($1, $2, $3, $4)";
const REMOVE: &str = "DELETE FROM signing_key WHERE id = $1";

impl Store {
    /// All keys, in the order in which they sign.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn signing_keys(&self) -> Result<Vec<SigningKey>> {
        sqlx::query(ALL).fetch_all(self.reading()).await?.iter().map(key).collect()
    }

    /// Changes which keys there are: `plan` says, of those that there are, which go and which come. Of several that do so at
    /// once each sees what the one before has left.
    ///
    /// # Errors
    /// If it cannot be kept, or whatever `plan` fails with.
    pub async fn rotate_signing_keys(
        &self,
        plan: impl FnOnce(&[SigningKey]) -> Result<(Vec<String>, Vec<SigningKey>)>,
    ) -> Result<()> {
        self.write(async |connection| {
            let keys = sqlx::query(ALL).fetch_all(&mut *connection).await?;
            let keys = keys.iter().map(key).collect::<Result<Vec<_>>>()?;
            let (going, coming) = plan(&keys)?;
            for id in going {
                sqlx::query(REMOVE).bind(id).execute(&mut *connection).await?;
            }
            for new in coming {
                let query = sqlx::query(INSERT).bind(new.id).bind(new.sealed).bind(new.signs_from).bind(new.created_at);
                query.execute(&mut *connection).await?;
            }
            Ok(())
        })
        .await
    }
}

fn key(row: &SqliteRow) -> Result<SigningKey> {
    Ok(SigningKey {
        id: row.try_get("id")?,
        sealed: row.try_get("sealed")?,
        signs_from: row.try_get("signs_from")?,
        created_at: row.try_get("created_at")?,
    })
}
