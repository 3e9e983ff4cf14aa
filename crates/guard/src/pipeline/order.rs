//! Judges every case with all guards in every order: that changes cost, never outcome.

use std::collections::BTreeSet;

use bartizan_mcp::Message;

use super::*;

#[path = "../../tests/common/mod.rs"]
mod common;

/// What an outcome is: the decision with its rule and reason, what is left of the message, and what was found, in
/// whichever order.
fn outcome(verdict: &Verdict, message: &Message) -> (String, BTreeSet<String>, usize, BTreeSet<String>) {
    let decided = match &verdict.decision {
        Decision::Transform(edits) => format!("{:?}", edits.apply(message.document())),
        other => format!("{other:?}"),
    };
    let debug = |shown: &dyn std::fmt::Debug| format!("{shown:?}");
    let findings = verdict.findings.iter().map(|held| debug(held)).collect();
    (decided, findings, verdict.omitted, verdict.facts.iter().map(|fact| debug(fact)).collect())
}

/// All orders of so many, each as the places that the guards come from.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else { return vec![Vec::new()] };
    let shorter = orders(last);
    let with_last = |order: &Vec<usize>, place: usize| {
        let mut order = order.clone();
        order.insert(place, last);
        order
    };
    shorter.iter().flat_map(|order| (0..count).map(move |place| with_last(order, place))).collect()
}

fn reordered(pipeline: Pipeline, order: &[usize]) -> Pipeline {
    let mut guards: Vec<_> = pipeline.guards.into_iter().map(Some).collect();
    Pipeline { guards: order.iter().map(|&place| guards[place].take().unwrap()).collect(), ..pipeline }
}

#[test]
fn the_order_of_guards_changes_no_outcome() {
    let cases = common::all();
    let (mut wrong, mut together) = (Vec::new(), 0);
    for (file, case) in &cases {
        let usual = case.whole_pipeline();
        let count = usual.guards.len();
        case.judged(&usual, |event, session| {
            let verdict = usual.judge(event, session);
            let found: BTreeSet<_> =
                verdict.findings.iter().map(|held| held.finding.rule.id.split('.').next()).collect();
            together += usize::from(found.len() > 1);
            let expected = outcome(&verdict, event.message);
            for order in orders(count) {
                let outcome = outcome(&reordered(case.whole_pipeline(), &order).judge(event, session), event.message);
                if outcome != expected {
                    wrong.push(format!(
                        "{file}: {} in the order {order:?}\n    {outcome:?}\n    {expected:?}",
                        case.title
                    ));
                }
            }
        });
    }
    assert!(together > 5, "only {together} cases have several guards find something, so order could hardly matter");
    assert!(wrong.is_empty(), "{} outcomes differ:\n{}", wrong.len(), wrong.join("\n"));
}
