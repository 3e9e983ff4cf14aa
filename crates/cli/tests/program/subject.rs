//! `bartizan subject`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use bartizan_pseudonym::{Kind, Root, Token};
use bartizan_store::pseudonyms::{Keep, New, Scope};
use bartizan_store::{Change, Store};
use serde_json::{Value, json};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::support::{End, bartizan_at, bartizan_fed};

const HOUR: i64 = 3_600_000_000;
const KEEP: Keep<'static> = Keep { keep_for: HOUR, most: 100, source: None };

fn subject(home: &Path, arguments: &[&str]) -> End {
    let store = home.join("state.db").display().to_string();
    bartizan_at(home, &[&["subject"], arguments, &["--store", &store]].concat())
}

/// Looks for a value, which is typed.
fn look(home: &Path, value: &str, arguments: &[&str]) -> End {
    let store = home.join("state.db").display().to_string();
    bartizan_fed(&[&["subject", "show", "--value-from-stdin"], arguments, &["--store", &store]].concat(), value)
}

fn now() -> i64 {
    i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap()
}

fn with_store<T>(home: &Path, work: impl AsyncFnOnce(&Store) -> T) -> T {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Store::open(&home.join("state.db")).await.unwrap();
        let done = work(&store).await;
        store.close().await;
        done
    })
}

/// Keeps a value as the gateway does, and returns its token.
async fn keep(store: &Store, scope: Scope<'_>, about: Option<&str>, (kind, value): (Kind, &str), at: i64) -> Token {
    let change = Change { by: "bartizan".to_owned(), at };
    let key = store.naming_key(scope.tenant, &change).await.unwrap();
    let token = Root::new(&key).namer(scope.tenant, scope.purpose).name(kind, &value.to_lowercase());
    let new = New { token: token.id(), kind: kind.as_str(), subject: about, value };
    store.put_pseudonyms(scope, &[new], KEEP, &change).await.unwrap();
    token
}

/// The tokens of what is kept: an address for two purposes, each a subject, and two more of somebody who is called `ann`; in another
/// tenant the same address; and an address that has expired and was not swept.
struct Kept {
    support: Token,
    billing: Token,
    phone: Token,
    other: Token,
    expired: Token,
}

fn kept(home: &Path) -> Kept {
    let email = (Kind::Email, "Ann@Example.com");
    let of = |tenant, purpose| Scope { tenant, purpose };
    with_store(home, async |store| {
        let support = keep(store, of("acme", "support"), None, email, now()).await;
        let billing = keep(store, of("acme", "billing"), None, email, now()).await;
        let phone = (Kind::Phone, "+49301234567");
        let phone = keep(store, of("acme", "support"), Some("ann"), phone, now()).await;
        keep(store, of("acme", "support"), Some("ann"), (Kind::PersonName, "Ann\u{1b}[31m Secretive"), now()).await;
        let other = keep(store, of("other", "support"), None, email, now()).await;
        let bob = (Kind::Email, "bob@example.com");
        let expired = keep(store, of("acme", "support"), None, bob, now() - 2 * HOUR).await;
        Kept { support, billing, phone, other, expired }
    })
}

/// Nothing that a value is made of.
#[track_caller]
fn shows_no_value(end: &End) {
    let all = format!("{end:?}").to_lowercase();
    assert!(!["ann@", "@example", "bob@", "4930", "secretive"].iter().any(|part| all.contains(part)), "{end:?}");
}

/// What is to be recorded of this, without who kept it.
fn events(home: &Path) -> Vec<(String, Value)> {
    with_store(home, async |store| {
        let mut said = Vec::new();
        let record = async |events: &[bartizan_store::Event]| {
            said.extend(events.iter().map(|event| (event.kind.clone(), event.fields.clone())));
            Ok::<_, ()>(())
        };
        store.record_events(record).await.unwrap().unwrap();
        said.retain(|(_, fields)| fields["by"] != "bartizan");
        said
    })
}

/// Who did it, as the log has it.
fn by() -> String {
    format!("uid:{}", rustix::process::getuid().as_raw())
}

