//! What others say of a file, before it is said by us.

/// The longest that is passed on of what others say.
const LONGEST: usize = 240;

/// What somebody else's error says, on one line and no longer than people read: it may hold anything of the file.
pub(crate) fn said(error: impl std::fmt::Display) -> String {
    let text = error.to_string();
    let clean = |c: char| {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}') { ' ' } else { c }
    };
    let mut short: String = text.chars().take(LONGEST).map(clean).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
