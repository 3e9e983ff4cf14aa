use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::disk::fault;

fn at() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn tool(name: &str, text: &str) -> Definition {
    let json = format!(r#"{{"description":"{text}","name":"{name}"}}"#);
    let (sha256, body) = (digest(&json), Some(digest(text)));
    Definition { kind: "tool".into(), name: name.into(), sha256, body, labels: None, json }
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mcp.lock");
    (directory, path)
}

fn shown(changes: &[Change]) -> Vec<String> {
    let show = |change: &Change| format!("{} {} {}", change.what.as_str(), change.server, change.name);
    changes.iter().map(show).collect()
}

/// Accepts what waits of a server and of a name, as somebody who has just looked at it.
fn accept(lock: &mut Lock, server: Option<&str>, name: Option<&str>) -> Result<Vec<Change>, LockError> {
    lock.refresh()?;
    let mut seen = lock.diff()?;
    seen.retain(|change| {
        server.is_none_or(|server| server == change.server) && name.is_none_or(|name| name == change.name)
    });
    lock.accept(&seen, at())
}

#[test]
fn what_changed_after_it_was_looked_at_goes_on_waiting() {
    let (_directory, path) = place();
    let mut lock = Lock::open(&path).unwrap();
    lock.set_identity("s", "s").unwrap();
    lock.note_pending("s", &[tool("a", "1"), tool("b", "1")]).unwrap();
    let mut looking = Lock::open(&path).unwrap();
    let seen = looking.diff().unwrap();
    lock.note_pending("s", &[tool("a", "2")]).unwrap();
    assert_eq!(shown(&looking.accept(&seen, at()).unwrap()), ["added s b"]);
    assert_eq!(shown(&looking.diff().unwrap()), ["added s a"]);
}

#[test]
fn what_is_seen_first_is_approved_and_what_changes_waits() {
    let (_guard, path) = place();
    let mut lock = Lock::open(&path).unwrap();
    assert!(lock.pins("files").is_none());
    lock.set_identity("files", "npx server-files /tmp").unwrap();
    lock.record_first_seen("files", &[tool("read", "reads"), tool("write", "writes")], at()).unwrap();
    lock.set_complete("files", "tool").unwrap();

    lock.note_pending("files", &[tool("read", "reads and sends"), tool("copy", "copies")]).unwrap();
    lock.note_gone("files", &[("tool", "write")]).unwrap();
    let changes = Lock::open(&path).unwrap().diff().unwrap();
    assert_eq!(shown(&changes), ["added files copy", "changed files read", "removed files write"]);
    assert!(changes[1].diff().contains("- "), "{}", changes[1].diff());
    assert!(changes[1].diff().contains("+   \"description\": \"reads and sends\""), "{}", changes[1].diff());

    accept(&mut lock, None, Some("read")).unwrap();
    let held = Lock::open(&path).unwrap();
    let pins = held.pins("files").unwrap();
    assert_eq!(pins.definitions[&("tool".into(), "read".into())].sha256, tool("read", "reads and sends").sha256);
    assert_eq!(shown(&held.diff().unwrap()), ["added files copy", "removed files write"]);

    lock.withdraw("files", &[("tool", "write")]).unwrap();
    assert_eq!(shown(&accept(&mut lock, Some("files"), None).unwrap()), ["added files copy"]);
    assert!(!lock.has_pending("files"));
    let names: Vec<_> = lock.pins("files").unwrap().definitions.keys().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["copy", "read", "write"]);
}

#[test]
fn a_server_that_is_forgotten_was_never_seen() {
    let (_guard, path) = place();
    let mut lock = Lock::open(&path).unwrap();
    for server in ["files", "other"] {
        lock.set_identity(server, "npx").unwrap();
        lock.record_first_seen(server, &[tool("read", server), tool("write", "the same")], at()).unwrap();
        lock.set_complete(server, "tool").unwrap();
        lock.note_pending(server, &[tool("read", &format!("{server} changed"))]).unwrap();
    }
    let before = std::fs::read_to_string(&path).unwrap();
    assert_eq!(lock.forget("never").unwrap(), Forgotten::default());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
    assert_eq!(lock.forget("files").unwrap(), Forgotten { approved: 2, waiting: 1 });

    let mut held = Lock::open(&path).unwrap();
    assert!(held.pins("files").is_none() && !held.has_pending("files"));
    assert_eq!(shown(&held.diff().unwrap()), ["changed other read"]);
    assert_eq!(held.check_texts("other").unwrap(), TextCheck::default(), "what another server names stays");
    let text = |tool: Definition| directory(&path).join(file_name(&tool.sha256)).exists();
    assert!(!text(tool("read", "files")) && !text(tool("read", "files changed")) && text(tool("write", "the same")));

    held.record_first_seen("files", &[tool("read", "evil")], at()).unwrap();
    assert_eq!(held.pins("files").unwrap().definitions.len(), 1, "seen first once more");
    assert!(!held.has_pending("files"));
}

