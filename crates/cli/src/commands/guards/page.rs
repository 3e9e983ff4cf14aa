//! The page of the book about guards, made from what the guards say of themselves.

use std::fmt::Write;

use bartizan_guard::{GuardSpec, RuleSpec};
use serde_json::Value;

const INTRODUCTION: &str = "\
<!-- Made by `bartizan guards --markdown`; a test compares it with what the program says. -->

# Guards

A guard looks at the parts of a message, whatever its method, and reports what it found. What then happens is a setting:

| action | what becomes of the message |
|---|---|
| `observe` | The finding is recorded, the message passes |
| `redact` | What was found is taken out or made harmless, the rest passes; what is no stretch of text is denied instead |
| `approve` | Somebody is asked, and it passes once if they agree; what nobody can be asked about is refused, as is whatever a server sends |
| `deny` | It is refused; a tool, prompt or resource in a list is taken out of the list, and the rest passes |

If several findings meet in one message, the strictest action wins: `deny` over `approve` over `redact` over `observe`.
`approve` takes nothing out of lists: there it only records, and holds up the call.

The tables show what holds without a setting. *always* means that no setting and no exception changes it, `mode =
\"observe\"` included. [Configuration](configuration.md) says how to change the others for a rule, a kind of part, a
server or a tool.
";

/// All of the page.
pub(crate) fn page(specs: &[&GuardSpec]) -> String {
    let mut out = INTRODUCTION.to_owned();
    for spec in specs {
        section(&mut out, spec);
    }
    out
}

fn section(out: &mut String, spec: &GuardSpec) {
    let actions: Vec<_> = spec.actions.iter().map(|action| format!("`{}`", action.as_str())).collect();
    let _ = write!(out, "\n## {}\n\n**The threat.** {}\n\n", spec.name, spec.threat);
    let _ = write!(out, "**Possible actions.** {}\n\n", actions.join(", "));
    let labels: Vec<_> = spec.raises.iter().map(|label| format!("`{label}`")).collect();
    if !labels.is_empty() {
        let _ = write!(out, "**Labels a session.** {}, from the severity that `[labels]` names\n\n", labels.join(", "));
    }
    out.push_str("| rule | severity | action | what it means |\n|---|---|---|---|\n");
    for rule in spec.rules {
        let _ =
            writeln!(out, "| `{}` | {} | {} | {} |", rule.id, rule.severity.as_str(), action(rule), cell(rule.summary));
    }
    skips(out, spec);
    options(out, &(spec.options)().to_value());
}

/// The action by default, and in which kinds of part it is another one.
fn action(rule: &RuleSpec) -> String {
    let mut text = format!("`{}`", rule.default.as_str());
    for (action, kinds) in grouped(rule.by_kind.iter().map(|(kind, action)| (action.as_str(), kind.as_str()))) {
        let _ = write!(text, "; `{action}` in {kinds}");
    }
    if rule.fixed {
        text.push_str(", always");
    }
    text
}

/// Names with one key together, in the order in which the keys come first.
fn grouped<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(&'a str, String)> {
    let mut groups: Vec<(&str, String)> = Vec::new();
    for (key, name) in pairs {
        match groups.iter_mut().find(|(held, _)| *held == key) {
            Some((_, names)) => {
                let _ = write!(names, ", `{name}`");
            }
            None => groups.push((key, format!("`{name}`"))),
        }
    }
    groups
}

/// The kinds of part that the guard passes over, those with one reason together.
fn skips(out: &mut String, spec: &GuardSpec) {
    if spec.skips.is_empty() {
        out.push_str("\nIt looks at every kind of part.\n");
        return;
    }
    out.push_str("\nIt looks at every kind of part but these:\n\n| kind of part | why not |\n|---|---|\n");
    for (why, kinds) in grouped(spec.skips.iter().map(|(kind, why)| (*why, kind.as_str()))) {
        let _ = writeln!(out, "| {kinds} | {} |", cell(why));
    }
}

/// The guard's own options, from their JSON Schema.
fn options(out: &mut String, schema: &Value) {
    let properties = schema.get("properties").and_then(Value::as_object);
    let Some(properties) = properties.filter(|properties| !properties.is_empty()) else { return };
    let _ = write!(out, "\n**Options.** {}\n\n| option | what it means |\n|---|---|\n", sentence(schema));
    for (name, property) in properties {
        let _ = writeln!(out, "| `{name}` | {} |", cell(&sentence(property)));
    }
}

/// The description, on one line.
fn sentence(schema: &Value) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
