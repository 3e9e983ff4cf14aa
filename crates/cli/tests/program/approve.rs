//! `bartizan approve`.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use bartizan_store::Store;
use bartizan_store::approvals::{Most, Request};
use serde_json::json;

use crate::support::{End, bartizan_at};

/// A request of `ann` that waits, and needs what is said: a yes, a proof, or both.
fn request(id: &str, needs_yes: bool, needs_proof: bool) -> Request {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap();
    let ask = |need: &str| json!({"rule": "policy.rule", "why": "why", "need": need, "approvers": []});
    let asks = [(needs_yes, "approval"), (needs_proof, "step_up")].into_iter().filter(|(needs, _)| *needs);
    Request {
        id: id.to_owned(),
        digest: [u8::try_from(id.len()).unwrap(); 32],
        principal: "ann".to_owned(),
        server: "bank".to_owned(),
        what: "tool pay".to_owned(),
        asks: json!({"fresh": false, "asks": asks.map(|(_, need)| ask(need)).collect::<Vec<_>>()}),
        sealed: Vec::new(),
        needs_yes,
        needs_proof,
        four_eyes: false,
        created_at: now,
        expires_at: now + 900_000_000,
    }
}

fn ask(store: &Path, requests: &[Request]) {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = Store::open(store).await.unwrap();
        for request in requests {
            store.ask_approval(request, Most { each: 9, all: 9 }).await.unwrap();
        }
        store.close().await;
    });
}

#[test]
fn what_only_whoever_asks_can_show_names_them_and_their_page() {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("own.toml");
    let (file, store) = (config.display().to_string(), home.path().join("state.db"));
    ask(&store, &[request("proof", false, true), request("both", true, true), request("yes", true, false)]);
    let run = |arguments: &[&str]| bartizan_at(home.path(), &[&["approve"], arguments].concat());
    let refused = |end: End, what: &str| {
        let end = end.status(2);
        assert!(end.stderr.contains(what), "{}", end.stderr);
        assert!(end.stdout.starts_with("proof  tool pay of server bank, for ann: waits"), "{}", end.stdout);
        assert!(end.stdout.contains("  ann has to show who they are\n"), "{}", end.stdout);
    };
    let begin = "[store]\npath = 'state.db'\n[listen]\n";
    let who = "error: nobody has to agree to it: `ann` has to show who they are, ";
    for (listen, place) in [
        ("public_url = 'https://mcp.example.com'\n[sign_in]\n", "at https://mcp.example.com/bartizan/approve/proof"),
        ("address = '127.0.0.1:9000'\n[sign_in]\n", "at http://127.0.0.1:9000/bartizan/approve/proof"),
        ("address = '127.0.0.1:0'\n[sign_in]\n", "at /bartizan/approve/proof of the gateway's pages"),
        ("address = '127.0.0.1:9000'\n", "and without [sign_in] there is no page for that"),
    ] {
        fs::write(&config, format!("{begin}{listen}")).unwrap();
        // Also without --yes: nobody is asked back about what they cannot decide.
        refused(run(&["proof", "--config", &file]), &format!("{who}{place}"));
        refused(run(&["proof", "--yes", "--config", &file]), &format!("{who}{place}"));
    }
    refused(run(&["proof", "--yes"]), &format!("{who}at /bartizan/approve/proof of the gateway's pages"));

    // The twins: where somebody has to agree as well they can, and are told of the rest; and where nothing else is needed.
    fs::write(&config, format!("{begin}public_url = 'https://mcp.example.com'\n[sign_in]\n")).unwrap();
    let end = run(&["both", "--yes", "--config", &file]).status(0);
    assert!(end.stdout.ends_with("pending: both\n"), "{}", end.stdout);
    assert_eq!(end.stderr, "`ann` has to show who they are, at https://mcp.example.com/bartizan/approve/both\n");
    let end = run(&["yes", "--yes", "--config", &file]).status(0);
    assert!(end.stdout.ends_with("approved: yes\n") && !end.stdout.contains("has to show"), "{}", end.stdout);
    assert!(end.stderr.starts_with("good for once, until "), "{}", end.stderr);
}
