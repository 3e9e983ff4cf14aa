//! Which model is meant, and how it is used.

use std::path::PathBuf;

use crate::Digest;

/// The shortest window in tokens.
pub const MIN_WINDOW: usize = 8;
/// The longest window in tokens.
pub const MAX_WINDOW: usize = 8192;
/// The most windows of one text.
pub const MAX_WINDOWS: usize = 4096;

/// Which model is meant, and how it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The folder with `model.onnx`, `tokenizer.json` and, if there is one, `config.json`.
    pub folder: PathBuf,
    /// The digest that these files must have.
    pub digest: Digest,
    /// The labels that stand for orders to the assistant; their probabilities are added. If there are none, the labels of
    /// `config.json` have to say it by their names.
    pub labels: Vec<String>,
    /// The length of a window in tokens, for models that do not prescribe it.
    pub window: usize,
    /// The most windows that are looked at of one text.
    pub most_windows: usize,
    /// The most bytes that `model.onnx` may have.
    pub most_bytes: u64,
}

impl Settings {
    /// Those of a model as it mostly is.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, digest: Digest) -> Settings {
        Settings {
            folder: folder.into(),
            digest,
            labels: Vec::new(),
            window: 128,
            most_windows: 256,
            most_bytes: 1 << 30,
        }
    }
}
