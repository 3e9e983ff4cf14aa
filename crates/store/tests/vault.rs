//! What pseudonyms stand for: revealed where they belong and nowhere else, and not once it is erased, has expired or was changed.
//!
//! The other process is this test program again, running only `child`.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bartizan_store::pseudonyms::{Keep, LONGEST_VALUE, New, Reading, Scope, Source};
use bartizan_store::{Change, Store, StoreError};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

const PLACE: &str = "STORE_TEST_PLACE";
const SUPPORT: Scope<'static> = Scope { tenant: "acme", purpose: "support" };
const BILLING: Scope<'static> = Scope { tenant: "acme", purpose: "billing" };
const OTHER: Scope<'static> = Scope { tenant: "other", purpose: "support" };
const HOUR: i64 = 3_600_000_000;
const KEEP: Keep<'static> = Keep { keep_for: HOUR, most: 10_000, source: None };

fn change(at: i64) -> Change {
    Change { by: "uid:7".to_owned(), at }
}

fn new<'a>(token: &'a str, value: &'a str) -> New<'a> {
    New { token, kind: "email", subject: None, value }
}

fn about<'a>(subject: &'a str, token: &'a str, value: &'a str) -> New<'a> {
    New { subject: Some(subject), ..new(token, value) }
}

async fn store(directory: &Path) -> Store {
    Store::open(&directory.join("state.db")).await.unwrap()
}

async fn put(store: &Store, scope: Scope<'_>, new: &[New<'_>], at: i64) -> usize {
    store.put_pseudonyms(scope, new, KEEP, &change(at)).await.unwrap()
}

/// What the tokens stand for, with `-` for nothing.
async fn revealed(store: &Store, scope: Scope<'_>, tokens: &[&str], now: i64) -> Vec<String> {
    let values = store.reveal(scope, tokens, now).await.unwrap();
    values.into_iter().map(|value| value.map_or("-".to_owned(), |value| value.to_string())).collect()
}

/// The database as somebody who tampers with it has it.
async fn database(directory: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(directory.join("state.db"));
    SqliteConnection::connect_with(&options.foreign_keys(false)).await.unwrap()
}

async fn do_sql(directory: &Path, text: &str) {
    let mut connection = database(directory).await;
    let text = sqlx::AssertSqlSafe(text.to_owned());
    assert!(sqlx::query(text).execute(&mut connection).await.unwrap().rows_affected() > 0);
    connection.close().await.unwrap();
}

/// The bytes of all files of the store.
fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

async fn events(store: &Store) -> Vec<(String, String)> {
    let mut said = Vec::new();
    let record = async |events: &[bartizan_store::Event]| {
        said.extend(events.iter().map(|event| (event.kind.clone(), event.fields.to_string())));
        Ok::<_, ()>(())
    };
    store.record_events(record).await.unwrap().unwrap();
    said
}

#[tokio::test]
async fn values_come_back_where_they_belong_and_nowhere_else() {
    let directory = tempfile::tempdir().unwrap();
    let place = store(directory.path()).await;
    let all =
        [new("a", "ann@example.com"), new("b", "bob@example.com"), about("ann", "c", "+49 30 1"), new("a", "twice")];
    assert_eq!(put(&place, SUPPORT, &all, 10).await, 3);
    assert_eq!(put(&place, SUPPORT, &all, 11).await, 0, "they are there");
    // What is there stays as it is, however it is spelled now.
    assert_eq!(put(&place, SUPPORT, &[new("a", "Ann@Example.com"), about("ann", "d", "Ann")], 12).await, 1);
    assert_eq!(put(&place, BILLING, &[new("a", "of billing")], 12).await, 1);
    place.close().await;
    let place = store(directory.path()).await;
    let found = revealed(&place, SUPPORT, &["c", "x", "a", "d", "b", "a"], 20).await;
    assert_eq!(found, ["+49 30 1", "-", "ann@example.com", "Ann", "bob@example.com", "ann@example.com"]);
    assert_eq!(revealed(&place, BILLING, &["a", "b"], 20).await, ["of billing", "-"]);
    assert_eq!(revealed(&place, OTHER, &["a", "b"], 20).await, ["-", "-"]);
    assert!(revealed(&place, SUPPORT, &[], 20).await.is_empty());
    // Nothing of a value is in what goes into the log.
    let said = events(&place).await;
    assert!(said.iter().all(|(_, fields)| !fields.contains("ann@") && !fields.contains("+49")), "{said:?}");
    let kinds: Vec<_> = said.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["pseudonym.key_created", "pseudonym.kept", "pseudonym.kept", "pseudonym.kept"]);
}

