//! What conversations are labelled with.
//!
//! **Threat.** A page gives the model orders, and the model does what they say with the next tool. A policy may close that
//! tool once such a page has come in, so the label must be there before the page is handed on, must go away neither with one
//! server's connection nor with the session when something else ends that than the client itself, and must be nobody
//! else's. So it belongs to the session with all its servers; of what was labelled it is remembered whose it is, and the
//! next session of theirs begins with it. All that is in this process, and no other one knows of it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bartizan_guard::{Labels, LabelsOf, Principal};

use crate::{address, clock};

/// How long after its last use a labelled session is remembered, in microseconds.
const REMEMBERED: i64 = 60 * 60 * 1_000_000;
/// How many of those are whose sessions were labelled and who have none any more; the longest unused are forgotten first.
const MOST: usize = 65_536;
/// How many entries there are before it is looked for the first time which of them nobody needs.
const FEW: usize = 1_024;

/// One conversation: a client's session, with however many servers.
#[derive(Debug)]
pub(crate) struct Conversation {
    own: AtomicU8,
    client: Arc<Client>,
    /// Whether it has whatever any session of its client has.
    is_shared: bool,
    /// Whether its client has said that it is over.
    is_over: AtomicBool,
}

/// What is remembered of a client from one session to the next.
#[derive(Debug, Default)]
struct Client(Mutex<Past>);

#[derive(Debug, Default)]
struct Past {
    labels: Labels,
    /// Labelled sessions that their client has not ended.
    labelled: u32,
    /// When one of them was last used, by a clock that does not jump.
    used: i64,
}

/// By what a client is known again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Who<'a> {
    /// By whoever it acts for; where nobody is named by its address; and by what it calls itself.
    Calls(&'a Principal, IpAddr, &'a str),
    /// By the process that starts servers and talks to them.
    Starts(&'a Principal, u32),
}

/// All conversations.
#[derive(Debug, Default)]
pub(crate) struct Conversations {
    /// By the name of the session in records.
    by_name: Mutex<Kept<Box<str>, Weak<Conversation>>>,
    clients: Mutex<Kept<[u8; 32], Arc<Client>>>,
}

/// Entries, and how many there may be before those are looked for that nobody needs.
#[derive(Debug)]
struct Kept<K, V> {
    entries: HashMap<K, V>,
    room: usize,
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Kept { entries: HashMap::new(), room: FEW }
    }
}

impl Conversations {
    /// The conversation of a session that goes on; a new one, of nobody, if there is none.
    pub(crate) fn of(&self, name: &str) -> Arc<Conversation> {
        self.find(name, || Conversation::new(Arc::default(), false))
    }

    /// The conversation of a session that begins. It bears what sessions of the same client have come to and did not take
    /// along, and must be held by whoever begins it until the session is there.
    pub(crate) fn begin(&self, name: &str, who: Who<'_>, of: LabelsOf) -> Arc<Conversation> {
        let is_shared = of == LabelsOf::Principal || matches!(who, Who::Starts(..));
        let client = self.client(who.digest(of));
        self.find(name, || Conversation::new(client, is_shared))
    }

    fn find(&self, name: &str, new: impl FnOnce() -> Conversation) -> Arc<Conversation> {
        let mut kept = lock(&self.by_name);
        if let Some(held) = kept.entries.get(name).and_then(Weak::upgrade) {
            return held;
        }
        if kept.entries.len() >= kept.room {
            kept.entries.retain(|_, held| held.strong_count() > 0);
            kept.room = FEW.max(kept.entries.len() * 2);
        }
        let made = Arc::new(new());
        kept.entries.insert(name.into(), Arc::downgrade(&made));
        made
    }

    fn client(&self, digest: [u8; 32]) -> Arc<Client> {
        let mut kept = lock(&self.clients);
        if let Some(held) = kept.entries.get(&digest) {
            return Arc::clone(held);
        }
        if kept.entries.len() >= kept.room {
            forget(&mut kept.entries);
            kept.room = FEW.max(kept.entries.len() * 2);
        }
        Arc::clone(kept.entries.entry(digest).or_default())
    }
}

