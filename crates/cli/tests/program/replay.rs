//! `bartizan policy test --replay`.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use bartizan_capture::{Bounds, Writer, prepare};
use bartizan_gateway::capture::{Record, Said};
use bartizan_guard::{Case, DefinitionKind, Direction, Event, Pin, Pins, Principal, ServerProfile, Session, Timestamp};
use bartizan_mcp::{Limits, Message};
use bartizan_store::Store;
use bartizan_trust::{Definition, Lock};

use crate::support::{End, bartizan_at};

const CONFIG: &str = "[policy]\nfiles = ['p.cedar']\n[lock]\npath = 'mcp.lock'\n[store]\npath = 'state.db'\n\
    [capture]\npath = 'captured'\n[server.bank]\nurl = 'https://bank.example/mcp'\n";
const POLICY: &str = "permit(principal, action, resource);\n\
    @id(\"less\") forbid(principal, action == Mcp::Action::\"bank/pay\", resource) when { context.input.amount > 500 };\n";

/// A tool as its server lists it.
const PAY: &str = r#"{"inputSchema":{"properties":{"amount":{"type":"integer"}},"required":["amount"],"type":"object"},"name":"pay"}"#;

/// A call of ann's that was decided so.
fn record(server: &str, amount: u32, decision: &str, rule: Option<&str>) -> Record {
    record_of(server, amount, (decision, rule), (PAY, false))
}

/// The same with that tool, which was approved or not.
fn record_of(
    server: &str,
    amount: u32,
    (decision, rule): (&str, Option<&str>),
    (tool, is_approved): (&str, bool),
) -> Record {
    let list = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{tool}]}}}}"#);
    let list = Message::parse(list, &Limits::default()).unwrap();
    let listing = DefinitionKind::lists_of(&list).next().unwrap();
    let element = listing.list.elements().next().unwrap();
    let listed = bartizan_guard::Definition::read(listing.kind, element).map(Arc::new).unwrap();
    let mut pins = Pins::default();
    if is_approved {
        pins.insert(Pin::of(listing.kind, element).unwrap());
    }
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"pay","arguments":{{"amount":{amount}}}}}}}"#
    );
    let message = Message::parse(text, &Limits::default()).unwrap();
    let server = ServerProfile { name: server.into(), pins: Arc::new(pins), elsewhere: Arc::from([]) };
    let listed = bartizan_guard::Fact::Listed(vec![listed]);
    let event = Event {
        message: &message,
        direction: Direction::ToServer,
        answers: None,
        principal: &Principal::new("ann"),
        server: &server,
        evidence: &[],
        grant: None,
        now: Timestamp(1_800_000_000_000_000),
    };
    let said = Said {
        decision: decision.to_owned(),
        rule: rule.map(str::to_owned),
        why: None,
        policies: Some("0a".to_owned()),
    };
    let entry = Some(format!("entry-{amount}"));
    Record {
        entry,
        session: None,
        client: None,
        said,
        case: Case::of(&event, &Session::default().with(&[listed])).unwrap(),
    }
}

/// Writes a capture with a key of the store at home.
fn capture(home: &Path, records: &[Vec<u8>]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let sealer = runtime.block_on(async { Store::open(&home.join("state.db")).await.unwrap().sealer().await.unwrap() });
    let bounds = Bounds { file_bytes: 1 << 20, bytes: 1 << 22, keep: i64::MAX };
    let wrap = move |id, key: &[u8; 32]| Ok(sealer.seal("capture", &format!("file {id}"), key).unwrap());
    let mut writer = Writer::new(prepare(&home.join("captured")).unwrap(), bounds, wrap);
    records.iter().for_each(|record| writer.append(1, record).unwrap());
    writer.close().unwrap();
}

fn replay(home: &Path, arguments: &[&str]) -> End {
    let file = home.join("bartizan.toml").display().to_string();
    bartizan_at(home, &[&["policy", "test", "--config", &file], arguments].concat())
}

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("bartizan.toml"), CONFIG).unwrap();
    fs::write(home.path().join("p.cedar"), POLICY).unwrap();
    home
}

