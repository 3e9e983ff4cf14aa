//! Says what is wrong with a file: where, why and what to do, beside the line in question.

use std::fmt::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;
use toml::de::DeValue;

use crate::tree::{Node, Place};

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The file can be used, but something in it does nothing or is risky.
    Warning,
    /// The file cannot be used.
    Error,
}

/// One problem with one place of a file. `Display` shows it with the line; no value that may be secret appears in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Diagnostic {
    /// Whether the file can be used all the same.
    pub severity: Severity,
    /// The file.
    pub file: String,
    /// The line, from 1; 0 if it is about the file as a whole.
    pub line: usize,
    /// The character in the line, from 1; 0 if it is about the file as a whole.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The line itself with string values left out, and where in it the caret goes.
    #[serde(skip)]
    excerpt: Option<Excerpt>,
}

/// All that is wrong with a file, in its order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Diagnostics(pub Vec<Diagnostic>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Excerpt {
    line: String,
    /// In characters of `line`.
    caret: usize,
    length: usize,
}

impl Diagnostic {
    /// A problem with the file as a whole.
    #[must_use]
    pub fn of_file(file: &str, message: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Error,
            file: file.to_owned(),
            line: 0,
            column: 0,
            message: message.into(),
            help: None,
            excerpt: None,
        }
    }

    /// A problem at a line and a column of a file that the configuration names.
    pub(crate) fn in_line(file: &str, (line, column): (usize, usize), message: impl Into<String>) -> Self {
        Diagnostic { line, column, ..Diagnostic::of_file(file, message) }
    }

    /// The same with advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(f, "{word}: {}", printable(&self.message))?;
        let file = printable(&self.file);
        let gutter = self.line.to_string().len();
        match self.line {
            0 => write!(f, "  --> {file}")?,
            line => write!(f, "{:gutter$}--> {file}:{line}:{}", "", self.column)?,
        }
        if let Some(Excerpt { line, caret, length }) = &self.excerpt {
            write!(f, "\n{:gutter$} |\n{} | {line}\n{:gutter$} | ", "", self.line, "")?;
            write!(f, "{:caret$}{:^<length$}", "", "")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n{:gutter$} = help: {}", "", printable(help))?;
        }
        Ok(())
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

/// What is wrong at a place, before its lines are put beside it.
pub(crate) struct Problem {
    pub(crate) severity: Severity,
    pub(crate) place: Place,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Problem {
    pub(crate) fn help(&mut self, help: impl Into<String>) {
        self.help = Some(help.into());
    }
}

/// The text of a file, with what of it may be shown.
pub(crate) struct Source<'a> {
    name: &'a str,
    text: &'a str,
    /// Where values are, in order. A text is shown only if it is what a problem is about, and a secret never.
    values: Vec<(Place, bool)>,
    /// Whether the places of values are known at all.
    readable: bool,
}

impl<'a> Source<'a> {
    /// A file that could not be read as TOML: nothing after an `=` is shown.
    pub(crate) fn unreadable(name: &'a str, text: &'a str) -> Self {
        Source { name, text, values: Vec::new(), readable: false }
    }

    pub(crate) fn new(name: &'a str, text: &'a str, root: &Node<'_>) -> Self {
        let mut values = Vec::new();
        texts(root, &mut Vec::new(), &mut values);
        let queries: Vec<_> = values.iter().filter_map(|(place, _)| query(text, place)).collect();
        values.extend(queries.into_iter().map(|place| (place, true)));
        values.sort_by_key(|(place, _)| place.start);
        Source { name, text, values, readable: true }
    }

    /// Every value that is secret wherever it is mentioned.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = Place> {
        self.values.iter().filter(|(_, secret)| *secret).map(|(place, _)| place.clone())
    }

    pub(crate) fn show(&self, problem: Problem) -> Diagnostic {
        let Problem { severity, place, message, help } = problem;
        let start = self.text.floor_char_boundary(place.start);
        let before = self.text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        let excerpt = Some(self.excerpt(line_start, &place));
        Diagnostic { severity, file: self.name.to_owned(), line, column, message, help, excerpt }
    }

    fn excerpt(&self, line_start: usize, place: &Place) -> Excerpt {
        let line = self.text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let hidden = self.hidden(line_start, line, place);
        let (mut shown, mut caret, mut end) = (String::new(), None, None);
        let mut written = 0;
        let mut skipping = false;
        for (at, character) in line.char_indices().map(|(at, c)| (line_start + at, c)) {
            if at >= place.start && caret.is_none() {
                caret = Some(written);
            }
            if at >= place.end && end.is_none() {
                end = Some(written);
            }
            let hide = hidden.iter().any(|hidden| hidden.contains(&at));
            if !(hide && skipping) {
                let piece = if hide { "…".to_owned() } else { printable_char(character) };
                written += piece.chars().count();
                shown.push_str(&piece);
            }
            skipping = hide;
        }
        let caret = caret.unwrap_or(written);
        let length = end.unwrap_or(written).saturating_sub(caret).max(1);
        window(&shown, caret, length)
    }

    /// The parts of a line that are not shown.
    fn hidden(&self, line_start: usize, line: &str, subject: &Place) -> Vec<Place> {
        if self.readable {
            let hidden = |(place, secret): &&(Place, bool)| *secret || place != subject;
            return self.values.iter().filter(hidden).map(|(place, _)| place.clone()).collect();
        }
        // A line may stand within a text that goes over several lines, so only what is surely no value is shown.
        let header = line.trim_start().starts_with('[') && !line.contains(['"', '\'', ',']);
        let from = match line.find('=') {
            _ if header => return Vec::new(),
            Some(equals) if !line.get(..equals).unwrap_or_default().contains(['"', '\'']) => line_start + equals + 1,
            _ => line_start,
        };
        let rest = from..line_start + line.len();
        vec![rest]
    }
}

