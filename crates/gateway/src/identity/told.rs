//! Says to the operator why credentials are refused. Whoever shows one is told nothing of it.
//!
//! **Threat.** Whoever sends credentials that are none fills the log, or writes into it what they like. So of each issuer and
//! each reason one line is said in [`EVERY`], with how many there were meanwhile, and of a token only what
//! [`bartizan_identity::token::Seen`] shows, escaped and cut.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bartizan_audit::Id;
use bartizan_guard::excerpt;

use crate::seldom::Seldom;

/// For how long nothing more is said of the same.
const EVERY: Duration = Duration::from_secs(10);

tokio::task_local! {
    static TOLD: Told;
}

/// What is to be said of a request whose credential is looked at. It waits for the id of the decision, by which the rest is
/// found, and is said with what is known once the request is answered.
#[derive(Debug)]
pub(crate) struct Told {
    from: IpAddr,
    decision: OnceLock<Id>,
    line: OnceLock<Line>,
}

impl Told {
    /// Has what `work` finds wrong with a credential said of a request from there.
    ///
    /// Not written with `async`, which would make room for `work` twice: each request moves that much.
    pub(crate) fn during<F: Future>(from: IpAddr, work: F) -> impl Future<Output = F::Output> {
        TOLD.scope(Told { from, decision: OnceLock::new(), line: OnceLock::new() }, work)
    }

    /// By which entry the log has the refusal of the request that is worked on.
    pub(crate) fn is_decided(decision: Option<Id>) {
        let note = |id| TOLD.try_with(|told| told.decision.set(id).ok());
        decision.and_then(|id| note(id).ok());
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            line.say(Some(self.from), self.decision.get().copied());
        }
    }
}

/// What was said already, of each issuer and kind and for each reason.
#[derive(Default)]
pub(super) struct Refused(Mutex<HashMap<(String, &'static str), Seldom>>);

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
        let Some(more) = self.is_time(of) else { return };
        let mut line = Some(Line { what, issuer: issuer.map(str::to_owned), reason, words: words(), more });
        let from = TOLD.try_with(|told| {
            // The first that is wrong with it waits for the decision.
            if told.line.get().is_none()
                && let Some(line) = line.take()
            {
                told.line.set(line).ok();
            }
            told.from
        });
        if let Some(line) = line {
            line.say(from.ok(), None);
        }
    }

    /// How often it happened unsaid, if it is to be said now.
    fn is_time(&self, of: (String, &'static str)) -> Option<u64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(of).or_insert_with(|| Seldom::every(EVERY)).next()
    }
}

impl Line {
    fn say(self, from: Option<IpAddr>, decision: Option<Id>) {
        let Line { what, issuer, reason, words: Words { why, said, expected }, more } = self;
        let (said, expected) = (said.as_deref().map(excerpt), expected.as_deref().map(excerpt));
        let (from, decision) = (from.map(tracing::field::display), decision.map(tracing::field::display));
        // What others say comes last.
        tracing::warn!(issuer, reason, more, from, decision, why, expected, said, "{what}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_is_said_once_in_a_while_and_something_else_at_once() {
        let (refused, corp) = (Refused::default(), || "corp".to_owned());
        let audience = "edge.token_audience";
        assert_eq!([(); 3].map(|()| refused.is_time((corp(), audience))), [Some(0), None, None]);
        assert_eq!(refused.is_time((corp(), "edge.token_issuer")), Some(0));
        assert_eq!(refused.is_time(("other".to_owned(), audience)), Some(0));
        tokio::time::advance(EVERY).await;
        assert_eq!(refused.is_time((corp(), audience)), Some(2));
    }
}