#[test]
fn who_is_there_is_listed_without_what_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    assert!(subject(home, &["list"]).status(3).stderr.contains("there is nothing yet"));
    with_store(home, async |_| ());
    assert!(subject(home, &["list"]).status(0).stderr.contains("nothing is kept about anybody"));
    let kept = kept(home);
    let (support, billing, other) = (kept.support.id(), kept.billing.id(), kept.other.id());
    let listed = subject(home, &["list", "--json"]).status(0);
    shows_no_value(&listed);
    let of = |one: &Value| (one["tenant"].clone(), one["subject"].clone(), one["count"].clone());
    let all: Vec<_> = listed.json()["subjects"].as_array().unwrap().iter().map(of).collect();
    let expected = [("acme", support, 1), ("acme", billing, 1), ("acme", "ann", 2), ("other", other, 1)];
    assert_eq!(all, expected.map(|(tenant, subject, count)| (json!(tenant), json!(subject), json!(count))));
    let shown = subject(home, &["list", "--tenant", "acme"]).status(0);
    shows_no_value(&shown);
    assert!(shown.stdout.contains("ann  of acme, 2 tokens, since ") && shown.stdout.lines().count() == 3, "{shown:?}");
    let wrong = subject(home, &["list", "--tenant", "third"]).status(2);
    assert!(wrong.stderr.contains("a tenant `third`; it was for acme, other"), "{wrong:?}");
    // Whoever lists sees no value, so nothing is recorded. Nor does the master key have to be there.
    assert_eq!(events(home), []);
    fs::remove_file(home.join("state.key")).unwrap();
    assert_eq!(subject(home, &["list", "--tenant", "acme"]).status(0).stdout, shown.stdout);
    subject(home, &["show", "ann"]).status(0);
}

#[test]
fn values_are_shown_only_where_that_is_asked_for_and_recorded() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let kept = kept(home);
    let (support, phone) = (kept.support.to_string(), kept.phone.to_string());
    for (who, count, part) in
        [("ann", 2, &phone), (&*phone, 2, &phone), (kept.phone.id(), 2, &phone), (&*support, 1, &support)]
    {
        let plain = subject(home, &["show", who]).status(0);
        shows_no_value(&plain);
        assert_eq!(plain.stdout.lines().count(), 1 + count, "{who}: {plain:?}");
        assert!(
            plain.stdout.contains(&format!("\n  {part}  ")) && plain.stdout.contains(" for support, "),
            "{plain:?}"
        );
        shows_no_value(&subject(home, &["show", who, "--json"]).status(0));
    }
    assert_eq!(events(home), []);
    let open = subject(home, &["show", &phone, "--reveal"]).status(0).stdout;
    assert!(open.contains("\n    +49301234567") && open.contains("\n    Ann\\u{1b}[31m Secretive"), "{open:?}");
    let open = subject(home, &["show", &support, "--reveal", "--json"]).status(0).json();
    let token = &open["subjects"][0]["tokens"][0];
    let found = [&token["token"], &token["kind"], &token["purpose"], &token["value"]];
    assert_eq!(
        found,
        [
            "person_".to_owned() + kept.support.id() + "@pseudonym.invalid",
            "email".to_owned(),
            "support".to_owned(),
            "Ann@Example.com".to_owned()
        ]
        .each_ref()
    );
    let revealed = |subject: &str, count| {
        let fields = json!({"tenant": "acme", "subject": subject, "count": count, "by": by()});
        ("subject.revealed".to_owned(), fields)
    };
    assert_eq!(events(home), [revealed("ann", 2), revealed(kept.support.id(), 1)]);
}

#[test]
fn who_asks_what_there_is_about_them_is_found_by_the_value() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let kept = kept(home);
    let whose = |end: End| -> Vec<String> {
        shows_no_value(&end);
        let json = end.status(0).json();
        json["subjects"].as_array().unwrap().iter().map(|one| one["subject"].as_str().unwrap().to_owned()).collect()
    };
    let mut acme = [kept.support.id(), kept.billing.id()];
    acme.sort_unstable();
    let both = [acme[0], acme[1], kept.other.id()];
    for (value, arguments, expected) in [
        ("ann@example.com\n", &["--json"][..], &both[..]),
        ("  ANN@example.COM", &["--json", "--tenant", "acme"], &acme),
        ("ann@example.com", &["--json", "--tenant", "other", "--kind", "email"], &both[2..]),
        ("ann@example.com", &["--json", "--kind", "user_name"], &[]),
        ("0049 30 123 45 67", &["--json"], &["ann"]),
        // Nobody, or not any more.
        ("carl@example.com", &["--json"], &[]),
        ("bob@example.com", &["--json"], &[]),
    ] {
        assert_eq!(whose(look(home, value, arguments)), expected, "{value:?} {arguments:?}");
    }
    let looked = events(home);
    assert!(looked.iter().all(|(kind, fields)| kind == "pseudonym.looked_up" && fields["by"] == by()), "{looked:?}");
    let first = looked.iter().take(3).map(|(_, of)| (of["tenant"].clone(), of["purpose"].clone(), of["count"].clone()));
    let expected = [("acme", "billing", 1), ("acme", "support", 1), ("other", "support", 1)];
    let expected = expected.map(|(tenant, purpose, count)| (json!(tenant), json!(purpose), json!(count)));
    assert_eq!(first.collect::<Vec<_>>(), expected);
    assert!(looked.iter().all(|(_, fields)| !fields.to_string().contains('@')), "{looked:?}");
    let none = look(home, "carl@example.com", &[]).status(0);
    assert!(none.stdout.is_empty() && none.stderr.contains("no token stands for that"), "{none:?}");
    let open = look(home, "ann@example.com", &["--reveal", "--tenant", "other"]).status(0).stdout;
    assert!(open.contains("\n    Ann@Example.com\n"), "{open}");
    let kinds: Vec<_> = events(home).into_iter().map(|(kind, _)| kind).collect();
    assert!(kinds.contains(&"subject.revealed".to_owned()), "{kinds:?}");
}

