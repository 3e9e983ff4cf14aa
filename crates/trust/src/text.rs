//! Definitions as people read them: one member per line, nothing hidden, differences marked.

/// Lines of either text beyond which the whole is shown as replaced: comparing takes time with their product.
const MAX_LINES: usize = 2_000;
/// Unchanged lines around a change.
const CONTEXT: usize = 3;

/// The differences between two JSON texts as a unified diff of their indented forms, one of which may be missing.
/// Everything that a terminal or a hasty eye could take for something else is escaped.
#[must_use]
pub fn unified_diff(old: Option<&str>, new: Option<&str>) -> String {
    differences(&old.map(lines).unwrap_or_default(), &new.map(lines).unwrap_or_default())
}

/// The same of two texts as they are, line by line.
#[must_use]
pub fn unified_diff_of_texts(old: &str, new: &str) -> String {
    let lines = |text: &str| text.lines().map(shown).collect::<Vec<_>>();
    differences(&lines(old), &lines(new))
}

/// A line with everything escaped that does not show as itself.
fn shown(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for character in line.chars() {
        if is_plain(character) { out.push(character) } else { out.extend(character.escape_default()) }
    }
    out
}

fn differences(old: &[String], new: &[String]) -> String {
    let marked = compare(old, new);
    let near = |index: usize| {
        let around = index.saturating_sub(CONTEXT)..marked.len().min(index + CONTEXT + 1);
        marked.get(around).is_some_and(|lines| lines.iter().any(|(mark, _)| *mark != ' '))
    };
    let mut out = String::new();
    let mut skipped = false;
    for (index, (mark, line)) in marked.iter().enumerate() {
        if !near(index) {
            skipped = true;
            continue;
        }
        if std::mem::take(&mut skipped) {
            out.push_str("  …\n");
        }
        out.push(*mark);
        out.push(' ');
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// Lines of both, marked `-` if only the old has them and `+` if only the new has.
fn compare<'a>(old: &'a [String], new: &'a [String]) -> Vec<(char, &'a str)> {
    let mark = |mark: char| move |line: &'a String| (mark, line.as_str());
    if old.len() > MAX_LINES || new.len() > MAX_LINES {
        return old.iter().map(mark('-')).chain(new.iter().map(mark('+'))).collect();
    }
    let common = common_lengths(old, new);
    let width = new.len() + 1;
    let length = |row: usize, column: usize| common.get(row * width + column).copied().unwrap_or(0);
    let mut marked = Vec::with_capacity(old.len() + new.len());
    let (mut row, mut column) = (0, 0);
    loop {
        match (old.get(row), new.get(column)) {
            (Some(left), Some(right)) if left == right => {
                marked.push((' ', left.as_str()));
                (row, column) = (row + 1, column + 1);
            }
            (Some(left), right) if right.is_none() || length(row + 1, column) >= length(row, column + 1) => {
                marked.push(('-', left.as_str()));
                row += 1;
            }
            (_, Some(right)) => {
                marked.push(('+', right.as_str()));
                column += 1;
            }
            _ => return marked,
        }
    }
}

/// For every pair of tails, the length of their longest common subsequence.
fn common_lengths(old: &[String], new: &[String]) -> Vec<u32> {
    let width = new.len() + 1;
    let mut lengths = vec![0_u32; (old.len() + 1) * width];
    for (row, left) in old.iter().enumerate().rev() {
        for (column, right) in new.iter().enumerate().rev() {
            let at = |row: usize, column: usize| lengths.get(row * width + column).copied().unwrap_or(0);
            let length =
                if left == right { at(row + 1, column + 1) + 1 } else { at(row + 1, column).max(at(row, column + 1)) };
            if let Some(place) = lengths.get_mut(row * width + column) {
                *place = length;
            }
        }
    }
    lengths
}

/// The lines of a JSON text, indented and escaped. Works on the text alone, so numbers stay as they are.
fn lines(json: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut depth = 0_usize;
    let mut characters = json.chars().peekable();
    let (mut in_string, mut escaped) = (false, false);
    let fresh = |lines: &mut Vec<String>, depth: usize| lines.push("  ".repeat(depth.min(64)));
    while let Some(character) = characters.next() {
        let mut put = |text: &str| {
            if let Some(line) = lines.last_mut() {
                line.push_str(text);
            }
        };
        if in_string {
            if is_plain(character) {
                put(character.encode_utf8(&mut [0; 4]));
            } else {
                put(&character.escape_unicode().to_string());
            }
            in_string = escaped || character != '"';
            escaped = character == '\\' && !escaped;
            continue;
        }
        match character {
            '"' => {
                put("\"");
                in_string = true;
            }
            '{' | '[' => {
                put(character.encode_utf8(&mut [0; 4]));
                depth += 1;
                if !matches!(characters.peek(), Some('}' | ']')) {
                    fresh(&mut lines, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                if lines.last().is_some_and(|line| !line.ends_with(['{', '['])) {
                    fresh(&mut lines, depth);
                }
                if let Some(line) = lines.last_mut() {
                    line.push(character);
                }
            }
            ',' => {
                put(",");
                fresh(&mut lines, depth);
            }
            ':' => put(": "),
            space if space.is_whitespace() => {}
            other => put(&other.escape_default().to_string()),
        }
    }
    lines
}

/// Whether a character shows as itself and as nothing else.
pub(crate) fn is_plain(character: char) -> bool {
    character == ' ' || character.is_ascii_graphic() || (!character.is_ascii() && character.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_of_texts() {
        let (old, new) = ("a\nb\tc\nd\n", "a\nb\u{202e}c\nd\ne");
        assert_eq!(unified_diff_of_texts(old, new), "  a\n- b\\tc\n+ b\\u{202e}c\n  d\n+ e\n");
        assert_eq!(unified_diff_of_texts(old, old), "");
    }

    #[test]
    fn differences_of_json() {
        for (old, new, expected) in [
            (Some(r#"{"a":1}"#), Some(r#"{"a":1}"#), ""),
            (None, Some(r#"{"a":[]}"#), "+ {\n+   \"a\": []\n+ }\n"),
            (Some(r#""x""#), None, "- \"x\"\n"),
            (
                Some(r#"{"a":1,"b":2}"#),
                Some(r#"{"a":1,"b":3}"#),
                "  {\n    \"a\": 1,\n-   \"b\": 2\n+   \"b\": 3\n  }\n",
            ),
            (Some(r#"["x{,}",1e400]"#), Some("[1e400]"), "  [\n-   \"x{,}\",\n    1e400\n  ]\n"),
            (Some("[1,2,3,4,5,6,7]"), Some("[1,2,3,4,5,6,8]"), "  …\n    4,\n    5,\n    6,\n-   7\n+   8\n  ]\n"),
        ] {
            assert_eq!(unified_diff(old, new), expected);
        }
    }

    #[test]
    fn nothing_is_hidden() {
        let text = unified_diff(None, Some("\"a\u{1b}[2J\u{e0041}\u{202e}\u{200b}\u{7f}\u{9b}é\\\"\""));
        assert_eq!(text, "+ \"a\\u{1b}[2J\\u{e0041}\\u{202e}\\u{200b}\\u{7f}\\u{9b}é\\\"\"\n");
    }

    #[test]
    fn long_texts_are_shown_as_replaced() {
        let long = |last: u32| format!("[{}{last}]", "1,".repeat(3_000));
        let text = unified_diff(Some(&long(1)), Some(&long(2)));
        assert_eq!(text.lines().filter(|line| line.starts_with('-')).count(), 3_003);
    }
}
