//! Codes: what a person agreed to, on its way to the client.

use serde_json::json;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::ends::{self, Which};
use super::{Grant, Terms, terms, words};
use crate::events::{Change, note};
use crate::people::check_stands;
use crate::{Result, Store, StoreError};

/// So many codes that nobody came for are kept of one person and client; a page could have a browser fetch any number.
const WAITING: i64 = 16;
/// So many grants one client has of one person at one place: each of their devices has one.
const AT_ONCE: i64 = 16;
/// How long what is over is kept, in microseconds.
const KEPT: i64 = 30 * 24 * 60 * 60 * 1_000_000;
const DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// A code as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// SHA-256 of it; it has 256 random bits.
    pub digest: [u8; 32],
    /// What was agreed to.
    pub terms: Terms,
    /// Where it was sent.
    pub redirect_uri: String,
    /// The same as the client has said it before.
    pub registered_uri: String,
    /// What the client knows more of.
    pub challenge: [u8; 32],
    /// Whether the client gets refresh tokens.
    pub refreshes: bool,
    /// When it was made.
    pub created_at: i64,
    /// From when on it is good for nothing.
    pub expires_at: i64,
}

/// What comes of a code that is shown.
#[derive(Debug)]
pub enum Redeemed<R> {
    /// There is none, or it is over, or what was agreed to is not agreed to any more.
    Unknown,
    /// It was shown before; what was given for it has ended, if it had not.
    Replayed(Option<String>),
    /// It is not for who shows it, and good for nobody any more.
    Refused(R),
    /// What the client gets for it, and whether that can be refreshed.
    Granted(Box<Grant>, bool),
}

/// What a client is to be given for a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGrant {
    /// What it is called.
    pub id: String,
    /// SHA-256 of its first refresh token.
    pub refresh: [u8; 32],
    /// When it is over.
    pub expires_at: i64,
}

const INSERT: &str =
    "INSERT INTO authorization_code (digest, person, client, client_name, redirect_uri, registered_uri,
    challenge, resource, scopes, proof_key, refreshes, signed_in_at, methods, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
const CROWD: &str =
    "DELETE FROM authorization_code WHERE used_at IS NULL AND person = $1 AND client = $2 AND digest NOT IN
    (SELECT digest FROM authorization_code WHERE used_at IS NULL AND person = $1 AND client = $2
     ORDER BY created_at DESC LIMIT $3)";
const OLD: &str = "DELETE FROM authorization_code WHERE expires_at < $1";
const FIND: &str = "SELECT c.*, p.disabled_at, n.scopes AS consented FROM authorization_code c
    JOIN person p ON p.name = c.person
    LEFT JOIN consent n ON n.person = c.person AND n.client = c.client AND n.redirect_uri = c.registered_uri
        AND n.resource = c.resource
    WHERE c.digest = $1";
const IS_THERE: &str = "SELECT 1 FROM authorization_code WHERE digest = $1";
const USE: &str = "UPDATE authorization_code SET used_at = $2, given = $3 WHERE digest = $1";
const GIVE: &str =
    "INSERT INTO oauth_grant (id, person, client, client_name, resource, scopes, proof_key, signed_in_at,
    methods, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
const FIRST: &str = "INSERT INTO refresh_token (digest, of) VALUES ($1, $2)";
const BESIDE: &str =
    "SELECT id FROM oauth_grant WHERE person = $1 AND client = $2 AND resource = $3 AND ended_at IS NULL
    ORDER BY coalesce(used_at, created_at) DESC, id LIMIT -1 OFFSET $4";
const FORGET: &str = "DELETE FROM oauth_grant WHERE expires_at < $1 OR ended_at < $1";
const CONSENT: &str = "INSERT INTO consent (person, client, redirect_uri, resource, scopes, agreed_at)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (person, client, redirect_uri, resource) DO UPDATE SET scopes = excluded.scopes, agreed_at = excluded.agreed_at";
const CONSENTED: &str =
    "SELECT scopes FROM consent WHERE person = $1 AND client = $2 AND redirect_uri = $3 AND resource = $4";
