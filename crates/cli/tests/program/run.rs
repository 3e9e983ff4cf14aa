//! `bartizan run` where there is no server in the end; what it does with one is in the suites of `tests`.

use std::fs;

use serde_json::{Value, json};

use crate::support::{End, bartizan_at, bartizan_fed_at};

/// What a client says first.
const ASKED: &str = concat!(
    r#"{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":"2025-11-25","#,
    r#""capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#,
    "\n"
);

/// The only line that the client got.
fn told(end: &End) -> Value {
    assert_eq!(end.stdout.lines().count(), 1, "{end:?}");
    serde_json::from_str(&end.stdout).unwrap()
}

#[test]
fn a_client_is_told_why_its_server_does_not_start() {
    let home = tempfile::tempdir().unwrap();
    let wrong = home.path().join("wrong.toml");
    fs::write(&wrong, "[audit]\ndirectory = \"held-back\"\nnonsense = 1\n").unwrap();
    let wrong = wrong.display().to_string();
    let unconfined = ["--level", "none", "--allow-unconfined"];
    let missing = ["--", "/no/such/program"];
    let run = |options: &[&str]| {
        let arguments: Vec<&str> = ["run"].iter().chain(options).chain(&missing).copied().collect();
        bartizan_fed_at(home.path(), &arguments, ASKED)
    };
    for (end, status, why) in [
        (run(&["--standalone"]), 4, "/no/such/program"),
        (run(&["--standalone", unconfined[0], unconfined[1], unconfined[2]]), 4, "/no/such/program"),
        (run(&[]), 4, "/no/such/program"),
        (run(&["--bridge"]), 4, "its program cannot be started"),
        (run(&["--config", &wrong]), 2, "nonsense"),
        (run(&["--config", "/no/such.toml"]), 2, "/no/such.toml"),
        (run(&["--memory", "much"]), 2, "much"),
        (run(&["--profile", "none-of-these"]), 2, "none-of-these"),
        (run(&["--nonsense", "held-back"]), 2, "standard error says why"),
        (
            bartizan_fed_at(home.path(), &["run", "--standalone", "mcp-server", "held-back"], ASKED),
            2,
            "stands behind `--`",
        ),
    ] {
        let answer = told(&end);
        let end = end.status(status);
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(7), &json!(-31004)), "{answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("bartizan has not started the server: ") && message.contains(why), "{message}");
        assert!(!message.contains("held-back") && !message.contains('\n'), "what files hold is not told: {message}");
        assert!(end.stderr.contains(why) || why.starts_with("standard error"), "{}", end.stderr);
    }
    let log = bartizan_at(home.path(), &["audit", "tail", "--json", "-n", "100"]).status(0).stdout;
    let failed = log.lines().filter(|line| line.contains(r#""kind":"server.failed""#));
    assert!(failed.count() >= 4, "each start that failed is in a log: {log}");
    // Whose directory cannot be made.
    let end = bartizan_fed_at("/proc/none".as_ref(), &["run", "--", "/no/such/program"], ASKED);
    assert!(told(&end)["error"]["message"].as_str().unwrap().contains("/proc/none"), "{end:?}");
    // Who asks nothing is told nothing.
    let end = bartizan_fed_at(home.path(), &["run", "--standalone", "--", "/no/such/program"], "").status(4);
    assert_eq!(end.stdout, "");
    bartizan_at(home.path(), &["daemon", "--stop"]);
}

#[test]
fn a_server_that_starts_answers_for_itself() {
    let home = tempfile::tempdir().unwrap();
    let answer = r#"{"jsonrpc":"2.0","id":7,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"own","version":"1"}}}"#;
    let script = format!("read line; echo '{answer}'");
    for more in [&["--memory", "512MiB"][..], &[]] {
        let mut arguments = vec!["run", "--standalone"];
        arguments.extend(more);
        arguments.extend(["--", "/bin/sh", "-c", &script]);
        let end = bartizan_fed_at(home.path(), &arguments, ASKED);
        assert_eq!(told(&end)["result"]["serverInfo"]["name"], "own", "{end:?}");
    }
}
