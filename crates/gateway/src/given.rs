//! What servers were given back for pseudonyms, so that it is known again in what they say.
//!
//! **Threat.** A tool that got a value says it again while its call is waiting or later, in its answer or beside it, to whoever it
//! got it from or to somebody else. So it is remembered by server and tenant, and not by call: for as long as a call with it
//! waits, and for a day from then on. If more waits than can be remembered, the next call is not sent.
//!
//! It is in the memory of this process only, and gone when that ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bartizan_guard::pseudonym::Token;
use bartizan_guard::{Pseudonym, Told};

/// So long what nobody waits for any more is remembered, in microseconds.
const REMEMBERED: i64 = 24 * 60 * 60 * 1_000_000;
/// So many values of one server for one tenant; beyond it the oldest one is forgotten that no call waits with.
const MOST: usize = 1_024;
/// So many bytes all values of one server for one tenant have.
const MOST_BYTES: usize = 64 * 1024;
/// So many bytes all values of all of them have.
const ALL_BYTES: usize = 8 * 1024 * 1024;

/// Whose values they are, and which server got them.
type Whose = (Box<str>, Arc<str>);

/// All that was given back of late.
#[derive(Default)]
pub(crate) struct Given(Mutex<Shelves>);

#[derive(Default)]
struct Shelves {
    by: HashMap<Whose, Shelf>,
    bytes: usize,
}

/// What one server was given for one tenant.
#[derive(Default)]
struct Shelf {
    held: HashMap<Token, Held>,
    bytes: usize,
    /// What finds all of that.
    told: Option<Arc<Told>>,
}

struct Held {
    value: Box<str>,
    /// So many calls wait with it.
    waiting: usize,
    /// Until when it is remembered if none does.
    until: i64,
}

/// More waits already than can be remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMuch;

/// Values that a call was given, for as long as it waits.
pub(crate) struct Waiting {
    given: Arc<Given>,
    whose: Whose,
    tokens: Vec<Token>,
    now: fn() -> i64,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Waiting({})", self.tokens.len())
    }
}

impl Given {
    /// Remembers what a call is about to be given, each value once.
    ///
    /// # Errors
    /// If that is more than can be remembered beside what waits already. Then nothing is.
    pub(crate) fn give(
        self: &Arc<Self>,
        (tenant, server): (&str, &Arc<str>),
        values: &[(Token, &str)],
        now: fn() -> i64,
    ) -> Result<Waiting, TooMuch> {
        let whose: Whose = (tenant.into(), Arc::clone(server));
        let at = now();
        let mut shelves = self.lock();
        if shelves.bytes > ALL_BYTES / 2 {
            shelves.tidy(at);
        }
        let others = shelves.bytes - shelves.by.get(&whose).map_or(0, |shelf| shelf.bytes);
        let mut shelf = shelves.by.remove(&whose).unwrap_or_default();
        let added = shelf.add(values, (at, ALL_BYTES.saturating_sub(others)));
        shelves.bytes = others + shelf.bytes;
        if !shelf.held.is_empty() {
            shelves.by.insert(whose.clone(), shelf);
        }
        added?;
        let tokens = values.iter().map(|(token, _)| *token).collect();
        Ok(Waiting { given: Arc::clone(self), whose, tokens, now })
    }

    /// What finds again what a server was given for a tenant.
    pub(crate) fn told(&self, (tenant, server): (&str, &Arc<str>), now: i64) -> Option<Arc<Told>> {
        let whose: Whose = (tenant.into(), Arc::clone(server));
        let mut shelves = self.lock();
        let shelf = shelves.by.get_mut(&whose)?;
        let before = shelf.bytes;
        shelf.tidy(now);
        let (told, after) = (shelf.told.clone(), shelf.bytes);
        shelves.bytes -= before - after;
        if told.is_none() {
            shelves.by.remove(&whose);
        }
        told
    }

    fn lock(&self) -> MutexGuard<'_, Shelves> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelves {
    /// Forgets what is over.
    fn tidy(&mut self, now: i64) {
        self.by.values_mut().for_each(|shelf| shelf.tidy(now));
        self.by.retain(|_, shelf| !shelf.held.is_empty());
        self.bytes = self.by.values().map(|shelf| shelf.bytes).sum();
    }
}

impl Shelf {
    /// Adds values that a call waits with from now on, within so many bytes; all of them or none.
    fn add(&mut self, values: &[(Token, &str)], (now, room): (i64, usize)) -> Result<(), TooMuch> {
        self.tidy(now);
        let new: HashMap<Token, &str> =
            values.iter().copied().filter(|(token, _)| !self.held.contains_key(token)).collect();
        let (count, bytes) = (new.len(), new.values().map(|value| value.len()).sum::<usize>());
        let room = room.min(MOST_BYTES);
        // Those of this very call are no room for its others.
        let is_own = |token: &Token| values.iter().any(|(own, _)| own == token);
        let stays = |(token, held): &(&Token, &Held)| held.waiting > 0 || is_own(token);
        let (stay, stay_bytes) = self
            .held
            .iter()
            .filter(stays)
            .fold((0, 0), |(count, bytes), (_, held)| (count + 1, bytes + held.value.len()));
        if stay + count > MOST || stay_bytes + bytes > room {
            return Err(TooMuch);
        }
        let mut over: Vec<(i64, Token)> =
            self.held.iter().filter(|held| !stays(held)).map(|(token, held)| (held.until, *token)).collect();
        over.sort_unstable_by(|one, other| other.cmp(one));
        while self.held.len() + count > MOST || self.bytes + bytes > room {
            let Some((_, oldest)) = over.pop() else { return Err(TooMuch) };
            self.forget(&oldest);
        }
        for (token, value) in new {
            self.bytes += value.len();
            self.held.insert(token, Held { value: value.into(), waiting: 0, until: now });
        }
        if count > 0 || self.told.is_none() {
            self.build()?;
        }
        for (token, _) in values {
            self.held.get_mut(token).into_iter().for_each(|held| held.waiting += 1);
        }
        Ok(())
    }