const CLIENT_USED: &str = "UPDATE oauth_client SET used_at = $2 WHERE id = $1";

impl Store {
    /// What a person has agreed to with a client at this address and resource.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn consented(&self, person: &str, client: &str, uri: &str, resource: &str) -> Result<Vec<String>> {
        let query = sqlx::query(CONSENTED).bind(person).bind(client).bind(uri).bind(resource);
        let row = query.fetch_optional(self.reading()).await?;
        Ok(row.map(|row| row.try_get("scopes").map(words)).transpose()?.unwrap_or_default())
    }

    /// Keeps that a person of that generation agreed, and the code that says so. What they agreed to before with the same
    /// client stays.
    ///
    /// # Errors
    /// If they are of another one by now, or it cannot be kept.
    pub async fn agree(&self, code: &Code, generation: i64, change: &Change) -> Result<()> {
        self.write(async |connection| {
            let terms = &code.terms;
            check_stands(connection, &terms.person, generation).await?;
            let key = (&terms.person, &terms.client, &code.registered_uri, &terms.resource);
            let query = sqlx::query(CONSENTED).bind(key.0).bind(key.1).bind(key.2).bind(key.3);
            let before = query.fetch_optional(&mut *connection).await?;
            let mut scopes = before.map(|row| row.try_get("scopes").map(words)).transpose()?.unwrap_or_default();
            scopes.extend(terms.scopes.iter().cloned());
            scopes.sort();
            scopes.dedup();
            let query = sqlx::query(CONSENT).bind(key.0).bind(key.1).bind(key.2).bind(key.3);
            query.bind(scopes.join(" ")).bind(change.at).execute(&mut *connection).await?;
            sqlx::query(CLIENT_USED).bind(&terms.client).bind(change.at).execute(&mut *connection).await?;
            add(connection, code).await?;
            let said = json!({
                "person": terms.person, "client": terms.client, "client_name": terms.client_name,
                "redirect_uri": code.redirect_uri, "resource": terms.resource, "scopes": terms.scopes,
            });
            note(connection, change, "consent.given", said).await
        })
        .await
    }

    /// Keeps a code for what a person of that generation agreed to before.
    ///
    /// # Errors
    /// If they are of another one by now, or it cannot be kept.
    pub async fn add_code(&self, code: &Code, generation: i64) -> Result<()> {
        self.write_unmarked(async |connection| {
            check_stands(connection, &code.terms.person, generation).await?;
            add(connection, code).await
        })
        .await
    }

    /// Shows a code. It is good once, whatever comes of it; `judge` says whether it is for who shows it, and may
    /// say which key what is given is bound to.
    ///
    /// # Errors
    /// If the store cannot be read or written; then the code stays as it was.
    pub async fn redeem_code<R>(
        &self,
        digest: &[u8; 32],
        new: &NewGrant,
        judge: impl FnOnce(&mut Code) -> std::result::Result<(), R>,
        change: &Change,
    ) -> Result<Redeemed<R>> {
        // Whoever guesses must not have everybody read the store anew.
        if sqlx::query(IS_THERE).bind(digest.as_slice()).fetch_optional(self.reading()).await?.is_none() {
            return Ok(Redeemed::Unknown);
        }
        self.write(async |connection| redeem(connection, digest, new, judge, change).await).await
    }
}

async fn add(connection: &mut SqliteConnection, code: &Code) -> Result<()> {
    let terms = &code.terms;
    sqlx::query(OLD).bind(code.created_at.saturating_sub(DAY)).execute(&mut *connection).await?;
    let query = sqlx::query(INSERT).bind(code.digest.as_slice()).bind(&terms.person).bind(&terms.client);
    let query = query.bind(&terms.client_name).bind(&code.redirect_uri).bind(&code.registered_uri);
    let query = query.bind(code.challenge.as_slice()).bind(&terms.resource).bind(terms.scopes.join(" "));
    let query = query.bind(&terms.proof_key).bind(code.refreshes).bind(terms.signed_in_at);
    let query = query.bind(terms.methods.join(" ")).bind(code.created_at).bind(code.expires_at);
    query.execute(&mut *connection).await?;
    sqlx::query(CROWD).bind(&terms.person).bind(&terms.client).bind(WAITING).execute(connection).await?;
    Ok(())
}

