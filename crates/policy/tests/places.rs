//! A URI that can be read as several is in no list that allows, and in each that denies or asks.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use bartizan_policy::{
    Circumstances, Decision, Grant, Labels, Otherwise, Outcome, Policies, Principal, Purpose, Role, Roles, Scope,
    Scopes, Source, Use,
};

/// Other spellings of `file:///srv/secret/x`, and what leads out of `file:///srv/` or out of the directory there.
const UNCLEAR: &[&str] = &[
    "file:///srv/../etc/passwd",
    "file:///srv/.\t./etc/passwd",
    "file:///srv/.\n./etc/passwd",
    "file:///srv/%2e\t./etc/passwd",
    "file:///srv/%2\te./etc/passwd",
    "file:///srv/./secret/x",
    "file:///srv/secret/./x",
    "file:///srv/secret/x#.",
    "file:///srv/secret/x?a/../",
    "FILE:///srv/secret/x",
    "file:/srv/secret/x",
    " file:///srv/secret/x",
    "file:///srv/%73ecret/x",
    "file:///srv//secret/x",
    "file:///srv\\secret\\x",
    "file:///srv/secret%2Fx",
];

/// What everybody reads as one, elsewhere.
const CLEAR: &[&str] =
    &["file:///srv/a", "note://Table/Row", "urn:a:b", "file:///srv/Caf%C3%A9%20(1)?", "db://x?a=b%26c"];

fn grants(texts: &[&str]) -> Vec<Grant> {
    texts.iter().map(|text| Grant::parse(text).unwrap()).collect()
}

/// Policies for the roles `only` and `admin`, beside what is written in Cedar.
fn policies(only: Role, text: &str, otherwise: Otherwise) -> Policies {
    let admin = Role { allow: grants(&["mcp"]), ..Role::default() };
    let secret = ["resource:s/file:///srv/secret/*", "tool:s/read_secret"].map(|text| Scope::parse(text).unwrap());
    let roles = Roles {
        roles: [("only".to_owned(), only), ("admin".to_owned(), admin)].into(),
        tool_groups: [("secret".to_owned(), Scopes::of(secret))].into(),
        ..Roles::default()
    };
    Policies::new(&[Source { name: "p", text }], roles, otherwise).unwrap()
}

fn decide(policies: &Policies, role: &str, server: &str, uri: &str, purpose: Purpose) -> Decision {
    let who = Principal { roles: [role.into()].into(), ..Principal::new("ann") };
    policies.decide_once(
        &who,
        (server, Use::Read(uri)),
        purpose,
        Circumstances { now: 0, arguments: None, labels: Labels::NONE },
    )
}

fn outcome(policies: &Policies, role: &str, uri: &str) -> Outcome {
    decide(policies, role, "s", uri, Purpose::Use).outcome
}

