//! Keys that clients authenticate with.

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::events::{Change, note};
use crate::people::check_spelling;
use crate::{Result, Store, StoreError};

/// Of one key all but its secret. Moments are microseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// What it is called; part of the key itself.
    pub id: String,
    /// SHA-256 of its secret, which has 256 random bits, so that no slower digest is needed.
    pub digest: [u8; 32],
    /// On whose behalf its holder acts.
    pub principal: String,
    /// The roles that its holder has.
    pub roles: Vec<String>,
    /// What it is good for, at most.
    pub scopes: Vec<String>,
    /// What people should know about it.
    pub note: String,
    /// When it was made.
    pub created_at: i64,
    /// From when on it is refused.
    pub expires_at: i64,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<i64>,
    /// The key in whose place it came.
    pub replaces: Option<String>,
}

const INSERT: &str = "INSERT INTO api_key
    (id, digest, principal, roles, scopes, note, created_at, expires_at, revoked_at, last_used_at, replaces)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
const ALL: &str = "SELECT id, digest, principal, roles, scopes, note, created_at, expires_at, revoked_at, last_used_at,
    replaces FROM api_key ORDER BY created_at, id";
const STATE: &str = "SELECT expires_at, revoked_at FROM api_key WHERE id = $1";
const REVOKE: &str = "UPDATE api_key SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
const END_BY: &str = "UPDATE api_key SET expires_at = $2 WHERE id = $1 AND expires_at > $2";
const USED: &str = "UPDATE api_key SET last_used_at = $2 WHERE id = $1 AND coalesce(last_used_at, 0) < $2";

impl Store {
    /// All keys, the oldest first; also those that are good for nothing any more.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>> {
        Ok(self.api_keys_and_others().await?.0)
    }

    /// The same, and how many rows there are that cannot be understood. Such a row is no key: it opens nothing, and keeps no
    /// other from doing so.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn api_keys_and_others(&self) -> Result<(Vec<ApiKey>, usize)> {
        let rows = sqlx::query(ALL).fetch_all(self.reading()).await?;
        let keys: Vec<_> = rows.iter().filter_map(|row| api_key(row).ok()).collect();
        let others = rows.len() - keys.len();
        Ok((keys, others))
    }

    /// Keeps a new key, made by whoever makes this change.
    ///
    /// # Errors
    /// If it cannot be kept, or there is one of its id.
    pub async fn add_api_key(&self, key: &ApiKey, change: &Change) -> Result<()> {
        self.write(async |connection| {
            insert(connection, key).await?;
            note(connection, change, "key.created", said(key)).await
        })
        .await
    }

    /// Keeps a key in the place of another, which is good until `until` at most. Both or neither happens.
    ///
    /// # Errors
    /// If the other is not there, has expired or was revoked, or if this cannot be kept.
    pub async fn replace_api_key(&self, old: &str, key: &ApiKey, until: i64, change: &Change) -> Result<()> {
        self.write(async |connection| {
            let row = sqlx::query(STATE).bind(old).fetch_optional(&mut *connection).await?.ok_or_else(unknown(old))?;
            if row.try_get::<Option<i64>, _>("revoked_at")?.is_some() {
                return Err(StoreError::State(format!("the key `{old}` was revoked; create a new one")));
            }
            if row.try_get::<i64, _>("expires_at")? <= key.created_at {
                return Err(StoreError::State(format!("the key `{old}` has expired; create a new one")));
            }
            sqlx::query(END_BY).bind(old).bind(until).execute(&mut *connection).await?;
            insert(connection, key).await?;
            note(connection, change, "key.rotated", said(key)).await
        })
        .await
    }

    /// Revokes a key, as of the change. Returns whether it was not revoked before.
    ///
    /// # Errors
    /// If there is no such key, or this cannot be kept.
    pub async fn revoke_api_key(&self, id: &str, change: &Change) -> Result<bool> {
        self.write(async |connection| {
            sqlx::query(STATE).bind(id).fetch_optional(&mut *connection).await?.ok_or_else(unknown(id))?;
            let revoked =
                sqlx::query(REVOKE).bind(id).bind(change.at).execute(&mut *connection).await?.rows_affected() > 0;
            if revoked {
                note(connection, change, "key.revoked", json!({ "key": id })).await?;
            }
            Ok(revoked)
        })
        .await
    }

    /// Notes when keys were last used. Readers are not told: nothing depends on it.
    ///
    /// # Errors
    /// If it cannot be kept.
    pub async fn note_uses(&self, uses: &[(String, i64)]) -> Result<()> {
        self.write_unmarked(async |connection| {
            for (id, at) in uses {
                sqlx::query(USED).bind(id).bind(at).execute(&mut *connection).await?;
            }
            Ok(())
        })
        .await
    }
}

