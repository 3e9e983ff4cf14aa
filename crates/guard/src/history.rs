//! What replies of one tool have looked like: a summary of fixed size, by which one that is unlike all others shows.
//!
//! Whoever decides what a tool says can also decide, with time, what is usual. So a summary forgets slowly, goes by what nearly all
//! replies have in common and not by extremes, and learns of replies that it finds odd only one in [`History::STUBBORN`].

use std::collections::BTreeSet;

use bartizan_mcp::{Message, Value, method};
use serde::{Deserialize, Serialize};

use crate::{CallSummary, DefinitionKind, Direction, Session};

pub(crate) mod orders;
mod traits;

pub use traits::Traits;

/// In what a reply differs from those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Odd {
    /// It is many times larger.
    Size,
    /// It has members, or types of them, that none had.
    Shape,
    /// It is in a script that none was in.
    Script,
    /// It is as dense as none was, as what is encoded or encrypted is.
    Entropy,
    /// It leads to a host that none led to.
    Links,
    /// It gives orders, which none did.
    Instructions,
    /// It is one of several errors in a row, which hardly any was.
    Errors,
}

/// The summary. It takes about two kibibytes, however many replies there were.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// Replies that were no errors.
    replies: u32,
    /// Runs of errors between them.
    errors: u32,
    errors_in_a_row: u32,
    sizes: Counts,
    entropies: Counts,
    scores: Counts,
    scripts: Counts,
    hosts: Seen,
    shapes: Seen,
    /// Odd replies since one was learnt from.
    held_back: u32,
}

impl History {
    /// Replies that are learnt from before anything is odd.
    pub const WARM_UP: u32 = 20;
    /// Of so many odd replies one is learnt from.
    pub const STUBBORN: u32 = 8;
    /// So many errors in a row are odd.
    const ERRORS: u32 = 5;
    /// Smaller replies are never large.
    const SMALL: u32 = 4096;

    /// What messages belong to the same summary: those of one tool that the server has listed, what it asks the client's
    /// model, and what that answers. Nothing of messages that belong to none.
    #[must_use]
    pub fn subject(
        message: &Message,
        direction: Direction,
        answers: Option<&CallSummary>,
        session: &Session,
    ) -> Option<String> {
        if direction == Direction::ToServer {
            let is_reply = answers.is_some_and(|call| &*call.method == method::SAMPLING_CREATE_MESSAGE);
            return (is_reply || brought(message).next().is_some()).then(|| "model".to_owned());
        }
        match answers {
            // Clients can call what there is not, under any number of names.
            Some(call) => {
                let tool =
                    call.tool.as_deref().filter(|tool| session.catalog.get(DefinitionKind::Tool, tool).is_some());
                tool.map(|tool| format!("tool {tool}"))
            }
            None => (message.method() == Some(method::SAMPLING_CREATE_MESSAGE)).then(|| "sampling".to_owned()),
        }
    }

    /// In what a reply differs.
    #[must_use]
    pub fn odd(&self, reply: &Traits) -> BTreeSet<Odd> {
        let mut odd = BTreeSet::new();
        if reply.is_error {
            let seldom = self.replies >= Self::WARM_UP && self.errors.saturating_mul(50) <= self.replies;
            // Said once, not of each that follows. The run itself is not what is usual.
            if seldom && self.errors_in_a_row + 1 == Self::ERRORS {
                odd.insert(Odd::Errors);
            }
        } else {
            self.odd_in_form(reply, &mut odd);
        }
        // An error may give orders just as well.
        if reply.score >= 5 && self.scores.is_warm() && self.scores.nearly_all() <= 2 {
            odd.insert(Odd::Instructions);
        }
        odd
    }