#[test]
fn all_of_somebody_is_handed_out_for_machines_to_read() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    kept(home);
    let out = subject(home, &["export", "ann"]).status(0).json();
    assert_eq!((&out["tenant"], &out["subject"], &out["count"]), (&json!("acme"), &json!("ann"), &json!(2)));
    let mut values: Vec<_> =
        out["tokens"].as_array().unwrap().iter().map(|one| one["value"].as_str().unwrap()).collect();
    values.sort_unstable();
    assert_eq!(values, ["+49301234567", "Ann\u{1b}[31m Secretive"]);
    assert!(out["exported_at"].is_string());
    let fields = json!({"tenant": "acme", "subject": "ann", "count": 2, "by": by()});
    assert_eq!(events(home), [("subject.exported".to_owned(), fields)]);
}

#[test]
fn what_is_erased_is_gone_and_what_is_left_is_said() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let kept = kept(home);
    let token = kept.support.to_string();
    let refused = subject(home, &["erase", &token]).status(2);
    assert!(refused.stderr.contains("without a terminal; to erase without, say --yes"), "{refused:?}");
    assert!(subject(home, &["erase", &token, "--json"]).status(2).stderr.contains("say --yes as well"));
    assert_eq!(events(home), []);
    let erased = subject(home, &["erase", &token, "--yes"]).status(0);
    shows_no_value(&erased);
    assert_eq!(erased.stdout, format!("erased: {} of acme, 1 token\n", kept.support.id()));
    for left in ["backups", "conversations", "the key that tokens are made with", "kept again"] {
        assert!(erased.stderr.contains(left), "{erased:?}");
    }
    let fields = json!({"tenant": "acme", "subject": kept.support.id(), "count": 1, "by": by()});
    assert_eq!(events(home), [("subject.erased".to_owned(), fields)]);
    let again = subject(home, &["erase", &token, "--yes"]).status(2);
    assert!(again.stderr.contains("has expired or was erased"), "{again:?}");
    // The same for another purpose is there still.
    subject(home, &["show", &kept.billing.to_string(), "--reveal"]).status(0);
    let json = subject(home, &["erase", "ann", "--yes", "--json"]).status(0).json();
    assert_eq!((&json["erased"], &json["overwritten"]), (&json!(2), &json!(true)));
    // What has expired is nobody's to be shown, and is in the files until it is swept.
    subject(home, &["show", kept.expired.id()]).status(2);
    subject(home, &["erase", kept.expired.id(), "--yes"]).status(0);
    assert!(subject(home, &["erase", "--finish"]).status(0).stdout.contains("nothing of what was erased"));
}

/// It takes as long as a writer waits for a reader, ten seconds.
#[test]
fn a_key_whose_bytes_are_still_in_a_file_is_an_error_that_says_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let kept = kept(home);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut reader = runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(home.join("state.db"));
        let mut reader = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql("BEGIN; SELECT count(*) FROM subject").execute(&mut reader).await.unwrap();
        reader
    });
    let end = subject(home, &["erase", kept.support.id(), "--yes"]).status(3);
    assert!(end.stdout.starts_with("erased: ") && end.stderr.contains("bartizan subject erase --finish"), "{end:?}");
    subject(home, &["show", kept.support.id()]).status(2);
    runtime.block_on(async { sqlx::raw_sql("ROLLBACK").execute(&mut reader).await.unwrap() });
    subject(home, &["erase", "--finish"]).status(0);
    runtime.block_on(reader.close()).unwrap();
}

