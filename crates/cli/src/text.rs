//! Texts as they may be shown: nothing that steers a terminal, and nothing that is not seen.

use std::fmt::Write as _;

use bartizan_mcp::is_unseen;

/// The text with everything escaped that steers a terminal, reorders what is read or is not seen. Line ends stay.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character != '\n' && is_unseen(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

/// As [`printable`], on one line: for text that comes from elsewhere.
pub(crate) fn inline(text: &str) -> String {
    printable(text).replace('\n', "\\n")
}

/// A number of things, in the plural if there is not one.
pub(crate) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A word for a shell.
pub(crate) fn shell_word(text: &str) -> String {
    let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./@:".contains(c));
    if plain { text.to_owned() } else { format!("'{}'", inline(text).replace('\'', "'\\''")) }
}

/// A text as a basic string of TOML.
pub(crate) fn toml_string(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            c if is_unseen(c) => {
                let _ = write!(out, "\\U{:08X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// In JSON only texts hold such characters, so an escape means the same.
pub(crate) fn visible_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if character != '\n' && is_unseen(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_unseen_is_written() {
        let hostile = "a\x1b[2Jb\u{202e}c\u{e0041}d\u{200b}\r\n\t\u{9b}é漢😀";
        for out in [inline(hostile), toml_string(hostile), visible_json(&serde_json::to_string(hostile).unwrap())] {
            assert!(!out.chars().any(is_unseen), "{out:?}");
            assert!(out.contains("é漢😀"), "{out}");
        }
        let json = visible_json(&serde_json::to_string(hostile).unwrap());
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), hostile);
        assert_eq!(toml_string("a\"\\\u{e0041}"), "\"a\\\"\\\\\\U000E0041\"");
    }
}
