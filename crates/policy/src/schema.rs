//! The schema that policies are held against, and doing so.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use cedar_policy::{
    ActionConstraint, EntityUid, PolicySet, Schema, SchemaFragment, ValidationMode, ValidationWarning, Validator,
};
use serde_json::{Value, json};

use crate::input::Input;
use crate::names::{ACTION, TOOL};
use crate::problem::{Problem, Source};
use crate::reads::Argument;
use crate::rule::Rule;

/// The part of it that no tool changes.
pub const SCHEMA: &str = include_str!("mcp.cedarschema");

static FIXED: LazyLock<SchemaFragment> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant, which tests read")]
    SchemaFragment::from_cedarschema_str(SCHEMA).expect("the schema").0
});

/// A tool of which nothing is known; no server can have that name.
const ANY_TOOL: &str = "*/*";

/// What does not depend on arguments, held against every kind of thing it could be asked about.
pub(crate) fn check(rules: &[Rule], sources: &[Source<'_>]) -> Vec<Problem> {
    let mut tools: BTreeSet<String> = rules.iter().flat_map(named_tools).collect();
    tools.insert(ANY_TOOL.to_owned());
    let nothing = Input::of(&json!({ "type": "object" }));
    let rules: Vec<_> = rules.iter().filter(|rule| rule.reads.input.is_empty()).collect();
    validate(&rules, &tools, &nothing, sources)
}

/// What reads arguments, held against a tool that has them.
pub(crate) fn check_tool(rules: &[&Rule], tool: &str, input: &Input, sources: &[Source<'_>]) -> Vec<Problem> {
    // Other tools that they name are of no interest here, but they have to be something.
    let mut tools: BTreeSet<String> = rules.iter().flat_map(|rule| named_tools(rule)).collect();
    tools.insert(tool.to_owned());
    let mut problems = validate(rules, &tools, input, sources);
    for rule in rules {
        for Argument { path, .. } in rule.reads.input.iter().filter(|argument| input.hides(argument)) {
            let what = if path.is_empty() { "all arguments".to_owned() } else { format!("argument `{path}`") };
            let message = format!(
                "`{}` reads {what}, for which the schema of `{tool}` has no type that policies know",
                rule.reason.id
            );
            problems.extend(
                sources.get(rule.source).map(|source| Problem::at(source, crate::rule::offset(&rule.policy), message)),
            );
        }
    }
    problems
}

/// What can hold for nothing that is asked, of what does not depend on arguments.
pub(crate) fn impossible(rules: &[Rule], sources: &[Source<'_>]) -> Vec<Problem> {
    let mut tools: BTreeSet<String> = rules.iter().flat_map(named_tools).collect();
    tools.insert(ANY_TOOL.to_owned());
    let Ok(schema) = of(&tools, &Input::of(&json!({ "type": "object" }))) else { return Vec::new() };
    let mut set = PolicySet::new();
    for rule in rules.iter().filter(|rule| rule.reads.input.is_empty()) {
        // Their ids differ.
        set.add(rule.policy.clone()).ok();
    }
    let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
    let problem = |warning: &ValidationWarning| {
        let rule = rules.iter().find(|rule| &*rule.reason.id == AsRef::<str>::as_ref(warning.policy_id()))?;
        let source = sources.get(rule.source)?;
        let what = match warning {
            ValidationWarning::ImpossiblePolicy(_) => {
                "holds for nothing: its conditions contradict what it is about".to_owned()
            }
            ValidationWarning::InvalidActionApplication(_) => {
                "holds for nothing: its action is never about such a thing".to_owned()
            }
            other => other.to_string(),
        };
        Some(Problem::at(source, crate::rule::offset(&rule.policy), format!("`{}` {what}", rule.reason.id)))
    };
    result.validation_warnings().filter_map(problem).collect()
}

fn of(tools: &BTreeSet<String>, input: &Input) -> Result<Schema, String> {
    let fragment = SchemaFragment::from_json_value(actions(tools, input)).map_err(|error| error.to_string())?;
    Schema::from_schema_fragments([FIXED.clone(), fragment]).map_err(|error| error.to_string())
}

fn validate(rules: &[&Rule], tools: &BTreeSet<String>, input: &Input, sources: &[Source<'_>]) -> Vec<Problem> {
    let whole = |message: String| {
        vec![Problem { message, ..Problem::at(&Source { name: "schema", text: "" }, 0, String::new()) }]
    };
    let schema = match of(tools, input) {
        Ok(schema) => schema,
        Err(error) => return whole(error),
    };
    let mut set = PolicySet::new();
    for rule in rules {
        if let Err(error) = set.add(rule.policy.clone()) {
            return whole(error.to_string());
        }
    }
    let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
    let source = |id: &str| {
        let rule = rules.iter().find(|rule| &*rule.reason.id == id)?;
        sources.get(rule.source)
    };
    let nowhere = Source { name: "policy", text: "" };
    let mut problems: Vec<_> = result
        .validation_errors()
        .map(|error| Problem::new(source(error.policy_id().as_ref()).unwrap_or(&nowhere), error))
        .collect();
    problems.sort_by(|one, other| (&one.source, one.line, one.column).cmp(&(&other.source, other.line, other.column)));
    problems.dedup();
    grouped(problems)
}

/// What one mistake is found as for each kind of request that a policy is about, as one problem.
fn grouped(problems: Vec<Problem>) -> Vec<Problem> {
    let mut groups: Vec<(Problem, String, Vec<String>)> = Vec::new();
    for problem in problems {
        let (words, name) = without_name(&problem.message);
        let same = groups.iter_mut().find(|(first, of, _)| {
            *of == words && (&first.source, first.line, first.column) == (&problem.source, problem.line, problem.column)
        });
        match (same, name) {
            (Some((.., names)), Some(name)) => names.push(name),
            (_, name) => groups.push((problem, words, name.into_iter().collect())),
        }
    }
    let one = |(first, words, mut names): (Problem, String, Vec<String>)| {
        names.sort();
        names.dedup();
        // A tool that nobody named stands for all of them.
        let names: Vec<_> = names.iter().map(|name| name.replace(ANY_TOOL, "call")).collect();
        let message = if names.is_empty() { first.message } else { words.replacen(NAME, &names.join(", "), 1) };
        Problem { message, ..first }
    };
    groups.into_iter().map(one).collect()
}

/// Stands where a name was.
const NAME: &str = "\u{0}";

/// A message without the first name of a type or an action in it, and that.
fn without_name(message: &str) -> (String, Option<String>) {
    // What policies are called may look like one, and comes before.
    let from = message.find("attribute `").unwrap_or(0);
    let Some(start) = message.get(from..).and_then(|rest| rest.find("Mcp::")).map(|at| from + at) else {
        return (message.to_owned(), None);
    };
    let Some((before, rest)) = message.split_at_checked(start) else { return (message.to_owned(), None) };
    let end = rest.find([' ', '`']).unwrap_or(rest.len());
    let (name, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
    (format!("{before}{NAME}{after}"), Some(name.to_owned()))
}

/// The tools as a part of the schema.
fn actions(tools: &BTreeSet<String>, input: &Input) -> Value {
    let applies = json!({
        "principalTypes": ["User"],
        "resourceTypes": ["Tool"],
        "context": { "type": "Record", "attributes": {
            "session": { "type": "EntityOrCommon", "name": "Session" },
            "input": input.to_cedar(),
        } },
    });
    let actions: serde_json::Map<_, _> = tools
        .iter()
        .map(|tool| (tool.clone(), json!({ "memberOf": [{ "id": "call" }], "appliesTo": applies })))
        .collect();
    json!({ "Mcp": { "entityTypes": {}, "actions": actions } })
}

/// One tool as a part of the schema, in the language of schemas.
///
/// # Errors
/// If its declaration makes no schema.
pub fn tool_schema(tool: &str, input: &Input) -> Result<String, String> {
    let tools = BTreeSet::from([tool.to_owned()]);
    let fragment = SchemaFragment::from_json_value(actions(&tools, input)).map_err(|error| error.to_string())?;
    fragment.to_cedarschema().map_err(|error| error.to_string())
}

/// Tools that a rule names as actions.
fn named_tools(rule: &Rule) -> Vec<String> {
    let of = |uid: &EntityUid| {
        let id = uid.id().unescaped();
        (*uid.type_name() == *ACTION && id.contains('/')).then(|| id.to_owned())
    };
    match &rule.action {
        ActionConstraint::Any => Vec::new(),
        ActionConstraint::Eq(uid) => of(uid).into_iter().collect(),
        ActionConstraint::In(uids) => uids.iter().filter_map(of).collect(),
    }
}

/// Whether a tool could be what a rule is about.
pub(crate) fn is_about_tools(rule: &Rule) -> bool {
    use cedar_policy::ResourceConstraint::{Is, IsIn};
    match &rule.resource {
        Is(of) | IsIn(of, _) => *of == *TOOL,
        _ => true,
    }
}
