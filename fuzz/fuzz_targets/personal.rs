//! Recognisers of an operator and any text: what is refused says where; what is found lies in the text, whole and apart.
#![no_main]

use std::sync::Arc;

use bartizan_detect::decode::Views;
use bartizan_detect::personal::{Found, Personal, normal};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    // The recognisers come first, then the text.
    let (toml, text) = input.split_once("\n===\n").unwrap_or(("", input));
    let personal = match if toml.is_empty() { Ok(Personal::built_in()) } else { Personal::with_own(toml).map(Arc::new) } {
        Ok(personal) => personal,
        Err(problem) => {
            assert!(problem.line >= 1 && problem.line <= toml.split('\n').count() && problem.column >= 1, "{problem}");
            assert!(!problem.what.is_empty() && !problem.help.is_empty(), "a refusal says why and what to do");
            let shown = problem.to_string();
            assert!(!shown.contains(char::is_control), "a message steers the terminal: {shown:?}");
            return;
        }
    };
    let views = Views::of(text);
    personal.look(&views).iter().for_each(|found| check(text, found));
    personal.look_text(text).iter().for_each(|found| check(text, found));
});

fn check(text: &str, found: &Found<'_>) {
    let mut end = 0;
    for place in std::iter::once(&found.span).chain(&found.also) {
        assert!(place.start >= end && place.start < place.end, "{found:?}");
        assert!(text.get(place.clone()).is_some(), "{place:?} cuts a character");
        end = place.end;
    }
    assert!((400..=999).contains(&found.confidence), "{found:?}");
    let once = normal(found.kind, &found.value);
    assert_eq!(normal(found.kind, &once), once, "a normal form is not its own: {found:?}");
}