#[test]
fn what_would_be_decided_otherwise_is_told() {
    let home = home();
    let home = home.path();
    let records = [
        record("bank", 5, "allow", None),
        record("bank", 700, "deny", Some("policy.denied")),
        record("bank", 800, "allow", None),
        record("bank", 6, "approve", Some("policy.approval")),
        record("shop", 9, "allow", None),
    ];
    let mut bytes: Vec<_> = records.iter().map(Record::to_bytes).collect();
    bytes.push(b"no record".to_vec());
    capture(home, &bytes);
    let json = replay(home, &["--json", "--replay"]).status(1).json();
    let counts = ["judged", "same", "now_denied", "now_asks", "now_edited", "now_allowed", "further"];
    assert_eq!(counts.map(|name| json[name].as_u64().unwrap()), [4, 2, 1, 0, 0, 1, 0]);
    let mut changes: Vec<_> =
        json["changes"].as_array().unwrap().iter().map(|change| change["examples"][0]["entry"].clone()).collect();
    changes.sort_by_key(ToString::to_string);
    assert_eq!(changes, ["entry-6", "entry-800"]);
    let whys: Vec<_> = json["unjudged"].as_array().unwrap().iter().map(|held| held["why"].as_str().unwrap()).collect();
    assert_eq!(whys, ["no record of a message", "the configuration has no such server"]);
    let text = replay(home, &["--replay", "--show-arguments"]).status(1).stdout;
    for line in [
        "\nnow denied\n  1 × ann: tools/call bank/pay\n      allow -> deny (policy.denied)\n",
        "is forbidden by `less`\n      2027-01-15T08:00:00Z  entry-800\n          {\"amount\":800}\n",
        "\nnow allowed\n  1 × ann: tools/call bank/pay\n      approve (policy.approval) -> allow\n",
        "\ncannot be judged\n  1: no record of a message\n",
        "2 same, 1 now denied, 0 now asks, 1 now allowed; 2 cannot be judged\n",
    ] {
        assert!(text.contains(line), "{line}\nis not in:\n{text}");
    }
    assert!(!replay(home, &["--replay"]).status(1).stdout.contains("{\"amount\""));
}

#[test]
fn without_a_difference_it_is_clean_and_without_anything_it_is_not() {
    let home = home();
    let home = home.path();
    let end = replay(home, &["--replay"]).status(3);
    assert!(end.stderr.contains("cannot read"), "{}", end.stderr);
    fs::create_dir(home.join("captured")).unwrap();
    let end = replay(home, &["--replay"]).status(3);
    assert!(end.stderr.contains("nothing is captured"), "{}", end.stderr);
    capture(home, &[record("bank", 5, "allow", None).to_bytes()]);
    let end = replay(home, &["--replay"]).status(0);
    assert!(end.stdout.contains("1 same, 0 now denied"), "{}", end.stdout);
    let elsewhere = home.join("captured").display().to_string();
    let end = replay(home, &["--replay", &elsewhere, "cases.toml"]).status(2);
    assert!(end.stderr.contains("cannot be used with"), "{}", end.stderr);
    let end = replay(home, &["--show-arguments", "cases.toml"]).status(2);
    assert!(end.stderr.contains("--replay"), "{}", end.stderr);
    replay(home, &[]).status(2);
    fs::remove_file(home.join("state.db")).unwrap();
    let end = replay(home, &["--replay"]).status(3);
    assert!(end.stderr.contains("there is no store here"), "{}", end.stderr);
}

