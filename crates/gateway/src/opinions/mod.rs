//! Asks the layers that take their time: what they say of doubtful texts is evidence when the message is judged again.
//!
//! The guards say what is doubtful ([`bartizan_guard::Verdict::doubts`]) and what an opinion counts for
//! ([`bartizan_guard::Terms`]); a [`Provider`] answers for one text. What stands between is the same for all of them and is
//! here: which texts are asked about, one deadline for all of a message, a cache, a budget, and a breaker. Whatever goes
//! wrong, there is an answer in time, which is then that there is none.
//!
//! **Threat.** Whoever writes the texts decides what is asked. So it must cost neither time nor money without bounds, an
//! answer must not be taken for one about another text, and a text that confuses who reads it must not switch the
//! layer off for others: an answer that cannot be read is none, and no failure.

mod budget;
mod judge;
mod known;
mod model;
mod patience;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bartizan_config::Config;
use bartizan_guard::{Doubt, Evidence, Layer, Opinion, Said, Silence, Terms, TextKind};
use futures_util::future::{BoxFuture, join_all};

pub use self::budget::Most;
use self::budget::{Budget, Spared};
use self::judge::Judge;
use self::known::Answers;
use self::model::Local;
use self::patience::{News, Patience};
use crate::clock;
use crate::metrics::Metrics;

/// Somebody who can say of one text how likely it gives the assistant orders that its user did not.
pub trait Provider: Send + Sync {
    /// What makes an answer another one: the model, the prompt, whatever else. Answers are kept under it.
    fn identity(&self) -> &str;

    /// Asks about one text, of which nothing is to be believed. It is dropped when the deadline passes; what takes a
    /// processor and not only time belongs on a thread of its own.
    ///
    /// # Errors
    /// Why there is no answer. [`Silence::Unreachable`] says that it will be the same with the next text, and opens the
    /// breaker if it is said often enough.
    fn ask<'a>(&'a self, text: &'a str, kind: TextKind) -> BoxFuture<'a, Result<f64, Unanswered>>;
}

/// That there is no answer about one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unanswered {
    /// Why.
    pub why: Silence,
    /// For how long it is to be left alone, where it says so ([`Silence::Limited`]).
    pub wait: Duration,
}

impl From<Silence> for Unanswered {
    fn from(why: Silence) -> Unanswered {
        Unanswered { why, wait: Duration::ZERO }
    }
}

/// How a layer is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manner {
    /// Texts of one message that are asked about.
    pub texts: usize,
    /// Until when all answers for one message have to be there.
    pub deadline: Duration,
    /// Failures in a row after which it is left alone for a while.
    pub failures: u32,
    /// How much it is asked at most, if that is bounded.
    pub most: Most,
}

/// One layer.
pub struct Asked {
    terms: Terms,
    manner: Manner,
    provider: Box<dyn Provider>,
    patience: Arc<Patience>,
    budget: Arc<Budget>,
    answers: Arc<Answers>,
    /// Whether it was said that it is left alone.
    is_resting: AtomicBool,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("terms", &self.terms).field("manner", &self.manner).finish_non_exhaustive()
    }
}

/// The table of a configuration that names a layer which cannot be asked, and why.
#[must_use]
pub fn check(config: &Config) -> Option<(Vec<String>, String)> {
    let (layer, why) = Layers::of(config).err()?;
    Some((vec!["detection".to_owned(), layer.as_str().to_owned()], why.to_string()))
}

/// All layers of a configuration.
#[derive(Debug, Default)]
pub struct Layers(Vec<Asked>);

impl Asked {
    /// A layer that nobody has asked yet.
    #[must_use]
    pub fn new(terms: Terms, manner: Manner, provider: Box<dyn Provider>) -> Asked {
        Asked {
            patience: Arc::new(Patience::new(manner.failures)),
            budget: Arc::new(Budget::default()),
            answers: Arc::default(),
            is_resting: AtomicBool::new(false),
            terms,
            manner,
            provider,
        }
    }

    /// What it says of the doubtful texts of one message from that server.
    async fn ask(&self, server: &str, doubts: &[Doubt], metrics: &Metrics) -> Vec<Opinion> {
        let deadline = tokio::time::Instant::now() + self.manner.deadline;
        let mut covered: Vec<_> = doubts.iter().filter(|doubt| self.terms.covers(doubt.kind, server)).collect();
        covered.sort_by(|one, other| other.score.total_cmp(&one.score));
        let (mut seen, mut room) = (BTreeSet::new(), self.manner.texts);
        covered.retain(|doubt| seen.insert(doubt.text));
        let answers = covered.into_iter().map(|doubt| {
            let key = Answers::key(self.provider.identity(), doubt.kind, &doubt.excerpt);
            let held = self.answers.get(&key);
            let is_asked = held.is_none() && !doubt.is_settled && room > 0;
            room -= usize::from(is_asked);
            async move {
                let (said, outcome) = match held {
                    _ if doubt.is_settled => (Said::Nothing(Silence::Settled), None),
                    Some(thousandths) => (Said::Likely(thousandths), Some("known")),
                    None if !is_asked => (Said::Nothing(Silence::TooMany), Some(Silence::TooMany.as_str())),
                    None => match self.ask_one(server, doubt, deadline).await {
                        Ok(thousandths) => {
                            self.answers.add(key, thousandths);
                            (Said::Likely(thousandths), Some("answered"))
                        }
                        Err(silence) => (Said::Nothing(silence), Some(silence.as_str())),
                    },
                };
                outcome.into_iter().for_each(|outcome| metrics.asked(self.terms.layer.as_str(), outcome));
                Opinion { text: doubt.text, layer: self.terms.layer, said }
            }
        });
        // Made before any is waited for, so that each has its place.
        let answers: Vec<_> = answers.collect();
        join_all(answers).await
    }

