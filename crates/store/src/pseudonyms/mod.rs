//! What pseudonyms stand for.
//!
//! **Threat.** Whoever has a copy of the database has the personal data of everybody who was ever named in a conversation. So a
//! value is encrypted under a key of its subject, and that key is sealed: without the master key nothing opens, and once the key of
//! a subject is gone nothing of theirs does, whatever is left of the rows. A value is bound to its tenant, purpose and token, so a
//! row that is moved elsewhere does not open either.
//!
//! To the store a token is a text like any other, and so is a subject. Both stand in the clear, so neither may be personal data.

mod crypt;
mod rows;
mod subjects;

use std::collections::HashSet;

use serde_json::json;
use sqlx::sqlite::SqliteConnection;
use zeroize::Zeroizing;

use self::rows::{Fresh, Until};
pub use self::subjects::{Erased, Opened, Pseudonym, Reading, Subject};
use crate::events::{Change, note};
use crate::{Result, Sealer, Store, StoreError};

/// The keys with which names are made are sealed for this.
pub(crate) const NAMES: &str = "pseudonym";

/// The keys of subjects are sealed for this.
pub(crate) const SUBJECT: &str = "subject";

/// A longer value is refused, in bytes. No address or number is that long.
pub const LONGEST_VALUE: usize = 4_096;

/// A longer tenant, purpose, token, kind or subject is refused, in bytes.
pub const LONGEST_NAME: usize = 256;

/// Where tokens belong: one is good in no other tenant, and for no other purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope<'a> {
    /// Whose data it is.
    pub tenant: &'a str,
    /// What it is used for.
    pub purpose: &'a str,
}

/// What a token is to stand for.
#[derive(Clone, Copy)]
pub struct New<'a> {
    /// What tells it from all others of its scope.
    pub token: &'a str,
    /// What the value is, such as `email`.
    pub kind: &'a str,
    /// Whom it is about; the token itself, where nobody says so.
    pub subject: Option<&'a str>,
    /// What it stands for.
    pub value: &'a str,
}

impl<'a> New<'a> {
    fn subject(&self) -> &'a str {
        self.subject.unwrap_or(self.token)
    }
}

/// For how long and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep<'a> {
    /// After so many microseconds without use it is as if it had never been.
    pub keep_for: i64,
    /// So many a tenant has at most, of all purposes.
    pub most: i64,
    /// Who brings it, if that is to be kept.
    pub source: Option<Source<'a>>,
}

/// Somebody who brings values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source<'a> {
    /// What they are called.
    pub name: &'a str,
    /// So many of what a tenant has are theirs at most.
    pub most: i64,
}

/// How many pseudonyms a tenant has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// All of them.
    pub entries: i64,
    /// Those that the source brought which was asked about.
    pub of_source: i64,
    /// Who brought most, and how many.
    pub largest: Option<(String, i64)>,
}

impl Store {
    /// The key with which names of a tenant's data are made. It is made when it is first asked for, and stays what it is: also
    /// with another master key, and once everything was sealed anew.
    ///
    /// # Errors
    /// If the store cannot be used, or the key does not open. No other one is made in its place then.
    pub async fn naming_key(&self, tenant: &str, change: &Change) -> Result<Zeroizing<[u8; 32]>> {
        check_name("tenant", tenant)?;
        let sealer = self.sealer().await?;
        let mut connection = self.reading().acquire().await?;
        if let Some(vault) = rows::vault(&mut connection, tenant).await? {
            return Ok(crypt::open_names(&sealer, tenant, &vault.sealed)?);
        }
        drop(connection);
        // Nobody remembers that there was none.
        let sealed = self.write_noted(async |connection| Ok(ensure(connection, &sealer, tenant, change).await?.sealed));
        Ok(crypt::open_names(&sealer, tenant, &sealed.await?)?)
    }

