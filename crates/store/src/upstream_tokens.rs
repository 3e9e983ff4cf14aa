//! What authorization servers gave for people to use servers with.

use serde_json::json;
use sqlx::Row;
use sqlx::sqlite::{SqliteExecutor, SqliteRow};

use crate::events::{Change, note};
use crate::{Result, Store, StoreError};

/// For whom a token is that all use.
pub const EVERYBODY: &str = "*";

/// What is sealed is sealed for this.
pub const PURPOSE: &str = "token";

/// Tokens of somebody for a server. Moments are microseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamToken {
    /// What the server is called in the configuration.
    pub server: String,
    /// On whose behalf, or [`EVERYBODY`].
    pub principal: String,
    /// Who gave it.
    pub issuer: String,
    /// What it was given for, and is never sent elsewhere.
    pub resource: String,
    /// The tokens, and all it takes to renew them, sealed for [`UpstreamToken::owner`].
    pub sealed: Vec<u8>,
    /// What it is good for there.
    pub scope: String,
    /// When somebody signed in.
    pub obtained_at: i64,
    /// When the access token ends, if that was said.
    pub expires_at: Option<i64>,
    /// Since when somebody renews it.
    pub renewing_at: Option<i64>,
    /// When it turned out that it is good for nothing any more.
    pub ended_at: Option<i64>,
}

impl UpstreamToken {
    /// Whose the sealed content is: it opens for nobody else, and for no other server.
    #[must_use]
    pub fn owner(&self) -> String {
        [&*self.server, &self.principal, &self.issuer, &self.resource].join("\n")
    }
}

const ALL: &str = "SELECT * FROM upstream_token ORDER BY server, principal";
const ONE: &str = "SELECT * FROM upstream_token WHERE server = $1 AND principal = $2";
const PUT: &str =
    "INSERT INTO upstream_token (server, principal, issuer, resource, sealed, scope, obtained_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (server, principal) DO UPDATE SET issuer = excluded.issuer,
    resource = excluded.resource, sealed = excluded.sealed, scope = excluded.scope, obtained_at = excluded.obtained_at,
    expires_at = excluded.expires_at, renewing_at = NULL, ended_at = NULL";
const BEGIN: &str =
    "UPDATE upstream_token SET renewing_at = $3 WHERE server = $1 AND principal = $2 AND obtained_at = $4
    AND expires_at IS $5 AND renewing_at IS NULL AND ended_at IS NULL";
const RENEWED: &str = "UPDATE upstream_token SET sealed = $4, scope = $5, expires_at = $6, renewing_at = NULL
    WHERE server = $1 AND principal = $2 AND renewing_at = $3";
const GIVE_UP: &str =
    "UPDATE upstream_token SET renewing_at = NULL WHERE server = $1 AND principal = $2 AND renewing_at = $3";
const ENDED: &str = "UPDATE upstream_token SET renewing_at = NULL, ended_at = $4, sealed = x''
    WHERE server = $1 AND principal = $2 AND renewing_at = $3";
const HANDLE: &str = "SELECT handle FROM person WHERE name = $1";
const REMOVE: &str = "DELETE FROM upstream_token WHERE server = $1 AND principal = $2";

/// Which person a principal was at a moment: none, or the one with this handle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whose(Option<Vec<u8>>);

/// What came of renewing a token.
#[derive(Debug)]
pub enum Renewal<'a> {
    /// There are new ones, and what they are.
    Renewed(&'a UpstreamToken),
    /// Nothing was used up: it can be tried again.
    Again,
    /// It is good for nothing any more.
    Ended,
}

