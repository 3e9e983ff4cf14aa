//! What conversations are labelled with.
//!
//! **Threat.** A page gives the model orders, and the model does what they say with the next tool. A policy may close that
//! tool once such a page has come in, so the label must be there before the page is handed on, must go away neither with one
//! server's connection nor with the session, whoever ends that, and must be nobody else's. So it belongs to the session with
//! all its servers; of what was labelled it is remembered whose it is, and the next session of theirs begins with it. That a
//! client ends its session says little: many do after each task, and the model behind them still has the page. All that is
//! in this process, and no other one knows of it.

mod kept;
mod memory;
mod past;
mod seen;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bartizan_audit::Id;
use bartizan_guard::{Labelling, Labels, LabelsOf, Principal};

use self::kept::{Client, FEW, Key, Remembered};
pub(crate) use self::past::{Because, Origin};
use self::seen::{About, Whose};
pub use self::seen::{Cleared, Seen, SeenLabel};
use crate::{address, clock};

/// How long after its last use a labelled session is remembered that its client has not ended.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);

/// Who holds a client that has no session: what is remembered of all, and whoever asks.
const ALONE: usize = 2;

/// One conversation: a client's session, with however many servers.
#[derive(Debug)]
pub(crate) struct Conversation {
    own: Arc<Own>,
    client: Arc<Client>,
    /// What an operator is told of it.
    about: About,
    /// Whether it has whatever any session of its client has.
    is_shared: bool,
    /// Why it began with labels, if it did.
    because: Because,
    /// How long it is remembered after its last use, and after its client has ended it, in microseconds.
    remembered: i64,
    grace: i64,
}

/// What the sessions have in common that are one conversation.
#[derive(Debug)]
struct Own {
    labels: AtomicU8,
    /// Whether its client has said that it is over.
    is_over: AtomicBool,
}

/// By what a client is known again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Who<'a> {
    /// By whoever it acts for; where nobody is named by its address; and by what it calls itself.
    Calls(&'a Principal, IpAddr, &'a str),
    /// By the same, and what it asks for at one place is one conversation, whatever else its requests say.
    Asks(&'a Principal, IpAddr, &'a str, &'a str),
    /// By the process that starts servers and talks to them.
    Starts(&'a Principal, u32),
}

/// All conversations.
#[derive(Debug, Default)]
pub(crate) struct Conversations {
    /// By the name of the session in records.
    by_name: Mutex<Kept<Box<str>, Conversation>>,
    /// Of clients that have no sessions, and say with each request who they are.
    standing: Mutex<Kept<[u8; 32], Own>>,
    named: Mutex<Remembered>,
    /// Apart, as anybody may have many addresses: those take nothing from who is named.
    anonymous: Mutex<Remembered>,
}

/// What others hold, and how much there may be before it is looked for what nobody holds any more.
#[derive(Debug)]
struct Kept<K, V> {
    entries: HashMap<K, Weak<V>>,
    room: usize,
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Kept { entries: HashMap::new(), room: FEW }
    }
}

impl<K: Eq + Hash, V> Kept<K, V> {
    /// All that somebody holds.
    fn held(&self) -> impl Iterator<Item = Arc<V>> {
        self.entries.values().filter_map(Weak::upgrade)
    }

    fn find(&mut self, key: K, new: impl FnOnce() -> V) -> Arc<V> {
        if let Some(held) = self.entries.get(&key).and_then(Weak::upgrade) {
            return held;
        }
        if self.entries.len() >= self.room {
            self.entries.retain(|_, held| held.strong_count() > 0);
            self.room = FEW.max(self.entries.len() * 2);
        }
        let made = Arc::new(new());
        self.entries.insert(key, Arc::downgrade(&made));
        made
    }
}

impl Conversations {
    /// The conversation of a session that goes on; a new one, of nobody, if there is none.
    pub(crate) fn of(&self, name: &str) -> Arc<Conversation> {
        let of_nobody = || {
            let (own, _) = Own::begin(&Client::default());
            Conversation::new(
                Arc::new(own),
                Arc::default(),
                About::default(),
                Labelling::default(),
                (false, Because::Used),
            )
        };
        lock(&self.by_name).find(name.into(), of_nobody)
    }

    /// The conversation of a session that begins. It bears what sessions of the same client have come to and did not take
    /// along, and must be held by whoever begins it until the session is there.
    pub(crate) fn begin(&self, name: &str, who: Who<'_>, terms: Labelling) -> Arc<Conversation> {
        let key = who.key(terms.of);
        let all = if who.principal().is_anonymous() { &self.anonymous } else { &self.named };
        let client = lock(all).client(key, clock::steady().0);
        // What was brought lapses with the labels that it came with, unless there is a session that it was brought to.
        if Arc::strong_count(&client) <= ALONE && lock(&client.past).left(clock::steady().0).is_empty() {
            lock(&client.memory).lapse();
        }
        let about = About::new(name, client.whose.get_or_init(|| Whose::of(who)).clone());
        let is_shared = terms.of == LabelsOf::Principal || matches!(who, Who::Starts(..));
        lock(&self.by_name).find(name.into(), || {
            let mut because = Because::Used;
            let mut new = || {
                let own;
                (own, because) = Own::begin(&client);
                own
            };
            let own = match who {
                Who::Asks(.., at) => lock(&self.standing).find(key.at(at), new),
                Who::Calls(..) | Who::Starts(..) => Arc::new(new()),
            };
            Conversation::new(own, client, about, terms, (is_shared, because))
        })
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Who<'a> {
    pub(crate) fn principal(self) -> &'a Principal {
        let (Who::Calls(principal, ..) | Who::Asks(principal, ..) | Who::Starts(principal, _)) = self;
        principal
    }

