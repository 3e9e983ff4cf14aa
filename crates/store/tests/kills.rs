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
use bartizan_store::approvals::{By, Most, Part, Request, State};
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

fn spawn(place: &Path, first: u32, what: &str) -> Child {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", what, "--ignored", "--nocapture"]).env(PLACE, place).env(FIRST, first.to_string());
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
        let mut child = spawn(&place, round * 1_000, "child");
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
        // A reader can make good what the killed one left; else the next writer does.
        if round % 2 == 1 {
            store.settle();
            assert!(store.revision().is_some(), "after round {round}");
        }
        look(&store, &mut seen).await;
        store.add_api_key(&key(round * 1_000 + 999), &change()).await.unwrap();
        assert!(store.revision().is_some());
        look(&store, &mut seen).await;
    }
    assert!(seen.len() > 20, "{}", seen.len());
}

fn request(id: u32) -> Request {
    Request {
        id: id.to_string(),
        digest: [7; 32],
        principal: "ann".to_owned(),
        server: "bank".to_owned(),
        what: "tool pay".to_owned(),
        asks: serde_json::json!({}),
        sealed: vec![1],
        needs_yes: true,
        needs_proof: false,
        four_eyes: false,
        created_at: 1,
        expires_at: 1_000_000,
    }
}

/// Spends what was approved, and says of each whether it was it, until it is killed. Another one does the same.
#[tokio::test]
#[ignore = "this is the other process of the test in this file"]
async fn spender() {
    let (Some(place), Ok(first)) = (env::var_os(PLACE), env::var(FIRST)) else { return };
    let store = Store::open(place.as_ref()).await.unwrap();
    let first: u32 = first.parse().unwrap();
    // Those of this round and no others: of them each is there.
    for id in (first..first + 20).cycle() {
        let spent = store.spend_approval(&id.to_string(), &digest(id), 10).await.unwrap();
        let what = if spent { "spent" } else { "tried" };
        std::io::stdout().write_all(format!("\nchild: {what} {id}\n").as_bytes()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_approved_is_spent_once_whoever_is_killed() {
    let rounds = if env::var_os("BARTIZAN_TEST_LONG").is_some() { 200 } else { 8 };
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("state.db");
    let store = Store::open(&place).await.unwrap();
    let (mut told, mut lost) = (0, 0);
    for round in 0..rounds {
        let ids = round * 1_000..round * 1_000 + 20;
        let change = Change { by: "bea".to_owned(), at: 5 };
        for id in ids.clone() {
            store
                .ask_approval(&Request { digest: digest(id), ..request(id) }, Most { each: 99, all: 99 })
                .await
                .unwrap();
            store.grant_approval(&id.to_string(), Part::Yes, "", 1_000_000, By::Operator(&change)).await.unwrap();
        }
        let spenders = [spawn_spender(&place, &ids), spawn_spender(&place, &ids)];
        let killed = spenders.map(|mut child| {
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
            // Neither dies before it has tried a few, so that the kill comes in the middle of it.
            let is_step = |line: &String| line.starts_with("child: ");
            let mut said: Vec<_> = lines.by_ref().filter(is_step).take(1 + (round % 4) as usize).collect();
            child.kill().unwrap();
            child.wait().unwrap();
            said.extend(lines);
            said.retain(|line| line.starts_with("child: spent "));
            said
        });
        let said: Vec<_> = killed.into_iter().flatten().collect();
        let unique: std::collections::HashSet<_> = said.iter().collect();
        assert_eq!(unique.len(), said.len(), "one was spent twice: {said:?}");
        for id in ids {
            let was_said = said.contains(&format!("child: spent {id}"));
            let is_used = store.approval(&id.to_string()).await.unwrap().state(10) == State::Used;
            assert!(is_used || !was_said, "{id} passed and is still good");
            // Whatever was not said to be spent is spent by us, unless somebody died over it.
            let again = store.spend_approval(&id.to_string(), &digest(id), 10).await.unwrap();
            assert_eq!(again, !is_used, "{id}");
            (told, lost) = (told + usize::from(was_said), lost + usize::from(is_used && !was_said));
        }
    }
    assert!(told > 0, "nothing was spent at all");
    assert!(lost <= 2 * rounds as usize, "{lost} were lost with {rounds} pairs of spenders");
}

fn digest(id: u32) -> [u8; 32] {
    let mut digest = [0; 32];
    digest[..4].copy_from_slice(&id.to_be_bytes());
    digest
}

fn spawn_spender(place: &Path, ids: &std::ops::Range<u32>) -> Child {
    spawn(place, ids.start, "spender")
}