    fn odd_in_form(&self, reply: &Traits, odd: &mut BTreeSet<Odd>) {
        // Steps are half octaves: eight times as large as nearly all are.
        if reply.size >= Self::SMALL && self.sizes.is_warm() && step(reply.size) >= self.sizes.nearly_all() + 6 {
            odd.insert(Odd::Size);
        }
        if let Some(entropy) = reply.entropy
            && self.entropies.is_warm()
            && entropy >= self.entropies.nearly_all() + 12
        {
            odd.insert(Odd::Entropy);
        }
        // What brings many scripts may bring any.
        let (held, few) = (self.scripts.held(), self.scripts.is_warm());
        if few && held.len() <= 2 && reply.scripts.iter().any(|script| !held.contains(script)) {
            odd.insert(Odd::Script);
        }
        let never_linked = self.hosts.with == 0 && self.replies >= 2 * Self::WARM_UP;
        if self.hosts.is_new(&reply.hosts) && (never_linked || self.hosts.is_settled()) {
            odd.insert(Odd::Links);
        }
        if self.shapes.is_new(&reply.shape) && self.shapes.is_settled() {
            odd.insert(Odd::Shape);
        }
    }

    /// Learns from a reply.
    pub fn learn(&mut self, reply: &Traits) {
        let is_odd = self.odd(reply).iter().any(|odd| *odd != Odd::Errors);
        if is_odd {
            self.held_back += 1;
            if self.held_back < Self::STUBBORN {
                return;
            }
        }
        self.held_back = if is_odd { 0 } else { self.held_back };
        self.scores.count(reply.score);
        if reply.is_error {
            self.errors_in_a_row = self.errors_in_a_row.saturating_add(1);
            return;
        }
        // A run counts once, when it is over: it would be usual else by the time that it is one.
        self.errors = self.errors.saturating_add(u32::from(self.errors_in_a_row > 0));
        self.errors_in_a_row = 0;
        self.replies = self.replies.saturating_add(1);
        self.sizes.count(step(reply.size));
        reply.entropy.into_iter().for_each(|entropy| self.entropies.count(entropy));
        self.scripts.count_all(&reply.scripts);
        self.hosts.add(&reply.hosts);
        self.shapes.add(&reply.shape);
    }
}

/// What the client's model has answered, in the era in which the client makes its request again and has that with it.
fn brought(message: &Message) -> impl Iterator<Item = Value<'_>> {
    let answers = message.params().and_then(|params| params.get("inputResponses"));
    let answers = answers.into_iter().flat_map(Value::members).map(|(_, answer)| answer);
    // What a person was asked has an `action` in their place.
    answers.filter(|answer| answer.get("role").is_some() && answer.get("content").is_some())
}

/// Half octaves of a size.
fn step(size: u32) -> u8 {
    let octave = size.max(1).ilog2();
    let half = octave.checked_sub(1).map_or(0, |below| (size >> below) & 1);
    u8::try_from(2 * octave + half).unwrap_or(u8::MAX)
}

/// How often each of a few values came, of late more than long ago.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Counts(Vec<u16>);

impl Counts {
    /// Values are smaller than that.
    const VALUES: u8 = 128;
    /// Once so many are counted, each half is forgotten.
    const MOST: u32 = 512;

    fn total(&self) -> u32 {
        self.0.iter().map(|count| u32::from(*count)).sum()
    }

    fn is_warm(&self) -> bool {
        self.total() >= History::WARM_UP
    }

    /// No more than one in fifty was larger.
    fn nearly_all(&self) -> u8 {
        let (total, mut larger) = (self.total(), 0);
        for (value, count) in (0..Self::VALUES).zip(&self.0).rev() {
            larger += u32::from(*count);
            if larger * 50 > total {
                return value;
            }
        }
        0
    }

    fn count(&mut self, value: u8) {
        self.count_all(&[value]);
    }

    fn count_all(&mut self, values: &[u8]) {
        for value in values {
            let at = usize::from((*value).min(Self::VALUES - 1));
            if self.0.len() <= at {
                self.0.resize(at + 1, 0);
            }
            self.0.get_mut(at).into_iter().for_each(|count| *count = count.saturating_add(1));
        }
        if self.total() > Self::MOST {
            self.0.iter_mut().for_each(|count| *count /= 2);
        }
    }

    /// The values that came at all.
    fn held(&self) -> Vec<u8> {
        (0..Self::VALUES).zip(&self.0).filter(|(_, count)| **count > 0).map(|(value, _)| value).collect()
    }
}

/// What came before, by digest, and how often something new does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    /// The latest last.
    known: Vec<u64>,
    /// Replies that had any.
    with: u32,
    /// Whether each of the last 64 of those had a new one, the latest as the lowest bit.
    news: u64,
}

