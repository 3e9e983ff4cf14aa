//! Reads a text once and tells where each rule matches.

use std::ops::Range;

use super::net::{GROUPS, Leads, Net, Step, role};
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
    /// The groups of which something may go on, and up to which word.
    live: u128,
    until: [u32; GROUPS],
    /// Words so far, of all texts.
    index: u32,
    /// How many steps were looked at.
    pub(super) work: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// The last word of what has been read; none has the number 0.
    end: u32,
    /// Where it began, doubled, and one more if it is quoted.
    start: u32,
}

/// A word of the text and what is known of it.
struct Word<'t, 'w> {
    text: &'t str,
    token: &'w Token<'w>,
    is_order: bool,
    /// What stands around it, once somebody asked.
    flags: Option<u16>,
}

impl Word<'_, '_> {
    fn has(&mut self, need: u16) -> bool {
        need == 0 || {
            let order = if self.is_order { flag::ORDER } else { 0 };
            let flags = *self.flags.get_or_insert_with(|| around(self.text, self.token) | order);
            flags & need == need
        }
    }
}

impl<'n> Run<'n> {
    pub(super) fn new(net: &'n Net) -> Run<'n> {
        Run { net, states: Vec::new(), live: 0, until: [0; GROUPS], index: 0, work: 0 }
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
            let is_order = said.may_go_on_with_order(token.index);
            let mut word = Word { text, token: &token, is_order, flags: None };
            if let Some(known) = known {
                self.take(known.leads, &mut word, found);
            }
            // A name is a word as well; what it is as a name leads nowhere else.
            if token.what != What::Word {
                self.take(net.of(token.what), &mut word, found);
            }
            said.add(known.map_or(0, |known| known.role), &token);
        }
    }

    fn take(&mut self, leads: Leads, word: &mut Word<'_, '_>, found: &mut Vec<Match>) {
        let net = self.net;
        let mut live = leads.groups & self.live;
        while live != 0 {
            let group = live.trailing_zeros();
            live &= live - 1;
            if self.until.get(group as usize).is_none_or(|until| *until < word.token.index) {
                self.live &= !(1 << group);
                continue;
            }
            let steps = net.within(leads, group);
            self.work += steps.len() as u64;
            for step in steps {
                if let Some(before) = self.states.get(step.from as usize)
                    && before.is_near(word.token.index, step.gap)
                    && word.has(step.need)
                {
                    self.reach(step, before.start, word.token, found);
                }
            }
        }
        let beginnings = net.beginnings(leads);
        self.work += beginnings.len() as u64;
        for step in beginnings {
            if word.has(step.need) {
                if self.states.is_empty() {
                    self.states.resize(net.states(), State::default());
                }
                let start = u32::try_from(word.token.start * 2).unwrap_or(u32::MAX - 1);
                self.reach(step, start + u32::from(word.token.quoted), word.token, found);
            }
        }
    }

    fn reach(&mut self, step: &Step, start: u32, token: &Token<'_>, found: &mut Vec<Match>) {
        if let Some(state) = self.states.get_mut(step.to as usize) {
            *state = State { end: token.index, start };
        }
        let about = self.net.about(step.to);
        if about.reach > 0
            && let Some(until) = self.until.get_mut(usize::from(about.group))
        {
            *until = (*until).max(token.index.saturating_add(u32::from(about.reach)));
            self.live |= 1 << about.group;
        }
        for rule in self.net.matched(about) {
            let span = (start / 2) as usize..token.end;
            found.push(Match { rule: *rule, span, quoted: start % 2 == 1 });
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
