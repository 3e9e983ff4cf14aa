//! What is remembered of a client from one session to the next.

use std::sync::Arc;

use bartizan_audit::Id;
use bartizan_guard::Labels;

use super::seen::Given;

/// For how long sessions that their client ends, each soon after the one before, hand on what was found, in microseconds.
/// Without an end a client that ends a session after each task would never be rid of one false finding.
const HANDED_ON: i64 = 8 * 60 * 60 * 1_000_000;

/// Where something was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The session, as records name it.
    pub(crate) session: Arc<str>,
    /// The entry of the message, once it is written.
    pub(crate) entry: Option<Id>,
}

/// Why a session begins with labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Because {
    /// Another session of the same client that bears them goes on, or has gone without a word of the client's.
    Used,
    /// The client has ended all that bore them, a short time ago.
    Ended,
    /// More was to be remembered than there is room for, and this may be what was forgotten.
    Forgotten,
}

impl Because {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Because::Used => "used",
            Because::Ended => "ended",
            Because::Forgotten => "forgotten",
        }
    }
}

/// What the next session of a client begins with, and until when. Times are of a clock that does not jump.
#[derive(Debug)]
pub(super) struct Past {
    labels: Labels,
    until: i64,
    /// Labelled sessions that their client has not ended.
    labelled: u32,
    /// When the client had first ended all of them since something was found last.
    ended: Option<i64>,
    /// Whether it is of others that were forgotten.
    is_of_others: bool,
    origin: Option<Origin>,
    /// Which results gave the labels of its sessions, as far as that is kept.
    given: Vec<Given>,
}

impl Default for Past {
    fn default() -> Self {
        Past {
            labels: Labels::NONE,
            until: i64::MIN,
            labelled: 0,
            ended: None,
            is_of_others: false,
            origin: None,
            given: Vec::new(),
        }
    }
}

impl Past {
    pub(super) fn left(&self, now: i64) -> Labels {
        if now >= self.until { Labels::NONE } else { self.labels }
    }

    /// Until when it counts; what is over soonest was not used for longest.
    pub(super) fn until(&self) -> i64 {
        self.until
    }

    pub(super) fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// Which results gave the labels of its sessions.
    pub(super) fn given(&self) -> &[Given] {
        &self.given
    }

    pub(super) fn given_mut(&mut self) -> &mut Vec<Given> {
        &mut self.given
    }

    /// Forgets all of it.
    pub(super) fn forget(&mut self) {
        *self = Past::default();
    }

    /// A session begins: what with, and why.
    pub(super) fn begin(&mut self, now: i64) -> (Labels, Because) {
        let left = self.left(now);
        let because = match self.labelled {
            _ if self.is_of_others => Because::Forgotten,
            0 => Because::Ended,
            _ => Because::Used,
        };
        if !left.is_empty() {
            self.labelled = self.labelled.saturating_add(1);
        }
        (left, because)
    }

    /// A session that bears `labels` is used, maybe the first time since it does.
    pub(super) fn is_used(&mut self, labels: Labels, is_first: bool, until: i64, now: i64) {
        if self.lapses(now) {
            self.labelled = 1;
        } else if is_first {
            self.labelled = self.labelled.saturating_add(1);
        }
        self.add(labels, until);
    }

    /// Something is found in what reaches a session that its client has ended already.
    pub(super) fn comes_late(&mut self, labels: Labels, until: i64, now: i64) {
        self.lapses(now);
        self.add(labels, until);
    }

    /// Where the last of it was found.
    pub(super) fn is_found(&mut self, origin: Origin) {
        (self.ended, self.is_of_others, self.origin) = (None, false, Some(origin));
    }

    /// The client has ended a session that bears `labels`; of the last one they count for so long.
    pub(super) fn is_ended(&mut self, labels: Labels, grace: i64, now: i64) {
        self.lapses(now);
        self.labelled = self.labelled.saturating_sub(1);
        if self.labelled == 0 {
            let since = *self.ended.get_or_insert(now);
            self.labels = self.labels.with(labels);
            self.until = now.saturating_add(grace).min(since.saturating_add(HANDED_ON));
        }
    }

    /// Takes over what is forgotten of somebody else, so that it counts for whoever may be them.
    pub(super) fn take_over(&mut self, other: &Past, origin: Option<&Origin>, now: i64) {
        if other.left(now).is_empty() {
            return;
        }
        self.lapses(now);
        if other.until > self.until {
            self.origin = origin.cloned();
        }
        self.is_of_others = true;
        self.add(other.labels, other.until);
    }

    fn add(&mut self, labels: Labels, until: i64) {
        self.labels = self.labels.with(labels);
        self.until = self.until.max(until);
    }

    /// Forgets what does not count any more; whether there was nothing else. Where it was found still holds for a session
    /// that was only idle.
    fn lapses(&mut self, now: i64) -> bool {
        let is_over = self.left(now).is_empty();
        if is_over {
            let (origin, given) = (self.origin.take(), std::mem::take(&mut self.given));
            *self = Past { origin, given, ..Past::default() };
        }
        is_over
    }
}
