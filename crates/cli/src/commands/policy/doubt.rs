//! What of a question to `policy explain` may not be what was meant, or cannot be known here.

use std::collections::BTreeSet;

use bartizan_config::Config;
use bartizan_policy::{Policies, meant};
use serde_json::Value;

use super::Brings;

/// What to say beside the answer.
pub(super) fn notes(config: &Config, policies: &Policies, user: &str, brings: &Brings) -> Vec<String> {
    let mut notes = Vec::new();
    let says_none = brings.roles.is_empty() && brings.groups.is_empty() && brings.tenant.is_none();
    let issuer =
        user.split_once(':').and_then(|(name, _)| config.auth.issuers.iter().find(|issuer| issuer.name == name));
    let reads = issuer.is_some_and(|issuer| {
        let claims = &issuer.claims;
        claims.roles.is_some() || claims.groups.is_some() || claims.tenant.is_some()
    });
    if reads && says_none {
        notes.push("what its tokens bring is not known here: --role, --group, --tenant".to_owned());
    }
    let roles = policies.roles();
    let own_roles = roles.roles.keys().chain(roles.groups.values().flat_map(|group| &group.roles));
    let kinds = [
        ("role", &brings.roles, known(policies, "Role", own_roles)),
        ("group", &brings.groups, known(policies, "Group", roles.groups.keys())),
    ];
    for (kind, named, known) in &kinds {
        for name in named.iter().filter(|name| !known.contains(name.as_str())) {
            let meant = meant(name, known.iter().map(String::as_str));
            notes.push(format!("no {kind} `{name}` is in the configuration{meant}"));
        }
    }
    notes
}

/// The names that the configuration has, and those that policies speak of.
fn known<'a>(policies: &Policies, kind: &str, own: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
    let start = format!("Mcp::{kind}::\"");
    let spoken = policies.texts().flat_map(|(_, text)| {
        let parts = text.split(&start).skip(1);
        parts.filter_map(|rest| rest.split_once('"')).map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
    });
    own.cloned().chain(spoken).collect()
}

/// The arguments of a tool, as it declares them, that policies speak of.
pub(super) fn read(policies: &Policies, tool: &Value) -> Vec<String> {
    let declared = tool.get("inputSchema").and_then(|schema| schema.get("properties")).and_then(Value::as_object);
    let is_read = |name: &&String| policies.texts().any(|(_, text)| speaks_of(text, name));
    declared.into_iter().flat_map(|properties| properties.keys()).filter(is_read).cloned().collect()
}

fn speaks_of(text: &str, argument: &str) -> bool {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let mut members = text.split("input.").skip(1);
    members.any(|rest| rest.strip_prefix(argument).is_some_and(|rest| !rest.starts_with(is_word)))
        || text.contains(&format!("input[\"{argument}\"]"))
        || text.contains(&format!("input has {argument}"))
}