/// A tool that is taken to do this with information.
fn labelled(name: &str, words: &[&'static str]) -> Definition {
    Definition { labels: Some(Labels::of(words.iter().copied()).unwrap()), ..tool(name, "does it") }
}

/// What counts of a tool, and what it had been taken for where an operator knew better.
fn labels_of(lock: &Lock, name: &str) -> (Option<Vec<&'static str>>, Option<Vec<&'static str>>) {
    let held = &lock.pins("s").unwrap().definitions[&(TOOL.to_owned(), name.to_owned())];
    let words = |labels: Option<Labels>| labels.map(|labels| labels.words().collect());
    (words(held.labels), words(held.guessed))
}

#[test]
fn labels_count_as_they_were_approved() {
    let (_guard, path) = place();
    let mut lock = Lock::open(&path).unwrap();
    let private = labelled("read", &["private_data", "reads"]);
    lock.record_first_seen("s", std::slice::from_ref(&private), at()).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("version = 2\n") && text.contains(r#", labels = ["private_data", "reads"], first"#),
        "{text}"
    );

    // The same definition, taken for something else: it waits, and what was approved goes on counting.
    let harmless = labelled("read", &["reads"]);
    lock.record_first_seen("s", std::slice::from_ref(&harmless), at()).unwrap();
    assert!(!lock.has_pending("s"));
    lock.note_pending("s", &[harmless]).unwrap();
    let mut lock = Lock::open(&path).unwrap();
    assert_eq!(shown(&lock.diff().unwrap()), ["relabelled s read"]);
    assert_eq!(labels_of(&lock, "read"), (Some(vec!["private_data", "reads"]), None));
    // Taken for what it was approved as once more, nothing waits.
    lock.note_pending("s", &[private]).unwrap();
    assert!(!lock.has_pending("s"));

    lock.note_pending("s", &[labelled("read", &["reads"])]).unwrap();
    let mut other = lock.diff().unwrap();
    other[0].labels = Some(Labels::default());
    assert_eq!(lock.accept(&other, at()).unwrap(), [], "what nobody has looked at is not accepted");
    assert_eq!(shown(&accept(&mut lock, None, None).unwrap()), ["relabelled s read"]);
    assert_eq!(labels_of(&Lock::open(&path).unwrap(), "read"), (Some(vec!["reads"]), None));
    assert!(lock.diff().unwrap().is_empty());
}

#[test]
fn an_operator_knows_labels_better() {
    let (_guard, path) = place();
    let mut lock = Lock::open(&path).unwrap();
    let guess = labelled("read", &["private_data", "reads"]);
    lock.record_first_seen("s", std::slice::from_ref(&guess), at()).unwrap();
    let by = |words: &[&'static str], is_guess, sha256: &str| {
        let (server, name, sha256) = ("s".to_owned(), "read".to_owned(), sha256.to_owned());
        Labelling { server, name, sha256, labels: Labels::of(words.iter().copied()).unwrap(), is_guess }
    };
    assert_eq!(lock.label(&[by(&["destructive"], true, &guess.sha256)]).unwrap(), 0, "a guess replaces nothing");
    assert_eq!(lock.label(&[by(&["reads"], false, &digest("another"))]).unwrap(), 0, "another was looked at");
    assert_eq!(labels_of(&lock, "read"), (Some(vec!["private_data", "reads"]), None));

    assert_eq!(lock.label(&[by(&["reads"], false, &guess.sha256)]).unwrap(), 1);
    assert_eq!(
        labels_of(&Lock::open(&path).unwrap(), "read"),
        (Some(vec!["reads"]), Some(vec!["private_data", "reads"]))
    );
    // It is taken for what it was taken for: there is nothing to decide.
    lock.note_pending("s", std::slice::from_ref(&guess)).unwrap();
    assert!(!lock.has_pending("s"));
    lock.note_pending("s", &[labelled("read", &["destructive"])]).unwrap();
    assert_eq!(shown(&lock.diff().unwrap()), ["relabelled s read"]);
    assert_eq!(lock.label(&[by(&["private_data", "reads"], false, &guess.sha256)]).unwrap(), 1);
    assert_eq!(labels_of(&lock, "read"), (Some(vec!["private_data", "reads"]), None));
}

#[test]
fn a_file_from_before_there_were_labels_is_read_and_labelled_when_somebody_approves() {
    let (_guard, path) = place();
    let old = tool("read", "does it");
    let text = format!(
        "version = 1\n\n[servers.s]\nidentity = \"s\"\ncomplete = [\"tool\"]\n\n[servers.s.definitions.tool]\nread = {{ sha256 = \"{}\", first_seen = \"2026-01-01T00:00:00Z\" }}\n",
        old.sha256
    );
    std::fs::write(&path, &text).unwrap();
    let mut lock = Lock::open(&path).unwrap();
    assert_eq!(labels_of(&lock, "read"), (None, None));
    lock.note_pending("s", &[labelled("read", &["reads"])]).unwrap();
    assert!(!lock.has_pending("s"), "there is nothing that it could differ from");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "nothing was approved, so nothing is written");
    let labels = Labels::of(["reads"]).unwrap();
    let (server, name, sha256) = ("s".to_owned(), "read".to_owned(), old.sha256);
    assert_eq!(lock.label(&[Labelling { server, name, sha256, labels, is_guess: true }]).unwrap(), 1);
    assert_eq!(labels_of(&Lock::open(&path).unwrap(), "read"), (Some(vec!["reads"]), None));

    let wrong = std::fs::read_to_string(&path).unwrap().replace("\"reads\"", "\"harmless\"");
    std::fs::write(&path, wrong).unwrap();
    let error = Lock::open(&path).unwrap_err().to_string();
    assert!(error.contains("`harmless` is no label"), "{error}");
}

