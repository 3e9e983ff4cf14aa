//! A value as a person is shown it who decides about it: every escape resolved, and nothing that is not seen.

use crate::document::{NodeKind, Value};
use crate::text::quote;

/// Whether a character steers a terminal, reorders what is read or is not seen: controls, bidirectional controls, zero-width
/// characters, variation selectors, characters for private use and tags.
#[must_use]
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0xAD | 0x34F | 0x61C | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F | 0x2028..=0x202E
            | 0x2060..=0x206F | 0x2800 | 0x3164 | 0xE000..=0xF8FF | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB
            | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A | 0xE0000..=0x10FFFF)
}

/// The value as JSON over several lines, in the order in which it was sent and with its numbers as they were. What is not
/// seen is an escape, and nothing else is one that need not be.
#[must_use]
pub fn show(value: Value<'_>) -> String {
    let mut out = String::with_capacity(value.raw().len() * 2);
    write(value, 0, &mut out);
    out
}

/// Recurses as deep as the document nests, which the scanner has bounded.
fn write(value: Value<'_>, depth: usize, out: &mut String) {
    let line = |depth: usize, out: &mut String| {
        out.push('\n');
        (0..depth).for_each(|_| out.push_str("  "));
    };
    match value.kind() {
        NodeKind::Object => {
            out.push('{');
            let mut comma = "";
            for (key, value) in value.members() {
                out.push_str(comma);
                comma = ",";
                line(depth + 1, out);
                text(&key.text(), out);
                out.push_str(": ");
                write(value, depth + 1, out);
            }
            if !comma.is_empty() {
                line(depth, out);
            }
            out.push('}');
        }
        NodeKind::Array => {
            out.push('[');
            let mut comma = "";
            for element in value.elements() {
                out.push_str(comma);
                comma = ",";
                line(depth + 1, out);
                write(element, depth + 1, out);
            }
            if !comma.is_empty() {
                line(depth, out);
            }
            out.push(']');
        }
        NodeKind::String | NodeKind::Key => text(&value.text(), out),
        _ => out.push_str(value.raw()),
    }
}

fn text(text: &str, out: &mut String) {
    for character in quote(text).chars() {
        if is_unseen(character) {
            character.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(character);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use crate::scan::scan;

    #[test]
    fn nothing_is_hidden_and_nothing_is_another_value() {
        for (text, expected) in [
            ("{}", "{}"),
            ("[ ]", "[]"),
            (r#"{"b":1e2,"a":[true,null]}"#, "{\n  \"b\": 1e2,\n  \"a\": [\n    true,\n    null\n  ]\n}"),
            // What was written in escapes is read as what it is.
            (r#""\u0072m \u002drf \/""#, r#""rm -rf /""#),
            (r#""a\u202eb\udb40\udc41c\u200bd\n""#, r#""a\u202eb\udb40\udc41c\u200bd\n""#),
            ("\"a\u{202e}b\u{e0041}\"", r#""a\u202eb\udb40\udc41""#),
            // A backslash that is one cannot be taken for an escape.
            (r#""\\u202e""#, r#""\\u202e""#),
        ] {
            let document = scan(text.to_owned().into(), &Limits::default()).unwrap();
            let shown = show(document.root());
            assert_eq!(shown, expected, "{text}");
            assert!(!shown.chars().any(|c| c != '\n' && is_unseen(c)), "{shown:?}");
            let again = scan(shown.into(), &Limits::default()).unwrap();
            assert_eq!(crate::canonical(again.root()), crate::canonical(document.root()));
        }
    }
}
