//! What of a call a policy looks at, found in the policy itself.

use serde_json::Value;

/// What a policy reads of `context`, and of what it is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    pub(crate) session: bool,
    /// The labels of the session.
    pub(crate) labels: bool,
    /// What the thing is called, or what it is as a whole.
    pub(crate) name: bool,
    /// The arguments, by their paths; an empty one stands for all of them.
    pub(crate) input: Vec<Argument>,
}

/// An argument that a policy reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Argument {
    pub(crate) path: String,
    /// Whether its value is read with all that is in it, and not only that it is there.
    pub(crate) value: bool,
}

impl Reads {
    /// Those of a policy as JSON.
    pub(crate) fn of(policy: &Value) -> Reads {
        let mut reads = Reads::default();
        let conditions = policy.get("conditions").unwrap_or(&Value::Null);
        reads.add(conditions);
        reads.name = names_it(conditions);
        reads
    }

    fn anything(&self) -> bool {
        self.session || !self.input.is_empty()
    }

    fn add(&mut self, expression: &Value) {
        if let Some(path) = path(expression) {
            let value = expression.get("has").is_none();
            match path.split_first() {
                // All of it, which a policy that names no part may use in any way.
                None => {
                    (self.session, self.labels) = (true, true);
                    self.input.push(Argument { path: String::new(), value });
                }
                Some((&"input", rest)) => self.input.push(Argument { path: rest.join("."), value }),
                Some((_, rest)) => {
                    self.session = true;
                    self.labels |= rest.first().is_none_or(|part| *part == "labels");
                }
            }
            return;
        }
        match expression {
            Value::Array(elements) => elements.iter().for_each(|element| self.add(element)),
            Value::Object(members) => {
                members.iter().filter(|(key, _)| *key != "Value").for_each(|(_, value)| self.add(value));
            }
            _ => {}
        }
    }
}

/// The labels that a policy as JSON holds those of the session against.
pub(crate) fn labels_named(policy: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    held_against_labels(policy, &mut found);
    found
}

fn held_against_labels<'a>(expression: &'a Value, found: &mut Vec<&'a str>) {
    match expression {
        Value::Array(elements) => elements.iter().for_each(|element| held_against_labels(element, found)),
        Value::Object(members) => {
            for (key, value) in members.iter().filter(|(key, _)| *key != "Value") {
                let is_held = ["contains", "containsAny", "containsAll"].contains(&key.as_str());
                if is_held && value.get("left").and_then(path).is_some_and(|path| path == ["session", "labels"]) {
                    texts(value.get("right"), found);
                }
                held_against_labels(value, found);
            }
        }
        _ => {}
    }
}

/// A text, or those of a set.
fn texts<'a>(expression: Option<&'a Value>, found: &mut Vec<&'a str>) {
    let many = expression.and_then(|set| set.get("Set")?.as_array()).into_iter().flatten();
    let all = expression.into_iter().chain(many);
    found.extend(all.filter_map(|value| value.get("Value")?.as_str()));
}

/// Whether an expression looks at which thing a policy is about: at more than what many have in common.
fn names_it(expression: &Value) -> bool {
    let is_it = |value: Option<&Value>| value.and_then(|value| value.get("Var")?.as_str()) == Some("resource");
    let step = expression.get(".").or_else(|| expression.get("has"));
    if let Some(step) = step.filter(|step| is_it(step.get("left"))) {
        return step.get("attr").and_then(Value::as_str) == Some("name");
    }
    if expression.get("is").is_some_and(|of| is_it(of.get("left")) && of.get("in").is_none()) {
        return false;
    }
    // Servers and tenants hold whatever they hold by another name as well.
    let held_by = |of: &Value| of.get("right")?.get("Value")?.get("__entity")?.get("type")?.as_str().map(str::to_owned);
    if let Some(of) = expression.get("in").filter(|of| is_it(of.get("left"))) {
        return !held_by(of).is_some_and(|kind| matches!(&*kind, "Mcp::Server" | "Mcp::Tenant"));
    }
    match expression {
        Value::Array(elements) => elements.iter().any(names_it),
        Value::Object(members) => {
            is_it(Some(expression)) || members.iter().any(|(key, value)| key != "Value" && names_it(value))
        }
        _ => false,
    }
}

