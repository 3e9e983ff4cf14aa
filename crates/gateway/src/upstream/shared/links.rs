//! Who uses a shared child, and what of it is whose.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bartizan_mcp::Id;
use tokio::sync::mpsc;

use super::super::Reply;
use crate::subscribed::Subscribed;

/// Messages that wait for one client; what is over that, it does not get, so that nobody waits for it.
const QUEUE: usize = 64;
/// Tasks whose client is remembered; whoever has the most forgets its oldest for a new one.
const TASKS: usize = 50_000;
/// Resources that one client may be subscribed to.
const SUBSCRIPTIONS: usize = 10_000;
/// Subscriptions of one client that the child may leave unanswered.
const ASKING: usize = 64;
/// Changes that are kept until one is granted.
const EARLY: usize = 16;
/// Least severe first.
const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

#[derive(Default)]
pub(super) struct Links(Mutex<Table>);

#[derive(Default)]
struct Table {
    links: BTreeMap<u64, Link>,
    tasks: HashMap<Box<str>, u64>,
}

struct Link {
    queue: mpsc::Sender<Reply>,
    /// Requests under way: the client's id and the one on the wire.
    sent: HashMap<Id, Id>,
    subscribed: Subscribed<()>,
    /// What it has asked to be subscribed to, and the child has not answered.
    asking: Vec<Asking>,
    /// Its tasks, oldest first.
    tasks: VecDeque<Box<str>>,
    level: Option<Box<str>>,
}

/// A subscription that the child has not granted yet.
struct Asking {
    uri: Box<str>,
    /// What came meanwhile, for the case that it is granted: the child may be faster to tell of a change than its answer is
    /// on its way.
    early: Vec<Reply>,
}

impl Links {
    pub(super) fn join(&self, link: u64) -> mpsc::Receiver<Reply> {
        let (queue, messages) = mpsc::channel(QUEUE);
        let subscribed = Subscribed::new(SUBSCRIPTIONS);
        let new =
            Link { queue, sent: HashMap::new(), subscribed, asking: Vec::new(), tasks: VecDeque::new(), level: None };
        self.table().links.insert(link, new);
        messages
    }

    pub(super) fn leave(&self, link: u64) {
        let mut table = self.table();
        for task in table.links.remove(&link).map(|link| link.tasks).unwrap_or_default() {
            table.tasks.remove(&task);
        }
    }

    pub(super) fn sent(&self, link: u64, id: Id, wire: Id) {
        self.with(link, |link| link.sent.insert(id, wire));
    }

    pub(super) fn answered(&self, link: u64, id: &Id, wire: &Id) {
        self.with(link, |link| {
            if link.sent.get(id) == Some(wire) {
                link.sent.remove(id);
            }
        });
    }

    /// What the child calls the request that this client calls `id`.
    pub(super) fn wire(&self, link: u64, id: &Id) -> Option<Id> {
        self.with(link, |link| link.sent.get(id).cloned()).flatten()
    }

    /// A client asks to be subscribed; it is when the child has said so.
    pub(super) fn ask(&self, link: u64, uri: &str) {
        self.with(link, |link| {
            if link.asking.len() < ASKING {
                link.asking.push(Asking { uri: uri.into(), early: Vec::new() });
            }
        });
    }

    /// The child has answered that.
    pub(super) fn answer(&self, link: u64, uri: &str, granted: bool) {
        self.with(link, |link| {
            let asked = link.asking.iter().position(|asking| &*asking.uri == uri);
            let early = asked.map(|at| link.asking.remove(at).early).unwrap_or_default();
            if granted {
                link.subscribed.insert(uri, (), 0);
                for reply in early {
                    link.tell(reply);
                }
            }
        });
    }

    /// Takes a subscription back; whether others still have the same one.
    pub(super) fn unsubscribe(&self, link: u64, uri: &str) -> bool {
        self.with(link, |link| link.subscribed.remove(uri));
        self.table().links.values().any(|link| link.subscribed.contains(uri))
    }