#[tokio::test]
async fn names_and_values_outlive_every_other_key() {
    let directory = tempfile::tempdir().unwrap();
    let place = store(directory.path()).await;
    let [ours, others] = [place.naming_key("acme", &change(1)).await, place.naming_key("other", &change(1)).await];
    let (ours, others) = (ours.unwrap(), others.unwrap());
    assert_ne!(ours, others);
    // More than are sealed anew at a time.
    let tokens: Vec<_> = (0..1_200).map(|number| format!("token{number}")).collect();
    let all: Vec<_> = tokens.iter().map(|token| new(token, token)).collect();
    assert_eq!(put(&place, SUPPORT, &all, 10).await, 1_200);
    for (round, reseal) in [false, true, true].into_iter().enumerate() {
        let at = change(48 * HOUR * (round as i64 + 1));
        let done = place.rotate_master(None, reseal, &at).await.unwrap();
        let resealed = done.resealed.map(|resealed| (resealed.values, resealed.broken));
        assert_eq!(resealed, reseal.then_some((1_202, 0)));
        for place in [&place, &store(directory.path()).await] {
            assert_eq!(place.naming_key("acme", &change(30)).await.unwrap(), ours, "round {round}");
            let some: Vec<_> = tokens.iter().map(String::as_str).collect();
            assert_eq!(revealed(place, SUPPORT, &some, 20).await, tokens, "round {round}");
        }
    }
    assert_eq!(place.naming_key("other", &change(30)).await.unwrap(), others);
}

