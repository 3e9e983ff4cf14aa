//! Writes to stdout: nothing that steers a terminal, and a quiet end when nobody reads on.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::outcome::Failure;
use crate::text::visible_json;

/// Writes a text and a line end. The text has to be printable already; see [`crate::text::printable`].
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

    /// For what is no output.
    pub(crate) fn none() -> Self {
        Paint { on: false }
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
