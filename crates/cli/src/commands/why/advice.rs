//! What would have to be written into the configuration for a message to pass.

use std::fmt::Write;

use bartizan_gateway::reasons;
use bartizan_guard::Principal;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Brought, Entry, Found, egress, rule};
use crate::text::{inline, shell_word, toml_string};

/// One way to another outcome.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Advice {
    /// The rule that it is about, or the kind of event.
    pub(super) rule: String,
    /// What it does, in a sentence.
    pub(super) what: String,
    /// What to add to the configuration, or to type.
    pub(super) write: Option<String>,
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

/// Definitions of which a listing may have many, with advice of their own.
const MOST: usize = 8;

/// What would change the outcome, for each rule that had an effect and each definition it had one on.
pub(super) fn list(entry: &Entry) -> Vec<Advice> {
    let mut list = Vec::new();
    let mut seen = Vec::new();
    if entry.is_another_server() {
        let what = "to look at what it defines otherwise, which is withheld, and to accept it if it is meant; a server of \
                    its own needs another name in the configuration, or after --name";
        list.push(Advice { rule: entry.kind.clone(), what: what.to_owned(), write: Some(of_lock(entry)) });
    }
    let (mut told, mut more) = (0_usize, 0_usize);
    for found in entry.findings.iter().filter(|found| found.action != "observe" || found.would.is_some()) {
        let about_it = (found.name(), tool(entry, found));
        if seen.contains(&about_it) {
            continue;
        }
        let mut own = Vec::new();
        about(entry, found, &mut own);
        // What helps with all of them alike is said once.
        own.retain(|advice| !list.contains(advice));
        match own.is_empty() {
            true => {}
            false if told < MOST => {
                told += 1;
                list.append(&mut own);
            }
            false => more += 1,
        }
        seen.push(about_it);
    }
    if more > 0 {
        let what = format!("the same for {more} more, each by its own name");
        list.extend(seen.last().map(|(rule, _)| Advice { rule: (*rule).to_owned(), what, write: None }));
    }
    // A refusal without a finding: unreadable messages, servers that fail, what is said beside messages, what was counted.
    let counted = entry.reasons.iter().map(|reason| reason.rule.as_str());
    for id in
        entry.rule.as_deref().into_iter().chain(counted).filter(|id| !seen.iter().any(|(rule, _)| is_of(rule, id)))
    {
        match rule(id) {
            Some(spec) if !spec.fixed => about(entry, &Found { rule: id.to_owned(), ..Found::default() }, &mut list),
            _ => list.push(without_guard(entry, id)),
        }
    }
    list.extend(of_event(entry));
    list.extend(egress::advice(entry));
    list
}

