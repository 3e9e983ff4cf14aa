//! All patterns as one net: from each word to the states that it leads between.
//!
//! A state says that the beginning of a pattern has been read, and where it ended. Whatever may come behind it may come
//! behind the latest such end, so that one is all that is kept, and a text takes as many steps as it has words, times at most
//! the number of places at which one word stands in the patterns.

use std::collections::BTreeMap;

use super::pattern::{Piece, SHORTEST_PREFIX, Slot};
use super::words::{Token, What, hash};

/// The beginning of every pattern.
pub(super) const START: u32 = u32::MAX;

/// What a word does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) from: u32,
    pub(super) to: u32,
    /// What has to stand around it.
    pub(super) need: u16,
    /// How many other words may stand before it.
    pub(super) gap: u8,
}

/// What a word says about the next, which may be an order or not.
pub(super) mod role {
    /// The next is not to be done.
    pub(in super::super) const NOT: u8 = 1;
    /// Who does the next.
    pub(in super::super) const SUBJECT: u8 = 2;
    /// The next is an order only if somebody is to do it.
    pub(in super::super) const TO: u8 = 4;
    /// Before `to`: somebody is to do it.
    pub(in super::super) const SHALL: u8 = 8;
}

const ROLES: &[(u8, &[&str])] = &[
    (
        role::NOT,
        &[
            "not",
            "never",
            "dont",
            "doesnt",
            "didnt",
            "cannot",
            "cant",
            "wont",
            "shouldnt",
            "mustnt",
            "wouldnt",
            "isnt",
            "without",
            "nor",
            "avoid",
            "nicht",
            "nie",
            "niemals",
            "jamais",
            "nunca",
            "nao",
            "niet",
            "nooit",
            "не",
            "никогда",
            "ні",
        ],
    ),
    (
        role::SUBJECT,
        &[
            "we",
            "they",
            "he",
            "she",
            "it",
            "i",
            "who",
            "which",
            "users",
            "people",
            "attackers",
            "attacker",
            "models",
            "can",
            "could",
            "would",
            "may",
            "might",
            "did",
            "does",
            "why",
            "how",
            "whether",
            "if",
            "when",
            "whenever",
            "until",
            "unless",
            "after",
            "once",
            "because",
            "the",
            "a",
            "an",
            "this",
            "our",
            "my",
            "their",
            "its",
            "your",
        ],
    ),
    (role::TO, &["to"]),
    (role::SUBJECT | role::SHALL, &["you"]),
    (
        role::SHALL,
        &[
            "assistant",
            "is",
            "are",
            "have",
            "need",
            "needs",
            "must",
            "instructed",
            "required",
            "ordered",
            "asked",
            "told",
            "sure",
            "want",
            "now",
        ],
    ),
];

/// Patterns that begin alike are one group, or several such: as long as none of it has begun, no word has to be held
/// against the others of it.
pub(super) const GROUPS: usize = 128;

/// A word that some pattern knows.
#[derive(Debug)]
pub(super) struct Known {
    text: Box<[u8]>,
    pub(super) leads: Leads,
    pub(super) role: u8,
}

/// Where a word leads.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Leads {
    /// The groups in which it leads on from a state.
    pub(super) groups: u128,
    /// The first of the ranges of steps, one for each of these groups; then one for what begins with it.
    ranges: u32,
}

/// What is known of a state.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct About {
    /// How many words on something may follow; 0 if nothing does.
    pub(super) reach: u8,
    pub(super) group: u8,
    /// The rules that have matched.
    rules: (u32, u32),
}

/// All patterns.
#[derive(Debug)]
pub(super) struct Net {
    known: Vec<Known>,
    /// Of each word its hash, and its number and one, by its hash; most places are empty.
    table: Vec<(u32, u32)>,
    filter: Filter,
    /// Beginnings of words, by their first bytes, longer ones first.
    prefixes: Vec<(u32, u32)>,
    prefix_filter: Filter,
    atoms: [Leads; 5],
    ranges: Vec<(u32, u32)>,
    steps: Vec<Step>,
    states: Vec<About>,
    rules: Vec<u16>,
}