#[test]
fn texts_are_held_against_what_is_approved() {
    let (_guard, path) = place();
    let mut lock = Lock::open(&path).unwrap();
    let tools = [tool("copy", "copies"), tool("read", "reads"), tool("write", "writes")];
    lock.record_first_seen("files", &tools, at()).unwrap();
    assert_eq!(lock.check_texts("files").unwrap(), TextCheck::default());
    assert_eq!(lock.check_texts("other").unwrap(), TextCheck::default());
    let text = |tool: &Definition| directory(&path).join(file_name(&tool.sha256));
    std::fs::write(text(&tools[0]), b"\xff").unwrap();
    std::fs::remove_file(text(&tools[1])).unwrap();
    std::fs::write(text(&tools[2]), "{}").unwrap();
    let found = lock.check_texts("files").unwrap();
    assert_eq!((found.missing, found.changed), (vec!["read".into()], vec!["copy".into(), "write".into()]));
}

#[test]
fn a_definition_that_keeps_changing_leaves_one_text_behind() {
    let (_guard, path) = place();
    let mut lock = Lock::open(&path).unwrap();
    lock.record_first_seen("s", &[tool("a", "first")], at()).unwrap();
    for round in 0..20 {
        lock.note_pending("s", &[tool("a", &format!("round {round}"))]).unwrap();
    }
    let texts = std::fs::read_dir(directory(&path)).unwrap().flatten();
    let texts: Vec<_> = texts.map(|entry| entry.file_name()).filter(|name| name.len() > 60).collect();
    assert_eq!(texts.len(), 2, "what is approved and what waits: {texts:?}");
    let [change] = &lock.diff().unwrap()[..] else { panic!() };
    assert!(change.diff().contains("round 19") && change.diff().contains("first"), "{}", change.diff());
}

#[test]
fn a_renamed_definition_is_recognised() {
    let (_guard, path) = place();
    let mut lock = Lock::open(&path).unwrap();
    lock.record_first_seen("s", &[tool("old", "same"), tool("other", "x")], at()).unwrap();
    lock.note_pending("s", &[tool("new", "same")]).unwrap();
    assert_eq!(shown(&lock.diff().unwrap()), ["added s new"], "the old one may still be there");
    lock.note_gone("s", &[("tool", "old")]).unwrap();
    assert_eq!(lock.diff().unwrap()[0].what, What::Renamed("old".into()));
    accept(&mut lock, Some("s"), Some("new")).unwrap();
    let names: Vec<_> = lock.pins("s").unwrap().definitions.keys().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["new", "other"]);
    assert!(!lock.has_pending("s"));
}

