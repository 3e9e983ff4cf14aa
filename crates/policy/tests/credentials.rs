//! What a credential says about who shows it, as policies see it.
#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::Arc;

use bartizan_policy::{
    Circumstances, Grant, Group, Hints, Labels, Otherwise, Outcome, Policies, Principal, Purpose, Role, Roles,
    SignedIn, Source, Use,
};

/// One minute, in milliseconds.
const MINUTE: i64 = 60_000;

fn may(policy: &str, principal: &Principal) -> bool {
    let allow = vec![Grant::parse("server:git").unwrap()];
    let roles = BTreeMap::from([("writer".to_owned(), Role { allow, ..Role::default() })]);
    let groups =
        BTreeMap::from([("staff".to_owned(), Group { members: Vec::new(), roles: vec!["writer".to_owned()] })]);
    let roles = Roles { roles, groups, ..Roles::default() };
    let policies = Policies::new(&[Source { name: "test", text: policy }], roles, Otherwise::Deny).unwrap();
    let target = policies.target("git", Use::Call("push", None, Hints::default())).unwrap();
    let circumstances = Circumstances { now: 60 * MINUTE, arguments: None, labels: Labels::NONE };
    let subject = policies.subject(principal).unwrap();
    policies.decide(&subject, &target, Purpose::Use, circumstances).outcome == Outcome::Allow
}

#[test]
fn a_recent_sign_in_is_proof_enough_where_a_policy_says_so() {
    let second = |seconds: i64| (60 * MINUTE + seconds * 1_000) * 1_000;
    let ann = |at: Option<i64>, methods: &[&str]| {
        let methods: Box<[Box<str>]> = methods.iter().map(|method| Box::from(*method)).collect();
        let second_factor = SignedIn::has_second_factor(&methods);
        Principal { signed_in: Some(Arc::new(SignedIn { at, methods, second_factor })), ..Principal::new("ann") }
    };
    let hardly = "permit(principal, action, resource); @challenge(\"step_up\") forbid(principal, action, resource);";
    let five = hardly.replace("@challenge", "@max_age(\"5m\") @challenge");
    let one = format!("{five} {}", "@max_age(\"1m\") @challenge(\"step_up\") forbid(principal, action, resource);");
    let never = format!("{five} @challenge(\"step_up\") forbid(principal, action, resource);");
    let agreed = format!("{five} @challenge(\"approval\") forbid(principal, action, resource);");
    let denied = format!("{five} forbid(principal, action, resource);");
    let recent = ann(Some(second(-120)), &["otp", "pwd"]);
    for (policy, principal, allowed) in [
        (hardly, &recent, false),
        (&*five, &recent, true),
        (&five, &ann(Some(second(-300)), &["hwk"]), true),
        (&five, &ann(Some(second(-301)), &["otp", "pwd"]), false),
        (&five, &ann(Some(second(59)), &["mfa"]), true),
        (&five, &ann(Some(second(61)), &["mfa"]), false),
        (&five, &ann(Some(second(-120)), &["pwd", "sms"]), false),
        (&five, &ann(Some(second(-120)), &[]), false),
        (&five, &ann(None, &["otp", "pwd"]), false),
        (&five, &Principal::new("ann"), false),
        (&one, &recent, false),
        (&one, &ann(Some(second(-60)), &["otp"]), true),
        (&never, &recent, false),
        (&agreed, &recent, false),
        (&denied, &recent, false),
    ] {
        assert_eq!(may(policy, principal), allowed, "{policy} {principal:?}");
    }
}

#[test]
fn policies_read_what_a_credential_says() {
    let ann = Principal::new("ann");
    let with = |change: &dyn Fn(&mut Principal)| {
        let mut changed = ann.clone();
        change(&mut changed);
        changed
    };
    let signed_in = |minute: Option<i64>, methods: &[&str]| {
        let methods: Box<[Box<str>]> = methods.iter().map(|method| Box::from(*method)).collect();
        let at = minute.map(|minute| minute * MINUTE * 1000);
        with(&|ann| {
            ann.signed_in = Some(Arc::new(SignedIn {
                at,
                second_factor: SignedIn::has_second_factor(&methods),
                methods: Clone::clone(&methods),
            }));
        })
    };
    let grouped = |group: &str| with(&|ann| ann.groups = Arc::new([group.into()]));
    let of = |tenant: &str| with(&|ann| ann.tenant = Some(tenant.into()));
    let fresh = "permit(principal, action, resource) when { context.session has signed_in && \
                 context.session.now.durationSince(context.session.signed_in) < duration(\"15m\") };";
    let strong = "permit(principal, action, resource) when { context.session.methods.contains(\"otp\") };";
    let group = "permit(principal in Mcp::Group::\"https://idp/ops\", action, resource);";
    let tenant = "permit(principal in Mcp::Tenant::\"acme\", action, resource);";
    for (policy, principal, allowed) in [
        (fresh, ann.clone(), false),
        (fresh, signed_in(Some(50), &[]), true),
        (fresh, signed_in(Some(40), &[]), false),
        (fresh, signed_in(None, &["otp"]), false),
        (strong, signed_in(Some(0), &["otp", "pwd"]), true),
        (strong, signed_in(Some(0), &["pwd"]), false),
        (strong, ann.clone(), false),
        (group, grouped("https://idp/ops"), true),
        (group, grouped("ops"), false),
        (tenant, of("acme"), true),
        (tenant, of("default"), false),
        (tenant, ann.clone(), false),
        // What the group of the configuration brings.
        ("", grouped("staff"), true),
        ("", grouped("writer"), false),
        ("", ann.clone(), false),
    ] {
        assert_eq!(may(policy, &principal), allowed, "{policy} {principal:?}");
    }
}
