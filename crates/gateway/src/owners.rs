//! To whom a server handed out what it takes back: the ids of tasks, and the states of requests that wait for answers.
//!
//! **Threat.** Whoever has such a thing goes on with what somebody else began, and gets what that brings. A server behind
//! a gateway seldom knows whom it talks to, and ids are seldom secret. So of each is remembered which principals got it,
//! and only they may come back with it.
//!
//! Only digests are kept. Each principal has so many places, and of all of them together nobody loses one to somebody who
//! holds less.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_guard::{CallSummary, Evidence, HandedOut, Principal};
use bartizan_mcp::{Edits, Limits, Message, NodeKind, Value, method, spells};

use crate::places::Brief;

/// What one principal has at most; beyond it its oldest is forgotten.
const MOST_OF_ONE: usize = 4_096;
/// What all have together at most.
const MOST: usize = 131_072;
/// What a tool or a prompt is given is its own, whatever it calls that.
const ARGUMENTS: &str = "arguments";

/// Who got what.
#[derive(Default)]
pub(crate) struct Owners(Mutex<Held>);

#[derive(Default)]
struct Held {
    by: HashMap<Arc<str>, Own>,
    /// How many principals got a thing.
    known: HashMap<Brief, usize>,
    all: usize,
}

/// What one principal got.
#[derive(Default)]
struct Own {
    /// Each with the tool that it came of.
    got: HashMap<Brief, Option<Box<str>>>,
    /// Oldest first.
    order: VecDeque<Brief>,
}

impl Owners {
    /// Remembers what this answer hands out.
    pub(crate) fn note(&self, principal: &Principal, server: &str, answer: &Message, call: Option<&CallSummary>) {
        let Some(result) = answer.result() else { return };
        let held = [Some(result), result.get("result")].into_iter().flatten();
        for state in held.filter_map(|result| result.get("requestState")?.as_str()) {
            self.keep(principal, key(server, HandedOut::State, &state), None);
        }
        // What is asked about a task names it as well, and so do lists of them; only what began one is an answer of another kind.
        let Some(call) = call.filter(|call| !call.method.starts_with("tasks/")) else { return };
        let task = result.get("taskId").or_else(|| result.at(&["task", "taskId"]));
        if let Some(task) = task.and_then(Value::as_str) {
            self.keep(principal, key(server, HandedOut::Task, &task), call.tool.as_deref().map(Box::from));
        }
    }

    /// What there is to know of all that a client's message brings back.
    pub(crate) fn of_request(&self, principal: &Principal, server: &str, message: &Message) -> Vec<Evidence> {
        brought_back(message).map(|(what, text)| self.evidence(principal, server, what, text.as_deref())).collect()
    }

    /// What there is to know of the task that a server has news of.
    pub(crate) fn of_news(&self, principal: &Principal, server: &str, message: &Message) -> Option<Evidence> {
        matches!(message.method()?, method::TASKS_STATUS | "notifications/tasks").then_some(())?;
        let task = message.params().and_then(|params| params.get("taskId")).and_then(Value::as_str);
        Some(self.evidence(principal, server, HandedOut::Task, task.as_deref()))
    }

    /// A list of tasks without those that this principal did not begin, or that its credential is not good for.
    pub(crate) fn of_list(&self, principal: &Principal, server: &str, list: Message) -> Message {
        let Some(tasks) = list.result().and_then(|result| result.get("tasks")) else { return list };
        let mut edits = Edits::new();
        for task in tasks.elements() {
            let id = task.get("taskId").and_then(Value::as_str);
            let Evidence::HandedOut { is_theirs, tool, .. } =
                self.evidence(principal, server, HandedOut::Task, id.as_deref())
            else {
                continue;
            };
            let allows = |tool: &str| principal.scopes.allow(server, bartizan_guard::Kind::Tool, tool);
            if !is_theirs || !(principal.scopes.allow_all_of(server) || tool.as_deref().is_some_and(allows)) {
                edits.remove(tasks.id(), task.id());
            }
        }
        if edits.is_empty() {
            return list;
        }
        // It only gets smaller, and what is left was within the limits.
        list.edited(&edits, &Limits::AGAIN).unwrap_or(list)
    }

    fn evidence(&self, principal: &Principal, server: &str, what: HandedOut, text: Option<&str>) -> Evidence {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = text.map(|text| key(server, what, text));
        let got = key.and_then(|key| held.by.get(&principal.id)?.got.get(&key));
        // Nobody else is kept from what is nobody's in particular; it may be from before this gateway was started.
        let is_open = principal.is_anonymous() && key.is_none_or(|key| !held.known.contains_key(&key));
        Evidence::HandedOut { what, is_theirs: got.is_some() || is_open, tool: got.cloned().flatten() }
    }

