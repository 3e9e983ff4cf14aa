//! The pipeline with its defaults: whatever comes in whichever state, judging does not panic, gives the same twice, and
//! what it leaves of a message holds nothing more to take out.
#![no_main]

use std::sync::{Arc, LazyLock};

use bartizan_guard::{
    Action, CallSummary, Decision, Direction, Event, Evidence, Pins, Pipeline, Principal, RateScope, ServerProfile,
    Session, Settings, Timestamp, Verdict,
};
use bartizan_mcp::{Era, Id, Limits, Message, PartKind};
use libfuzzer_sys::fuzz_target;

static PIPELINE: LazyLock<Pipeline> = LazyLock::new(|| Pipeline::new(Settings::default()).expect("the defaults fit"));

/// What finds notes that somebody else wrote.
const NOTE_RULE: &str = "prompt_injection.note";

/// What the message may answer.
const METHODS: [&str; 4] = ["tools/list", "tools/call", "initialize", "resources/read"];

fuzz_target!(|input: (u8, &str, &str)| {
    let (choices, listed, text) = input;
    let limits = Limits::default();
    let Ok(message) = Message::parse(text.to_owned(), &limits) else { return };
    let session = remember(listed);
    let first = judge(&message, choices, &session);
    assert_eq!(shown(&first), shown(&judge(&message, choices, &session)), "judging twice gives the same");
    let panicked = first.findings.iter().any(|held| held.finding.rule.id == "pipeline.guard_failed");
    assert!(!panicked, "a guard panicked");
    let Decision::Transform(edits) = &first.decision else { return };
    // A second key of the same name may come of it, and then the message is refused.
    let Ok(edited) = message.edited(edits, &limits) else { return };
    is_cut(&message, &edited, &first);
    let second = judge(&edited, choices, &session);
    // But for notes, which could be anybody's by then; broken up they are left alone.
    let again = second.findings.iter().filter(|held| held.action == Action::Redact);
    let again: Vec<_> = again.filter(|held| held.finding.rule.id != NOTE_RULE).collect();
    assert!(again.is_empty(), "there was more to take out: {again:?}");
    let Decision::Transform(edits) = &second.decision else { return };
    let Ok(third) = edited.edited(edits, &limits) else { return };
    let last = judge(&third, choices, &session);
    assert!(!matches!(last.decision, Decision::Transform(_)), "a third time something changes");
});

/// What a conversation knows after the server has listed something, if that is a message that passes.
fn remember(listed: &str) -> Session {
    let session = Session::default();
    let Ok(message) = Message::parse(listed.to_owned(), &Limits::default()) else { return session };
    session.with(&judge(&message, 0, &session).facts)
}

fn judge(message: &Message, choices: u8, session: &Session) -> Verdict {
    let call = CallSummary {
        id: message.id().cloned().unwrap_or(Id::Integer(1)),
        method: METHODS[usize::from(choices >> 1) % METHODS.len()].into(),
        era: Era::Legacy,
        tool: (choices & 8 == 0).then(|| "t".into()),
        progress_token: None,
        arguments: None,
        uri: (choices & 16 == 0).then(|| "file:///a".into()),
    };
    let limited = [Evidence::RateExceeded { scope: RateScope::Tool, limit: "1/min".into(), retry_after_ms: 1 }];
    let event = Event {
        message,
        direction: if choices & 1 == 0 { Direction::ToClient } else { Direction::ToServer },
        answers: message.method().is_none().then_some(&call),
        principal: &Principal::new("local:ann"),
        server: &ServerProfile { name: "s".into(), pins: Arc::new(Pins::default()), elsewhere: Arc::new([]) },
        evidence: if choices & 16 == 0 { &[] } else { &limited },
        grant: None,
        now: Timestamp(0),
    };
    PIPELINE.judge(&event, session)
}

fn shown(verdict: &Verdict) -> String {
    format!("{verdict:?}")
}

/// Of every text the redacted spans are gone, and what is left of it stood there, as long as no element was taken out of a
/// list. Spaces do not count: one stands for what covered earlier text. Nor do notes of what was taken out with its sentence.
fn is_cut(message: &Message, edited: &Message, verdict: &Verdict) {
    if verdict.omitted > 0 || message.parts().count() != edited.parts().count() {
        return;
    }
    for (before, after) in message.parts().zip(edited.parts()) {
        let text = before.text();
        let mut keep = vec![true; text.len()];
        let of_this = verdict.findings.iter().filter(|held| held.finding.at == before.id());
        for held in of_this.filter(|held| held.action == Action::Redact) {
            for span in held.finding.span.iter().chain(&held.finding.also) {
                keep[span.clone()].fill(false);
            }
        }
        let mut left = text.bytes().zip(keep).filter_map(|(byte, keep)| (keep && byte != b' ').then_some(byte));
        let found = without_notes(&after.text());
        let stood = found.bytes().filter(|&byte| byte != b' ').all(|byte| left.any(|kept| kept == byte));
        assert!(stood, "{before:?}: {found:?}");
        assert!(before.kind != PartKind::Argument || after.text() == text, "arguments are never rewritten");
    }
}

/// Nor does the name in notes that are broken up.
fn without_notes(text: &str) -> String {
    const NOTE: &str = "[removed by bartizan: ";
    let text = text.replace("~bartizan", "");
    let mut pieces = text.split(NOTE);
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |left, piece| left + piece.split_once(']').map_or(piece, |(_, after)| after))
}
