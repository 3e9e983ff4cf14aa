//! In the place of `model.rs` where the program was built without the feature `onnx`: every model is refused.

use std::convert::Infallible;
use std::time::Instant;

use crate::{Problem, Score, Settings};

pub(crate) const IS_BUILT: bool = false;

/// There is none.
pub(crate) struct Model(Infallible);

impl Model {
    pub(crate) fn load(_: &Settings) -> Result<Model, Problem> {
        Err(Problem::NotBuilt)
    }

    pub(crate) fn score(&self, _: &str, _: Instant) -> Result<Score, Problem> {
        match self.0 {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_is_refused_with_what_helps() {
        let settings = Settings::new("/nowhere", crate::Digest::of(&[]));
        let refusal = Model::load(&settings).err().unwrap().to_string();
        assert!(refusal.contains("without the feature `onnx`"), "{refusal}");
    }
}
