//! `bartizan guards --flows`.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use bartizan_trust::{Definition, Lock};
use serde_json::{Value, json};

use crate::support::{End, bartizan_at};

/// The lock file beside a configuration knows tools of these servers.
fn known(home: &Path, servers: &[(&str, &[&str])]) {
    use sha2::{Digest, Sha256};
    let mut lock = Lock::open(home.join("mcp.lock")).unwrap();
    for (server, tools) in servers {
        let define = |name: &&str| {
            let json = json!({"name": name, "inputSchema": {"type": "object"}}).to_string();
            let sha256 = Sha256::digest(json.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
            Definition { kind: "tool".to_owned(), name: (*name).to_owned(), sha256, body: None, labels: None, json }
        };
        let tools: Vec<_> = tools.iter().map(define).collect();
        lock.set_identity(server, server).unwrap();
        lock.record_first_seen(server, &tools, SystemTime::now()).unwrap();
    }
}

/// A home with a configuration of these servers, which ends with `more`.
fn flows(servers: &[&str], more: &str, arguments: &[&str]) -> End {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    known(
        home,
        &[
            ("mail", &["search_emails", "send_email"]),
            ("clock", &["get_current_time"]),
            ("book", &["get_contacts"]),
            ("web", &["web_search"]),
        ],
    );
    let servers: String = servers.iter().map(|name| format!("[server.{name}]\ncommand = [\"{name}\"]\n")).collect();
    let file = home.join("bartizan.toml");
    fs::write(&file, format!("{servers}{more}")).unwrap();
    let file = file.display().to_string();
    bartizan_at(home, &[&["guards", "--flows", "--config", &file], arguments].concat())
}

#[test]
fn a_way_out_and_what_stands_in_it() {
    for (servers, more, status, says) in [
        (&["mail", "clock"][..], "", 0, "mail: the guard flow stands in the way"),
        (&["mail"], "", 0, "mail/send_email: flow.untrusted_destination, flow.private_data, flow.trifecta approve"),
        (&["book", "web"], "", 0, "book + web: the guard flow stands in the way"),
        (&["book", "clock"], "", 0, "no servers that are known make a way out together"),
        (&["mail"], "[guard.flow]\naction = \"observe\"\n", 1, "flow.trifecta nothing (observe)"),
        (&["mail"], "[guard.flow]\nenabled = false\n", 1, "mail: nothing stands in the way"),
        (&["mail"], "[guard.flow.rules]\ntrifecta = \"observe\"\n", 1, "mail: only some rules stand in the way"),
        (&["mail"], "[guard.flow]\ntrusted = [\"mail\"]\n", 0, "no servers that are known make a way out together"),
    ] {
        let end = flows(servers, more, &[]).status(status);
        assert!(end.stdout.contains(says), "{servers:?} {more}: {}", end.stdout);
    }
}

#[test]
fn arguments_and_policies_are_looked_at_as_far_as_they_can_be() {
    let only = "mail: the guard flow stands in the way, and only calls with certain arguments go that way";
    let no_labels = "[[guard.flow.tool]]\nname = \"mail/send_email\"\nlabels = []\n";
    let with =
        "[[guard.flow.tool]]\nname = \"mail/send_email\"\nwhere = { list = [\"all\"] }\nlabels = [\"public_sink\"]\n";
    let none = "no servers that are known make a way out together";
    for (more, says) in
        [(format!("{with}{no_labels}"), only), (no_labels.to_owned(), none), (with.to_owned(), "mail: the guard flow")]
    {
        let end = flows(&["mail"], &more, &[]).status(0);
        assert!(end.stdout.contains(says), "{more}: {}", end.stdout);
    }
    let json = flows(&["mail"], &format!("{with}{no_labels}"), &["--json"]).status(0).json();
    assert_eq!(json["combinations"][0]["only_with_arguments"], true);
    for (deny, says) in [("tool:mail/send_email", none), ("tool:mail/get_all", "mail: the guard flow")] {
        // Whoever has the role is forbidden, and nobody else.
        let role = format!("[policy]\ndefault = \"permit\"\n[role.clerk]\nmembers = [\"ann\"]\ndeny = [\"{deny}\"]\n");
        let end = flows(&["mail"], &role, &[]).status(0);
        assert!(end.stdout.contains("mail: the guard flow"), "{}", end.stdout);
        let name = deny.trim_start_matches("tool:");
        let policy = tempfile::NamedTempFile::new().unwrap();
        fs::write(policy.path(), format!("@id(\"no\") forbid(principal, action, resource == Mcp::Tool::\"{name}\");"))
            .unwrap();
        let file = policy.path().display();
        let end = flows(&["mail"], &format!("[policy]\ndefault = \"permit\"\nfiles = [\"{file}\"]\n"), &[]).status(0);
        assert!(end.stdout.contains(says), "{deny}: {}", end.stdout);
        assert_eq!(
            end.stderr.contains("forbids it to everybody: mail/send_email (`no`)"),
            says == none,
            "{}",
            end.stderr
        );
    }
}

#[test]
fn json_names_what_is_known_and_what_is_not() {
    let json = flows(&["mail", "later"], "", &["--json"]).status(0).json();
    assert_eq!(json["format"], "bartizan.guards.flows/1");
    assert_eq!((&json["unseen"], &json["without_text"]), (&json!(["later"]), &json!([])));
    let place = |of: &str| -> Vec<&Value> {
        let numbers = json["combinations"][0][of].as_array().unwrap().iter();
        numbers.map(|at| &json["places"][usize::try_from(at.as_u64().unwrap()).unwrap()]["name"]).collect()
    };
    assert_eq!(json["combinations"][0]["servers"], json!(["mail"]));
    assert_eq!(json["combinations"][0]["in_the_way"], "all");
    assert_eq!(place("untrusted_content"), ["search_emails"]);
    assert_eq!(place("public_sink"), ["send_email"]);
    let end = flows(&["later"], "", &[]).status(0);
    assert!(end.stderr.contains("1 server was never seen, so nothing is known of it: later"), "{}", end.stderr);
}

#[test]
fn without_a_lock_file_nothing_is_said() {
    let home = tempfile::tempdir().unwrap();
    let end = bartizan_at(home.path(), &["guards", "--flows"]).status(3);
    assert!(end.stderr.contains("there is no lock file"), "{}", end.stderr);
    bartizan_at(home.path(), &["guards", "--config", "bartizan.toml"]).status(2);
    bartizan_at(home.path(), &["guards", "flow", "--flows"]).status(2);
}
