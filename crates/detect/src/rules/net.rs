//! All patterns as one net: from each word to the states that it leads between.
//!
//! A state says that the beginning of a pattern has been read, and where it ended. Whatever may come behind it may come
//! behind the latest such end, so that one is all that is kept, and a text takes as many steps as it has words, times at most
//! the number of places at which one word stands in the patterns.
//!
//! Most words of a text are common ones, which stand in many patterns. So each pattern waits for its two rarest parts, its
//! triggers: none begins unless both are near.

use std::collections::BTreeMap;

use super::common::Shares;
use super::pattern::{Piece, SHORTEST_PREFIX, Slot};
use super::words::{Letters, Packed, Token, What};

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

/// Patterns with the same triggers are one group, or several such: as long as these have not been seen none of it begins, and as long
/// as none of it has begun, no word has to be held against the others of it.
pub(super) const GROUPS: usize = 128;
/// How many words before its triggers a pattern may begin.
pub(super) const AHEAD: usize = 64;

/// A word that some pattern knows.
#[derive(Debug)]
pub(super) struct Known {
    text: Box<[u8]>,
    packed: Packed,
    pub(super) leads: Leads,
    pub(super) role: u8,
}

/// The groups that wait for a word, or for one of several.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Triggers {
    rarest: u128,
    next: u128,
}

impl Triggers {
    pub(super) fn or(self, other: Triggers) -> Triggers {
        Triggers { rarest: self.rarest | other.rarest, next: self.next | other.next }
    }

    /// The groups that wait no more.
    pub(super) fn ready(self) -> u128 {
        self.rarest & self.next
    }
}

/// Where a word leads.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Leads {
    /// The groups that wait for it.
    pub(super) triggers: Triggers,
    /// The groups in which something begins with it.
    pub(super) begins: u128,
    /// The groups in which it leads on from a state.
    pub(super) goes_on: u128,
    /// Its bundles of steps: up to the middle those that go on, behind it those that begin.
    first: u32,
    middle: u32,
    last: u32,
}

/// Steps of one group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bundle {
    pub(super) group: u8,
    from: u32,
    to: u32,
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
    bundles: Vec<Bundle>,
    steps: Vec<Step>,
    states: Vec<About>,
    rules: Vec<u16>,
}

/// Tells at once of most words that they are not known.
#[derive(Debug)]
struct Filter(Box<[u64; Filter::WORDS]>);

impl Filter {
    const WORDS: usize = 1 << 9;

    fn of(hashes: impl Iterator<Item = u32>) -> Filter {
        let mut filter = Filter(Box::new([0; Filter::WORDS]));
        for hash in hashes {
            if let Some(word) = filter.0.get_mut(Filter::word(hash)) {
                *word |= 1 << (hash % 64);
            }
        }
        filter
    }

    fn word(hash: u32) -> usize {
        hash as usize / 64 % Filter::WORDS
    }

    #[inline(always)]
    fn may_hold(&self, hash: u32) -> bool {
        self.0.get(Filter::word(hash)).is_some_and(|word| word >> (hash % 64) & 1 == 1)
    }
}

/// The first bytes of a word.
fn key(packed: &Packed) -> u32 {
    packed.bytes.first().map_or(0, |bytes| *bytes as u32)
}

fn spread(key: u32) -> u32 {
    key.wrapping_mul(0x9E37_79B1) >> 16
}

impl Net {
    pub(super) fn states(&self) -> usize {
        self.states.len()
    }

    /// What is known by that number.
    pub(super) fn known(&self, number: u32) -> Option<&Known> {
        self.known.get(number as usize)
    }

    /// The number by which a word is known.
    #[inline(always)]
    pub(super) fn find(&self, token: &Token<'_>) -> Option<u32> {
        let word = matches!(token.what, What::Word | What::Name);
        let exact = self.filter.may_hold(token.packed.short());
        let begins = self.prefix_filter.may_hold(spread(key(&token.packed)));
        // Of most words all of this is told at once, in one branch.
        if word & (exact | begins | (token.letters != Letters::All && token.is_set_in_marks())) {
            self.find_slowly(token)
        } else {
            None
        }
    }

    fn find_slowly(&self, token: &Token<'_>) -> Option<u32> {
        self.exact(&token.packed, token.word(), token.plain)
            .or_else(|| self.beginning(token))
            .or_else(|| self.within(token))
    }

    #[inline]
    fn exact(&self, packed: &Packed, word: &[u8], plain: bool) -> Option<u32> {
        // As many places as a power of two.
        let (short, mask) = (packed.short(), self.table.len().wrapping_sub(1));
        let mut at = short as usize;
        loop {
            let (hash, number) = *self.table.get(at & mask)?;
            let number = number.checked_sub(1)?;
            if hash == short && self.known(number)?.is(packed, word, plain) {
                return Some(number);
            }
            at += 1;
        }
    }