    /// How likely one text is an attack, in thousandths.
    async fn ask_one(&self, server: &str, doubt: &Doubt, deadline: tokio::time::Instant) -> Result<u16, Silence> {
        let layer = self.terms.layer.as_str();
        let question = self.patience.attempt(server, Instant::now())?;
        if let Err(Spared { why, is_news }) =
            self.budget.spend(&self.manner.most, (server, doubt.excerpt.len()), clock::now())
        {
            if is_news {
                let what = if why == Silence::Share { "its part for that server" } else { "its budget" };
                tracing::warn!(server, "{layer}: {what} is spent; until there is more, the rest decides");
            }
            return Err(why);
        }
        let asked = tokio::time::timeout_at(deadline, self.provider.ask(&doubt.excerpt, doubt.kind)).await;
        let said = asked.unwrap_or(Err(Silence::Deadline.into()));
        let said = said.and_then(|probability| match Said::likely(probability) {
            Said::Likely(thousandths) => Ok(thousandths),
            Said::Nothing(silence) => Err(silence.into()),
        });
        match self.patience.ended(question, &said, Instant::now()) {
            Some(News::Slow) => {
                let failures = self.manner.failures;
                tracing::warn!(
                    server,
                    "{layer}: it missed the deadline {failures} times in a row with texts of that server and is left alone with them \
                     for a while"
                );
            }
            Some(News::Limited(wait)) => {
                tracing::warn!("{layer}: it allows no more questions and is left alone for {} s", wait.as_secs());
            }
            None => {}
        }
        self.tell();
        said.map_err(|unanswered| unanswered.why)
    }

    /// Says when it is left alone and when no more.
    fn tell(&self) {
        let (is_open, layer) = (self.patience.is_open(), self.terms.layer.as_str());
        if self.is_resting.swap(is_open, Ordering::Relaxed) != is_open {
            if is_open {
                tracing::warn!(
                    "{layer}: it failed {} times in a row and is left alone for a while",
                    self.manner.failures
                );
            } else {
                tracing::info!("{layer}: it answers again");
            }
        }
    }
}

impl Layers {
    /// These layers.
    #[must_use]
    pub fn new(layers: Vec<Asked>) -> Layers {
        Layers(layers)
    }

    /// The layers that a configuration names.
    ///
    /// # Errors
    /// The layer that cannot be asked, and why.
    pub(crate) fn of(config: &Config) -> Result<Layers, (Layer, std::io::Error)> {
        let (detection, servers) = (&config.detection, shares(config.servers.len()));
        let judge = detection.judge.as_ref().map(|judge| Judge::layer(judge, detection.texts, servers)).transpose();
        let judge = judge.map_err(|error| (Layer::Judge, error))?;
        let model = detection.model.as_ref().map(|model| Local::layer(model, detection.texts)).transpose();
        let model = model.map_err(|problem| (Layer::Model, std::io::Error::other(problem)))?;
        Ok(Layers::new(judge.into_iter().chain(model).collect()))
    }

    /// What they say of the doubtful texts of one message; nothing if they are not asked about any of them.
    pub(crate) async fn ask(&self, server: &str, doubts: &[Doubt], metrics: &Metrics) -> Option<Evidence> {
        let is_required = self.0.iter().any(|asked| asked.terms.required);
        if doubts.is_empty() || !is_required && doubts.iter().all(|doubt| doubt.is_settled) {
            return None;
        }
        let opinions = join_all(self.0.iter().map(|asked| asked.ask(server, doubts, metrics))).await;
        Some(Evidence::Opinions(opinions.into_iter().flatten().collect()))
    }

    /// The same with what was spent and answered before: a configuration that is read anew is no reason to ask anew.
    #[must_use]
    pub(crate) fn following(mut self, before: &Layers) -> Layers {
        for asked in &mut self.0 {
            let Some(held) = before.0.iter().find(|held| held.terms.layer == asked.terms.layer) else { continue };
            asked.budget = Arc::clone(&held.budget);
            asked.answers = Arc::clone(&held.answers);
            let is_same = held.provider.identity() == asked.provider.identity();
            if is_same && held.patience.failures == asked.patience.failures {
                asked.patience = Arc::clone(&held.patience);
                asked.is_resting = AtomicBool::new(held.is_resting.load(Ordering::Relaxed));
            }
        }
        self
    }
}

/// Among how many servers a budget is divided, of so many that are configured: how many `bartizan run` will wrap is not known.
fn shares(configured: usize) -> usize {
    const WRAPPED: usize = 8;
    if configured == 0 { WRAPPED } else { configured }
}

#[cfg(test)]
mod tests;
