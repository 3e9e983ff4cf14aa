//! Strings between quotes in a text that is no JSON, such as a call of a function, a query, a line of settings or JSON that is cut.
//!
//! **Threat.** Nobody can tell how such a text wants a quote written. A value with one would end the string that it comes into, and
//! what stands behind it would be taken for something else than a value by whoever reads the text.

use std::ops::Range;

/// Where strings are, in order, and those in single quotes by themselves: an apostrophe says nothing of the others.
pub(super) struct Quotes {
    double: Vec<Quoted>,
    single: Vec<Quoted>,
}

/// A string with its quotes.
struct Quoted {
    span: Range<usize>,
    /// Whether it is closed.
    is_closed: bool,
    /// Whether a value of a program or a file may begin there, by what stands before it.
    is_code: bool,
}

/// Whether a value has anything in it that a string may not have.
pub(super) fn needs_escapes(value: &str) -> bool {
    value.contains(|c: char| matches!(c, '"' | '\'' | '\\') || c.is_control())
}

impl Quotes {
    pub(super) fn of(text: &str) -> Quotes {
        Quotes { double: strings(text, b'"'), single: strings(text, b'\'') }
    }

    /// Whether a value that comes there would end the string that it is in, or mean something else in it.
    pub(super) fn would_break(&self, at: usize, value: &str) -> bool {
        let has_break = || value.contains(char::is_control);
        let in_double = held(&self.double, at).filter(|held| held.is_closed || held.is_code);
        let in_single = held(&self.single, at).filter(|held| held.is_code || held.span.start + 1 == at);
        in_double.is_some_and(|held| value.contains(['"', '\\']) || held.is_code && has_break())
            || in_single.is_some_and(|_| value.contains(['\'', '\\']) || has_break())
    }
}

/// The string that a place is in.
fn held(strings: &[Quoted], at: usize) -> Option<&Quoted> {
    let next = strings.partition_point(|held| held.span.start < at);
    strings.get(next.checked_sub(1)?).filter(|held| at < held.span.end)
}

/// All between two such quotes; the last one may not be closed. A single quote between letters is an apostrophe.
fn strings(text: &str, quote: u8) -> Vec<Quoted> {
    let bytes = text.as_bytes();
    let is_letter = |at: Option<usize>| {
        let byte = at.and_then(|at| bytes.get(at));
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80)
    };
    let mut all: Vec<Quoted> = Vec::new();
    let (mut open, mut is_escaped): (Option<usize>, bool) = (None, false);
    for (at, byte) in bytes.iter().enumerate() {
        if open.is_some() && (is_escaped || *byte == b'\\') {
            is_escaped = !is_escaped;
            continue;
        }
        if *byte != quote {
            continue;
        }
        match open {
            None if quote == b'"' || !is_letter(at.checked_sub(1)) => open = Some(at),
            Some(start) if quote == b'"' || !is_letter(Some(at + 1)) => {
                all.push(Quoted { span: start..at + 1, is_closed: true, is_code: is_code(text, start) });
                open = None;
            }
            _ => {}
        }
    }
    all.extend(open.map(|start| Quoted {
        span: start..text.len() + 1,
        is_closed: false,
        is_code: is_code(text, start),
    }));
    all
}

/// Whether a quote stands where a value begins and not a word: first in a line, or behind what assigns, separates or opens.
fn is_code(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default().trim_end_matches([' ', '\t']);
    before
        .chars()
        .next_back()
        .is_none_or(|c| matches!(c, '\n' | ':' | ',' | ';' | '=' | '(' | '[' | '{' | '<' | '>' | '\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_breaks_a_string_that_cannot_hold_it() {
        let (quoted, obrien, lines, path, plain) =
            ("Anna \"Annie\" B.", "O'Brien", "Street 5\nTown", "CORP\\anna", "Anna");
        for (text, broken) in [
            ("@", vec![]),
            ("Write to @, and \"soon\".", vec![]),
            ("I don't know @'s mail", vec![]),
            ("a 5\" screen for @", vec![]),
            ("He said \"ask @\" twice", vec![quoted, path]),
            ("{'to': \"@\", 'n': 1}", vec![quoted, path, lines]),
            ("{\"to\": \"@", vec![quoted, path, lines]),
            ("\\\"to\\\": \\\"@\\\"", vec![quoted, path, lines]),
            ("\"x\",\"@\"\n", vec![quoted, path, lines]),
            ("mail(to='@')", vec![obrien, path, lines]),
            ("SELECT * FROM t WHERE n LIKE '@%'", vec![obrien, path, lines]),
            ("to: \"a\\\"b\" @", vec![]),
            ("see 'this' and @ or 'that'", vec![]),
        ] {
            let at = text.find('@').unwrap();
            for value in [quoted, obrien, lines, path, plain] {
                let breaks = needs_escapes(value) && Quotes::of(text).would_break(at, value);
                assert_eq!(breaks, broken.contains(&value), "{value:?} in {text}");
            }
        }
    }
}
