//! Entries in the words of the Open Cybersecurity Schema Framework, version 1.6 (schema.ocsf.io).
//!
//! What a message is about is an *API Activity*, what happens to a program an *Application Lifecycle*, who signs in an
//! *Authentication*, and what a confined program reaches a *Network Activity*; all else is a *Base Event*. What has no place
//! there stands as it is in `unmapped`. The code of an event is the kind of the entry.

use bartizan_audit::Record;
use serde_json::{Map, Value, json};

use super::formats::text;

const VERSION: &str = "1.6.0";

/// A class of events, with one activity of it.
struct Class {
    uid: u32,
    name: &'static str,
    category: (u32, &'static str),
    activity: (u32, &'static str),
}

const fn class(uid: u32, name: &'static str, category: (u32, &'static str), activity: (u32, &'static str)) -> Class {
    Class { uid, name, category, activity }
}

const OTHER: (u32, &str) = (99, "Other");
const IDENTITY: (u32, &str) = (3, "Identity & Access Management");
const NETWORK: (u32, &str) = (4, "Network Activity");
const APPLICATION: (u32, &str) = (6, "Application Activity");

/// By the kind of an entry.
fn class_of(kind: &str) -> Class {
    let lifecycle = |activity| class(6002, "Application Lifecycle", APPLICATION, activity);
    let network = |activity| class(4001, "Network Activity", NETWORK, activity);
    match kind {
        "message" | "unreadable" | "upstream.failed" | "own" | "refused" | "dropped" | "headers" => {
            class(6003, "API Activity", APPLICATION, OTHER)
        }
        "server.installed" => lifecycle((1, "Install")),
        "gateway.started" | "server.started" | "server.failed" => lifecycle((3, "Start")),
        "gateway.stopped" | "server.ended" => lifecycle((4, "Stop")),
        "person.signed_in" | "person.stepped_up" => class(3002, "Authentication", IDENTITY, (1, "Logon")),
        "egress.opened" => network((1, "Open")),
        "egress.closed" => network((2, "Close")),
        "egress.refused" => network((5, "Refuse")),
        "egress.request" => network((6, "Traffic")),
        _ => class(0, "Base Event", (0, "Uncategorized"), OTHER),
    }
}

/// What was done, as an action and its outcome; nothing of what was not decided.
fn outcome(entry: &Value, kind: &str) -> Option<(u32, (u32, &'static str))> {
    match (entry.get("decision").and_then(Value::as_str), kind) {
        (Some("allow"), _) => Some((1, (1, "Allowed"))),
        (Some("transform"), _) => Some((1, (12, "Partially Corrected"))),
        (Some("approve"), _) => Some((2, (23, "Challenge"))),
        (Some("deny"), _) | (None, "egress.refused" | "refused") => Some((2, (2, "Blocked"))),
        (None, "egress.opened") => Some((1, (1, "Allowed"))),
        _ => None,
    }
}

/// Whether what was asked for came about; nothing where nothing was.
fn status(entry: &Value, kind: &str) -> Option<(u32, &'static str)> {
    match (entry.get("decision").and_then(Value::as_str), kind) {
        (Some("allow" | "transform"), _) => Some((1, "Success")),
        (Some(_), _) | (None, "upstream.failed" | "server.failed" | "egress.refused" | "refused") => {
            Some((2, "Failure"))
        }
        _ => None,
    }
}

/// One entry as an event.
pub(super) fn event(record: &Record) -> Value {
    let entry = record.value();
    let Class { uid, name, category, activity } = class_of(&record.kind);
    let outcome = outcome(&entry, &record.kind);
    let (severity, severity_name) = match outcome {
        Some((2, (2, _))) => (3, "Medium"),
        Some((_, (1, _))) | None => (1, "Informational"),
        Some(_) => (2, "Low"),
    };
    let mut event = json!({
        "class_uid": uid, "class_name": name, "category_uid": category.0, "category_name": category.1,
        "activity_id": activity.0, "activity_name": activity.1, "type_uid": uid * 100 + activity.0,
        "type_name": format!("{name}: {}", activity.1), "time": record.at_micros.div_euclid(1_000),
        "severity_id": severity, "severity": severity_name,
        "metadata": {
            "version": VERSION, "profiles": outcome.map(|_| "security_control").as_slice(), "uid": record.id.to_string(), "event_code": record.kind, "sequence": record.seq,
            "original_time": text(&entry, "at"), "log_name": "audit",
            "product": {"name": "Bartizan", "vendor_name": "Bartizan", "version": env!("CARGO_PKG_VERSION")},
        },
    });
    let Some(fields) = event.as_object_mut() else { return event };
    let mut rest = entry.as_object().cloned().unwrap_or_default();
    ["seq", "id", "at", "kind"].iter().for_each(|name| drop(rest.remove(*name)));
    if let Some((action, (disposition, name))) = outcome {
        fields.insert("action_id".to_owned(), action.into());
        fields.insert("disposition_id".to_owned(), disposition.into());
        fields.insert("disposition".to_owned(), name.into());
        rest.remove("decision");
    }
    if let Some((id, name)) = status(&entry, &record.kind) {
        fields.insert("status_id".to_owned(), id.into());
        fields.insert("status".to_owned(), name.into());
    }
    place(fields, &mut rest, uid);
    // These classes ask for who began it, and for which program it is.
    if uid == 6003 {
        let name = match entry.get("direction").and_then(Value::as_str) {
            Some("to_server") => "client",
            Some(_) => "server",
            None => "bartizan",
        };
        fields.insert("src_endpoint".to_owned(), json!({"name": name}));
    } else if uid == 6002 {
        fields.entry("app").or_insert_with(|| json!({"name": "bartizan"}));
    }
    // The class asks for a name of what was called; of what nobody could read there is none.
    if uid == 6003 && fields.get("api").and_then(|api| api.get("operation")).is_none() {
        let api = fields.entry("api").or_insert_with(|| json!({}));
        api["operation"] = record.kind.clone().into();
    }
    fields.insert("unmapped".to_owned(), rest.into());
    event
}

/// Moves what has a place in the class to it.
fn place(fields: &mut Map<String, Value>, rest: &mut Map<String, Value>, class: u32) {
    let mut put = |name: &str, at: &[&str]| {
        let taken = rest.remove(name).filter(|value| !value.is_null());
        if let Some(value) = taken {
            let (last, before) = at.split_last().map_or(("", at), |(last, before)| (*last, before));
            let mut inner = &mut *fields;
            for step in before {
                let next = inner.entry((*step).to_owned()).or_insert_with(|| Map::new().into());
                let Some(next) = next.as_object_mut() else { return };
                inner = next;
            }
            inner.insert(last.to_owned(), value);
        }
    };
    put("why", &["status_detail"]);
    put("rule", &["policy", "uid"]);
    match class {
        6003 => {
            put("principal", &["actor", "user", "uid"]);
            put("session", &["actor", "session", "uid"]);
            put("method", &["api", "operation"]);
            put("server", &["api", "service", "name"]);
            put("request", &["api", "request", "uid"]);
        }
        6002 => put("server", &["app", "name"]),
        3002 => {
            put("person", &["user", "uid"]);
            put("from", &["src_endpoint", "ip"]);
        }
        4001 => {
            put("host", &["dst_endpoint", "hostname"]);
            put("port", &["dst_endpoint", "port"]);
            put("address", &["dst_endpoint", "ip"]);
            put("sent", &["traffic", "bytes_out"]);
            put("received", &["traffic", "bytes_in"]);
            put("server", &["app_name"]);
        }
        _ => {
            put("by", &["actor", "user", "uid"]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event_of(kind: &str, fields: &str) -> Value {
        let chain = "0".repeat(64);
        let line = format!(
            r#"{{"seq":7,"id":"01M8CD2C2EZZ2M0R12R4XY0B44","at":"2026-11-26T17:04:52.302337Z","kind":"{kind}",{fields},"chain":"{chain}"}}"#
        );
        event(&Record::parse(line.as_bytes()).unwrap())
    }

    #[test]
    fn what_has_a_place_stands_there_and_the_rest_is_kept() {
        let call = event_of(
            "message",
            r#""direction":"to_server","principal":"ann","session":"s","server":"files","method":"tools/call","tool":"read","request":5,"decision":"deny","rule":"schema.arguments","why":"no","findings":[{"rule":"schema.arguments"}]"#,
        );
        for (at, expected) in [
            ("/class_uid", json!(6003)),
            ("/type_uid", json!(600_399)),
            ("/time", json!(1_795_712_692_302_i64)),
            ("/metadata/uid", json!("01M8CD2C2EZZ2M0R12R4XY0B44")),
            ("/metadata/event_code", json!("message")),
            ("/metadata/profiles", json!(["security_control"])),
            ("/actor/user/uid", json!("ann")),
            ("/api/operation", json!("tools/call")),
            ("/api/service/name", json!("files")),
            ("/api/request/uid", json!(5)),
            ("/src_endpoint/name", json!("client")),
            ("/unmapped/direction", json!("to_server")),
            ("/action_id", json!(2)),
            ("/disposition_id", json!(2)),
            ("/status_id", json!(2)),
            ("/policy/uid", json!("schema.arguments")),
            ("/unmapped/tool", json!("read")),
            ("/unmapped/findings/0/rule", json!("schema.arguments")),
        ] {
            assert_eq!(call.pointer(at), Some(&expected), "{at} of {call}");
        }
        assert!(call.pointer("/unmapped/principal").is_none() && call.pointer("/unmapped/decision").is_none());
    }

    #[test]
    fn each_kind_has_a_class_with_what_it_asks_for() {
        for (kind, fields, class, activity, needs) in [
            ("unreadable", r#""decision":"deny","direction":"to_client""#, 6003, 99, "/api/operation"),
            ("server.failed", r#""server":"files","why":"gone""#, 6002, 3, "/app/name"),
            ("gateway.started", r#""version":"1""#, 6002, 3, "/app/name"),
            ("own", r#""method":"ping""#, 6003, 99, "/src_endpoint/name"),
            ("server.ended", r#""server":"files","status":0"#, 6002, 4, "/app/name"),
            ("person.signed_in", r#""person":"ann","from":"192.0.2.1""#, 3002, 1, "/user/uid"),
            (
                "egress.refused",
                r#""host":"x.example","port":443,"reason":"egress.not_allowed""#,
                4001,
                5,
                "/dst_endpoint/hostname",
            ),
            ("key.created", r#""by":"uid:0","key":"K1""#, 0, 99, "/actor/user/uid"),
            ("anything.else", r#""x":1"#, 0, 99, "/unmapped/x"),
        ] {
            let event = event_of(kind, fields);
            assert_eq!((&event["class_uid"], &event["activity_id"]), (&json!(class), &json!(activity)), "{kind}");
            assert_eq!(event["type_uid"], json!(class * 100 + activity));
            assert!(event.pointer(needs).is_some(), "{kind}: {event}");
            assert!(event["severity_id"].is_u64() && event["metadata"]["product"]["name"] == "Bartizan");
        }
    }
}