#[tokio::test]
async fn what_is_erased_is_gone_and_comes_again_under_another_key() {
    let directory = tempfile::tempdir().unwrap();
    let place = store(directory.path()).await;
    put(&place, SUPPORT, &[about("ann", "a", "ann@example.com"), about("ann", "b", "Ann"), new("c", "Bob")], 10).await;
    put(&place, BILLING, &[about("ann", "d", "DE89")], 11).await;
    put(&place, OTHER, &[about("ann", "a", "another Ann")], 11).await;
    let found = place.subject_find("acme", "ann", 12).await.unwrap().unwrap();
    assert_eq!((found.pseudonyms, found.created_at, found.last_used_at, found.expires_at), (3, 10, 11, 11 + HOUR));
    assert!(place.subject_find("acme", "bob", 12).await.unwrap().is_none());
    assert!(place.subject_find("acme", "ann", 12 + HOUR).await.unwrap().is_none());
    let all = place.subject_open("acme", "ann", Reading::Export, &change(12)).await.unwrap();
    let all: Vec<_> = all.iter().map(|held| (&held.pseudonym, held.value.as_str())).collect();
    let all: Vec<_> = all.iter().map(|(of, value)| (&*of.purpose, &*of.token, &*of.kind, *value)).collect();
    let expected = [("billing", "d", "DE89"), ("support", "a", "ann@example.com"), ("support", "b", "Ann")];
    assert_eq!(all, expected.map(|(purpose, token, value)| (purpose, token, "email", value)));
    let (sealed, value) = {
        let mut connection = database(directory.path()).await;
        let select = "SELECT sealed FROM subject WHERE tenant = 'acme' AND id = 'ann'";
        let sealed = sqlx::query_scalar::<_, Vec<u8>>(select).fetch_one(&mut connection).await.unwrap();
        let select = "SELECT hex(value) FROM pseudonym WHERE tenant = 'acme' AND token = 'b'";
        (sealed, sqlx::query_scalar::<_, String>(select).fetch_one(&mut connection).await.unwrap())
    };
    let is_there = || files(directory.path()).iter().any(|(_, bytes)| has(bytes, &sealed));
    assert!(is_there());
    let erased = place.subject_erase("acme", "ann", &change(13)).await.unwrap();
    assert_eq!((erased.pseudonyms, erased.is_overwritten), (3, true));
    assert!(!is_there(), "nothing of the key is in any file");
    assert!(matches!(place.subject_erase("acme", "ann", &change(14)).await, Err(StoreError::Unknown { .. })));
    assert_eq!(revealed(&place, SUPPORT, &["a", "b", "c"], 14).await, ["-", "-", "Bob"]);
    assert_eq!(revealed(&place, OTHER, &["a"], 14).await, ["another Ann"]);
    let last = events(&place).await.pop().unwrap();
    assert_eq!(last.0, "subject.erased");
    assert_eq!(put(&place, SUPPORT, &[about("ann", "a", "ann@example.com")], 15).await, 1);
    assert_eq!(revealed(&place, SUPPORT, &["a", "b"], 16).await, ["ann@example.com", "-"]);
    // A row of before, from a backup, say: the key that is there now does not open it.
    let again = format!(
        "INSERT INTO pseudonym VALUES ('acme', 'support', 'b', 'email', 'ann', x'{value}', 10, 10, {HOUR}, '')"
    );
    do_sql(directory.path(), &again).await;
    assert!(place.reveal(SUPPORT, &["b"], 16).await.is_err());
}

