//! Measures what the schema guard adds to judging a call of 1 KiB: `cargo run --release --example schema_cost`.
#![expect(clippy::print_stdout, reason = "that is what it is for")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bartizan_guard::{
    Definition, DefinitionKind, Direction, Event, Fact, GuardSettings, Pipeline, Principal, ServerProfile, Session,
    Settings, Timestamp, guards,
};
use bartizan_mcp::{Limits, Message};

const TOOLS: &str = r##"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"write","inputSchema":{
    "type":"object","additionalProperties":false,"required":["path","text"],"properties":{
        "path":{"type":"string","minLength":1,"pattern":"^[a-z/._-]+$"},
        "text":{"type":"string","maxLength":100000},
        "mode":{"type":"string","enum":["create","append","replace"]},
        "tags":{"type":"array","maxItems":20,"items":{"type":"string"}},
        "options":{"$ref":"#/$defs/options"}
    },"$defs":{"options":{"type":"object","properties":{
        "backup":{"type":"boolean"},"retries":{"type":"integer","minimum":0},"ratio":{"type":"number"}}}}}}]}}"##;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let limits = Limits::default();
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(16);
    let call = format!(
        r#"{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{"name":"write","arguments":{{"path":"docs/a.md",
        "text":"{text}","mode":"append","tags":["a","b","c","d"],"options":{{"backup":true,"retries":3,"ratio":0.5}}}}}}}}"#
    );
    let (list, call) = (Message::parse(TOOLS, &limits)?, Message::parse(call, &limits)?);
    let listing = DefinitionKind::lists_of(&list).next().ok_or("no list")?;
    let read = |element| Definition::read(listing.kind, element).map(Arc::new);
    let definitions = listing.list.elements().filter_map(read).collect();
    let session = Session::default().with(&[Fact::Listed(definitions)]);
    let (without, with) = (only(&[])?, only(&["schema"])?);
    println!("{} bytes", call.bytes().len());
    let base = nanoseconds(&without, &call, &session);
    println!("no guard:     {base:6.0} ns");
    println!("schema alone: {:6.0} ns more", nanoseconds(&with, &call, &session) - base);
    Ok(())
}

fn only(names: &[&str]) -> Result<Pipeline, Box<dyn std::error::Error>> {
    let mut settings = Settings::default();
    for spec in guards::ALL {
        let held = GuardSettings { enabled: names.contains(&spec.name), ..GuardSettings::default() };
        settings.guards.insert(spec.name.to_owned(), held);
    }
    Ok(Pipeline::new(settings)?)
}

/// The best of several rounds.
fn nanoseconds(pipeline: &Pipeline, message: &Message, session: &Session) -> f64 {
    const CALLS: u32 = 20_000;
    let principal = Principal::new("local:alice");
    let server = ServerProfile { name: "s".into(), pins: Arc::default(), elsewhere: Arc::new([]) };
    let event = Event {
        message,
        direction: Direction::ToServer,
        answers: None,
        principal: &principal,
        server: &server,
        evidence: &[],
        grant: None,
        now: Timestamp(0),
    };
    let round = || {
        let start = Instant::now();
        for _ in 0..CALLS {
            black_box(pipeline.judge(black_box(&event), black_box(session)));
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
    };
    (0..10).map(|_| round()).fold(f64::INFINITY, f64::min)
}
