//! Measures what it costs to judge a call of 1 KiB and its reply, all guards on and the tool's schemas known:
//! `cargo run --release -p bartizan-guard --example judge_cost`.

use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use bartizan_guard::{
    CallSummary, Decision, Direction, Event, Fact, Pins, Pipeline, Principal, ServerProfile, Session, Settings,
    Timestamp,
};
use bartizan_mcp::{Limits, Message};

const LIST: &str = r#"{"jsonrpc":"2.0","id":0,"result":{"tools":[{"name":"write_note","description":"Writes a note, and says where it is.","inputSchema":{"type":"object","properties":{"title":{"type":"string","maxLength":200},"body":{"type":"string"},"tags":{"type":"array","items":{"type":"string"}},"pinned":{"type":"boolean"}},"required":["title","body"],"additionalProperties":false},"outputSchema":{"type":"object","properties":{"path":{"type":"string"},"bytes":{"type":"integer"}},"required":["path"]}}]}}"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let prose = "A line of ordinary text with a few \\\"quotes\\\", as a model writes it.\\n".repeat(11);
    let call = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"write_note","arguments":{{"title":"Notes","body":"{prose}","tags":["a","b"],"pinned":true}},"_meta":{{"progressToken":7}}}}}}"#
    );
    let reply = format!(
        r#"{{"jsonrpc":"2.0","id":7,"result":{{"content":[{{"type":"text","text":"{prose}"}}],"structuredContent":{{"path":"/notes/7","bytes":800}},"isError":false}}}}"#
    );
    let (call, reply) = (read(&call)?, read(&reply)?);
    let pipeline = Pipeline::new(Settings::default())?;
    let mut bench = Bench { server: profile(Pins::default()), session: Session::default(), pipeline };
    bench.learn(&read(LIST)?);
    let mut out = std::io::stdout().lock();
    for (name, message, direction) in [("call", &call, Direction::ToServer), ("reply", &reply, Direction::ToClient)] {
        let answers = CallSummary::of(&call).filter(|_| direction == Direction::ToClient);
        let micros = bench.measure(message, direction, answers.as_ref());
        writeln!(out, "{name:6} {:5} bytes {micros:8.2} µs", message.bytes().len())?;
    }
    Ok(())
}

struct Bench {
    server: ServerProfile,
    session: Session,
    pipeline: Pipeline,
}

impl Bench {
    /// Takes the list for granted, as after a first conversation.
    fn learn(&mut self, list: &Message) {
        let verdict = self.pipeline.judge(&self.event(list, Direction::ToClient, None, &principal()), &self.session);
        let mut pins = Pins::default();
        for fact in &verdict.facts {
            match fact {
                Fact::FirstSeen(pin) => pins.insert(pin.clone()),
                Fact::SeenInFull(kind) => pins.set_complete(*kind),
                _ => {}
            }
        }
        self.session = self.session.with(&verdict.facts);
        self.server = profile(pins);
    }

    fn measure(&self, message: &Message, direction: Direction, answers: Option<&CallSummary>) -> f64 {
        const ROUNDS: u32 = 20_000;
        let principal = principal();
        let event = self.event(message, direction, answers, &principal);
        assert!(matches!(self.pipeline.judge(&event, &self.session).decision, Decision::Allow));
        let start = Instant::now();
        for _ in 0..ROUNDS {
            black_box(self.pipeline.judge(black_box(&event), &self.session));
        }
        start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS)
    }

    fn event<'a>(
        &'a self,
        message: &'a Message,
        direction: Direction,
        answers: Option<&'a CallSummary>,
        principal: &'a Principal,
    ) -> Event<'a> {
        let server = &self.server;
        Event { message, direction, answers, principal, server, evidence: &[], grant: None, now: Timestamp(0) }
    }
}

fn principal() -> Principal {
    Principal::new("local:bench")
}

fn profile(pins: Pins) -> ServerProfile {
    ServerProfile { name: "notes".into(), pins: Arc::new(pins), elsewhere: Arc::new([]) }
}

fn read(text: &str) -> Result<Message, Box<dyn std::error::Error>> {
    Message::parse(text.to_owned(), &Limits::default()).map_err(|error| format!("{error:?}").into())
}
