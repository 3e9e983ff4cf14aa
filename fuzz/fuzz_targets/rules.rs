//! Rules of an operator and any text: what is refused says where; what is found lies in the text, apart and in order.
#![no_main]

use std::sync::Arc;

use bartizan_detect::rules::{Matched, Rules};
use bartizan_detect::{Kind, decode::Views};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    // The rules come first, then the text.
    let (toml, text) = input.split_once("\n===\n").unwrap_or(("", input));
    // To make the rules takes long against looking for them.
    let rules = match if toml.is_empty() { Ok(Rules::built_in()) } else { Rules::with_extra(toml).map(Arc::new) } {
        Ok(rules) => rules,
        Err(problem) => {
            assert!(problem.line >= 1 && problem.line <= toml.split('\n').count() && problem.column >= 1, "{problem}");
            assert!(!problem.what.is_empty() && !problem.help.is_empty(), "a refusal says why and what to do");
            let shown = problem.to_string();
            assert!(!shown.contains(char::is_control), "a message steers the terminal: {shown:?}");
            return;
        }
    };
    let (built_in, views) = (Rules::built_in(), Views::of(text));
    for kind in Kind::ALL {
        let matched = rules.look(&views, kind);
        matched.iter().for_each(|matched| check(text, matched));
        let score = Rules::together(&matched);
        assert!((0.0..=1.0).contains(&score), "{score}");
        // An operator's rules take nothing away from those that are built in.
        for found in built_in.look(&views, kind) {
            let again = matched.iter().find(|matched| matched.rule.id == found.rule.id && matched.how == found.how);
            assert_eq!(again.map(|matched| &matched.places), Some(&found.places), "{}", found.rule.id);
        }
    }
});

fn check(text: &str, matched: &Matched<'_>) {
    let mut end = 0;
    assert!(!matched.places.is_empty());
    for place in &matched.places {
        assert!(place.start >= end && place.start < place.end, "{:?}", matched.places);
        assert!(text.get(place.clone()).is_some(), "{place:?} cuts a character");
        end = place.end;
    }
}