#[tokio::test]
async fn who_reads_or_looks_is_recorded_before_they_have_anything() {
    let directory = tempfile::tempdir().unwrap();
    let place = store(directory.path()).await;
    put(&place, SUPPORT, &[about("ann", "a", "ann@example.com"), new("c", "Bob")], 10).await;
    put(&place, BILLING, &[about("ann", "d", "DE89")], 11).await;
    put(&place, OTHER, &[new("a", "another Ann")], 11).await;
    events(&place).await;
    // Without values nothing is recorded, as nobody learns anything.
    assert_eq!(place.tenants().await.unwrap(), ["acme", "other"]);
    let all = place.subjects("acme", 12).await.unwrap();
    let all: Vec<_> = all.iter().map(|subject| (&*subject.id, subject.pseudonyms)).collect();
    assert_eq!(all, [("ann", 2), ("c", 1)]);
    let held = place.subject_pseudonyms("acme", "ann", 12).await.unwrap();
    let held: Vec<_> = held.iter().map(|held| (&*held.purpose, &*held.token)).collect();
    assert_eq!(held, [("billing", "d"), ("support", "a")]);
    for (tenant, token, subjects) in
        [("acme", "a", &["ann"][..]), ("acme", "d", &["ann"]), ("other", "a", &["a"]), ("other", "d", &[])]
    {
        assert_eq!(place.subjects_of_token(tenant, token, 12).await.unwrap(), subjects, "{tenant} {token}");
        assert!(place.subjects_of_token(tenant, token, 11 + HOUR).await.unwrap().is_empty());
    }
    assert_eq!(place.purposes("acme", 12).await.unwrap(), ["billing", "support"]);
    assert!(place.purposes("acme", 11 + HOUR).await.unwrap().is_empty());
    assert!(place.subjects("acme", 11 + HOUR).await.unwrap().is_empty());
    assert!(events(&place).await.is_empty());
    // Whoever only has the file of the store open notices as well.
    let other = store(directory.path()).await;
    let before = other.revision();
    let found = place.look_up(SUPPORT, &["a", "d", "x"], &change(12)).await.unwrap();
    assert_eq!(found.iter().map(|held| (&*held.token, &*held.subject)).collect::<Vec<_>>(), [("a", "ann")]);
    assert!(place.look_up(SUPPORT, &["x"], &change(12)).await.unwrap().is_empty());
    assert_eq!(place.subject_open("acme", "ann", Reading::Look, &change(13)).await.unwrap().len(), 2);
    assert_eq!(place.subject_open("acme", "ann", Reading::Export, &change(13)).await.unwrap().len(), 2);
    assert!(other.revision() != before && other.revision().is_some());
    for (tenant, subject) in [("other", "ann"), ("acme", "nobody")] {
        let refused = place.subject_open(tenant, subject, Reading::Look, &change(13)).await;
        assert!(matches!(refused, Err(StoreError::Unknown { .. })));
    }
    let looked = |count| format!(r#"{{"by":"uid:7","count":{count},"purpose":"support","tenant":"acme"}}"#);
    let read = r#"{"by":"uid:7","count":2,"subject":"ann","tenant":"acme"}"#.to_owned();
    let expected = [
        ("pseudonym.looked_up", looked(1)),
        ("pseudonym.looked_up", looked(0)),
        ("subject.revealed", read.clone()),
        ("subject.exported", read),
    ];
    // In which order the members stand is nobody's promise.
    let value = |fields: &str| serde_json::from_str::<serde_json::Value>(fields).unwrap();
    let told: Vec<_> = events(&other).await.into_iter().map(|(kind, fields)| (kind, value(&fields))).collect();
    assert_eq!(told, expected.map(|(kind, fields)| (kind.to_owned(), value(&fields))));
}

#[tokio::test]
async fn what_is_not_used_expires_and_what_is_used_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let place = store(directory.path()).await;
    put(&place, SUPPORT, &[about("ann", "a", "1"), about("ann", "b", "2"), new("c", "3")], 0).await;
    // Within a minute nothing is written, and later the end moves.
    assert_eq!(put(&place, SUPPORT, &[new("a", "1")], HOUR / 120).await, 0);
    assert_eq!(place.subject_find("acme", "ann", 1).await.unwrap().unwrap().expires_at, HOUR);
    put(&place, SUPPORT, &[new("a", "1")], HOUR / 2).await;
    assert_eq!(revealed(&place, SUPPORT, &["a", "b", "c"], HOUR - 1).await, ["1", "2", "3"]);
    assert_eq!(revealed(&place, SUPPORT, &["a", "b", "c"], HOUR).await, ["1", "-", "-"]);
    assert_eq!(place.sweep_pseudonyms(HOUR).await.unwrap(), 2);
    assert_eq!(place.sweep_pseudonyms(HOUR).await.unwrap(), 0);
    assert_eq!(
        revealed(&place, SUPPORT, &["a", "b", "c"], 1).await,
        ["1", "-", "-"],
        "they are gone and no clock brings them"
    );
    assert_eq!(place.subject_find("acme", "ann", HOUR).await.unwrap().unwrap().pseudonyms, 1);
    assert!(place.subject_find("acme", "c", 1).await.unwrap().is_none());
    // What expired and was not swept comes again as something new, also beside others of a subject that is there.
    let late = 2 * HOUR;
    assert_eq!(put(&place, SUPPORT, &[about("ann", "a", "anew"), new("d", "4")], late).await, 2);
    assert_eq!(revealed(&place, SUPPORT, &["a", "d"], late + 1).await, ["anew", "4"]);
    put(&place, SUPPORT, &[about("d", "e", "5")], late + HOUR / 2).await;
    assert_eq!(put(&place, SUPPORT, &[new("d", "4 anew")], late + HOUR + 1).await, 1);
    assert_eq!(revealed(&place, SUPPORT, &["d", "e"], late + HOUR + 2).await, ["4 anew", "5"]);
    // The number that is kept is that of the rows.
    let mut connection = database(directory.path()).await;
    let select = "SELECT entries = (SELECT count(*) FROM pseudonym) FROM vault";
    assert!(sqlx::query_scalar::<_, bool>(select).fetch_one(&mut connection).await.unwrap());
}