#[test]
fn what_cannot_be_answered_is_said() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    for command in [&["show", "ann"][..], &["export", "ann"], &["erase", "ann", "--yes"], &["erase", "--finish"]] {
        assert!(subject(home, command).status(3).stderr.contains("there is nothing yet"), "{command:?}");
    }
    let kept = kept(home);
    for (arguments, why) in [
        (&["show", "bea"][..], "there is no subject or token `bea`"),
        (&["show", "person_00000000000000000000@pseudonym.invalid"], "there is no subject or token `person_"),
        (&["show", "ann", "--tenant", "other"], "there is no subject or token `ann`"),
        (&["export", kept.other.id(), "--tenant", "acme"], "there is no subject or token"),
        (&["show"], "required"),
        (&["show", "ann", "--value-from-stdin"], "cannot be used with"),
        (&["show", "ann", "--kind", "email"], "cannot be used with"),
        (&["show", "--kind", "email"], "required"),
        (&["show", "--value-from-stdin", "--kind", "mail"], "invalid value"),
        (&["show", "--value-from-stdin"], "there is no value on standard input"),
        (&["export"], "required"),
        (&["erase"], "required"),
        (&["erase", "ann", "--finish"], "cannot be used with"),
    ] {
        let end = subject(home, arguments).status(2);
        assert!(end.stderr.contains(why) && end.stdout.is_empty(), "{arguments:?}: {end:?}");
    }
    // An address as an argument is not repeated, and the way is told.
    let end = subject(home, &["show", "ann@example.com"]).status(2);
    shows_no_value(&end);
    assert!(end.stderr.contains("--value-from-stdin"), "{end:?}");
    assert!(look(home, &"x".repeat(5_000), &[]).status(2).stderr.contains("at most 4096 bytes"));
    // The same name in two tenants is nobody in particular.
    let scope = Scope { tenant: "other", purpose: "support" };
    with_store(home, async |store| keep(store, scope, Some("ann"), (Kind::Phone, "+1"), now()).await);
    let end = subject(home, &["export", "ann"]).status(2);
    assert!(end.stderr.contains("`ann` of acme, `ann` of other; say whose data it is with --tenant"), "{end:?}");
    assert_eq!(subject(home, &["export", "ann", "--tenant", "other"]).status(0).json()["count"], 1);
    events(home);
    // Without the master key nothing is shown, and nothing is said to have been.
    fs::remove_file(home.join("state.key")).unwrap();
    for end in [
        subject(home, &["show", kept.support.id(), "--reveal"]),
        subject(home, &["export", kept.support.id()]),
        look(home, "ann@example.com", &[]),
    ] {
        let end = end.status(2);
        assert!(end.stdout.is_empty() && end.stderr.contains("the master key is not there"), "{end:?}");
    }
    assert_eq!(events(home), []);
    // To erase needs none.
    subject(home, &["erase", kept.support.id(), "--yes"]).status(0);
}

#[test]
fn a_gateway_that_runs_has_it_in_its_log() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let kept = kept(home);
    let config = home.join("bartizan.toml");
    let text = "[listen]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n[auth]\nrequired = true\n\
                [server.a]\ncommand = [\"cat\"]\n";
    fs::write(&config, format!("{text}[store]\npath = \"{}\"\n", home.join("state.db").display())).unwrap();
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_bartizan"))
        .args(["serve", "--config", &config.display().to_string()])
        .env_clear()
        .envs([("BARTIZAN_HOME", home.as_os_str()), ("PATH", "/usr/bin:/bin".as_ref())])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(gateway.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.by_ref().any(|line| line.starts_with("health and metrics at ")));
    subject(home, &["show", kept.support.id(), "--reveal"]).status(0);
    look(home, "ann@example.com", &["--tenant", "other"]).status(0);
    subject(home, &["export", kept.billing.id()]).status(0);
    subject(home, &["erase", kept.billing.id(), "--yes"]).status(0);
    let wanted = ["subject.revealed", "pseudonym.looked_up", "subject.exported", "subject.erased"];
    let patience = Instant::now() + Duration::from_secs(60);
    let found = loop {
        let log = bartizan_at(home, &["audit", "tail", "--json", "--lines", "100", "--who", &by()]).status(0).stdout;
        let entries = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let found: Vec<_> = entries.filter(|entry| wanted.contains(&entry["kind"].as_str().unwrap())).collect();
        if found.len() >= wanted.len() || Instant::now() > patience {
            break found;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    assert!(Command::new("kill").args(["-INT", &gateway.id().to_string()]).status().unwrap().success());
    assert!(gateway.wait().unwrap().success());
    let kinds: Vec<_> = found.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, wanted, "{found:?}");
    assert!(found.iter().all(|entry| entry["by"] == by() && entry["done_at"].is_string()), "{found:?}");
    assert!(!format!("{found:?}").to_lowercase().contains("ann@"), "{found:?}");
}