#[test]
fn being_seen_never_overwrites_what_is_approved() {
    let (_guard, path) = place();
    let (mut one, mut two) = (Lock::open(&path).unwrap(), Lock::open(&path).unwrap());
    one.record_first_seen("s", &[tool("a", "first")], at()).unwrap();
    two.record_first_seen("s", &[tool("a", "second"), tool("b", "x")], at()).unwrap();
    one.set_complete("s", "tool").unwrap();
    two.record_first_seen("s", &[tool("c", "late")], at()).unwrap();
    assert!(one.refresh().unwrap() && !one.refresh().unwrap());
    assert_eq!(shown(&one.diff().unwrap()), ["changed s a", "added s c"]);
    assert_eq!(one.pins("s").unwrap().definitions.len(), 2);
}

#[test]
fn a_file_that_is_removed_while_it_is_open_is_written_again() {
    type Use = fn(&mut Lock) -> Result<(), LockError>;
    let uses: [Use; 4] = [
        |lock| lock.refresh().map(drop),
        |lock| lock.record_first_seen("s", &[tool("a", "2"), tool("b", "1")], at()),
        |lock| lock.set_complete("t", "tool"),
        |lock| lock.note_gone("s", &[("tool", "a")]),
    ];
    for (number, work) in uses.into_iter().enumerate() {
        for with_texts in [false, true] {
            let (_guard, path) = place();
            let mut lock = Lock::open(&path).unwrap();
            lock.record_first_seen("s", &[tool("a", "1")], at()).unwrap();
            lock.set_complete("s", "tool").unwrap();
            lock.note_pending("s", &[tool("c", "1")]).unwrap();
            assert!(!lock.take_restored());
            std::fs::remove_file(&path).unwrap();
            if with_texts {
                std::fs::remove_dir_all(directory(&path)).unwrap();
            }
            work(&mut lock).unwrap();
            assert!(lock.take_restored() && !lock.take_restored(), "{number}");
            let again = Lock::open(&path).unwrap();
            assert_eq!(again.state, lock.state);
            let key = |name: &str| ("tool".to_owned(), name.to_owned());
            let held = again.pins("s").unwrap();
            assert_eq!(held.definitions[&key("a")].sha256, tool("a", "1").sha256, "{number}");
            assert!(held.complete.contains("tool") && !held.definitions.contains_key(&key("b")), "{number}");
            assert!(again.diff().unwrap().iter().any(|change| change.name == "c"), "{number}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_written_again_is_not_taken_for_an_empty_one() {
    let (_guard, path) = place();
    let mut lock = Lock::open(&path).unwrap();
    lock.record_first_seen("s", &[tool("a", "1")], at()).unwrap();
    std::fs::remove_file(&path).unwrap();
    fault::after(Some(0));
    assert!(lock.refresh().is_err());
    fault::after(None);
    assert_eq!(lock.pins("s").unwrap().definitions.len(), 1);
    assert!(!lock.take_restored());
    lock.refresh().unwrap();
    assert!(lock.take_restored() && path.exists());
}

#[test]
fn what_others_change_in_the_file_is_no_removal() {
    let (_guard, path) = place();
    let (mut one, mut other) = (Lock::open(&path).unwrap(), Lock::open(&path).unwrap());
    // There is none yet.
    assert!(!one.refresh().unwrap());
    one.record_first_seen("s", &[tool("a", "1")], at()).unwrap();
    one.note_pending("s", &[tool("a", "2")]).unwrap();
    accept(&mut other, Some("s"), None).unwrap();
    assert!(one.refresh().unwrap());
    other.forget("s").unwrap();
    assert!(one.refresh().unwrap() && one.pins("s").is_none());
    // Of a file that holds nothing, nothing is lost.
    std::fs::remove_file(&path).unwrap();
    one.refresh().unwrap();
    assert!(!one.take_restored() && !path.exists());
}

#[test]
fn a_candidate_that_changed_after_it_was_shown_is_not_accepted() {
    let (_guard, path) = place();
    let mut lock = Lock::open(&path).unwrap();
    lock.record_first_seen("s", &[tool("a", "1")], at()).unwrap();
    lock.note_pending("s", &[tool("a", "2")]).unwrap();
    lock.note_pending("s", &[tool("a", "1")]).unwrap();
    assert!(!lock.has_pending("s"), "what is approved already needs no decision");
    lock.note_pending("s", &[tool("a", "3")]).unwrap();
    assert_eq!(lock.diff().unwrap()[0].new.as_deref(), Some(&*tool("a", "3").json));
}

#[test]
fn texts_are_only_believed_if_they_match() {
    let (_guard, path) = place();
    let mut lock = Lock::open(&path).unwrap();
    lock.record_first_seen("s", &[tool("a", "1")], at()).unwrap();
    lock.note_pending("s", &[tool("a", "2"), Definition { json: "forged".into(), ..tool("b", "3") }]).unwrap();
    std::fs::write(directory(&path).join(file_name(&tool("a", "1").sha256)), "\"harmless\"").unwrap();
    let changes = lock.diff().unwrap();
    assert_eq!((changes[0].old.as_ref(), changes[1].new.as_ref()), (None, None));
    assert!(changes[0].new.is_some());
    accept(&mut lock, None, None).unwrap();
    let texts = std::fs::read_dir(directory(&path)).unwrap().map(|entry| entry.unwrap().file_name());
    let mut texts: Vec<_> = texts.map(|name| name.into_string().unwrap()).collect();
    texts.sort();
    let mut expected = [file_name(&tool("a", "2").sha256), "lock".to_owned(), PENDING.to_owned()];
    expected.sort();
    assert_eq!(texts, expected, "what nothing names is removed");
}

#[test]
fn damaged_files_are_refused_with_the_place() {
    let digits = "0".repeat(64);
    let definition = "version = 1\n[servers.a]\nidentity = \"x\"\ncomplete = []\n[servers.a.definitions.tool]\n";
    for (text, line, message) in [
        (String::new(), 1, "version"),
        ("version = 0".into(), 1, "no version 0"),
        ("version = \"1\"".into(), 1, "invalid type"),
        ("version = 1\n[servers".into(), 2, "unclosed"),
        ("version = 1\nsurprise = 2".into(), 2, "unknown field"),
        ("version = 1\n\n[servers.a]\ncomplete = []".into(), 3, "identity"),
        (format!("{definition}t = {{ sha256 = \"12\", first_seen = \"\" }}"), 6, "64 hexadecimal digits"),
        (format!("{definition}t = {{ sha256 = \"{digits}\" }}"), 6, "first_seen"),
        (format!("{definition}t = {{ sha256 = \"{digits}\", first_seen = \"\", x = 1 }}"), 6, "unknown field"),
        (format!("{definition}t = 1\nt = 2"), 7, "duplicate key"),
    ] {
        let (_guard, path) = place();
        std::fs::write(&path, &text).unwrap();
        match Lock::open(&path) {
            Err(error @ LockError::Corrupt { line: found, .. }) => {
                assert_eq!(found, line, "{text} {error}");
                assert!(error.to_string().contains(message), "{text} {error}");
            }
            other => panic!("{text} {other:?}"),
        }
    }
    let (_guard, path) = place();
    std::fs::write(&path, "version = 3\nfuture = true").unwrap();
    assert!(matches!(Lock::open(&path), Err(LockError::Newer { version: 3, known: 2, .. })));
    std::fs::write(&path, [0xff]).unwrap();
    assert!(matches!(Lock::open(&path), Err(LockError::Io { .. })));
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(Lock::open(&path), Err(LockError::Io { .. })), "a directory is not an empty lock file");
    let (_guard, path) = place();
    std::fs::create_dir(directory(&path)).unwrap();
    std::fs::write(directory(&path).join(PENDING), "[{]").unwrap();
    assert!(matches!(Lock::open(&path), Err(LockError::Corrupt { line: 1, .. })));
}

#[test]
fn a_failing_disk_leaves_the_old_or_the_new_file() {
    for failing in 0.. {
        let (_guard, path) = place();
        let mut lock = Lock::open(&path).unwrap();
        lock.record_first_seen("s", &[tool("a", "1")], at()).unwrap();
        let old = lock.state.clone();
        let mut new = old.clone();
        new.wait(tool("b", "2").candidate("s"));
        new.servers.get_mut("s").unwrap().complete.insert("tool".into());

        fault::after(Some(failing));
        let result = lock.set_complete("s", "tool").and_then(|()| lock.note_pending("s", &[tool("b", "2")]));
        if fault::pending() {
            result.unwrap();
            assert!(failing > 8, "only {failing} steps can fail");
            break;
        }
        result.unwrap_err();
        let found = Lock::open(&path).unwrap();
        assert!([&old.servers, &new.servers].contains(&&found.state.servers), "step {failing}");
        assert!([&old.pending, &new.pending].contains(&&found.state.pending), "step {failing}");
        // The next attempt is not hindered by what the failed one left.
        lock.set_complete("s", "tool").and_then(|()| lock.note_pending("s", &[tool("b", "2")])).unwrap();
        assert_eq!(Lock::open(&path).unwrap().state, new);
    }
}

#[test]
fn what_is_no_digest_is_neither_written_nor_read() {
    let (_guard, path) = place();
    let mut lock = Lock::open(&path).unwrap();
    for wrong in ["", "../../etc/passwd", &"A".repeat(64)] {
        let definition = Definition { sha256: wrong.into(), ..tool("a", "1") };
        assert!(matches!(lock.note_pending("s", &[definition]), Err(LockError::NoDigest(_))));
        let definition = Definition { body: Some(wrong.into()), ..tool("a", "1") };
        assert!(matches!(lock.record_first_seen("s", &[definition], at()), Err(LockError::NoDigest(_))));
    }
    lock.note_pending("s", &[tool("a", "1")]).unwrap();
    let pending = std::fs::read_to_string(directory(&path).join(PENDING)).unwrap();
    std::fs::write(directory(&path).join(PENDING), pending.replace(&tool("a", "1").sha256, "../x")).unwrap();
    assert!(matches!(Lock::open(&path), Err(LockError::Corrupt { .. })));
}

#[test]
fn only_the_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let (_guard, path) = place();
    Lock::open(&path).unwrap().record_first_seen("s", &[tool("a", "1")], at()).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&directory(&path))), (0o600, 0o700));
}

