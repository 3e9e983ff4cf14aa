//! Writes to stdout: nothing that steers a terminal, and a quiet end when nobody reads on.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::outcome::Failure;

/// Writes a text and a line end. The text has to be printable already; see [`printable`].
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    written(out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()))
}

/// Writes JSON over several lines, as ASCII wherever a character would not be seen.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(value).map_err(Failure::ours)?;
    print(&visible_json(&json))
}

/// Writes JSON on one line.
pub(crate) fn print_json_line(json: &str) -> Result<(), Failure> {
    print(&visible_json(json))
}

fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::Closed),
        Err(error) => Err(Failure::ours(format!("cannot write the output: {error}"))),
    }
}

/// The text with everything escaped that steers a terminal, reorders what is read or is not seen. Line ends stay.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character != '\n' && is_hidden(character) {
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
            c if is_hidden(c) => {
                let _ = write!(out, "\\U{:08X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// In JSON only texts hold such characters, so an escape means the same.
fn visible_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if character != '\n' && is_hidden(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    out
}

/// Controls, bidirectional controls, zero-width characters, variation selectors and tags.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0xAD | 0x34F | 0x61C | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F | 0x2028..=0x202E
            | 0x2060..=0x206F | 0x2800 | 0x3164 | 0xE000..=0xF8FF | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB
            | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A | 0xE0000..=0x10FFFF)
}

/// Colours, if stdout is a terminal whose owner wants them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

/// A text in a style.
pub(crate) struct Painted<'a> {
    text: &'a str,
    code: Option<&'static str>,
}

impl Paint {
    pub(crate) fn for_stdout() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Paint { on: io::stdout().is_terminal() && !set("NO_COLOR") && !dumb }
    }

    pub(crate) fn bold(self, text: &str) -> Painted<'_> {
        self.styled(text, "1")
    }

    pub(crate) fn dim(self, text: &str) -> Painted<'_> {
        self.styled(text, "2")
    }

    /// An action or a decision, in the colour of how grave it is.
    pub(crate) fn decision(self, text: &str) -> Painted<'_> {
        self.like(text, text)
    }

    /// A text in the colour of a decision.
    pub(crate) fn like<'a>(self, decision: &str, text: &'a str) -> Painted<'a> {
        match decision {
            "deny" => self.styled(text, "31"),
            "approve" | "redact" | "transform" => self.styled(text, "33"),
            "allow" => self.styled(text, "32"),
            _ => Painted { text, code: None },
        }
    }

    fn styled<'a>(self, text: &'a str, code: &'static str) -> Painted<'a> {
        Painted { text, code: self.on.then_some(code) }
    }
}

impl fmt::Display for Painted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            // Padding has to go by what is seen.
            Some(code) => {
                write!(f, "\x1b[{code}m{}\x1b[0m", self.text)?;
                let width = f.width().unwrap_or(0).saturating_sub(self.text.chars().count());
                write!(f, "{:width$}", "")
            }
            None => f.pad(self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_unseen_is_written() {
        let hostile = "a\x1b[2Jb\u{202e}c\u{e0041}d\u{200b}\r\n\t\u{9b}é漢😀";
        for out in [inline(hostile), toml_string(hostile), visible_json(&serde_json::to_string(hostile).unwrap())] {
            assert!(!out.chars().any(is_hidden), "{out:?}");
            assert!(out.contains("é漢😀"), "{out}");
        }
        let json = visible_json(&serde_json::to_string(hostile).unwrap());
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), hostile);
        assert_eq!(toml_string("a\"\\\u{e0041}"), "\"a\\\"\\\\\\U000E0041\"");
    }
}
