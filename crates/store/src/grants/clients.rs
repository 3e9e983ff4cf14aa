//! Clients that registered themselves.

use sqlx::Row;

use super::words;
use crate::{Result, Store};

/// So many there are at most: whoever reaches the gateway can make one.
const MANY: i64 = 1_000;
/// One with which nobody agreed to anything is forgotten after so long, and every one after so long without that; in
/// microseconds.
const UNUSED: i64 = 24 * 60 * 60 * 1_000_000;
const FORGOTTEN: i64 = 90 * UNUSED;

/// A client as it registered itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredClient {
    /// What it is called from now on.
    pub id: String,
    /// What it calls itself.
    pub name: String,
    /// Where browsers may be sent to.
    pub redirect_uris: Vec<String>,
    /// Whether it gets refresh tokens.
    pub refreshes: bool,
    /// When it registered, in microseconds since 1970-01-01 UTC.
    pub registered_at: i64,
}

/// What comes of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// It is kept.
    Kept,
    /// There are as many as there may be.
    Full,
}

const OVER: &str = "DELETE FROM oauth_client WHERE (used_at IS NULL AND registered_at < $1) OR used_at < $2";
const COUNT: &str = "SELECT count(*) FROM oauth_client";
const INSERT: &str = "INSERT INTO oauth_client (id, name, redirect_uris, refreshes, registered_at)
    VALUES ($1, $2, $3, $4, $5)";
const FIND: &str = "SELECT id, name, redirect_uris, refreshes, registered_at FROM oauth_client WHERE id = $1";

impl Store {
    /// Keeps a client that registers itself, if there is room.
    ///
    /// # Errors
    /// If it cannot be kept.
    pub async fn register_client(&self, client: &RegisteredClient) -> Result<Registration> {
        let now = client.registered_at;
        // Nobody remembers clients.
        self.write_unmarked(async |connection| {
            let over = sqlx::query(OVER).bind(now.saturating_sub(UNUSED)).bind(now.saturating_sub(FORGOTTEN));
            over.execute(&mut *connection).await?;
            if sqlx::query_scalar::<_, i64>(COUNT).fetch_one(&mut *connection).await? >= MANY {
                return Ok(Registration::Full);
            }
            let query = sqlx::query(INSERT).bind(&client.id).bind(&client.name).bind(client.redirect_uris.join(" "));
            query.bind(client.refreshes).bind(now).execute(connection).await?;
            Ok(Registration::Kept)
        })
        .await
    }

    /// A client that registered itself.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn registered_client(&self, id: &str) -> Result<Option<RegisteredClient>> {
        let Some(row) = sqlx::query(FIND).bind(id).fetch_optional(self.reading()).await? else { return Ok(None) };
        Ok(Some(RegisteredClient {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            redirect_uris: words(row.try_get("redirect_uris")?),
            refreshes: row.try_get("refreshes")?,
            registered_at: row.try_get("registered_at")?,
        }))
    }
}
