//! How far a terminal escape sequence reaches (ECMA-48).

/// Bytes of the sequence at the front of `text`, which begins with ESC or a C1 control.
///
/// It ends before anything but printable ASCII: cut out, it takes neither a line end nor a letter of another script
/// with it. A string that is never ended counts as its introducer alone, so that what follows gets visible.
pub(super) fn length(text: &str) -> usize {
    let Some(first) = text.chars().next() else { return 0 };
    let bytes = text.as_bytes();
    let after = first.len_utf8();
    match first {
        '\u{9B}' => control_sequence(bytes, after),
        '\u{90}' | '\u{98}' | '\u{9D}'..='\u{9F}' => string(bytes, after),
        '\u{1B}' => match bytes.get(after) {
            Some(b'[') => control_sequence(bytes, after + 1),
            Some(b']' | b'P' | b'X' | b'^' | b'_') => string(bytes, after + 1),
            _ => escape(bytes, after),
        },
        _ => after,
    }
}

fn control_sequence(bytes: &[u8], at: usize) -> usize {
    let end = run(bytes, at, |byte| matches!(byte, 0x20..=0x3f), usize::MAX);
    match bytes.get(end) {
        Some(0x40..=0x7e) => end + 1,
        _ => at,
    }
}

/// ESC, up to two intermediate bytes, and a final one.
fn escape(bytes: &[u8], at: usize) -> usize {
    let end = run(bytes, at, |byte| matches!(byte, 0x20..=0x2f), 2);
    match bytes.get(end) {
        Some(0x30..=0x7e) => end + 1,
        _ => at,
    }
}

/// A string for the terminal, such as a title or the target of a link, and what ends it.
fn string(bytes: &[u8], at: usize) -> usize {
    let end = run(bytes, at, |byte| matches!(byte, 0x20..=0x7e), usize::MAX);
    match bytes.get(end..).unwrap_or_default() {
        [0x07, ..] => end + 1,
        [0x1b, b'\\', ..] | [0xc2, 0x9c, ..] => end + 2,
        _ => at,
    }
}

fn run(bytes: &[u8], at: usize, of: impl Fn(u8) -> bool, longest: usize) -> usize {
    at + bytes.iter().skip(at).take(longest).take_while(|&&byte| of(byte)).count()
}

#[cfg(test)]
mod tests {
    use super::length;

    #[test]
    fn sequences_end_where_a_terminal_ends_them() {
        let cases = [
            ("\u{1b}[31mred", 5),
            ("\u{1b}[38;2;1;2;3mred", 13),
            ("\u{1b}[?25l", 6),
            ("\u{1b}[\nx", 2),
            ("\u{1b}[12", 2),
            ("\u{1b}]0;title\u{7}text", 10),
            ("\u{1b}]8;;https://a.b\u{1b}\\link", 18),
            ("\u{1b}]8;;https://a.b\u{9c}link", 18),
            ("\u{1b}]0;never ended", 2),
            ("\u{1b}]0;line\nend\u{7}", 2),
            ("\u{1b}]0;\u{e9}\u{7}", 2),
            ("\u{1b}P1$r0m\u{1b}\\", 9),
            ("\u{1b}(B", 3),
            ("\u{1b}c", 2),
            ("\u{1b}", 1),
            ("\u{1b}\u{e9}", 1),
            ("\u{9b}2J", 4),
            ("\u{9d}0;t\u{7}", 6),
            ("\u{84}x", 2),
            ("", 0),
        ];
        for (text, bytes) in cases {
            assert_eq!(length(text), bytes, "{text:?}");
        }
    }
}