/// Whether it is that rule, or one of the operator's that comes under it.
fn is_of(name: &str, rule: &str) -> bool {
    name.strip_prefix(rule).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// What to do about an entry that is about no message.
fn of_event(entry: &Entry) -> Option<Advice> {
    if entry.kind == "lock.gone" {
        let what = "to have what a server offers approved anew, if that was meant".to_owned();
        let write = format!("bartizan lock forget --server NAME{}", entry.lock_option);
        return Some(Advice { rule: entry.kind.clone(), what, write: Some(write) });
    }
    if entry.kind != "config.refused" {
        return None;
    }
    let file = entry.config.as_deref().map_or_else(|| "FILE".to_owned(), shell_word);
    let what = "to see each problem beside its line; once it is saved without them, it is read again".to_owned();
    Some(Advice { rule: entry.kind.clone(), what, write: Some(format!("bartizan config check {file}")) })
}

/// What lets a call pass that somebody has to agree to, and that no setting lifts.
fn of_request(entry: &Entry, rule: &str) -> Vec<Advice> {
    let advise = |what: &str, write: Option<String>| Advice { rule: rule.to_owned(), what: what.to_owned(), write };
    let what = "another policy, or another role or group; which decide now, this says";
    let mut list = Vec::new();
    if let Some(request) = entry.approval.as_deref().filter(|_| entry.decision == "approve") {
        let what = "that what its request asks for is met, after which the same call passes once";
        list.push(advise(what, Some(format!("bartizan approve {}{}", shell_word(request), entry.config_option))));
    }
    list.push(advise(what, Some(explain(entry))));
    list
}

/// The tool, or whatever else has a definition, that settings can be for.
fn tool<'a>(entry: &'a Entry, found: &'a Found) -> Option<&'a str> {
    found.subject.as_deref().or(entry.tool.as_deref())
}

/// What there is to accept: the rules about a definition that waits in the lock file.
const WAITING: [&str; 8] = [
    "tool_pinning.added",
    "tool_pinning.changed",
    "tool_pinning.instructions_changed",
    "tool_pinning.relabelled",
    "tool_pinning.removed",
    "tool_pinning.renamed",
    "tool_pinning.resource_added",
    "tool_pinning.resource_changed",
];

fn about(entry: &Entry, found: &Found, list: &mut Vec<Advice>) {
    let advise =
        |what: &str, write: Option<String>| Advice { rule: found.name().to_owned(), what: what.to_owned(), write };
    let would = found.would.as_deref().unwrap_or_default();
    match found.by.as_str() {
        "fixed" if found.action == "approve" => return list.extend(of_request(entry, &found.rule)),
        "fixed" => return list.push(without_guard(entry, &found.rule)),
        "mode" => {
            let what = format!("enforcing would make it `{would}`");
            return list.push(advise(&what, Some("mode = \"enforce\"".to_owned())));
        }
        // What would change it is who agrees, which the request says.
        "approval" => return,
        "exception" => {
            let what =
                format!("an [[exception]] in the configuration lets it pass; without that it would be `{would}`");
            return list.push(advise(&what, None));
        }
        _ => {}
    }
    if WAITING.contains(&found.rule.as_str()) {
        list.extend(acceptance(&of_server(entry), tool(entry, found)).map(|(what, write)| advise(what, Some(write))));
    }
    list.extend(of_rate(&found.rule));
    // What is said to the gateway itself is about no server that settings could name.
    if entry.server.is_empty() || entry.server == "*" {
        let guard = inline(found.rule.split('.').next().unwrap_or_default());
        let permanent = format!("[guard.{guard}]\nrules = {{ {} = \"observe\" }}", toml_string(found.name()));
        return list.push(advise(
            "to let it pass everywhere from now on, still recorded, as it is about no server",
            Some(permanent),
        ));
    }
    let guard = inline(found.rule.split('.').next().unwrap_or_default());
    let (here, from_now_on) = match tool(entry, found).map(inline) {
        Some(tool) => (
            "to let it pass here, for a while".to_owned(),
            format!("to let all that `{guard}` finds in `{tool}` pass from now on, still recorded"),
        ),
        None => (
            "to let it pass for a while, from all of this server, as it is about no tool".to_owned(),
            "to let it pass from all of this server from now on, still recorded".to_owned(),
        ),
    };
    list.push(advise(&here, Some(exception(entry, found))));
    list.push(advise(&from_now_on, Some(permanent(entry, found))));
}

/// A higher limit, for who exceeded one.
fn of_rate(rule: &str) -> Option<Advice> {
    let member = match rule.strip_prefix("rate.")? {
        "in_flight_principal" => "in_flight_per_principal",
        "in_flight_tool" => "in_flight_per_tool",
        "principal" => "per_principal",
        "server" => "per_server",
        "tool" => "per_tool",
        _ => return None,
    };
    let what = "a higher limit, if as many are meant; otherwise to wait, for as long as the refusal says".to_owned();
    Some(Advice { rule: rule.to_owned(), what, write: Some(format!("[guard.rate]\n{member} = …")) })
}

/// How to look at what changed, and to accept that and nothing else.
fn acceptance(of: &str, name: Option<&str>) -> [(&'static str, String); 2] {
    let name = match name {
        // What starts like an option is none behind these.
        Some(name) if name.starts_with('-') => format!("-- {}", shell_word(name)),
        Some(name) => shell_word(name),
        None => {
            let diff = format!("bartizan lock diff {of}");
            let update = format!("bartizan lock update {of} NAME…");
            return [("to look at what changed", diff), ("to accept by its name what is meant", update)];
        }
    };
    let commands = ["diff", "update"].map(|command| format!("bartizan lock {command} {of} {name}"));
    let [diff, update] = commands;
    [("to look at what changed", diff), ("to accept it and nothing else, if it is meant", update)]
}

/// The commands for what is pinned of a server: to look, and to accept by its name what is meant.
fn of_lock(entry: &Entry) -> String {
    let of = of_server(entry);
    format!("bartizan lock diff {of}\nbartizan lock update {of} NAME…")
}

/// The options for the server, and for its lock file if that has to be named.
fn of_server(entry: &Entry) -> String {
    format!("--server {}{}", shell_word(&entry.server), entry.lock_option)
}

/// The narrowest exception that covers the case.
fn exception(entry: &Entry, found: &Found) -> String {
    let mut text =
        format!("[[exception]]\nrule = {}\nserver = {}\n", toml_string(found.name()), toml_string(&entry.server));
    if let Some(tool) = tool(entry, found) {
        let _ = writeln!(text, "tool = {}", toml_string(tool));
    }
    // A month or two: long enough to repair the cause, short enough not to be forgotten.
    let _ = write!(text, "reason = \"…\"\nexpires = {}", month_after(entry.at.as_str().max(&today())));
    text
}

/// The narrowest setting: for one tool, which goes before all others, else for one rule of the server.
fn permanent(entry: &Entry, found: &Found) -> String {
    let guard = found.rule.split('.').next().unwrap_or_default();
    let server = format!("[guard.{guard}.servers.{}]", toml_string(&entry.server));
    match tool(entry, found) {
        Some(tool) => format!("{server}\ntools = {{ {} = \"observe\" }}", toml_string(tool)),
        None => format!("{server}\nrules = {{ {} = \"observe\" }}", toml_string(found.name())),
    }
}

/// What somebody would need who may not do it.
fn of_caller(entry: &Entry, id: &str) -> Option<Advice> {
    rule(id).filter(|rule| rule.about_caller)?;
    let (what, write) = match id {
        "access.handed_out" => ("nothing: only whoever was given it can use it", None),
        _ if id.starts_with("access.") => {
            let tool = entry.tool.as_deref().filter(|tool| bartizan_guard::Scope::parse(&scope(entry, tool)).is_ok());
            let scope = tool.map_or_else(|| format!("server:{}", entry.server), |tool| scope(entry, tool));
            let what = "a credential that has this scope: a key is made with it (`bartizan key create`), and a token is given it by whoever \
                        issues tokens";
            (what, Some(format!("--scope {}", shell_word(&scope))))
        }
        _ => {
            let what = match &entry.brought {
                Some(_) => "a policy or a role that allows it; which decide now, this says",
                None => {
                    "a policy or a role that allows it; which decide now, this says (with --role, --group and --tenant, if the \
                     credential brings any)"
                }
            };
            (what, Some(explain(entry)))
        }
    };
    Some(Advice { rule: id.to_owned(), what: what.to_owned(), write })
}

/// The command that says which policies decide about it.
fn explain(entry: &Entry) -> String {
    let of = entry.tool.as_deref().map(|tool| format!(" {}", shell_word(&format!("{}/{tool}", entry.server))));
    let who = shell_word(&entry.principal);
    let brought = entry.brought.as_ref().map(Brought::options).unwrap_or_default();
    let labels: String = entry.labels.iter().map(|label| format!(" --label {}", shell_word(label))).collect();
    format!("bartizan policy explain {who}{}{brought}{labels}{}", of.unwrap_or_default(), entry.config_option)
}

fn scope(entry: &Entry, tool: &str) -> String {
    format!("tool:{}/{tool}", entry.server)
}

/// A rule that no setting lifts, or that is no guard's.
fn without_guard(entry: &Entry, id: &str) -> Advice {
    if let Some(advice) = of_caller(entry, id) {
        return advice;
    }
    if id == "upstream.sign_in" && entry.principal == Principal::ANONYMOUS {
        let what = "a key, a token or a certificate that says who asks (`bartizan key create`): nobody signs in to a server for \
                    whoever shows none; then `bartizan upstream login SERVER --user NAME`";
        return Advice { rule: id.to_owned(), what: what.to_owned(), write: None };
    }
    let limit = match id {
        "conformance.size" => Some("message_bytes"),
        "conformance.depth" => Some("depth"),
        "conformance.count" => Some("values"),
        _ => None,
    };
    let what = match (limit, rule(id), reasons::of(id)) {
        (Some(_), ..) => "a higher limit, if messages of that kind are meant",
        (None, Some(_), _) => "nothing: the rule always denies, as such a message has more than one meaning or none",
        (None, None, Some(reason)) => reason.help,
        (None, None, None) => "nothing that this version knows of",
    };
    let write = limit.map(|limit| format!("[limits]\n{limit} = …"));
    Advice { rule: id.to_owned(), what: what.to_owned(), write }
}

/// Now: an exception for something of long ago must not be over when it is written.
fn today() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    bartizan_audit::rfc3339(i64::try_from(since.as_micros()).unwrap_or_default())
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