#[tokio::test]
async fn much_that_expired_is_swept_in_parts() {
    let directory = tempfile::tempdir().unwrap();
    let place = store(directory.path()).await;
    let tokens: Vec<_> = (0..2_500).map(|number| number.to_string()).collect();
    let all: Vec<_> = tokens.iter().map(|token| about(token.get(..1).unwrap(), token, "x")).collect();
    put(&place, SUPPORT, &all, 0).await;
    put(&place, OTHER, &[new("a", "y")], 1).await;
    assert_eq!(place.sweep_pseudonyms(HOUR).await.unwrap(), 2_500);
    assert_eq!(revealed(&place, OTHER, &["a"], HOUR).await, ["y"]);
    let mut connection = database(directory.path()).await;
    let select = "SELECT (SELECT count(*) FROM subject) * 10 + (SELECT sum(entries) FROM vault)";
    assert_eq!(sqlx::query_scalar::<_, i64>(select).fetch_one(&mut connection).await.unwrap(), 11);
}

#[tokio::test]
async fn beyond_what_may_be_nothing_is_kept_and_the_reason_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let place = store(directory.path()).await;
    let keep = Keep { most: 3, ..KEEP };
    let put = async |scope, all: &[New<'_>], at| place.put_pseudonyms(scope, all, keep, &change(at)).await;
    put(SUPPORT, &[new("a", "1"), new("b", "2")], 0).await.unwrap();
    let error = put(BILLING, &[new("c", "3"), new("d", "4")], 1).await.unwrap_err();
    assert!(matches!(error, StoreError::Full { most: 3 }) && error.to_string().contains("there are 3"), "{error}");
    assert_eq!(revealed(&place, BILLING, &["c", "d"], 2).await, ["-", "-"], "all of them or none");
    // What is there may be named again, others have a bound of their own, and room is made by erasing and by time.
    assert_eq!(put(SUPPORT, &[new("a", "1")], 3).await.unwrap(), 0);
    assert_eq!(put(OTHER, &[new("a", "1"), new("b", "2"), new("c", "3")], 3).await.unwrap(), 3);
    assert_eq!(put(BILLING, &[new("c", "3")], 4).await.unwrap(), 1);
    place.subject_erase("acme", "b", &change(5)).await.unwrap();
    assert_eq!(put(BILLING, &[new("d", "4")], 6).await.unwrap(), 1);
    assert!(put(BILLING, &[new("e", "5")], 7).await.is_err());
    place.sweep_pseudonyms(HOUR).await.unwrap();
    assert_eq!(put(BILLING, &[new("e", "5")], HOUR).await.unwrap(), 1);
    let long = "x".repeat(LONGEST_VALUE + 1);
    let name = "x".repeat(257);
    for wrong in
        [new("f", &long), new("", "v"), new("a\nb", "v"), new(&name, "v"), about("", "f", "v"), about("a\0", "f", "v")]
    {
        let error = put(OTHER, &[wrong], 8).await.unwrap_err().to_string();
        assert!(error.contains("bytes") && !error.contains("xxx"), "{error}");
    }
    for scope in [Scope { tenant: "", ..SUPPORT }, Scope { purpose: "a\tb", ..SUPPORT }] {
        assert!(put(scope, &[new("a", "v")], 8).await.is_err());
    }
}