    fn keep(&self, principal: &Principal, key: Brief, tool: Option<Box<str>>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = &mut *held;
        let own = held.by.entry(Arc::clone(&principal.id)).or_default();
        if own.got.insert(key, tool).is_some() {
            return;
        }
        own.order.push_back(key);
        let is_full = own.order.len() > MOST_OF_ONE;
        *held.known.entry(key).or_default() += 1;
        held.all += 1;
        if is_full {
            held.forget(&principal.id);
        } else if held.all > MOST {
            let most = held.by.iter().max_by_key(|(_, own)| own.order.len()).map(|(id, _)| Arc::clone(id));
            most.into_iter().for_each(|id| held.forget(&id));
        }
    }
}

impl Held {
    /// Forgets the oldest of one principal's.
    fn forget(&mut self, id: &Arc<str>) {
        let Some(own) = self.by.get_mut(id) else { return };
        let Some(key) = own.order.pop_front() else { return };
        own.got.remove(&key);
        if own.order.is_empty() {
            self.by.remove(id);
        }
        self.all = self.all.saturating_sub(1);
        if let Some(count) = self.known.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.known.remove(&key);
            }
        }
    }
}

/// All that a client's message names of what servers hand out, wherever it stands, and however a server may read its name.
/// What is no text is none that anybody got.
fn brought_back(message: &Message) -> impl Iterator<Item = (HandedOut, Option<std::borrow::Cow<'_, str>>)> {
    let mut found = Vec::new();
    // What a client answers a server is about tasks of its own.
    let mut left: Vec<_> = message.method().and_then(|_| message.params()).into_iter().collect();
    while let Some(value) = left.pop() {
        for (key, value) in value.members() {
            let key = key.text();
            let what = match &*key {
                ARGUMENTS => continue,
                key if spells(key, "taskId") || spells(key, "taskIds") => HandedOut::Task,
                key if spells(key, "requestState") => HandedOut::State,
                _ => {
                    left.push(value);
                    continue;
                }
            };
            match value.kind() {
                NodeKind::Array => found.extend(value.elements().map(|value| (what, value.as_str()))),
                _ => found.push((what, value.as_str())),
            }
            left.push(value);
        }
        left.extend(value.elements());
    }
    found.into_iter()
}

