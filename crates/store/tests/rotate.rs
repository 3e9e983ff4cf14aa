//! A new master key, and what is left of it when that is broken off.
//!
//! The other process is this test program again, running only `child`.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bartizan_store::{Change, MasterKey, Store};
use zeroize::Zeroizing;

const PLACE: &str = "STORE_TEST_PLACE";
const LIMIT: &str = "STORE_TEST_LIMIT";

fn change() -> Change {
    Change { by: "uid:7".to_owned(), at: 5 }
}

fn key_of(path: &Path) -> PathBuf {
    path.with_extension("key")
}

/// A store with something sealed.
async fn sealed(directory: &Path) -> (PathBuf, Vec<u8>) {
    let path = directory.join("state.db");
    let store = Store::open(&path).await.unwrap();
    let content = store.sealer().await.unwrap().seal("token", "ann", b"secret").unwrap();
    store.close().await;
    (path, content)
}

async fn opens(path: &Path, content: &[u8]) -> Result<(), String> {
    let store = Store::open(path).await.unwrap();
    let sealer = store.sealer().await.map_err(|error| error.to_string())?;
    let plain = sealer.unseal("token", "ann", content).map_err(|error| error.to_string())?;
    store.close().await;
    assert_eq!(*plain, b"secret");
    Ok(())
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(key_of(path)).unwrap().lines().count()
}

/// All files of the store, as they are at a moment at which nobody has it open.
fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[tokio::test]
async fn a_new_master_key_opens_what_was_sealed_and_the_old_one_does_not() {
    for reseal in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let (path, content) = sealed(directory.path()).await;
        let before = fs::read(key_of(&path)).unwrap();
        let store = Store::open(&path).await.unwrap();
        // Somebody who has the store open goes on, and what is sealed from then on opens for everybody.
        let running = Store::open(&path).await.unwrap();
        running.sealer().await.unwrap();
        let done = store.rotate_master(None, reseal, &change()).await.unwrap();
        assert!(done.old != done.new && done.left.is_none() && done.resealed.is_some() == reseal, "{done:?}");
        assert_eq!(lines(&path), 1);
        let later = running.sealer().await.unwrap();
        assert_eq!(*later.unseal("token", "ann", &content).unwrap(), b"secret");
        let sealed_later = later.seal("token", "ann", b"secret").unwrap();
        assert_eq!(sealed_later[1..9] == content[1..9], !reseal, "new data keys seal from now on");
        for content in [&content, &sealed_later] {
            assert_eq!(opens(&path, content).await, Ok(()));
        }
        let mut said = Vec::new();
        let record = async |events: &[bartizan_store::Event]| {
            said.extend(events.iter().map(|event| (event.kind.clone(), event.fields["new"].clone())));
            Ok::<_, ()>(())
        };
        store.record_events(record).await.unwrap().unwrap();
        assert_eq!(said, [("store.master_key_rotated".to_owned(), done.new.as_str().into())]);
        // The old file in its place again: said with both names, and nothing is changed.
        let new = fs::read(key_of(&path)).unwrap();
        fs::write(key_of(&path), &before).unwrap();
        let error = opens(&path, &content).await.unwrap_err();
        assert!(error.contains(&done.old) && error.contains(&done.new), "{error}");
        let error = store.rotate_master(None, reseal, &change()).await.unwrap_err().to_string();
        assert!(error.contains("sealed with"), "{error}");
        assert_eq!(fs::read(key_of(&path)).unwrap(), before);
        fs::write(key_of(&path), new).unwrap();
        assert_eq!(opens(&path, &content).await, Ok(()));
    }
}

