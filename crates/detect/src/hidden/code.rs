//! Tells where a Markdown text shows code, in which markup is shown as it stands.
//!
//! Readers of Markdown agree about simple code only: a span whose marks pair up on one line, and a fence that is closed
//! by a line like the first. Whoever hides something may write what looks like code here and is none elsewhere, so from
//! the first mark that could be read in two ways nothing is taken for code any more. Text without such marks is not
//! looked at twice.

use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr3, memmem};

use super::markup::{Tag, comment_end};

/// Pieces that are told apart; nothing after them is taken for code.
const MOST: usize = 4_096;

/// Code as far as it is certain, in order, and where that ends.
pub(super) struct Code {
    spans: Vec<Range<usize>>,
    /// From here on markup may or may not be code.
    pub(super) certain: usize,
}

impl Code {
    pub(super) fn of(text: &str) -> Self {
        let certain = memmem::find(text.as_bytes(), b"~~~").unwrap_or(text.len());
        let mut reader =
            Reader { text, at: 0, line_end: 0, block_end: 0, piped: 0, code: Code { spans: Vec::new(), certain } };
        if memchr(b'`', text.as_bytes()).is_some() {
            let end = reader.read();
            reader.code.certain = end.min(certain);
        }
        let Code { mut spans, certain } = reader.code;
        spans.retain(|span| span.end <= certain);
        Code { spans, certain }
    }

    /// The end of the code that `at` is in.
    pub(super) fn end(&self, at: usize) -> Option<usize> {
        let after = self.spans.partition_point(|span| span.end <= at);
        self.spans.get(after).filter(|span| span.start <= at).map(|span| span.end)
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    /// The end of the line that was last asked for.
    line_end: usize,
    /// Up to here markup may stand in a block of HTML, where nothing is code.
    block_end: usize,
    /// Up to here a bar has divided code, as it does in tables.
    piped: usize,
    code: Code,
}

impl Reader<'_> {
    /// Goes on as long as it is certain what is code; gives where that ends.
    fn read(&mut self) -> usize {
        let bytes = self.text.as_bytes();
        while let Some(offset) = bytes.get(self.at..).and_then(|rest| memchr3(b'`', b'<', b']', rest)) {
            let start = self.at + offset;
            let end = match bytes.get(start).copied().unwrap_or_default() {
                b'`' => self.marks(start),
                b'<' => self.markup(start),
                _ => self.link(start),
            };
            match end {
                Some(end) if self.code.spans.len() < MOST => self.at = end,
                _ => return start,
            }
        }
        self.text.len()
    }

    /// The end of the code that begins with the marks at `start`, if that is certain.
    fn marks(&mut self, start: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let escaped = start.checked_sub(1).and_then(|before| bytes.get(before)) == Some(&b'\\');
        if escaped || start < self.block_end {
            return None;
        }
        if self.line_end <= start {
            self.line_end = memchr(b'\n', bytes.get(start..)?).map_or(bytes.len(), |end| start + end);
        }
        let line_end = self.line_end;
        let line = bytes.get(start..line_end)?;
        let length = run(line);
        let line = line.get(length..)?;
        if length >= 3 && memchr(b'`', line).is_none() {
            return self.fence(start, length, line_end);
        }
        let mut at = 0;
        let close = loop {
            at += memchr(b'`', line.get(at..)?)?;
            let found = run(line.get(at..)?);
            if found == length {
                break at;
            }
            at += found;
        };
        let inside = line.get(..close)?;
        // A carriage return ends a line as well, but not one that stands before a line feed.
        if memchr(b'\r', inside).is_some() {
            return None;
        }
        if memchr(b'|', inside).is_some() {
            self.piped = line_end;
        }
        if start >= self.piped {
            self.keep(start..start + length + close + length);
        }
        Some(start + length + close + length)
    }

