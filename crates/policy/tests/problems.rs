//! What is wrong with policies is said with its place.

use bartizan_policy::{Hints, Otherwise, Policies, Roles, Source, Use};
use serde_json::json;

fn read(text: &str) -> Result<Policies, Vec<String>> {
    let source = Source { name: "p.cedar", text };
    Policies::new(&[source], Roles::default(), Otherwise::Deny)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn a_text_that_is_wrong_is_refused_with_its_place() {
    for (text, expected) in [
        ("permit(principal, action, resource)", "p.cedar:1:36: "),
        ("// \u{e9}\n  permit(principal, action, resource) when { \u{e9} };", "p.cedar:2:46: "),
        ("permit(principal, action, resource);\npermits(principal, action, resource);", "p.cedar:2:1: "),
        (
            "@id(\"a\") permit(principal, action, resource);\n @id(\"a\") forbid(principal, action, resource);",
            "p.cedar:2:2: another",
        ),
        ("@id(\"\") permit(principal, action, resource);", "p.cedar:1:1: `@id` is empty"),
        ("@challenge(\"mfa\") forbid(principal, action, resource);", "p.cedar:1:1: `@challenge(\"mfa\")` is none"),
        (
            "@challenge(\"approval\") permit(principal, action, resource);",
            "p.cedar:1:1: `p.cedar#1` has `@challenge` and permits",
        ),
        (
            "@four_eyes(\"true\") forbid(principal, action, resource);",
            "p.cedar:1:1: `@four_eyes`, `@fresh` and `@approvers` belong",
        ),
        (
            "@challenge(\"step_up\") @approvers(\"user:ann\") forbid(principal, action, resource);",
            "p.cedar:1:1: `@four_eyes`, `@fresh` and `@approvers` belong",
        ),
        (
            "@challenge(\"approval\") @four_eyes(\"yes\") forbid(principal, action, resource);",
            "p.cedar:1:1: `@four_eyes(\"yes\")` is neither",
        ),
        (
            "@challenge(\"approval\") @approvers(\"user:ann, leads\") forbid(principal, action, resource);",
            "p.cedar:1:1: `leads` is no approver",
        ),
        (
            "@id(\"a\") @challenge(\"approval\") @approvers(\"group:leads\") forbid(principal, action, resource);",
            "p.cedar:1:1: `a`: there is no group `leads`",
        ),
        ("permit(principal == ?principal, action, resource);", "p.cedar:1:1: `policy0` is a template"),
        // Against the schema.
        ("permit(principal, action, resource)\nwhen { resource.nothing };", "p.cedar:2:8: "),
        ("permit(principal, action, resource) when { resource.destructive };", "p.cedar:1:44: "),
        ("permit(principal in Mcp::Rule::\"a\", action, resource);", "p.cedar:1:"),
        ("permit(principal, action == Mcp::Action::\"reed\", resource);", "p.cedar:1:"),
        ("permit(principal, action, resource) when { principal.name == 5 };", "p.cedar:1:44: "),
        (
            "permit(principal, action, resource) when { context.session.signed_in == datetime(\"2026-01-01\") };",
            "p.cedar:1:44: ",
        ),
        // What a person would write first, and what the schema cannot follow.
        (
            "permit(principal, action, resource) when { !(context.session has signed_in) || \
             context.session.signed_in > datetime(\"2026-01-01\") };",
            "p.cedar:1:80: ",
        ),
    ] {
        let problems = read(text).err().unwrap_or_default();
        assert!(problems.iter().any(|problem| problem.starts_with(expected)), "{text}\n{problems:#?}");
    }
}

#[test]
fn what_names_no_action_or_type_is_refused_whatever_it_reads() {
    let guarded = |scope: &str| format!("forbid({scope}) unless {{ context.input.amount <= 500 }};");
    for (scope, expected) in [
        (
            "principal, action == Mcp::Action::\"bank__transfer\", resource",
            "there is no action `bank__transfer`; write `bank/transfer`",
        ),
        (
            "principal, action == Mcp::Action::\"transfer\", resource",
            "there is no action `transfer`; a call of a tool is `SERVER/TOOL`",
        ),
        ("principal, action in [Mcp::Action::\"call\", Mcp::Action::\"zzz\"], resource", "there is no action `zzz`"),
        ("principal, action == Mcp::Action::\"reed\", resource", "did you mean `read`?"),
        ("principal, action == Mcp::Action::\"/transfer\", resource", "there is no action `/transfer`"),
        ("principal, action == Mcp::Action::\"call\", resource", "write `action in Mcp::Action::\"call\"`"),
        ("principal, action == Mcp::Action::\"use\", resource", "write `action in Mcp::Action::\"use\"`"),
        (
            "principal, action, resource == Mcp::Tol::\"bank/transfer\"",
            "there is no type `Mcp::Tol`; did you mean `Mcp::Tool`?",
        ),
        ("principal is Mcp::Person, action, resource", "there is no type `Mcp::Person`"),
        ("principal in Rule::\"clerk\", action, resource", "there is no type `Rule`"),
    ] {
        for text in [guarded(scope), format!("forbid({scope});")] {
            let problems = read(&text).err().unwrap_or_default();
            assert!(
                problems.iter().any(|problem| problem.starts_with("p.cedar:1:1: ") && problem.contains(expected)),
                "{text}\n{problems:#?}"
            );
        }
    }
    let within = "forbid(principal, action, resource) when { context.input.amount > 5 && action == Mcp::Action::\"bank__pay\" };";
    assert!(read(within).unwrap_err()[0].contains("write `bank/pay`"));
    for scope in [
        "principal, action == Mcp::Action::\"bank/transfer\", resource",
        "principal, action in Mcp::Action::\"call\", resource",
        "principal, action in [Mcp::Action::\"bank/a__b\", Mcp::Action::\"use\"], resource is Mcp::Tool in Mcp::Server::\"bank\"",
    ] {
        assert_eq!(read(&guarded(scope)).err(), None, "{scope}");
    }
}

#[test]
fn a_label_that_no_session_bears_is_refused() {
    for (condition, expected) in [
        (
            "context.session.labels.contains(\"untrustd\")",
            Some("there is no label `untrustd`; did you mean `untrusted`?"),
        ),
        (
            "context.session.labels.containsAny([\"untrusted\", \"secret\"])",
            Some("there is no label `secret`; there are untrusted"),
        ),
        ("context.session.labels.containsAll([\"untrusted\"])", None),
        ("context.session.labels.isEmpty()", None),
        ("resource.labels.contains(\"secret\")", None),
        ("context.session.methods.contains(\"secret\")", None),
    ] {
        let text = format!("forbid(principal, action, resource is Mcp::Tool) when {{ {condition} }};");
        let problems = read(&text).err().unwrap_or_default();
        let is_said = expected.is_some_and(|expected| problems.iter().any(|problem| problem.contains(expected)));
        assert_eq!((is_said, problems.is_empty()), (expected.is_some(), expected.is_none()), "{text}\n{problems:#?}");
    }
}

#[test]
fn how_fresh_a_proof_has_to_be_is_said_where_one_is_asked_for() {
    for (text, expected) in [
        (
            "@challenge(\"approval\") @max_age(\"5m\") forbid(principal, action, resource);",
            "p.cedar:1:1: `@max_age` belongs to `@challenge(\"step_up\")`",
        ),
        (
            "@challenge(\"step_up\") @fresh(\"true\") forbid(principal, action, resource);",
            "p.cedar:1:1: `@four_eyes`, `@fresh` and `@approvers` belong",
        ),
        (
            "@challenge(\"approval\") @fresh(\"yes\") forbid(principal, action, resource);",
            "p.cedar:1:1: `@fresh(\"yes\")` is neither",
        ),
        ("@max_age(\"5m\") permit(principal, action, resource);", "p.cedar:1:1: `@max_age` belongs to"),
        (
            "@challenge(\"approval\") @foureyes(\"true\") forbid(principal, action, resource);",
            "p.cedar:1:1: `@foureyes` is none; there are @id, @reason, @advice, @challenge",
        ),
        ("@challange(\"approval\") forbid(principal, action, resource);", "p.cedar:1:1: `@challange` is none"),
        (
            "@challenge(\"step_up\") @max_age(\"5\") forbid(principal, action, resource);",
            "p.cedar:1:1: `@max_age(\"5\")` is no time",
        ),
        (
            "@challenge(\"step_up\") @max_age(\"\") forbid(principal, action, resource);",
            "p.cedar:1:1: `@max_age(\"\")` is no time",
        ),
        (
            "@challenge(\"step_up\") @max_age(\"0s\") forbid(principal, action, resource);",
            "p.cedar:1:1: `@max_age(\"0s\")` is no time",
        ),
        (
            "@challenge(\"step_up\") @max_age(\"+5m\") forbid(principal, action, resource);",
            "p.cedar:1:1: `@max_age(\"+5m\")` is no time",
        ),
        (
            "@challenge(\"step_up\") @max_age(\"25h\") forbid(principal, action, resource);",
            "p.cedar:1:1: `@max_age(\"25h\")` is no time",
        ),
    ] {
        let problems = read(text).err().unwrap_or_default();
        assert!(problems.iter().any(|problem| problem.starts_with(expected)), "{text}\n{problems:#?}");
    }
}

#[test]
fn a_text_that_is_right_is_read() {
    for text in [
        "",
        "@challenge(\"approval\") @four_eyes(\"true\") @fresh(\"true\") @approvers(\"user:ann,role:lead\") forbid(principal, action, resource);",
        "// nothing",
        "permit(principal, action, resource);",
        "permit(principal, action in Mcp::Action::\"call\", resource) when { resource.destructive };",
        "permit(principal, action, resource is Mcp::Tool) when { resource.destructive };",
        "permit(principal, action == Mcp::Action::\"any/tool\", resource) when { resource.read_only };",
        "permit(principal, action, resource) when { if context.session has signed_in then \
         context.session.signed_in > datetime(\"2026-01-01\") else true };",
        "@challenge(\"step_up\") forbid(principal, action, resource);",
        "@challenge(\"step_up\") @max_age(\"90s\") forbid(principal, action, resource);",
        "@challenge(\"step_up\") @max_age(\"24h\") forbid(principal, action, resource);",
    ] {
        assert_eq!(read(text).err(), None, "{text}");
    }
}

#[test]
fn a_policy_that_reads_what_a_tool_has_not_does_not_fit_it() {
    let schema = json!({
        "type": "object", "required": ["amount"],
        "properties": {
            "amount": { "type": "integer" }, "note": { "type": "string" }, "odd": { "oneOf": [{}] },
            "to": { "type": "object", "properties": { "iban": { "type": "string" }, "extra": {} } },
        },
    });
    let fits = |condition: &str, of: &str| {
        let policies = read(&format!("permit(principal, {of}, resource)\n  when {{ {condition} }};")).unwrap();
        policies.problems("bank", Use::Call("pay", Some(&schema), Hints::default()))
    };
    for (condition, expected) in [
        ("context.input.amount < 5", None),
        ("context.input has note && context.input.note == \"a\"", None),
        (
            "if context.input has to && context.input.to has iban then context.input.to.iban like \"DE*\" else true",
            None,
        ),
        ("context.input has nothing && context.input.nothing == 5", None),
        ("context.input.amount < \"5\"", Some(2)),
        ("context.input.note == \"a\"", Some(2)),
        ("!(context.input has note) || context.input.note == \"a\"", Some(2)),
        ("context.input.nothing == 5", Some(2)),
        ("context.input has odd", Some(1)),
        ("context.input has to && context.input.to has extra", Some(1)),
        ("context.input == context.input", Some(1)),
    ] {
        let problems = fits(condition, "action == Mcp::Action::\"bank/pay\"");
        assert_eq!(problems.first().map(|problem| problem.line), expected, "{condition}: {problems:?}");
        // A policy about another tool is no concern of this one.
        assert!(fits(condition, "action == Mcp::Action::\"bank/other\"").is_empty(), "{condition}");
    }
    // One that names several is held against each.
    let several = "action in [Mcp::Action::\"bank/other\", Mcp::Action::\"bank/pay\"]";
    assert!(fits("context.input.amount < 5", several).is_empty());
    assert!(!fits("context.input.nothing < 5", several).is_empty());
}

#[test]
fn how_decimals_are_compared_is_said() {
    let schema = json!({ "type": "object", "required": ["price"], "properties": { "price": { "type": "number" } } });
    let problems = |condition: &str| {
        let policies =
            read(&format!("permit(principal, action == Mcp::Action::\"shop/buy\", resource) when {{ {condition} }};"))
                .unwrap();
        let found = policies.problems("shop", Use::Call("buy", Some(&schema), Hints::default()));
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let found = problems("context.input.price <= 5");
    assert!(found.iter().any(|one| one.contains(".lessThanOrEqual(")), "{found:?}");
    assert_eq!(problems("context.input.price.lessThanOrEqual(decimal(\"5.0\"))"), Vec::<String>::new());
}

#[test]
fn the_schema_of_a_tool_can_be_shown() {
    let input = bartizan_policy::Input::of(&json!({
        "type": "object", "required": ["amount"],
        "properties": { "amount": { "type": "integer" }, "labels": { "type": "array", "items": { "type": "string" } } },
    }));
    let text = bartizan_policy::tool_schema("bank/pay", &input).unwrap();
    for words in ["\"bank/pay\"", "__cedar::Long", "?: Set<__cedar::String>", "Session"] {
        assert!(text.contains(words), "{words}\n{text}");
    }
}
