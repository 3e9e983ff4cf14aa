//! The last lines a server wrote to stderr, made safe to show.
//!
//! The text comes from a program that may be hostile: it is bounded, and nothing in it can move a cursor,
//! recolour a terminal or reverse the reading order.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::watch;

const LINES: usize = 50;
const BYTES: usize = 8 * 1024;
const LINE_BYTES: usize = 1024;

/// Keeps the last lines of a stream, and reads on for as long as there is something to read.
#[derive(Clone, Debug)]
pub struct StderrTail {
    kept: Arc<Mutex<Kept>>,
    ended: watch::Receiver<bool>,
}

impl StderrTail {
    /// Reads `stream` to its end in a task of its own and hands each line to `sink`, already safe to show.
    ///
    /// The reading never waits for anybody but `sink`, so the server is never blocked on a full pipe. Where the value of
    /// one of the `secrets` would stand, its name stands instead.
    pub fn follow(
        stream: impl AsyncRead + Unpin + Send + 'static,
        secrets: Vec<(String, String)>,
        sink: impl FnMut(&str) + Send + 'static,
    ) -> Self {
        let kept = Arc::new(Mutex::new(Kept { secrets, ..Kept::default() }));
        let (done, ended) = watch::channel(false);
        tokio::spawn(drain(stream, Arc::clone(&kept), Box::new(sink), done));
        Self { kept, ended }
    }

    /// The last lines, oldest first, with one that is not finished yet.
    pub fn lines(&self) -> Vec<String> {
        let kept = lock(&self.kept);
        let unfinished = (!kept.line.is_empty()).then(|| kept.shown());
        kept.lines.iter().cloned().chain(unfinished).collect()
    }

    /// Waits until the stream has ended and its last line is kept.
    pub async fn ended(&self) {
        self.ended.clone().wait_for(|ended| *ended).await.ok();
    }
}

type Sink = Box<dyn FnMut(&str) + Send>;

async fn drain(mut stream: impl AsyncRead + Unpin, kept: Arc<Mutex<Kept>>, sink: Sink, done: watch::Sender<bool>) {
    let mut sink = Some(Outlet { sink, since: Instant::now(), handed: 0, left_out: 0 });
    let mut chunk = vec![0; 8 * 1024];
    loop {
        let read = match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(read) => read,
        };
        let lines = lock(&kept).take(chunk.get(..read).unwrap_or_default());
        hand_over(&lines, &mut sink, false);
    }
    let last = lock(&kept).end_line();
    hand_over(last.as_slice(), &mut sink, true);
    done.send_replace(true);
}

/// Lines of one second that are handed on; a program that floods would fill the operator's log.
const PER_SECOND: u32 = 200;

/// The way to the sink.
struct Outlet {
    sink: Sink,
    since: Instant,
    handed: u32,
    left_out: u64,
}

impl Outlet {
    fn call(&mut self, line: &str) {
        if self.since.elapsed() >= Duration::from_secs(1) {
            (self.since, self.handed) = (Instant::now(), 0);
            self.say_left_out();
        }
        if self.handed < PER_SECOND {
            self.handed += 1;
            (self.sink)(line);
        } else {
            self.left_out += 1;
        }
    }

    fn say_left_out(&mut self) {
        match std::mem::take(&mut self.left_out) {
            0 => {}
            count => (self.sink)(&format!("(and {count} more lines)")),
        }
    }
}

/// A sink that panics is not called again, but must not end the reading.
fn hand_over(lines: &[String], outlet: &mut Option<Outlet>, ended: bool) {
    let Some(held) = outlet else { return };
    let all = AssertUnwindSafe(|| {
        lines.iter().for_each(|line| held.call(line));
        if ended {
            held.say_left_out();
        }
    });
    if catch_unwind(all).is_err() {
        *outlet = None;
    }
}

#[derive(Default)]
struct Kept {
    /// What must not be shown: names and values.
    secrets: Vec<(String, String)>,
    lines: VecDeque<String>,
    bytes: usize,
    /// The beginning of the line being read.
    line: Vec<u8>,
    /// Whether some of that line was dropped.
    cut: bool,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("lines", &self.lines).finish_non_exhaustive()
    }
}

impl Kept {
    /// Takes in the next bytes and returns the lines they completed.
    fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        // A progress bar ends its lines with a carriage return alone.
        for piece in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let (text, ends) = match piece.split_last() {
                Some((b'\n' | b'\r', text)) => (text, true),
                _ => (piece, false),
            };
            let room = LINE_BYTES.saturating_sub(self.line.len());
            self.line.extend(text.iter().take(room));
            self.cut |= text.len() > room;
            if ends {
                lines.extend(self.end_line());
            }
        }
        lines
    }

    /// Keeps the line read so far; an empty one is not worth its place.
    fn end_line(&mut self) -> Option<String> {
        if self.line.is_empty() {
            return None;
        }
        let line = self.shown();
        self.line.clear();
        self.cut = false;
        self.bytes = self.bytes.saturating_add(line.len());
        self.lines.push_back(line.clone());
        while self.lines.len() > LINES || self.bytes > BYTES {
            let dropped = self.lines.pop_front().map_or(0, |line| line.len());
            self.bytes = self.bytes.saturating_sub(dropped);
        }
        Some(line)
    }

    fn shown(&self) -> String {
        let mut line = String::from_utf8_lossy(&self.line).into_owned();
        for (name, value) in &self.secrets {
            if line.contains(value.as_str()) {
                line = line.replace(value.as_str(), &format!("[value of {name}]"));
            }
        }
        shown(&line, self.cut)
    }
}

