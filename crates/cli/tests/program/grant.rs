//! `bartizan grant`.

use std::path::Path;
use std::time::SystemTime;

use bartizan_store::grants::{Code, NewGrant, Redeemed, Terms};
use bartizan_store::people::{Given, Person};
use bartizan_store::{Change, Store};
use serde_json::Value;

use crate::support::{End, bartizan_at};

const HOUR: i64 = 3_600_000_000;
const APP: &str = "https://app.example/c";
const OTHER: &str = "https://other.example/c";

fn grant(home: &Path, arguments: &[&str]) -> End {
    let store = home.join("state.db").display().to_string();
    bartizan_at(home, &[&["grant"], arguments, &["--store", &store]].concat())
}

fn json(home: &Path, arguments: &[&str]) -> Value {
    grant(home, &[arguments, &["--json"]].concat()).status(0).json()
}

/// Each that is listed, and how it stands.
fn states(home: &Path, arguments: &[&str]) -> Vec<(String, String)> {
    let of = |grant: &Value, member: &str| grant[member].as_str().unwrap().to_owned();
    let listed = json(home, &[&["list"], arguments].concat());
    listed["grants"].as_array().unwrap().iter().map(|one| (of(one, "id"), of(one, "state"))).collect()
}

fn now() -> i64 {
    i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap()
}

fn with_store<T>(home: &Path, work: impl AsyncFnOnce(Store) -> T) -> T {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { work(Store::open(&home.join("state.db")).await.unwrap()).await })
}

async fn person(store: &Store, name: &str, number: u8) {
    let person = Person { generation: 0, ..Person::new(name, [number; 32], 1) };
    store.add_person(&person, &Given::default(), &Change { by: "uid:7".to_owned(), at: 1 }).await.unwrap();
}

/// Lets a client in, which comes for what it is given.
async fn give(store: &Store, number: u8, (person, client): (&str, &str), at: i64) {
    let change = Change { by: person.to_owned(), at };
    let code = Code {
        digest: [number; 32],
        terms: Terms {
            person: person.to_owned(),
            client: client.to_owned(),
            client_name: "App\u{1b}[31m".to_owned(),
            resource: "https://mcp.example/mcp".to_owned(),
            scopes: vec!["server:a".to_owned()],
            proof_key: None,
            signed_in_at: at,
            methods: vec!["pwd".to_owned()],
        },
        redirect_uri: "http://127.0.0.1:5000/cb".to_owned(),
        registered_uri: "http://127.0.0.1/cb".to_owned(),
        challenge: [9; 32],
        refreshes: true,
        created_at: at,
        expires_at: at + HOUR,
    };
    store.agree(&code, 0, &change).await.unwrap();
    let new = NewGrant { id: format!("g-{number}"), refresh: [number; 32], expires_at: at + HOUR };
    let redeemed = store.redeem_code(&[number; 32], &new, |_| Ok::<_, &str>(()), &change).await.unwrap();
    assert!(matches!(redeemed, Redeemed::Granted(_, true)), "{redeemed:?}");
}

/// What ann and bea let two clients have, and one thing that has expired.
fn given(home: &Path) {
    with_store(home, async |store| {
        person(&store, "ann", 1).await;
        person(&store, "bea", 2).await;
        give(&store, 1, ("ann", APP), now()).await;
        give(&store, 2, ("ann", OTHER), now()).await;
        give(&store, 3, ("bea", APP), now()).await;
        give(&store, 4, ("bea", OTHER), now() - 2 * HOUR).await;
    });
}

/// Who has agreed to what, still.
fn agreed(home: &Path) -> Vec<(&'static str, &'static str)> {
    let all = [("ann", APP), ("ann", OTHER), ("bea", APP), ("bea", OTHER)];
    with_store(home, async |store| {
        let mut left = Vec::new();
        for (person, client) in all {
            let consented = store.consented(person, client, "http://127.0.0.1/cb", "https://mcp.example/mcp").await;
            if !consented.unwrap().is_empty() {
                left.push((person, client));
            }
        }
        left
    })
}