/// Collects the places of texts, and of everything that is secret by where it stands.
fn texts(node: &Node<'_>, path: &mut Vec<String>, out: &mut Vec<(Place, bool)>) {
    let secret = is_secret(path);
    match node.get_ref() {
        DeValue::Table(table) => {
            for (key, value) in table {
                path.push(key.get_ref().to_string());
                texts(value, path, out);
                path.pop();
            }
        }
        DeValue::Array(array) => array.iter().for_each(|value| texts(value, path, out)),
        DeValue::String(text) => out.push((node.span(), secret || has_credentials(text))),
        _ if secret => out.push((node.span(), true)),
        _ => {}
    }
}

/// Whether a value at this path may be secret: it is, or stands in, `env` or `headers` of a server, or is
/// a token, a secret of a client or of a sandbox, the key of a judge, or the master key.
pub(crate) fn is_secret(path: &[String]) -> bool {
    let secret: [&[&str]; 4] =
        [&["audit", "key"], &["store", "key"], &["detection", "judge", "key"], &["guard", "secrets", "allow_key"]];
    if secret.iter().any(|secret| path.iter().eq(*secret)) {
        return true;
    }
    if let [first, second, .., last] = path
        && first == "auth"
        && second == "oauth"
        && last == "client_secret"
    {
        return true;
    }
    if let Some(below) = of_sandbox(path) {
        // Whatever else is there may be one in the wrong place.
        return !below.get(1).is_some_and(|key| ["host", "header", "expose"].contains(&key.as_str()));
    }
    let [first, _, third, ..] = path else { return false };
    let is_credential = || path.len() == 3 || path.last().is_some_and(|key| key == "bearer" || key == "client_secret");
    first == "server" && (third == "env" || third == "headers" || third == "auth" && is_credential())
}

/// Of a path in the secrets of a sandbox, what follows: the name of one, and a key of it.
pub(crate) fn of_sandbox(path: &[String]) -> Option<&[String]> {
    let below = |keys: &[&str]| {
        keys.iter().enumerate().all(|(at, key)| *key == "*" || path.get(at).is_some_and(|held| held == key))
    };
    if below(&["server", "*", "sandbox", "secrets"]) {
        path.get(4..)
    } else if below(&["profile", "*", "secrets"]) {
        path.get(3..)
    } else {
        None
    }
}

/// A user and a password in a URL.
fn has_credentials(text: &str) -> bool {
    let after = text.split_once("://").map(|(_, rest)| rest);
    after.is_some_and(|rest| rest.split(['/', '?']).next().is_some_and(|authority| authority.contains('@')))
}

/// Where in a text of the file a URL has its query and its fragment, which may hold a secret wherever they stand.
fn query(source: &str, place: &Place) -> Option<Place> {
    let text = source.get(place.clone())?;
    let host = text.find("://")? + 3;
    let start = host + text.get(host..)?.find(['?', '#'])?;
    let end = text.trim_end_matches(['"', '\'']).len();
    (start < end).then_some(place.start + start..place.start + end)
}

/// A piece of a long line around the caret.
fn window(line: &str, caret: usize, length: usize) -> Excerpt {
    const WIDEST: usize = 140;
    let total = line.chars().count();
    let start = if total <= WIDEST { 0 } else { caret.saturating_sub(40) };
    let line = line.chars().skip(start).take(WIDEST).collect::<String>().trim_end().to_owned();
    let caret = caret - start;
    Excerpt { caret, length: length.min(WIDEST.saturating_sub(caret)).max(1), line }
}

/// A text in which nothing steers a terminal or reorders what is read.
fn printable(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, character| {
        let _ = write!(out, "{}", printable_char(character));
        out
    })
}

fn printable_char(character: char) -> String {
    match character {
        '\t' => " ".to_owned(),
        c if c.is_control() || is_invisible(c) => c.escape_unicode().to_string(),
        c => c.to_string(),
    }
}

/// Bidirectional controls, zero-width characters, tags and line separators.
fn is_invisible(c: char) -> bool {
    matches!(u32::from(c),
        0xAD | 0x61C | 0x180E | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0xFEFF | 0xFFF9..=0xFFFB
        | 0xE0000..=0xE0FFF)
}