fn shown(line: &str, mut cut: bool) -> String {
    let mut text = String::new();
    for c in line.chars() {
        let before = text.len();
        if is_unsafe(c) {
            // Writing to a String cannot fail.
            write!(text, "{}", c.escape_unicode()).ok();
        } else {
            text.push(c);
        }
        if text.len() > LINE_BYTES {
            text.truncate(before);
            cut = true;
            break;
        }
    }
    if cut {
        text.push('…');
    }
    text
}

/// Controls, and the invisible characters that reorder, hide or break text.
fn is_unsafe(c: char) -> bool {
    let control = c.is_control() && c != '\t';
    let invisible = matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{2800}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{10ffff}');
    control || invisible
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[&[u8]], expected: &[&str]) {
        let mut kept = Kept::default();
        let mut lines: Vec<String> = pieces.iter().flat_map(|piece| kept.take(piece)).collect();
        lines.extend(kept.end_line());
        assert_eq!(lines, expected);
        assert_eq!(kept.lines, expected);
    }

    #[test]
    fn lines_are_put_together_and_made_safe() {
        check(&[], &[]);
        check(&[b"one\ntwo"], &["one", "two"]);
        check(&[b"o", b"ne\r", b"\ntwo\n\n"], &["one", "two"]);
        check(&[b"10%\r20%\r"], &["10%", "20%"]);
        check(&[b"a\tb"], &["a\tb"]);
        check(&[b"\x1b[2J\x1b]0;owned\x07"], &[r"\u{1b}[2J\u{1b}]0;owned\u{7}"]);
        check(&["c1 \u{9b}31m".as_bytes()], &[r"c1 \u{9b}31m"]);
        check(&["\u{202e}txt.exe \u{e0041}".as_bytes()], &[r"\u{202e}txt.exe \u{e0041}"]);
        check(&[b"bad \xff\xfe utf8"], &["bad \u{fffd}\u{fffd} utf8"]);
        check(&[b"\0"], &[r"\u{0}"]);
        check(&["Grüße 🦀".as_bytes()], &["Grüße 🦀"]);
    }

    #[test]
    fn secrets_are_not_shown_and_what_only_hides_is() {
        let secrets = vec![("API_KEY".to_owned(), "s3cr3t-value".to_owned())];
        let mut kept = Kept { secrets, ..Kept::default() };
        assert_eq!(
            kept.take(b"key=s3cr3t-value, twice s3cr3t-value\n"),
            ["key=[value of API_KEY], twice [value of API_KEY]"]
        );
        assert_eq!(kept.take("a\u{fe01}b\u{3164}c\u{e0101}\n".as_bytes()), [r"a\u{fe01}b\u{3164}c\u{e0101}"]);
        assert!(!format!("{kept:?}").contains("s3cr3t-value\""));
    }

    #[test]
    fn everything_is_bounded() {
        let mut kept = Kept::default();
        assert!(kept.take(&vec![b'x'; 1 << 20]).is_empty());
        assert_eq!(kept.line.len(), LINE_BYTES);
        assert_eq!(kept.take(b"\n"), ["x".repeat(LINE_BYTES) + "…"]);
        assert_eq!(kept.take(b"next\n"), ["next"]);

        // Escaping makes six bytes out of one, which must not make the line longer than allowed.
        let escaped = kept.take(&[[0x1b_u8; LINE_BYTES].as_slice(), b"\n"].concat()).pop().unwrap();
        assert!(escaped.len() <= LINE_BYTES + '…'.len_utf8() && escaped.ends_with(r"\u{1b}…"), "{escaped}");

        for number in 0..1000 {
            kept.take(format!("{number}\n").as_bytes());
        }
        assert_eq!(kept.lines.len(), LINES);
        assert_eq!(kept.lines.back().unwrap(), "999");
        for _ in 0..LINES {
            kept.take(&[[b'y'; 1000].as_slice(), b"\n"].concat());
        }
        assert!(kept.bytes <= BYTES && kept.bytes == kept.lines.iter().map(String::len).sum::<usize>());
    }

    #[tokio::test]
    async fn of_a_flood_the_number_is_told() {
        let (lines, said) = (PER_SECOND as usize * 50, Arc::new(Mutex::new(Vec::new())));
        let sink = Arc::clone(&said);
        let stream = std::io::Cursor::new("x\n".repeat(lines));
        StderrTail::follow(stream, Vec::new(), move |line| sink.lock().unwrap().push(line.to_owned())).ended().await;
        let said = said.lock().unwrap();
        let more = |line: &String| line.strip_prefix("(and ")?.strip_suffix(" more lines)")?.parse::<usize>().ok();
        assert_eq!(said.iter().map(|line| more(line).unwrap_or(1)).sum::<usize>(), lines);
        assert!(said.len() < lines / 2, "{} of {lines}", said.len());
    }

    #[tokio::test]
    async fn a_panicking_sink_does_not_end_the_reading() {
        let tail = StderrTail::follow(&b"a\nb\nc"[..], Vec::new(), |line| assert_eq!(line, "a"));
        tail.ended().await;
        assert_eq!(tail.lines(), ["a", "b", "c"]);
    }
}