/// The attributes by which an expression leads from `context`, if it does.
fn path(expression: &Value) -> Option<Vec<&str>> {
    if expression.get("Var").and_then(Value::as_str) == Some("context") {
        return Some(Vec::new());
    }
    let step = expression.get(".").or_else(|| expression.get("has"))?;
    let mut path = path(step.get("left")?)?;
    // `has a.b` names more than one.
    match step.get("attr")? {
        Value::Array(attributes) => path.extend(attributes.iter().filter_map(Value::as_str)),
        attribute => path.push(attribute.as_str()?),
    }
    Some(path)
}

/// A policy as JSON without what it says of `context`: what it comes to for whoever may choose how and what to ask.
/// `None` if that can keep it from holding at all and it forbids: then it need not.
pub(crate) fn listing(policy: &Value) -> Option<Value> {
    let mut policy = policy.clone();
    let forbids = policy.get("effect").and_then(Value::as_str) == Some("forbid");
    let conditions = policy.get_mut("conditions").and_then(Value::as_array_mut)?;
    let mut kept = Vec::with_capacity(conditions.len());
    for condition in conditions.drain(..) {
        let body = condition.get("body")?;
        let is_when = condition.get("kind").and_then(Value::as_str) == Some("when");
        let mut parts = Vec::new();
        split(body, if is_when { "&&" } else { "||" }, &mut parts);
        for part in parts {
            let mut reads = Reads::default();
            reads.add(part);
            if !reads.anything() {
                kept.push(serde_json::json!({ "kind": if is_when { "when" } else { "unless" }, "body": part }));
            } else if forbids {
                return None;
            }
        }
    }
    *conditions = kept;
    Some(policy)
}

/// The operands of a chain of one operator.
fn split<'a>(expression: &'a Value, operator: &str, parts: &mut Vec<&'a Value>) {
    match expression.get(operator).map(|of| (of.get("left"), of.get("right"))) {
        Some((Some(left), Some(right))) => {
            split(left, operator, parts);
            split(right, operator, parts);
        }
        _ => parts.push(expression),
    }
}

#[cfg(test)]
mod tests {
    use cedar_policy::Policy;

    use super::*;

    fn json(text: &str) -> Value {
        Policy::parse(None, text).unwrap().to_json().unwrap()
    }

    #[test]
    fn what_is_read_is_found_wherever_it_stands() {
        for (condition, session, input) in [
            ("resource.destructive", false, &[][..]),
            ("context.session.weekday < 6", true, &[]),
            ("context.input.amount < 6", false, &["amount"]),
            ("context[\"input\"][\"a b\"] == 1", false, &["a b"]),
            ("context.input has amount", false, &["amount"]),
            ("context.input has a.b", false, &["a.b"]),
            ("context has input", false, &[""]),
            ("context.input.path like \"/srv/*\"", false, &["path"]),
            ("[1, context.input.a].contains(2)", false, &["a"]),
            ("{ x: context.input.a } == { x: 1 }", false, &["a"]),
            ("ip(context.input.a).isLoopback()", false, &["a"]),
            ("if context.input.a then true else context.session.weekday == 1", true, &["a"]),
            ("(if true then context.input else context.input).b", false, &["", ""]),
            ("context == {}", true, &[""]),
            ("resource.name == \"context.input.a\"", false, &[]),
        ] {
            let reads = Reads::of(&json(&format!("permit(principal, action, resource) when {{ {condition} }};")));
            let paths: Vec<_> = reads.input.iter().map(|argument| argument.path.as_str()).collect();
            assert_eq!((reads.session, paths.as_slice()), (session, input), "{condition}");
            let values = reads.input.iter().filter(|argument| argument.value).count();
            assert_eq!(values, if condition.contains(" has ") { 0 } else { input.len() }, "{condition}");
        }
    }