#[tokio::test]
async fn whatever_of_the_two_was_written_the_store_opens_if_the_file_holds_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let (path, content) = sealed(directory.path()).await;
    let (before, old) = (files(directory.path()), fs::read(key_of(&path)).unwrap());
    let store = Store::open(&path).await.unwrap();
    store.rotate_master(None, true, &change()).await.unwrap();
    store.close().await;
    let (after, new) = (files(directory.path()), fs::read(key_of(&path)).unwrap());
    let both = [new.clone(), old.clone()].concat();
    for (database, key, good) in [
        (&before, &old, true),
        (&before, &both, true),
        (&before, &new, false),
        (&after, &both, true),
        (&after, &new, true),
        (&after, &old, false),
    ] {
        for entry in fs::read_dir(directory.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        database.iter().for_each(|(path, content)| fs::write(path, content).unwrap());
        for path in database.iter().map(|(path, _)| path).chain([&key_of(&path)]) {
            fs::write(key_of(path), key).ok();
            fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
        // Half of a file that was being written.
        fs::write(path.with_extension("key.new"), &both[..90]).unwrap();
        assert_eq!(opens(&path, &content).await.is_ok(), good);
        // And the next change of the key leaves one.
        let store = Store::open(&path).await.unwrap();
        assert_eq!(store.rotate_master(None, false, &change()).await.is_ok(), good);
        store.close().await;
        if good {
            assert_eq!((opens(&path, &content).await, lines(&path)), (Ok(()), 1));
            assert!(!path.with_extension("key.new").exists());
        }
    }
}

#[tokio::test]
async fn what_cannot_be_changed_stays_as_it_is() {
    let given = |text: &str| MasterKey::Given(Zeroizing::new(text.to_owned()));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let store = Store::open(&path).await.unwrap();
    let refused = async |store: &Store, to: Option<&MasterKey>| {
        store.rotate_master(to, true, &change()).await.unwrap_err().to_string()
    };
    assert!(refused(&store, None).await.contains("nothing has been sealed"));
    assert!(!key_of(&path).exists());
    store.close().await;
    let (path, content) = sealed(directory.path()).await;
    let store = Store::open(&path).await.unwrap();
    assert!(refused(&store, Some(&given(&"ab".repeat(32)))).await.contains("in a file beside the store"));
    // The new file cannot be written: something is in its place.
    let in_the_way = path.with_extension("key.new");
    fs::create_dir_all(in_the_way.join("x")).unwrap();
    let before = fs::read(key_of(&path)).unwrap();
    assert!(refused(&store, None).await.contains("state.key"));
    assert_eq!((fs::read(key_of(&path)).unwrap(), opens(&path, &content).await), (before, Ok(())));
    fs::remove_dir_all(in_the_way).unwrap();
    fs::rename(key_of(&path), path.with_extension("moved")).unwrap();
    assert!(refused(&store, None).await.contains("not there") && !key_of(&path).exists());
    fs::rename(path.with_extension("moved"), key_of(&path)).unwrap();
    assert!(store.rotate_master(None, true, &change()).await.is_ok());
}

#[tokio::test]
async fn one_that_is_given_gives_way_to_another_that_is_given() {
    let [old, new] = ["ab", "cd"].map(|pair| MasterKey::Given(Zeroizing::new(pair.repeat(32))));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let store = Store::open_with(&path, old.clone()).await.unwrap();
    let content = store.sealer().await.unwrap().seal("token", "ann", b"secret").unwrap();
    for (to, why) in [(None, "has to be as well"), (Some(&old), "already")] {
        let error = store.rotate_master(to, false, &change()).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    store.rotate_master(Some(&new), false, &change()).await.unwrap();
    assert!(!key_of(&path).exists());
    for (key, good) in [(new, true), (old, false)] {
        let store = Store::open_with(&path, key).await.unwrap();
        let sealer = store.sealer().await;
        assert_eq!(sealer.is_ok_and(|sealer| sealer.unseal("token", "ann", &content).is_ok()), good);
    }
}

/// Changes the key again and again, or once if there is a limit to what it can write, and says so.
#[tokio::test]
#[ignore = "this is the other process of the tests in this file"]
async fn child() {
    let Some(place) = env::var_os(PLACE) else { return };
    let store = Store::open(place.as_ref()).await.unwrap();
    let say = |what: &str| std::io::stdout().write_all(format!("\nchild: {what}\n").as_bytes()).unwrap();
    if let Ok(limit) = env::var(LIMIT) {
        // A write beyond it fails then, as it does on a full disk.
        let _caught = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(25)).unwrap();
        let limit = rustix::process::Rlimit { current: Some(limit.parse().unwrap()), maximum: None };
        rustix::process::setrlimit(rustix::process::Resource::Fsize, limit).unwrap();
        let done = store.rotate_master(None, true, &change()).await;
        say(match &done {
            Ok(done) if done.left.is_none() => "done",
            Ok(_) => "left",
            Err(_) => "failed",
        });
        return;
    }
    for number in 0.. {
        store.rotate_master(None, number % 2 == 0, &change()).await.unwrap();
        say("done");
    }
}

fn spawn(place: &Path, limit: Option<u64>) -> std::process::Child {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", "child", "--ignored", "--nocapture"]).env(PLACE, place);
    if let Some(limit) = limit {
        child.env(LIMIT, limit.to_string());
    }
    child.stdout(Stdio::piped()).spawn().unwrap()
}

#[tokio::test]
async fn a_kill_at_any_moment_leaves_a_store_that_opens() {
    let rounds = if env::var_os("BARTIZAN_TEST_LONG").is_some() { 600 } else { 24 };
    let directory = tempfile::tempdir().unwrap();
    let (path, content) = sealed(directory.path()).await;
    for round in 0..rounds {
        let mut child = spawn(&path, None);
        let mut lines_of = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        // It is at work now. A change takes some ten milliseconds, and the kill comes at another of its steps each time.
        lines_of.find(|line| line == "child: done").unwrap();
        std::thread::sleep(Duration::from_micros(round % 12 * 1_700));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(opens(&path, &content).await, Ok(()), "round {round}");
    }
}

#[tokio::test]
async fn a_full_disk_at_any_step_leaves_a_store_that_opens() {
    let (mut ends, directory) = (Vec::new(), tempfile::tempdir().unwrap());
    let (path, content) = sealed(directory.path()).await;
    for limit in [0, 50, 100, 180, 4_000, 20_000, 40_000, 60_000, 100_000, 1 << 30] {
        let output = spawn(&path, Some(limit)).wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        ends.push(said.lines().find_map(|line| line.strip_prefix("child: ")).unwrap().to_owned());
        assert_eq!(opens(&path, &content).await, Ok(()), "{limit}: {ends:?}");
    }
    assert_eq!((&*ends[0], &*ends[1], &*ends[9]), ("failed", "failed", "done"), "{ends:?}");
}
