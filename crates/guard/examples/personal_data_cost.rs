//! What looking for personal data costs beside all other guards: `personal_data_cost` judges results of 1 KiB, 100 KiB and 5 MB that
//! are prose, records with people in them, and source code, with nothing set, with what is found recorded, and with pseudonyms.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bartizan_guard::pseudonym::Root;
use bartizan_guard::{
    Action, CallSummary, Direction, Event, Evidence, GuardSettings, How, Names, Pins, Pipeline, Principal,
    ServerProfile, Session, Settings, Timestamp,
};
use bartizan_mcp::{Limits, Message, quote};

/// What is set: its name, and the settings of the guard if there are any.
const SET: [(&str, Option<(Action, How)>); 3] = [
    ("nothing", None),
    ("observe", Some((Action::Observe, How::Neutralise))),
    ("pseudonymise", Some((Action::Redact, How::Pseudonymise))),
];

/// So many different messages of each kind, so that none is remembered.
const DIFFERENT: usize = 40;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!(
        "| text | bytes | nothing set, µs | observe | pseudonymise | observe, µs a KiB more |\n|---|--:|--:|--:|--:|--:|"
    );
    for (name, line) in KINDS {
        for bytes in [1 << 10, 100 << 10, 5_000_000] {
            let messages = messages(line, bytes, if bytes > 1 << 20 { 2 } else { DIFFERENT })?;
            let mut least = [f64::MAX; 3];
            for _ in 0..3 {
                for ((_, set), least) in SET.iter().zip(&mut least) {
                    *least = least.min(judged(*set, &messages)?);
                }
            }
            let [nothing, observe, pseudonymise] = least;
            let more = (observe - nothing) / (bytes as f64 / 1024.0);
            println!(
                "| {name} | {bytes} | {nothing:.0} | {:.2} × | {:.2} × | {more:.1} |",
                observe / nothing,
                pseudonymise / nothing
            );
        }
    }
    Ok(())
}

type Line = fn(usize) -> String;

const KINDS: [(&str, Line); 3] = [("prose", prose), ("records", record), ("code", code)];

fn prose(at: usize) -> String {
    format!(
        "In week {at} the committee looked at how the northern line had done and what the new timetable would need by autumn. "
    )
}

fn record(at: usize) -> String {
    format!(
        "{{\"id\": {at}, \"name\": \"Anna Berger\", \"mail\": \"anna.berger{at}@example.org\", \"city\": \"Lyon\", \"open\": true}}\n"
    )
}

fn code(at: usize) -> String {
    format!(
        "    let total_{at} = rows.iter().filter(|row| row.len() > {at}).map(|row| row.sum()).fold(0, |a, b| a + b);\n"
    )
}

fn messages(line: Line, bytes: usize, count: usize) -> Result<Vec<Message>, Box<dyn std::error::Error>> {
    let message = |number: usize| {
        let lines = (number * 100_003..).map(line).scan(0, |length, line| {
            *length += line.len();
            (*length <= bytes).then_some(line)
        });
        let text: String = lines.collect();
        let text =
            format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":{}}}]}}}}"#, quote(&text));
        Message::parse(text, &Limits::default())
    };
    Ok((0..count).map(message).collect::<Result<_, _>>()?)
}

/// Microseconds for one message, by a pipeline that has seen none of them.
fn judged(set: Option<(Action, How)>, messages: &[Message]) -> Result<f64, Box<dyn std::error::Error>> {
    let held = set.map(|(action, how)| GuardSettings { action: Some(action), how, ..GuardSettings::default() });
    let guards = held.into_iter().map(|held| ("personal_data".to_owned(), held)).collect();
    let pipeline = Pipeline::new(Settings { guards, ..Settings::default() })?;
    let names = Names::new(Arc::new(Root::new(&[1; 32]).namer("default", "default")));
    let evidence = [Evidence::Names(names)];
    let call =
        Message::parse(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}"#, &Limits::default())?;
    let call = CallSummary::of(&call).ok_or("no request")?;
    let server = ServerProfile { name: "s".into(), pins: Arc::new(Pins::default()), elsewhere: Arc::from([]) };
    let (principal, session) = (Principal::new("anonymous"), Session::default());
    let mut took = Duration::ZERO;
    for message in messages {
        let event = Event {
            message,
            direction: Direction::ToClient,
            answers: Some(&call),
            principal: &principal,
            server: &server,
            evidence: &evidence,
            grant: None,
            now: Timestamp(0),
        };
        let start = Instant::now();
        black_box(pipeline.judge(&event, &session));
        took += start.elapsed();
    }
    Ok(took.as_secs_f64() * 1e6 / messages.len() as f64)
}
