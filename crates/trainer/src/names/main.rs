//! Trains the tagger of names, places and addresses of `bartizan-detect` on sentences made from templates and lists of our own,
//! and, if a file of labelled texts is named, on those of it as well.
//!
//! `train-names [--texts FILE.jsonl] [--write FILE]`. With `--texts`, what it is worth is measured on templates that were not
//! learnt from: all texts of one template are in the same of five folds. Trained twice on the same it is the same to the byte.
#![expect(clippy::indexing_slicing, clippy::string_slice, reason = "a tool for developers that reads their own files")]
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]
#![expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "thousands of texts")]

mod learn;
mod made;
#[path = "../random.rs"]
mod random;
mod texts;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use bartizan_detect::personal::tagger::{Tagger, Weights};
use clap::Parser;

use crate::learn::{How, Sample};
use crate::random::Random;
use crate::texts::{Row, Score};

/// Trains and measures the tagger of names.
#[derive(Debug, Parser)]
struct Options {
    /// Templates of our own
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/names"))]
    templates: PathBuf,
    /// Folders of texts that name hardly anybody, such as code and its documentation
    #[arg(long)]
    plain: Vec<PathBuf>,
    /// Labelled texts: JSON lines with `text`, `spans` and `template_id`
    #[arg(long)]
    texts: Option<PathBuf>,
    /// Measure without learning from them
    #[arg(long)]
    without_texts: bool,
    /// Write the weights here
    #[arg(long)]
    write: Option<PathBuf>,
    /// How often each template is filled
    #[arg(long, default_value_t = 10)]
    each: usize,
    /// How often a text counts that was not made
    #[arg(long, default_value_t = 2)]
    often: usize,
    /// Bits of a feature
    #[arg(long, default_value_t = 16)]
    bits: u32,
    /// How often all is gone through
    #[arg(long, default_value_t = 6)]
    rounds: usize,
    /// How far a correction goes
    #[arg(long, default_value_t = 0.1)]
    rate: f32,
    /// How strongly weights are drawn towards nothing
    #[arg(long, default_value_t = 1e-3)]
    decay: f32,
    /// Of a hundred features, how many are left out each time
    #[arg(long, default_value_t = 30)]
    left_out: usize,
    /// Count only what is at least that sure, in thousandths
    #[arg(long, default_value_t = 400)]
    least: u16,
    /// Print what is missed and what is found wrongly
    #[arg(long)]
    wrong: bool,
}

const FOLDS: usize = 5;

fn main() -> Result<()> {
    let options = Options::parse();
    let tagger = Tagger::untrained();
    let mut made = Vec::new();
    let mut random = Random::new(20_261_129);
    let mut paths: Vec<_> =
        std::fs::read_dir(&options.templates)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.sort();
    for path in &paths {
        let file = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        for row in made::all(&file, options.each, &mut random) {
            made.extend(learn::samples(&tagger, &row, options.bits));
        }
    }
    for folder in &options.plain {
        for text in texts::plain(folder)? {
            let row = made::Made { text, spans: Vec::new() };
            made.extend(learn::samples(&tagger, &row, options.bits));
        }
    }
    println!("{} parts of made sentences", made.len());
    let rows = options.texts.as_deref().map(texts::read).transpose()?.unwrap_or_default();
    if !rows.is_empty() {
        let mut score = Score::default();
        for fold in 0..FOLDS {
            let learnt: Vec<&Row> = rows.iter().filter(|row| row.template % FOLDS != fold).collect();
            if options.without_texts {
                score.add(train(&options, &tagger, &made, &[]), rows.iter(), options.least, options.wrong);
                break;
            }
            let weights = train(&options, &tagger, &made, &learnt);
            score.add(weights, rows.iter().filter(|row| row.template % FOLDS == fold), options.least, options.wrong);
        }
        score.print();
    }
    if let Some(path) = &options.write {
        let learnt: Vec<&Row> = rows.iter().collect();
        let weights = train(&options, &tagger, &made, if options.without_texts { &[] } else { &learnt });
        std::fs::write(path, weights.write()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn train(options: &Options, tagger: &Tagger, made: &[Sample], rows: &[&Row]) -> Weights {
    let mut samples = made.to_vec();
    for row in rows {
        let of_row = learn::samples(tagger, &row.as_made(), options.bits);
        (0..options.often).for_each(|_| samples.extend(of_row.iter().cloned()));
    }
    let Options { bits, rounds, rate, decay, left_out, .. } = *options;
    learn::learn(&samples, How { bits, rounds, rate, decay, left_out })
}
