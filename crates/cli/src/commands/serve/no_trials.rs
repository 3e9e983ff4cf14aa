//! In the place of `trials.rs` without the feature `redteam`: a configuration that wants trials is refused then.

use bartizan_config::Config;
use bartizan_gateway::Trials;

use crate::common::Notices;

/// Trials that are not made.
pub(super) struct Scheduled;

impl Scheduled {
    pub(super) fn begin(_: Trials, _: Notices) -> Scheduled {
        Scheduled
    }

    #[expect(clippy::unused_async, reason = "there is nothing to end")]
    pub(super) async fn end(self) {}
}

/// Nothing is held against anything.
pub(in super::super) fn unheld(_: &Config) -> Option<String> {
    None
}
