//! When a layer is left alone, and with whose texts.
//!
//! **Threat.** Whoever writes a text can make it fail with that text: by what a filter of content refuses, or by what a model
//! thinks about for too long. That must not keep it from being asked about the texts of others. So only what says that it is
//! not there counts for everybody; missed deadlines count for the server whose texts it was asked about; and that one text is
//! not to its liking counts for nobody. Where it says how long it wants to be left alone, that is how long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bartizan_guard::Silence;

use super::Unanswered;
use crate::upstream::{Attempt, Breaker};

/// When one layer is left alone.
#[derive(Debug)]
pub(super) struct Patience {
    /// Failures in a row after which it is.
    pub(super) failures: u32,
    /// For everybody.
    all: Arc<Breaker>,
    /// With the texts of one server. There are no more of them than servers that are configured.
    of: Mutex<BTreeMap<Box<str>, Arc<Breaker>>>,
    /// Until when it allows no questions.
    until: Mutex<Option<Instant>>,
}

/// However long it wants to be left alone, it is tried again after this long.
const LONGEST: Duration = Duration::from_secs(600);

/// A question that may be asked.
pub(super) struct Question {
    all: Attempt,
    own: Attempt,
    breaker: Arc<Breaker>,
}

/// That it is left alone from now on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// With the texts of that server.
    Slow,
    /// For so long.
    Limited(Duration),
}

impl Patience {
    pub(super) fn new(failures: u32) -> Patience {
        Patience { failures, all: Arc::new(Breaker::after(failures)), of: Mutex::default(), until: Mutex::default() }
    }

    /// Whether it may be asked about a text of that server.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn attempt(&self, server: &str, now: Instant) -> Result<Question, Silence> {
        if self.until().is_some_and(|until| now < until) {
            return Err(Silence::Limited);
        }
        let breaker = self.of(server);
        let own = breaker.attempt(now).map_err(|_| Silence::Slow)?;
        let all = self.all.attempt(now).map_err(|_| Silence::Resting)?;
        Ok(Question { all, own, breaker })
    }

    /// Takes note of what came of a question; says what is to be told about it.
    pub(super) fn ended<T>(&self, question: Question, said: &Result<T, Unanswered>, now: Instant) -> Option<News> {
        let Question { all, own, breaker } = question;
        match said {
            Err(Unanswered { why: Silence::Unreachable, .. }) => all.failed(now),
            Err(Unanswered { why: Silence::Deadline, .. }) => {
                let was_open = breaker.is_open();
                own.failed(now);
                return (breaker.is_open() && !was_open).then_some(News::Slow);
            }
            Err(Unanswered { why: Silence::Limited, wait }) => {
                all.succeeded();
                let wait = wait.min(&LONGEST);
                let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
                // Several may be told so at once.
                let is_news = until.is_none_or(|until| until <= now);
                *until = (*until).max(Some(now + *wait));
                return is_news.then_some(News::Limited(*wait));
            }
            // It is there, whatever it says to this text.
            _ => {
                all.succeeded();
                own.succeeded();
            }
        }
        None
    }

    /// Whether it is left alone by everybody because it failed.
    pub(super) fn is_open(&self) -> bool {
        self.all.is_open()
    }

    fn until(&self) -> Option<Instant> {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, server: &str) -> Arc<Breaker> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(breaker) = of.get(server) {
            return Arc::clone(breaker);
        }
        let breaker = Arc::new(Breaker::after(self.failures));
        of.insert(server.into(), Arc::clone(&breaker));
        breaker
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(patience: &Patience, server: &str, why: Silence, now: Instant) -> Option<News> {
        let question = patience.attempt(server, now).ok().unwrap();
        patience.ended(question, &Err::<(), _>(Unanswered { why, wait: Duration::from_secs(20) }), now)
    }

    fn refused(patience: &Patience, server: &str, now: Instant) -> Option<Silence> {
        patience.attempt(server, now).err()
    }

    #[test]
    fn what_one_text_brings_about_is_nobody_elses() {
        let (patience, now) = (Patience::new(3), Instant::now());
        for why in [Silence::Refused, Silence::Unreadable] {
            assert!((0..20).all(|_| ended(&patience, "web", why, now).is_none()));
        }
        let told: Vec<_> = (0..3).filter_map(|_| ended(&patience, "web", Silence::Deadline, now)).collect();
        assert_eq!(told, [News::Slow]);
        assert_eq!(refused(&patience, "web", now), Some(Silence::Slow));
        assert_eq!(refused(&patience, "other", now), None);
        assert!(!patience.is_open());
        // It is tried again, and once it answers it is asked as before.
        let later = now + Duration::from_secs(2);
        let question = patience.attempt("web", later).ok().unwrap();
        patience.ended(question, &Ok(()), later);
        assert_eq!(refused(&patience, "web", later), None);
    }

    #[test]
    fn what_is_not_there_is_there_for_nobody() {
        let (patience, now) = (Patience::new(3), Instant::now());
        for server in ["web", "other", "web"] {
            assert_eq!(ended(&patience, server, Silence::Unreachable, now), None);
        }
        assert!(patience.is_open());
        assert_eq!(refused(&patience, "third", now), Some(Silence::Resting));
    }

    #[test]
    fn it_is_left_alone_for_as_long_as_it_says_and_no_longer() {
        let (patience, now) = (Patience::new(1), Instant::now());
        let (one, two) = (patience.attempt("web", now).ok().unwrap(), patience.attempt("other", now).ok().unwrap());
        let limited = |seconds| Err::<(), _>(Unanswered { why: Silence::Limited, wait: Duration::from_secs(seconds) });
        assert_eq!(patience.ended(one, &limited(20), now), Some(News::Limited(Duration::from_secs(20))));
        assert_eq!(patience.ended(two, &limited(5), now), None);
        for server in ["web", "other"] {
            assert_eq!(refused(&patience, server, now + Duration::from_secs(19)), Some(Silence::Limited));
        }
        let later = now + Duration::from_secs(20);
        assert!(refused(&patience, "web", later).is_none() && !patience.is_open());
        let question = patience.attempt("web", later).ok().unwrap();
        patience.ended(question, &limited(1_000_000), later);
        assert_eq!(refused(&patience, "web", later + LONGEST), None);
    }
}