    /// Names that differ only in case are one person's, and a machine has as many addresses as it likes of IPv6, and of those
    /// by which it reaches itself.
    fn key(self, of: LabelsOf) -> Key {
        let principal = self.principal();
        let id = Principal::folded(&principal.id).unwrap_or_else(|| principal.id.to_string());
        let (from, client) = match self {
            Who::Starts(_, process) => (None, format!("starts {process}")),
            Who::Calls(_, from, name) | Who::Asks(_, from, name, _) => {
                let from = if from.to_canonical().is_loopback() { Ipv4Addr::LOCALHOST.into() } else { from };
                let name = (of == LabelsOf::Session).then_some(name);
                (principal.is_anonymous().then(|| address::block(from)), format!("calls {name:?}"))
            }
        };
        let holder = digest(&format!("{id:?} {:?} {from:?}", principal.tenant));
        Key { holder, client: digest(&client) }
    }
}

impl Key {
    /// This client at one place.
    fn at(&self, place: &str) -> [u8; 32] {
        digest(&format!("{:?} {:?} {place}", self.holder, self.client))
    }
}

fn digest(text: &str) -> [u8; 32] {
    *blake3::hash(text.as_bytes()).as_bytes()
}

/// In microseconds.
fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

impl Own {
    fn begin(client: &Client) -> (Own, Because) {
        let (labels, because) = lock(&client.past).begin(clock::steady().0);
        (Own { labels: AtomicU8::new(labels.bits()), is_over: AtomicBool::new(false) }, because)
    }

    fn load(&self) -> Labels {
        Labels::from_bits(self.labels.load(Ordering::Acquire))
    }

    /// Bears nothing any more.
    fn forget(&self) {
        self.labels.store(Labels::NONE.bits(), Ordering::Release);
    }

    /// What it bore before.
    fn bear(&self, labels: Labels) -> Labels {
        Labels::from_bits(self.labels.fetch_or(labels.bits(), Ordering::AcqRel))
    }
}

impl Conversation {
    fn new(
        own: Arc<Own>,
        client: Arc<Client>,
        about: About,
        terms: Labelling,
        (is_shared, because): (bool, Because),
    ) -> Conversation {
        let grace = micros(terms.after_end);
        Conversation { own, client, about, is_shared, because, remembered: micros(REMEMBERED).max(grace), grace }
    }

    /// What it is labelled with, for a message that is to be judged.
    pub(crate) fn labels(&self) -> Labels {
        if self.own.load().is_empty() && !self.is_shared {
            return Labels::NONE;
        }
        let now = clock::steady().0;
        let mut past = lock(&self.client.past);
        // Only now: what was there a moment ago may have been reset.
        let own = self.own.load();
        let all = if self.is_shared { own.with(past.left(now)) } else { own };
        if !all.is_empty() && !self.own.is_over.load(Ordering::Relaxed) {
            let before = self.own.bear(all);
            past.is_used(all, before.is_empty(), now.saturating_add(self.remembered), now);
        }
        all
    }

    /// Labels it from now on, because of what reaches its client in `session`; what it was not labelled with before.
    /// Whatever is judged after this has returned sees it.
    pub(crate) fn raise(&self, labels: Labels, session: &str) -> Labels {
        if labels.is_empty() {
            return labels;
        }
        let now = clock::steady().0;
        let mut past = lock(&self.client.past);
        let shared = if self.is_shared { past.left(now) } else { Labels::NONE };
        // Also if it is over: what was under way reaches its client all the same.
        let before = self.own.bear(labels);
        if self.own.is_over.load(Ordering::Relaxed) {
            past.comes_late(labels, now.saturating_add(self.grace), now);
        } else {
            past.is_used(labels, before.is_empty(), now.saturating_add(self.remembered), now);
        }
        past.is_found(Origin { session: session.into(), entry: None });
        let raised = labels.without(before.with(shared));
        seen::note(past.given_mut(), raised, session);
        raised
    }

    /// Says in which entry it is what raised labels last; these labels are new by that, from a server and a tool of it.
    pub(crate) fn is_recorded(&self, session: &str, entry: Id, raised: Labels, of: (&Arc<str>, Option<&Arc<str>>)) {
        let mut past = lock(&self.client.past);
        past.is_found(Origin { session: session.into(), entry: Some(entry) });
        seen::recorded(past.given_mut(), raised, session, entry, of);
    }

    /// Why it began with labels, if it did, and where they were found, if that is known.
    pub(crate) fn whence(&self) -> (Because, Option<Origin>) {
        (self.because, lock(&self.client.past).origin().cloned())
    }

    /// Its client says that it is over: what it bears is handed on for a while, unless there are more that bear it.
    pub(crate) fn is_ended_by_client(&self) {
        let mut past = lock(&self.client.past);
        if self.is_shared || self.own.is_over.swap(true, Ordering::Relaxed) {
            return;
        }
        let labels = self.own.load();
        if !labels.is_empty() {
            past.is_ended(labels, self.grace, clock::steady().0);
        }
    }
}