    /// Keeps what these tokens stand for, all of them or none; how many were not there. One that is there stays as it is, and is
    /// kept for longer. It is on disk by then, so a token may be shown.
    ///
    /// # Errors
    /// If there would be too many, if something is too long or no name, or if it cannot be sealed or written.
    pub async fn put_pseudonyms(
        &self,
        scope: Scope<'_>,
        new: &[New<'_>],
        keep: Keep<'_>,
        change: &Change,
    ) -> Result<usize> {
        let new = checked(scope, new)?;
        keep.source.map_or(Ok(()), |source| check_name("source", source.name))?;
        if new.is_empty() {
            return Ok(0);
        }
        // First of all: while nothing opens, nothing is said to be kept either.
        let sealer = self.sealer().await?;
        let until = Until::new(change.at, keep.keep_for);
        let tokens: Vec<_> = new.iter().map(|new| new.token).collect();
        let mut connection = self.reading().acquire().await?;
        let held = rows::live(&mut connection, scope, &tokens, change.at).await?;
        drop(connection);
        if tokens.iter().all(|token| held.get(*token).is_some_and(|expires_at| until.is_near(*expires_at))) {
            return Ok(0);
        }
        // Nobody remembers these rows.
        self.write_noted(async |connection| {
            let held = rows::live(connection, scope, &tokens, change.at).await?;
            let known: Vec<_> = tokens.iter().copied().filter(|token| held.contains_key(*token)).collect();
            rows::touch(connection, scope, &known, until).await?;
            let fresh: Vec<_> = new.iter().copied().filter(|new| !held.contains_key(new.token)).collect();
            if !fresh.is_empty() {
                add(connection, &sealer, Fresh { scope, new: &fresh, until, source: keep.source }, keep.most, change)
                    .await?;
            }
            Ok(fresh.len())
        })
        .await
    }

    /// What these tokens stand for, in their order. None for one that is of another scope, expired, erased, or never was: which of
    /// them nobody can tell.
    ///
    /// # Errors
    /// If the store cannot be used, or something does not open. Then nothing is revealed.
    pub async fn reveal(&self, scope: Scope<'_>, tokens: &[&str], now: i64) -> Result<Vec<Option<Zeroizing<String>>>> {
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        let sealer = self.sealer().await?;
        let mut connection = self.reading().acquire().await?;
        let mut found = rows::values(&mut connection, scope, tokens, now).await?;
        drop(connection);
        let values = crypt::open_values(&sealer, scope, &mut found)?;
        Ok(tokens.iter().map(|token| values.get(*token).cloned()).collect())
    }

    /// How many pseudonyms a tenant has, and who brought them.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn pseudonyms_filled(&self, tenant: &str, source: &str) -> Result<Filled> {
        let mut connection = self.reading().acquire().await?;
        rows::filled(&mut connection, tenant, source).await
    }

    /// Removes what has expired, some at a time, so that whoever writes meanwhile does not wait for long; how much that was.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub async fn sweep_pseudonyms(&self, now: i64) -> Result<usize> {
        let mut swept = 0;
        while rows::has_expired(self.reading(), now).await? {
            swept += self.write_unmarked(async |connection| rows::sweep(connection, now).await).await?;
        }
        Ok(swept)
    }
}

/// What is to be kept, each token once, if all of it may be.
fn checked<'a>(scope: Scope<'_>, new: &[New<'a>]) -> Result<Vec<New<'a>>> {
    check_name("tenant", scope.tenant)?;
    check_name("purpose", scope.purpose)?;
    let mut seen = HashSet::new();
    for new in new {
        check_name("token", new.token)?;
        check_name("kind", new.kind)?;
        check_name("subject", new.subject())?;
        if new.value.len() > LONGEST_VALUE {
            return Err(StoreError::State(format!("a value is longer than {LONGEST_VALUE} bytes")));
        }
    }
    Ok(new.iter().copied().filter(|new| seen.insert(new.token)).collect())
}

/// A line break would make two texts of what says whose something is, and so would one read like another.
fn check_name(what: &str, name: &str) -> Result<()> {
    if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
        let why = format!("a {what} has to have from one to {LONGEST_NAME} bytes, and no control characters");
        return Err(StoreError::State(why));
    }
    Ok(())
}

/// Adds what is not there, with a new key for each subject that has none.
async fn add(
    connection: &mut SqliteConnection,
    sealer: &Sealer,
    fresh: Fresh<'_>,
    most: i64,
    change: &Change,
) -> Result<()> {
    let Scope { tenant, purpose } = fresh.scope;
    let vault = ensure(connection, sealer, tenant, change).await?;
    let mut removed = rows::forget_expired(connection, &fresh).await?;
    let keys = rows::subject_keys(connection, sealer, &fresh, &mut removed).await?;
    let added = fresh.new.len() as i64;
    let entries = vault.entries - removed + added;
    if entries > most {
        return Err(StoreError::Full { most });
    }
    if let Some(source) = fresh.source
        && rows::of_source(connection, tenant, source.name).await? + added > source.most
    {
        return Err(StoreError::SourceFull { by: source.name.to_owned(), most: source.most });
    }
    rows::insert(connection, &fresh, &keys).await?;
    rows::count(connection, tenant, added - removed).await?;
    note(connection, change, "pseudonym.kept", json!({"tenant": tenant, "purpose": purpose, "count": added})).await
}

/// The vault of a tenant, which is made if there is none.
async fn ensure(
    connection: &mut SqliteConnection,
    sealer: &Sealer,
    tenant: &str,
    change: &Change,
) -> Result<rows::Vault> {
    if let Some(vault) = rows::vault(connection, tenant).await? {
        return Ok(vault);
    }
    let sealed = crypt::make_names(sealer, tenant)?;
    rows::insert_vault(connection, tenant, &sealed, change.at).await?;
    note(connection, change, "pseudonym.key_created", json!({"tenant": tenant})).await?;
    Ok(rows::Vault { sealed, entries: 0 })
}