async fn redeem<R>(
    connection: &mut SqliteConnection,
    digest: &[u8; 32],
    new: &NewGrant,
    judge: impl FnOnce(&mut Code) -> std::result::Result<(), R>,
    change: &Change,
) -> Result<Redeemed<R>> {
    let row = sqlx::query(FIND).bind(digest.as_slice()).fetch_optional(&mut *connection).await?;
    let Some(row) = row else { return Ok(Redeemed::Unknown) };
    if row.try_get::<Option<i64>, _>("used_at")?.is_some() {
        let Some(given) = row.try_get::<Option<String>, _>("given")? else { return Ok(Redeemed::Replayed(None)) };
        let ended = ends::end(connection, &Which::One(given), "code_replayed", change).await?;
        return Ok(Redeemed::Replayed(ended.into_iter().next()));
    }
    let mut code = code(&row)?;
    sqlx::query(USE).bind(digest.as_slice()).bind(change.at).bind(None::<&str>).execute(&mut *connection).await?;
    let consented = row.try_get::<Option<&str>, _>("consented")?.map(words).unwrap_or_default();
    let is_agreed = code.terms.scopes.iter().all(|scope| consented.contains(scope));
    let is_disabled = row.try_get::<Option<i64>, _>("disabled_at")?.is_some();
    if code.expires_at <= change.at || is_disabled || !is_agreed {
        return Ok(Redeemed::Unknown);
    }
    if let Err(refused) = judge(&mut code) {
        return Ok(Redeemed::Refused(refused));
    }
    give(connection, &code, new, change).await.map(|grant| Redeemed::Granted(Box::new(grant), code.refreshes))
}

async fn give(connection: &mut SqliteConnection, code: &Code, new: &NewGrant, change: &Change) -> Result<Grant> {
    let terms = &code.terms;
    sqlx::query(FORGET).bind(change.at.saturating_sub(KEPT)).execute(&mut *connection).await?;
    let query = sqlx::query(GIVE).bind(&new.id).bind(&terms.person).bind(&terms.client).bind(&terms.client_name);
    let query = query.bind(&terms.resource).bind(terms.scopes.join(" ")).bind(&terms.proof_key);
    let query = query.bind(terms.signed_in_at).bind(terms.methods.join(" ")).bind(change.at).bind(new.expires_at);
    query.execute(&mut *connection).await?;
    if code.refreshes {
        sqlx::query(FIRST).bind(new.refresh.as_slice()).bind(&new.id).execute(&mut *connection).await?;
    }
    sqlx::query(USE).bind(code.digest.as_slice()).bind(change.at).bind(&new.id).execute(&mut *connection).await?;
    let said = json!({
        "grant": new.id, "person": terms.person, "client": terms.client, "client_name": terms.client_name,
        "resource": terms.resource, "scopes": terms.scopes, "expires_at": new.expires_at,
    });
    note(connection, change, "grant.given", said).await?;
    let query = sqlx::query(BESIDE).bind(&terms.person).bind(&terms.client).bind(&terms.resource).bind(AT_ONCE);
    for row in query.fetch_all(&mut *connection).await? {
        ends::end(connection, &Which::One(row.try_get("id")?), "superseded", change).await?;
    }
    Ok(Grant {
        id: new.id.clone(),
        terms: terms.clone(),
        created_at: change.at,
        expires_at: new.expires_at,
        used_at: None,
        ended: None,
    })
}

fn code(row: &SqliteRow) -> Result<Code> {
    let bytes = |column: &str| -> Result<[u8; 32]> {
        let bytes: &[u8] = row.try_get(column)?;
        bytes.try_into().map_err(|_| StoreError::State("a digest has another length".to_owned()))
    };
    Ok(Code {
        digest: bytes("digest")?,
        terms: terms(row)?,
        redirect_uri: row.try_get("redirect_uri")?,
        registered_uri: row.try_get("registered_uri")?,
        challenge: bytes("challenge")?,
        refreshes: row.try_get("refreshes")?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
    })
}
