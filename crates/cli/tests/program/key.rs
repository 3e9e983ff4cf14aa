//! `bartizan key`.

use std::path::Path;

use serde_json::Value;

use crate::support::{End, bartizan_at};

fn key(home: &Path, arguments: &[&str]) -> End {
    let store = home.join("state.db").display().to_string();
    bartizan_at(home, &[&["key"], arguments, &["--store", &store]].concat())
}

fn created(home: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&key(home, &[&["create"], arguments, &["--json"]].concat()).status(0).stdout).unwrap()
}

fn states(home: &Path) -> Vec<(String, String)> {
    let listed: Value = serde_json::from_str(&key(home, &["list", "--all", "--json"]).status(0).stdout).unwrap();
    let of = |key: &Value, member: &str| key[member].as_str().unwrap().to_owned();
    listed["keys"].as_array().unwrap().iter().map(|key| (of(key, "id"), of(key, "state"))).collect()
}

#[test]
fn a_key_is_printed_once_alone_and_is_in_no_list() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let end = key(home, &["create", "ann", "--scope", "mcp", "--expires", "90d", "--note", "laptop"]).status(0);
    let secret = end.stdout.trim();
    assert!(secret.starts_with("btz_") && secret.len() == 66 && !end.stderr.contains(secret), "{end:?}");
    for list in [&["list"][..], &["list", "--all"], &["list", "--json"]] {
        let shown = key(home, list).status(0).stdout;
        assert!(
            shown.contains("ann") && shown.contains("laptop") && !shown.contains(secret.get(17..).unwrap()),
            "{shown}"
        );
    }
    // Whoever has found a whole key may name it by that.
    assert!(key(home, &["revoke", secret]).status(0).stdout.starts_with("revoked: "));
    assert!(key(home, &["revoke", secret]).status(0).stdout.starts_with("was revoked before: "));
}

#[test]
fn a_key_that_comes_in_anothers_place_is_for_the_same() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let scopes = ["--scope", "server:a", "--scope", "tool:b/c*"];
    let old = created(home, &[&["ann", "--role", "clerk", "--note", "n", "--expires", "1h"], &scopes[..]].concat());
    let id = old["id"].as_str().unwrap();
    let new = key(home, &["rotate", id, "--expires", "2h", "--overlap", "0", "--json"]).status(0).stdout;
    let new: Value = serde_json::from_str(&new).unwrap();
    for member in ["principal", "roles", "scopes", "note"] {
        assert_eq!(new[member], old[member], "{member}");
    }
    assert_eq!((&new["replaces"], &new["roles"]), (&old["id"], &serde_json::json!(["clerk"])));
    let states: Vec<_> = states(home).into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, ["expired", "good"]);
    let again = key(home, &["rotate", id, "--expires", "2h"]).status(2).stderr;
    assert!(again.contains("has expired"), "{again}");
}

#[test]
fn what_makes_no_key_is_said() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    assert!(key(home, &["list"]).status(3).stderr.contains("there is nothing yet"));
    for (arguments, why) in [
        (&["ann", "--scope", "mcp", "--expires", "2020-01-01"][..], "is in the past"),
        (&["ann", "--scope", "mcp", "--expires", "740d"], "more than two years"),
        (&["ann", "--scope", "mcp", "--expires", "soon"], "neither a duration"),
        (&["ann", "--scope", "mcp", "--expires", "3y"], "one of s, min, h, d; at most two years"),
        (&["ann", "--scope", "all", "--expires", "1d"], "`all` is no scope"),
        (&["ann", "--expires", "1d"], "--scope"),
        (&["ann", "--scope", "mcp"], "--expires"),
        (&["a b", "--scope", "mcp", "--expires", "1d"], "a name has"),
        (&["Anonymous", "--scope", "mcp", "--expires", "1d"], "who show no key"),
        (&["UID:0", "--scope", "mcp", "--expires", "1d"], "who show no key"),
        (&["ann", "--scope", "mcp", "--expires", "1d", "--role", "a b"], "a role has"),
        (&["ann", "--scope", "mcp", "--expires", "1d", "--note", "a\nb"], "a note is one line"),
    ] {
        let end = key(home, &[&["create"], arguments].concat()).status(2);
        assert!(end.stderr.contains(why) && end.stdout.is_empty(), "{arguments:?}: {end:?}");
    }
    assert!(!home.join("state.db").exists(), "nothing was made");
    created(home, &["ann", "--scope", "mcp", "--expires", "730d"]);
    for (id, status, why) in [("nonsense", 2, "no id of a key"), ("AAAAAAAAAAAA", 2, "there is no key `AAAAAAAAAAAA`")]
    {
        for command in [&["revoke", id][..], &["rotate", id, "--expires", "1d"]] {
            assert!(key(home, command).status(status).stderr.contains(why), "{command:?}");
        }
    }
    assert_eq!(states(home).len(), 1);
}

#[test]
fn another_master_key_is_made_only_where_there_is_one() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    assert!(key(home, &["rotate-master"]).status(3).stderr.contains("no database"));
    created(home, &["ann", "--scope", "mcp", "--expires", "1d"]);
    for command in ["rotate-master", "claim-master"] {
        assert!(key(home, &[command]).status(2).stderr.contains("nothing has been sealed"));
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        bartizan_store::Store::open(&home.join("state.db")).await.unwrap().sealer().await.unwrap();
    });
    let file = || std::fs::read_to_string(home.join("state.key")).unwrap();
    let before = file();
    let done = key(home, &["rotate-master", "--reseal", "--json"]).status(0);
    let said = done.json();
    assert!(said["old"] != said["new"] && said["old_removed"] == true && said["broken"] == 0, "{said}");
    assert_ne!(file(), before);
    for secret in [before, file()] {
        let secret = secret.trim().rsplit(':').next().unwrap().to_owned();
        assert!(secret.len() == 64 && !format!("{done:?}").contains(&secret));
    }
    std::fs::write(home.join("new"), "ab".repeat(32)).unwrap();
    let new = home.join("new").display().to_string();
    assert!(key(home, &["rotate-master", "--new-key", &new]).status(2).stderr.contains("in a file beside the store"));
    assert!(key(home, &["claim-master"]).status(2).stderr.contains("is in no keyring"));
}