/// Forgets who has no session and either no label that counts any more, or more of them than anybody keeps.
fn forget(clients: &mut HashMap<[u8; 32], Arc<Client>>) {
    let now = clock::steady().0;
    let is_held = |client: &Arc<Client>| Arc::strong_count(client) > 1;
    clients.retain(|_, client| is_held(client) || !lock(&client.0).left(now).is_empty());
    let mut gone: Vec<_> =
        clients.values().filter(|client| !is_held(client)).map(|client| lock(&client.0).used).collect();
    if gone.len() > MOST {
        let enough = gone.len() - MOST / 2;
        let (_, eldest, _) = gone.select_nth_unstable(enough);
        let eldest = *eldest;
        clients.retain(|_, client| is_held(client) || lock(&client.0).used > eldest);
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Who<'_> {
    /// Names that differ only in case are one person's, and of IPv6 a machine has as many addresses as it likes.
    fn digest(self, of: LabelsOf) -> [u8; 32] {
        let named = |principal: &Principal| {
            let id = Principal::folded(&principal.id).unwrap_or_else(|| principal.id.to_string());
            format!("{id:?} {:?}", principal.tenant)
        };
        let text = match self {
            Who::Starts(principal, process) => format!("starts {} {process}", named(principal)),
            Who::Calls(principal, from, name) => {
                let from = principal.is_anonymous().then(|| address::block(from));
                let name = (of == LabelsOf::Session).then_some(name);
                format!("calls {} {from:?} {name:?}", named(principal))
            }
        };
        *blake3::hash(text.as_bytes()).as_bytes()
    }
}

impl Past {
    /// What the next session begins with.
    fn left(&self, now: i64) -> Labels {
        if now.saturating_sub(self.used) > REMEMBERED { Labels::NONE } else { self.labels }
    }

    /// Adds to it, as something was used just now.
    fn add(&mut self, labels: Labels, now: i64) {
        (self.labels, self.used) = (self.left(now).with(labels), now);
    }
}

impl Conversation {
    fn new(client: Arc<Client>, is_shared: bool) -> Conversation {
        let own = {
            let mut past = lock(&client.0);
            let left = past.left(clock::steady().0);
            past.labelled = past.labelled.saturating_add((!left.is_empty()).into());
            left
        };
        Conversation { own: AtomicU8::new(own.bits()), client, is_shared, is_over: AtomicBool::new(false) }
    }

    /// What it is labelled with, for a message that is to be judged.
    pub(crate) fn labels(&self) -> Labels {
        let own = Labels::from_bits(self.own.load(Ordering::Acquire));
        if own.is_empty() && !self.is_shared {
            return own;
        }
        let now = clock::steady().0;
        let mut past = lock(&self.client.0);
        let all = if self.is_shared { own.with(past.left(now)) } else { own };
        if !all.is_empty() && !self.is_over.load(Ordering::Relaxed) {
            self.bear(all, &mut past);
            past.add(all, now);
        }
        all
    }

    /// Labels it from now on; what it was not labelled with before. Whatever is judged after this has returned sees it.
    pub(crate) fn raise(&self, labels: Labels) -> Labels {
        if labels.is_empty() {
            return labels;
        }
        let now = clock::steady().0;
        let mut past = lock(&self.client.0);
        let shared = if self.is_shared { past.left(now) } else { Labels::NONE };
        // Also if it is over: what was under way reaches its client all the same.
        let before = self.bear(labels, &mut past);
        past.add(labels, now);
        labels.without(before.with(shared))
    }

    /// What it bore before.
    fn bear(&self, labels: Labels, past: &mut Past) -> Labels {
        let before = Labels::from_bits(self.own.fetch_or(labels.bits(), Ordering::AcqRel));
        if before.is_empty() {
            past.labelled = past.labelled.saturating_add(1);
        }
        before
    }

    /// Its client says that it is over: the next one is another conversation, unless there are more that are labelled.
    pub(crate) fn is_ended_by_client(&self) {
        if self.is_shared || self.is_over.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut past = lock(&self.client.0);
        if self.own.load(Ordering::Acquire) != 0 {
            past.labelled = past.labelled.saturating_sub(1);
            if past.labelled == 0 {
                past.labels = Labels::NONE;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use bartizan_guard::Label;

    use super::*;

    const UNTRUSTED: Labels = Labels::of(Label::Untrusted);
    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn principal(id: &str, tenant: Option<&str>) -> Principal {
        Principal { tenant: tenant.map(Into::into), ..Principal::new(id) }
    }

    fn begin(all: &Conversations, name: &str, id: &str) -> Arc<Conversation> {
        all.begin(name, Who::Calls(&principal(id, None), HERE, "app"), LabelsOf::Session)
    }

    #[test]
    fn all_servers_of_a_session_have_one_conversation() {
        let all = Conversations::default();
        let held = begin(&all, "s", "ann");
        assert!(Arc::ptr_eq(&held, &all.of("s")) && !Arc::ptr_eq(&held, &all.of("t")));
        assert_eq!(all.of("s").labels(), Labels::NONE);
        assert_eq!(all.of("s").raise(UNTRUSTED), UNTRUSTED);
        assert_eq!((held.raise(UNTRUSTED), held.labels()), (Labels::NONE, UNTRUSTED), "it is raised once");
        assert_eq!(all.of("t").labels(), Labels::NONE);
    }

    #[test]
    fn a_fresh_session_sheds_nothing_unless_the_client_has_ended_the_one_before() {
        let all = Conversations::default();
        let (before, open) = (begin(&all, "1", "ann"), begin(&all, "2", "ann"));
        before.raise(UNTRUSTED);
        assert_eq!(open.labels(), Labels::NONE, "another conversation that goes on is another one");
        // Beside it, and in its place, once its server or the gateway has ended it.
        let second = begin(&all, "3", "ann");
        drop(before);
        let third = begin(&all, "4", "ann");
        assert_eq!((second.labels(), third.labels()), (UNTRUSTED, UNTRUSTED));
        assert_eq!(second.raise(UNTRUSTED), Labels::NONE);
        // One of them is still labelled, and one was dropped without a word.
        second.is_ended_by_client();
        assert_eq!((second.labels(), begin(&all, "5", "ann").labels()), (UNTRUSTED, UNTRUSTED));

        let clean = Conversations::default();
        let before = begin(&clean, "1", "ann");
        before.raise(UNTRUSTED);
        before.is_ended_by_client();
        before.is_ended_by_client();
        assert_eq!(before.labels(), UNTRUSTED, "what is under way in it is judged as before");
        assert_eq!(begin(&clean, "2", "ann").labels(), Labels::NONE);
        before.raise(UNTRUSTED);
        assert_eq!(begin(&clean, "3", "ann").labels(), UNTRUSTED, "what came after the end has come in all the same");
    }

    #[test]
    fn labels_are_nobody_elses() {
        let all = Conversations::default();
        let v6 = |text: &str| IpAddr::V6(text.parse::<Ipv6Addr>().unwrap());
        let far = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let (ann, bob, nobody) = (principal("ann", None), principal("bob", None), Principal::anonymous());
        let (one, other) = (principal("ann", Some("one")), principal("ann", Some("other")));
        let labelled = |who: Who<'_>, of| {
            all.begin("before", who, of).raise(UNTRUSTED);
        };
        for of in [LabelsOf::Session, LabelsOf::Principal] {
            labelled(Who::Calls(&one, HERE, "app"), of);
            labelled(Who::Calls(&nobody, v6("2001:db8::1"), "app"), of);
            labelled(Who::Starts(&ann, 7), of);
            let by_name = of == LabelsOf::Principal;
            for (who, is_theirs) in [
                (Who::Calls(&one, far, "app"), true),
                (Who::Calls(&principal("ANN", Some("one")), HERE, "app"), true),
                (Who::Calls(&one, HERE, "other"), by_name),
                (Who::Calls(&other, HERE, "app"), false),
                (Who::Calls(&ann, HERE, "app"), false),
                (Who::Calls(&bob, HERE, "app"), false),
                (Who::Calls(&nobody, v6("2001:db8::2"), "app"), true),
                (Who::Calls(&nobody, v6("2001:db8:0:1::1"), "app"), false),
                (Who::Calls(&nobody, HERE, "app"), false),
                (Who::Starts(&ann, 7), true),
                (Who::Starts(&ann, 8), false),
            ] {
                let next = all.begin(&format!("{who:?} {of:?}"), who, of);
                assert_eq!(!next.labels().is_empty(), is_theirs, "{who:?} {of:?}");
            }
        }
    }

    #[test]
    fn where_they_are_the_principals_sessions_that_go_on_have_them_too() {
        let all = Conversations::default();
        let ann = principal("ann", None);
        let of = |name: &str, client| all.begin(name, Who::Calls(&ann, HERE, client), LabelsOf::Principal);
        let (reads, sends) = (of("1", "app"), of("2", "other"));
        assert_eq!(reads.raise(UNTRUSTED), UNTRUSTED);
        assert_eq!((sends.labels(), sends.raise(UNTRUSTED)), (UNTRUSTED, Labels::NONE));
        reads.is_ended_by_client();
        assert_eq!(of("3", "third").labels(), UNTRUSTED);
        // So have the servers that one program starts.
        let starts = |name: &str| all.begin(name, Who::Starts(&ann, 7), LabelsOf::Session);
        let (web, mail) = (starts("4"), starts("5"));
        web.raise(UNTRUSTED);
        assert_eq!(mail.labels(), UNTRUSTED);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_no_session_any_more_is_remembered_for_a_while() {
        let all = Conversations::default();
        let minutes = async |count: u64| tokio::time::advance(std::time::Duration::from_secs(60 * count)).await;
        let before = begin(&all, "1", "ann");
        before.raise(UNTRUSTED);
        minutes(50).await;
        assert_eq!(before.labels(), UNTRUSTED, "and used again");
        drop(before);
        minutes(50).await;
        let next = begin(&all, "2", "ann");
        minutes(61).await;
        assert_eq!(begin(&all, "3", "ann").labels(), Labels::NONE);
        assert_eq!(next.labels(), UNTRUSTED, "a session keeps it for as long as it lasts");
        assert_eq!(begin(&all, "4", "ann").labels(), UNTRUSTED);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let all = Conversations::default();
        for number in 0..3 * FEW {
            begin(&all, &format!("clean {number}"), &format!("u{number}"));
        }
        assert!(lock(&all.by_name).entries.len() <= FEW && lock(&all.clients).entries.len() <= FEW);
        let first = begin(&all, "first", "first");
        first.raise(UNTRUSTED);
        for number in 0..2 * MOST + 9 {
            begin(&all, &format!("labelled {number}"), &format!("v{number}")).raise(UNTRUSTED);
        }
        assert!(lock(&all.clients).entries.len() <= 2 * MOST + FEW, "{}", lock(&all.clients).entries.len());
        assert_eq!(
            begin(&all, "next", "first").labels(),
            UNTRUSTED,
            "a flood takes nothing from a session that goes on"
        );
    }
}
