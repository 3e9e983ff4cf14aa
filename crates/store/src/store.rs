//! The database: opening it, bringing its schema up to date, and writing to it so that readers notice.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use crate::look::Look;
use crate::place::Place;
use crate::revision::{Marks, Revision, Writing};
use crate::seal::{Held, MasterKey, Whose};
use crate::{Result, StoreError};

/// The schema, step by step; the number of steps taken is the database's `user_version`.
const STEPS: [&str; 12] = [
    include_str!("schema/001_api_key.sql"),
    include_str!("schema/002_event.sql"),
    include_str!("schema/003_data_key.sql"),
    include_str!("schema/004_approval.sql"),
    include_str!("schema/005_person.sql"),
    include_str!("schema/006_grant.sql"),
    include_str!("schema/007_upstream_token.sql"),
    include_str!("schema/008_policy_version.sql"),
    include_str!("schema/009_generation.sql"),
    include_str!("schema/010_id.sql"),
    include_str!("schema/011_pseudonym.sql"),
    include_str!("schema/012_pseudonym_source.sql"),
];

/// How long a statement waits for another process that writes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Durable state. A clone is the same store.
#[derive(Debug, Clone)]
pub struct Store {
    pool: SqlitePool,
    /// What it is called, whatever its path.
    id: Arc<str>,
    look: Arc<Look>,
    master: MasterKey,
    held: Arc<Held>,
    /// Whether something is to be recorded that left no mark.
    noted: Arc<AtomicBool>,
}

impl Store {
    /// Opens the store at `path`, which is made if it is not there; it and its directory are for their owner only. Its
    /// master key is in a file beside it.
    ///
    /// # Errors
    /// If it cannot be made or opened, if others may use it, or if a later version wrote it.
    pub async fn open(path: &Path) -> Result<Store> {
        Store::open_with(path, MasterKey::Beside).await
    }

    /// The same for a store whose master key comes from there. It is looked for when something is sealed or opened.
    ///
    /// # Errors
    /// As for [`Store::open`].
    pub async fn open_with(path: &Path, master: MasterKey) -> Result<Store> {
        prepare(path)?;
        // Whatever links lead to it: all have to mark the same file.
        let path = &fs::canonicalize(path).map_err(StoreError::file(path))?;
        Box::pin(Store::open_at(path, master)).await.map_err(|error| error.at(path))
    }

