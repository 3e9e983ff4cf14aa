//! How much of what a client says over a bridge may be worked on at once.
//!
//! **Threat.** Each of its messages is worked on in a task of its own. In front of a server that stops reading, or never
//! answers, a client would fill the memory of a process that others use as well. So a message takes room for as long as
//! its bytes are used, and while there is none it waits, and then the client with it.
//!
//! What another request may wait for never waits here, or the two would wait for each other: responses and cancellations
//! need no room and go past what waits, and answers to a server's questions that come as requests have room of their own.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bartizan_mcp::{Id, Message, method};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::upstream::lines::Line;

/// KiB that may be worked on.
const ROOM: u32 = 32 * 1024;
/// What one message takes of it at least and at most.
const SHARE: (u32, u32) = (4, ROOM / 2);
/// KiB for requests that answer questions.
const AWAITED: u32 = ROOM / 2;
/// KiB that may wait for room before the client is not read from any more.
const AHEAD: u32 = 4 * 1024;
/// How long a message waits for room, which is as long as a child may refuse to read.
const PATIENCE: Duration = Duration::from_secs(30);

/// The room of one conversation, and what waits for it, oldest first.
pub(super) struct Room {
    all: Arc<Semaphore>,
    awaited: Arc<Semaphore>,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    message: Message,
    place: Place,
    until: Instant,
}

/// Where the room of a message is kept once it has some. The other end belongs to its bytes.
#[derive(Debug)]
pub(super) struct Place(Arc<OnceLock<OwnedSemaphorePermit>>);

/// Bytes with the room that they take.
struct Counted {
    bytes: Bytes,
    _room: Place,
}

/// What becomes of a message.
#[derive(Debug)]
pub(super) enum Entry {
    /// It has what room it needs.
    Goes(Message),
    /// It is kept until there is room.
    Waits,
    /// There is no room for it, nor will it be waited for.
    Refused(Message),
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The same line, and the place for the room that its bytes will take.
pub(super) fn counted(line: Line) -> (Line, Place) {
    let room = Arc::default();
    let line = match line {
        Line::Whole(bytes) => Line::Whole(Bytes::from_owner(Counted { bytes, _room: Place(Arc::clone(&room)) })),
        long @ Line::TooLong(_) => long,
    };
    (line, Place(room))
}

/// Whether a request may wait for this: then it takes no room.
pub(super) fn is_free(message: &Message) -> bool {
    message.is_response() || message.method() == Some(method::CANCELLED)
}

impl Room {
    pub(super) fn new() -> Room {
        let all = |kibibytes: u32| Arc::new(Semaphore::new(kibibytes as usize));
        Room { all: all(ROOM), awaited: all(AWAITED), waiting: VecDeque::new() }
    }

    /// Whether another message can be taken, at the least to wait.
    pub(super) fn takes_more(&self) -> bool {
        self.waiting.iter().map(|waiting| share(&waiting.message)).sum::<u32>() < AHEAD
    }

    /// Gives a message room, or lets it wait for its turn. One that the server waits for does not wait.
    pub(super) fn enter(&mut self, message: Message, place: Place, awaited: bool) -> Entry {
        if is_free(&message) {
            return Entry::Goes(message);
        }
        let room = if awaited { &self.awaited } else { &self.all };
        if awaited || self.waiting.is_empty() {
            if let Ok(room) = Arc::clone(room).try_acquire_many_owned(share(&message)) {
                place.fill(room);
                return Entry::Goes(message);
            }
            if awaited {
                return Entry::Refused(message);
            }
        }
        self.waiting.push_back(Waiting { message, place, until: Instant::now() + PATIENCE });
        Entry::Waits
    }

    /// The next message that has waited: with room now, or refused as that took too long. `None` if none waits. Safe to
    /// drop and call again.
    pub(super) async fn next(&mut self) -> Option<Entry> {
        let first = self.waiting.front()?;
        let room = Arc::clone(&self.all).acquire_many_owned(share(&first.message));
        let room = tokio::time::timeout_at(first.until, room).await;
        let Waiting { message, place, .. } = self.waiting.pop_front()?;
        let Ok(Ok(room)) = room else { return Some(Entry::Refused(message)) };
        place.fill(room);
        Some(Entry::Goes(message))
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What waits does so for no longer than this from now on.
    pub(super) fn hurry(&mut self, most: Duration) {
        let end = Instant::now() + most;
        self.waiting.iter_mut().for_each(|waiting| waiting.until = waiting.until.min(end));
    }

    /// Forgets a request that waits; nobody waits for its answer.
    pub(super) fn cancel(&mut self, id: &Id) {
        self.waiting.retain(|waiting| waiting.message.method().is_none() || waiting.message.id() != Some(id));
    }

    /// All that waits, which will get no room.
    pub(super) fn give_up(&mut self) -> Vec<Message> {
        self.waiting.drain(..).map(|waiting| waiting.message).collect()
    }
}

impl Place {
    fn fill(self, room: OwnedSemaphorePermit) {
        // It is filled once.
        self.0.set(room).ok();
    }
}

fn share(message: &Message) -> u32 {
    let (least, most) = SHARE;
    u32::try_from(message.weight() / 1024).unwrap_or(most).clamp(least, most)
}

#[cfg(test)]
mod tests {
    use bartizan_mcp::Limits;
    use futures_util::FutureExt;