#[test]
fn behind_a_link_the_file_is_replaced() {
    let (guard, path) = place();
    std::fs::write(&path, "version = 1\n").unwrap();
    let link = guard.path().join("link.lock");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    Lock::open(&link).unwrap().set_complete("s", "tool").unwrap();
    assert!(link.is_symlink() && Lock::open(&path).unwrap().pins("s").is_some());
}

fn write_many(path: &Path, writer: usize) {
    let mut lock = Lock::open(path).unwrap();
    for number in 0..20 {
        lock.record_first_seen("s", &[tool(&format!("{writer}-{number}"), "x")], at()).unwrap();
        lock.note_pending("s", &[tool(&format!("pending-{writer}-{number}"), "x")]).unwrap();
    }
}

#[test]
fn writers_in_threads_lose_nothing() {
    let (_guard, path) = place();
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let path = &path;
            scope.spawn(move || write_many(path, writer));
        }
    });
    let lock = Lock::open(&path).unwrap();
    assert_eq!((lock.pins("s").unwrap().definitions.len(), lock.diff().unwrap().len()), (60, 60));
}

/// Runs this very test again as a second and a third process.
#[test]
fn writers_in_processes_lose_nothing() {
    const PLACE: &str = "BARTIZAN_TEST_LOCK";
    if let Some(place) = std::env::var_os(PLACE) {
        let (path, writer) = (PathBuf::from(place), std::process::id() as usize);
        return write_many(&path, writer);
    }
    let (_guard, path) = place();
    let children: Vec<_> = (0..2)
        .map(|_| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "lock::tests::writers_in_processes_lose_nothing"]).env(PLACE, &path);
            command.stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let lock = Lock::open(&path).unwrap();
    assert_eq!((lock.pins("s").unwrap().definitions.len(), lock.diff().unwrap().len()), (40, 40));
}

