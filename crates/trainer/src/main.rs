//! Trains the classifier of `bartizan-detect` on a folder of labelled texts, and measures it on sources that it has not seen.
//!
//! `train DIR` reads `DIR/*.jsonl`, writes the model, and prints what it is worth. What is trained twice on the same texts is
//! the same to the byte.
#![expect(clippy::indexing_slicing, clippy::string_slice, reason = "a tool for developers that reads their own files")]
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "thousands of texts"
)]

mod data;
mod folds;
mod grammar;
mod learn;
mod measure;
mod mix;
mod random;
mod report;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use bartizan_detect::Kind;
use bartizan_detect::classifier::Scale;
use clap::Parser;

use crate::data::Row;
use crate::grammar::Grammar;
use crate::mix::Grammars;

/// Trains and measures the classifier.
#[derive(Debug, Parser)]
struct Options {
    /// A folder of `*.jsonl` with `text`, `label` (`injection` or `benign`) and `kind`
    folder: PathBuf,
    /// Where the grammars are
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/grammar"))]
    grammar: PathBuf,
    /// Our own texts, which are never learnt from
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../detect/corpus"))]
    corpus: PathBuf,
    /// Write the model here
    #[arg(long)]
    write: Option<PathBuf>,
    /// Texts that are drawn from each grammar
    #[arg(long, default_value_t = 300)]
    each: usize,
    /// Bits of a feature
    #[arg(long, default_value_t = 20)]
    bits: u32,
    /// How often all texts are gone through
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How far a correction goes
    #[arg(long, default_value_t = 0.3)]
    rate: f32,
    /// How strongly weights are drawn towards nothing
    #[arg(long, default_value_t = 1e-4)]
    decay: f32,
    /// In how many sources a word or pair is seen at least
    #[arg(long, default_value_t = 2)]
    fewest: u32,
    /// Learn without attacks of grammars
    #[arg(long)]
    without_attacks: bool,
    /// Learn without benign texts of grammars
    #[arg(long)]
    without_benign: bool,
    /// Write each measured text with its score here
    #[arg(long)]
    dump: Option<PathBuf>,
}

/// Kinds by the head that looks at them: what people say to an assistant, and all that comes from elsewhere.
const HEADS: [&[Kind]; 2] =
    [&[Kind::ToolDescription, Kind::ToolResult, Kind::Document, Kind::Argument], &[Kind::UserPrompt]];

fn main() -> Result<()> {
    let options = Options::parse();
    let rows = data::read(&options.folder, None)?;
    let mut own = data::read(&options.corpus.join("attack"), Some(true))?;
    own.extend(data::read(&options.corpus.join("benign"), Some(false))?);
    let mut grammars = Grammars {
        attack: Grammar::all(&options.grammar.join("attack"))?,
        benign: Grammar::all(&options.grammar.join("benign"))?,
    };
    if options.without_attacks {
        grammars.attack.clear();
    }
    if options.without_benign {
        grammars.benign.clear();
    }
    let how = learn::How {
        bits: options.bits,
        rounds: options.rounds,
        rate: options.rate,
        decay: options.decay,
        others: 2,
        fewest: options.fewest,
    };
    let measured = folds::measure(&rows, &own, &grammars, options.each, how);
    let scales = report::print(&measured);
    if let Some(path) = &options.dump {
        report::dump(&measured, path)?;
    }
    if let Some(path) = &options.write {
        let all: Vec<&Row> = rows.iter().collect();
        let mut model = folds::train(&all, &grammars, |_| false, options.each, how);
        for (scale, learnt) in scales.into_iter().zip(&mut model.scales) {
            *learnt = Scale { cut: learnt.cut, ..scale };
        }
        let file = model.write();
        std::fs::write(path, &file).with_context(|| format!("cannot write {}", path.display()))?;
        println!("\n{} bytes in {}", file.len(), path.display());
    }
    Ok(())
}

/// Which head looks at texts of that kind.
fn head(kind: Kind) -> usize {
    HEADS.iter().position(|kinds| kinds.contains(&kind)).unwrap_or(0)
}

/// Raw scores as they are.
fn unscaled(kind: Kind) -> Scale {
    Scale {
        head: head(kind) as u32,
        spread: 0.0,
        slope: 1.0,
        offset: 0.0,
        wary: 1.0,
        sure: 1.0,
        cut: -20.0,
        cut_slope: 1.0,
        cut_offset: 0.0,
    }
}
