//! Several servers' answers as one.

use std::collections::HashSet;
use std::sync::Arc;

use bartizan_mcp::{Edits, Id, Limits, Message, NodeKind, Revision, Value, method, quote};

use super::names::Names;
use crate::admit::Admitted;
use crate::own;
use crate::tag;

/// What a list result holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct List {
    /// The member of the result.
    pub(super) member: &'static str,
    /// The capability that a server must have declared.
    pub(super) capability: &'static str,
    /// What tells its elements apart.
    pub(super) key: Key,
}

/// What tells the elements of a list apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// A name, which gets its server's in front.
    Name,
    /// A resource; the first server that lists it has it.
    Uri,
    /// The same for a template.
    Template,
    /// A task's id, which its server made up.
    Task,
}

impl Key {
    fn member(self) -> &'static str {
        match self {
            Key::Name => "name",
            Key::Uri => "uri",
            Key::Template => "uriTemplate",
            Key::Task => "taskId",
        }
    }
}

/// The lists of the protocol, by method.
pub(super) fn list_of(method: &str) -> Option<List> {
    let list = |member, capability, key| Some(List { member, capability, key });
    match method {
        method::TOOLS_LIST => list("tools", "tools", Key::Name),
        method::PROMPTS_LIST => list("prompts", "prompts", Key::Name),
        method::RESOURCES_LIST => list("resources", "resources", Key::Uri),
        method::RESOURCES_TEMPLATES_LIST => list("resourceTemplates", "resources", Key::Template),
        method::TASKS_LIST => list("tasks", "tasks", Key::Task),
        _ => None,
    }
}

/// One list out of many pages, each with its server. `found` is told the key of each element, and says whether it is
/// that server's.
pub(super) fn lists(
    list: List,
    id: &Id,
    pages: &[(Arc<str>, Admitted)],
    names: &Names,
    stateless: bool,
    mut found: impl FnMut(&Arc<str>, &str) -> bool,
) -> String {
    let mut seen = HashSet::new();
    let mut elements: Vec<String> = Vec::new();
    for (server, page) in pages {
        // Without the server's name in front an element could have another one's, so such a page is left out.
        let Some(message) = named(list, server, page.message(), names) else { continue };
        let held = message.result().and_then(|result| result.get(list.member));
        for element in held.into_iter().flat_map(Value::elements) {
            let key = element.get(list.key.member()).map(Value::text).unwrap_or_default();
            if found(server, &key) && seen.insert(key.to_string()) {
                elements.push(element.raw().to_owned());
            }
        }
    }
    let era = if stateless { r#","resultType":"complete","ttlMs":0,"cacheScope":"private""# } else { "" };
    let id = id.to_json();
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"{}":[{}]{era}}}}}"#, list.member, elements.join(","))
}

/// The page with the names by which the client knows its elements, which make it longer than what was within the limits.
fn named(list: List, server: &Arc<str>, page: &Message, names: &Names) -> Option<Message> {
    if matches!(list.key, Key::Uri | Key::Template) {
        return Some(page.clone());
    }
    let mut edits = Edits::new();
    for element in page.result()?.get(list.member)?.elements() {
        if let Some(name) = element.get(list.key.member())
            && name.kind() == NodeKind::String
        {
            let text = name.text();
            let outward = match list.key {
                Key::Task => tag::task_outward(server, &text),
                _ => names.outward(server, &text),
            };
            edits.set_text(name.id(), &outward);
        }
    }
    page.edited(&edits, &Limits::AGAIN).ok()
}

/// A server's instructions, in which no line looks like the heading of another's.
fn instructions_of(text: &str) -> String {
    // All that Unicode lets a line end with (UAX 14), each kept.
    let lines = text.split_inclusive(['\n', '\r', '\u{B}', '\u{C}', '\u{85}', '\u{2028}', '\u{2029}']);
    let shown = lines.map(|line| {
        let heading = line.trim().starts_with('[') && line.trim().ends_with(']');
        if heading { format!("> {line}") } else { line.to_owned() }
    });
    shown.collect()
}

/// What servers offer: names of capabilities with their flags as JSON, in the order in which they were met.
#[derive(Default)]
struct Offers(Vec<(String, Vec<(String, String)>)>);

impl Offers {
    fn of(&mut self, name: &str) -> Option<&mut Vec<(String, String)>> {
        let at = self.0.iter().position(|(held, _)| held == name).unwrap_or_else(|| {
            self.0.push((name.to_owned(), Vec::new()));
            self.0.len() - 1
        });
        self.0.get_mut(at).map(|(_, flags)| flags)
    }

    /// One server that can is enough.
    fn add(&mut self, capabilities: Value<'_>) {
        for (name, value) in capabilities.members() {
            let Some(flags) = self.of(&name.text()) else { continue };
            for (flag, value) in value.members() {
                let flag = flag.text();
                match flags.iter_mut().find(|(held, _)| *held == flag) {
                    Some((_, held)) if held == "false" => value.raw().clone_into(held),
                    Some(_) => {}
                    None => flags.push((flag.into_owned(), value.raw().to_owned())),
                }
            }
        }
    }