impl Store {
    /// All tokens.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn upstream_tokens(&self) -> Result<Vec<UpstreamToken>> {
        sqlx::query(ALL).fetch_all(self.reading()).await?.iter().map(token).collect()
    }

    /// Those of one principal for one server.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn upstream_token(&self, server: &str, principal: &str) -> Result<Option<UpstreamToken>> {
        let row = sqlx::query(ONE).bind(server).bind(principal).fetch_optional(self.reading()).await?;
        row.as_ref().map(token).transpose()
    }

    /// Which person a principal is, if they are one who signs in here: what a token is for is theirs, and of nobody who is called
    /// so later.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn whose(&self, principal: &str) -> Result<Whose> {
        whose(self.reading(), principal).await
    }

    /// Keeps tokens, in the place of those that there were, if the principal is still who they were when the sign-in began.
    ///
    /// # Errors
    /// If they are not, or the tokens cannot be kept.
    pub async fn put_upstream_token(&self, (held, for_whom): (&UpstreamToken, &Whose), change: &Change) -> Result<()> {
        self.write(async |connection| {
            if whose(&mut *connection, &held.principal).await? != *for_whom {
                return Err(StoreError::State(format!(
                    "`{}` was added or removed while somebody signed in, so nothing is kept of it",
                    held.principal
                )));
            }
            let query = sqlx::query(PUT).bind(&held.server).bind(&held.principal).bind(&held.issuer);
            let query = query.bind(&held.resource).bind(&held.sealed).bind(&held.scope);
            query.bind(held.obtained_at).bind(held.expires_at).execute(&mut *connection).await?;
            let fields = json!({
                "server": held.server, "principal": held.principal, "issuer": held.issuer, "resource": held.resource,
                "scope": held.scope,
            });
            note(connection, change, "upstream.signed_in", fields).await
        })
        .await
    }

    /// Says that these are being renewed from now on; whether nobody else does so, and nobody did before without
    /// finding out what came of it.
    ///
    /// # Errors
    /// If it cannot be kept.
    pub async fn begin_renewal(&self, held: &UpstreamToken, now: i64) -> Result<bool> {
        self.write(async |connection| {
            let query = sqlx::query(BEGIN).bind(&held.server).bind(&held.principal).bind(now);
            let query = query.bind(held.obtained_at).bind(held.expires_at);
            Ok(query.execute(connection).await?.rows_affected() > 0)
        })
        .await
    }

    /// Says what came of it, if nobody has signed in anew meanwhile, or removed them. Returns whether that was so.
    ///
    /// # Errors
    /// If it cannot be kept.
    pub async fn end_renewal(
        &self,
        held: &UpstreamToken,
        begun: i64,
        came: Renewal<'_>,
        change: &Change,
    ) -> Result<bool> {
        self.write(async |connection| {
            let (kind, query) = match &came {
                Renewal::Renewed(new) => {
                    let query = sqlx::query(RENEWED).bind(&held.server).bind(&held.principal).bind(begun);
                    ("upstream.token_renewed", query.bind(&new.sealed).bind(&new.scope).bind(new.expires_at))
                }
                Renewal::Again => {
                    let query = sqlx::query(GIVE_UP).bind(&held.server).bind(&held.principal).bind(begun);
                    return Ok(query.execute(connection).await?.rows_affected() > 0);
                }
                Renewal::Ended => {
                    let query = sqlx::query(ENDED).bind(&held.server).bind(&held.principal).bind(begun);
                    ("upstream.token_ended", query.bind(change.at))
                }
            };
            let is_there = query.execute(&mut *connection).await?.rows_affected() > 0;
            if is_there {
                let fields = json!({"server": held.server, "principal": held.principal, "issuer": held.issuer});
                note(connection, change, kind, fields).await?;
            }
            Ok(is_there)
        })
        .await
    }

    /// Forgets tokens, and returns them.
    ///
    /// # Errors
    /// If there are none, or they cannot be forgotten.
    pub async fn remove_upstream_token(&self, server: &str, principal: &str, change: &Change) -> Result<UpstreamToken> {
        self.write(async |connection| {
            let row = sqlx::query(ONE).bind(server).bind(principal).fetch_optional(&mut *connection).await?;
            let name = || format!("{server} of {principal}");
            let row = row.ok_or_else(|| StoreError::Unknown { what: "sign-in to", name: name() })?;
            sqlx::query(REMOVE).bind(server).bind(principal).execute(&mut *connection).await?;
            let held = token(&row)?;
            let fields = json!({"server": server, "principal": principal, "issuer": held.issuer});
            note(connection, change, "upstream.signed_out", fields).await?;
            Ok(held)
        })
        .await
    }
}