    use super::*;
    use crate::upstream::Reply;
    use crate::upstream::lines;

    fn read(members: &str) -> (Message, Place) {
        let (line, place) = counted(Line::Whole(format!(r#"{{"jsonrpc":"2.0",{members}}}"#).into()));
        match lines::read(line, &Limits::default()) {
            Reply::Message(message, _) => (message, place),
            _ => panic!("not a message: {members}"),
        }
    }

    fn request(id: u32, kibibytes: u32) -> (Message, Place) {
        read(&format!(r#""id":{id},"method":"x","params":{{"a":"{}"}}"#, "y".repeat(kibibytes as usize * 1024)))
    }

    fn enter(room: &mut Room, (message, place): (Message, Place)) -> Entry {
        room.enter(message, place, false)
    }

    fn goes(entry: Entry) -> Message {
        match entry {
            Entry::Goes(message) => message,
            other => panic!("{other:?}"),
        }
    }

    /// A room that is full, and what fills it.
    fn full() -> (Room, Vec<Message>) {
        let mut room = Room::new();
        let mut held: Vec<_> = (0..4).map(|id| goes(enter(&mut room, request(id, ROOM / 4 - 1)))).collect();
        while room.all.available_permits() > 0 {
            held.push(goes(enter(&mut room, request(9, 0))));
        }
        (room, held)
    }

    fn waits(entry: &Entry) -> bool {
        matches!(entry, Entry::Waits)
    }

    #[tokio::test]
    async fn room_is_taken_for_as_long_as_the_bytes_are_used() {
        let (mut room, mut held) = full();
        assert!(waits(&enter(&mut room, request(20, 0))) && waits(&enter(&mut room, request(21, 0))));
        assert!(room.next().now_or_never().is_none());
        let last = held.pop().unwrap();
        let copy = last.clone();
        drop(last);
        assert!(room.next().now_or_never().is_none(), "somebody uses them");
        drop(copy);
        let next = goes(room.next().now_or_never().unwrap().unwrap());
        assert_eq!(next.id(), Some(&Id::from(20)));
        assert!(room.next().now_or_never().is_none());
        drop(next);
        assert_eq!(goes(room.next().await.unwrap()).id(), Some(&Id::from(21)));
        assert!(room.is_empty() && room.next().await.is_none());
        drop(held);
        assert_eq!(room.all.available_permits(), ROOM as usize);
    }

    #[tokio::test]
    async fn what_others_may_wait_for_goes_past_what_waits() {
        let (mut room, _held) = full();
        assert!(waits(&enter(&mut room, request(20, 0))));
        for free in [r#""method":"notifications/cancelled""#, r#""id":1,"result":{}"#] {
            assert!(is_free(&goes(enter(&mut room, read(free)))), "{free}");
        }
        assert!(waits(&enter(&mut room, read(r#""method":"notifications/x""#))));
        let (message, place) = request(22, AWAITED / 2 + 1);
        let answers = goes(room.enter(message, place, true));
        let (message, place) = request(23, AWAITED / 2 + 1);
        assert!(matches!(room.enter(message, place, true), Entry::Refused(_)));
        drop(answers);
        let (message, place) = request(23, AWAITED / 2 + 1);
        goes(room.enter(message, place, true));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_waits_for_ever() {
        let (mut room, held) = full();
        assert!(waits(&enter(&mut room, request(20, 0))));
        tokio::time::advance(PATIENCE / 2).await;
        for id in [21, 22] {
            assert!(waits(&enter(&mut room, request(id, 0))));
        }
        room.cancel(&Id::from(21));
        let begun = Instant::now();
        assert!(matches!(room.next().await, Some(Entry::Refused(message)) if message.id() == Some(&Id::from(20))));
        assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs() / 2);
        room.hurry(Duration::from_secs(5));
        assert!(matches!(room.next().await, Some(Entry::Refused(message)) if message.id() == Some(&Id::from(22))));
        assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs() / 2 + 5);
        assert!(waits(&enter(&mut room, request(23, 0))));
        drop(held);
        tokio::time::advance(PATIENCE * 2).await;
        assert_eq!(goes(room.next().await.unwrap()).id(), Some(&Id::from(23)), "there is room, however late");
    }

    #[test]
    fn what_waits_is_bounded_too() {
        let (mut room, _held) = full();
        let mut count = 0;
        while room.takes_more() {
            assert!(waits(&enter(&mut room, request(count, 0))));
            count += 1;
        }
        assert_eq!(count, AHEAD / SHARE.0);
        assert_eq!(room.give_up().len(), count as usize);
        assert!(room.takes_more());
    }
}
