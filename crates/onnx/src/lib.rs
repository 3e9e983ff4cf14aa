//! A model of the operator's own that says how likely a text gives the assistant orders: `model.onnx` with its tokenizer.
//!
//! **Threat.** What is built in has learnt from what was public; an operator may have a larger model, or one that knows the
//! own traffic. Such a model is a program that came from somewhere: it is held to a digest that the configuration names, so
//! that nobody puts another one in its place, and read as hostile input. What its file may make anybody do is bounded: sizes
//! are compared with what is there before anything is made of them, parts that loop, draw numbers or read other files are
//! refused, every tensor has its limit, a deadline is looked at before each step, and a panic within is an error.
//!
//! A text is read in windows that overlap, and counts as its worst window. Everything here blocks: it belongs on a thread
//! that may.
//!
//! Without the feature `onnx` nothing of that is compiled, and every model is refused.

mod digest;
mod problem;
mod settings;

#[cfg(feature = "onnx")]
mod files;
#[cfg(feature = "onnx")]
mod graph;
#[cfg_attr(not(feature = "onnx"), path = "no_model.rs")]
mod model;
#[cfg(feature = "onnx")]
mod plan;
#[cfg(feature = "onnx")]
mod said;
#[cfg(feature = "onnx")]
mod windows;
#[cfg(feature = "onnx")]
mod wire;

use std::fmt;
use std::ops::Range;
use std::time::Instant;

pub use digest::Digest;
pub use problem::Problem;
pub use settings::{MAX_WINDOW, MAX_WINDOWS, MIN_WINDOW, Settings};

/// Whether this program can run models.
pub const IS_BUILT: bool = model::IS_BUILT;

/// A model that was read, held to its digest and tried once.
pub struct Model(model::Model);

/// What a model says of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// How likely it is that the text gives orders, from 0 to 1: that of the worst window.
    pub probability: f32,
    /// The bytes of the text that the worst window stands for; never within a character.
    pub span: Range<usize>,
    /// How many windows were looked at.
    pub windows: usize,
    /// Whether that is all of the text; otherwise the deadline or the limit of windows came first.
    pub is_whole: bool,
}

impl Model {
    /// Reads the model in a folder, and tries it with a text of no words.
    ///
    /// # Errors
    /// If it is not the model of the digest, or none that can be run within the limits.
    pub fn load(settings: &Settings) -> Result<Model, Problem> {
        model::Model::load(settings).map(Model)
    }

    /// How likely `text` gives the assistant orders. The deadline is looked at before each step of the model.
    ///
    /// # Errors
    /// If the deadline passed before any window was looked at, or the model fails.
    pub fn score(&self, text: &str, deadline: Instant) -> Result<Score, Problem> {
        self.0.score(text, deadline)
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Model")
    }
}