/// What the log says of a new key.
fn said(key: &ApiKey) -> Value {
    json!({
        "key": key.id, "principal": key.principal, "roles": key.roles, "scopes": key.scopes,
        "expires_at": key.expires_at, "replaces": key.replaces,
    })
}

async fn insert(connection: &mut SqliteConnection, key: &ApiKey) -> Result<()> {
    check_spelling(connection, &key.principal).await?;
    let query = sqlx::query(INSERT).bind(&key.id).bind(key.digest.as_slice()).bind(&key.principal);
    let query = query.bind(key.roles.join(" ")).bind(key.scopes.join(" ")).bind(&key.note);
    let query = query.bind(key.created_at).bind(key.expires_at).bind(key.revoked_at).bind(key.last_used_at);
    query.bind(&key.replaces).execute(connection).await?;
    Ok(())
}

fn api_key(row: &SqliteRow) -> Result<ApiKey> {
    let words = |column| {
        row.try_get::<&str, _>(column)
            .map(|text| text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect())
    };
    let digest: &[u8] = row.try_get("digest")?;
    Ok(ApiKey {
        id: row.try_get("id")?,
        digest: digest.try_into().map_err(|_| StoreError::State("a digest has another length".to_owned()))?,
        principal: row.try_get("principal")?,
        roles: words("roles")?,
        scopes: words("scopes")?,
        note: row.try_get("note")?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        revoked_at: row.try_get("revoked_at")?,
        last_used_at: row.try_get("last_used_at")?,
        replaces: row.try_get("replaces")?,
    })
}

