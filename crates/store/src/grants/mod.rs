//! What people agreed to, and what clients were given for it.
//!
//! **Threat.** Whoever reads the store finds no code and no token in it: of both there are only digests. What was ended is
//! over from the moment on at which that is written. Everything that ends or begins something is one transaction with what
//! it rests on, so of two who show one code at the same time one gets nothing.

mod clients;
mod codes;
mod ends;
mod refresh;
mod signing;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

pub use self::clients::{RegisteredClient, Registration};
pub use self::codes::{Code, NewGrant, Redeemed};
pub use self::ends::Which;
pub(crate) use self::ends::revoke;
pub use self::refresh::Refreshed;
pub use self::signing::SigningKey;
use crate::{Result, Store};

/// What a person agrees to. Moments are microseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Who agrees.
    pub person: String,
    /// With which client.
    pub client: String,
    /// What it calls itself.
    pub client_name: String,
    /// Where what is given is good.
    pub resource: String,
    /// What it is good for at most.
    pub scopes: Vec<String>,
    /// The thumbprint of the key that it is bound to.
    pub proof_key: Option<String>,
    /// When the person had signed in.
    pub signed_in_at: i64,
    /// By what.
    pub methods: Vec<String>,
}

/// What a client was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What it is called.
    pub id: String,
    /// What was agreed to.
    pub terms: Terms,
    /// When the client came for it.
    pub created_at: i64,
    /// When it is over in any case.
    pub expires_at: i64,
    /// When it was last refreshed.
    pub used_at: Option<i64>,
    /// When it was ended, and why.
    pub ended: Option<(i64, String)>,
}

/// Of what was given and is not over, what each request needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveGrant {
    /// What it is called.
    pub id: String,
    /// Whose it is.
    pub person: String,
    /// The client that has it.
    pub client: String,
    /// When it is over.
    pub expires_at: i64,
}

const GRANT: &str = "SELECT id, person, client, client_name, resource, scopes, proof_key, signed_in_at, methods,
    created_at, expires_at, used_at, ended_at, ended_by FROM oauth_grant";
const LIVE: &str = "SELECT g.id, g.person, g.client, g.expires_at FROM oauth_grant g JOIN person p ON p.name = g.person
    WHERE g.ended_at IS NULL AND g.expires_at > $1 AND p.disabled_at IS NULL";

impl Store {
    /// All that clients were given, the oldest first; also what is over.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn grants(&self) -> Result<Vec<Grant>> {
        let query = sqlx::AssertSqlSafe(format!("{GRANT} ORDER BY created_at, id"));
        let rows = sqlx::query(query).fetch_all(self.reading()).await?;
        rows.iter().map(grant).collect()
    }

    /// What a person let clients have and is not over, the oldest first.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn grants_of(&self, person: &str, now: i64) -> Result<Vec<Grant>> {
        let which = "WHERE person = $1 AND ended_at IS NULL AND expires_at > $2";
        let query = sqlx::AssertSqlSafe(format!("{GRANT} {which} ORDER BY created_at, id"));
        let rows = sqlx::query(query).bind(person).bind(now).fetch_all(self.reading()).await?;
        rows.iter().map(grant).collect()
    }

    /// What is good at this moment: not ended, and of a person who may sign in.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn live_grants(&self, now: i64) -> Result<Vec<LiveGrant>> {
        let rows = sqlx::query(LIVE).bind(now).fetch_all(self.reading()).await?;
        let live = |row: &SqliteRow| {
            Ok(LiveGrant {
                id: row.try_get("id")?,
                person: row.try_get("person")?,
                client: row.try_get("client")?,
                expires_at: row.try_get("expires_at")?,
            })
        };
        rows.iter().map(live).collect()
    }
}

fn grant(row: &SqliteRow) -> Result<Grant> {
    let ended_at: Option<i64> = row.try_get("ended_at")?;
    let ended_by: Option<String> = row.try_get("ended_by")?;
    Ok(Grant {
        id: row.try_get("id")?,
        terms: terms(row)?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        used_at: row.try_get("used_at")?,
        ended: ended_at.map(|at| (at, ended_by.unwrap_or_default())),
    })
}

fn terms(row: &SqliteRow) -> Result<Terms> {
    Ok(Terms {
        person: row.try_get("person")?,
        client: row.try_get("client")?,
        client_name: row.try_get("client_name")?,
        resource: row.try_get("resource")?,
        scopes: words(row.try_get("scopes")?),
        proof_key: row.try_get("proof_key")?,
        signed_in_at: row.try_get("signed_in_at")?,
        methods: words(row.try_get("methods")?),
    })
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