/// Tells at once of most words that they are not known.
#[derive(Debug, Default)]
struct Filter(Vec<u64>);

impl Filter {
    const BITS: u32 = 1 << 15;

    fn of(hashes: impl Iterator<Item = u32>) -> Filter {
        let mut filter = Filter(vec![0; Filter::BITS as usize / 64]);
        for hash in hashes {
            let bit = hash % Filter::BITS;
            if let Some(word) = filter.0.get_mut(bit as usize / 64) {
                *word |= 1 << (bit % 64);
            }
        }
        filter
    }

    fn may_hold(&self, hash: u32) -> bool {
        let bit = hash % Filter::BITS;
        self.0.get(bit as usize / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }
}

/// The first bytes of a word as a number; capital letters count as small ones.
fn key(word: &[u8]) -> Option<u32> {
    word.first_chunk().map(|bytes| u32::from_le_bytes(*bytes) | 0x2020_2020)
}

fn spread(key: u32) -> u32 {
    key.wrapping_mul(0x9E37_79B1) >> 16
}

impl Net {
    pub(super) fn states(&self) -> usize {
        self.states.len()
    }

    /// What is known of a word.
    pub(super) fn find(&self, token: &Token<'_>) -> Option<&Known> {
        if matches!(token.what, What::Word | What::Name) {
            self.exact(token).or_else(|| self.beginning(token.word))
        } else {
            None
        }
    }

    fn exact(&self, token: &Token<'_>) -> Option<&Known> {
        if !self.filter.may_hold(token.hash) {
            return None;
        }
        // As many places as a power of two.
        let mask = self.table.len().wrapping_sub(1);
        let mut at = token.hash as usize;
        loop {
            let (hash, number) = *self.table.get(at & mask)?;
            let known = self.known.get(number.checked_sub(1)? as usize)?;
            if hash == token.hash && is_same(&known.text, token.word) {
                return Some(known);
            }
            at += 1;
        }
    }

    fn beginning(&self, word: &[u8]) -> Option<&Known> {
        let key = key(word).filter(|key| self.prefix_filter.may_hold(spread(*key)))?;
        let first = self.prefixes.partition_point(|(held, _)| *held < key);
        let alike = self.prefixes.iter().skip(first).take_while(|(held, _)| *held == key);
        alike
            .filter_map(|(_, number)| self.known.get(*number as usize))
            .find(|known| word.get(..known.text.len()).is_some_and(|beginning| is_same(&known.text, beginning)))
    }

    pub(super) fn of(&self, what: What) -> Leads {
        self.atoms.get(what as usize).copied().unwrap_or_default()
    }

    /// The steps within a group to which `leads` leads.
    pub(super) fn within(&self, leads: Leads, group: u32) -> &[Step] {
        let before = leads.groups & ((1 << group) - 1);
        self.range(leads.ranges + before.count_ones())
    }

    /// The steps with which patterns begin.
    pub(super) fn beginnings(&self, leads: Leads) -> &[Step] {
        self.range(leads.ranges + leads.groups.count_ones())
    }

    fn range(&self, number: u32) -> &[Step] {
        let range = self.ranges.get(number as usize);
        range.and_then(|(from, to)| self.steps.get(*from as usize..*to as usize)).unwrap_or_default()
    }

    pub(super) fn about(&self, state: u32) -> About {
        self.states.get(state as usize).copied().unwrap_or_default()
    }