    /// A word that is set in underscores for emphasis, or that follows a full stop without a space.
    #[inline]
    fn within(&self, token: &Token<'_>) -> Option<u32> {
        let is_mark = |byte: &u8| matches!(byte, b'_' | b'.');
        if !token.is_set_in_marks() {
            return None;
        }
        let start = token.word().iter().take_while(|byte| is_mark(byte)).count();
        let rest = token.word().get(start..).unwrap_or_default();
        let end = rest.iter().rposition(|byte| !is_mark(byte)).map_or(0, |last| last + 1);
        let word = rest.get(..end).filter(|word| !word.is_empty())?;
        self.exact(&Packed::of(word), word, true)
    }

    #[inline]
    fn beginning(&self, token: &Token<'_>) -> Option<u32> {
        let key = key(&token.packed);
        if token.word().len() < SHORTEST_PREFIX || !self.prefix_filter.may_hold(spread(key)) {
            return None;
        }
        let first = self.prefixes.partition_point(|(held, _)| *held < key);
        let alike = self.prefixes.iter().skip(first).take_while(|(held, _)| *held == key);
        alike.map(|(_, number)| *number).find(|number| {
            let beginning = self.known(*number).map_or(&[][..], |known| &known.text);
            token.word().get(..beginning.len()).is_some_and(|word| word.eq_ignore_ascii_case(beginning))
        })
    }

    pub(super) fn of(&self, what: What) -> Option<&Leads> {
        self.atoms.get(what as usize)
    }

    /// The steps from states, by group.
    #[inline]
    pub(super) fn going_on(&self, leads: &Leads) -> &[Bundle] {
        self.bundles.get(leads.first as usize..leads.middle as usize).unwrap_or_default()
    }

    /// The steps with which patterns begin, by group.
    #[inline]
    pub(super) fn beginning_with(&self, leads: &Leads) -> &[Bundle] {
        self.bundles.get(leads.middle as usize..leads.last as usize).unwrap_or_default()
    }

    #[inline]
    pub(super) fn steps(&self, bundle: Bundle) -> &[Step] {
        self.steps.get(bundle.from as usize..bundle.to as usize).unwrap_or_default()
    }

    pub(super) fn about(&self, state: u32) -> About {
        self.states.get(state as usize).copied().unwrap_or_default()
    }

    /// The rules that have matched once a state is reached.
    pub(super) fn matched(&self, about: About) -> &[u16] {
        self.rules.get(about.rules.0 as usize..about.rules.1 as usize).unwrap_or_default()
    }
}

impl Known {
    /// Whether a word with the same hash is this one.
    #[inline]
    fn is(&self, packed: &Packed, word: &[u8], plain: bool) -> bool {
        if plain && word.len() <= 16 {
            self.packed.bytes == packed.bytes && self.text.len() == word.len()
        } else {
            self.text.eq_ignore_ascii_case(word)
        }
    }
}

/// Makes a net.
#[derive(Debug, Default)]
pub(super) struct Builder {
    steps: BTreeMap<Piece, Vec<Step>>,
    /// Patterns that begin alike share what is alike.
    shared: BTreeMap<(u32, u8, Slot), u32>,
    finals: Vec<Vec<u16>>,
    /// Of each state the group.
    groups: Vec<u8>,
    /// Each trigger with its group, and of each word of one the groups.
    triggers: BTreeMap<[Vec<Piece>; 2], u8>,
    triggering: BTreeMap<Piece, Triggers>,
    shares: Shares,
}

impl Builder {
    /// States of all patterns together; more would cost memory with each text.
    pub(super) const MAX_STATES: usize = 60_000;

