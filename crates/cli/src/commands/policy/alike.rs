//! What is wrong with one policy and many tools alike, said once.

use bartizan_policy::Problem;

/// As many tools are named.
const NAMED: usize = 2;
/// Stands where the name of a tool was.
const TOOL: &str = "\u{0}";

/// Each problem once, with the tools that it is about.
pub(super) fn grouped(found: Vec<(String, Problem)>) -> Vec<String> {
    let mut groups: Vec<(Problem, String, Vec<String>)> = Vec::new();
    for (tool, problem) in found {
        let names = [format!("Mcp::Action::\"{tool}\""), format!("`{tool}`")];
        let message = names.iter().fold(problem.message.clone(), |message, name| message.replace(name, TOOL));
        // What one tool has of nearly that name is no help for many.
        let place = (&problem.source, problem.line, problem.column);
        let mut groups_of = groups.iter_mut();
        match groups_of.find(|(held, words, _)| *words == message && (&held.source, held.line, held.column) == place) {
            Some((.., tools)) => tools.push(tool),
            None => groups.push((problem, message, vec![tool])),
        }
    }
    // What is found at one place comes in any order.
    groups.sort_by(|(one, words, _), (other, others, _)| {
        (&one.source, one.line, one.column, words).cmp(&(&other.source, other.line, other.column, others))
    });
    groups.into_iter().map(|(problem, message, tools)| said(problem, &message, &tools)).collect()
}

fn said(problem: Problem, message: &str, tools: &[String]) -> String {
    if tools.len() == 1 {
        return problem.to_string();
    }
    let named = tools.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let named = match tools.len().checked_sub(NAMED) {
        Some(more @ 1..) => format!("{named} and {more} more"),
        _ => named,
    };
    let (count, cure) = (tools.len(), "name the action");
    let attribute = message.split_once("attribute `").and_then(|(_, rest)| Some(rest.split_once('`')?.0));
    let attribute = attribute.map(|name| name.strip_prefix("input.").unwrap_or(name));
    let id = message.split('`').nth(1).unwrap_or_default();
    let words = match attribute {
        Some("input") if message.ends_with("not found") => {
            format!(
                "`{id}` is about more than calls, which alone have `context.input`; write `action in Mcp::Action::\"call\"`"
            )
        }
        Some(name) if message.ends_with("not found") => {
            format!("`{id}`: {count} tools have no `{name}` ({named}); {cure}, or write `{} &&`", has(name))
        }
        Some(name) if message.contains("optional attribute") => {
            format!("`{id}`: {count} tools may be called without `{name}` ({named}); write `{} &&`", has(name))
        }
        _ => format!("{} (as of {named}); {cure}", message.replace(TOOL, &format!("{count} tools"))),
    };
    Problem { message: words, help: None, ..problem }.to_string()
}

/// What asks whether an argument is there.
fn has(name: &str) -> String {
    format!("context.input has {name}")
}
