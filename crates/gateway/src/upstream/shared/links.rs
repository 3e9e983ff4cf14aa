//! Who uses a shared child, and what of it is whose.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bartizan_mcp::Id;
use tokio::sync::mpsc;

use super::Reply;
use crate::subscribed::Subscribed;

/// Messages that wait for one client; what is over that, it does not get, so that nobody waits for it.
const QUEUE: usize = 64;
/// Tasks whose client is remembered; whoever has the most forgets its oldest for a new one.
const TASKS: usize = 50_000;
/// Resources that one client may be subscribed to.
const SUBSCRIPTIONS: usize = 10_000;
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
    /// Its tasks, oldest first.
    tasks: VecDeque<Box<str>>,
    level: Option<Box<str>>,
}

impl Links {
    pub(super) fn join(&self, link: u64) -> mpsc::Receiver<Reply> {
        let (queue, messages) = mpsc::channel(QUEUE);
        let subscribed = Subscribed::new(SUBSCRIPTIONS);
        let new = Link { queue, sent: HashMap::new(), subscribed, tasks: VecDeque::new(), level: None };
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

    pub(super) fn subscribe(&self, link: u64, uri: &str) {
        self.with(link, |link| link.subscribed.insert(uri, (), 0));
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
        let concerns = |held: &str| {
            let rest = uri.strip_prefix(held);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '#', '?']) || held.ends_with('/'))
        };
        let table = self.table();
        let links = table.links.values().filter(|link| link.subscribed.iter().any(|(held, ())| concerns(held)));
        links.map(|link| link.tell(copy())).sum()
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

        links.subscribe(1, "a://x");
        links.subscribe(2, "a://x");
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
