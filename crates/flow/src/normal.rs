//! The form in which values are compared: two spellings of one value are the same.

/// Bytes of a value that is compared as a whole.
pub(crate) const LONGEST: usize = 256;

/// A short text as it is compared: without space around and between, in lower case, without what only decorates it. Of a
/// longer text there is none.
pub(crate) fn of_text(text: &str) -> Option<String> {
    let mut out = String::new();
    into(text, &mut out).then_some(out)
}

/// The same, in place of what `out` held; whether there is one.
pub(crate) fn into(text: &str, out: &mut String) -> bool {
    out.clear();
    let text = text.trim_matches(|c: char| c.is_whitespace() || decorates(c));
    if text.is_empty() || text.len() > LONGEST {
        return false;
    }
    out.reserve(text.len());
    let mut space = false;
    for c in text.chars() {
        if c.is_whitespace() {
            space = true;
            continue;
        }
        if std::mem::take(&mut space) {
            out.push(' ');
        }
        if c.is_ascii() {
            out.push(c.to_ascii_lowercase());
        } else {
            out.extend(c.to_lowercase());
        }
    }
    true
}

/// What stands around a value and is none of it.
pub(crate) fn decorates(c: char) -> bool {
    matches!(
        c,
        '"' | '\''
            | '`'
            | '<'
            | '>'
            | '('
            | ')'
            | '['
            | ']'
            | '{'
            | '}'
            | ','
            | ';'
            | '!'
            | '?'
            | '*'
            | '“'
            | '”'
            | '‘'
            | '’'
            | '«'
            | '»'
            | '„'
            | '|'
            | '#'
            | '@'
            | ':'
            | '.'
            | '…'
            | '='
            | '&'
            | '~'
            | '$'
            | '^'
            | '_'
            | '-'
            | '–'
            | '—'
    )
}

/// Letters and digits only, for what is written in groups: account numbers, phone numbers, cards. `None` if it has fewer digits
/// than any of these.
pub(crate) fn of_number(text: &str) -> Option<String> {
    let out: String = text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let digits = out.bytes().filter(u8::is_ascii_digit).count();
    (digits >= FEWEST_DIGITS && out.len() <= LONGEST).then_some(out)
}

/// Digits of a number that names something.
pub(crate) const FEWEST_DIGITS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_spellings_of_one_value_are_the_same() {
        for (one, other) in [
            (" Riverside  View\tHotel ", "riverside view hotel"),
            ("<Bob@Corp.example>", "bob@corp.example"),
            ("#general", "general"),
        ] {
            assert_eq!(of_text(one), of_text(other), "{one}");
        }
        assert_eq!(of_text("…"), None);
        assert_eq!(of_text(&"x".repeat(300)), None);
        assert_eq!(of_number("DE89 3704 0044 0532 0130 00"), Some("de89370400440532013000".to_owned()));
        assert_eq!(of_number("+49 30 901820"), of_number("4930901820"));
        assert_eq!(of_number("12 a"), None);
    }
}