    #[test]
    fn whether_the_thing_itself_is_looked_at_is_found() {
        for (condition, expected) in [
            ("resource.name like \"file:///srv/*\"", true),
            ("resource[\"name\"] == \"a\"", true),
            ("[\"a\"].contains(resource.name)", true),
            ("if resource.name == \"a\" then true else false", true),
            ("resource == Mcp::Resource::\"s/a\"", true),
            ("[resource].contains(Mcp::Resource::\"s/a\")", true),
            ("resource in Mcp::ToolGroup::\"g\"", true),
            ("resource in [Mcp::Server::\"s\"]", true),
            ("resource is Mcp::Resource in Mcp::ToolGroup::\"g\"", true),
            ("(if true then resource else resource).name == \"a\"", true),
            ("resource in Mcp::Server::\"s\"", false),
            ("resource is Mcp::Resource", false),
            ("resource has name", true),
            ("resource.server.name == \"s\"", false),
            ("resource.tenant == principal.tenant", false),
            ("resource.read_only", false),
            ("principal.name == \"resource.name\"", false),
            ("context.input.name == \"a\"", false),
        ] {
            let reads = Reads::of(&json(&format!("permit(principal, action, resource) when {{ {condition} }};")));
            assert_eq!(reads.name, expected, "{condition}");
        }
    }

    #[test]
    fn a_list_shows_what_some_call_could_use() {
        let rest = "principal, action, resource";
        for (policy, left) in [
            (format!("permit({rest}) when {{ resource.read_only }};"), Some("resource.read_only")),
            (
                format!("permit({rest}) when {{ context.input.a == 1 && resource.read_only }};"),
                Some("resource.read_only"),
            ),
            (
                format!("permit({rest}) unless {{ context.input.a == 1 || resource.read_only }};"),
                Some("resource.read_only"),
            ),
            (format!("permit({rest}) when {{ context.input.a == 1 || resource.read_only }};"), Some("")),
            (format!("forbid({rest}) when {{ resource.read_only }};"), Some("resource.read_only")),
            (format!("forbid({rest}) when {{ context.input.a == 1 && resource.read_only }};"), None),
            (format!("forbid({rest}) unless {{ context.session.weekday == 1 }};"), None),
        ] {
            let listing = listing(&json(&policy));
            assert_eq!(listing.is_some(), left.is_some(), "{policy}");
            if let (Some(listing), Some(left)) = (listing, left) {
                let text = Policy::from_json(None, listing).unwrap().to_cedar().unwrap();
                assert!(!text.contains("context") && text.contains(left), "{policy}\n{text}");
            }
        }
    }

    #[test]
    fn labels_are_found_wherever_they_are_held_against_those_of_the_session() {
        for (condition, reads, named) in [
            (r#"context.session.labels.contains("a")"#, true, &["a"][..]),
            (r#"resource.destructive && !context.session.labels.containsAny(["a", "b"])"#, true, &["a", "b"]),
            (r#"if context.session.labels.containsAll(["a"]) then true else false"#, true, &["a"]),
            (r#"context.session.labels == ["a"]"#, true, &[]),
            (r#"context.input.labels.contains("a")"#, false, &[]),
            (r#"resource.labels.contains("a")"#, false, &[]),
            (r#"context.session.methods.contains("a")"#, false, &[]),
            ("context.session == context.session", true, &[]),
        ] {
            let policy = json(&format!("forbid(principal, action, resource) when {{ {condition} }};"));
            assert_eq!((Reads::of(&policy).labels, &*labels_named(&policy)), (reads, named), "{condition}");
        }
    }
}