#[tokio::test]
async fn who_brings_much_takes_no_room_from_others() {
    let directory = tempfile::tempdir().unwrap();
    let place = store(directory.path()).await;
    let put = async |name, all: &[New<'_>], at| {
        let keep = Keep { most: 5, source: Some(Source { name, most: 2 }), ..KEEP };
        place.put_pseudonyms(SUPPORT, all, keep, &change(at)).await
    };
    let filled = async |name| {
        let held = place.pseudonyms_filled("acme", name).await.unwrap();
        (held.entries, held.of_source, held.largest)
    };
    assert_eq!(filled("crm").await, (0, 0, None));
    put("crm", &[new("a", "1"), about("ann", "b", "2")], 0).await.unwrap();
    let error = put("crm", &[new("c", "3")], 1).await.unwrap_err();
    assert!(matches!(&error, StoreError::SourceFull { by, most: 2 } if by == "crm"), "{error}");
    assert!(error.to_string().contains("`crm` has brought 2"), "{error}");
    // What is there may be named again by whoever brings it, and is theirs who brought it first.
    assert_eq!(put("crm", &[new("a", "1")], 2).await.unwrap(), 0);
    assert_eq!(put("office", &[new("a", "1"), new("c", "3")], 2).await.unwrap(), 1);
    assert_eq!(filled("crm").await, (3, 2, Some(("crm".to_owned(), 2))));
    assert_eq!(filled("office").await, (3, 1, Some(("crm".to_owned(), 2))));
    // Room is made by erasing, by time, and by what expired and comes again.
    place.subject_erase("acme", "ann", &change(3)).await.unwrap();
    assert_eq!(filled("crm").await.1, 1);
    assert_eq!(put("crm", &[new("d", "4")], 4).await.unwrap(), 1);
    assert_eq!(put("crm", &[new("a", "1")], HOUR + 4).await.unwrap(), 1);
    place.sweep_pseudonyms(3 * HOUR).await.unwrap();
    assert_eq!(filled("crm").await, (0, 0, None));
}

#[tokio::test]
async fn a_row_that_was_changed_or_moved_does_not_open() {
    for (at, what) in [
        "UPDATE pseudonym SET value = zeroblob(length(value)) WHERE token = 'a'",
        "UPDATE pseudonym SET value = x'' WHERE token = 'a'",
        "UPDATE pseudonym SET value = substr(value, 1, length(value) - 1) WHERE token = 'a'",
        "UPDATE pseudonym SET value = (SELECT value FROM pseudonym WHERE token = 'b') WHERE token = 'a'",
        "UPDATE pseudonym SET value = (SELECT value FROM pseudonym WHERE token = 'c') WHERE token = 'a'",
        "UPDATE pseudonym SET subject = 'bob' WHERE token = 'a'",
        "UPDATE subject SET sealed = (SELECT sealed FROM subject WHERE id = 'bob') WHERE id = 'ann'",
        "UPDATE subject SET sealed = (SELECT sealed FROM vault) WHERE id = 'ann'",
        "UPDATE pseudonym SET token = 'b', value = value WHERE token = 'a' AND (SELECT count(*) FROM pseudonym WHERE token = 'b') = 0",
        "UPDATE pseudonym SET tenant = 'other' WHERE token = 'a'",
        "UPDATE pseudonym SET purpose = 'billing' WHERE token = 'a'",
    ]
    .into_iter()
    .enumerate()
    {
        let directory = tempfile::tempdir().unwrap();
        let place = store(directory.path()).await;
        put(&place, SUPPORT, &[about("ann", "a", "ann@example.com"), about("ann", "b", "Ann"), about("bob", "c", "Bob")], 10).await;
        if at == 8 {
            do_sql(directory.path(), "DELETE FROM pseudonym WHERE token = 'b'").await;
        }
        if at == 9 {
            do_sql(directory.path(), "UPDATE subject SET tenant = 'other' WHERE id = 'ann'").await;
        }
        do_sql(directory.path(), what).await;
        let (scope, token) = match at {
            8 => (SUPPORT, "b"),
            9 => (OTHER, "a"),
            10 => (BILLING, "a"),
            _ => (SUPPORT, "a"),
        };
        let error = place.reveal(scope, &["c", token], 11).await.unwrap_err().to_string();
        assert!(!error.contains("ann@") && !error.contains("Ann"), "{what}: {error}");
        let exported = place.subject_open(scope.tenant, if at == 5 { "bob" } else { "ann" }, Reading::Export, &change(12)).await;
        assert!(exported.is_err(), "{what}");
        if at < 8 {
            assert_eq!(revealed(&place, SUPPORT, &["c"], 11).await, ["Bob"], "{what}: the others are as they were");
        }
    }
}