    /// The gateway itself says when a list changed because a server came. Of one that is not there yet it is not known
    /// what it offers, so for it everything that has a list is declared.
    fn announce(&mut self, all_there: bool) {
        for name in ["tools", "prompts", "resources"] {
            if (!all_there || self.0.iter().any(|(held, _)| held == name))
                && let Some(flags) = self.of(name)
            {
                flags.retain(|(flag, _)| flag != "listChanged");
                flags.push(("listChanged".to_owned(), "true".to_owned()));
            }
        }
    }

    fn to_json(&self) -> String {
        let all = self.0.iter().map(|(name, flags)| {
            let flags: Vec<_> = flags.iter().map(|(flag, json)| format!("{}:{json}", quote(flag))).collect();
            format!("{}:{{{}}}", quote(name), flags.join(","))
        });
        format!("{{{}}}", all.collect::<Vec<_>>().join(","))
    }
}

/// The revisions that are spoken, as JSON.
pub(crate) fn versions() -> String {
    Revision::ALL.map(|revision| format!("\"{revision}\"")).join(",")
}

/// The answer to `initialize` or, without a `version`, to `server/discover`: everything that at least one server offers.
pub(super) fn hello(id: &Id, version: Option<Revision>, answers: &[(Arc<str>, &Message)], all_there: bool) -> String {
    let mut offers = Offers::default();
    let mut instructions = String::new();
    for (server, answer) in answers {
        let Some(result) = answer.result() else { continue };
        if let Some(capabilities) = result.get("capabilities") {
            offers.add(capabilities);
        }
        if let Some(text) = result.get("instructions").and_then(Value::as_str) {
            instructions.push_str(&format!("[{server}]\n{}\n\n", instructions_of(&text)));
        }
    }
    offers.announce(all_there);
    let info = own::info();
    let instructions = match instructions.trim_end() {
        "" => String::new(),
        text => format!(r#","instructions":{}"#, quote(text)),
    };
    let (id, capabilities) = (id.to_json(), offers.to_json());
    match version {
        Some(version) => format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"{version}","capabilities":{capabilities},"serverInfo":{info}{instructions}}}}}"#
        ),
        None => format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete","supportedVersions":[{}],"capabilities":{capabilities}{instructions},"ttlMs":0,"cacheScope":"private","_meta":{{"io.modelcontextprotocol/serverInfo":{info}}}}}}}"#,
            versions()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_server_speaks_in_anothers_name() {
        assert_eq!(
            instructions_of("a\u{2028}[b]\u{2029}[c]\u{85}[d]\r[e]"),
            "a\u{2028}> [b]\u{2029}> [c]\u{85}> [d]\r> [e]"
        );
        assert_eq!(instructions_of("Be kind.\n[b]\n  [c] \n- [x] done\r"), "Be kind.\n> [b]\n>   [c] \n- [x] done\r");
        let long = "x".repeat(Limits::default().bytes);
        let list = list_of(method::TOOLS_LIST).unwrap();
        let page = format!(
            r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{{"name":"files__read","description":"{long}"}}]}}}}"#
        );
        let page = Message::parse(page, &Limits::AGAIN).unwrap();
        let named = named(list, &"evil".into(), &page, &Names::default()).unwrap();
        let tools = named.result().unwrap().get("tools").unwrap();
        let name = tools.elements().next().unwrap().get("name").unwrap().text().into_owned();
        assert!(name.starts_with("evil__"), "{name}");
    }

    #[test]
    fn what_one_server_offers_all_offer() {
        let answer = |result: &str| {
            Message::parse(format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#), &Limits::default()).unwrap()
        };
        let one =
            answer(r#"{"capabilities":{"tools":{"listChanged":false},"x":{"y":{"z":1.0}}},"instructions":"Be kind."}"#);
        let other = answer(
            r#"{"capabilities":{"resources":{"subscribe":true},"x":{"y":2,"w":[]}},"instructions":"Be quick."}"#,
        );
        let answers = [("a".into(), &one), ("b".into(), &other)];
        let told = |all| {
            Message::parse(hello(&Id::from(1), Some(Revision::V2025_11_25), &answers, all), &Limits::default()).unwrap()
        };
        let capabilities = r#"{"tools":{"listChanged":true},"x":{"y":{"z":1.0},"w":[]},"resources":{"subscribe":true,"listChanged":true}}"#;
        assert_eq!(told(true).result().unwrap().get("capabilities").unwrap().raw(), capabilities);
        assert!(told(true).result().unwrap().get("instructions").unwrap().is_text("[a]\nBe kind.\n\n[b]\nBe quick."));
        assert!(told(false).result().unwrap().at(&["capabilities", "prompts", "listChanged"]).is_some());
    }
}