    /// Adds a pattern of a rule; `None` if there are too many.
    pub(super) fn add(&mut self, pattern: Vec<Slot>, rule: u16) -> Option<()> {
        let mut state = START;
        let group = self.group(triggers(&pattern, &self.shares));
        for slot in pattern {
            if self.finals.len() > Builder::MAX_STATES {
                return None;
            }
            state = self.slot(state, group, slot);
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

    fn group(&mut self, triggers: [Vec<Piece>; 2]) -> u8 {
        if let Some(group) = self.triggers.get(&triggers) {
            return *group;
        }
        let group = (self.triggers.len() % GROUPS) as u8;
        let [rarest, next] = &triggers;
        for piece in rarest {
            self.triggering.entry(piece.clone()).or_default().rarest |= 1 << group;
        }
        for piece in next {
            self.triggering.entry(piece.clone()).or_default().next |= 1 << group;
        }
        self.triggers.insert(triggers, group);
        group
    }

    fn slot(&mut self, from: u32, group: u8, slot: Slot) -> u32 {
        let key = (from, group, slot);
        if let Some(known) = self.shared.get(&key) {
            return *known;
        }
        // A state has a higher number than those that lead to it.
        let mut inner: BTreeMap<&[Piece], u32> = BTreeMap::new();
        for alternative in &key.2.alternatives {
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
        for alternative in &key.2.alternatives {
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
                    None => (from, key.2.gap, key.2.first),
                };
                let need = first | if is_last { key.2.last } else { 0 };
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
            filter: Filter::of(std::iter::empty()),
            prefixes: Vec::new(),
            prefix_filter: Filter::of(std::iter::empty()),
            atoms: [Leads::default(); 5],
            bundles: Vec::new(),
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
        let triggering = |piece: &Piece| self.triggering.get(piece).copied().unwrap_or_default();
        for (piece, steps) in &self.steps {
            let mut steps = steps.clone();
            let mut triggers = triggering(piece);
            let text: &[u8] = match piece {
                Piece::Word(text) | Piece::Prefix(text) => text,
                Piece::Atom(what) => {
                    let leads = net.add_steps(steps, triggers);
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
                    triggers = triggers.or(triggering(prefix));
                }
            }
            let leads = net.add_steps(steps, triggers);
            let number = net.known.len() as u32;
            let packed = Packed::of(text);
            net.known.push(Known { text: text.into(), packed, leads, role: role_of(text) });
            match piece {
                Piece::Prefix(_) => net.prefixes.push((key(&packed), number)),
                _ => exact.push((packed.short(), number)),
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

/// What a pattern waits for: of its parts the two rarest, as the rarest word of each of their alternatives. What has one part
/// waits for it twice.
fn triggers(pattern: &[Slot], shares: &Shares) -> [Vec<Piece>; 2] {
    let share = |piece: &Piece| match piece {
        Piece::Word(word) => shares.of(word),
        Piece::Prefix(_) => 20,
        Piece::Atom(What::OpenUrl) => 5,
        Piece::Atom(_) => 300,
    };
    let mut ahead = 0;
    let mut all = Vec::new();
    for slot in pattern {
        let longest = slot.alternatives.iter().map(Vec::len).max().unwrap_or(0);
        ahead += usize::from(slot.gap) + longest;
        if ahead > AHEAD && !all.is_empty() {
            break;
        }
        let rarest = slot.alternatives.iter().filter_map(|pieces| pieces.iter().min_by_key(|piece| share(piece)));
        let mut pieces: Vec<_> = rarest.cloned().collect();
        pieces.sort();
        pieces.dedup();
        all.push((pieces.iter().map(share).sum::<u32>(), pieces));
    }
    all.sort();
    let mut all = all.into_iter().map(|(_, pieces)| pieces);
    let rarest = all.next().unwrap_or_default();
    [rarest.clone(), all.next().unwrap_or(rarest)]
}

fn role_of(word: &[u8]) -> u8 {
    let held = ROLES.iter().filter(|(_, words)| words.iter().any(|held| held.as_bytes() == word));
    held.fold(0, |role, (more, _)| role | more)
}

impl Net {
    /// Later states first, so that a word that leads to one and on from it does not do both at once.
    fn add_steps(&mut self, mut steps: Vec<Step>, triggers: Triggers) -> Leads {
        steps.sort_by_key(|step| (std::cmp::Reverse(step.to), step.from, step.need, step.gap));
        steps.dedup_by_key(|step| (step.to, step.from, step.need, step.gap));
        let (mut going_on, mut beginning) = (BTreeMap::new(), BTreeMap::new());
        for step in steps {
            let of = if step.from == START { &mut beginning } else { &mut going_on };
            of.entry(self.about(step.to).group).or_insert_with(Vec::new).push(step);
        }
        let mask = |groups: &BTreeMap<u8, Vec<Step>>| groups.keys().fold(0, |mask, group| mask | 1 << group);
        let (begins, goes_on) = (mask(&beginning), mask(&going_on));
        let first = self.bundles.len() as u32;
        let middle = first + going_on.len() as u32;
        for (group, steps) in going_on.into_iter().chain(beginning) {
            let from = self.steps.len() as u32;
            self.steps.extend(steps);
            self.bundles.push(Bundle { group, from, to: self.steps.len() as u32 });
        }
        Leads { triggers, begins, goes_on, first, middle, last: self.bundles.len() as u32 }
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