    /// The rules that have matched once a state is reached.
    pub(super) fn matched(&self, about: About) -> &[u16] {
        self.rules.get(about.rules.0 as usize..about.rules.1 as usize).unwrap_or_default()
    }
}

/// Whether a word is one that is known, which is in small letters.
fn is_same(known: &[u8], word: &[u8]) -> bool {
    known.len() == word.len()
        && known.iter().zip(word).all(|(known, byte)| known == byte || *known == byte.to_ascii_lowercase())
}

/// Makes a net.
#[derive(Debug, Default)]
pub(super) struct Builder {
    steps: BTreeMap<Piece, Vec<Step>>,
    /// Patterns that begin alike share what is alike.
    shared: BTreeMap<(u32, Slot), u32>,
    finals: Vec<Vec<u16>>,
    /// Of each state the group.
    groups: Vec<u8>,
    /// How many first parts there are.
    roots: usize,
}

impl Builder {
    /// States of all patterns together; more would cost memory with each text.
    pub(super) const MAX_STATES: usize = 60_000;

    /// Adds a pattern of a rule; `None` if there are too many.
    pub(super) fn add(&mut self, pattern: Vec<Slot>, rule: u16) -> Option<()> {
        let mut state = START;
        for slot in pattern {
            if self.finals.len() > Builder::MAX_STATES {
                return None;
            }
            state = self.slot(state, slot);
        }
        let rules = self.finals.get_mut(state as usize)?;
        if !rules.contains(&rule) {
            rules.push(rule);
        }
        Some(())
    }

    fn state(&mut self, group: u8) -> u32 {
        self.finals.push(Vec::new());
        self.groups.push(group);
        (self.finals.len() - 1) as u32
    }

    fn slot(&mut self, from: u32, slot: Slot) -> u32 {
        let key = (from, slot);
        if let Some(known) = self.shared.get(&key) {
            return *known;
        }
        let group = if from == START {
            self.roots += 1;
            (self.roots % GROUPS) as u8
        } else {
            self.groups.get(from as usize).copied().unwrap_or_default()
        };
        // A state has a higher number than those that lead to it.
        let mut inner: BTreeMap<&[Piece], u32> = BTreeMap::new();
        for alternative in &key.1.alternatives {
            for length in 1..alternative.len() {
                if let Some(begun) = alternative.get(..length)
                    && !inner.contains_key(begun)
                {
                    let state = self.state(group);
                    inner.insert(begun, state);
                }
            }
        }
        let to = self.state(group);
        let mut done = Vec::new();
        for alternative in &key.1.alternatives {
            for length in 1..=alternative.len() {
                let Some((piece, before)) = alternative.get(..length).and_then(<[Piece]>::split_last) else { continue };
                let begun = alternative.get(..length).unwrap_or_default();
                let is_last = length == alternative.len();
                if !is_last && done.contains(&begun) {
                    continue;
                }
                done.extend((!is_last).then_some(begun));
                let (from, gap, first) = match inner.get(before) {
                    Some(state) => (*state, 0, 0),
                    None => (from, key.1.gap, key.1.first),
                };
                let need = first | if is_last { key.1.last } else { 0 };
                let to = if is_last { to } else { inner.get(begun).copied().unwrap_or(to) };
                self.steps.entry(piece.clone()).or_default().push(Step { from, to, need, gap });
            }
        }
        self.shared.insert(key, to);
        to
    }

