//! Sessions of which a server is the same keep what it listed once.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod common;

use std::sync::Arc;

use bartizan_guard::{Definition, DefinitionKind, Direction, Pipeline, Session, Settings};

/// What a session remembers of a list with this tool.
fn listed(pipeline: &Pipeline, tool: &str) -> (Session, Arc<Definition>) {
    let list = common::message(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{tool}]}}}}"#));
    let session = Session::default().with(&common::judge(pipeline, &list, Direction::ToClient).facts);
    let held = Arc::clone(session.catalog.get(DefinitionKind::Tool, "a").unwrap());
    (session, held)
}

#[test]
fn what_a_server_lists_to_all_is_kept_once() {
    let pipeline = Pipeline::new(Settings::default()).unwrap();
    let tool = r#"{"name":"a","inputSchema":{"type":"object"}}"#;
    let first = listed(&pipeline, tool);
    let sessions: Vec<_> = (0..300).map(|_| listed(&pipeline, tool)).collect();
    assert!(sessions.iter().all(|(_, held)| Arc::ptr_eq(held, &first.1)));

    let changed = listed(&pipeline, r#"{"name":"a","inputSchema":{"type":"string"}}"#);
    assert_ne!(changed.1.digest, first.1.digest);
    // The same in other words is the same to the guards, and each session has what was said to it.
    let respelled = listed(&pipeline, r#"{"inputSchema": {"type":"object"}, "name":"a"}"#);
    assert!(respelled.1.digest == first.1.digest && respelled.1.json != first.1.json);
}

#[test]
fn nothing_is_kept_once_no_session_has_it() {
    let pipeline = Pipeline::new(Settings::default()).unwrap();
    let (one, other) = (listed(&pipeline, r#"{"name":"a"}"#), listed(&pipeline, r#"{"name":"a"}"#));
    let seen = Arc::downgrade(&one.1);
    drop(one);
    assert!(seen.upgrade().is_some(), "another session has it");
    drop(other);
    assert!(seen.upgrade().is_none());
}
