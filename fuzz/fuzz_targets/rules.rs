//! Rules of an operator and any text: what is refused says where; what is found lies in the text, apart and in order.
#![no_main]

use bartizan_detect::rules::{Matched, Rules};
use bartizan_detect::{Engine, Kind, decode::Views};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    // The rules come first, then the text.
    let (toml, text) = input.split_once("\n===\n").unwrap_or(("", input));
    let rules = match Rules::with_extra(toml) {
        Ok(rules) => rules,
        Err(problem) => {
            assert!(problem.line >= 1 && problem.line <= toml.split('\n').count() && problem.column >= 1, "{problem}");
            assert!(!problem.what.is_empty() && !problem.help.is_empty(), "a refusal says why and what to do");
            let shown = problem.to_string();
            assert!(!shown.contains(char::is_control), "a message steers the terminal: {shown:?}");
            return;
        }
    };
    let views = Views::of(text);
    for kind in Kind::ALL {
        let matched = rules.look(&views, kind);
        matched.iter().for_each(|matched| check(text, matched));
        let score = Rules::together(&matched);
        assert!((0.0..=1.0).contains(&score), "{score}");
        // An operator's rules take nothing away from those that are built in.
        let built_in = Engine::new();
        for found in built_in.look(text, kind).found {
            assert!(matched.iter().any(|matched| matched.rule.id == found.rule), "{} is lost", found.rule);
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
