//! Reads a text once and tells where each rule matches.

use std::cell::Cell;
use std::ops::Range;

use super::net::{AHEAD, GROUPS, Leads, Net, Step, Triggers, role};
use super::words::{self, Spot, Token, What, around, flag};

/// Who is shown every word of a text while the rules read it, so that nobody has to read it again.
pub(crate) trait Along {
    fn word(&mut self, text: &str, word: &Token<'_>);
    /// A rule matches there, in the text that has been read.
    fn matched(&mut self, place: &Range<usize>);
    /// The text has ended.
    fn end(&mut self);
}

/// Nobody.
impl Along for () {
    fn word(&mut self, _: &str, _: &Token<'_>) {}

    fn matched(&mut self, _: &Range<usize>) {}

    fn end(&mut self) {}
}

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
    /// At least as many as the net has, once a pattern has begun.
    states: Vec<State>,
    /// The groups of which something may go on, and up to which word.
    live: u128,
    until: [u32; GROUPS],
    /// Words so far, of all texts and of runs before.
    index: u32,
    /// Room for words, while no text is looked at.
    words: [Vec<Word>; 2],
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

/// A word of the text that some pattern knows.
#[derive(Debug, Clone, Copy)]
struct Word {
    number: Option<u32>,
    what: What,
    // Not in the order in which they were just written: both read at once would have to wait for that.
    end: usize,
    start: usize,
    index: u32,
    first: bool,
    quoted: bool,
    is_order: bool,
}

/// So many words that none of them is further from its trigger than those behind them.
#[derive(Debug, Default)]
struct Words {
    words: Vec<Word>,
    /// The groups of which they hold a trigger.
    triggers: Triggers,
}

/// What stands around a word, once somebody asked.
struct Around<'t> {
    text: &'t str,
    word: Word,
    flags: Option<u16>,
}

impl Around<'_> {
    fn has(&mut self, need: u16) -> bool {
        need == 0 || {
            let (word, text) = (self.word, self.text);
            let order = if word.is_order { flag::ORDER } else { 0 };
            let flags = self.flags.get_or_insert_with(|| around(text, word.start, word.end, word.first) | order);
            *flags & need == need
        }
    }
}

thread_local! {
    /// What the run before had.
    static KEPT: Cell<Kept> = const { Cell::new(Kept { states: Vec::new(), index: 0, words: [const { Vec::new() }; 2] }) };
}

/// What is kept from run to run, so that nothing has to be made anew for each text.
#[derive(Default)]
struct Kept {
    states: Vec<State>,
    /// How many words were read: as they are counted on, none of the states is near any more.
    index: u32,
    words: [Vec<Word>; 2],
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        KEPT.set(Kept {
            states: std::mem::take(&mut self.states),
            index: self.index,
            words: std::mem::take(&mut self.words),
        });
    }
}

