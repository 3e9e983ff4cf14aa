#![cfg(test)]
//! However long a text goes on, it takes bounded room, and nothing of it is lost where one window ends and another begins.

use super::super::Personal;
use super::*;

fn hits(text: &str) -> Vec<Hit> {
    let built_in = &Personal::built_in().built_in;
    let mut hits = Vec::new();
    built_in.tagger.look(text, built_in.numbers.words(), &mut hits);
    hits
}

#[test]
fn names_without_end_are_read_in_windows() {
    let lexicon = Lexicon::built_in();
    for (piece, count) in [("Anna Berger ", 60_000), ("Anna ", 100_000), ("M\u{fc}ller\n", 40_000), ("A. ", 100_000)] {
        let text = piece.repeat(count);
        let (mut most, mut all, mut end) = (0, 0, 0);
        token::each_part(&text, &lexicon, |tokens, window| {
            assert!(end == 0 || window.start == end, "{piece}: each byte is of one window");
            end = window.end;
            most = most.max(tokens.len());
            all += tokens.len();
        });
        assert!(end == text.len() || piece == "A. ", "{piece}");
        let words = count * piece.split_whitespace().count();
        assert!(most <= token::WINDOW + 3 * token::OVERLAP, "{piece}: {most} words at a time");
        // Each window is read once, and what is around it twice more.
        assert!(all <= words + words * 3 * token::OVERLAP / token::WINDOW + 1, "{piece}: {all} of {words}");
    }
}

#[test]
fn what_goes_on_without_end_is_told_in_parts_that_leave_nothing_out() {
    let text = format!("Dear {}", "Anna Berger ".repeat(4_000));
    let mut at = 5;
    for hit in hits(&text) {
        assert!(
            hit.span.start >= at && text.get(at..hit.span.start).unwrap().trim().is_empty(),
            "{at}: {:?}",
            hit.span
        );
        assert!(hit.span.len() <= LONGEST, "{:?}", hit.span);
        at = hit.span.end;
    }
    assert_eq!(text.get(at..).unwrap().trim(), "");
}

#[test]
fn a_name_at_the_end_of_a_window_is_told_as_any_other() {
    let sentence = "Then Otto Meyer met Anna Berger in Lyon. ";
    let alone: Vec<_> = hits(&sentence.repeat(3))
        .into_iter()
        .filter(|hit| sentence.len() <= hit.span.start && hit.span.end <= 2 * sentence.len())
        .collect();
    assert!(alone.len() >= 2, "{alone:?}");
    let count = (2 * token::WINDOW) / sentence.len();
    // The windows begin elsewhere in the sentence each time.
    for shift in (0..sentence.len()).step_by(5) {
        let text = format!("{}{}", ".".repeat(shift), sentence.repeat(count));
        let all = hits(&text);
        for at in 1..count - 1 {
            let start = shift + at * sentence.len();
            let within = |hit: &&Hit| (start..start + sentence.len()).contains(&hit.span.start);
            let here: Vec<_> =
                all.iter().filter(within).map(|hit| (hit.kind, hit.span.start - start, hit.span.end - start)).collect();
            let expected: Vec<_> = alone
                .iter()
                .map(|hit| (hit.kind, hit.span.start - sentence.len(), hit.span.end - sentence.len()))
                .collect();
            assert_eq!(here, expected, "{shift} {at}");
        }
    }
}
