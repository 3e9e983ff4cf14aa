use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use bartizan_guard::{Direction, Known, Pipeline, Principal, Scopes, ServerProfile, Settings, Timestamp};
use bartizan_mcp::{Limits, Message};

use super::*;

/// A message that policies decide about, judged, as far as it gets to the capture.
fn with_event<T>(text: &str, look: impl FnOnce(&Event<'_>) -> T) -> T {
    let message = Message::parse(text.to_owned(), &Limits::default()).unwrap();
    let server = ServerProfile { name: "bank".into(), pins: Arc::default(), elsewhere: Arc::from([]) };
    look(&Event {
        message: &message,
        direction: Direction::ToServer,
        answers: None,
        principal: &Principal::new("ann"),
        server: &server,
        evidence: &[],
        grant: None,
        now: Timestamp(1),
    })
}

fn call(tool: &str, note: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{{"note":"{note}"}}}}}}"#
    )
}

fn record(note: &str) -> Record {
    with_event(&call("pay", note), |event| {
        let session = Session::default();
        let verdict = Pipeline::new(Settings::default()).unwrap().judge(event, &session);
        let case = Case::of(event, &session).unwrap();
        let entry = Some("01M8CD2C2EZZ2M0R12R4XY0B44".to_owned());
        let (session, client) = (Some("5e55".to_owned()), Some("agent".to_owned()));
        Record { entry, session, client, said: Said::of(&verdict, Some("v")), case }
    })
}

fn tap(places: usize, only: &[&str]) -> (Tap, std::sync::mpsc::Receiver<Record>) {
    let scopes = only.iter().map(|text| bartizan_guard::Scope::parse(text).unwrap());
    let only = if only.is_empty() { Scopes::all() } else { Scopes::of(scopes) };
    let (max_file_bytes, max_bytes, keep) = (1 << 20, 1 << 21, Duration::from_secs(1));
    let wanted = Wanted { path: "/nowhere".into(), only, results: false, max_file_bytes, max_bytes, keep };
    let (records, receiver) = sync_channel(places);
    let (metrics, shared) = (Arc::default(), Arc::default());
    (Tap { wanted, metrics, records, shared, thread: Mutex::default() }, receiver)
}

#[test]
fn what_does_not_fit_is_counted_and_nobody_waits() {
    let (tap, receiver) = tap(2, &[]);
    let weight = record("x").case.weight();
    for _ in 0..5 {
        tap.put(record("x"));
    }
    assert_eq!(tap.shared.missing.load(Ordering::Relaxed), 3);
    assert_eq!(tap.shared.untold.load(Ordering::Relaxed), 3);
    assert_eq!(tap.shared.waiting.load(Ordering::Relaxed), 2 * weight, "only what waits");
    assert!(tap.metrics.render().contains("capture_records_total{outcome=\"dropped\"} 3"), "{}", tap.metrics.render());
    assert_eq!(receiver.try_iter().count(), 2);
    // Nobody reads any more.
    drop(receiver);
    tap.put(record("x"));
    assert_eq!(tap.shared.missing.load(Ordering::Relaxed), 4);
}

#[test]
fn what_waits_takes_no_more_than_it_may_however_few_they_are() {
    let (tap, receiver) = tap(1_000, &[]);
    let Record { case, said, .. } = record(&"x".repeat(3 << 20));
    for _ in 0..40 {
        tap.put(Record { entry: None, session: None, client: None, said: said.clone(), case: case.clone() });
    }
    let kept = receiver.try_iter().count();
    assert!((1..=21).contains(&kept), "{kept}");
    assert_eq!(tap.shared.missing.load(Ordering::Relaxed), 40 - kept as u64);
}

#[test]
fn what_waits_counts_with_what_its_values_take() {
    let (tap, receiver) = tap(1_000, &[]);
    // Small values, each of which has a node many times its size.
    let text = call("pay", "x").replace("\"x\"", &format!("[{}0]", "0,".repeat(1 << 19)));
    let said = record("x").said;
    let case = with_event(&text, |event| Case::of(event, &Session::default()).unwrap());
    assert!(case.weight() > 8 * text.len(), "{}", case.weight());
    for _ in 0..16 {
        tap.put(Record { entry: None, session: None, client: None, said: said.clone(), case: case.clone() });
    }
    let kept = receiver.try_iter().count();
    assert!((1..=7).contains(&kept), "{kept}");
}

#[test]
fn only_what_is_wanted_is_taken_and_of_that_only_what_policies_decide_about() {
    let wants = |only: &[&str], text: &str| with_event(text, |event| tap(1, only).0.wants(event));
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let odd = r#"{"jsonrpc":"2.0","id":1,"method":"bank/audit"}"#;
    for (only, text, wanted) in [
        (&[][..], call("pay", ""), true),
        (&[], list.to_owned(), false),
        (&[], odd.to_owned(), true),
        (&["server:bank"], call("pay", ""), true),
        (&["server:bank"], odd.to_owned(), true),
        (&["server:shop"], call("pay", ""), false),
        (&["tool:bank/pa*"], call("pay", ""), true),
        (&["tool:bank/pa*"], call("close", ""), false),
        (&["tool:bank/pa*"], odd.to_owned(), false),
        (&["prompt:bank/pay"], call("pay", ""), false),
    ] {
        assert_eq!(wants(only, &text), wanted, "{only:?} {text}");
    }
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let first = record("hello");
    let bytes = first.to_bytes();
    let again = Record::read(&bytes, &mut Known::default()).unwrap();
    assert_eq!((&again.entry, &again.said), (&first.entry, &first.said));
    assert_eq!((&again.session, &again.client), (&first.session, &first.client));
    assert_eq!(again.case.message().bytes(), first.case.message().bytes());
    assert_eq!(again.to_bytes(), bytes);
    for length in 0..bytes.len() {
        assert!(Record::read(&bytes[..length], &mut Known::default()).is_err(), "{length}");
    }
}

#[test]
fn results_of_tools_are_taken_only_where_that_is_said() {
    let result = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;
    let error = r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"no"}}"#;
    let read = |text: &str| Message::parse(text.to_owned(), &Limits::default()).unwrap();
    let server = ServerProfile { name: "bank".into(), pins: Arc::default(), elsewhere: Arc::from([]) };
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    for (results, only, asked, text, wanted) in [
        (true, &[][..], call("pay", ""), result, true),
        (false, &[], call("pay", ""), result, false),
        (true, &[], call("pay", ""), error, false),
        (true, &[], list.to_owned(), result, false),
        (true, &["tool:bank/pa*"], call("pay", ""), result, true),
        (true, &["server:bank"], call("pay", ""), result, true),
        (true, &["tool:bank/pa*"], call("close", ""), result, false),
    ] {
        let (mut tap, _receiver) = tap(1, only);
        tap.wanted.results = results;
        let (message, answers) = (read(text), CallSummary::of(&read(&asked)));
        let event = Event {
            message: &message,
            direction: Direction::ToClient,
            answers: answers.as_ref(),
            principal: &Principal::new("ann"),
            server: &server,
            evidence: &[],
            grant: None,
            now: Timestamp(1),
        };
        assert_eq!(tap.wants(&event), wanted, "{results} {only:?} {asked} {text}");
    }
}
