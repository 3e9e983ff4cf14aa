//! A model as it is used: read, tried, and asked window by window.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use serde_json::Value;
use tract_onnx::prelude::Framework;

use crate::files::Files;
use crate::plan::{Plan, guarded};
use crate::said::said;
use crate::windows::{Window, Windows};
use crate::{MAX_WINDOW, MAX_WINDOWS, MIN_WINDOW, Problem, Score, Settings, graph, wire};

pub(crate) const IS_BUILT: bool = true;

/// What is asked.
pub(crate) struct Model {
    windows: Windows,
    plan: Plan,
    /// Which labels stand for orders.
    bad: Vec<usize>,
    most_windows: usize,
}

/// So long a model may take for one window when it is tried: a machine that is busy with other things, and far more than
/// any text is worth.
const TRIAL: Duration = Duration::from_secs(60);

impl Model {
    pub(crate) fn load(settings: &Settings) -> Result<Model, Problem> {
        check(settings)?;
        let files = Files::read(&settings.folder, &settings.digest, settings.most_bytes)?;
        guarded(|| Model::of(files, settings)).map_err(|problem| match problem {
            Problem::Panicked => Problem::Model("what reads it gave up, so something in it does not fit".to_owned()),
            other => other,
        })
    }

    fn of(files: Files, settings: &Settings) -> Result<Model, Problem> {
        let config = Config::read(files.config.as_deref())?;
        wire::check(&files.model)?;
        let proto = tract_onnx::onnx().proto_model_for_read(&mut files.model.as_slice());
        let proto = proto.map_err(|error| Problem::Model(said(format!("{error:#}"))))?;
        // What it was read from is not needed any more, and large.
        drop(files.model);
        let graph = proto.graph.as_ref().ok_or_else(|| Problem::Model("it has no graph".to_owned()))?;
        let ends = graph::check(graph)?;
        let length = ends.window.unwrap_or(settings.window);
        if let Some(most) = config.positions.filter(|most| *most < length) {
            return Err(Problem::Setting(format!(
                "a window of {length} tokens is too long for the model, which takes {most}"
            )));
        }
        let windows = Windows::read(&files.tokenizer, length, config.pad)?;
        let plan = Plan::of(&proto, &ends, length)?;
        let bad = config.bad(&settings.labels, plan.labels)?;
        let model = Model { windows, plan, bad, most_windows: settings.most_windows };
        model.tried(length)?;
        Ok(model)
    }

    /// Has it say something of nothing, and of the last word that it may be shown: a tokenizer with more words than the
    /// model was made with belongs to another one.
    fn tried(&self, length: usize) -> Result<(), Problem> {
        let last = i64::from(self.windows.largest());
        for id in [0, last] {
            let window = Window { ids: vec![id; length], types: vec![0; length], mask: vec![1; length], span: 0..0 };
            self.plan.run(&window, Instant::now() + TRIAL).and_then(|logits| self.probability(&logits)).map_err(
                |problem| {
                    let what = if id == 0 { "a text of nothing" } else { "the last token of its tokenizer" };
                    Problem::Model(format!("tried with {what}: {problem}"))
                },
            )?;
        }
        Ok(())
    }

    pub(crate) fn score(&self, text: &str, deadline: Instant) -> Result<Score, Problem> {
        let mut worst: Option<Score> = None;
        let asked = guarded(|| {
            self.windows.of(text, |window| {
                let seen = worst.as_ref().map_or(0, |worst| worst.windows);
                if seen == self.most_windows || Instant::now() >= deadline {
                    return Ok::<_, Problem>(ControlFlow::Break(()));
                }
                let probability = self.probability(&self.plan.run(&window, deadline)?)?;
                let is_worse = worst.as_ref().is_none_or(|worst| probability > worst.probability);
                let score = worst.get_or_insert(Score { probability, span: 0..0, windows: 0, is_whole: false });
                score.windows += 1;
                if is_worse {
                    (score.probability, score.span) = (probability, window.span);
                }
                Ok(ControlFlow::Continue(()))
            })
        });
        match (asked, worst) {
            (Ok(is_whole), Some(worst)) => Ok(Score { is_whole, ..worst }),
            // Better what it said until then than nothing.
            (Err(Problem::Deadline), Some(worst)) => Ok(worst),
            (Ok(_), None) => Err(Problem::Deadline),
            (Err(problem), _) => Err(problem),
        }
    }