    /// Notes the level that one client wants; the one that all of them need.
    pub(super) fn set_level(&self, link: u64, level: &str) -> String {
        let severity = |level: &str| LEVELS.iter().position(|held| *held == level);
        if severity(level).is_none() {
            return level.to_owned();
        }
        self.with(link, |link| link.level = Some(level.into()));
        let table = self.table();
        let all = table.links.values().filter_map(|link| link.level.as_deref());
        all.min_by_key(|level| severity(level)).unwrap_or(level).to_owned()
    }

    pub(super) fn take_task(&self, link: u64, task: &str) {
        let mut table = self.table();
        let Table { links, tasks } = &mut *table;
        if tasks.contains_key(task) {
            return;
        }
        if tasks.len() >= TASKS
            && let Some(most) = links.values_mut().max_by_key(|link| link.tasks.len())
            && let Some(oldest) = most.tasks.pop_front()
        {
            tasks.remove(&oldest);
        }
        if let Some(owner) = links.get_mut(&link) {
            owner.tasks.push_back(task.into());
            tasks.insert(task.into(), link);
        }
    }

    pub(super) fn has_task(&self, link: u64, task: &str) -> bool {
        self.table().tasks.get(task) == Some(&link)
    }

    /// Tells every client; how many were too slow for it.
    pub(super) fn tell_all(&self, copies: impl Fn() -> Vec<Reply>) -> usize {
        let table = self.table();
        table.links.values().flat_map(|link| copies().into_iter().map(|copy| link.tell(copy))).sum()
    }

    /// Tells those who are subscribed to a resource or to what it is a part of.
    pub(super) fn tell_subscribers(&self, uri: &str, copy: impl Fn() -> Reply) -> usize {
        let mut slow = 0;
        for link in self.table().links.values_mut() {
            if link.subscribed.iter().any(|(held, ())| concerns(held, uri)) {
                slow += link.tell(copy());
            } else if let Some(asking) = link.asking.iter_mut().find(|asking| concerns(&asking.uri, uri))
                && asking.early.len() < EARLY
            {
                asking.early.push(copy());
            }
        }
        slow
    }

    /// Tells the one whose task it is; `None` if it is nobody's.
    pub(super) fn tell_owner(&self, task: &str, copy: impl Fn() -> Reply) -> Option<usize> {
        let table = self.table();
        Some(table.links.get(table.tasks.get(task)?)?.tell(copy()))
    }

    /// Tells the one client that there is; `None` if there are others.
    pub(super) fn tell_the_only_one(&self, copy: impl Fn() -> Reply) -> Option<usize> {
        let table = self.table();
        let mut links = table.links.values();
        let only = links.next().filter(|_| links.next().is_none())?;
        Some(only.tell(copy()))
    }