fn key(server: &str, what: HandedOut, text: &str) -> Brief {
    let mut hasher = blake3::Hasher::new();
    for part in [server, what.as_str(), text] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use bartizan_guard::{Scope, Scopes};

    use super::*;

    fn message(text: &str) -> Message {
        Message::parse(text.to_owned(), &Limits::default()).unwrap()
    }

    fn call(tool: &str) -> CallSummary {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}"}}}}"#);
        CallSummary::of(&message(&text)).unwrap()
    }

    fn answer(result: &str) -> Message {
        message(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#))
    }

    fn request(method: &str, params: &str) -> Message {
        message(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#))
    }

    /// Whether all that the message brings back is the principal's; nothing if it brings nothing.
    fn theirs(owners: &Owners, who: &Principal, server: &str, message: &Message) -> Option<bool> {
        let found = owners.of_request(who, server, message);
        let is_theirs = |held: &Evidence| matches!(held, Evidence::HandedOut { is_theirs: true, .. });
        (!found.is_empty()).then(|| found.iter().all(is_theirs))
    }

    #[test]
    fn what_one_got_nobody_else_brings_back() {
        let (owners, ann, bob, nobody) =
            (Owners::default(), Principal::new("ann"), Principal::new("bob"), Principal::anonymous());
        owners.note(&ann, "s", &answer(r#"{"resultType":"task","taskId":"t"}"#), Some(&call("x")));
        owners.note(&ann, "s", &answer(r#"{"task":{"taskId":"u"}}"#), Some(&call("x")));
        owners.note(&ann, "s", &answer(r#"{"resultType":"input_required","requestState":"t"}"#), Some(&call("x")));
        owners.note(&ann, "s", &answer(r#"{"result":{"requestState":"inner"}}"#), Some(&call("x")));
        owners.note(&nobody, "s", &answer(r#"{"requestState":"open"}"#), Some(&call("x")));
        let asked = CallSummary::of(&request("tasks/get", r#"{"taskId":"other"}"#)).unwrap();
        owners.note(&bob, "s", &answer(r#"{"taskId":"t","tasks":[{"taskId":"u"}]}"#), Some(&asked));
        for (who, server, method, params, expected) in [
            (&ann, "s", "tasks/get", r#"{"taskId":"t"}"#, Some(true)),
            (&ann, "s", "tasks/get", r#"{"taskId":"u"}"#, Some(true)),
            (&bob, "s", "tasks/get", r#"{"taskId":"t"}"#, Some(false)),
            (&bob, "s", "vendor/x", r#"{"a":[{"taskIds":["t"]}]}"#, Some(false)),
            (&ann, "s", "vendor/x", r#"{"a":[{"taskIds":["t","u"]}]}"#, Some(true)),
            (&ann, "s", "vendor/x", r#"{"a":[{"taskIds":["t","v"]}]}"#, Some(false)),
            (&bob, "s", "tasks/get", r#"{"_meta":{"x/y":{"Ta\u017FkId":"t"}}}"#, Some(false)),
            (&ann, "s", "tasks/get", r#"{"taskId":["t"]}"#, Some(true)),
            (&ann, "s", "tasks/get", r#"{"taskId":7}"#, Some(false)),
            (&ann, "s", "tasks/get", r#"{"taskId":{"taskId":"t"}}"#, Some(false)),
            (&ann, "other", "tasks/get", r#"{"taskId":"t"}"#, Some(false)),
            (&nobody, "s", "tasks/get", r#"{"taskId":"t"}"#, Some(false)),
            (&nobody, "s", "tasks/get", r#"{"taskId":"never seen"}"#, Some(true)),
            (&ann, "s", "tools/call", r#"{"name":"x","requestState":"t"}"#, Some(true)),
            (&ann, "s", "tools/call", r#"{"name":"x","requestState":"inner"}"#, Some(true)),
            (&ann, "s", "tools/call", r#"{"name":"x","requestState":"u"}"#, Some(false)),
            (&ann, "s", "tools/call", r#"{"name":"x","requestState":"open"}"#, Some(false)),
            (&nobody, "s", "tools/call", r#"{"name":"x","requestState":"open"}"#, Some(true)),
            (&bob, "s", "tools/call", r#"{"name":"x","requestState":"t"}"#, Some(false)),
            (&bob, "s", "tools/call", r#"{"name":"x","arguments":{"taskId":"t","requestState":"t"}}"#, None),
        ] {
            let found = theirs(&owners, who, server, &request(method, params));
            assert_eq!(found, expected, "{who} {server} {method} {params}");
        }
    }

    #[test]
    fn a_list_holds_ones_own() {
        let (owners, ann) = (Owners::default(), Principal::new("ann"));
        owners.note(&ann, "s", &answer(r#"{"task":{"taskId":"a"}}"#), Some(&call("x")));
        owners.note(&ann, "s", &answer(r#"{"task":{"taskId":"b"}}"#), Some(&call("y")));
        let narrow = Principal { scopes: Scopes::of([Scope::parse("tool:s/y").unwrap()]), ..ann.clone() };
        let list = || answer(r#"{"tasks":[{"taskId":"a"},{"taskId":"b"}, {"taskId":"c"},{}]}"#);
        for (who, left) in [
            (&ann, r#"{"tasks":[{"taskId":"a"},{"taskId":"b"}]}"#),
            (&narrow, r#"{"tasks":[{"taskId":"b"}]}"#),
            (&Principal::new("bob"), r#"{"tasks":[]}"#),
            (&Principal::anonymous(), r#"{"tasks":[ {"taskId":"c"},{}]}"#),
        ] {
            let found = owners.of_list(who, "s", list());
            assert_eq!(found.result().unwrap().raw().replace(' ', ""), left.replace(' ', ""), "{who}");
        }
    }

    #[test]
    fn nobody_loses_a_place_to_who_has_more() {
        let (owners, quiet, flood) = (Owners::default(), Principal::new("quiet"), Principal::new("flood"));
        let task = |id: usize| answer(&format!(r#"{{"taskId":"{id}"}}"#));
        owners.note(&quiet, "s", &task(0), Some(&call("x")));
        (0..MOST_OF_ONE + 10).for_each(|id| owners.note(&flood, "s", &task(id), Some(&call("x"))));
        let get = |id: usize| request("tasks/get", &format!(r#"{{"taskId":"{id}"}}"#));
        assert_eq!(theirs(&owners, &quiet, "s", &get(0)), Some(true));
        assert_eq!(theirs(&owners, &flood, "s", &get(9)), Some(false));
        assert_eq!(theirs(&owners, &flood, "s", &get(10)), Some(true));
        let held = owners.0.lock().unwrap();
        assert_eq!((held.all, held.known.len()), (MOST_OF_ONE + 1, MOST_OF_ONE + 1));
    }
}
