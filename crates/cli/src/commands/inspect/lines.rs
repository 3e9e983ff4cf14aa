//! Reads lines of JSON in bounded memory, whatever they hold.

use std::io::{self, BufRead, Read};

use serde::Deserialize;
use serde_json::error::Category;
use serde_json::value::RawValue;

/// The lines of an input.
pub(super) struct Lines<R> {
    input: R,
    longest: usize,
    line: Vec<u8>,
    number: u64,
}

/// A line, or why it is none.
type Line<'l> = Result<&'l [u8], &'static str>;

impl<R: BufRead> Lines<R> {
    /// Lines of at most so many bytes.
    pub(super) fn new(input: R, longest: usize) -> Self {
        Lines { input, longest, line: Vec::new(), number: 0 }
    }

    /// The number of the last line, from 1 on.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next line that holds anything.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            self.line.clear();
            let most = u64::try_from(self.longest).unwrap_or(u64::MAX).saturating_add(1);
            if self.input.by_ref().take(most).read_until(b'\n', &mut self.line)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            let is_whole = self.line.last() == Some(&b'\n');
            if !is_whole && self.line.len() > self.longest {
                self.line.clear();
                self.input.skip_until(b'\n')?;
                return Ok(Some(Err("longer than a message may be")));
            }
            if self.line.iter().any(|byte| !byte.is_ascii_whitespace()) {
                return Ok(Some(Ok(&self.line)));
            }
        }
    }
}

/// A text that is to be judged. Whatever else a line says is left alone, as it may be a row of a larger table.
#[derive(Deserialize)]
pub(super) struct Asked {
    /// As it is written: a text, a number or nothing.
    #[serde(default)]
    pub(super) id: Option<Box<RawValue>>,
    #[serde(default)]
    pub(super) kind: Option<String>,
    pub(super) text: String,
}

impl Asked {
    pub(super) fn read(line: &[u8]) -> Result<Asked, String> {
        // An array would do for the members in their order.
        if line.trim_ascii_start().first() != Some(&b'{') {
            return Err("it is no JSON object, which begins with `{`".to_owned());
        }
        let asked: Asked = serde_json::from_slice(line).map_err(|error| why(&error))?;
        match asked.id.as_deref().map(RawValue::get) {
            Some(id) if id.starts_with(['{', '[', 't', 'f']) => {
                Err("its `id` is neither a text nor a number".to_owned())
            }
            _ => Ok(asked),
        }
    }
}

/// What is wrong with a line. There is only one, and which one that is has been said.
fn why(error: &serde_json::Error) -> String {
    let at = error.column();
    let said = error.to_string();
    let said = said.rsplit_once(" at line ").map_or(said.as_str(), |(said, _)| said);
    match error.classify() {
        Category::Eof => "it ends within its JSON".to_owned(),
        Category::Data if said == "missing field `text`" => "it has no `text`".to_owned(),
        Category::Data => format!("{said}, at byte {at}"),
        Category::Syntax | Category::Io => format!("it is no JSON from byte {at} on ({said})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_numbered() {
        let text = format!("one\n\n  \r\n{}\n{}\nlast", "x".repeat(8), "y".repeat(100));
        let mut lines = Lines::new(io::BufReader::with_capacity(3, text.as_bytes()), 8);
        let mut seen = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            let line = line.map(|line| String::from_utf8_lossy(line).trim().to_owned()).map_err(str::to_owned);
            seen.push((lines.number(), line));
        }
        let long = Err("longer than a message may be".to_owned());
        let text = |text: &str| Ok(text.to_owned());
        assert_eq!(seen, [(1, text("one")), (4, text("xxxxxxxx")), (5, long), (6, text("last"))]);
    }

    #[test]
    fn an_id_stays_as_it_is_written() {
        let id = |line: &str| Asked::read(line.as_bytes()).map(|asked| asked.id.map(|id| id.get().to_owned()));
        let long = "123456789012345678901234567890.50";
        assert_eq!(id(&format!(r#"{{"id":{long},"text":""}}"#)).unwrap().as_deref(), Some(long));
        assert_eq!(id(r#"{"text":"a","label":"x"}"#).unwrap(), None);
        for wrong in [r#"{"id":{},"text":""}"#, r#"{"id":1}"#, r#"{"id":1,"text":1}"#, r#"{"text":"\ud800"}"#, "[]"] {
            assert!(id(wrong).is_err(), "{wrong}");
        }
        assert!(id(r#"{"text":"a","text":"b"}"#).is_err());
        assert!(id(r#"[1,"document","a"]"#).is_err());
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said_in_words() {
        for (line, said) in [
            ("nonsense", "it is no JSON object, which begins with `{`"),
            ("[]", "it is no JSON object, which begins with `{`"),
            (r#"{"text": "a""#, "it ends within its JSON"),
            (r#"{"text": nonsense}"#, "it is no JSON from byte 11 on (expected ident)"),
            (r#"{"id": 1}"#, "it has no `text`"),
            (r#"{"text": 1}"#, "invalid type: integer `1`, expected a string, at byte 10"),
            (r#"{"id": true, "text": ""}"#, "its `id` is neither a text nor a number"),
        ] {
            assert_eq!(Asked::read(line.as_bytes()).err().as_deref(), Some(said), "{line}");
        }
    }
}
