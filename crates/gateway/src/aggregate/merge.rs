//! Several servers' answers as one.

use std::collections::HashSet;
use std::sync::Arc;

use bartizan_mcp::{Edits, Id, Limits, Message, NodeKind, Revision, Value, quote};

use super::names::Names;
use crate::admit::Admitted;

/// What a list result holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct List {
    /// The member of the result.
    pub(super) member: &'static str,
    /// The capability that a server must have declared.
    pub(super) capability: &'static str,
    /// The member that tells elements apart.
    pub(super) key: &'static str,
    /// Whether that member is a name, to be told apart by server; otherwise the first server to list it has it.
    pub(super) named: bool,
}

/// The lists of the protocol, by method.
pub(super) fn list_of(method: &str) -> Option<List> {
    let list = |member, capability, key, named| Some(List { member, capability, key, named });
    match method {
        "tools/list" => list("tools", "tools", "name", true),
        "prompts/list" => list("prompts", "prompts", "name", true),
        "resources/list" => list("resources", "resources", "uri", false),
        "resources/templates/list" => list("resourceTemplates", "resources", "uriTemplate", false),
        "tasks/list" => list("tasks", "tasks", "taskId", false),
        _ => None,
    }
}

/// One list out of many pages, each with its server. `found` is told the key of each element that stays.
pub(super) fn lists(
    list: List,
    id: &Id,
    pages: &[(Arc<str>, Admitted)],
    names: &Names,
    limits: &Limits,
    stateless: bool,
    mut found: impl FnMut(&Arc<str>, &str),
) -> String {
    let mut seen = HashSet::new();
    let mut elements: Vec<String> = Vec::new();
    for (server, page) in pages {
        let renamed = rename(list, server, page.message(), names, limits);
        let message = renamed.as_ref().unwrap_or(page.message());
        let held = message.result().and_then(|result| result.get(list.member));
        for element in held.into_iter().flat_map(Value::elements) {
            let key = element.get(list.key).map(Value::text).unwrap_or_default();
            if seen.insert(key.to_string()) {
                found(server, &key);
                elements.push(element.raw().to_owned());
            }
        }
    }
    let era = if stateless { r#","resultType":"complete","ttlMs":0,"cacheScope":"private""# } else { "" };
    let id = id.to_json();
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"{}":[{}]{era}}}}}"#, list.member, elements.join(","))
}

/// The page with the names by which the client knows its elements.
fn rename(list: List, server: &Arc<str>, page: &Message, names: &Names, limits: &Limits) -> Option<Message> {
    if !list.named {
        return None;
    }
    let mut edits = Edits::new();
    for element in page.result()?.get(list.member)?.elements() {
        if let Some(name) = element.get(list.key)
            && name.kind() == NodeKind::String
        {
            edits.set_text(name.id(), &names.outward(server, &name.text()));
        }
    }
    page.edited(&edits, limits).ok()
}

/// The answer to `initialize` or `server/discover`: everything that at least one server offers.
pub(super) fn hello(id: &Id, version: Option<Revision>, answers: &[(Arc<str>, &Message)]) -> String {
    let mut capabilities: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut instructions = String::new();
    for (server, answer) in answers {
        let Some(result) = answer.result() else { continue };
        for (name, value) in result.get("capabilities").into_iter().flat_map(Value::members) {
            let name = name.text().into_owned();
            let at = capabilities.iter().position(|(held, _)| *held == name).unwrap_or_else(|| {
                capabilities.push((name, Vec::new()));
                capabilities.len() - 1
            });
            let Some((_, flags)) = capabilities.get_mut(at) else { continue };
            for (flag, value) in value.members() {
                let flag = flag.text().into_owned();
                match flags.iter_mut().find(|(held, _)| *held == flag) {
                    // One server that can is enough.
                    Some((_, held)) if held == "false" => value.raw().clone_into(held),
                    Some(_) => {}
                    None => flags.push((flag, value.raw().to_owned())),
                }
            }
        }
        if let Some(text) = result.get("instructions").and_then(Value::as_str) {
            instructions.push_str(&format!("[{server}]\n{text}\n\n"));
        }
    }
    let object = |members: &[(String, String)]| {
        let members: Vec<_> = members.iter().map(|(name, json)| format!("{}:{json}", quote(name))).collect();
        format!("{{{}}}", members.join(","))
    };
    let all: Vec<_> = capabilities.iter().map(|(name, flags)| (name.clone(), object(flags))).collect();
    let info = format!(r#"{{"name":"bartizan","version":"{}"}}"#, env!("CARGO_PKG_VERSION"));
    let instructions = match instructions.trim_end() {
        "" => String::new(),
        text => format!(r#","instructions":{}"#, quote(text)),
    };
    let id = id.to_json();
    let capabilities = object(&all);
    match version {
        Some(version) => format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"{version}","capabilities":{capabilities},"serverInfo":{info}{instructions}}}}}"#
        ),
        None => {
            let versions: Vec<_> = Revision::ALL.iter().map(|revision| format!("\"{revision}\"")).collect();
            let versions = versions.join(",");
            format!(
                r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete","supportedVersions":[{versions}],"capabilities":{capabilities}{instructions},"ttlMs":0,"cacheScope":"private","_meta":{{"io.modelcontextprotocol/serverInfo":{info}}}}}}}"#
            )
        }
    }
}
