//! What came of trials of the configuration in force, on its way into the log and the metrics. Who makes a trial is above this
//! crate.

use std::collections::BTreeMap;
use std::sync::Arc;

use bartizan_config::Config;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::clock;
use crate::gateway::Gateway;

/// Where trials of a running gateway report to.
#[derive(Clone)]
pub struct Trials(Arc<Gateway>);

/// What came of one.
#[derive(Debug, Clone, Serialize)]
pub struct Tried {
    /// For which servers texts were sent.
    pub servers: Vec<String>,
    /// What became of attacks.
    pub attacks: Counted,
    /// What became of honest texts.
    pub benign: Counted,
    /// What later ones are held against.
    pub baseline: Value,
}

/// What became of some texts.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counted {
    /// How many were sent.
    pub sent: usize,
    /// What did not reach whom it was meant for.
    pub stopped: usize,
    /// What came through marked.
    pub marked: usize,
    /// What came through with a finding.
    pub observed: usize,
    /// What came through.
    pub through: usize,
    /// Of what nobody knows.
    pub unknown: usize,
    /// The rules that stopped most.
    pub by: BTreeMap<String, usize>,
    /// The first of those that came through, or of honest texts that did not.
    pub ids: Vec<String>,
}

/// What a trial is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Than {
    /// The one before.
    Last,
    /// What an operator has written down.
    Baseline,
}

impl Than {
    fn as_str(self) -> &'static str {
        match self {
            Than::Last => "last",
            Than::Baseline => "baseline",
        }
    }
}

const TRIED: &str = "redteam.tried";
/// How much of the log is looked through for the last trial: what is read in well under a second.
const WITHIN: u64 = 256 << 20;

impl Trials {
    pub(crate) fn of(gateway: &Arc<Gateway>) -> Trials {
        Trials(Arc::clone(gateway))
    }

    /// The configuration in force, and each that follows it.
    #[must_use]
    pub fn configurations(&self) -> watch::Receiver<Option<Arc<Config>>> {
        self.0.config.subscribe()
    }

    /// What the log says of the last trial, be it of this process or of one before; for later ones to be held against.
    #[must_use]
    pub fn last(&self) -> Option<Value> {
        let found = bartizan_audit::last(self.0.recorder.log().at(), TRIED, WITHIN);
        // What cannot be read is said by whoever verifies the log.
        found.ok().flatten()?.value().get_mut("baseline").map(Value::take)
    }

    /// Records what came of a trial.
    pub fn record(&self, tried: &Tried) {
        let metrics = &self.0.metrics;
        for (kind, counted) in [("attack", &tried.attacks), ("benign", &tried.benign)] {
            let Counted { stopped, marked, observed, through, unknown, .. } = *counted;
            let fates = [
                ("stopped", stopped),
                ("marked", marked),
                ("observed", observed),
                ("through", through),
                ("unknown", unknown),
            ];
            fates.into_iter().for_each(|(fate, count)| metrics.tried(kind, fate, count));
        }
        metrics.set_tried_at(clock::now().0 / 1_000_000);
        // A log that cannot be written is said by the recorder.
        self.0.recorder.note(TRIED, tried).ok();
    }

    /// Records in what the last trial was worse than that, by family and with how it was and is; in nothing, it is only
    /// counted.
    pub fn worse(&self, than: Than, worse: &[impl Serialize]) {
        self.0.metrics.set_worse(than.as_str(), worse.len());
        if !worse.is_empty() {
            self.0.recorder.note("redteam.worse", &json!({"than": than.as_str(), "worse": worse})).ok();
        }
    }

    /// Records that there could be none, or that it could not be held against anything.
    pub fn failed(&self, why: &str) {
        self.0.metrics.trial_failed();
        let why: String = why.chars().take(300).collect();
        self.0.recorder.note("redteam.failed", &json!({ "why": why })).ok();
    }
}
