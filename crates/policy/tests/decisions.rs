//! Decisions as data: each case of `decisions.json`, by the policies of `team.cedar` and the roles beside them.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::{BTreeMap, HashMap};

use bartizan_policy::{
    Circumstances, Decision, Grant, Group, Hints, Json, Label, Labels, Otherwise, Outcome, Policies, Principal,
    Purpose, Role, Roles, Scope, Scopes, Source, Subject, Target, Use,
};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    times: BTreeMap<String, i64>,
    tools: BTreeMap<String, Value>,
    roles: Lists,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lists {
    roles: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    groups: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    tool_groups: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    who: String,
    roles: Vec<String>,
    /// `call SERVER/TOOL`, `read SERVER URI`, `get SERVER PROMPT`, `sample SERVER` or `elicit SERVER`.
    r#use: String,
    arguments: Option<Value>,
    at: Option<String>,
    /// What the session is labelled with.
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    list: bool,
    /// Nothing is known of the tool.
    #[serde(default)]
    unknown: bool,
    default: Option<String>,
    expect: String,
    by: Vec<String>,
    failed: Option<String>,
}

fn roles(lists: &Lists) -> Roles {
    let list = |of: &BTreeMap<String, Vec<String>>, name: &str| of.get(name).cloned().unwrap_or_default();
    let grants = |of: &BTreeMap<String, Vec<String>>, name: &str| {
        list(of, name).iter().map(|text| Grant::parse(text).unwrap()).collect::<Vec<_>>()
    };
    let role = |of| Role {
        allow: grants(of, "allow"),
        deny: grants(of, "deny"),
        approve: grants(of, "approve"),
        members: list(of, "members"),
    };
    let scopes = |texts: &[String]| Scopes::of(texts.iter().map(|text| Scope::parse(text).unwrap()));
    Roles {
        roles: lists.roles.iter().map(|(name, of)| (name.clone(), role(of))).collect(),
        groups: lists
            .groups
            .iter()
            .map(|(name, of)| (name.clone(), Group { members: list(of, "members"), roles: list(of, "roles") }))
            .collect(),
        tool_groups: lists.tool_groups.iter().map(|(name, texts)| (name.clone(), scopes(texts))).collect(),
    }
}

/// Who asks for what, made once for all cases that are about them.
#[derive(Default)]
struct Made {
    subjects: HashMap<String, Subject>,
    targets: HashMap<String, Target>,
}

fn decide(policies: &Policies, made: &mut Made, data: &Data, case: &Case) -> Decision {
    let mut principal = Principal::new(&case.who);
    principal.roles = case.roles.iter().map(|role| role.as_str().into()).collect();
    let words: Vec<_> = case.r#use.split(' ').collect();
    let (server, of) = match words[..] {
        ["call", name] => {
            let (server, tool) = name.split_once('/').unwrap();
            let known = data.tools.get(name).filter(|_| !case.unknown);
            let hints = known.and_then(|tool| tool.get("annotations")).map(Hints::of).unwrap_or_default();
            (server, Use::Call(tool, known.map(|tool| &tool["inputSchema"]), hints))
        }
        ["read", server, uri] => (server, Use::Read(uri)),
        ["get", server, name] => (server, Use::Get(name)),
        ["send", server] => (server, Use::Send),
        ["sample", server] => (server, Use::Sample),
        ["elicit", server] => (server, Use::Elicit),
        _ => panic!("{}: {}", case.name, case.r#use),
    };
    let purpose = if case.list { Purpose::List } else { Purpose::Use };
    let arguments = case.arguments.as_ref().map(Json::from);
    let labels = case.labels.iter().map(|name| Labels::of(Label::named(name).unwrap()));
    let labels = labels.fold(Labels::NONE, Labels::with);
    let now = case.at.as_ref().map_or(0, |at| data.times[at]);
    let subject = made.subjects.entry(format!("{principal:?}"));
    let subject = subject.or_insert_with(|| policies.subject(&principal).unwrap());
    let target = made.targets.entry(format!("{server} {of:?}")).or_insert_with(|| policies.target(server, of).unwrap());
    policies.decide(subject, target, purpose, Circumstances { now, arguments: arguments.as_ref(), labels })
}

#[test]
fn every_decision_is_as_expected() {
    let data: Data = serde_json::from_str(include_str!("decisions.json")).unwrap();
    let source = Source { name: "team.cedar", text: include_str!("team.cedar") };
    let [deny, permit] = [Otherwise::Deny, Otherwise::Permit]
        .map(|otherwise| Policies::new(&[source], roles(&data.roles), otherwise).unwrap());
    let (mut wrong, mut made) = (Vec::new(), [Made::default(), Made::default()]);
    // Twice, for the second time what it takes is there already.
    for case in data.cases.iter().chain(&data.cases) {
        let [of_deny, of_permit] = &mut made;
        let is_permit = case.default.as_deref() == Some("permit");
        let (policies, made) = if is_permit { (&permit, of_permit) } else { (&deny, of_deny) };
        let decision = decide(policies, made, &data, case);
        let outcome = match decision.outcome {
            Outcome::Allow => "allow",
            Outcome::Deny => "deny",
            Outcome::Challenge(kind) => kind.as_str(),
        };
        let by: Vec<_> = decision.reasons.iter().map(|reason| reason.id.to_string()).collect();
        // What is permitted names by what; what a challenge stands before does so as well, and what is denied does not.
        let permitted: Vec<_> = decision.permitted_by.iter().map(ToString::to_string).collect();
        let is_named = match decision.outcome {
            Outcome::Allow => permitted == by,
            Outcome::Deny => permitted.is_empty(),
            Outcome::Challenge(_) => is_permit || !permitted.is_empty(),
        };
        let failed = match (&decision.failed, &case.failed) {
            (Some(found), Some(expected)) => found.contains(expected),
            (found, expected) => found.is_none() && expected.is_none(),
        };
        if outcome != case.expect || by != case.by || !failed || !is_named {
            wrong.push(format!("{}: {decision:?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(data.cases.len() >= 50);
}
