//! A model of the operator's, run on this machine.
//!
//! A question takes a processor for as long as the model needs, so there are threads for as many at a time as the operator
//! allows, and a thread gives up by itself when whoever asked does.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bartizan_config::Model as Configured;
use bartizan_guard::{Silence, TextKind};
use bartizan_onnx::{Model, Problem, Score, Settings};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use super::{Asked, Manner, Most, Provider, Unanswered};

/// The model, and who may ask it when.
pub(crate) struct Local {
    model: Arc<Model>,
    /// What makes an answer another one.
    identity: String,
    places: Arc<Semaphore>,
    deadline: Duration,
    acts_from: f32,
}

impl Local {
    /// The layer that a configuration describes.
    ///
    /// # Errors
    /// If the model cannot be run.
    pub(crate) fn layer(configured: &Configured, texts: usize) -> Result<Asked, Problem> {
        let Configured { terms, deadline, failures, .. } = configured;
        // It costs nobody money, and time only as long as there is a place.
        let manner = Manner { texts, deadline: *deadline, failures: *failures, most: Most::default() };
        Ok(Asked::new(terms.clone(), manner, Box::new(Local::open(configured)?)))
    }

    fn open(configured: &Configured) -> Result<Local, Problem> {
        let settings = &configured.settings;
        let Settings { digest, labels, window, most_windows, .. } = settings;
        Ok(Local {
            model: shared(settings)?,
            identity: format!("{digest} {labels:?} {window} {most_windows}"),
            places: Arc::new(Semaphore::new(configured.at_a_time)),
            deadline: configured.deadline,
            acts_from: configured.terms.acts_from,
        })
    }
}

/// A model is large, and one that is pinned is the same wherever it is used: a configuration that is read anew takes the one
/// that is there.
fn shared(settings: &Settings) -> Result<Arc<Model>, Problem> {
    static HELD: Mutex<Option<(Settings, Weak<Model>)>> = Mutex::new(None);
    // Whoever comes second waits for the first instead of loading it as well.
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((known, model)) = &*held
        && known == settings
        && let Some(model) = model.upgrade()
    {
        return Ok(model);
    }
    let model = Arc::new(Model::load(settings)?);
    *held = Some((settings.clone(), Arc::downgrade(&model)));
    Ok(model)
}

impl Provider for Local {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn ask<'a>(&'a self, text: &'a str, _: TextKind) -> BoxFuture<'a, Result<f64, Unanswered>> {
        async move {
            let deadline = Instant::now() + self.deadline;
            let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| Silence::Unreachable)?;
            let (model, text) = (Arc::clone(&self.model), text.to_owned());
            let asked = tokio::task::spawn_blocking(move || {
                let said = model.score(&text, deadline);
                drop(place);
                said
            });
            Ok(self.said(asked.await.map_err(|_| Silence::Unreadable)?)?)
        }
        .boxed()
    }
}

impl Local {
    /// What an answer is worth.
    fn said(&self, said: Result<Score, Problem>) -> Result<f64, Silence> {
        match said {
            // An attack in one part is one, whatever the rest is.
            Ok(score) if score.is_whole || score.probability >= self.acts_from => Ok(score.probability.into()),
            Ok(_) | Err(Problem::Deadline) => Err(Silence::Deadline),
            // It may be this text alone that it fails with.
            Err(problem) => {
                tracing::debug!("model: {problem}");
                Err(Silence::Unreadable)
            }
        }
    }
}
