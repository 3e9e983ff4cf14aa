//! Reads a text once and tells where each rule matches.

use std::ops::Range;

use super::net::{Net, START, Step, role};
use super::words::{Token, What, Words, around, flag};

/// A place where a rule matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) rule: u16,
    pub(super) span: Range<usize>,
    pub(super) quoted: bool,
}

/// How far the patterns have been read.
#[derive(Debug)]
pub(super) struct Run<'n> {
    net: &'n Net,
    /// Empty as long as no pattern has begun.
    states: Vec<State>,
    /// Words so far, of all texts.
    index: u32,
    /// How many steps were looked at.
    pub(super) work: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// The last word of what has been read; none has the number 0.
    end: u32,
    start: u32,
    quoted: bool,
}

impl<'n> Run<'n> {
    pub(super) fn new(net: &'n Net) -> Run<'n> {
        Run { net, states: Vec::new(), index: 0, work: 0 }
    }

    /// Looks at one more text, in which no pattern goes on that began in another.
    pub(super) fn look(&mut self, text: &str, found: &mut Vec<Match>) {
        const APART: u32 = 1 << 8;
        let mut words = Words::of(text, self.index.saturating_add(APART));
        let mut said = Said::default();
        let net = self.net;
        while let Some(token) = words.next() {
            let known = net.find(&token);
            self.work += 1;
            if token.index > self.index.saturating_add(2) || text.as_bytes().get(said.end) == Some(&b',') {
                said = Said::default();
            }
            self.index = token.index;
            let named = if token.what == What::Word { &[][..] } else { net.steps_of(token.what) };
            let steps = known.map_or(&[][..], |known| net.steps(known));
            if !(named.is_empty() && steps.is_empty()) {
                let mut flags = around(text, &token);
                flags |= if said.may_go_on_with_order(token.index) { flag::ORDER } else { 0 };
                // A name is a word as well; what it is as a name leads nowhere else.
                self.take(steps, &token, flags, found);
                self.take(named, &token, flags, found);
            }
            said.add(known.map_or(0, |known| known.role), &token);
        }
    }

    fn take(&mut self, steps: &[Step], token: &Token<'_>, flags: u16, found: &mut Vec<Match>) {
        self.work += steps.len() as u64;
        for step in steps {
            if flags & step.need != step.need {
                continue;
            }
            let (start, quoted) = if step.from == START {
                if self.states.is_empty() {
                    self.states.resize(self.net.states(), State::default());
                }
                (u32::try_from(token.start).unwrap_or(u32::MAX), token.quoted)
            } else {
                match self.states.get(step.from as usize) {
                    Some(before) if before.is_near(token.index, step.gap) => (before.start, before.quoted),
                    _ => continue,
                }
            };
            if let Some(state) = self.states.get_mut(step.to as usize) {
                *state = State { end: token.index, start, quoted };
            }
            for rule in self.net.matched(step.to) {
                found.push(Match { rule: *rule, span: start as usize..token.end, quoted });
            }
        }
    }
}

impl State {
    fn is_near(self, index: u32, gap: u8) -> bool {
        self.end != 0 && self.end < index && index - self.end <= u32::from(gap) + 1
    }
}

/// What the words before one say about it, in one part of a sentence.
#[derive(Debug, Default)]
struct Said {
    last: u8,
    before: u8,
    /// Where something was negated.
    not: Option<u32>,
    end: usize,
}

impl Said {
    /// How far a negation reaches.
    const REACH: u32 = 4;

    fn add(&mut self, role: u8, token: &Token<'_>) {
        (self.before, self.last) = (self.last, role);
        self.end = token.end;
        if role & role::NOT != 0 {
            self.not = Some(token.index);
        }
    }

    /// Whether a word may be an order: not if somebody is said to do it, or not to.
    fn may_go_on_with_order(&self, index: u32) -> bool {
        let is = |role: u8, what: u8| role & what != 0;
        let negated = self.not.is_some_and(|not| index - not.min(index) <= Said::REACH);
        !negated && !is(self.last, role::SUBJECT) && (!is(self.last, role::TO) || is(self.before, role::SHALL))
    }
}