fn unknown(id: &str) -> impl FnOnce() -> StoreError {
    let name = id.to_owned();
    move || StoreError::Unknown { what: "key", name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str) -> ApiKey {
        ApiKey {
            id: id.to_owned(),
            digest: [7; 32],
            principal: "ann".to_owned(),
            roles: vec![],
            scopes: vec!["server:files".to_owned(), "server:git".to_owned()],
            note: "it's a \"note\"; --".to_owned(),
            created_at: 100,
            expires_at: 1_000,
            revoked_at: None,
            last_used_at: None,
            replaces: None,
        }
    }

    fn change(at: i64) -> Change {
        Change { by: "uid:7".to_owned(), at }
    }

    async fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("own/state.db")).await.unwrap();
        (directory, store)
    }

    #[tokio::test]
    async fn what_is_kept_comes_back_from_another_opening() {
        let (directory, store) = store().await;
        store.add_api_key(&key("a"), &change(1)).await.unwrap();
        assert!(store.add_api_key(&key("a"), &change(1)).await.is_err(), "an id is there once");
        store.close().await;
        let again = Store::open(&directory.path().join("own/state.db")).await.unwrap();
        assert_eq!(again.api_keys().await.unwrap(), [key("a")]);
    }

    #[tokio::test]
    async fn no_name_of_a_key_differs_from_a_known_one_only_in_case() {
        use crate::people::{Given, Person};
        let (_directory, store) = store().await;
        let of = |id: &str, principal: &str| ApiKey { principal: principal.to_owned(), ..key(id) };
        let add = async |name: &str| {
            store
                .add_person(
                    &Person::new(name, [u8::try_from(name.len() * 2 + usize::from(name == "ann")).unwrap(); 32], 1),
                    &Given::default(),
                    &change(1),
                )
                .await
                .map_err(|error| error.to_string())
        };
        add("Bea").await.unwrap();
        store.add_api_key(&of("a", "ann"), &change(1)).await.unwrap();
        for name in ["Ann", "bea", "BEA"] {
            let error = store.add_api_key(&of("x", name), &change(1)).await.unwrap_err().to_string();
            assert!(error.contains("differs only in case from"), "{name}: {error}");
            let error = store.replace_api_key("a", &of("x", name), 500, &change(1)).await.unwrap_err().to_string();
            assert!(error.contains("differs only in case from"), "{name}: {error}");
        }
        assert!(add("aNN").await.unwrap_err().contains("`ann`"));
        // The same name, one of an issuer, and one that nobody has any more.
        for (id, name) in [("b", "ann"), ("c", "Bea"), ("d", "corp:ANN"), ("e", "corp:ann"), ("f", "Carl")] {
            store.add_api_key(&of(id, name), &change(1)).await.unwrap();
        }
        store.revoke_api_key("f", &change(2)).await.unwrap();
        store.add_api_key(&of("g", "carl"), &change(3)).await.unwrap();
        add("ann").await.unwrap();
    }

    #[tokio::test]
    async fn a_key_is_revoked_once_and_every_other_opening_sees_that_something_changed() {
        let (directory, store) = store().await;
        let other = Store::open(&directory.path().join("own/state.db")).await.unwrap();
        store.add_api_key(&key("a"), &change(1)).await.unwrap();
        let before = other.revision().unwrap();
        assert!(store.revoke_api_key("a", &change(500)).await.unwrap());
        assert_ne!(other.revision(), Some(before));
        assert_eq!(other.api_keys().await.unwrap()[0].revoked_at, Some(500));
        assert!(!store.revoke_api_key("a", &change(600)).await.unwrap());
        assert_eq!(other.api_keys().await.unwrap()[0].revoked_at, Some(500), "the first time counts");
        let error = store.revoke_api_key("b", &change(500)).await.unwrap_err();
        assert_eq!(error.to_string(), "there is no key `b`");
    }

    #[tokio::test]
    async fn one_key_comes_in_the_place_of_another_or_nothing_changes() {
        let (_directory, store) = store().await;
        store.add_api_key(&key("a"), &change(1)).await.unwrap();
        let next = ApiKey { replaces: Some("a".to_owned()), ..key("b") };
        store.replace_api_key("a", &next, 300, &change(1)).await.unwrap();
        let ends: Vec<_> = store.api_keys().await.unwrap().into_iter().map(|key| (key.id, key.expires_at)).collect();
        assert_eq!(ends, [("a".to_owned(), 300), ("b".to_owned(), 1_000)]);
        // An end that was sooner stays.
        store.replace_api_key("a", &key("c"), 900, &change(1)).await.unwrap();
        assert_eq!(store.api_keys().await.unwrap()[0].expires_at, 300);
        // The new one cannot be kept, so the old one's end stays too.
        assert!(store.replace_api_key("b", &key("c"), 400, &change(1)).await.is_err());
        assert_eq!(store.api_keys().await.unwrap()[1].expires_at, 1_000);
        store.revoke_api_key("b", &change(200)).await.unwrap();
        let late = ApiKey { created_at: 400, ..key("d") };
        for (old, why) in [("x", "there is no key `x`"), ("a", "has expired"), ("b", "was revoked")] {
            let error = store.replace_api_key(old, &late, 500, &change(1)).await.unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        assert_eq!(store.api_keys().await.unwrap().len(), 3);
    }

    #[tokio::test]
    async fn a_use_only_moves_forward_and_disturbs_nobody() {
        let (_directory, store) = store().await;
        store.add_api_key(&key("a"), &change(1)).await.unwrap();
        let before = store.revision();
        let uses = |at| vec![("a".to_owned(), at), ("gone".to_owned(), at)];
        store.note_uses(&uses(500)).await.unwrap();
        store.note_uses(&uses(400)).await.unwrap();
        assert_eq!(store.api_keys().await.unwrap()[0].last_used_at, Some(500));
        assert_eq!(store.revision(), before);
    }

    #[tokio::test]
    async fn what_was_done_waits_until_it_is_recorded_and_what_was_not_is_not_said() {
        let (_directory, store) = store().await;
        store.add_api_key(&key("a"), &change(1)).await.unwrap();
        assert!(store.add_api_key(&key("a"), &change(2)).await.is_err());
        let next = ApiKey { replaces: Some("a".to_owned()), ..key("b") };
        store.replace_api_key("a", &next, 300, &change(3)).await.unwrap();
        store.revoke_api_key("b", &change(4)).await.unwrap();
        store.revoke_api_key("b", &change(5)).await.unwrap();
        let failed: Result<usize, &str> = store.record_events(async |_| Err("the disk is full")).await.unwrap();
        assert_eq!(failed, Err("the disk is full"));
        let mut said = Vec::new();
        let record =
            async |events: &[crate::Event]| {
                said.extend(events.iter().map(|event| {
                    (event.at, event.kind.clone(), event.fields["key"].clone(), event.fields["by"].clone())
                }));
                Ok::<_, ()>(())
            };
        assert_eq!(store.record_events(record).await.unwrap(), Ok(3));
        let expected = [(1, "key.created", "a"), (3, "key.rotated", "b"), (4, "key.revoked", "b")];
        assert_eq!(said, expected.map(|(at, kind, key)| (at, kind.to_owned(), json!(key), json!("uid:7"))));
        assert_eq!(store.record_events(async |_| Err("nothing is left")).await.unwrap(), Ok(0));
    }

    #[tokio::test]
    async fn a_row_that_cannot_be_understood_keeps_no_other_key_out() {
        let (_directory, store) = store().await;
        for id in ["a", "b", "c"] {
            store.add_api_key(&key(id), &change(1)).await.unwrap();
        }
        sqlx::raw_sql("UPDATE api_key SET scopes = CAST(x'ff' AS TEXT) WHERE id = 'b'")
            .execute(store.reading())
            .await
            .unwrap();
        assert_eq!(store.api_keys().await.unwrap(), [key("a"), key("c")]);
        assert_eq!(store.api_keys_and_others().await.unwrap(), (vec![key("a"), key("c")], 1));
    }
}
