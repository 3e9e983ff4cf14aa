//! What it costs to keep what pseudonyms stand for and to reveal it, beside plain rows of the same size.
//!
//! `cargo run --release -p bartizan-store --example vault`, and with a number behind `--` that many are there before.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for the one who runs it")]

use std::time::{Duration, Instant};

use bartizan_store::pseudonyms::{Keep, New, Scope};
use bartizan_store::{Change, Store};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqliteSynchronous};
use sqlx::{Connection, QueryBuilder, Sqlite};

const SCOPE: Scope<'static> = Scope { tenant: "acme", purpose: "support" };
const KEEP: Keep<'static> = Keep { keep_for: 1_000_000_000, most: i64::MAX, source: None };
const MANY: usize = 1_000;
const ROUNDS: usize = 15;

fn change(at: usize) -> Change {
    Change { by: "uid:7".to_owned(), at: at as i64 }
}

fn tokens(round: usize) -> Vec<String> {
    // Spread as digests are, since neighbours are written more quickly.
    let spread = |number: u64| format!("{:020x}", u128::from(number.wrapping_mul(0x9E37_79B9_7F4A_7C15)) << 16);
    (0..MANY).map(|at| spread((round * MANY + at) as u64 + 1)).collect()
}

fn all(tokens: &[String]) -> Vec<New<'_>> {
    let value = "somebody.with.a.name@mail.example";
    tokens.iter().map(|token| New { token, kind: "email", subject: None, value }).collect()
}

async fn timed(what: impl Future<Output = ()>) -> Duration {
    let begun = Instant::now();
    what.await;
    begun.elapsed()
}

/// Rows with as many bytes as a value and a key take, in a table without anything else.
async fn put_plain(pool: &SqlitePool, tokens: &[String]) {
    let mut connection = pool.acquire().await.unwrap();
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
    for tokens in tokens.chunks(256) {
        let mut query = QueryBuilder::<Sqlite>::new("INSERT INTO plain (token, value) ");
        query.push_values(tokens, |mut row, token| {
            row.push_bind(token).push_bind(vec![7_u8; 140]);
        });
        query.build().persistent(false).execute(&mut *transaction).await.unwrap();
    }
    transaction.commit().await.unwrap();
}

async fn plain(directory: &std::path::Path) -> SqlitePool {
    let options = SqliteConnectOptions::new().filename(directory.join("plain.db")).create_if_missing(true);
    let options = options.synchronous(SqliteSynchronous::Full).pragma("journal_mode", "WAL");
    let pool = SqlitePool::connect_with(options).await.unwrap();
    let create = "CREATE TABLE plain (token TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID";
    sqlx::query(create).execute(&pool).await.unwrap();
    pool
}

#[tokio::main]
async fn main() {
    let before: usize = std::env::args().nth(1).map_or(0, |number| number.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("state.db")).await.unwrap();
    let pool = plain(directory.path()).await;
    for round in 0..before / MANY {
        let tokens = tokens(1_000 + round);
        store.put_pseudonyms(SCOPE, &all(&tokens), KEEP, &change(round)).await.unwrap();
        put_plain(&pool, &tokens).await;
    }
    let mut least = [Duration::MAX; 9];
    let mut keep = |at: usize, took: Duration| {
        if let Some(least) = least.get_mut(at) {
            *least = (*least).min(took);
        }
    };
    for round in 0..ROUNDS {
        let tokens = tokens(round);
        let new = all(&tokens);
        let put = async || _ = store.put_pseudonyms(SCOPE, &new, KEEP, &change(before + round)).await.unwrap();
        keep(0, timed(put()).await);
        keep(1, timed(put_plain(&pool, &tokens)).await);
        keep(2, timed(put()).await);
        let names: Vec<_> = tokens.iter().map(String::as_str).collect();
        let reveal = async |names: &[&str]| {
            let values = store.reveal(SCOPE, names, before as i64 + 100).await.unwrap();
            assert!(values.iter().all(Option::is_some));
        };
        keep(3, timed(reveal(&names)).await);
        for name in &names {
            keep(4, timed(reveal(&[*name])).await);
            let select = sqlx::query("SELECT value FROM plain WHERE token = $1").bind(*name);
            keep(5, timed(async { _ = select.fetch_one(&pool).await.unwrap() }).await);
        }
    }
    // As few as a message names.
    for few in tokens(500).chunks(5) {
        let new = all(few);
        let put = async || _ = store.put_pseudonyms(SCOPE, &new, KEEP, &change(before + ROUNDS)).await.unwrap();
        keep(7, timed(put()).await);
        keep(8, timed(put_plain(&pool, few)).await);
    }
    if before > 0 {
        keep(6, timed(async { _ = store.rotate_master(None, true, &change(before)).await.unwrap() }).await);
    }
    let [put, put_plain, again, reveal_all, reveal, select, reseal, few, few_plain] = least;
    println!("{before} before; the least of {ROUNDS} rounds of {MANY}, in one transaction each");
    println!("kept: {put:.2?}; plain rows: {put_plain:.2?}; kept already: {again:.2?}");
    println!("five kept: {few:.2?}; five plain rows: {few_plain:.2?}");
    println!("all revealed: {reveal_all:.2?}; one revealed: {reveal:.2?}; one plain row: {select:.2?}");
    if before > 0 {
        println!("all sealed anew with another master key: {reseal:.2?}");
    }
}
