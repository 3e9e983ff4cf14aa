//! Why a model is of no use.

use std::path::PathBuf;

use thiserror::Error;

use crate::Digest;

/// Why a model is of no use. All but the last three are said when it is loaded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    /// This program cannot run any.
    #[error(
        "this bartizan was built without the feature `onnx` (cargo build --release -p bartizan-cli --features onnx has it)"
    )]
    NotBuilt,
    /// A file cannot be read.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// A file is larger than allowed.
    #[error("{}: it has more than {most} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most it may have.
        most: u64,
    },
    /// What is there is something else.
    #[error("the files have the digest `{found}`, and not the one that is pinned; if they are meant, pin that one")]
    OtherDigest {
        /// The digest of what is there.
        found: Digest,
    },
    /// A setting is out of its bounds, or does not fit the model.
    #[error("{0}")]
    Setting(String),
    /// `model.onnx` is none, or does what none may.
    #[error("model.onnx: {0}")]
    Model(String),
    /// `tokenizer.json` is none.
    #[error("tokenizer.json: {0}")]
    Tokenizer(String),
    /// `config.json` is none.
    #[error("config.json: {0}")]
    Config(String),
    /// The time was over before the first window had been looked at.
    #[error("the model was not done by its deadline")]
    Deadline,
    /// The model fails with this text.
    #[error("the model fails: {0}")]
    Run(String),
    /// It panicked, which counts as a failure like any other.
    #[error("the model fails: what runs it gave up")]
    Panicked,
}
