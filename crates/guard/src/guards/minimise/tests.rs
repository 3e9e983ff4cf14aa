use bartizan_mcp::{Document, JsonPath, Limits, Message, Paths, quote};
use proptest::prelude::*;

use super::*;
use crate::{
    CallSummary, Decision, GuardSettings, Mode, Pipeline, Principal, ServerProfile, Settings, Timestamp, guards,
};

fn pipeline(settings: &serde_json::Value) -> Pipeline {
    let off = |name: &str| (name.to_owned(), GuardSettings { enabled: false, ..GuardSettings::default() });
    let mut all: BTreeMap<_, _> = guards::ALL.iter().map(|spec| off(spec.name)).collect();
    let options = serde_json::json!({"tool": [tool(settings)]});
    all.insert(SPEC.name.to_owned(), GuardSettings { options, ..GuardSettings::default() });
    Pipeline::new(Settings { mode: Mode::Enforce, guards: all, ..Settings::default() }).unwrap()
}

fn tool(settings: &serde_json::Value) -> serde_json::Value {
    let mut tool = serde_json::json!({"server": "s", "tool": "t"});
    tool.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    tool
}

/// What is left of a message.
fn left(pipeline: &Pipeline, message: &str) -> String {
    let message = Message::parse(message.to_owned(), &Limits::default()).unwrap();
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}"#;
    let call = CallSummary::of(&Message::parse(call.to_owned(), &Limits::default()).unwrap());
    let event = Event {
        message: &message,
        direction: Direction::ToClient,
        answers: call.as_ref(),
        principal: &Principal::new("local:alice"),
        server: &ServerProfile { name: "s".into(), pins: Default::default(), elsewhere: [].into() },
        evidence: &[],
        grant: None,
        now: Timestamp(0),
    };
    match pipeline.judge(&event, &Session::default()).decision {
        Decision::Allow => String::from_utf8(message.bytes().to_vec()).unwrap(),
        Decision::Transform(edits) => String::from_utf8(edits.apply(message.document()).to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn structured(json: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[],"structuredContent":{json}}}}}"#)
}

fn text(text: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":{}}}]}}}}"#, quote(text))
}

/// The value that is left of one, which is the same in both of the places where it may stand.
fn both(pipeline: &Pipeline, json: &str) -> String {
    let [of_structured, of_text] = halves(pipeline, json);
    assert_eq!(of_text, of_structured, "{json}");
    of_structured
}

fn halves(pipeline: &Pipeline, json: &str) -> [String; 2] {
    let of_structured = left(pipeline, &structured(json));
    let value = Message::parse(of_structured, &Limits::default()).unwrap();
    let value = value.root().at(&["result", "structuredContent"]).unwrap().raw().to_owned();
    let of_text = Message::parse(left(pipeline, &text(json)), &Limits::default()).unwrap();
    let block = of_text.root().at(&["result", "content"]).unwrap().elements().next().unwrap();
    [value, block.get("text").unwrap().text().into_owned()]
}