#[test]
fn one_server_cannot_fill_the_file() {
    let (_guard, path) = place();
    let mut lock = Lock::open(&path).unwrap();
    let many: Vec<_> = (0..=Lock::MAX_DEFINITIONS)
        .map(|number| Definition { json: String::new(), ..tool(&number.to_string(), "x") })
        .collect();
    assert!(matches!(lock.record_first_seen("s", &many, at()), Err(LockError::TooMany { .. })));
    assert!(matches!(lock.note_pending("s", &many), Err(LockError::TooMany { .. })));
    assert!(!path.exists());
    // Few definitions with long names: each of them fits, until the share is used up.
    for (page, fits) in [(0, true), (1, false)] {
        let long = format!("{page}{}", "n".repeat(5_000_000));
        let page = [Definition { json: String::new(), ..tool(&long, "x") }];
        for result in [lock.record_first_seen("s", &page, at()), lock.note_pending("t", &page)] {
            assert!(if fits { result.is_ok() } else { matches!(result, Err(LockError::TooLarge { .. })) });
        }
    }
    // Others are not concerned.
    lock.record_first_seen("other", &[tool("a", "x")], at()).unwrap();
    lock.note_pending("other", &[tool("b", "x")]).unwrap();
    let again = Lock::open(&path).expect("what was written is read");
    assert_eq!(again.pins("s").map(|pins| pins.definitions.len()), Some(1));
    assert!(again.pins("other").is_some() && again.has_pending("t") && again.has_pending("other"));
}