    pub(super) fn finish(mut self) -> Net {
        let mut net = Net {
            known: Vec::new(),
            table: Vec::new(),
            filter: Filter::default(),
            prefixes: Vec::new(),
            prefix_filter: Filter::default(),
            atoms: [Leads::default(); 5],
            // Nothing leads nowhere.
            ranges: vec![(0, 0)],
            steps: Vec::new(),
            states: self.groups.iter().map(|group| About { group: *group, ..About::default() }).collect(),
            rules: Vec::new(),
        };
        for step in self.steps.values().flatten() {
            if let Some(about) = net.states.get_mut(step.from as usize) {
                about.reach = about.reach.max(step.gap + 1);
            }
        }
        for (_, words) in ROLES {
            for word in *words {
                self.steps.entry(Piece::Word(word.as_bytes().into())).or_default();
            }
        }
        let prefixes: Vec<_> = self.steps.iter().filter(|(piece, _)| matches!(piece, Piece::Prefix(_))).collect();
        let mut exact = Vec::new();
        for (piece, steps) in &self.steps {
            let mut steps = steps.clone();
            let text: &[u8] = match piece {
                Piece::Word(text) | Piece::Prefix(text) => text,
                Piece::Atom(what) => {
                    let leads = net.add_steps(steps);
                    if let Some(held) = net.atoms.get_mut(*what as usize) {
                        *held = leads;
                    }
                    continue;
                }
            };
            // Whoever knows a word knows what its beginnings do.
            for (prefix, more) in &prefixes {
                if let Piece::Prefix(beginning) = prefix
                    && prefix != &piece
                    && text.starts_with(beginning)
                {
                    steps.extend(more.iter());
                }
            }
            let leads = net.add_steps(steps);
            let number = net.known.len() as u32;
            net.known.push(Known { text: text.into(), leads, role: role_of(text) });
            match piece {
                Piece::Prefix(_) => net.prefixes.extend(key(text).map(|key| (key, number))),
                _ => exact.push((hash(text), number)),
            }
        }
        net.index(&exact);
        for (about, rules) in net.states.iter_mut().zip(self.finals) {
            let from = net.rules.len() as u32;
            net.rules.extend(rules);
            about.rules = (from, net.rules.len() as u32);
        }
        net
    }
}

fn role_of(word: &[u8]) -> u8 {
    let held = ROLES.iter().filter(|(_, words)| words.iter().any(|held| held.as_bytes() == word));
    held.fold(0, |role, (more, _)| role | more)
}

impl Net {
    /// Later states first, so that a word that leads to one and on from it does not do both at once.
    fn add_steps(&mut self, mut steps: Vec<Step>) -> Leads {
        let group = |step: &Step| if step.from == START { None } else { Some(self.about(step.from).group) };
        steps.sort_by_key(|step| (std::cmp::Reverse(step.to), step.from, step.need, step.gap));
        steps.dedup_by_key(|step| (step.to, step.from, step.need, step.gap));
        let mut by_group: BTreeMap<u8, Vec<Step>> = BTreeMap::new();
        let mut beginnings = Vec::new();
        for step in steps {
            match group(&step) {
                Some(group) => by_group.entry(group).or_default().push(step),
                None => beginnings.push(step),
            }
        }
        let leads = Leads {
            groups: by_group.keys().fold(0, |groups, group| groups | 1 << group),
            ranges: self.ranges.len() as u32,
        };
        for steps in by_group.into_values().chain([beginnings]) {
            let from = self.steps.len() as u32;
            self.steps.extend(steps);
            self.ranges.push((from, self.steps.len() as u32));
        }
        leads
    }

    fn index(&mut self, exact: &[(u32, u32)]) {
        let places = (4 * exact.len()).next_power_of_two().max(8);
        self.table = vec![(0, 0); places];
        for (hash, number) in exact {
            let mut at = *hash as usize;
            while self.table.get(at % places).is_some_and(|(_, held)| *held != 0) {
                at += 1;
            }
            if let Some(place) = self.table.get_mut(at % places) {
                *place = (*hash, number + 1);
            }
        }
        self.filter = Filter::of(exact.iter().map(|(hash, _)| *hash));
        let known = &self.known;
        let length = |number: u32| known.get(number as usize).map_or(0, |known| known.text.len());
        self.prefixes.sort_by_key(|(key, number)| (*key, std::cmp::Reverse(length(*number))));
        self.prefix_filter = Filter::of(self.prefixes.iter().map(|(key, _)| spread(*key)));
    }
}

const _: () = assert!(SHORTEST_PREFIX == 4, "`key` reads as many bytes");