#[test]
fn only_what_is_kept_is_left() {
    let json = r#"{"rows": [{"id": 1, "name": "a\u00e9", "x": {"y": 1.0e2}}, {"id": 2}, 3], "next" : null}"#;
    for (settings, expected) in [
        (serde_json::json!({"keep": ["$.rows[*].name"]}), r#"{"rows": [{"name": "a\u00e9"}]}"#),
        (serde_json::json!({"keep": ["$..y", "$.next"]}), r#"{"rows": [{"x": {"y": 1.0e2}}], "next" : null}"#),
        (serde_json::json!({"keep": ["$.none"]}), "{}"),
        (serde_json::json!({"keep": ["$"], "drop": ["$.rows"]}), r#"{"next" : null}"#),
        (
            serde_json::json!({"drop": ["$..id", "$.rows[2]"]}),
            r#"{"rows": [{"name": "a\u00e9", "x": {"y": 1.0e2}}, {}], "next" : null}"#,
        ),
        (
            serde_json::json!({"keep": ["$.rows"], "drop": ["$..x"], "max_rows": 1}),
            r#"{"rows": [{"id": 1, "name": "a\u00e9"}]}"#,
        ),
        (
            serde_json::json!({"max_rows": 2}),
            r#"{"rows": [{"id": 1, "name": "a\u00e9", "x": {"y": 1.0e2}}, {"id": 2}], "next" : null}"#,
        ),
        (
            serde_json::json!({"drop": ["$.rows[2]"], "max_rows": 1}),
            r#"{"rows": [{"id": 1, "name": "a\u00e9", "x": {"y": 1.0e2}}], "next" : null}"#,
        ),
        (
            serde_json::json!({"max_length": 1}),
            r#"{"rows": [{"id": 1, "name": "a", "x": {"y": 1.0e2}}, {"id": 2}, 3], "next" : null}"#,
        ),
        (
            serde_json::json!({"schema": {"properties": {"rows": {"items": {"properties": {"id": {"type": "integer"}}}}}}}),
            r#"{"rows": [{"id": 1}, {"id": 2}]}"#,
        ),
    ] {
        assert_eq!(both(&pipeline(&settings), json), expected, "{settings}");
    }
}

#[test]
fn what_is_left_of_a_result_is_left_as_it_is() {
    let long = "word ".repeat(100);
    let json = format!(r#"{{"a": [1, 2, 3, "{long}"], "b": {{"c": "{long}", "d": 1}}}}"#);
    for settings in [
        serde_json::json!({"keep": ["$.b.c"], "max_length": 60}),
        serde_json::json!({"drop": ["$.b.d"], "max_length": 10, "max_rows": 2}),
        serde_json::json!({"keep": ["$.none"]}),
        serde_json::json!({"max_rows": 0}),
    ] {
        let pipeline = pipeline(&settings);
        for message in [structured(&json), text(&json), text(&long)] {
            let once = left(&pipeline, &message);
            assert!(once.len() < message.len() || message == text(&long), "{settings}");
            assert_eq!(left(&pipeline, &once), once, "{settings}");
        }
    }
}

#[test]
fn a_long_text_says_how_much_of_it_is_missing() {
    let pipeline = pipeline(&serde_json::json!({"max_length": 50}));
    let out = left(&pipeline, &text(&"é".repeat(80)));
    let expected = format!("{}[removed by bartizan: 67 characters]", "é".repeat(13));
    assert!(out.contains(&expected), "{out}");
    assert_eq!(left(&pipeline, &text(&"é".repeat(50))), text(&"é".repeat(50)));
}

/// One pass for each would take hours for this, and the run of all tests ends before.
#[test]
fn a_large_result_is_gone_through_once() {
    let row = |n: usize| format!(r#"{{"id":{n},"name":"name {n}","secret":"{n:016}"}}"#);
    let rows: Vec<_> = (0..100_000).map(row).collect();
    let json = format!(r#"{{"rows":[{}]}}"#, rows.join(","));
    assert!(json.len() > 4_500_000);
    let kept: Vec<_> = (0..100_000).map(|n| format!(r#"{{"name":"name {n}"}}"#)).collect();
    let expected = format!(r#"{{"rows":[{}]}}"#, kept.join(","));
    assert_eq!(both(&pipeline(&serde_json::json!({"keep": ["$.rows[*].name"]})), &json), expected);
    let first = format!(r#"{{"rows":[{},{}]}}"#, rows[0], rows[1]);
    assert_eq!(both(&pipeline(&serde_json::json!({"max_rows": 2})), &json), first);
}

#[test]
fn what_is_wrong_with_the_settings_is_said() {
    for (settings, why) in [
        (serde_json::json!({"keep": ["rows"]}), "keep: `rows` is no path: it begins with `$`, at character 1"),
        (serde_json::json!({"keep": []}), "`keep` is empty"),
        (serde_json::json!({"keep": ["$"], "schema": {}}), "two ways"),
        (serde_json::json!({"drop": ["$"]}), "`$` is the whole value"),
        (serde_json::json!({"arguments_drop": ["$"]}), "`$` is the whole value"),
        (serde_json::json!({"schema": {"properties": {"a": {"$ref": "#"}}}}), "not for `$ref`"),
        (serde_json::json!({"schema": {"properties": {}}}), "names nothing"),
        (serde_json::json!({"images": "none"}), "unknown variant `none`"),
        (serde_json::json!({"blobs": "none"}), "expected `keep`, `drop` or a number of bytes"),
        (serde_json::json!({"rows": 1}), "unknown field `rows`"),
    ] {
        let options = serde_json::json!({"tool": [tool(&settings)]});
        let error = (SPEC.build)(&options, &Settings::default()).err().unwrap().to_string();
        assert!(error.contains(why), "{settings}: {error}");
    }
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        (-9..9_i32).prop_map(|n| n.to_string()),
        Just("1.50e+1".to_owned()),
        "[a-cé\"\\\\ ]{0,4}".prop_map(|text| quote(&text)),
        Just(r#""\u00e9\ud83d\ude00\n""#.to_owned()),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let space = prop_oneof![Just(""), Just(" "), Just("\n\t")];
        let list = (proptest::collection::vec(inner.clone(), 0..6), space.clone());
        let object = (proptest::collection::btree_map("[a-d]", inner, 0..5), space);
        prop_oneof![
            list.prop_map(|(held, space)| format!("[{space}{}{space}]", held.join(&format!("{space},{space}")))),
            object.prop_map(|(held, space)| {
                let held: Vec<_> =
                    held.into_iter().map(|(key, value)| format!("\"{key}\"{space}:{space}{value}")).collect();
                format!("{{{space}{}{space}}}", held.join(&format!("{space},{space}")))
            }),
        ]
    })
}

fn paths() -> impl Strategy<Value = Vec<String>> {
    let step =
        prop_oneof!["\\.[a-d]", "\\.\\.[a-d]", Just("[*]".to_owned()), Just("[1]".to_owned()), Just("..*".to_owned())];
    let path = proptest::collection::vec(step, 1..4).prop_map(|steps| format!("${}", steps.concat()));
    proptest::collection::vec(path, 1..4)
}

/// What has to be left by the sentence of the page: what is addressed, as it stands, and what it is in.
fn kept<'d>(value: Value<'d>, addressed: &[NodeId], out: &mut Vec<String>) -> bool {
    if addressed.contains(&value.id()) {
        out.push(value.raw().to_owned());
        return true;
    }
    let before = out.len();
    let (open, close) = if value.kind() == NodeKind::Object { ("{", "}") } else { ("[", "]") };
    let mut any = false;
    out.push(open.to_owned());
    for (key, member) in value.members() {
        let at = out.len();
        out.push(key.raw().to_owned());
        let is_kept = kept(member, addressed, out);
        any |= is_kept;
        out.truncate(if is_kept { out.len() } else { at });
    }
    for element in value.elements() {
        any |= kept(element, addressed, out);
    }
    out.push(close.to_owned());
    out.truncate(if any { out.len() } else { before });
    any
}

/// The same of a document of which all is left.
fn spelt(value: Value<'_>, addressed: &[NodeId], out: &mut Vec<String>) {
    if addressed.contains(&value.id()) || !matches!(value.kind(), NodeKind::Object | NodeKind::Array) {
        return out.push(value.raw().to_owned());
    }
    let (open, close) = if value.kind() == NodeKind::Object { ("{", "}") } else { ("[", "]") };
    out.push(open.to_owned());
    for (key, member) in value.members() {
        out.push(key.raw().to_owned());
        spelt(member, addressed, out);
    }
    value.elements().for_each(|element| spelt(element, addressed, out));
    out.push(close.to_owned());
}

proptest! {
    #[test]
    fn what_is_left_is_what_the_paths_address(json in json(), paths in paths()) {
        let root = json.starts_with(['{', '[']);
        let pipeline = pipeline(&serde_json::json!({"keep": paths}));
        let read: Vec<_> = paths.iter().map(|path| JsonPath::parse(path).unwrap()).collect();
        let document = Document::parse(json.clone(), &Limits::default()).unwrap();
        let addressed: Vec<_> = Paths::of(&read).outermost(document.root()).iter().map(|value| value.id()).collect();
        let mut expected = Vec::new();
        kept(document.root(), &addressed, &mut expected);
        prop_assume!(root);
        let out = both(&pipeline, &json);
        if expected.is_empty() {
            prop_assert!(out == "{}" || out == "[]", "{}", out);
            return Ok(());
        }
        let edited = Document::parse(out.clone(), &Limits::default()).unwrap();
        // Places of elements are others by now, so what is addressed is found by its text.
        let whole: Vec<_> = addressed.iter().map(|id| document.value(*id).raw().to_owned()).collect();
        let left: Vec<_> = edited.root().subtree().filter(|value| whole.iter().any(|raw| raw == value.raw())).map(|value| value.id()).collect();
        let mut spelling = Vec::new();
        spelt(edited.root(), &left, &mut spelling);
        prop_assert_eq!(spelling.concat(), expected.concat(), "{} {:?}", json, paths);
        // A number means another element once some are gone.
        if !paths.iter().any(|path| path.contains("[1]")) {
            prop_assert_eq!(both(&pipeline, &out), out);
        }
    }

    #[test]
    fn whatever_is_asked_of_whatever_is_brought_ends_in_json(
        json in json(), keep in proptest::option::of(paths()), drop in paths(), max_length in proptest::option::of(0..60usize), max_rows in proptest::option::of(0..3usize),
    ) {
        let mut settings = serde_json::json!({"drop": drop});
        let members = settings.as_object_mut().unwrap();
        members.extend(keep.map(|keep| ("keep".to_owned(), keep.into())));
        members.extend(max_length.map(|most| ("max_length".to_owned(), most.into())));
        members.extend(max_rows.map(|most| ("max_rows".to_owned(), most.into())));
        prop_assume!(json.starts_with(['{', '[']));
        // A text that is cut may be spelt otherwise.
        let halves = halves(&pipeline(&settings), &json);
        let [structured, text] = halves.map(|json| serde_json::from_str::<serde_json::Value>(&json).unwrap());
        prop_assert_eq!(structured, text);
    }
}
