//! What a person is told of one server beside its messages: that some of it is withheld, and that it fails.
//!
//! A client shows neither: tools that are withheld are missing from a list, and a server that is not there has none.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_guard::{DefinitionKind, Fact, Fate, Pin, ServerProfile};
use bartizan_mcp::Era;
use tokio::time::Instant;

use crate::upstream::UpstreamError;

/// What has been said of a server, so that it is not said again.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    told: Mutex<HashSet<Told>>,
    failing: Mutex<Failing>,
    /// Whether it was said that it is left out for clients of the stateless era, and of the other.
    left_out: [AtomicBool; 2],
}

/// A definition by its kind, its name and its digest.
type Told = (DefinitionKind, Box<str>, [u8; 32]);

#[derive(Debug, Default)]
struct Failing {
    /// Whether it has failed since it last sent something.
    now: bool,
    /// Whether that has been said.
    said: bool,
    /// When it was last said.
    last: Option<Instant>,
}

/// Definitions of one server that are told of, as one that lists others each time could go on for ever.
const TOLD: usize = 1000;
/// How many of them are named at a time.
const NAMED: usize = 5;
/// What is shown of a name.
const NAME: usize = 64;
/// A server that fails and recovers all the time is told of this often.
const PAUSE: Duration = Duration::from_secs(60);

impl Notices {
    /// What to tell of definitions that are not as they were accepted: those that did not reach the client for that, and
    /// those that did. Of what another guard withholds it says nothing: to accept it would not bring it back.
    ///
    /// `option` is the one that names the lock file of what is accepted, with a space in front.
    pub(crate) fn not_accepted(
        &self,
        facts: &[Fact],
        accepted: &ServerProfile,
        option: &str,
    ) -> impl Iterator<Item = String> {
        let of = |fate, done| self.of(facts, accepted, (fate, done), option);
        let texts = [of(Fate::Stopped, "withheld"), of(Fate::Passes, "not as accepted, but let through")];
        texts.into_iter().flatten()
    }

    fn of(
        &self,
        facts: &[Fact],
        ServerProfile { name, pins: accepted, .. }: &ServerProfile,
        (wanted, done): (Fate, &str),
        option: &str,
    ) -> Option<String> {
        let pins = facts.iter().filter_map(|fact| match fact {
            Fact::Withheld(pin, fate) if *fate == wanted => Some(pin),
            _ => None,
        });
        let news: Vec<_> = pins.filter(|pin| self.is_news(pin)).collect();
        if news.is_empty() {
            return None;
        }
        let tools = news.iter().all(|pin| pin.kind == DefinitionKind::Tool);
        let named = news.iter().take(NAMED).map(|pin| {
            let what = match pin.kind {
                DefinitionKind::Tool if tools => shown(&pin.name),
                // There is one text of them, whose name is what it is.
                DefinitionKind::Instructions => pin.kind.as_str().to_owned(),
                kind => format!("{} {}", kind.as_str(), shown(&pin.name)),
            };
            let how = if accepted.get(pin.kind, &pin.name).is_some() { "changed" } else { "new" };
            format!("{what} {how}")
        });
        let named = named.collect::<Vec<_>>().join(", ");
        let more = match news.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let what = match (tools, news.len()) {
            (true, 1) => "tool",
            (true, _) => "tools",
            (false, 1) => "definition",
            (false, _) => "definitions",
        };
        let count = news.len();
        let look = format!("bartizan lock diff --server {name}{option}");
        Some(format!("{count} {what} of {name} {done} ({named}{more}): {look}"))
    }

    /// What to tell of a server that clients of `era` do not see beside others, as it does not speak it; once.
    pub(crate) fn left_out(&self, server: &str, era: Era) -> Option<String> {
        let [stateless, legacy] = &self.left_out;
        let (said, clients, speaks) = match era {
            Era::Stateless => (stateless, "2026-07-28", "it speaks older revisions only"),
            Era::Legacy => {
                (legacy, "revisions before 2026-07-28", "it takes no `initialize`, and may speak only that one")
            }
        };
        (!said.swap(true, Ordering::Relaxed)).then(|| {
            format!(
                "{server} is left out at /mcp for clients of {clients}: {speaks}; `bridge = \"auto\"` under \
                 [server.{server}] has it translated for"
            )
        })
    }

    fn is_news(&self, pin: &Pin) -> bool {
        let mut told = lock(&self.told);
        told.len() < TOLD && told.insert((pin.kind, pin.name.as_ref().into(), pin.digest.0))
    }

    /// Tells of a server that fails, if it worked before.
    pub(crate) fn failed(&self, server: &str, place: impl FnOnce() -> String, error: &UpstreamError) {
        if !is_its_fault(error) {
            return;
        }
        let mut failing = lock(&self.failing);
        if std::mem::replace(&mut failing.now, true) || failing.last.is_some_and(|last| last.elapsed() < PAUSE) {
            return;
        }
        (failing.said, failing.last) = (true, Some(Instant::now()));
        drop(failing);
        let error = error.in_full();
        tracing::warn!(%server, at = %place(), %error, "the server fails");
    }

    /// Tells of a server that works again, if it was told of.
    pub(crate) fn answered(&self, server: &str) {
        let said = {
            let mut failing = lock(&self.failing);
            failing.now = false;
            std::mem::take(&mut failing.said)
        };
        if said {
            tracing::warn!(%server, "the server answers again");
        }
    }
}

/// Whether the server, not its client, is why there is no answer.
fn is_its_fault(error: &UpstreamError) -> bool {
    use UpstreamError::{
        BadSession, BrokenOff, Busy, Certificate, ContentType, Credential, Crowded, Encoded, Ended, Lagging, Malformed,
        NoStream, NotStarted, OtherEra, Over, Resting, SessionGone, SharedEnded, SignIn, Status, Stuffed, TimedOut,
        TooLarge, Unreachable,
    };
    match error {
        Unreachable(_) | NotStarted(_) | Certificate(_) | Resting(_) | TimedOut(_) | Ended(_) | SharedEnded(_)
        | BrokenOff(_) | Malformed(_) | Status(_) | ContentType(_) | Encoded | BadSession | OtherEra(_) | Stuffed
        | Credential(_) => true,
        Busy | TooLarge | Crowded | SessionGone | Over | NoStream | Lagging | SignIn(_) => false,
    }
}

/// A name that a server chose, as a terminal may show it.
fn shown(name: &str) -> String {
    let cut: String = name.chars().take(NAME).collect();
    cut.escape_debug().to_string()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
