//! What a decision costs, by the number of policies: Cedar over all of them, and over those that could bear on it.
//!
//! `cargo run --release -p bartizan-policy --example decide`

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for the one who runs it")]

use std::fmt::Write;
use std::hint::black_box;
use std::str::FromStr;
use std::time::{Duration, Instant};

use bartizan_policy::{
    Circumstances, Hints, Json, Labels, Otherwise, Outcome, Policies, Principal, Purpose, Roles, Source, Use,
};
use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request};
use serde_json::json;

fn main() {
    println!("policies | all of them (min) | own slice (min) | own slice (median) | first of its kind | reading them");
    for count in [10, 100, 1_000, 10_000] {
        let text = policies(count);
        let begun = Instant::now();
        let source = Source { name: "bench", text: &text };
        let policies = Policies::new(&[source], Roles::default(), Otherwise::Deny).unwrap();
        let read = begun.elapsed();
        let (first, slice) = slice(&policies);
        let rounds = (2_000_000 / count).clamp(50, 5_000);
        let (all, _) = measured(rounds, scan(&text));
        let (min, median) = measured(20_000, slice);
        println!("{count} | {all:.1?} | {min:.1?} | {median:.1?} | {first:.1?} | {read:.1?}");
    }
}

/// One role and one tool after the other, each with a condition on arguments.
fn policies(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        let (role, tool) = (number % 100, number / 100);
        let _ = writeln!(
            text,
            "permit(principal in Mcp::Role::\"r{role}\", action == Mcp::Action::\"bank/t{tool}\", resource)\n\
             when {{ context.input.amount <= 500 && context.input.currency == \"EUR\" }};"
        );
        text
    })
}

fn slice(policies: &Policies) -> (Duration, impl FnMut()) {
    let schema = json!({
        "type": "object", "required": ["amount", "currency"],
        "properties": { "amount": { "type": "integer" }, "currency": { "type": "string" } },
    });
    let mut principal = Principal::new("ann");
    principal.roles = [5, 6, 7].map(|role| format!("r{role}").into()).into();
    let subject = policies.subject(&principal).unwrap();
    let target = policies.target("bank", Use::Call("t0", Some(&schema), Hints::default())).unwrap();
    let arguments = Json::from(&json!({ "amount": 5, "currency": "EUR" }));
    let decide = move || {
        let circumstances = Circumstances { now: 0, arguments: Some(&arguments), labels: Labels::NONE };
        let decision = policies.decide(&subject, &target, Purpose::Use, circumstances);
        assert_eq!(black_box(decision).outcome, Outcome::Allow);
    };
    let begun = Instant::now();
    decide();
    (begun.elapsed(), decide)
}

/// Only the answer: the request and what it is about are made beforehand.
fn scan(text: &str) -> impl FnMut() {
    let policies = PolicySet::from_str(text).unwrap();
    let uid = |text: &str| EntityUid::from_str(text).unwrap();
    let context = Context::from_json_value(json!({ "input": { "amount": 5, "currency": "EUR" } }), None).unwrap();
    let [who, action, what] = ["Mcp::User::\"ann\"", "Mcp::Action::\"bank/t0\"", "Mcp::Tool::\"bank/t0\""].map(uid);
    let request = Request::new(who, action, what, context, None).unwrap();
    let entities = json!([{ "uid": { "type": "Mcp::User", "id": "ann" }, "attrs": {}, "parents": [{ "type": "Mcp::Role", "id": "r5" }] }]);
    let entities = Entities::from_json_value(entities, None).unwrap();
    let authorizer = Authorizer::new();
    move || {
        let response = authorizer.is_authorized(&request, &policies, &entities);
        assert_eq!(black_box(response).decision(), Decision::Allow);
    }
}

fn measured(rounds: usize, mut of: impl FnMut()) -> (Duration, Duration) {
    let mut times: Vec<_> = (0..rounds)
        .map(|_| {
            let begun = Instant::now();
            of();
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    (times.first().copied().unwrap_or_default(), times.get(rounds / 2).copied().unwrap_or_default())
}
