//! What is wrong with one policy and many tools alike, said once.

use bartizan_policy::Problem;

/// As many tools are named.
const NAMED: usize = 2;
/// Stands where the name of a tool was.
const TOOL: &str = "\u{0}";

/// Each problem once, with the tools that it is about.
pub(super) fn grouped(found: Vec<(String, Problem)>) -> Vec<String> {
    let mut groups: Vec<(Problem, Vec<String>)> = Vec::new();
    for (tool, mut problem) in found {
        let message = problem.message.replace(&format!("Mcp::Action::\"{tool}\""), TOOL).replace(&tool, TOOL);
        // What one tool has of nearly that name is no help for many.
        let alike = |held: &Problem| {
            held.message == message
                && (&held.source, held.line, held.column) == (&problem.source, problem.line, problem.column)
        };
        match groups.iter_mut().find(|(held, _)| alike(held)) {
            Some((_, tools)) => tools.push(tool),
            None => {
                problem.message = message;
                groups.push((problem, vec![tool]));
            }
        }
    }
    groups.into_iter().map(|(problem, tools)| said(problem, &tools)).collect()
}

fn said(problem: Problem, tools: &[String]) -> String {
    if let [tool] = tools {
        let message = problem.message.replace(TOOL, &format!("`{tool}`"));
        return Problem { message, ..problem }.to_string();
    }
    let named = tools.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let named = match tools.len().checked_sub(NAMED) {
        Some(more @ 1..) => format!("{named} and {more} more"),
        _ => named,
    };
    let (count, cure) = (tools.len(), "name the action");
    let attribute = problem.message.split_once("attribute `").and_then(|(_, rest)| Some(rest.split_once('`')?.0));
    let attribute = attribute.map(|name| name.strip_prefix("input.").unwrap_or(name));
    let id = problem.message.split('`').nth(1).unwrap_or_default();
    let message = match attribute {
        Some(name) if problem.message.ends_with("not found") => {
            format!("`{id}`: {count} tools have no `{name}` ({named}); {cure}, or write `{} &&`", has(name))
        }
        Some(name) if problem.message.contains("optional attribute") => {
            format!("`{id}`: {count} tools may be called without `{name}` ({named}); write `{} &&`", has(name))
        }
        _ => format!("{} (as of {named}); {cure}", problem.message.replace(TOOL, &format!("{count} tools"))),
    };
    Problem { message, help: None, ..problem }.to_string()
}

/// What asks whether an argument is there.
fn has(name: &str) -> String {
    format!("context.input has {name}")
}
