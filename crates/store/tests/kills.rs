//! The store when its writers are killed: what they said is there, and who remembers something is never misled.
//!
//! The other process is this test program again, running only `child`.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::HashMap;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bartizan_store::api_keys::ApiKey;
use bartizan_store::{Change, Store};

const PLACE: &str = "STORE_TEST_PLACE";
const FIRST: &str = "STORE_TEST_FIRST";

fn key(id: u32) -> ApiKey {
    ApiKey {
        id: id.to_string(),
        digest: [7; 32],
        principal: "ann".to_owned(),
        roles: vec![],
        scopes: vec!["mcp".to_owned()],
        note: String::new(),
        created_at: 1,
        expires_at: 1_000_000,
        revoked_at: None,
        last_used_at: None,
        replaces: None,
    }
}

fn change() -> Change {
    Change { by: "uid:7".to_owned(), at: 5 }
}

/// Adds keys and revokes them, each step said once it is done, until it is killed.
#[tokio::test]
#[ignore = "this is the other process of the test in this file"]
async fn child() {
    let (Some(place), Ok(first)) = (env::var_os(PLACE), env::var(FIRST)) else { return };
    let store = Store::open(place.as_ref()).await.unwrap();
    let say = |what: &str, id: u32| std::io::stdout().write_all(format!("\nchild: {what} {id}\n").as_bytes()).unwrap();
    for id in first.parse().unwrap().. {
        store.add_api_key(&key(id), &change()).await.unwrap();
        say("added", id);
        store.revoke_api_key(&id.to_string(), &change()).await.unwrap();
        say("revoked", id);
    }
}

fn spawn(place: &Path, first: u32) -> Child {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", "child", "--ignored", "--nocapture"]).env(PLACE, place).env(FIRST, first.to_string());
    child.stdout(Stdio::piped()).spawn().unwrap()
}

/// What a reader sees at each revision: the ids, and which are revoked.
type Seen = HashMap<String, Vec<(String, bool)>>;

/// Reads as those do that remember what they read, and holds it against what was seen at the same revision before.
async fn look(store: &Store, seen: &mut Seen) {
    let Some(revision) = store.revision() else { return };
    let keys: Vec<_> = store.api_keys().await.unwrap();
    if store.revision() != Some(revision) {
        return;
    }
    let keys: Vec<_> = keys.into_iter().map(|key| (key.id, key.revoked_at.is_some())).collect();
    let before = seen.entry(format!("{revision:?}")).or_insert_with(|| keys.clone());
    assert_eq!(*before, keys, "one revision is one state");
}

#[tokio::test]
async fn what_a_killed_writer_said_is_there_and_no_revision_is_two_states() {
    let rounds = if env::var_os("BARTIZAN_TEST_LONG").is_some() { 500 } else { 20 };
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("state.db");
    let store = Store::open(&place).await.unwrap();
    let mut seen = Seen::new();
    for round in 0..rounds {
        let mut child = spawn(&place, round * 1_000);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut said: HashMap<String, bool> = HashMap::new();
        let mut hear = |line: &str| {
            let (what, id) = line.strip_prefix("child: ")?.split_once(' ')?;
            said.insert(id.to_owned(), what == "revoked");
            Some(())
        };
        // A different number of steps each time, and the kill comes wherever the next one then is.
        for _ in 0..=round % 13 {
            while lines.next().is_some_and(|line| hear(&line).is_none()) {}
            look(&store, &mut seen).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        lines.for_each(|line| _ = hear(&line));
        let kept = store.api_keys().await.unwrap();
        for (id, revoked) in said {
            let held = kept.iter().find(|key| key.id == id);
            assert!(held.is_some_and(|held| held.revoked_at.is_some() || !revoked), "{id} of round {round}");
        }
        look(&store, &mut seen).await;
        // Whatever the killed one left, the next writer makes good.
        store.add_api_key(&key(round * 1_000 + 999), &change()).await.unwrap();
        assert!(store.revision().is_some());
        look(&store, &mut seen).await;
    }
    assert!(seen.len() > 20, "{}", seen.len());
}