    /// A fence is closed by the first line that has as many marks as far in, and nothing else. All of its lines are at least as
    /// far in as the first, or a list may have ended between them.
    fn fence(&mut self, start: usize, length: usize, line_end: usize) -> Option<usize> {
        let line_start = memchr::memrchr(b'\n', self.text.as_bytes().get(..start)?).map_or(0, |end| end + 1);
        let indent =
            self.text.get(line_start..start).filter(|indent| indent.bytes().all(|b| b == b' ' || b == b'\t'))?;
        let mut at = line_end + 1;
        loop {
            let line = self.text.get(at..)?.split_inclusive('\n').next()?;
            let shown = line.trim_end_matches('\n');
            let shown = shown.strip_suffix('\r').unwrap_or(shown).trim_end_matches(' ');
            if memchr(b'\r', shown.as_bytes()).is_some() || !shown.trim_ascii().is_empty() && !line.starts_with(indent)
            {
                return None;
            }
            if memmem::find(shown.as_bytes(), b"```").is_some() {
                // One that stands further in closes nothing where it is code itself.
                let marks = shown.strip_prefix(indent)?;
                let closes = marks.len() >= length && marks.bytes().all(|byte| byte == b'`');
                let end = at + shown.len();
                closes.then(|| self.keep(line_end..end));
                return closes.then_some(end);
            }
            at += line.len();
        }
    }

    /// What is code beside markup is certain only if no mark stands in the markup, and none in a block that it begins.
    fn markup(&mut self, start: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let rest = bytes.get(start..)?;
        let comment = comment_end(self.text, start);
        if comment.is_some() && !rest.starts_with(b"<!--") {
            return None;
        }
        let tag = Tag::read(self.text, start);
        let end = comment.map(|(end, _)| end).or(tag.as_ref().map(|tag| tag.end));
        if end.is_some_and(|end| bytes.get(start..end).is_none_or(|inside| inside.contains(&b'`'))) {
            return None;
        }
        let block = rest.get(1).is_some_and(|byte| b"!/".contains(byte) || byte.is_ascii_alphabetic());
        if block && begins_block(bytes, start) {
            // These go on over blank lines.
            let long = ["<pre", "<script", "<style", "<textarea"];
            let begins =
                |with: &&str| rest.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()));
            if long.iter().any(begins) {
                return None;
            }
            if self.block_end <= start {
                self.block_end = blank_line(bytes, start);
            }
        }
        // A comment may begin on any of its lines; then it goes on over blank lines, to the end of its last one.
        if let Some((end, _)) = comment.filter(|(end, _)| *end >= self.block_end)
            && (bytes.get(start..end)?.contains(&b'\n') || begins_block(bytes, start))
        {
            self.block_end = memchr(b'\n', bytes.get(end..)?).map_or(bytes.len(), |line| end + line);
        }
        Some(tag.map_or(end.unwrap_or(start + 1), |tag| tag.next(start)))
    }

    /// The target of a link comes before code, so it has to be so simple that no mark can be meant to be in it.
    fn link(&self, start: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let rest = bytes.get(start + 2..).unwrap_or_default();
        let (open, close) = match bytes.get(start + 1) {
            Some(b'(') => (b'(', b')'),
            Some(b'[') => (b'[', b']'),
            _ => return Some(start + 1),
        };
        let line = rest.iter().position(|byte| *byte == close || *byte == open || b"`<\\\r\n".contains(byte));
        line.filter(|end| rest.get(*end) == Some(&close)).map(|end| start + 2 + end)
    }

    fn keep(&mut self, span: Range<usize>) {
        // Where nothing could be taken for markup nobody asks.
        let worth = |byte: &u8| matches!(byte, b'<' | b']');
        if self.text.as_bytes().get(span.clone()).is_some_and(|inside| inside.iter().any(worth)) {
            self.code.spans.push(span);
        }
    }
}

fn run(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| **byte == b'`').count()
}

/// Where the block that `at` is in ends.
fn blank_line(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let mut line_start = None;
    for end in memchr_iter(b'\n', rest) {
        if line_start.is_some_and(|start| rest.get(start..end).is_some_and(|line| line.trim_ascii().is_empty())) {
            return at + end;
        }
        line_start = Some(end + 1);
    }
    bytes.len()
}

/// Whether nothing but the marks of lists and quotations stands before it on its line.
pub(super) fn begins_block(bytes: &[u8], at: usize) -> bool {
    const DEEPEST: usize = 16;
    let before = bytes.get(at.saturating_sub(DEEPEST)..at).unwrap_or_default();
    let line = match memchr::memrchr2(b'\n', b'\r', before) {
        Some(line_end) => before.get(line_end + 1..),
        None => Some(before).filter(|_| at < DEEPEST),
    };
    let marks = |byte: &u8| matches!(byte, b' ' | b'\t' | b'>' | b'-' | b'*' | b'+' | b'.' | b')' | b'0'..=b'9');
    line.is_some_and(|line| line.iter().all(marks))
}
