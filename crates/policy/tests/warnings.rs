//! What has no effect is found, and what has is not.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;

use bartizan_policy::{Grant, Group, Known, Otherwise, Policies, Role, Roles, Scope, Scopes, Source, Ways};

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
        ways: Ways { pages: true, tokens: true },
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
        Known { servers: [("git".to_owned(), None)].into(), roles: None, groups: None, tenants: true, ..known() };
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

/// A challenge and its scope, where there are pages and where tokens are taken, and what is said of it.
type Challenged<'a> = (&'a str, &'a str, (bool, bool), Option<&'a str>);

const ALL: &str = "principal, action, resource";

#[track_caller]
fn challenged(cases: &[Challenged<'_>]) {
    for (challenge, scope, (pages, tokens), said) in cases {
        let ways = Ways { pages: *pages, tokens: *tokens };
        let text = format!("@id(\"c\") {challenge} forbid({scope});");
        let found = warnings(&text, Otherwise::Deny, &Known { ways, ..known() });
        match said {
            Some(said) => assert!(matches!(&found[..], [one] if one.contains(said)), "{text} {ways:?}\n{found:#?}"),
            None => assert_eq!(found, [""; 0], "{text} {ways:?}"),
        }
        let policies = Policies::new(&[Source { name: "p.cedar", text: &text }], roles(), Otherwise::Deny).unwrap();
        let never: Vec<_> = policies.never_met(ways).iter().map(ToString::to_string).collect();
        assert_eq!(never, found, "{text}");
    }
}

#[test]
fn a_proof_that_nobody_can_ever_give_is_said() {
    let ann = "principal == Mcp::User::\"ann\", action, resource";
    let own = "principal == Mcp::User::\"uid:7\", action, resource";
    let far = "principal == Mcp::User::\"corp:ann\", action, resource";
    let nobody = "principal == Mcp::User::\"anonymous\", action, resource";
    let (proof, aged) = ("@challenge(\"step_up\")", "@challenge(\"step_up\") @max_age(\"5m\")");
    challenged(&[
        // A proof is shown on a page, by a person who signs in there, or by a token that a policy takes for one.
        (proof, ALL, (true, false), None),
        (
            proof,
            ALL,
            (false, false),
            Some("nobody can ever give: there are no pages for that, as there is no [sign_in]"),
        ),
        (proof, ALL, (false, true), Some("no [sign_in], and without `@max_age` no token is taken for it")),
        (aged, ALL, (false, true), None),
        (aged, ALL, (false, false), Some("no [sign_in], and no [auth.oauth.NAME] takes tokens that could be it")),
        (proof, ann, (true, false), None),
        (proof, own, (true, false), Some("`uid:7` is the name of nobody who signs in on a page")),
        (proof, nobody, (true, false), Some("`anonymous` is the name of nobody who signs in on a page")),
        (aged, own, (true, true), Some("`uid:7` comes with no token that could be it")),
        (proof, far, (true, true), Some("without `@max_age` no token")),
        (aged, far, (true, true), None),
    ]);
}

#[test]
fn an_approval_that_nobody_can_ever_give_is_said() {
    let approved = "@challenge(\"approval\")";
    let by = |approvers: &str| format!("{approved} @approvers(\"{approvers}\")");
    challenged(&[
        // An approval is given on a page as well, or by a command of a user of this machine.
        (approved, ALL, (false, false), None),
        (&by("user:ann"), ALL, (true, false), None),
        (
            &by("user:ann"),
            ALL,
            (false, true),
            Some("an approval that nobody can ever give: `ann` could approve only on a page"),
        ),
        (&by("user:uid:7"), ALL, (false, false), None),
        (&by("user:uid:x"), ALL, (true, false), Some("`uid:x` is the name of nobody who signs in")),
        (&by("user:corp:ann"), ALL, (true, true), Some("`corp:ann` is the name of nobody who signs in")),
        (&by("role:dev"), ALL, (true, false), None),
        (
            &by("role:dev"),
            ALL,
            (false, false),
            Some("nobody of the role `dev` can: `ann` could approve only on a page"),
        ),
        (&by("role:grouped"), ALL, (true, false), None),
        (&by("role:brought"), ALL, (true, false), Some("the configuration gives nobody the role `brought`")),
        (&by("group:team"), ALL, (true, false), None),
        (&by("group:empty"), ALL, (true, false), Some("the configuration has nobody in the group `empty`")),
        (
            &by("group:empty, role:idle"),
            ALL,
            (true, false),
            Some("in the group `empty`, and the configuration gives nobody the role"),
        ),
        // Nobody is asked about what a server sends.
        (
            approved,
            "principal, action == Mcp::Action::\"sample\", resource",
            (true, false),
            Some("it is about what a server sends"),
        ),
        (
            approved,
            "principal, action in [Mcp::Action::\"elicit\", Mcp::Action::\"call\"], resource",
            (true, false),
            None,
        ),
    ]);
    // One who cannot is said also beside one who can.
    let text = format!("{} forbid({ALL});", by("user:ann, role:idle"));
    let found = warnings(&text, Otherwise::Deny, &known());
    assert!(
        matches!(&found[..], [one] if one.contains("lets `role:idle` approve, and the configuration")),
        "{found:?}"
    );
}

#[test]
fn a_pattern_by_which_no_resource_is_called_is_said() {
    for (pattern, said) in [
        ("resource:web/FILE:///srv/*", true),
        ("resource:web/file:///srv/../*", true),
        ("resource:web/file:///srv/*", false),
        ("resource:web/note://*", false),
        ("resource:web/*", false),
        ("tool:git/FILE*", false),
    ] {
        let (mut of_role, mut of_group) = (roles(), roles());
        let deny =
            Role { deny: vec![Grant::parse(pattern).unwrap()], members: vec!["ann".to_owned()], ..Role::default() };
        of_role.roles.insert("dev".to_owned(), deny);
        of_group.tool_groups.insert("g".to_owned(), Scopes::of([Scope::parse(pattern).unwrap()]));
        for (roles, whose) in [(of_role, "role.dev.deny"), (of_group, "tool_group.g")] {
            let policies = Policies::new(&[], roles, Otherwise::Permit).unwrap();
            let found: Vec<_> = policies.warnings(&known()).iter().map(ToString::to_string).collect();
            let expected = format!("`{whose}` has `{pattern}`, and no URI that can be read as one alone begins so");
            assert_eq!(found.iter().any(|text| text.contains(&expected)), said, "{found:?}");
        }
    }
}

#[test]
fn what_was_probably_meant_is_said() {
    for (scope, expected) in [
        (r#"principal, action, resource in Mcp::Server::"gti""#, "there is no server `gti`; did you mean `git`?"),
        (
            r#"principal, action == Mcp::Action::"git/psh", resource"#,
            "server `git` has no tool `psh`; did you mean `push`?",
        ),
        (
            r#"principal, action, resource in Mcp::ToolGroup::"readng""#,
            "there is no tool group `readng`; did you mean `reading`?",
        ),
        (r#"principal in Mcp::Role::"dve", action, resource"#, "nobody has the role `dve`; did you mean `dev`?"),
        (r#"principal in Mcp::Group::"taem", action, resource"#, "there is no group `taem`; did you mean `team`?"),
        (r#"principal, action, resource in Mcp::Server::"altogether""#, "there is no server `altogether`"),
    ] {
        let found = warnings(&format!("forbid({scope});"), Otherwise::Deny, &known());
        assert!(found.iter().any(|warning| warning.ends_with(expected)), "{scope}: {found:?}");
    }
}

#[test]
fn a_permit_narrows_no_other() {
    let narrow = r#"permit(principal in Mcp::Role::"dev", action == Mcp::Action::"git/push", resource) when { context.session.weekday == 1 };"#;
    for (wide, is_void) in [
        (r#"permit(principal in Mcp::Role::"dev", action, resource in Mcp::Server::"git");"#, true),
        (r#"permit(principal, action in Mcp::Action::"call", resource);"#, true),
        (r#"permit(principal in Mcp::Role::"dev", action, resource in Mcp::Server::"web");"#, false),
        (r#"permit(principal in Mcp::Role::"grouped", action, resource);"#, false),
        (r#"permit(principal, action, resource) when { context.session.weekday == 2 };"#, false),
        (
            r#"forbid(principal in Mcp::Role::"dev", action in Mcp::Action::"call", resource) unless { context.session.weekday == 1 };"#,
            false,
        ),
    ] {
        let found = warnings(&format!("{wide}\n{narrow}"), Otherwise::Deny, &known());
        let said = found.iter().any(|warning| {
            warning.contains("`p.cedar#2` adds nothing to `p.cedar#1`") && warning.contains("forbid … unless")
        });
        assert_eq!(said, is_void, "{wide}: {found:?}");
    }
}
