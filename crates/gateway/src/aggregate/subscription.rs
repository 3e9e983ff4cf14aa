//! `subscriptions/listen` with all servers at once: what each of them is asked, and what the client is told of it.

use bartizan_mcp::{Edits, Id, Limits, Message, NodeKind, Value, meta, method, quote};
use std::sync::Arc;

use crate::tag;

/// What is listened for, by the notification that the gateway itself sends for it.
const FLAGS: [(&str, &str); 3] = [
    ("toolsListChanged", method::TOOLS_LIST_CHANGED),
    ("promptsListChanged", method::PROMPTS_LIST_CHANGED),
    ("resourcesListChanged", method::RESOURCES_LIST_CHANGED),
];
const RESOURCES: &str = "resourceSubscriptions";
const TASKS: &str = "taskIds";

/// Resources of one subscription; each is looked up among all that the servers list.
const MOST_RESOURCES: usize = 256;

/// Why it cannot be served.
pub(super) fn flaw(asked: &Message) -> Option<&'static str> {
    match filter(asked) {
        None => Some("`notifications` is missing"),
        Some(_) if resources(asked).len() > MOST_RESOURCES => Some("more resources than one subscription may have"),
        Some(_) => None,
    }
}

/// The resources whose changes are listened for.
pub(super) fn resources(asked: &Message) -> Vec<String> {
    texts(filter(asked), RESOURCES)
}

/// Whether a list's change is listened for.
pub(super) fn wants(asked: &Message, method: &str) -> bool {
    let flag = FLAGS.iter().find(|(_, held)| *held == method).and_then(|(flag, _)| filter(asked)?.get(flag));
    flag.is_some_and(|flag| flag.raw() == "true")
}

/// The parameters of a notification to whoever asked that.
pub(super) fn params(asked: &Message) -> String {
    let id = asked.id().map_or_else(|| "null".to_owned(), Id::to_json);
    format!(r#","params":{{"_meta":{{"{}":{id}}}}}"#, meta::SUBSCRIPTION_ID)
}

/// What one server is asked: everything but the resources and tasks of others.
pub(super) fn of_server(
    asked: &Message,
    server: &str,
    theirs: impl Fn(&str) -> bool,
    limits: &Limits,
) -> Option<Message> {
    let filter = filter(asked)?;
    let mut edits = Edits::new();
    if let Some(list) = filter.get(RESOURCES) {
        let own = texts(Some(filter), RESOURCES).into_iter().filter(|uri| theirs(uri));
        edits.set_json(list.id(), array(own));
    }
    if let Some(list) = filter.get(TASKS) {
        let own = texts(Some(filter), TASKS).into_iter().filter_map(|task| {
            let (owner, task) = tag::inward(&task)?;
            (owner == server).then(|| task.to_owned())
        });
        edits.set_json(list.id(), array(own));
    }
    asked.edited(&edits, limits).ok()
}

/// The one acknowledgement of all servers': what any of them will tell, and what the gateway itself will.
pub(super) fn acknowledgement(asked: &Message, id: &Id, accepted: &[(Arc<str>, Message)]) -> String {
    let mut members: Vec<(String, String)> = Vec::new();
    let wanted = filter(asked);
    for (flag, _) in FLAGS {
        if wanted.and_then(|filter| filter.get(flag)).is_some_and(|flag| flag.raw() == "true") {
            members.push((flag.to_owned(), "true".to_owned()));
        }
    }
    let (mut uris, mut tasks) = (Vec::new(), Vec::new());
    for (server, answer) in accepted {
        let filter = filter(answer);
        uris.extend(texts(filter, RESOURCES));
        tasks.extend(texts(filter, TASKS).iter().map(|task| tag::task_outward(server, task)));
        for (key, value) in filter.into_iter().flat_map(Value::members) {
            let key = key.text();
            if key != RESOURCES && key != TASKS && members.iter().all(|(held, _)| *held != key) {
                members.push((key.into_owned(), value.raw().to_owned()));
            }
        }
    }
    for (key, list) in [(RESOURCES, uris), (TASKS, tasks)] {
        if wanted.is_some_and(|filter| filter.get(key).is_some()) {
            members.push((key.to_owned(), array(list)));
        }
    }
    let members: Vec<_> = members.iter().map(|(key, json)| format!("{}:{json}", quote(key))).collect();
    format!(
        r#"{{"jsonrpc":"2.0","method":"{}","params":{{"_meta":{{"{}":{}}},"notifications":{{{}}}}}}}"#,
        method::SUBSCRIPTIONS_ACKNOWLEDGED,
        meta::SUBSCRIPTION_ID,
        id.to_json(),
        members.join(",")
    )
}

fn filter(message: &Message) -> Option<Value<'_>> {
    message.params()?.get("notifications").filter(|filter| filter.kind() == NodeKind::Object)
}

