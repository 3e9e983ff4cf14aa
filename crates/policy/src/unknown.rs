//! Actions, types and labels that there are not. What reads arguments is held against tools only, and a rule about an action that
//! does not exist is about none of them: it would pass every check and hold for nothing.

use cedar_policy::{ActionConstraint, EntityTypeName, EntityUid, PrincipalConstraint, ResourceConstraint};

use crate::names::{ACTION, TYPES};
use crate::reads::labels_named;
use crate::rule::{Rule, offset};
use crate::{Label, Problem, Source, nearest};

/// The actions that are not tools.
const ACTIONS: [&str; 7] = ["use", "call", "read", "get", "send", "sample", "elicit"];

pub(crate) fn check(rules: &[Rule], sources: &[Source<'_>]) -> Vec<Problem> {
    let of = |rule: &Rule| {
        let mut whys: Vec<_> = named(rule).iter().filter_map(wrong).chain(types(rule)).chain(is_group(rule)).collect();
        whys.extend(labels(rule));
        whys.sort();
        whys.dedup();
        let at = |why: String| {
            let message = format!("`{}`: {why}", rule.reason.id);
            sources.get(rule.source).map(|source| Problem::at(source, offset(&rule.policy), message))
        };
        whys.into_iter().filter_map(at).collect::<Vec<_>>()
    };
    rules.iter().flat_map(of).collect()
}

/// All that a rule names, in its conditions as well.
fn named(rule: &Rule) -> Vec<EntityUid> {
    let mut named = rule.policy.entity_literals();
    match &rule.action {
        ActionConstraint::Any => {}
        ActionConstraint::Eq(uid) => named.push(uid.clone()),
        ActionConstraint::In(uids) => named.extend(uids.iter().cloned()),
    }
    named
}

/// What is asked is never one of the actions that only hold others, so a rule about just that holds for nothing.
fn is_group(rule: &Rule) -> Option<String> {
    let ActionConstraint::Eq(uid) = &rule.action else { return None };
    let id = uid.id().unescaped();
    let why = || format!("nothing is the action `{id}` itself; write `action in Mcp::Action::\"{id}\"`");
    (*uid.type_name() == *ACTION && ["use", "call"].contains(&id)).then(why)
}

/// Labels that no session ever bears: a rule that waits for one holds for nothing, and one that is lifted by it for all.
fn labels(rule: &Rule) -> Vec<String> {
    let json = rule.policy.to_json().unwrap_or_default();
    let conditions = json.get("conditions").unwrap_or(&serde_json::Value::Null);
    let unknown = labels_named(conditions).into_iter().filter(|name| Label::named(name).is_none());
    let known = Label::ALL.map(Label::as_str);
    let why = |name: &str| match nearest(name, known) {
        Some(near) => format!("there is no label `{name}`; did you mean `{near}`?"),
        None => format!("there is no label `{name}`; there are {}", known.join(", ")),
    };
    unknown.map(why).collect()
}

/// The types that a rule says somebody or something is of.
fn types(rule: &Rule) -> Vec<String> {
    let who = match &rule.principal {
        PrincipalConstraint::Is(kind) | PrincipalConstraint::IsIn(kind, _) => no_type(kind),
        _ => None,
    };
    let what = match &rule.resource {
        ResourceConstraint::Is(kind) | ResourceConstraint::IsIn(kind, _) => no_type(kind),
        _ => None,
    };
    who.into_iter().chain(what).collect()
}

fn no_type(kind: &EntityTypeName) -> Option<String> {
    if TYPES.iter().any(|known| ***known == *kind) {
        return None;
    }
    let (name, known) = (kind.to_string(), TYPES.iter().map(|known| known.to_string()).collect::<Vec<_>>());
    let all = known.iter().map(String::as_str);
    Some(match nearest(&name, all.clone()) {
        Some(near) => format!("there is no type `{name}`; did you mean `{near}`?"),
        None => format!("there is no type `{name}`; there are {}", all.collect::<Vec<_>>().join(", ")),
    })
}

fn wrong(uid: &EntityUid) -> Option<String> {
    if *uid.type_name() != *ACTION {
        return no_type(uid.type_name());
    }
    let id = uid.id().unescaped();
    let is_tool = |id: &str, between: &str| {
        id.split_once(between).is_some_and(|(server, tool)| !server.is_empty() && !tool.is_empty())
    };
    if ACTIONS.contains(&id) || is_tool(id, "/") {
        return None;
    }
    Some(if is_tool(id, "__") && !id.contains('/') {
        // As clients of all servers together call it.
        format!("there is no action `{id}`; write `{}`", id.replacen("__", "/", 1))
    } else if let Some(near) = nearest(id, ACTIONS) {
        format!("there is no action `{id}`; did you mean `{near}`?")
    } else {
        format!("there is no action `{id}`; a call of a tool is `SERVER/TOOL`, and others are {}", ACTIONS.join(", "))
    })
}
