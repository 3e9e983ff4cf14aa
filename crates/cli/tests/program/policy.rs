//! `bartizan policy`.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use bartizan_trust::{Definition, Lock};

use crate::support::{End, bartizan_at};

const CONFIG: &str = "[policy]\nfiles = ['p.cedar']\n\
    [role.clerk]\nallow = ['tool:bank/balance']\ndeny = ['tool:bank/close']\nmembers = ['ann']\n\
    [group.team]\nmembers = ['ann']\n[lock]\npath = 'mcp.lock'\n";

const POLICY: &str = "@id(\"pay\") @advice(\"Ask the treasury.\")\n\
    permit(principal in Mcp::Group::\"team\", action == Mcp::Action::\"bank/pay\", resource)\n\
    when { context.input.amount <= 500 };\n";

/// A tool of a bank, with a text as the lock file keeps it.
fn tool(name: &str, rest: &str) -> Definition {
    use sha2::{Digest, Sha256};
    let json = format!(r#"{{"name":"{name}"{rest}}}"#);
    let sha256 = Sha256::digest(json.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    Definition { kind: "tool".to_owned(), name: name.to_owned(), sha256, body: None, json }
}

fn policy(policies: &str, arguments: &[&str]) -> End {
    let home = tempfile::tempdir().unwrap();
    let home: &Path = home.path();
    fs::write(home.join("bartizan.toml"), CONFIG).unwrap();
    fs::write(home.join("p.cedar"), policies).unwrap();
    let mut lock = Lock::open(home.join("mcp.lock")).unwrap();
    let schema =
        r#","inputSchema":{"type":"object","properties":{"amount":{"type":"integer"},"odd":{}},"required":["amount"]}"#;
    lock.record_first_seen("bank", &[tool("pay", schema), tool("balance", "")], SystemTime::now()).unwrap();
    let file = home.join("bartizan.toml").display().to_string();
    bartizan_at(home, &[&["policy"], arguments, &["--config", &file]].concat())
}

#[test]
fn policies_are_held_against_approved_tools() {
    let end = policy(POLICY, &["check"]).status(0);
    assert_eq!(end.stdout, "note: no policy can read bank/pay: odd\nok: 3 policies, held against 2 tools\n");
    let json = policy(POLICY, &["check", "--json"]).status(0).json();
    assert_eq!(json["tools"], serde_json::json!(["bank/balance", "bank/pay"]));

    let odd = POLICY.replace("amount <= 500", "odd == 5");
    let end = policy(&odd, &["check"]).status(1);
    assert!(end.stdout.contains("p.cedar:3:") && end.stdout.contains("reads argument `odd`"), "{}", end.stdout);
    let end = policy("permit(principal);", &["check"]).status(2);
    assert!(end.stderr.contains("p.cedar:1:"), "{}", end.stderr);
}

#[test]
fn a_decision_is_explained() {
    for (arguments, decision, listed, by) in [
        (&["ann", "bank/pay", "{\"amount\": 500}"][..], "allow", true, Some("pay")),
        (&["ann", "bank/pay", "{\"amount\": 501}"], "deny", true, None),
        (&["ann", "bank/pay", "{\"amount\": \"1\"}"], "deny", true, None),
        (&["eve", "bank/pay", "{\"amount\": 500}"], "deny", false, None),
        (&["ann", "bank/balance"], "allow", true, Some("role.clerk.allow tool:bank/balance")),
        (&["eve", "bank/balance", "--role", "clerk"], "allow", true, Some("role.clerk.allow tool:bank/balance")),
        (&["ann", "bank/close"], "deny", false, Some("role.clerk.deny tool:bank/close")),
    ] {
        let json = policy(POLICY, &[&["explain"], arguments, &["--json"]].concat()).status(0).json();
        assert_eq!(
            (json["decision"].as_str(), json["listed"].as_bool()),
            (Some(decision), Some(listed)),
            "{arguments:?}"
        );
        assert_eq!(json["policies"][0]["id"].as_str(), by, "{arguments:?}");
    }
    let text = policy(POLICY, &["explain", "ann", "bank/pay", "{\"amount\": 5}"]).status(0).stdout;
    for part in [
        "allow: ann may call bank/pay\n",
        "roles   clerk\n",
        "groups  team\n",
        "by pay\n",
        "Ask the treasury.",
        "context.input.amount",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for wrong in [&["ann", "bank"][..], &["ann", "/pay"], &["ann", "bank/pay", "{"]] {
        policy(POLICY, &[&["explain"], wrong].concat()).status(2);
    }
}
