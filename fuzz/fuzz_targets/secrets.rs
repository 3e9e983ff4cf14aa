//! Any text looked through for secrets, and formats of an operator: nothing panics, what is refused says where, and what is found
//! lies in the text, apart and in order.
#![no_main]

use bartizan_detect::decode::Views;
use bartizan_detect::secrets::{Found, Scanner};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    // The formats come first, then the text.
    let (toml, text) = input.split_once("\n===\n").unwrap_or(("", input));
    let built_in = Scanner::built_in();
    check(text, &built_in.look(text, &Views::of(text), |_| false));
    check(text, &built_in.look_at(text));
    let edges: Vec<usize> = text.match_indices(' ').map(|(at, _)| at).collect();
    built_in.look_joined(text, &edges);
    if toml.is_empty() {
        return;
    }
    match Scanner::with_extra(toml) {
        Ok(scanner) => check(text, &scanner.look_at(text)),
        Err(problem) => {
            assert!(problem.line >= 1 && problem.line <= toml.split('\n').count() && problem.column >= 1, "{problem}");
            assert!(!problem.to_string().contains(char::is_control), "a message steers the terminal: {problem:?}");
        }
    }
});

fn check(text: &str, found: &[Found<'_>]) {
    let mut end = 0;
    for found in found {
        assert!(found.span.start >= end && found.span.start < found.span.end, "{:?}", found.span);
        assert!(text.get(found.span.clone()).is_some(), "{:?} cuts a character", found.span);
        end = found.span.end;
    }
}