impl Seen {
    const MOST: usize = 128;

    fn is_new(&self, found: &[u64]) -> bool {
        found.iter().any(|digest| !self.known.contains(digest))
    }

    /// Whether hardly anything new has come of late. What brings news all the time, as a search does, is never settled.
    fn is_settled(&self) -> bool {
        self.with >= History::WARM_UP && self.news.count_ones() <= 1
    }

    fn add(&mut self, found: &[u64]) {
        if found.is_empty() {
            return;
        }
        self.with = self.with.saturating_add(1);
        self.news = self.news << 1 | u64::from(self.is_new(found));
        for digest in found {
            if !self.known.contains(digest) {
                self.known.push(*digest);
            }
        }
        let beyond = self.known.len().saturating_sub(Self::MOST);
        self.known.drain(..beyond);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is odd, and what makes a reply so.
    type Jump = (Odd, fn(&mut Traits));

    fn plain() -> Traits {
        let (entropy, scripts) = (Some(70), vec![0]);
        Traits { is_error: false, size: 1000, entropy, scripts, hosts: vec![1], shape: vec![1, 2], score: 0 }
    }

    fn after(replies: u32, of: &Traits) -> History {
        let mut history = History::default();
        (0..replies).for_each(|_| history.learn(of));
        history
    }

    #[test]
    fn whoever_jumps_is_reported_several_times_whatever_came_before() {
        let jumps: [Jump; 6] = [
            (Odd::Size, |reply| reply.size = 1_000_000),
            (Odd::Entropy, |reply| reply.entropy = Some(96)),
            (Odd::Script, |reply| reply.scripts = vec![2]),
            (Odd::Links, |reply| reply.hosts = vec![2]),
            (Odd::Shape, |reply| reply.shape = vec![3]),
            (Odd::Instructions, |reply| reply.score = 9),
        ];
        for (odd, jump) in jumps {
            for warm in [History::WARM_UP, 100, 5_000] {
                let mut history = after(warm, &plain());
                assert!(history.odd(&plain()).is_empty());
                let mut reply = plain();
                jump(&mut reply);
                let mut reported = 0;
                while !history.odd(&reply).is_empty() {
                    assert_eq!(history.odd(&reply), BTreeSet::from([odd]));
                    history.learn(&reply);
                    reported += 1;
                }
                assert!((History::STUBBORN..200).contains(&reported), "{odd:?} after {warm}: {reported}");
            }
        }
    }

    #[test]
    fn sizes_go_in_half_octaves() {
        for (size, expected) in [(0, 0), (1, 0), (2, 2), (3, 3), (4, 4), (6, 5), (8, 6), (u32::MAX, 63)] {
            assert_eq!(step(size), expected, "{size}");
        }
    }

    fn any_traits() -> impl Strategy<Value = Traits> {
        let lists = (prop::collection::vec(0_u8..14, 0..4), prop::collection::vec(any::<u64>(), 0..33));
        let shape = prop::collection::vec(any::<u64>(), 0..97);
        (any::<bool>(), any::<u32>(), prop::option::of(0_u8..129), lists, shape, 0_u8..11).prop_map(
            |(is_error, size, entropy, (scripts, hosts), shape, score)| Traits {
                is_error,
                size,
                entropy,
                scripts,
                hosts,
                shape,
                score,
            },
        )
    }

    proptest! {
        // Each of them is six hundred replies.
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn a_summary_stays_small_and_is_read_as_it_was_written(replies in prop::collection::vec(any_traits(), 0..120)) {
            let mut history = History::default();
            for reply in replies.iter().cycle().take(600) {
                history.learn(reply);
            }
            for counts in [&history.sizes, &history.entropies, &history.scores, &history.scripts] {
                prop_assert!(counts.0.len() <= usize::from(Counts::VALUES) && counts.total() <= Counts::MOST);
            }
            prop_assert!(history.hosts.known.len() <= Seen::MOST && history.shapes.known.len() <= Seen::MOST);
            let text = serde_json::to_string(&history).unwrap();
            prop_assert_eq!(serde_json::from_str::<History>(&text).unwrap(), history);
        }
    }
}
