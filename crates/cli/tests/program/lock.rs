//! `bartizan lock`.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use bartizan_trust::{Definition, Labels, Lock};

use crate::support::{End, bartizan_at, bartizan_with};

fn definition(name: &str, json: &str, digit: &str) -> Definition {
    let sha256 = sha256(json);
    Definition {
        kind: "tool".to_owned(),
        name: name.to_owned(),
        sha256,
        body: Some(digit.repeat(64)),
        labels: None,
        json: json.to_owned(),
    }
}

/// The lock file knows texts by their SHA-256.
fn sha256(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Two tools were approved, one has changed and a third has come.
fn waiting(home: &Path) {
    let mut lock = Lock::open(home.join("mcp.lock")).unwrap();
    lock.set_identity("files", "npx files").unwrap();
    let approved = [definition("read", r#"{"name":"read"}"#, "1"), definition("write", r#"{"name":"write"}"#, "2")];
    lock.record_first_seen("files", &approved, SystemTime::now()).unwrap();
    lock.set_complete("files", "tool").unwrap();
    let evil = "{\"description\":\"a\u{1b}[2J\u{e0041}\",\"name\":\"read\"}";
    lock.note_pending("files", &[definition("read", evil, "3"), definition("new", r#"{"name":"new"}"#, "4")]).unwrap();
}

fn lock(home: &Path, arguments: &[&str]) -> End {
    let file = home.join("mcp.lock").display().to_string();
    bartizan_at(home, &[&["lock"], arguments, &["--lock", &file]].concat())
}

#[test]
fn changes_are_shown_and_accepted_one_by_one() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    waiting(home);
    let end = lock(home, &["diff"]).status(1);
    for part in [
        "tool `new` of files: added",
        "tool `read` of files: changed",
        "+   \"description\": \"a\\u{1b}[2J\\u{e0041}\"",
    ] {
        assert!(end.stdout.contains(part), "{part} is not in\n{}", end.stdout);
    }
    assert!(!end.stdout.contains(['\u{1b}', '\u{e0041}']), "{:?}", end.stdout);
    let json = lock(home, &["diff", "read", "--json"]).status(1).json();
    assert_eq!(json["changes"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&json["changes"][0]["what"], &json["changes"][0]["old"]),
        (&"changed".into(), &r#"{"name":"read"}"#.into())
    );
    assert_eq!(lock(home, &["verify"]).status(1).stdout, "waiting: 1 server, 2 definitions approved, 2 waiting\n");

    let end = lock(home, &["update", "read", "write"]).status(2);
    assert!(end.stderr.contains("nothing waits under the name `write`"), "{}", end.stderr);
    lock(home, &["diff", "read"]).status(1);

    assert_eq!(lock(home, &["update", "read"]).status(0).stdout, "accepted: tool `read` of files: changed\n");
    lock(home, &["diff", "read"]).status(0);
    lock(home, &["diff"]).status(1);
    lock(home, &["update"]).status(0);
    lock(home, &["diff"]).status(0);
    assert_eq!(lock(home, &["verify", "--json"]).status(0).json()["locks"][0]["definitions"], 3);
    assert!(lock(home, &["update"]).status(0).stdout.starts_with("nothing waits"));
}

/// A lock file in which one tool was approved with these labels, or none, as an earlier version took it.
fn taken_for(home: &Path, labels: Option<&[&'static str]>) {
    let labels = labels.map(|words| Labels::of(words.iter().copied()).unwrap());
    let mut lock = Lock::open(home.join("mcp.lock")).unwrap();
    lock.set_identity("mail", "npx mail").unwrap();
    let send = Definition { labels, ..definition("send_email", r#"{"name":"send_email"}"#, "1") };
    lock.record_first_seen("mail", &[send], SystemTime::now()).unwrap();
}

fn file(home: &Path) -> String {
    fs::read_to_string(home.join("mcp.lock")).unwrap()
}

#[test]
fn what_a_tool_is_taken_to_do_is_shown_and_accepted() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    taken_for(home, Some(&["public_sink", "destructive"]));
    let now = |words: &[&'static str]| Definition {
        labels: Some(Labels::of(words.iter().copied()).unwrap()),
        ..definition("send_email", r#"{"name":"send_email"}"#, "1")
    };
    let mut held = Lock::open(home.join("mcp.lock")).unwrap();
    held.note_pending("mail", &[now(&["public_sink"])]).unwrap();
    let end = lock(home, &["diff"]).status(1);
    assert!(
        end.stdout
            .contains("tool `send_email` of mail: relabelled\n  labels: public_sink, destructive -> public_sink\n"),
        "{}",
        end.stdout
    );
    let json = lock(home, &["diff", "--json"]).status(1).json();
    let change = &json["changes"][0];
    assert_eq!((&change["what"], &change["labels"][0]), (&"relabelled".into(), &"public_sink".into()));
    assert_eq!(change["old_labels"].as_array().unwrap().len(), 2);
    assert!(lock(home, &["verify"]).status(1).stdout.starts_with("waiting: "));

    // Other labels than were shown are not accepted by what was shown.
    let token = end.stderr.split("--shown ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    held.note_pending("mail", &[now(&[])]).unwrap();
    lock(home, &["update", "--shown", &token]).status(2);
    assert!(file(home).contains(r#"labels = ["public_sink", "destructive"]"#));
    held.note_pending("mail", &[now(&["public_sink"])]).unwrap();
    lock(home, &["update", "--shown", &token]).status(0);
    assert!(file(home).contains(r#"labels = ["public_sink"]"#), "{}", file(home));
}

/// What is to be recorded of this.
fn noted(home: &Path) -> Vec<(String, serde_json::Value)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = bartizan_store::Store::open(&home.join("state.db")).await.unwrap();
        let mut said = Vec::new();
        let record = async |events: &[bartizan_store::Event]| {
            said.extend(events.iter().map(|event| (event.kind.clone(), event.fields.clone())));
            Ok::<_, ()>(())
        };
        store.record_events(record).await.unwrap().unwrap();
        store.close().await;
        said
    })
}

#[test]
fn what_was_said_by_hand_is_not_lost_in_silence_and_is_in_the_log() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    taken_for(home, Some(&["public_sink", "if_addressed"]));
    lock(home, &["label", "--server", "mail", "send_email", "private_data"]).status(0);
    let changed = || Definition {
        labels: Some(Labels::of(["public_sink", "if_addressed", "destructive"]).unwrap()),
        ..definition("send_email", r#"{"description":"Sends more.","name":"send_email"}"#, "2")
    };
    Lock::open(home.join("mcp.lock")).unwrap().note_pending("mail", &[changed()]).unwrap();
    let said = "tool `send_email` of mail: private_data stays as it was set by hand, and public_sink counts again, which had been taken away by hand";
    let end = lock(home, &["diff"]).status(1);
    assert!(end.stdout.contains(said), "{}", end.stdout);
    let json = lock(home, &["diff", "--json"]).status(1).json();
    let change = &json["changes"][0];
    assert_eq!(
        (&change["added_by_hand"][0], &change["removed_by_hand"][0]),
        (&"private_data".into(), &"public_sink".into())
    );
    assert!(lock(home, &["update"]).status(0).stderr.contains(said));
    // What was added makes it stricter, and nothing of a guess lets calls off any more.
    assert!(file(home).contains(r#"labels = ["private_data", "public_sink", "destructive"]"#), "{}", file(home));
    lock(home, &["forget", "mail"]).status(0);

    let noted = noted(home);
    let kinds: Vec<_> = noted.iter().map(|(kind, _)| &**kind).collect();
    assert_eq!(kinds, ["lock.labelled", "lock.accepted", "lock.forgotten"]);
    let by = format!("uid:{}", rustix::process::getuid().as_raw());
    assert!(
        noted.iter().all(|(_, fields)| fields["by"] == by && fields["lock"].as_str().unwrap().ends_with("mcp.lock"))
    );
    assert_eq!(noted[0].1["labels"], serde_json::json!(["private_data"]));
    assert_eq!(noted[1].1["changes"][0]["name"], "send_email");
}

#[test]
fn what_nobody_has_said_anything_about_is_taken_as_it_is_now() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    taken_for(home, Some(&["public_sink", "destructive"]));
    let changed = Definition {
        labels: Some(Labels::of(["public_sink", "if_addressed"]).unwrap()),
        ..definition("send_email", r#"{"description":"Sends more.","name":"send_email"}"#, "2")
    };
    Lock::open(home.join("mcp.lock")).unwrap().note_pending("mail", &[changed]).unwrap();
    let end = lock(home, &["update"]).status(0);
    assert!(end.stderr.is_empty(), "{}", end.stderr);
    assert!(file(home).contains(r#"labels = ["public_sink", "if_addressed"]"#), "{}", file(home));
}

#[test]
fn tools_from_before_there_were_labels_get_them_with_an_update() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    taken_for(home, None);
    lock(home, &["diff"]).status(0);
    lock(home, &["verify"]).status(0);
    assert!(!file(home).contains("labels = "), "to look changes nothing");
    let end = lock(home, &["update"]).status(0);
    assert!(end.stderr.contains("1 tool labelled that had been approved before there were labels"), "{}", end.stderr);
    assert!(file(home).contains(r#"labels = ["public_sink"]"#), "{}", file(home));
    assert_eq!(lock(home, &["update", "--json"]).status(0).json()["labelled"], 0);
}

#[test]
fn an_operator_labels_a_tool() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    taken_for(home, None);
    let label = |arguments: &[&str]| lock(home, &[&["label", "--server", "mail"], arguments].concat());
    let end = label(&["send_email", "public_sink", "destructive"]).status(0);
    assert_eq!(end.stdout, "labelled: tool `send_email` of mail: public_sink, destructive\n");
    assert!(
        file(home).contains(r#"labels = ["public_sink", "destructive"], guessed = ["public_sink"]"#),
        "{}",
        file(home)
    );
    let json = label(&["send_email", "--none", "--json"]).status(0).json();
    assert_eq!((&json["format"], &json["labels"]), (&"bartizan.lock.label/1".into(), &Vec::<String>::new().into()));
    assert_eq!(json["before"].as_array().unwrap().len(), 2);
    label(&["send_email", "--guessed"]).status(0);
    assert!(file(home).contains(r#"labels = ["public_sink"], first_seen"#), "{}", file(home));
    let before = file(home);
    for wrong in [
        &["send_email"][..],
        &["send_email", "harmless"],
        &["other", "public_sink"],
        &["send_email", "--none", "--guessed"],
    ] {
        label(wrong).status(2);
    }
    assert_eq!(file(home), before);
}

#[test]
fn only_what_was_shown_is_accepted() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    waiting(home);
    let shown = |end: End| end.stderr.split("--shown ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let token = shown(lock(home, &["diff", "read"]).status(1));
    let end = lock(home, &["update", "--shown", &token]).status(2);
    assert!(end.stderr.contains("not what was shown"), "a token of one thing accepts all: {}", end.stderr);

    let mut held = Lock::open(home.join("mcp.lock")).unwrap();
    held.note_pending("files", &[definition("read", r#"{"name":"read","x":1}"#, "5")]).unwrap();
    let end = lock(home, &["update", "read", "--shown", &token]).status(2);
    assert!(end.stderr.contains("not what was shown") && end.stderr.contains("bartizan lock diff"), "{}", end.stderr);
    let token = shown(lock(home, &["diff", "read"]).status(1));
    lock(home, &["update", "read", "--shown", &token]).status(0);

    held.note_pending("mail", &[definition("new", r#"{"name":"new"}"#, "4")]).unwrap();
    let end = lock(home, &["update", "new"]).status(2);
    assert!(end.stderr.contains("`new` waits of files and mail; say which with --server"), "{}", end.stderr);
    lock(home, &["update", "new", "--server", "mail"]).status(0);
}

#[test]
fn a_lock_file_that_is_not_there_or_not_whole() {
    let home = tempfile::tempdir().unwrap();
    for command in ["diff", "update", "verify"] {
        let end = lock(home.path(), &[command]).status(3);
        assert!(end.stdout.is_empty() && end.stderr.contains("there is no lock file "), "{}", end.stderr);
        let end = bartizan_at(home.path(), &["lock", command]).status(3);
        assert!(end.stderr.contains("/mcp.lock or ") && end.stderr.contains(&shown(home.path())), "{}", end.stderr);
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "looking leaves nothing behind");
    fs::write(home.path().join("mcp.lock"), "version = 1\n[servers.a]\nidentity = 5\n").unwrap();
    let end = lock(home.path(), &["verify"]).status(1);
    assert!(end.stdout.starts_with("broken: ") && end.stdout.contains("mcp.lock:3:"), "{}", end.stdout);
    lock(home.path(), &["diff"]).status(2);
    lock(home.path(), &["update"]).status(2);
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Each place where a lock file of the user may be: of the project, of the user's configuration, and of the defaults.
struct Places {
    home: tempfile::TempDir,
    project: tempfile::TempDir,
}

impl Places {
    fn new() -> Self {
        let place = Places { home: tempfile::tempdir().unwrap(), project: tempfile::tempdir().unwrap() };
        fs::create_dir_all(place.home.path().join(".config/bartizan")).unwrap();
        fs::write(place.home.path().join(".config/bartizan/bartizan.toml"), "").unwrap();
        place
    }

    fn configured(&self) -> std::path::PathBuf {
        self.home.path().join(".config/bartizan")
    }

    fn own(&self) -> std::path::PathBuf {
        self.home.path().join(".local/state/bartizan")
    }

    fn lock(&self, arguments: &[&str]) -> End {
        let home = shown(self.home.path());
        bartizan_with(&[("HOME", &home)], self.project.path(), &[&["lock"], arguments].concat())
    }
}

#[test]
fn without_a_name_every_lock_file_of_the_user_is_looked_at() {
    let places = Places::new();
    fs::create_dir_all(places.own()).unwrap();
    waiting(&places.configured());
    let end = places.lock(&["diff"]).status(1);
    assert!(end.stdout.starts_with(&format!("in {}/mcp.lock\n", shown(&places.configured()))), "{}", end.stdout);

    waiting(&places.own());
    for place in [places.configured(), places.own()] {
        places.lock(&["update", "--lock", &shown(&place.join("mcp.lock"))]).status(0);
    }
    waiting(places.project.path());
    let end = places.lock(&["diff"]).status(1);
    for calm in [places.configured(), places.own()] {
        assert!(end.stdout.contains(&format!("nothing waits in {}/mcp.lock\n", shown(&calm))), "{}", end.stdout);
    }
    let json = places.lock(&["diff", "--json"]).status(1).json();
    assert_eq!((json["locks"].as_array().unwrap().len(), json["changes"].as_array().unwrap().len()), (3, 2));
    assert_eq!(json["changes"][0]["lock"], json["locks"][0]);
    let end = places.lock(&["verify"]).status(1);
    let words: Vec<_> = end.stdout.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(words, ["waiting:", "ok:", "ok:"], "{}", end.stdout);

    // A damaged one hides none of the others, and is no place for names that nobody knows.
    fs::write(places.own().join("mcp.lock"), "x").unwrap();
    let end = places.lock(&["verify", "--server", "files"]).status(1);
    assert!(end.stdout.contains("waiting: ") && end.stdout.contains("broken: "), "{}", end.stdout);
    assert_eq!(places.lock(&["verify", "--json"]).status(1).json()["locks"][2]["ok"], false);
}

#[test]
fn what_changes_a_lock_file_is_about_one_that_is_named_if_several_are_concerned() {
    let places = Places::new();
    waiting(&places.configured());
    waiting(places.project.path());
    let files = [places.project.path(), &places.configured()].map(|place| shown(&place.join("mcp.lock")));
    let read = || files.each_ref().map(|file| fs::read(file).unwrap());
    let before = read();
    for arguments in [
        &["update"][..],
        &["update", "--server", "files"],
        &["update", "--json"],
        &["update", "read"],
        &["forget", "--server", "files"],
    ] {
        let end = places.lock(arguments).status(2);
        let which = format!("in more than one lock file: {} and {}; say which with --lock FILE", files[0], files[1]);
        assert!(end.stdout.is_empty() && end.stderr.contains(&which), "{arguments:?}: {}", end.stderr);
    }
    assert!(read() == before, "nothing was changed");
    places.lock(&["update", "read", "--lock", &files[0]]).status(0);
    // There is one left in which it waits.
    places.lock(&["update", "read"]).status(0);
    assert!(places.lock(&["update"]).status(2).stderr.contains(" waits in more than one"));
    places.lock(&["update", "--lock", &files[1]]).status(0);
    places.lock(&["update"]).status(0);
    places.lock(&["diff"]).status(0);
}

#[test]
fn a_file_that_is_named_or_configured_is_the_only_one() {
    let places = Places::new();
    waiting(places.project.path());
    let mut calm = Lock::open(places.configured().join("mcp.lock")).unwrap();
    calm.set_identity("files", "npx files").unwrap();
    let config = shown(&places.configured().join("bartizan.toml"));
    let end = places.lock(&["diff", "--config", &config]).status(0);
    assert_eq!(end.stdout, format!("nothing waits in {}/mcp.lock\n", shown(&places.configured())));
    places.lock(&["diff", "--lock", "mcp.lock"]).status(1);
    places.lock(&["diff", "--lock", "/nope"]).status(3);
}

#[test]
fn each_place_is_named_once_and_the_next_command_is_about_the_same_file() {
    let places = Places::new();
    let end = places.lock(&["diff"]).status(3);
    let own = shown(&places.own().join("mcp.lock"));
    assert_eq!(end.stderr.matches(&own).count(), 1, "{}", end.stderr);

    waiting(places.project.path());
    fs::write(places.project.path().join("b.toml"), "").unwrap();
    for (place, option) in
        [(&[][..], ""), (&["--lock", "mcp.lock"], " --lock mcp.lock"), (&["--config", "b.toml"], " --config b.toml")]
    {
        let said = places.lock(&[&["diff"], place].concat()).status(1).stderr;
        assert!(said.contains(&format!("bartizan lock update{option} --shown ")), "{said}");
    }
}

#[test]
fn names_that_nobody_knows_are_wrong_usage() {
    let home = tempfile::tempdir().unwrap();
    waiting(home.path());
    for command in ["diff", "update", "verify"] {
        let end = lock(home.path(), &[command, "--server", "fils"]).status(2);
        assert!(
            end.stderr.contains("no server `fils` in ") && end.stderr.contains("there are files"),
            "{}",
            end.stderr
        );
        let end = lock(home.path(), &[command, "raed"]).status(2);
        assert!(end.stdout.is_empty() && end.stderr.contains("no definition `raed` in "), "{}", end.stderr);
    }
    let end = lock(home.path(), &["diff", "files"]).status(2);
    assert!(end.stderr.contains("`files` is a server") && end.stderr.ends_with("--server files\n"), "{}", end.stderr);
    // One that is known and of which nothing waits.
    lock(home.path(), &["diff", "write", "--server", "files"]).status(0);
    lock(home.path(), &["diff", "new"]).status(1);
}

#[test]
fn a_server_can_be_forgotten() {
    let places = Places::new();
    for place in [places.configured(), places.own()] {
        fs::create_dir_all(&place).unwrap();
        waiting(&place);
    }
    let end = places.lock(&["forget", "--server", "fils"]).status(2);
    assert!(end.stderr.contains("no server `fils` in ") && end.stderr.contains("there are files"), "{}", end.stderr);
    places.lock(&["forget"]).status(2);
    let own = shown(&places.own().join("mcp.lock"));
    let end = places.lock(&["forget", "--server", "files", "--lock", &own]).status(0);
    assert_eq!(end.stdout, "forgotten: files, 2 definitions approved, 2 waiting\n");
    assert!(end.stderr.contains("pinned as it is then"), "{}", end.stderr);
    assert!(places.lock(&["diff", "--lock", &own]).status(0).stdout.starts_with("nothing waits"));
    // The other file has it still, and is named as nobody did.
    let end = places.lock(&["forget", "--server", "files"]).status(0);
    let other = shown(&places.configured().join("mcp.lock"));
    assert_eq!(end.stdout, format!("forgotten in {other}: files, 2 definitions approved, 2 waiting\n"));
    waiting(&places.own());
    let json = places.lock(&["forget", "files", "--json"]).status(0).json();
    assert_eq!(json["locks"], serde_json::json!([{"lock": own, "definitions": 2, "waiting": 2}]));
    places.lock(&["forget", "--server", "files"]).status(2);
}

#[test]
fn texts_that_are_missing_are_counted_and_changed_ones_found() {
    let home = tempfile::tempdir().unwrap();
    waiting(home.path());
    lock(home.path(), &["update"]).status(0);
    let whole = "ok: 1 server, 3 definitions approved, 0 waiting";
    assert_eq!(lock(home.path(), &["verify"]).status(0).stdout, format!("{whole}\n"));
    let text = |json: &str| home.path().join("mcp.lock.d").join(format!("{}.json", sha256(json)));
    fs::remove_file(text(r#"{"name":"write"}"#)).unwrap();
    let end = lock(home.path(), &["verify"]).status(0);
    assert_eq!(end.stdout, format!("{whole}, 1 without a kept text\n"));
    fs::write(text(r#"{"name":"new"}"#), r#"{"name":"old"}"#).unwrap();
    let end = lock(home.path(), &["verify"]).status(1);
    assert!(end.stdout.starts_with("broken: ") && end.stdout.ends_with("was changed of: new\n"), "{}", end.stdout);
    let json = lock(home.path(), &["verify", "--json"]).status(1).json();
    assert_eq!((&json["locks"][0]["changed_texts"][0], &json["locks"][0]["without_text"]), (&"new".into(), &1.into()));

    // Digests that were changed by hand have no text either.
    let file = home.path().join("mcp.lock");
    let changed = fs::read_to_string(&file).unwrap().replace(&sha256(r#"{"name":"new"}"#), &"0".repeat(64));
    fs::write(&file, changed).unwrap();
    let end = lock(home.path(), &["verify"]).status(0);
    assert_eq!(end.stdout, format!("{whole}, 2 without a kept text\n"));
}
