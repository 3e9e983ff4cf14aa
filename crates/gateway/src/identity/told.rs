//! Says to the operator why credentials are refused. Whoever shows one is told nothing of it.
//!
//! **Threat.** Whoever sends credentials that are none fills the log, or writes into it what they like. So of each issuer and
//! each reason one line is said in [`EVERY`], with how many there were meanwhile, and of a token only what
//! [`bartizan_identity::token::Seen`] shows, escaped and cut.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bartizan_audit::Id;
use bartizan_guard::excerpt;

use crate::clock;

/// For how long nothing more is said of the same, in microseconds.
const EVERY: i64 = 10 * 1_000_000;

tokio::task_local! {
    static TOLD: Arc<Told>;
}

/// What is to be said of the request whose credential is looked at. It waits for the id of the decision, by which the rest is
/// found, and is said with what is known once nobody holds it any more.
#[derive(Debug)]
pub(crate) struct Told {
    from: IpAddr,
    decision: OnceLock<Id>,
    line: OnceLock<Line>,
}

impl Told {
    pub(crate) fn new(from: IpAddr) -> Arc<Told> {
        Arc::new(Told { from, decision: OnceLock::new(), line: OnceLock::new() })
    }

    /// Has what `work` finds wrong with a credential said of this request.
    pub(crate) async fn during<F: Future>(self: &Arc<Self>, work: F) -> F::Output {
        TOLD.scope(Arc::clone(self), work).await
    }

    /// By which entry the log has the refusal.
    pub(crate) fn is_decided(&self, decision: Option<Id>) {
        decision.and_then(|id| self.decision.set(id).ok());
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            line.say(Some(self.from), self.decision.get().copied());
        }
    }
}

/// What was said already.
#[derive(Default)]
pub(super) struct Refused(Mutex<HashMap<(String, &'static str), Said>>);

/// When something was said last, and how often it happened since.
struct Said {
    at: i64,
    more: u64,
}

/// What is wrong with one credential.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// In a sentence without an end.
    pub(super) why: String,
    /// What a token says, and what it should.
    pub(super) said: Option<String>,
    pub(super) expected: Option<String>,
}

/// What is said of one.
#[derive(Debug)]
struct Line {
    what: &'static str,
    /// Whose tokens they are; nothing for keys.
    issuer: Option<String>,
    reason: &'static str,
    words: Words,
    more: u64,
}

impl Refused {
    /// Says it, unless the same was said a short while ago: of the same issuer and the same kind.
    pub(super) fn tell(
        &self,
        what: &'static str,
        (issuer, kind): (Option<&str>, &str),
        reason: &'static str,
        words: impl FnOnce() -> Words,
    ) {
        let of = ([issuer.unwrap_or_default(), kind].join(" "), reason);
        let Some(more) = self.is_time(of, clock::now().0) else { return };
        let line = Line { what, issuer: issuer.map(str::to_owned), reason, words: words(), more };
        let line = match TOLD.try_with(Arc::clone) {
            Ok(told) => told.line.set(line),
            Err(_) => Err(line),
        };
        // Of nobody's request, or the second that is wrong with one.
        if let Err(line) = line {
            line.say(TOLD.try_with(|told| told.from).ok(), None);
        }
    }

    /// How often it happened unsaid, if it is to be said now.
    fn is_time(&self, of: (String, &'static str), now: i64) -> Option<u64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(&of) {
            Some(said) if (0..EVERY).contains(&now.saturating_sub(said.at)) => {
                said.more = said.more.saturating_add(1);
                None
            }
            known => {
                let more = known.map_or(0, |said| said.more);
                all.insert(of, Said { at: now, more: 0 });
                Some(more)
            }
        }
    }
}

impl Line {
    fn say(self, from: Option<IpAddr>, decision: Option<Id>) {
        let Line { what, issuer, reason, words: Words { why, said, expected }, more } = self;
        let (said, expected) = (said.as_deref().map(excerpt), expected.as_deref().map(excerpt));
        let (from, decision) = (from.map(tracing::field::display), decision.map(tracing::field::display));
        tracing::warn!(issuer, reason, why, said, expected, more, from, decision, "{what}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_in_a_while_and_something_else_at_once() {
        let (refused, corp) = (Refused::default(), || "corp".to_owned());
        assert_eq!(refused.is_time((corp(), "edge.token_audience"), 0), Some(0));
        for at in [1, EVERY - 1] {
            assert_eq!(refused.is_time((corp(), "edge.token_audience"), at), None);
        }
        assert_eq!(refused.is_time((corp(), "edge.token_issuer"), 1), Some(0));
        assert_eq!(refused.is_time(("other".to_owned(), "edge.token_audience"), 1), Some(0));
        assert_eq!(refused.is_time((corp(), "edge.token_audience"), EVERY), Some(2));
        // A clock that is set back does not silence it.
        assert_eq!(refused.is_time((corp(), "edge.token_audience"), EVERY - 1), Some(0));
    }
}
