//! What would have to be written into the configuration for a message to pass.

use std::fmt::Write;

use bartizan_guard::guards;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Entry, Found, rule};
use crate::output::{inline, shell_word, toml_string};

/// One way to another outcome.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Advice {
    /// The rule that it is about, or the kind of event.
    rule: String,
    /// What it does, in a sentence.
    what: String,
    /// What to add to the configuration, or to type.
    write: Option<String>,
}

/// All advice as text: sentences, each followed by what to write.
pub(super) fn sentences(entry: &Entry) -> String {
    list(entry).into_iter().fold(String::new(), |mut out, advice| {
        let _ = writeln!(out, "{}: {}", inline(&advice.rule), advice.what);
        for line in advice.write.iter().flat_map(|text| text.lines()) {
            let _ = writeln!(out, "    {line}");
        }
        out.push('\n');
        out
    })
}

/// What would change the outcome, for each rule that had an effect.
pub(super) fn list(entry: &Entry) -> Vec<Advice> {
    let mut list = Vec::new();
    let mut seen = Vec::new();
    if entry.is_another_server() {
        let what = "to look at what it defines otherwise, which is withheld, and to accept it if it is meant; a server of \
                    its own needs another name in the configuration, or after --name";
        list.push(Advice { rule: entry.kind.clone(), what: what.to_owned(), write: Some(of_lock(entry)) });
    }
    for found in entry.findings.iter().filter(|found| found.action != "observe" || found.would.is_some()) {
        if !seen.contains(&found.rule.as_str()) {
            seen.push(&found.rule);
            about(entry, found, &mut list);
        }
    }
    // A refusal that no guard decided: unreadable messages, servers that fail.
    if let Some(id) = entry.rule.as_deref().filter(|id| !seen.contains(id)) {
        list.push(without_guard(id));
    }
    list
}

fn about(entry: &Entry, found: &Found, list: &mut Vec<Advice>) {
    let advise = |what: &str, write: Option<String>| Advice { rule: found.rule.clone(), what: what.to_owned(), write };
    let would = found.would.as_deref().unwrap_or_default();
    match found.by.as_str() {
        "fixed" => return list.push(without_guard(&found.rule)),
        "mode" => {
            let what = format!("enforcing would make it `{would}`");
            return list.push(advise(&what, Some("mode = \"enforce\"".to_owned())));
        }
        "exception" => {
            let what =
                format!("an [[exception]] in the configuration lets it pass; without that it would be `{would}`");
            return list.push(advise(&what, None));
        }
        _ => {}
    }
    if found.rule.starts_with("tool_pinning.") {
        list.push(advise("to look at what changed, and to accept it if it is meant", Some(of_lock(entry))));
    }
    list.push(advise("to let it pass here, for a while", Some(exception(entry, found))));
    list.push(advise("to let it pass from now on, still recorded", Some(permanent(entry, found))));
}

/// The commands for what is pinned of a server.
fn of_lock(entry: &Entry) -> String {
    let server = shell_word(&entry.server);
    format!("bartizan lock diff --server {server}\nbartizan lock update --server {server}")
}

/// The narrowest exception that covers the case.
fn exception(entry: &Entry, found: &Found) -> String {
    let mut text =
        format!("[[exception]]\nrule = {}\nserver = {}\n", toml_string(&found.rule), toml_string(&entry.server));
    if let Some(tool) = &entry.tool {
        let _ = writeln!(text, "tool = {}", toml_string(tool));
    }
    // A month or two: long enough to repair the cause, short enough not to be forgotten.
    let _ = write!(text, "reason = \"…\"\nexpires = {}", month_after(&entry.at));
    text
}

/// The setting at the level of the one that decided: a wider one would have no effect.
fn permanent(entry: &Entry, found: &Found) -> String {
    let guard = found.rule.split('.').next().unwrap_or_default();
    let server = || format!("[guard.{guard}.servers.{}]", toml_string(&entry.server));
    let by_rule = format!("rules = {{ {} = \"observe\" }}", toml_string(&found.rule));
    match (found.by.as_str(), &entry.tool) {
        ("guard.servers.tools", Some(tool)) => {
            format!("{}\ntools = {{ {} = \"observe\" }}", server(), toml_string(tool))
        }
        ("guard.rules", _) => format!("[guard.{guard}]\n{by_rule}"),
        // For one server, as that is where it was met.
        _ => format!("{}\n{by_rule}", server()),
    }
}

/// A rule that no setting lifts, or that is no guard's.
fn without_guard(id: &str) -> Advice {
    let limit = match id {
        "conformance.size" => Some("message_bytes"),
        "conformance.depth" => Some("depth"),
        "conformance.count" => Some("values"),
        _ => None,
    };
    let guard = id.split('.').next().unwrap_or_default();
    let what = match (limit, rule(id)) {
        (Some(_), _) => "a higher limit, if messages of that kind are meant",
        (None, Some(_)) => "nothing: the rule always denies, as such a message has more than one meaning or none",
        (None, None) if guards::ALL.iter().any(|spec| spec.name == guard) => "nothing that this version knows of",
        (None, None) if guard == "upstream" => {
            "the server has to answer; the log of Bartizan and the server's stderr say more"
        }
        (None, None) => "no setting: it is not about what the message says",
    };
    let write = limit.map(|limit| format!("[limits]\n{limit} = …"));
    Advice { rule: id.to_owned(), what: what.to_owned(), write }
}

/// The first day of the month after next, from a time such as `2026-01-02T03:04:05.678901Z`.
fn month_after(at: &str) -> String {
    let number = |range: std::ops::Range<usize>| at.get(range).and_then(|digits| digits.parse::<u32>().ok());
    let Some((year, month)) = number(0..4).zip(number(5..7)) else { return "…".to_owned() };
    let months = year * 12 + month + 1;
    format!("{:04}-{:02}-01", months / 12, months % 12 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_ends_one_to_two_months_later() {
        for (at, end) in [
            ("2026-01-31T00:00:00.000000Z", "2026-03-01"),
            ("2026-11-02", "2027-01-01"),
            ("2026-12-02", "2027-02-01"),
            ("", "…"),
        ] {
            assert_eq!(month_after(at), end, "{at}");
        }
    }
}