    async fn open_at(path: &Path, master: MasterKey) -> Result<Store> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            // What was revoked stays revoked after a loss of power.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(PATIENCE)
            // A database that somebody tampered with must not run functions by its schema.
            .pragma("trusted_schema", "OFF")
            .pragma("secure_delete", "ON");
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        let database = Place::of(path).map_err(StoreError::file(path))?;
        let mut marks = path.as_os_str().to_owned();
        marks.push(".rev");
        let marks = PathBuf::from(marks);
        let opening = marks.clone();
        let opened = tokio::task::spawn_blocking(move || Marks::open(opening)).await.map_err(io::Error::other);
        let marks = opened.and_then(|opened| opened).map_err(busy_or(&marks))?;
        let mut store = Store {
            pool,
            id: Arc::default(),
            look: Arc::new(Look::new(marks, database)),
            master,
            held: Arc::default(),
            noted: Arc::default(),
        };
        store.write_ahead().await?;
        store.bring_up_to_date(path).await?;
        let id: String = sqlx::query_scalar("SELECT id FROM this_store").fetch_one(&store.pool).await?;
        store.id = id.into();
        Ok(store)
    }

    /// The state of the store now: while it stays the same, so does what was read in it. None if that cannot be told, and
    /// then what one remembers is not to be relied upon. It costs one system call, or three where Linux does not tell.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        self.look.revision()
    }

    /// Whether others use another file by now, as this one was removed, moved or replaced.
    #[must_use]
    pub fn is_replaced(&self) -> bool {
        self.look.marks.is_replaced() || !self.look.database.is_there()
    }

    /// Has the state be told again, if all that stands against it is that somebody died while writing.
    pub fn settle(&self) {
        // If that fails it costs time and nothing else.
        self.look.marks.settle().ok();
    }

    /// Ends all connections; what was committed is in the database.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Where it is, whatever links led there.
    pub(crate) fn path(&self) -> &Path {
        self.look.database.path()
    }

    /// What it is called where its master key is.
    pub(crate) fn this(&self) -> Whose<'_> {
        Whose { path: self.path(), id: &self.id }
    }

    /// Where its master key comes from.
    pub(crate) fn master(&self) -> &MasterKey {
        &self.master
    }

    pub(crate) fn held(&self) -> &Held {
        &self.held
    }

    /// For what only reads.
    pub(crate) fn reading(&self) -> &SqlitePool {
        &self.pool
    }

    /// Does `work` in a transaction, which is rolled back if that fails.
    pub(crate) async fn write<T>(&self, work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T>) -> Result<T> {
        // Before the transaction, so that nobody holds one while waiting for the other.
        let _writing = self.begin().await?;
        self.write_unmarked(work).await
    }

    /// The same for what nobody remembers.
    pub(crate) async fn write_unmarked<T>(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T>,
    ) -> Result<T> {
        let mut connection = self.pool.acquire().await?;
        let done = transact(&mut connection, work).await;
        if done.is_err() {
            // A full disk makes SQLite roll back by itself, and the connection does not know of it.
            connection.close_on_drop();
        }
        done.map_err(|error| error.at(self.path()))
    }

    /// The same for what nobody remembers and is to be recorded all the same, by this process.
    pub(crate) async fn write_noted<T>(&self, work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T>) -> Result<T> {
        let done = self.write_unmarked(work).await;
        self.noted.store(true, Ordering::Release);
        done
    }

    /// Whether something was written since this was asked last that left no mark and is to be recorded.
    #[must_use]
    pub fn take_noted(&self) -> bool {
        self.noted.swap(false, Ordering::AcqRel)
    }

    /// Begins to write, once nobody else does: readers know, and other writers wait.
    pub(crate) async fn begin(&self) -> Result<Writing> {
        let look = Arc::clone(&self.look);
        let begun = tokio::task::spawn_blocking(move || look.marks.begin()).await;
        let begun = begun.map_err(io::Error::other).and_then(|begun| begun);
        begun.map_err(busy_or(self.look.marks.path()))
    }

    /// Has changes be written ahead, so that who reads waits for nobody; the file remembers it. One at a time: SQLite does
    /// not wait for another who does the same, it fails.
    async fn write_ahead(&self) -> Result<()> {
        let mode = async || sqlx::query_scalar::<_, String>("PRAGMA journal_mode").fetch_one(&self.pool).await;
        if mode().await? == "wal" {
            return Ok(());
        }
        let _writing = self.begin().await?;
        sqlx::query("PRAGMA journal_mode = WAL").execute(&self.pool).await?;
        Ok(())
    }

    async fn bring_up_to_date(&self, path: &Path) -> Result<()> {
        let known = STEPS.len() as i64;
        let newer = |found| StoreError::Newer { path: path.to_owned(), found, known };
        let taken: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&self.pool).await?;
        if taken > known {
            return Err(newer(taken));
        }
        if taken == known {
            return Ok(());
        }
        self.write(async |connection| {
            // Another process may have been quicker.
            let taken: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
            if taken > known {
                return Err(newer(taken));
            }
            for step in STEPS.iter().skip(usize::try_from(taken).unwrap_or_default()) {
                sqlx::raw_sql(*step).execute(&mut *connection).await?;
            }
            name(connection).await?;
            sqlx::raw_sql(sqlx::AssertSqlSafe(format!("PRAGMA user_version = {known}"))).execute(connection).await?;
            Ok(())
        })
        .await
    }
}

/// Gives the store a name, unless it has one.
async fn name(connection: &mut SqliteConnection) -> Result<()> {
    let named: i64 = sqlx::query_scalar("SELECT count(*) FROM this_store").fetch_one(&mut *connection).await?;
    if named == 0 {
        let mut id = [0; 16];
        aws_lc_rs::rand::fill(&mut id).map_err(|_| crate::Unopened::Failed)?;
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        sqlx::query("INSERT INTO this_store (id) VALUES ($1)").bind(id).execute(connection).await?;
    }
    Ok(())
}

async fn transact<T>(
    connection: &mut SqliteConnection,
    work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T>,
) -> Result<T> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let done = work(&mut transaction).await?;
    transaction.commit().await?;
    Ok(done)
}

/// That somebody else writes for too long, or another error about that file.
fn busy_or(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |error| match error.kind() {
        io::ErrorKind::WouldBlock => StoreError::Busy(path),
        _ => StoreError::File { path, error },
    }
}