#[test]
fn what_clients_have_is_listed_and_what_is_over_only_with_all() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    assert!(grant(home, &["list"]).status(3).stderr.contains("there is nothing yet"));
    with_store(home, async |store| person(&store, "carl", 9).await);
    assert!(grant(home, &["list"]).status(0).stderr.contains("no client has anything"));
    assert!(grant(home, &["list", "--all"]).status(0).stderr.contains("no client was given anything"));
    given(home);
    let mut open = states(home, &[]);
    open.sort();
    assert_eq!(open, ["g-1", "g-2", "g-3"].map(|id| (id.to_owned(), "good".to_owned())));
    assert_eq!(states(home, &["--all"]).first(), Some(&("g-4".to_owned(), "expired".to_owned())), "the oldest first");
    let shown = grant(home, &["list"]).status(0).stdout;
    for part in ["g-1  ann, until ", ", never refreshed\n", APP, "https://mcp.example/mcp: server:a"] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    assert!(!shown.contains('\u{1b}') && !shown.contains("g-4"), "{shown:?}");
    assert!(grant(home, &["list", "--all"]).status(0).stdout.contains("g-4  bea, expired "));
}

#[test]
fn what_is_revoked_is_that_and_nothing_else() {
    let everything = [("ann", APP), ("ann", OTHER), ("bea", APP), ("bea", OTHER)];
    for (which, ended, left) in [
        (&["g-1"][..], &["g-1"][..], &everything[1..]),
        (&["--person", "ann"], &["g-1", "g-2"], &everything[2..]),
        (&["--client", APP], &["g-1", "g-3"], &[everything[1], everything[3]]),
        (&["--all"], &["g-1", "g-2", "g-3"], &[]),
        // It is over already, so nothing is ended by that.
        (&["g-4"], &[], &everything),
    ] {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        given(home);
        let revoked = json(home, &[&["revoke"], which].concat());
        assert_eq!(revoked["revoked"], serde_json::json!(ended), "{which:?}");
        let open: Vec<_> = states(home, &[]).into_iter().map(|(id, _)| id).collect();
        let expected: Vec<_> = ["g-1", "g-2", "g-3"].into_iter().filter(|id| !ended.contains(id)).collect();
        assert_eq!(open, expected, "{which:?}");
        let over = states(home, &["--all"]).into_iter().filter(|(_, state)| state == "ended").map(|(id, _)| id);
        assert_eq!(over.collect::<Vec<_>>(), ended, "{which:?}");
        // Whoever is to be let in again is asked again.
        assert_eq!(agreed(home), left, "{which:?}");
        let again = grant(home, &[&["revoke"], which].concat()).status(0);
        assert!(again.stdout.is_empty() && again.stderr.contains("there was nothing to end"), "{which:?}: {again:?}");
    }
}

#[test]
fn a_revoked_grant_says_by_whom_and_when() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    given(home);
    assert_eq!(grant(home, &["revoke", "g-2"]).status(0).stdout, "revoked: g-2\n");
    let listed = json(home, &["list", "--all"]);
    let one = listed["grants"].as_array().unwrap().iter().find(|one| one["id"] == "g-2").unwrap();
    assert!(one["ended_by"] == "operator" && one["ended_at"].is_string(), "{one}");
    let shown = grant(home, &["list", "--all"]).status(0).stdout;
    assert!(shown.contains("(operator)"), "{shown}");
}

#[test]
fn what_ends_nothing_is_said() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    assert!(grant(home, &["revoke", "g-1"]).status(3).stderr.contains("there is nothing yet"));
    given(home);
    for (arguments, why) in [
        (&["g-9"][..], "there is no grant `g-9`"),
        (&[], "required"),
        (&["g-1", "--all"], "cannot be used with"),
        (&["--person", "ann", "--client", APP], "cannot be used with"),
    ] {
        let end = grant(home, &[&["revoke"], arguments].concat()).status(2);
        assert!(end.stderr.contains(why) && end.stdout.is_empty(), "{arguments:?}: {end:?}");
    }
    assert_eq!(states(home, &[]).len(), 3, "nothing was ended");
}

#[test]
fn whose_person_is_disabled_is_marked_and_nobody_is_nobody() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    given(home);
    let change = Change { by: "uid:7".to_owned(), at: now() };
    with_store(home, async |store| store.set_person_disabled("ann", true, &change).await.unwrap());
    let shown = grant(home, &["list"]).status(0).stdout;
    assert!(shown.contains("  ann (ann is disabled), until ") && shown.contains("g-3  bea, until "), "{shown}");
    let listed = json(home, &["list"]);
    let marked: Vec<_> =
        listed["grants"].as_array().unwrap().iter().map(|one| (&one["person"], &one["person_disabled"])).collect();
    assert!(marked.iter().all(|(person, marked)| (**person == "ann") == (**marked == true)), "{marked:?}");
    let end = grant(home, &["revoke", "--person", "nobody"]).status(2);
    assert!(end.stderr.contains("there is nobody `nobody`"), "{}", end.stderr);
    grant(home, &["revoke", "--person", "bea"]).status(0);
}