#[test]
fn no_role_allows_it() {
    for (allow, text) in [
        (&["resource:s/file:///srv/*"][..], ""),
        (&["resource:s/file:///*", "group:secret"], ""),
        (&["resource:s/f*"], ""),
        (&[], r#"permit(principal, action == Mcp::Action::"read", resource) when { resource.name like "*file:*" };"#),
        (&[], r#"permit(principal, action, resource is Mcp::Resource) unless { resource.name like "*etc*" };"#),
        (&[], r#"permit(principal, action, resource in Mcp::ToolGroup::"secret");"#),
    ] {
        let policies = policies(Role { allow: grants(allow), ..Role::default() }, text, Otherwise::Deny);
        let clear = if text.contains("like") || allow.len() == 1 { "file:///srv/a" } else { "file:///srv/secret/x" };
        assert_eq!(outcome(&policies, "only", clear), Outcome::Allow, "{allow:?} {text}");
        for uri in UNCLEAR {
            assert_eq!(outcome(&policies, "only", uri), Outcome::Deny, "{allow:?} {text} {uri:?}");
            let listed = decide(&policies, "only", "s", uri, Purpose::List);
            assert_eq!(listed.outcome, Outcome::Deny, "{allow:?} {text} {uri:?}");
        }
    }
}

#[test]
fn what_allows_all_or_names_it_as_a_whole_allows_it() {
    for allow in ["mcp", "server:s", "resource:s/*", "resource:s/FILE:///srv/secret/x"] {
        let policies = policies(Role { allow: grants(&[allow]), ..Role::default() }, "", Otherwise::Deny);
        assert_eq!(outcome(&policies, "only", "FILE:///srv/secret/x"), Outcome::Allow, "{allow}");
    }
}

#[test]
fn each_list_that_denies_or_asks_has_it() {
    let deny = |texts: &[&str]| Role { allow: grants(&["mcp"]), deny: grants(texts), ..Role::default() };
    let approve = |texts: &[&str]| Role { allow: grants(&["mcp"]), approve: grants(texts), ..Role::default() };
    let by_text = |text| (deny(&[]), text);
    for (role, text) in [
        (deny(&["resource:s/file:///srv/secret/*"]), ""),
        (deny(&["resource:s/file:///srv/secret/x"]), ""),
        (deny(&["group:secret"]), ""),
        (approve(&["resource:s/file:///srv/secret/*"]), ""),
        (approve(&["group:secret"]), ""),
        by_text(r#"forbid(principal, action, resource) when { resource.name like "file:///srv/secret/*" };"#),
        by_text(r#"forbid(principal, action, resource in Mcp::ToolGroup::"secret");"#),
        by_text(r#"forbid(principal, action, resource) when { resource in Mcp::ToolGroup::"secret" };"#),
        by_text(r#"forbid(principal, action, resource == Mcp::Resource::"s/file:///srv/secret/x");"#),
        by_text(r#"@challenge("approval") forbid(principal, action, resource in Mcp::ToolGroup::"secret");"#),
    ] {
        let policies = policies(role, text, Otherwise::Permit);
        assert_ne!(outcome(&policies, "only", "file:///srv/secret/x"), Outcome::Allow, "{text}");
        for uri in UNCLEAR {
            let decision = decide(&policies, "only", "s", uri, Purpose::Use);
            assert_eq!(decision.outcome, Outcome::Deny, "{text} {uri:?}");
            assert!(decision.failed.unwrap().contains("can be read as several"), "{text} {uri:?}");
            assert_eq!(decision.reasons.len(), 1, "{text} {uri:?}");
            // Elsewhere nothing is forbidden by name.
            assert_eq!(decide(&policies, "only", "t", uri, Purpose::Use).outcome, elsewhere(text), "{text} {uri:?}");
        }
        for uri in CLEAR.iter().filter(|uri| !uri.ends_with('?')) {
            assert_eq!(outcome(&policies, "only", uri), Outcome::Allow, "{text} {uri}");
            assert_eq!(decide(&policies, "only", "s", uri, Purpose::List).outcome, Outcome::Allow, "{text} {uri}");
        }
    }
}

/// What is written without a server is about all of them.
fn elsewhere(text: &str) -> Outcome {
    if text.contains("resource.name") || text.contains("resource in Mcp::ToolGroup::\"secret\" }") {
        Outcome::Deny
    } else {
        Outcome::Allow
    }
}

#[test]
fn who_is_meant_by_no_such_list_reads_it() {
    let only = Role { deny: grants(&["resource:s/file:///srv/secret/*", "group:secret"]), ..Role::default() };
    let text = r#"
        forbid(principal, action in Mcp::Action::"call", resource in Mcp::ToolGroup::"secret");
        forbid(principal, action, resource is Mcp::Tool) when { resource.name like "delete*" };
        forbid(principal, action, resource) unless { resource.tenant == principal.tenant };
        forbid(principal, action, resource in Mcp::Server::"t") when { resource.name like "file:///srv/secret/*" };
    "#;
    let policies = policies(only, text, Otherwise::Deny);
    for uri in UNCLEAR {
        assert_eq!(outcome(&policies, "admin", uri), Outcome::Allow, "{uri:?}");
        assert_eq!(decide(&policies, "admin", "t", uri, Purpose::Use).outcome, Outcome::Deny, "{uri:?}");
    }
}

#[test]
fn what_is_encoded_for_no_reason_is_the_same_name() {
    let role = Role {
        allow: grants(&["resource:s/file:///srv/*"]),
        deny: grants(&["resource:s/file:///srv/R&D/*", "resource:s/file:///srv/a%28b", "resource:s/file:///srv/s%2A*"]),
        ..Role::default()
    };
    let policies = policies(role, "", Otherwise::Deny);
    for (uri, expected) in [
        ("file:///srv/R&D/x", Outcome::Deny),
        ("file:///srv/R%26D/x", Outcome::Deny),
        ("file:///srv/a(b", Outcome::Deny),
        ("file:///srv/a%28b", Outcome::Deny),
        ("file:///srv/s*x", Outcome::Deny),
        ("file:///srv/s%2Ax", Outcome::Deny),
        ("file:///srv/sx", Outcome::Allow),
        ("file:///srv/D&R/x", Outcome::Allow),
        ("file:///srv/b%28a%29", Outcome::Allow),
    ] {
        assert_eq!(outcome(&policies, "only", uri), expected, "{uri}");
    }
}
