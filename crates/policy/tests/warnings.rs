//! What has no effect is found, and what has is not.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;

use bartizan_policy::{Grant, Group, Known, Otherwise, Policies, Role, Roles, Scope, Scopes, Source};

fn roles() -> Roles {
    let role =
        |members: &[&str]| Role { members: members.iter().map(|&name| name.to_owned()).collect(), ..Role::default() };
    let group = |members: &[&str], roles: &[&str]| Group {
        members: members.iter().map(|&name| name.to_owned()).collect(),
        roles: roles.iter().map(|&name| name.to_owned()).collect(),
    };
    Roles {
        roles: [("dev", role(&["ann"])), ("idle", role(&[])), ("grouped", role(&[]))]
            .map(|(name, of)| (name.to_owned(), of))
            .into(),
        groups: [("team", group(&["bea"], &["grouped"])), ("empty", group(&[], &["idle"]))]
            .map(|(name, of)| (name.to_owned(), of))
            .into(),
        tool_groups: [
            ("reading".to_owned(), Scopes::of([Scope::parse("tool:git/log").unwrap()])),
            ("void".to_owned(), Scopes::of([])),
        ]
        .into(),
    }
}

fn known() -> Known {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
    Known {
        servers: [("git".to_owned(), Some(names(&["log", "push"]))), ("web".to_owned(), None)].into(),
        others: false,
        roles: Some(names(&["brought"])),
        groups: Some(names(&[])),
        tenants: false,
    }
}

fn warnings(text: &str, otherwise: Otherwise, known: &Known) -> Vec<String> {
    let policies = Policies::new(&[Source { name: "p.cedar", text }], roles(), otherwise).unwrap();
    policies.warnings(known).iter().map(ToString::to_string).collect()
}