#[tokio::test]
async fn without_the_master_key_the_files_show_nothing_and_nothing_is_kept_or_revealed() {
    let directory = tempfile::tempdir().unwrap();
    let place = store(directory.path()).await;
    let values = ["ann.secretive@example.com", "Annabella Secretive", "+49 30 9876543", "DE89370400440532013000"];
    let tokens = ["ta", "tb", "tc", "td"];
    let all: Vec<_> = tokens.iter().zip(values).map(|(token, value)| new(token, value)).collect();
    put(&place, SUPPORT, &all, 10).await;
    let names = place.naming_key("acme", &change(10)).await.unwrap();
    place.subject_open("acme", "ta", Reading::Look, &change(11)).await.unwrap();
    let read = files(directory.path());
    assert!(read.iter().any(|(path, bytes)| path.to_string_lossy().ends_with("-wal") && has(bytes, b"support")));
    for (path, bytes) in &read {
        for value in values {
            assert!(!has(bytes, value.as_bytes()), "{value} in {}", path.display());
        }
        assert!(!has(bytes, b"secretive") && !has(bytes, b"@example.com") && !has(bytes, names.as_slice()));
    }
    place.close().await;
    let key = directory.path().join("state.key");
    fs::rename(&key, directory.path().join("moved")).unwrap();
    let place = store(directory.path()).await;
    let errors = [
        place.reveal(SUPPORT, &["ta"], 12).await.err(),
        place.reveal(SUPPORT, &["never"], 12).await.err(),
        place.put_pseudonyms(SUPPORT, &all, KEEP, &change(12)).await.err(),
        place.put_pseudonyms(SUPPORT, &[new("e", "x")], KEEP, &change(12)).await.err(),
        place.naming_key("acme", &change(12)).await.err(),
        place.naming_key("third", &change(12)).await.err(),
        place.subject_open("acme", "ta", Reading::Look, &change(12)).await.err(),
    ];
    for error in errors {
        let error = error.unwrap().to_string();
        assert!(error.contains("not there") && !error.contains("secretive"), "{error}");
    }
    assert!(!key.exists());
    // To erase needs no key.
    assert_eq!(place.subject_erase("acme", "ta", &change(13)).await.unwrap().pseudonyms, 1);
    fs::rename(directory.path().join("moved"), &key).unwrap();
    assert_eq!(revealed(&place, SUPPORT, &["ta", "tb"], 14).await, ["-", "Annabella Secretive"]);
    assert_eq!(place.naming_key("acme", &change(14)).await.unwrap(), names);
}