#[test]
fn as_many_definitions_as_are_let_in_fit() {
    // Of one kind no more than half of them are let in.
    let kind = |number: usize| if number < Lock::MAX_DEFINITIONS / 2 { "tool" } else { "prompt" };
    let key = |number: usize| (kind(number).to_owned(), format!("{number:0>150}"));
    let all = Labels::of(Labels::WORDS.map(|(_, word)| word)).unwrap();
    let approved = |number: usize| Approved {
        labels: (kind(number) == "tool").then_some(all),
        body: Some(digest("")),
        ..tool("a", "x").approved(at())
    };
    let definitions: BTreeMap<_, _> =
        (0..Lock::MAX_DEFINITIONS).map(|number| (key(number), approved(number))).collect();
    let pins = ServerPins { definitions, ..ServerPins::default() };
    assert!(format::size("s", &pins) <= Lock::MAX_SHARE);
    let waiting = pins.definitions.keys().map(|(kind, name)| {
        let (server, kind, name) = ("s".to_owned(), kind.clone(), name.clone());
        Candidate { server, kind, name, sha256: Some(digest("")), body: Some(digest("")), labels: Some(Letters(all)) }
    });
    let pending: BTreeMap<_, _> = waiting.map(|candidate| (candidate.key(), candidate)).collect();
    let (text, state) = (pending_text(&pending), State { pending, ..State::default() });
    let estimate = state.waiting().values().map(|(_, bytes)| bytes).sum::<usize>();
    assert!(text.len() <= estimate && estimate <= Lock::MAX_SHARE, "{} {estimate}", text.len());
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let (_guard, path) = place();
    let text = "x".repeat(64 * 1024 * 1024 + 1);
    assert!(disk::replace(&path, &text).is_err());
    assert!(!path.exists());
    disk::replace(&path, text.get(1..).unwrap()).unwrap();
    assert_eq!(disk::read(&path).unwrap().map(|text| text.len()), Some(text.len() - 1));
}

fn any_pins() -> impl Strategy<Value = ServerPins> {
    let labels = || {
        let words = proptest::sample::subsequence(Labels::WORDS.to_vec(), 0..=Labels::WORDS.len());
        proptest::option::of(words.prop_map(|words| Labels::of(words.into_iter().map(|(_, word)| word)).unwrap()))
    };
    let approved = (any::<[u8; 4]>(), any::<bool>(), any::<u32>(), labels(), labels());
    let approved = approved.prop_map(|(seed, body, seconds, labels, guessed)| Approved {
        sha256: digest(&format!("{seed:?}")),
        body: body.then(|| digest("body")),
        labels,
        guessed,
        first_seen: time::format(UNIX_EPOCH + Duration::from_secs(seconds.into())),
    });
    let definitions = proptest::collection::btree_map((any::<String>(), any::<String>()), approved, 0..6);
    let complete = proptest::collection::btree_set(any::<String>(), 0..3);
    (any::<String>(), complete, definitions).prop_map(|(identity, complete, definitions)| ServerPins {
        identity,
        complete,
        definitions,
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(servers in proptest::collection::btree_map(any::<String>(), any_pins(), 0..4)) {
        let text = format::write(&servers);
        prop_assert_eq!(format::parse(Path::new("mcp.lock"), &text).unwrap(), servers);
        prop_assert!(text.chars().all(|character| character == '\n' || crate::text::is_plain(character)));
    }
}