#[test]
fn what_has_no_effect_is_said_with_its_place() {
    let permit = |scope: &str| format!("permit({scope});");
    for (text, expected) in [
        // Whom nobody is.
        (permit(r#"principal in Mcp::Role::"none", action, resource"#), Some("1:1: `p.cedar#1` is about nothing: nobody has the role `none`")),
        (permit(r#"principal in Mcp::Role::"idle", action, resource"#), Some("nobody has the role `idle`")),
        (permit(r#"principal in Mcp::Role::"dev", action, resource"#), None),
        (permit(r#"principal in Mcp::Role::"grouped", action, resource"#), None),
        (permit(r#"principal in Mcp::Role::"brought", action, resource"#), None),
        (permit(r#"principal in Mcp::Group::"none", action, resource"#), Some("there is no group `none`")),
        (permit(r#"principal in Mcp::Group::"empty", action, resource"#), Some("nobody is in the group `empty`")),
        (permit(r#"principal in Mcp::Group::"team", action, resource"#), None),
        (permit(r#"principal in Mcp::Tenant::"acme", action, resource"#), Some("nobody is of the tenant `acme`")),
        (permit(r#"principal in Mcp::Tenant::"default", action, resource"#), None),
        (permit(r#"principal == Mcp::User::"anybody", action, resource"#), None),
        // What there is not.
        (permit(r#"principal, action == Mcp::Action::"git/pull", resource"#), Some("server `git` has no tool `pull`")),
        (permit(r#"principal, action == Mcp::Action::"git/push", resource"#), None),
        (permit(r#"principal, action == Mcp::Action::"web/anything", resource"#), None),
        (permit(r#"principal, action == Mcp::Action::"hub/push", resource"#), Some("there is no server `hub`")),
        (permit(r#"principal, action in [Mcp::Action::"git/push", Mcp::Action::"git/pull"], resource"#), Some("no tool `pull`")),
        (permit(r#"principal, action, resource in Mcp::Server::"hub""#), Some("there is no server `hub`")),
        (permit(r#"principal, action, resource in Mcp::Server::"git""#), None),
        (permit(r#"principal, action, resource == Mcp::Tool::"git/pull""#), Some("no tool `pull`")),
        (permit(r#"principal, action, resource == Mcp::Resource::"git/file:///a""#), None),
        (permit(r#"principal, action, resource in Mcp::ToolGroup::"void""#), Some("the tool group `void` is empty")),
        (permit(r#"principal, action, resource in Mcp::ToolGroup::"reading""#), None),
        (permit(r#"principal, action, resource in Mcp::ToolGroup::"writing""#), Some("there is no tool group `writing`")),
        (permit(r#"principal, action == Mcp::Action::"read", resource == Mcp::Tool::"git/push""#), Some("never about such a thing")),
        // The same again.
        ("@id(\"a\") permit(principal, action, resource);\n @id(\"b\") permit(principal, action, resource);".to_owned(),
         Some("2:2: `b` says the same as `a`")),
        ("@id(\"a\") permit(principal, action, resource);\n @id(\"b\") forbid(principal, action, resource is Mcp::Prompt);".to_owned(), None),
        // What is always so.
        ("permit(principal, action, resource) when { true };".to_owned(), Some("always true")),
        ("permit(principal, action, resource) when { false };".to_owned(), Some("always false")),
        ("permit(principal, action, resource) when { principal.name == \"a\" };".to_owned(), None),
        ("permit(principal, action == Mcp::Action::\"git/push\", resource) when { resource is Mcp::Prompt };".to_owned(),
         Some("holds for nothing: its conditions contradict")),
        ("permit(principal, action, resource) when { context.session.weekday < 1 && context.session.weekday > 1 };".to_owned(), None),
    ] {
        let found = warnings(&text, Otherwise::Deny, &known());
        match expected {
            Some(expected) => assert!(found.iter().any(|one| one.contains(expected)), "{text}\n{found:#?}"),
            None => assert_eq!(found, [""; 0], "{text}"),
        }
    }
}

#[test]
fn what_is_always_forbidden_is_said_and_nothing_else() {
    let tool = r#"principal, action == Mcp::Action::"git/push", resource"#;
    for (forbid, rule, overridden) in [
        (format!("forbid({tool});"), format!("permit({tool});"), true),
        ("forbid(principal, action, resource);".to_owned(), format!("permit({tool});"), true),
        (r#"forbid(principal, action in Mcp::Action::"call", resource);"#.to_owned(), format!("permit({tool});"), true),
        (r#"forbid(principal, action, resource in Mcp::Server::"git");"#.to_owned(), format!("permit({tool});"), true),
        (
            r#"forbid(principal, action, resource == Mcp::Tool::"git/push");"#.to_owned(),
            format!("permit({tool});"),
            true,
        ),
        (r#"forbid(principal, action, resource is Mcp::Tool);"#.to_owned(), format!("permit({tool});"), true),
        (r#"forbid(principal, action, resource in Mcp::Server::"web");"#.to_owned(), format!("permit({tool});"), false),
        (r#"forbid(principal, action, resource is Mcp::Prompt);"#.to_owned(), format!("permit({tool});"), false),
        (r#"forbid(principal in Mcp::Role::"dev", action, resource);"#.to_owned(), format!("permit({tool});"), false),
        (
            r#"forbid(principal in Mcp::Role::"dev", action, resource);"#.to_owned(),
            r#"permit(principal == Mcp::User::"ann", action, resource);"#.to_owned(),
            true,
        ),
        (
            r#"forbid(principal in Mcp::Role::"grouped", action, resource);"#.to_owned(),
            r#"permit(principal == Mcp::User::"bea", action, resource);"#.to_owned(),
            true,
        ),
        (
            r#"forbid(principal in Mcp::Role::"dev", action, resource);"#.to_owned(),
            r#"permit(principal == Mcp::User::"bea", action, resource);"#.to_owned(),
            false,
        ),
        (
            "forbid(principal, action, resource) when { principal.name == \"a\" };".to_owned(),
            format!("permit({tool});"),
            false,
        ),
        (
            "forbid(principal, action, resource) when { principal.name == \"a\" };".to_owned(),
            "permit(principal, action, resource) when { principal.name == \"a\" };".to_owned(),
            true,
        ),
        (format!("forbid({tool});"), format!("@challenge(\"approval\") forbid({tool});"), true),
        (format!("@challenge(\"step_up\") forbid({tool});"), format!("permit({tool});"), false),
        (format!("forbid({tool});"), "permit(principal, action, resource);".to_owned(), false),
    ] {
        let text = format!("@id(\"f\") {forbid}\n{}", rule.replacen("permit(", "@id(\"p\") permit(", 1));
        let found = warnings(&text, Otherwise::Deny, &known());
        let says = found.iter().any(|one| one.starts_with("p.cedar:2:1: ") && one.ends_with("`f` always forbids it"));
        assert_eq!(says, overridden, "{text}\n{found:#?}");
    }
}

#[test]
fn what_nothing_is_known_of_is_not_said_to_be_nothing() {
    let known =
        Known { servers: [("git".to_owned(), None)].into(), others: false, roles: None, groups: None, tenants: true };
    for text in [
        r#"permit(principal in Mcp::Role::"none", action, resource);"#,
        r#"permit(principal in Mcp::Group::"none", action, resource);"#,
        r#"permit(principal in Mcp::Group::"empty", action, resource);"#,
        r#"permit(principal in Mcp::Tenant::"acme", action, resource);"#,
        r#"permit(principal, action == Mcp::Action::"git/pull", resource);"#,
    ] {
        assert_eq!(warnings(text, Otherwise::Deny, &known), [""; 0], "{text}");
    }
    let found = warnings("permit(principal, action, resource);", Otherwise::Permit, &known);
    assert!(found.iter().any(|one| one.contains("allowed anyway")), "{found:?}");
    let role = Role { allow: vec![Grant::parse("server:hub").unwrap()], ..Role::default() };
    let roles = Roles { roles: [("dev".to_owned(), role)].into(), ..Roles::default() };
    let policies = Policies::new(&[], roles, Otherwise::Deny).unwrap();
    let found = policies.warnings(&known);
    let expected = "roles: `role.dev.allow server:hub` is about nothing: there is no server `hub`";
    assert!(found.iter().any(|one| one.to_string() == expected), "{found:?}");
    assert!(policies.warnings(&Known { others: true, ..known }).is_empty());
}
