//! Judges every case with the guards that report anything in every order: that changes cost, never outcome.

use std::collections::BTreeSet;

use bartizan_mcp::Message;

use super::*;

#[path = "../../tests/common/mod.rs"]
mod common;

/// What an outcome is: the decision with its rule and reason, what is left of the message, and what was found, in
/// whichever order.
fn outcome(verdict: &Verdict, message: &Message) -> (String, BTreeSet<String>, usize, BTreeSet<String>, Labels) {
    let decided = match &verdict.decision {
        Decision::Transform(edits) => format!("{:?}", edits.apply(message.document())),
        other => format!("{other:?}"),
    };
    let debug = |shown: &dyn std::fmt::Debug| format!("{shown:?}");
    let findings = verdict.findings.iter().map(|held| debug(held)).collect();
    (decided, findings, verdict.omitted, verdict.facts.iter().map(|fact| debug(fact)).collect(), verdict.raises)
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

/// The places of the guards that report anything; one that does not adds nothing to an outcome, wherever it stands.
fn telling(pipeline: &Pipeline, event: &Event<'_>, session: &Session) -> Vec<usize> {
    let tells = |guard: &dyn Guard| {
        let mut report = Report::default();
        guard.inspect(event, session, &mut report);
        !report.findings.is_empty() || !report.facts.is_empty()
    };
    (0..pipeline.guards.len()).filter(|&place| tells(&*pipeline.guards[place].1)).collect()
}

/// With the guards of these places in another order, and the others behind them.
fn reordered(pipeline: Pipeline, places: &[usize], order: &[usize]) -> Pipeline {
    let mut guards: Vec<_> = pipeline.guards.into_iter().map(Some).collect();
    let mut reordered: Vec<_> = order.iter().map(|&place| guards[places[place]].take().unwrap()).collect();
    reordered.extend(guards.into_iter().flatten());
    Pipeline { guards: reordered, ..pipeline }
}

#[test]
fn the_order_of_guards_changes_no_outcome() {
    let cases = common::all();
    let (mut wrong, mut together) = (Vec::new(), 0);
    for (file, case) in &cases {
        let usual = case.whole_pipeline();
        case.judged(&usual, |event, session| {
            let verdict = usual.judge(event, session);
            let found: BTreeSet<_> =
                verdict.findings.iter().map(|held| held.finding.rule.id.split('.').next()).collect();
            together += usize::from(found.len() > 1);
            let expected = outcome(&verdict, event.message);
            let places = telling(&usual, event, session);
            for order in orders(places.len()) {
                let reordered = reordered(case.whole_pipeline(), &places, &order);
                let outcome = outcome(&reordered.judge(event, session), event.message);
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
