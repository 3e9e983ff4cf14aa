//! What policies that came into force have changed of those before them.

use std::collections::BTreeSet;
use std::fmt::Write;

use bartizan_trust::{unified_diff, unified_diff_of_texts};
use serde_json::Value;

use crate::text::inline;

/// Tables of the content of a version, each with what one of its members is called.
const TABLES: [(&str, &str); 3] = [("roles", "role"), ("groups", "group"), ("tool_groups", "tool group")];

/// In a few words each: texts with the lines that are new and gone, and who has which role.
pub(super) fn summary(before: &Value, now: &Value) -> Vec<String> {
    let mut changes = Vec::new();
    if let Some(is) = text(now, "default").filter(|is| text(before, "default") != Some(is)) {
        changes.push(format!("what no policy decides: {is}"));
    }
    for name in names(sources(before), sources(now)) {
        let (was, is) = (source(before, name), source(now, name));
        let difference = unified_diff_of_texts(was.unwrap_or_default(), is.unwrap_or_default());
        let count = |mark: char| difference.lines().filter(|line| line.starts_with(mark)).count();
        let lines = format!("+{} -{}", count('+'), count('-'));
        match (was, is) {
            (Some(was), Some(is)) if was == is => {}
            (None, Some(_)) => changes.push(format!("{name} {lines}, new")),
            (Some(_), None) => changes.push(format!("{name} {lines}, gone")),
            _ => changes.push(format!("{name} {lines}")),
        }
    }
    for (table, one) in TABLES {
        for name in names(members(before, table), members(now, table)) {
            let of = |content: &Value| Some((content.get(table)?.get(name)?.clone(), lists(content, table, name)));
            match (of(before), of(now)) {
                (was, is) if was == is => {}
                (None, _) => changes.push(format!("{one} {name} is new")),
                (_, None) => changes.push(format!("{one} {name} is gone")),
                _ => changes.push(format!("{one} {name}")),
            }
        }
    }
    changes
}

/// What is in the lists of a role, as the policies that they stand for are called.
fn lists(content: &Value, table: &str, name: &str) -> BTreeSet<String> {
    let begin = format!("@id(\"role.{name}.");
    let text = if table == "roles" { source(content, "roles") } else { None };
    let ids = text.into_iter().flat_map(str::lines).filter(|line| line.starts_with(&begin));
    ids.map(str::to_owned).collect()
}

/// Line by line.
pub(super) fn in_full(before: &Value, now: &Value) -> String {
    let mut out = String::new();
    let mut put = |name: &str, difference: String| {
        if !difference.is_empty() {
            let _ = write!(out, "// {}\n{difference}", inline(name));
        }
    };
    let rest = |content: &Value| {
        let mut content = content.clone();
        content.as_object_mut().and_then(|content| content.remove("sources"));
        content.to_string()
    };
    put("roles, groups and the default", unified_diff(Some(&rest(before)), Some(&rest(now))));
    for name in names(sources(before), sources(now)) {
        let of = |content| source(content, name).unwrap_or_default();
        put(name, unified_diff_of_texts(of(before), of(now)));
    }
    out
}

fn text<'a>(value: &'a Value, member: &str) -> Option<&'a str> {
    value.get(member)?.as_str()
}

/// The names of the texts.
fn sources(content: &Value) -> impl Iterator<Item = &str> {
    let all = content.get("sources").and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|source| text(source, "name"))
}

fn source<'a>(content: &'a Value, name: &str) -> Option<&'a str> {
    let all = content.get("sources")?.as_array()?;
    text(all.iter().find(|source| text(source, "name") == Some(name))?, "text")
}

fn members<'a>(content: &'a Value, table: &str) -> impl Iterator<Item = &'a str> {
    content.get(table).and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name.as_str())
}

/// Those of both, each once.
fn names<'a>(before: impl Iterator<Item = &'a str>, now: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    before.chain(now).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_changed_is_said_and_what_did_not_is_not() {
        let roles = |clerk: &[&str]| json!({"clerk": clerk});
        let before = json!({"default": "permit", "roles": roles(&["ann"]), "groups": {"desk": {"members": ["ann"]}},
            "tool_groups": {}, "sources": [{"name": "a.cedar", "text": "one\ntwo\n"}, {"name": "b.cedar", "text": "x"}]});
        let now = json!({"default": "deny", "roles": roles(&["ann", "bea"]), "groups": {}, "tool_groups": {"pays": "bank/pay"},
            "sources": [{"name": "a.cedar", "text": "one\nthree\nfour\n"}, {"name": "c.cedar", "text": "y\n"}]});
        assert_eq!(summary(&before, &before), Vec::<String>::new());
        assert_eq!(in_full(&now, &now), "");
        let said = [
            "what no policy decides: deny",
            "a.cedar +2 -1",
            "b.cedar +0 -1, gone",
            "c.cedar +1 -0, new",
            "role clerk",
            "group desk is gone",
            "tool group pays is new",
        ];
        assert_eq!(summary(&before, &now), said);
        let full = in_full(&before, &now);
        for line in ["// a.cedar", "  one", "- two", "+ three", "- x", "+ y", "+       \"bea\""] {
            assert!(full.lines().any(|shown| shown == line), "{line}: {full}");
        }
        assert_eq!(summary(&json!({}), &now).len(), 5, "after none at all");
    }

    #[test]
    fn a_role_whose_lists_changed_is_named() {
        let of = |approve: &str| {
            let text = format!(
                "@id(\"role.clerk.allow mcp\")\npermit(…);\n\n@id(\"role.clerk.approve {approve}\")\nforbid(…);\n"
            );
            json!({"roles": {"clerk": ["ann"], "other": ["ann"]}, "sources": [{"name": "roles", "text": text}]})
        };
        assert_eq!(summary(&of("tool:bank/pay"), &of("tool:bank/close")), ["roles +1 -1", "role clerk"]);
        assert_eq!(summary(&of("tool:bank/pay"), &of("tool:bank/pay")), Vec::<String>::new());
    }
}