fn texts(filter: Option<Value<'_>>, key: &str) -> Vec<String> {
    let list = filter.and_then(|filter| filter.get(key)).filter(|list| list.kind() == NodeKind::Array);
    list.into_iter().flat_map(Value::elements).filter_map(|text| Some(text.as_str()?.into_owned())).collect()
}

fn array(texts: impl IntoIterator<Item = String>) -> String {
    let texts: Vec<_> = texts.into_iter().map(|text| quote(&text)).collect();
    format!("[{}]", texts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message::parse(text.to_owned(), &Limits::default()).unwrap()
    }

    fn asked(filter: &str) -> Message {
        message(&format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"subscriptions/listen","params":{{"notifications":{filter}}}}}"#
        ))
    }

    #[test]
    fn each_server_is_asked_for_what_is_its_own() {
        let all = asked(
            r#"{"toolsListChanged":true,"resourceSubscriptions":["a:1","b:1"],"taskIds":["a/t","b/t","t"],"x":1.0}"#,
        );
        let sent = of_server(&all, "a", |uri| uri.starts_with("a:"), &Limits::default()).unwrap();
        let expected = r#"{"toolsListChanged":true,"resourceSubscriptions":["a:1"],"taskIds":["t"],"x":1.0}"#;
        assert_eq!(sent.params().unwrap().get("notifications").unwrap().raw(), expected);
        assert!(wants(&all, method::TOOLS_LIST_CHANGED) && !wants(&all, method::PROMPTS_LIST_CHANGED));
        let nothing = message(r#"{"jsonrpc":"2.0","id":7,"method":"subscriptions/listen","params":{}}"#);
        assert_eq!(flaw(&nothing), Some("`notifications` is missing"));
        assert_eq!(flaw(&all), None);
    }

    #[test]
    fn all_acknowledgements_become_one() {
        let answer = |filter: &str| {
            message(&format!(r#"{{"jsonrpc":"2.0","method":"n","params":{{"notifications":{filter}}}}}"#))
        };
        let all = asked(r#"{"toolsListChanged":true,"resourceSubscriptions":["a:1","b:1"],"taskIds":[]}"#);
        let accepted = [
            ("a".into(), answer(r#"{"resourceSubscriptions":["a:1"],"taskIds":["t"],"new":2}"#)),
            ("b".into(), answer(r#"{"toolsListChanged":true,"resourceSubscriptions":["b:1"],"new":3}"#)),
        ];
        let told = message(&acknowledgement(&all, &Id::from(7), &accepted));
        let expected = r#"{"toolsListChanged":true,"new":2,"resourceSubscriptions":["a:1","b:1"],"taskIds":["a/t"]}"#;
        assert_eq!(told.params().unwrap().get("notifications").unwrap().raw(), expected);
        assert!(told.params().unwrap().get("_meta").unwrap().get(meta::SUBSCRIPTION_ID).unwrap().as_i64() == Some(7));
    }
}