async fn whose(store: impl SqliteExecutor<'_>, principal: &str) -> Result<Whose> {
    Ok(Whose(sqlx::query_scalar(HANDLE).bind(principal).fetch_optional(store).await?))
}

fn token(row: &SqliteRow) -> Result<UpstreamToken> {
    Ok(UpstreamToken {
        server: row.try_get("server")?,
        principal: row.try_get("principal")?,
        issuer: row.try_get("issuer")?,
        resource: row.try_get("resource")?,
        sealed: row.try_get("sealed")?,
        scope: row.try_get("scope")?,
        obtained_at: row.try_get("obtained_at")?,
        expires_at: row.try_get("expires_at")?,
        renewing_at: row.try_get("renewing_at")?,
        ended_at: row.try_get("ended_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(principal: &str) -> UpstreamToken {
        UpstreamToken {
            server: "crm".to_owned(),
            principal: principal.to_owned(),
            issuer: "https://issuer.example".to_owned(),
            resource: "https://crm.example/mcp".to_owned(),
            sealed: vec![7],
            scope: "read".to_owned(),
            obtained_at: 100,
            expires_at: Some(200),
            renewing_at: None,
            ended_at: None,
        }
    }

    #[tokio::test]
    async fn tokens_are_renewed_by_one_and_what_is_used_up_is_not_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("state.db")).await.unwrap();
        let change = |at| Change { by: "uid:7".to_owned(), at };
        let nobody = Whose(None);
        store.put_upstream_token((&held("ann"), &nobody), &change(1)).await.unwrap();
        store.put_upstream_token((&held("bob"), &nobody), &change(1)).await.unwrap();
        let ann = async || store.upstream_token("crm", "ann").await.unwrap();
        assert_eq!(ann().await, Some(held("ann")));
        assert!(store.begin_renewal(&held("ann"), 5).await.unwrap());
        assert!(!store.begin_renewal(&held("ann"), 6).await.unwrap(), "somebody does already");
        assert!(store.end_renewal(&held("ann"), 5, Renewal::Again, &change(7)).await.unwrap());
        assert!(store.begin_renewal(&held("ann"), 8).await.unwrap());
        let new = UpstreamToken { sealed: vec![8], expires_at: Some(300), ..held("ann") };
        assert!(!store.end_renewal(&held("ann"), 5, Renewal::Ended, &change(9)).await.unwrap());
        assert!(store.end_renewal(&held("ann"), 8, Renewal::Renewed(&new), &change(9)).await.unwrap());
        assert_eq!(ann().await, Some(new.clone()), "what an earlier one says does not count");
        assert!(!store.begin_renewal(&held("ann"), 10).await.unwrap(), "it read what there was before");
        assert!(store.begin_renewal(&new, 10).await.unwrap());
        assert!(store.end_renewal(&new, 10, Renewal::Ended, &change(11)).await.unwrap());
        let ended = ann().await.unwrap();
        assert!(ended.ended_at == Some(11) && ended.sealed.is_empty());
        assert!(!store.begin_renewal(&ended, 12).await.unwrap());
        store.put_upstream_token((&held("ann"), &nobody), &change(13)).await.unwrap();
        assert_eq!(ann().await, Some(held("ann")), "whoever signs in anew has all anew");
        assert_eq!(store.remove_upstream_token("crm", "ann", &change(14)).await.unwrap(), held("ann"));
        assert!(store.remove_upstream_token("crm", "ann", &change(14)).await.is_err());
        assert_eq!(store.upstream_tokens().await.unwrap(), [held("bob")]);
    }
}