/// Makes the file if it is not there, and refuses one that others may use. SQLite gives its other files the same mode.
fn prepare(path: &Path) -> Result<()> {
    if let Some(directory) = path.parent().filter(|directory| !directory.exists()) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        let why = |error: io::Error| {
            io::Error::new(
                error.kind(),
                format!("the directory of the store cannot be made (`path` under [store]): {error}"),
            )
        };
        made.map_err(why).map_err(StoreError::file(directory))?;
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(StoreError::file(path)(error)),
    }
    let meta = fs::metadata(path).map_err(StoreError::file(path))?;
    if meta.mode() & 0o077 != 0 {
        return Err(StoreError::Exposed(path.to_owned()));
    }
    if meta.nlink() > 1 {
        return Err(StoreError::Linked(path.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn what_may_only_be_read_or_cannot_be_made_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        Store::open(&path).await.unwrap().close().await;
        let options = SqliteConnectOptions::new().filename(&path);
        for (is_read_only, expected) in [(true, path.display().to_string()), (false, "no such table".to_owned())] {
            let pool = SqlitePoolOptions::new().connect_with(options.clone().read_only(is_read_only)).await.unwrap();
            let text = if is_read_only { "DELETE FROM this_store" } else { "DELETE FROM nowhere" };
            let error = StoreError::from(sqlx::query(text).execute(&pool).await.unwrap_err()).at(&path);
            assert_eq!(matches!(error, StoreError::Unwritable { .. }), is_read_only, "{error}");
            assert!(error.to_string().contains(&expected), "{error}");
        }
        let error = Store::open(&path.join("own/state.db")).await.unwrap_err().to_string();
        assert!(error.contains("the directory of the store cannot be made (`path` under [store])"), "{error}");
    }

    #[tokio::test]
    async fn all_files_are_for_their_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("own/state.db");
        let store = Store::open(&path).await.unwrap();
        store.write(async |_| Ok(())).await.unwrap();
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        let files: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 2, "{files:?}");
        files.iter().for_each(|file| assert_eq!(mode(file), 0o600, "{}", file.display()));
        store.close().await;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Store::open(&path).await, Err(StoreError::Exposed(_))));
    }

    #[tokio::test]
    async fn what_a_later_version_wrote_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        let store = Store::open(&path).await.unwrap();
        sqlx::raw_sql("PRAGMA user_version = 99").execute(&store.pool).await.unwrap();
        store.close().await;
        let error = Store::open(&path).await.unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
    }

    #[tokio::test]
    async fn what_fails_is_undone_and_what_is_no_database_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        let store = Store::open(&path).await.unwrap();
        let failed: Result<()> = store
            .write(async |connection| {
                sqlx::raw_sql("CREATE TABLE half (a)").execute(connection).await?;
                Err(StoreError::State("no".to_owned()))
            })
            .await;
        assert!(failed.is_err());
        assert!(sqlx::raw_sql("SELECT * FROM half").execute(&store.pool).await.is_err());
        assert!(store.revision().is_some(), "a failure leaves no mark");
        let other = directory.path().join("other.db");
        prepare(&other).unwrap();
        fs::write(&other, "this is a text and no database at all, however long it may be").unwrap();
        assert!(Store::open(&other).await.is_err());
    }

    #[tokio::test]
    async fn a_store_keeps_its_id_wherever_it_is_and_an_older_one_gets_one() {
        let directory = tempfile::tempdir().unwrap();
        let [path, moved, other] = ["state.db", "moved.db", "other.db"].map(|name| directory.path().join(name));
        let id_at = async |path: &Path| {
            let store = Store::open(path).await.unwrap();
            store.close().await;
            store.id.to_string()
        };
        let first = id_at(&path).await;
        assert!(first.len() == 32 && first.bytes().all(|byte| byte.is_ascii_hexdigit()), "{first}");
        assert_eq!(id_at(&path).await, first);
        assert_ne!(id_at(&other).await, first);
        fs::rename(&path, &moved).unwrap();
        let store = Store::open(&moved).await.unwrap();
        assert_eq!(*store.id, *first);
        // As a version left it that had neither ids nor what came after them.
        let before = "DROP TABLE pseudonym; DROP TABLE vault_source; DROP TABLE subject; DROP TABLE vault; DROP TABLE this_store; PRAGMA user_version = 9";
        sqlx::raw_sql(before).execute(&store.pool).await.unwrap();
        store.close().await;
        let again = id_at(&moved).await;
        assert!(again.len() == 32 && again != first);
        assert_eq!(id_at(&moved).await, again);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_may_open_it_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        let all: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                tokio::spawn(async move { Store::open(&path).await.map(|store| store.revision().is_some()) })
            })
            .collect();
        for one in all {
            one.await.unwrap().unwrap();
        }
    }
}