    fn tidy(&mut self, now: i64) {
        let over: Vec<Token> = self
            .held
            .iter()
            .filter(|(_, held)| held.waiting == 0 && held.until <= now)
            .map(|(token, _)| *token)
            .collect();
        if over.is_empty() {
            return;
        }
        over.iter().for_each(|token| self.forget(token));
        // Of less than could be looked for before.
        self.build().ok();
    }

    fn forget(&mut self, token: &Token) {
        self.bytes -= self.held.remove(token).map_or(0, |held| held.value.len());
    }

    fn build(&mut self) -> Result<(), TooMuch> {
        let named = |(token, held): (&Token, &Held)| Pseudonym::of(*token, held.value.clone());
        self.told = match self.held.is_empty() {
            true => None,
            false => Some(Arc::new(Told::of(self.held.iter().map(named).collect()).ok_or(TooMuch)?)),
        };
        Ok(())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let until = (self.now)().saturating_add(REMEMBERED);
        let mut shelves = self.given.lock();
        let Some(shelf) = shelves.by.get_mut(&self.whose) else { return };
        for token in &self.tokens {
            let Some(held) = shelf.held.get_mut(token) else { continue };
            held.waiting = held.waiting.saturating_sub(1);
            held.until = until;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use bartizan_guard::pseudonym::{Kind, Root};

    use super::*;

    thread_local!(static NOW: Cell<i64> = const { Cell::new(0) });

    fn now() -> i64 {
        NOW.get()
    }

    /// Values by number, with their names.
    fn values(numbers: std::ops::Range<usize>) -> Vec<(Token, String)> {
        let namer = Root::new(&[7; 32]).namer("acme", "default");
        let kind = Kind::parse("person_name").unwrap();
        let value = |number| format!("somebody{number:06}");
        numbers.map(|number| (namer.name(kind, &value(number)), value(number))).collect()
    }

    fn give(given: &Arc<Given>, tenant: &str, values: &[(Token, String)]) -> Result<Waiting, TooMuch> {
        let values: Vec<_> = values.iter().map(|(token, value)| (*token, &**value)).collect();
        given.give((tenant, &"office".into()), &values, now)
    }

    /// Whether all of that is known again.
    fn knows(given: &Given, tenant: &str, server: &str, values: &[(Token, String)]) -> bool {
        let told = given.told((tenant, &server.into()), now());
        values.iter().all(|(_, value)| told.as_ref().is_some_and(|told| told.knows(value)))
    }

    #[test]
    fn what_was_given_is_known_while_a_call_waits_and_for_a_day() {
        let (given, some) = (Arc::<Given>::default(), values(0..3));
        let (first, second) = (give(&given, "acme", &some).unwrap(), give(&given, "acme", &some[1..]).unwrap());
        assert!(knows(&given, "acme", "office", &some));
        assert!(!knows(&given, "other", "office", &some[..1]) && !knows(&given, "acme", "crm", &some[..1]));
        drop(first);
        NOW.set(REMEMBERED + 1);
        assert!(!knows(&given, "acme", "office", &some[..1]) && knows(&given, "acme", "office", &some[1..]));
        drop(second);
        NOW.set(2 * REMEMBERED);
        assert!(knows(&given, "acme", "office", &some[1..]));
        NOW.set(2 * REMEMBERED + 1);
        assert!(given.told(("acme", &"office".into()), now()).is_none());
        let shelves = given.lock();
        assert_eq!((shelves.by.len(), shelves.bytes), (0, 0));
    }

    #[test]
    fn more_than_can_be_remembered_is_not_given() {
        let (given, many) = (Arc::<Given>::default(), values(0..MOST + 1));
        let waiting = give(&given, "acme", &many[..MOST]).unwrap();
        assert_eq!(give(&given, "acme", &many[MOST..]).unwrap_err(), TooMuch);
        // What is known already takes no room, and others have their own.
        drop(give(&given, "acme", &many[..1]).unwrap());
        drop(give(&given, "other", &many[MOST..]).unwrap());
        drop(waiting);
        // One of them gives way.
        let _last = give(&given, "acme", &many[MOST..]).unwrap();
        assert!(knows(&given, "acme", "office", &many[MOST..]));
        let known = many.iter().filter(|one| knows(&given, "acme", "office", std::slice::from_ref(one)));
        assert_eq!(known.count(), MOST);
    }

    #[test]
    fn nor_more_than_there_is_room_for() {
        let given = Arc::<Given>::default();
        let long: Vec<_> = values(0..20).into_iter().map(|(token, value)| (token, value.repeat(280))).collect();
        assert_eq!(give(&given, "acme", &long).unwrap_err(), TooMuch);
        assert!(given.lock().by.is_empty());
        let few = give(&given, "acme", &long[..15]).unwrap();
        assert_eq!(give(&given, "acme", &long[15..]).unwrap_err(), TooMuch);
        drop(few);
        assert!(give(&given, "acme", &long[15..]).is_ok());
    }
}