impl<'n> Run<'n> {
    pub(super) fn new(net: &'n Net) -> Run<'n> {
        let mut kept = KEPT.take();
        if kept.index > u32::MAX / 2 {
            kept = Kept::default();
        }
        let Kept { states, index, words } = kept;
        Run { net, states, live: 0, until: [0; GROUPS], index, words, work: 0 }
    }

    /// Looks at one more text, in which no pattern goes on that began in another.
    ///
    /// Each of its words is shown to `along` as well.
    pub(super) fn look(&mut self, text: &str, found: &mut Vec<Match>, along: &mut impl Along) {
        const APART: u32 = 1 << 8;
        let mut reader = Reader {
            net: self.net,
            text,
            words: words::Words::of(text, self.index.saturating_add(APART)),
            said: Said::default(),
            index: self.index,
        };
        let [now, ahead] = std::mem::take(&mut self.words);
        let [mut now, mut ahead] = [now, ahead].map(|words| Words { words, triggers: Triggers::default() });
        let mut read = reader.fill(&mut now, along);
        while read > 0 {
            self.work += read;
            read = reader.fill(&mut ahead, along);
            let begins = now.triggers.or(ahead.triggers).ready();
            if begins == 0 && self.live == 0 {
                std::mem::swap(&mut now, &mut ahead);
                continue;
            }
            for word in &now.words {
                self.take(text, *word, begins, found);
            }
            std::mem::swap(&mut now, &mut ahead);
        }
        self.index = reader.index;
        self.words = [now.words, ahead.words];
    }

    fn take(&mut self, text: &str, word: Word, begins: u128, found: &mut Vec<Match>) {
        let net = self.net;
        let mut around = Around { text, word, flags: None };
        if let Some(known) = word.number.and_then(|number| net.known(number)) {
            self.step(&known.leads, &mut around, begins, found);
        }
        // A name is a word as well; what it is as a name leads nowhere else.
        if let Some(leads) = net.of(word.what).filter(|_| word.what != What::Word) {
            self.step(leads, &mut around, begins, found);
        }
    }

    fn step(&mut self, leads: &Leads, word: &mut Around<'_>, begins: u128, found: &mut Vec<Match>) {
        let net = self.net;
        let index = word.word.index;
        if leads.goes_on & self.live != 0 {
            for bundle in net.going_on(leads) {
                let group = bundle.group;
                if !has(self.live, group) {
                    continue;
                }
                if self.until.get(usize::from(group)).is_none_or(|until| *until < index) {
                    self.live &= !(1 << group);
                    continue;
                }
                let steps = net.steps(*bundle);
                self.work += steps.len() as u64;
                for step in steps {
                    if let Some(before) = self.states.get(step.from as usize)
                        && before.is_near(index, step.gap)
                        && word.has(step.need)
                    {
                        self.reach(step, before.start, word.word, found);
                    }
                }
            }
        }
        if leads.begins & begins != 0 {
            for bundle in net.beginning_with(leads).iter().filter(|bundle| has(begins, bundle.group)) {
                let steps = net.steps(*bundle);
                self.work += steps.len() as u64;
                for step in steps {
                    if word.has(step.need) {
                        self.begin(step, word.word, found);
                    }
                }
            }
        }
    }

    fn begin(&mut self, step: &Step, word: Word, found: &mut Vec<Match>) {
        if self.states.len() < self.net.states() {
            self.states.resize(self.net.states(), State::default());
        }
        let start = u32::try_from(word.start * 2).unwrap_or(u32::MAX - 1);
        self.reach(step, start + u32::from(word.quoted), word, found);
    }

    fn reach(&mut self, step: &Step, start: u32, word: Word, found: &mut Vec<Match>) {
        if let Some(state) = self.states.get_mut(step.to as usize) {
            *state = State { end: word.index, start };
        }
        let about = self.net.about(step.to);
        if about.reach > 0
            && let Some(until) = self.until.get_mut(usize::from(about.group))
        {
            *until = (*until).max(word.index.saturating_add(u32::from(about.reach)));
            self.live |= 1 << about.group;
        }
        for rule in self.net.matched(about) {
            let span = (start / 2) as usize..word.end;
            found.push(Match { rule: *rule, span, quoted: start % 2 == 1 });
        }
    }
}

/// Whether a bit is set; by halves, as numbers of 128 bits take long to shift.
fn has(mask: u128, bit: u8) -> bool {
    let half = if bit < 64 { mask as u64 } else { (mask >> 64) as u64 };
    half >> (bit & 63) & 1 == 1
}

impl State {
    fn is_near(self, index: u32, gap: u8) -> bool {
        self.end != 0 && self.end < index && index - self.end <= u32::from(gap) + 1
    }
}

/// Reads the words of a text that some pattern knows.
struct Reader<'n, 't> {
    net: &'n Net,
    text: &'t str,
    words: words::Words<'t>,
    said: Said,
    index: u32,
}

impl Reader<'_, '_> {
    /// Reads on as far as a trigger may be ahead, and tells how many words there were.
    fn fill(&mut self, into: &mut Words, along: &mut impl Along) -> u64 {
        into.words.clear();
        into.triggers = Triggers::default();
        for read in 0..AHEAD {
            let Some(token) = self.words.next() else { return read as u64 };
            along.word(self.text, &token);
            let number = self.net.find(&token);
            if token.index.wrapping_sub(self.index) > 2 || self.text.as_bytes().get(self.said.end) == Some(&b',') {
                self.said = Said::default();
            }
            // What a line ends with goes on in one that begins in the middle of a sentence only.
            if token.first && !self.text.get(token.start..).is_some_and(|rest| rest.starts_with(char::is_lowercase)) {
                self.said = Said::default();
            }
            self.index = token.index;
            let known = number.and_then(|number| self.net.known(number));
            if known.is_some() || token.what != What::Word {
                let is_order = self.said.may_go_on_with_order(token.index);
                let Spot { what, start, end, index, first, quoted, .. } = *token;
                into.words.push(Word { number, what, start, end, index, first, quoted, is_order });
                if let Some(known) = known {
                    into.triggers = into.triggers.or(known.leads.triggers);
                }
                if let Some(leads) = self.net.of(what).filter(|_| what != What::Word) {
                    into.triggers = into.triggers.or(leads.triggers);
                }
            }
            self.said.add(known.map_or(0, |known| known.role), token.index, token.end);
        }
        AHEAD as u64
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

    fn add(&mut self, role: u8, index: u32, end: usize) {
        (self.before, self.last) = (self.last, role);
        self.end = end;
        if role & role::NOT != 0 {
            self.not = Some(index);
        }
    }

    /// Whether a word may be an order: not if somebody is said to do it, or not to.
    fn may_go_on_with_order(&self, index: u32) -> bool {
        let is = |role: u8, what: u8| role & what != 0;
        let negated = self.not.is_some_and(|not| index - not.min(index) <= Said::REACH);
        !negated && !is(self.last, role::SUBJECT) && (!is(self.last, role::TO) || is(self.before, role::SHALL))
    }
}