#[tokio::test]
async fn a_naming_key_that_does_not_open_is_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let place = store(directory.path()).await;
    for tenant in ["acme", "other"] {
        place.naming_key(tenant, &change(1)).await.unwrap();
    }
    do_sql(
        directory.path(),
        "UPDATE vault SET sealed = (SELECT sealed FROM vault WHERE tenant = 'other') WHERE tenant = 'acme'",
    )
    .await;
    for _ in 0..2 {
        let error = place.naming_key("acme", &change(2)).await.unwrap_err().to_string();
        assert!(error.contains("changed"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_keep_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let all: Vec<_> = (0..6)
        .map(|worker| {
            let path = path.clone();
            tokio::spawn(async move {
                let place = store(&path).await;
                let key = place.naming_key("acme", &change(1)).await.unwrap();
                for round in 0..20 {
                    let (token, value) = (format!("t{}", round % 7), format!("value {}", round % 7));
                    let own = format!("own {worker}.{round}");
                    put(&place, SUPPORT, &[about("ann", &token, &value), new(&own, &own)], 10).await;
                    assert_eq!(revealed(&place, SUPPORT, &[&token, &own], 11).await, [value, own]);
                }
                key
            })
        })
        .collect();
    let mut keys = Vec::new();
    for one in all {
        keys.push(one.await.unwrap());
    }
    assert!(keys.windows(2).all(|pair| pair[0] == pair[1]), "of many who need it first one makes it");
    let place = store(directory.path()).await;
    assert_eq!(place.subject_find("acme", "ann", 11).await.unwrap().unwrap().pseudonyms, 7);
    let mut connection = database(directory.path()).await;
    let entries: i64 = sqlx::query_scalar("SELECT entries FROM vault").fetch_one(&mut connection).await.unwrap();
    assert_eq!(entries, 7 + 6 * 20);
}

/// Of each number that many tokens, whose subjects are one or each their own.
fn batch(number: u32) -> Vec<(String, String)> {
    (0..20).map(|at| (format!("{number}.{at}"), format!("subject {number}.{}", at % 3))).collect()
}

/// Keeps values, says which, and erases some again, until it is killed.
#[tokio::test]
#[ignore = "this is the other process of the test in this file"]
async fn child() {
    let Some(place) = env::var_os(PLACE) else { return };
    let place = Store::open(place.as_ref()).await.unwrap();
    let first = env::var("STORE_TEST_FIRST").unwrap().parse().unwrap();
    let say = |what: &str, id: u32| std::io::stdout().write_all(format!("\nchild: {what} {id}\n").as_bytes()).unwrap();
    for number in first.. {
        let batch = batch(number);
        let new: Vec<_> = batch.iter().map(|(token, subject)| about(subject, token, token)).collect();
        put(&place, SUPPORT, &new, 10).await;
        say("put", number);
        place.subject_erase("acme", &format!("subject {number}.0"), &change(11)).await.unwrap();
        say("erased", number);
    }
}

#[tokio::test]
async fn what_a_killed_writer_said_is_kept_whole_and_what_it_erased_is_gone() {
    let rounds = if env::var_os("BARTIZAN_TEST_LONG").is_some() { 200 } else { 12 };
    let directory = tempfile::tempdir().unwrap();
    let place = store(directory.path()).await;
    let mut whole = 0;
    for round in 0..rounds {
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", "child", "--ignored", "--nocapture"]).env(PLACE, directory.path().join("state.db"));
        let mut child =
            child.env("STORE_TEST_FIRST", (round * 1_000).to_string()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let is_step = |line: &String| line.starts_with("child: ");
        let mut said: Vec<_> = lines.by_ref().filter(is_step).take(1 + round as usize % 7).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        said.extend(lines.filter(is_step));
        let last = round * 1_000 + said.len() as u32;
        for number in round * 1_000..=last {
            let batch = batch(number);
            let tokens: Vec<_> = batch.iter().map(|(token, _)| token.as_str()).collect();
            let found = revealed(&place, SUPPORT, &tokens, 12).await;
            let count = found.iter().filter(|value| *value != "-").count();
            let [was_put, was_erased] = ["put", "erased"].map(|what| said.contains(&format!("child: {what} {number}")));
            assert!([0, 20, 13].contains(&count), "{number}: a part of it");
            assert!(!was_put || count > 0, "{number}: what was said is there");
            assert!(!was_erased || count == 13, "{number}: what was erased is gone");
            whole += usize::from(count > 0);
        }
    }
    assert!(whole > 0);
    let mut connection = database(directory.path()).await;
    let select = "SELECT entries = (SELECT count(*) FROM pseudonym) FROM vault";
    assert!(sqlx::query_scalar::<_, bool>(select).fetch_one(&mut connection).await.unwrap());
}