    /// What the logits say of the labels that stand for orders, together.
    fn probability(&self, logits: &[f32]) -> Result<f32, Problem> {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weights: Vec<f32> = logits.iter().map(|logit| (logit - largest).exp()).collect();
        let sum: f32 = weights.iter().sum();
        let bad: f32 = self.bad.iter().filter_map(|at| weights.get(*at)).sum();
        let probability = bad / sum;
        if probability.is_finite() {
            Ok(probability.clamp(0.0, 1.0))
        } else {
            Err(Problem::Run("what it says is no number".to_owned()))
        }
    }
}

/// # Errors
/// If a number is out of its bounds.
fn check(settings: &Settings) -> Result<(), Problem> {
    let &Settings { window, most_windows, .. } = settings;
    if !(MIN_WINDOW..=MAX_WINDOW).contains(&window) {
        return Err(Problem::Setting(format!("a window has {MIN_WINDOW} to {MAX_WINDOW} tokens, and not {window}")));
    }
    if !(1..=MAX_WINDOWS).contains(&most_windows) {
        return Err(Problem::Setting(format!(
            "of a text 1 to {MAX_WINDOWS} windows are looked at, and not {most_windows}"
        )));
    }
    Ok(())
}

/// What `config.json` says that matters here.
#[derive(Default)]
struct Config {
    labels: BTreeMap<usize, String>,
    positions: Option<usize>,
    pad: Option<u32>,
}

/// What labels that stand for orders are mostly called.
const BAD: [&str; 8] =
    ["injection", "jailbreak", "malicious", "unsafe", "attack", "prompt_injection", "prompt-injection", "harmful"];

impl Config {
    fn read(json: Option<&[u8]>) -> Result<Config, Problem> {
        let Some(json) = json else { return Ok(Config::default()) };
        let value: Value = serde_json::from_slice(json).map_err(|error| Problem::Config(said(error)))?;
        let mut labels = BTreeMap::new();
        for (at, label) in value.get("id2label").and_then(Value::as_object).into_iter().flatten() {
            let (Ok(at), Some(label)) = (at.parse(), label.as_str()) else {
                return Err(Problem::Config("`id2label` is no list of labels by their numbers".to_owned()));
            };
            labels.insert(at, label.to_owned());
        }
        let number = |name: &str| value.get(name).and_then(Value::as_u64);
        Ok(Config {
            labels,
            positions: number("max_position_embeddings").and_then(|most| usize::try_from(most).ok()),
            pad: number("pad_token_id").and_then(|pad| u32::try_from(pad).ok()),
        })
    }

    /// Which of so many labels stand for orders.
    fn bad(&self, asked: &[String], count: usize) -> Result<Vec<usize>, Problem> {
        if !self.labels.is_empty() && !self.labels.keys().copied().eq(0..count) {
            let why = format!("`id2label` has not the {count} labels that the model has");
            return Err(Problem::Config(why));
        }
        let name = |at: usize| self.labels.get(&at).cloned().unwrap_or_else(|| format!("LABEL_{at}"));
        let all: Vec<String> = (0..count).map(name).collect();
        let known = || said(all.join(", "));
        let mut bad = Vec::new();
        for label in asked {
            let at = all.iter().position(|known| known == label);
            let at =
                at.ok_or_else(|| Problem::Setting(format!("the model has no label `{label}`, but {}", known())))?;
            if !bad.contains(&at) {
                bad.push(at);
            }
        }
        if asked.is_empty() {
            let is_bad = |label: &String| BAD.contains(&label.to_ascii_lowercase().as_str());
            bad.extend(all.iter().enumerate().filter(|(_, label)| is_bad(label)).map(|(at, _)| at));
        }
        if bad.is_empty() || bad.len() == count {
            let why =
                format!("which label stands for orders is not told by their names ({}); say it with `labels`", known());
            return Err(Problem::Setting(why));
        }
        Ok(bad)
    }
}
