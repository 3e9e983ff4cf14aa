use bartizan_mcp::{Limits, Message, quote};

use super::*;
use crate::{
    CallSummary, Definition, Event, Fact, GuardSettings, Labelled, Pin, Pins, Principal, ServerProfile, Session,
    Timestamp,
};

/// A conversation with one server.
struct Traffic {
    learner: Learner,
    session: Session,
    pins: Arc<Pins>,
    asked: u64,
}

fn message(text: &str) -> Message {
    Message::parse(text.to_owned(), &Limits::default()).unwrap()
}

impl Traffic {
    fn new(tools: &str, options: &[(&str, serde_json::Value)]) -> Traffic {
        let list = message(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":{tools}}}}}"#));
        let listing = DefinitionKind::lists_of(&list).next().unwrap();
        let read = |tool| Definition::read(listing.kind, tool).map(Arc::new);
        let session = Session::default().with(&[Fact::Listed(listing.list.elements().filter_map(read).collect())]);
        let guard = |(name, options): &(&str, serde_json::Value)| {
            ((*name).to_owned(), GuardSettings { options: options.clone(), ..GuardSettings::default() })
        };
        let settings = Settings { guards: options.iter().map(guard).collect(), ..Settings::default() };
        Traffic { learner: Learner::new(&settings).unwrap(), session, pins: Arc::default(), asked: 0 }
    }

    fn note(&mut self, message: &Message, answers: Option<&CallSummary>, whence: Whence<'_>) {
        let server = ServerProfile { name: "crm".into(), pins: Arc::clone(&self.pins), elsewhere: Arc::from([]) };
        let event = Event {
            message,
            direction: if answers.is_some() { Direction::ToClient } else { Direction::ToServer },
            answers,
            principal: &Principal::new("ann"),
            server: &server,
            evidence: &[],
            grant: None,
            now: Timestamp(1),
        };
        self.learner.read(&Case::of(&event, &self.session).unwrap(), whence);
    }

    /// A call of a tool, and its result.
    fn call(&mut self, tool: &str, arguments: &str, result: &str, refused: bool) {
        self.asked += 1;
        let id = self.asked;
        let asked = message(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
        ));
        let whence =
            Whence { session: Some(if id.is_multiple_of(2) { "a" } else { "b" }), client: Some("agent"), refused };
        self.note(&asked, None, Whence { refused: false, ..whence });
        let answer = message(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#));
        self.note(&answer, CallSummary::of(&asked).as_ref(), whence);
    }

    fn draft(self, tool: &str, least: u64) -> Draft {
        self.learner.drafts(least).drafts.into_iter().find(|draft| draft.tool == tool).unwrap()
    }
}

const TOOLS: &str =
    r#"[{"name":"search_customers"},{"name":"get_balance"},{"name":"send_email","inputSchema":{"type":"object"}}]"#;

fn row(id: usize) -> String {
    format!(
        r#"{{"id":"c{id}","name":"Company","email":"u{id}@mail.example","sum":"d41d8cd98f00b204e9800998ecf8427{}","_links":{{"self":"https://x/{id}"}},"notes":"{}"}}"#,
        id % 10,
        "They were not content with the delivery, and somebody has to call. ".repeat(20)
    )
}

fn text(json: &str) -> String {
    format!(r#"{{"content":[{{"type":"text","text":{}}}]}}"#, quote(json))
}

/// Customers are searched, and one of each search is written to by its id.
fn searched(options: &[(&str, serde_json::Value)], wrap: fn(&str) -> String) -> Traffic {
    let mut traffic = Traffic::new(TOOLS, options);
    for id in 0..8 {
        let rows = format!(r#"{{"rows":[{},{}]}}"#, row(id), row(id + 100));
        traffic.call("search_customers", r#"{"query":"late"}"#, &wrap(&rows), false);
        traffic.call("send_email", &format!(r#"{{"customer":"c{id}","body":"hello"}}"#), &text("sent"), false);
    }
    traffic
}

fn structured(json: &str) -> String {
    format!(r#"{{"content":[],"structuredContent":{json}}}"#)
}

fn asks(draft: &Draft, is_doubtful: bool) -> Vec<String> {
    let told = |line: &Line| match &line.ask {
        Ask::Drop(path) => path.clone(),
        other => format!("{other:?}"),
    };
    draft.lines.iter().filter(|line| line.is_doubtful == is_doubtful).map(told).collect()
}

#[test]
fn what_no_later_call_needed_and_is_personal_or_large_is_left_out() {
    for wrap in [structured, |json: &str| text(json)] {
        let draft = searched(&[], wrap).draft("search_customers", 5);
        assert_eq!((draft.calls, draft.results, draft.sessions, draft.followed), (8, 8, 1, 8));
        let others = ["images", "audio", "resource_links", "blobs"].map(|kind| format!("Without({kind:?})"));
        let drops = ["$.rows[*]._links", "$.rows[*].email", "$.rows[*].sum"].map(str::to_owned).to_vec();
        let bounds = ["MaxLength(3000)".to_owned(), "MaxRows(20)".to_owned()];
        assert_eq!(asks(&draft, false), [drops, bounds.to_vec(), others.to_vec()].concat());
        // A model may have told its user what it says.
        assert_eq!(asks(&draft, true), ["$.rows[*].notes"]);
        let why: Vec<_> = draft.lines.iter().map(|line| line.why.as_str()).collect();
        assert!(
            why.contains(&"personal (email 16 in 16 values); none of 16 values came up in a later call"),
            "{why:?}"
        );
        assert!(
            draft.notes.contains(&"stays: $.rows[*].id: 16 values, came up in 8 later calls".to_owned()),
            "{:?}",
            draft.notes
        );
        let said = format!("{draft:?}");
        assert!(!["mail.example", "Company", "delivery", "c100"].iter().any(|value| said.contains(value)), "{said}");
    }
}

#[test]
fn too_little_is_too_little() {
    let draft = searched(&[], structured).draft("search_customers", 9);
    assert_eq!((draft.nothing.as_deref(), draft.lines.len()), (Some("8 results read, and 9 are needed"), 0));
    let mut traffic = Traffic::new(TOOLS, &[]);
    for id in 0..4 {
        traffic.call("get_balance", "{}", &structured(&row(id)), true);
        traffic.call("get_balance", "{}", r#"{"isError":true,"content":[{"type":"text","text":"no"}]}"#, false);
    }
    let draft = traffic.draft("get_balance", 1);
    assert_eq!((draft.calls, draft.results, draft.errors, draft.refused), (8, 0, 4, 4));
    assert!(draft.nothing.is_some());
    // Nobody asked for anything afterwards, so nobody knows what was needed.
    let mut traffic = Traffic::new(TOOLS, &[]);
    traffic.call("get_balance", "{}", &structured(&row(1)), false);
    let draft = traffic.draft("get_balance", 1);
    assert!(asks(&draft, false).iter().all(|ask| !ask.starts_with('$')), "{:?}", draft.lines);
    assert!(draft.notes.iter().any(|note| note.contains("0 results had a later call")), "{:?}", draft.notes);
}

#[test]
fn what_the_configuration_says_stays() {
    let table = serde_json::json!({"tool": [{"server": "c*", "tool": "search_*", "max_rows": 5}]});
    let draft = searched(&[("minimise", table)], structured).draft("search_customers", 5);
    assert!(draft.lines.is_empty() && draft.notes[0].contains("a table for it already"), "{:?}", draft.notes);
    let entry = serde_json::json!({"tool": [{"name": "crm/send_email", "labels": []}]});
    let labels = searched(&[("flow", entry)], structured).draft("send_email", 5).labels.unwrap();
    assert_eq!((labels.all(), labels.kept_back), (None, None), "traffic adds nothing");
    let mut traffic = Traffic::new(TOOLS, &[("flow", serde_json::json!({"trusted": ["crm"]}))]);
    (0..5).for_each(|_| traffic.call("get_balance", "{}", &text("see https://a.example"), false));
    let labels = traffic.draft("get_balance", 5).labels.unwrap();
    assert_eq!(labels.all(), None, "nobody else writes what it brings: {labels:?}");
    let entry = serde_json::json!({"tool": [{"name": "crm/get_*", "labels": []}]});
    let mut traffic = Traffic::new(TOOLS, &[("flow", entry)]);
    (0..5).for_each(|_| traffic.call("get_balance", "{}", &text("see https://a.example"), false));
    let labels = traffic.draft("get_balance", 5).labels.unwrap();
    assert!(labels.all().is_none() && labels.kept_back.is_some_and(|why| why.contains("an entry for it already")));
}

#[test]
fn traffic_adds_labels_and_takes_none_away() {
    let long = "Nobody knows when the next delivery comes, as the road is closed again. ".repeat(4);
    for (tool, arguments, result, guessed, all) in [
        ("get_balance", "{}", "12.50".to_owned(), &["private_data"][..], None),
        (
            "get_balance",
            "{}",
            "see https://a.example/x".to_owned(),
            &["private_data"],
            Some(&["untrusted_content", "private_data"][..]),
        ),
        ("get_balance", "{}", long, &["private_data"], Some(&["untrusted_content", "private_data"])),
        ("get_balance", "{}", "<p>12</p>".to_owned(), &["private_data"], Some(&["untrusted_content", "private_data"])),
        (
            "get_balance",
            r#"{"host":"db.evil.example"}"#,
            "1".to_owned(),
            &["private_data"],
            Some(&["private_data", "public_sink"]),
        ),
        (
            "get_balance",
            r#"{"to":"eve@evil.example"}"#,
            "1".to_owned(),
            &["private_data"],
            Some(&["private_data", "public_sink"]),
        ),
        (
            "send_email",
            "{}",
            "aws_access_key_id = AKIAQYLPMN5HFIQR7XYA".to_owned(),
            &["public_sink"],
            Some(&["private_data", "public_sink"]),
        ),
        ("send_email", "{}", "to u@corp.example".to_owned(), &["public_sink"], Some(&["private_data", "public_sink"])),
        // Behaving well for as long as it is watched helps nobody.
        ("search_customers", "{}", "1".to_owned(), &["untrusted_content", "private_data"], None),
    ] {
        let mut traffic = Traffic::new(TOOLS, &[("flow", serde_json::json!({"domains": ["corp.example"]}))]);
        (0..5).for_each(|_| traffic.call(tool, arguments, &text(&result), false));
        let labels = traffic.draft(tool, 5).labels.unwrap();
        let names = |labels: &[bartizan_flow::ToolLabel]| labels.iter().map(|label| label.as_str()).collect::<Vec<_>>();
        assert_eq!(names(labels.guessed.as_deref().unwrap()), guessed, "{tool} {result}");
        assert_eq!(labels.all().as_deref().map(names).as_deref(), all, "{tool} {arguments} {result}: {labels:?}");
    }
}

#[test]
fn what_an_operator_has_approved_is_not_written_over_by_a_guess() {
    let mut traffic = Traffic::new(TOOLS, &[("flow", serde_json::json!({}))]);
    let definition =
        message(r#"{"jsonrpc":"2.0","id":1,"result":{"name":"send_email","inputSchema":{"type":"object"}}}"#);
    let pin = Pin::of(DefinitionKind::Tool, definition.result().unwrap()).unwrap();
    let said = Nature::of_words(["public_sink", "destructive"].into_iter()).unwrap();
    let labels = pin.labels.map(|held| Labelled { nature: said, ..held });
    Arc::make_mut(&mut traffic.pins).insert(Pin { labels, ..pin });
    (0..5).for_each(|_| traffic.call("send_email", "{}", &text("aws_access_key_id = AKIAQYLPMN5HFIQR7XYA"), false));
    let all = traffic.draft("send_email", 5).labels.unwrap().all().unwrap();
    let names: Vec<_> = all.iter().map(|label| label.as_str()).collect();
    assert_eq!(names, ["private_data", "public_sink", "destructive"]);
}

#[test]
fn a_path_takes_nothing_along_that_is_needed() {
    // Names are data here, and one beside them is none.
    let mut traffic = Traffic::new(TOOLS, &[]);
    for id in 0..6 {
        let result = structured(&format!(r#"{{"u-1{id}00{id}":"u{id}@mail.example","total":"t{id}"}}"#));
        traffic.call("search_customers", "{}", &result, false);
        traffic.call("send_email", &format!(r#"{{"about":"t{id}"}}"#), &text("sent"), false);
    }
    let draft = traffic.draft("search_customers", 5);
    assert!(asks(&draft, false).iter().all(|ask| !ask.starts_with('$')), "{:?}", draft.lines);
    assert!(draft.notes.iter().any(|note| note.contains("would take others along")), "{:?}", draft.notes);
}

#[test]
fn what_was_seen_of_blobs_and_pictures_bounds_them() {
    let mut traffic = Traffic::new(TOOLS, &[]);
    let blob = format!(
        r#"{{"content":[{{"type":"image","data":"aGk=","mimeType":"image/png"}},{{"type":"resource","resource":{{"uri":"a:b","blob":"{}"}}}}]}}"#,
        "A".repeat(4_000)
    );
    (0..5).for_each(|_| traffic.call("get_balance", "{}", &blob, false));
    let draft = traffic.draft("get_balance", 5);
    assert_eq!(asks(&draft, false), ["Without(\"audio\")", "Without(\"resource_links\")", "Blobs(6000)"]);
    assert!(draft.notes.contains(&"stays: images: in 5 of 5 results".to_owned()), "{:?}", draft.notes);
}

#[test]
fn however_many_fields_there_are_no_more_are_proposed_than_the_guard_takes() {
    let letter = |at: usize| char::from(b'a' + u8::try_from(at % 20).unwrap());
    let member = |at: usize| format!(r#""email_{}{}":"u{at}@mail.example""#, letter(at), letter(at / 20));
    let object = |part: char| {
        let members: Vec<_> = (0..90).map(member).collect();
        format!(r#""{part}":{{{}}}"#, members.join(","))
    };
    let parts: Vec<_> = ['p', 'q', 'r', 's'].into_iter().map(object).collect();
    let mut traffic = Traffic::new(TOOLS, &[]);
    for id in 0..6 {
        traffic.call("get_balance", "{}", &structured(&format!(r#"{{"id":"c{id}",{}}}"#, parts.join(","))), false);
        traffic.call("send_email", &format!(r#"{{"about":"c{id}"}}"#), &text("sent"), false);
    }
    let draft = traffic.draft("get_balance", 5);
    assert_eq!(asks(&draft, false).iter().filter(|ask| ask.starts_with('$')).count(), 100);
    assert!(draft.notes.iter().any(|note| note.starts_with("260 fields more could be in `drop`")), "{:?}", draft.notes);
}
