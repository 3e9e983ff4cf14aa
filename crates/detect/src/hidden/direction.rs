//! Which controls of direction a paragraph needs (UAX 9), and how many may be there before they carry data themselves.

use super::class::{is_seen, sequence_end};
use super::script;

/// The paragraph around the last control of direction, looked at once for all controls in it.
#[derive(Default)]
pub(super) struct Paragraph {
    end: usize,
    explains: bool,
}

impl Paragraph {
    /// Whether the paragraph of `at` needs its controls; they all stay, or none does.
    pub(super) fn explains(&mut self, text: &str, at: usize) -> bool {
        if at >= self.end {
            let seen = text.get(self.end..at).unwrap_or_default();
            let start = seen
                .char_indices()
                .rfind(|(_, c)| separates(*c))
                .map_or(self.end, |(separator, c)| self.end + separator + c.len_utf8());
            let rest = text.get(at..).unwrap_or_default();
            self.end = rest.find(separates).map_or(text.len(), |separator| at + separator);
            self.explains = text.get(start..self.end).is_some_and(needs_controls);
        }
        self.explains
    }
}

/// Whether a paragraph ends there. A lone carriage return and the separators of ASCII end one too; they are taken out,
/// and what they parted is one paragraph then.
fn separates(c: char) -> bool {
    matches!(c, '\n' | '\u{85}' | '\u{2029}')
}

/// What stands between a control that opens and the one that closes, or in the whole paragraph.
#[derive(Default)]
struct Run {
    /// What ends it.
    closer: Option<char>,
    /// Whether it is to be shown from right to left.
    leftwards: bool,
    /// Letters that are written from right to left.
    right_to_left: usize,
    /// Other letters.
    others: usize,
    /// Whether the first letter is written from right to left.
    begins: Option<bool>,
    /// Whether anything in it is seen.
    seen: bool,
}

impl Run {
    fn take(&mut self, c: char) {
        let right_to_left = script::right_to_left(c);
        self.seen = true;
        self.right_to_left += usize::from(right_to_left);
        if c.is_alphabetic() {
            self.others += usize::from(!right_to_left);
            self.begins.get_or_insert(right_to_left);
        }
    }

    fn add(&mut self, inner: &Run) {
        self.seen |= inner.seen;
        self.right_to_left += inner.right_to_left;
        self.others += inner.others;
        self.begins = self.begins.or(inner.begins);
    }

    /// Whether there is a reason to set it apart. Shown from right to left, text of another direction that mostly
    /// consists of it is read in an order that it does not have.
    fn makes_sense(&self) -> bool {
        let from_right = self.begins == Some(true) && self.others <= 4 * self.right_to_left;
        self.seen && (!self.leftwards || from_right)
    }
}

/// Whether there are letters that make the controls necessary, everything opened is closed around something that it
/// changes, nothing forces letters against their own direction, and the controls are few beside what is seen.
fn needs_controls(paragraph: &str) -> bool {
    /// Deeper nesting has no effect (UAX 9, BD2).
    const DEEPEST: usize = 125;
    let mut open: Vec<Run> = Vec::new();
    let mut here = Run::default();
    let (mut marks, mut runs, mut digits) = (0, 0, 0);
    let (mut after_mark, mut neutral) = (false, true);
    let mut at = 0;
    while let Some(c) = paragraph.get(at..).and_then(|rest| rest.chars().next()) {
        if let Some(end) = sequence_end(paragraph, at, c) {
            at = end;
            continue;
        }
        at += c.len_utf8();
        match c {
            '\u{202D}' | '\u{202E}' => return false,
            '\u{200E}' | '\u{200F}' | '\u{61C}' if after_mark => return false,
            '\u{200E}' | '\u{200F}' | '\u{61C}' => (marks, after_mark) = (marks + 1, true),
            '\u{202A}' | '\u{202B}' | '\u{2066}'..='\u{2068}' => {
                runs += 1;
                neutral &= c == '\u{2068}';
                let closer = if c < '\u{2066}' { '\u{202C}' } else { '\u{2069}' };
                let leftwards = matches!(c, '\u{202B}' | '\u{2067}');
                let inner = Run { closer: Some(closer), leftwards, ..Run::default() };
                open.push(std::mem::replace(&mut here, inner));
            }
            '\u{202C}' | '\u{2069}' => {
                let Some(outer) = open.pop().filter(|_| here.closer == Some(c) && here.makes_sense()) else {
                    return false;
                };
                let inner = std::mem::replace(&mut here, outer);
                here.add(&inner);
            }
            _ if is_seen(c) => {
                here.take(c);
                after_mark = false;
                digits += usize::from(c.is_numeric());
            }
            _ => {}
        }
        if open.len() > DEEPEST {
            return false;
        }
    }
    // Around letters of one direction only, the isolate that takes the direction of what is in it changes nothing;
    // programs put one around everything that they insert into a sentence.
    let needed = here.right_to_left > 0 || neutral && marks == 0;
    let few = marks <= 1 + here.right_to_left / 4 && runs <= 1 + (here.right_to_left + here.others + digits) / 4;
    needed && few && open.is_empty()
}