    fn with<T>(&self, link: u64, change: impl FnOnce(&mut Link) -> T) -> Option<T> {
        self.table().links.get_mut(&link).map(change)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    /// 1 if the client is too slow for it.
    fn tell(&self, reply: Reply) -> usize {
        usize::from(self.queue.try_send(reply).is_err())
    }
}

/// Whether what is held for `held` is about `uri`: that itself, or what it is a part of. A scheme or an authority alone is
/// no resource that others could be a part of.
fn concerns(held: &str, uri: &str) -> bool {
    let Some(rest) = uri.strip_prefix(held) else { return false };
    let whole = held.split_once("://").is_some_and(|(_, rest)| rest.trim_end_matches('/').contains(|c| c != '/'));
    rest.is_empty() || whole && (rest.starts_with(['/', '#', '?']) || held.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use bartizan_mcp::{Limits, Message};

    use super::*;

    fn note() -> Reply {
        let message = Message::parse(r#"{"jsonrpc":"2.0","method":"n"}"#.to_owned(), &Limits::default()).unwrap();
        Reply::Message(message, None)
    }

    #[test]
    fn whoever_has_the_most_tasks_makes_room_for_new_ones() {
        let links = Links::default();
        let _queues = [links.join(1), links.join(2), links.join(3)];
        links.take_task(2, "early");
        (0..TASKS + 10).for_each(|number| links.take_task(1, &number.to_string()));
        links.take_task(3, "late");
        assert!(links.has_task(2, "early") && links.has_task(3, "late"), "others keep theirs and get new ones");
        assert!(!links.has_task(1, "11") && links.has_task(1, "12") && links.has_task(1, &(TASKS + 9).to_string()));
        links.leave(1);
        links.take_task(3, "later");
        assert!(links.has_task(2, "early") && links.has_task(3, "later") && !links.has_task(1, "12"));
    }

    #[test]
    fn a_client_hears_of_what_the_child_has_subscribed_it_to() {
        let links = Links::default();
        let mut queue = links.join(1);
        let mut told = || {
            links.tell_subscribers("a://x", note);
            queue.try_recv().is_ok()
        };
        assert!(!told());
        links.ask(1, "a://x");
        assert!(!told(), "the child has not answered");
        links.answer(1, "a://x", false);
        assert!(!told(), "it was refused");
        links.ask(1, "a://x");
        assert!(!told(), "the child has not answered");
        links.answer(1, "a://x", true);
        assert!(told(), "what came before the answer");
        assert!(told(), "what comes after it");
    }

    #[test]
    fn a_part_of_a_resource_concerns_it_and_a_scheme_is_none() {
        let cases = [
            ("file:///home/a", "file:///home/a", true),
            ("file:///home", "file:///home/a", true),
            ("file:///home/", "file:///home/a", true),
            ("file:///ho", "file:///home/a", false),
            ("a://x", "a://x?y", true),
            ("a://x", "a://x#y", true),
            ("urn:a", "urn:a", true),
            ("", "file:///home/a", false),
            ("file:", "file:///home/a", false),
            ("file://", "file:///home/a", false),
            ("file:///", "file:///home/a", false),
            ("", "", true),
        ];
        for (held, uri, expected) in cases {
            assert_eq!(concerns(held, uri), expected, "{held:?} {uri}");
        }
    }

    #[test]
    fn each_client_has_its_own_and_a_slow_one_stops_nobody() {
        let links = Links::default();
        let (mut one, mut other) = (links.join(1), links.join(2));
        links.sent(1, Id::from(7), Id::from(100));
        links.sent(2, Id::from(7), Id::from(101));
        assert_eq!(
            (links.wire(1, &Id::from(7)), links.wire(2, &Id::from(7))),
            (Some(Id::from(100)), Some(Id::from(101)))
        );
        links.answered(1, &Id::from(7), &Id::from(101));
        assert_eq!(links.wire(1, &Id::from(7)), Some(Id::from(100)), "a later request of the same id stays");
        links.answered(1, &Id::from(7), &Id::from(100));
        assert_eq!(links.wire(1, &Id::from(7)), None);

        links.take_task(1, "t");
        links.take_task(2, "t");
        assert!(links.has_task(1, "t") && !links.has_task(2, "t"));
        assert_eq!(links.tell_owner("t", note), Some(0));
        assert_eq!(links.tell_owner("u", note), None);
        assert_eq!(links.tell_the_only_one(note), None);

        for link in [1, 2] {
            links.ask(link, "a://x");
            links.answer(link, "a://x", true);
        }
        for (uri, told) in [("a://x", true), ("a://x/y", true), ("a://xy", false), ("b://x", false)] {
            assert_eq!(links.tell_subscribers(uri, note), 0);
            assert_eq!(other.try_recv().is_ok(), told, "{uri}");
        }
        assert!(links.unsubscribe(1, "a://x"), "another one still listens");
        assert!(!links.unsubscribe(2, "a://x"));

        assert_eq!(links.set_level(1, "error"), "error");
        assert_eq!(links.set_level(2, "info"), "info");
        assert_eq!(links.set_level(2, "alert"), "error");
        assert_eq!(links.set_level(2, "odd"), "odd");

        while one.try_recv().is_ok() {}
        for _ in 0..QUEUE {
            assert_eq!(links.tell_all(|| vec![note()]), 0);
            assert!(one.try_recv().is_ok());
        }
        assert_eq!(links.tell_all(|| vec![note()]), 1, "the other one does not read");
        assert!(one.try_recv().is_ok());
        links.leave(2);
        assert_eq!(links.tell_the_only_one(note), Some(0));
        assert!(links.has_task(1, "t"));
        links.leave(1);
        assert!(!links.has_task(1, "t"));
    }
}