#[test]
fn a_copy_of_a_file_counts_no_second_time() {
    let home = home();
    let home = home.path();
    capture(home, &[record("bank", 800, "allow", None).to_bytes()]);
    let captured = home.join("captured");
    let own = fs::read_dir(&captured).unwrap().next().unwrap().unwrap().path();
    // Before it in the order of names, and behind it.
    let named = |first: &str| captured.join(format!("capture-{first}{}-{}.sealed", "0".repeat(18), "a".repeat(32)));
    let copies = ["00", "09"].map(named);
    for copy in &copies {
        fs::copy(&own, copy).unwrap();
    }
    let ends = |status| {
        let json = replay(home, &["--json", "--replay"]).status(status).json();
        let files = json["files"].as_array().unwrap().iter();
        let of = |file: &serde_json::Value| {
            let records = file["records"].as_u64().unwrap();
            (file["file"].as_str().unwrap().rsplit('/').next().unwrap().to_owned(), file["end"].to_string(), records)
        };
        (json["judged"].as_u64().unwrap(), files.map(of).collect::<Vec<_>>())
    };
    let (judged, files) = ends(1);
    assert_eq!(judged, 1, "{files:?}");
    let own_name = own.file_name().unwrap().to_str().unwrap();
    for (file, end, records) in &files {
        let is_own = file == own_name;
        assert_eq!((end.as_str(), *records), if is_own { ("\"closed\"", 1) } else { ("\"copy\"", 0) }, "{files:?}");
    }
    assert_eq!(files.len(), 3);
    let text = replay(home, &["--replay"]).status(1).stdout;
    assert_eq!(text.matches("0 captured: a copy of another file here, so it was left out").count(), 2, "{text}");
    // One that is cut off does not pass for all of it, with a whole one beside it.
    let whole = fs::read(&own).unwrap();
    fs::write(&own, &whole[..whole.len() - 7]).unwrap();
    let text = replay(home, &["--replay"]).status(3).stdout;
    assert_eq!(text.matches("a copy of a file here that is damaged").count(), 2, "{text}");
    // What is left when the file itself is gone counts, once.
    fs::remove_file(&own).unwrap();
    let (judged, files) = ends(1);
    assert_eq!((judged, files[0].1.as_str(), files[1].1.as_str()), (1, "\"closed\"", "\"copy\""));
}

#[test]
fn nothing_is_made_in_a_store_that_has_sealed_nothing() {
    let home = home();
    let home = home.path();
    capture(home, &[record("bank", 5, "allow", None).to_bytes()]);
    for name in ["state.db", "state.db-wal", "state.db-shm", "state.db.rev", "state.key"] {
        fs::remove_file(home.join(name)).ok();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { Store::open(&home.join("state.db")).await.unwrap().close().await });
    for _ in 0..2 {
        let end = replay(home, &["--replay"]).status(3);
        assert!(end.stderr.contains("nothing has been sealed in this store yet"), "{}", end.stderr);
        assert!(!home.join("state.key").exists());
    }
    // One that has sealed something has other keys.
    runtime.block_on(async { Store::open(&home.join("state.db")).await.unwrap().sealer().await.unwrap() });
    let json = replay(home, &["--replay", "--json"]).status(3).json();
    assert_eq!((&json["judged"], &json["files"][0]["end"]), (&0.into(), &"unread".into()), "{json}");
    assert!(json["files"][0]["fault"].as_str().unwrap().contains("which the store does not have"), "{json}");
}

#[test]
fn what_names_another_definition_than_the_lock_file_is_not_judged() {
    use sha2::{Digest as _, Sha256};
    let home = home();
    let home = home.path();
    let other = PAY.replace("pay", "pay\",\"title\":\"x");
    let approved = |tool: &str| record_of("bank", 5, ("allow", None), (tool, true)).to_bytes();
    capture(home, &[approved(PAY), approved(&other), record("bank", 5, "allow", None).to_bytes()]);
    let counts = |status| {
        let found = replay(home, &["--replay", "--json"]).status(status).json();
        let whys: Vec<_> = found["unjudged"].as_array().unwrap().iter().map(|held| held["why"].to_string()).collect();
        (found["judged"].as_u64().unwrap(), whys.join(" "))
    };
    assert_eq!(counts(0), (1, r#""not in the lock file any more""#.to_owned()));
    let pay = Definition {
        kind: "tool".to_owned(),
        name: "pay".to_owned(),
        sha256: Sha256::digest(PAY).iter().map(|byte| format!("{byte:02x}")).collect(),
        body: None,
        labels: None,
        json: PAY.to_owned(),
    };
    let mut lock = Lock::open(home.join("mcp.lock")).unwrap();
    lock.record_first_seen("bank", &[pay], SystemTime::now()).unwrap();
    // What nobody had approved was stopped by nothing then, so it is judged as it was.
    assert_eq!(counts(0), (2, r#""another definition in the lock file by now""#.to_owned()));
}
