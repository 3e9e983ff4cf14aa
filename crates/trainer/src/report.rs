//! Says what a classifier is worth, and chooses its thresholds.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use bartizan_detect::Kind;
use bartizan_detect::classifier::Scale;

use crate::folds::{From, Measured};
use crate::measure::{Scored, area, counts, curve, curve_of_part, flagged, interval, recall, threshold};
use crate::unscaled;

/// What the logarithm of the number of windows takes away, in content; what people type is short.
const SPREAD: f32 = 0.3;

fn spread(kind: Kind) -> f32 {
    if kind == Kind::UserPrompt { 0.0 } else { SPREAD }
}

fn adjusted(measured: &Measured) -> f32 {
    measured.raw - taken_away(measured)
}

fn taken_away(measured: &Measured) -> f32 {
    spread(measured.row.kind) * (measured.windows.max(1) as f32).ln()
}

/// The same if every window was looked at.
fn unscanned<'a>(all: impl Iterator<Item = &'a Measured>) -> Vec<Scored> {
    all.map(|measured| (measured.unscanned - taken_away(measured), measured.row.attack)).collect()
}

fn scored<'a>(all: impl Iterator<Item = &'a Measured>) -> Vec<Scored> {
    all.map(|measured| (adjusted(measured), measured.row.attack)).collect()
}

/// Prints all tables, and gives what raw scores mean.
pub(crate) fn print(measured: &[Measured]) -> [Scale; Kind::ALL.len()] {
    println!("| measured on | kind | attacks | benign | AUC | recall at 1 % | recall at 0.1 % |");
    println!("|---|---|--:|--:|--:|--:|--:|");
    for from in [From::Source, From::Own, From::Grammar] {
        let of = |kind: Option<Kind>| {
            let here = measured.iter().filter(|row| row.from == from && kind.is_none_or(|kind| row.row.kind == kind));
            let here: Vec<_> = here.collect();
            line(from, kind.map_or("all", Kind::as_str), &here);
        };
        Kind::ALL.into_iter().for_each(|kind| of(Some(kind)));
        of(None);
    }
    let scales = Kind::ALL.map(|kind| scale(measured, kind));
    scanned(measured);
    println!("\n| source | label | kind | texts | above the threshold of 1 % | of 0.1 % |\n|---|---|---|--:|--:|--:|");
    let mut groups: BTreeMap<_, Vec<&Measured>> = BTreeMap::new();
    for row in measured {
        let name = if row.from == From::Own { &row.row.family } else { &row.row.source };
        groups.entry((row.from, name.as_str(), row.row.attack, row.row.kind)).or_default().push(row);
    }
    for ((_, name, attack, kind), rows) in groups {
        let limits = limits(measured, kind);
        let scored = scored(rows.iter().copied());
        let share = |limit| if attack { recall(&scored, limit) } else { flagged(&scored, limit) }.unwrap_or_default();
        let label = if attack { "attack" } else { "benign" };
        let (one, tenth) = (share(limits.0), share(limits.1));
        println!("| {name} | {label} | {} | {} | {one:.3} | {tenth:.3} |", kind.as_str(), rows.len());
    }
    scales
}

/// What looking closer at some windows only costs, and what it saves.
fn scanned(measured: &[Measured]) {
    println!(
        "\n| kind | windows of benign texts looked at | attacks above the threshold of 1 % | with every window looked at |"
    );
    println!("|---|--:|--:|--:|");
    for kind in Kind::ALL {
        let rows: Vec<_> = measured.iter().filter(|row| row.row.kind == kind && row.from == From::Source).collect();
        let (limit, _) = limits(measured, kind);
        let (looked_at, all) = rows
            .iter()
            .filter(|row| !row.row.attack)
            .fold((0, 0), |(looked_at, all), row| (looked_at + row.looked_at, all + row.windows));
        let attacks = |is: &dyn Fn(&Measured) -> bool| rows.iter().filter(|row| row.row.attack && is(row)).count();
        let without = |row: &Measured| row.unscanned - taken_away(row) > limit;
        let (with, without) = (attacks(&|row| adjusted(row) > limit), attacks(&without));
        let share = looked_at as f64 / all.max(1) as f64;
        println!("| {} | {share:.3} | {with} | {without} |", kind.as_str());
    }
}

fn line(from: From, kind: &str, rows: &[&Measured]) {
    // The area is over all texts, and most honest ones are not looked at closely; recall is as it is shipped.
    let Some(area) = area(&unscanned(rows.iter().copied())) else { return };
    let scored = &*scored(rows.iter().copied());
    let attacks = scored.iter().filter(|scored| scored.1).count();
    let at = |share| recall(scored, threshold(scored, share)).unwrap_or_default();
    let with = |share| {
        let recall = at(share);
        let (low, high) = interval(recall, attacks);
        format!("{recall:.2} ({low:.2}–{high:.2})")
    };
    let benign = scored.len() - attacks;
    println!("| {from:?} | {kind} | {attacks} | {benign} | {area:.3} | {} | {} |", with(0.01), with(0.001));
}

/// Scores that one in a hundred and one in a thousand benign texts of that kind reach.
fn limits(measured: &[Measured], kind: Kind) -> (f32, f32) {
    let scored = scored(basis(measured, kind));
    (threshold(&scored, 0.01), threshold(&scored, 0.001))
}

/// What thresholds of that kind rest on: of arguments there are no texts, so they count as results.
fn basis(measured: &[Measured], kind: Kind) -> impl Iterator<Item = &Measured> {
    let kind = kind_of_basis(kind);
    measured.iter().filter(move |row| row.from == From::Source && row.row.kind == kind)
}

pub(crate) fn kind_of_basis(kind: Kind) -> Kind {
    if kind == Kind::Argument { Kind::ToolResult } else { kind }
}

fn scale(measured: &[Measured], kind: Kind) -> Scale {
    // Probabilities are to hold for all kinds of texts, also those of which the sources have few.
    let all: Vec<_> = measured.iter().filter(|row| row.row.kind == kind_of_basis(kind)).collect();
    let unscanned = unscanned(all.iter().copied());
    let (slope, offset) = curve(&unscanned);
    let unseen = all.iter().filter(|row| row.looked_at == 0).map(|row| (row.words, row.row.attack));
    let (cut_slope, cut_offset) = curve_of_part(&unseen.collect::<Vec<_>>(), counts(&unscanned));
    let probability = |raw: f32| 1.0 / (1.0 + (-(slope * raw + offset)).exp());
    let (wary, sure) = limits(measured, kind);
    let scale = Scale {
        spread: spread(kind),
        slope,
        offset,
        wary: probability(wary),
        sure: probability(sure),
        cut_slope,
        cut_offset,
        ..unscaled(kind)
    };
    println!("\n{}: {scale:?}", kind.as_str());
    scale
}

/// Writes each measured text with its score, as JSON lines.
pub(crate) fn dump(measured: &[Measured], path: &Path) -> Result<()> {
    let mut file = String::new();
    for row in measured {
        let text: String = row.row.text.chars().take(3000).collect();
        let line = serde_json::json!({
            "score": adjusted(row), "words": row.words, "seen": row.looked_at > 0, "attack": row.row.attack, "kind": row.row.kind.as_str(), "source": row.row.source,
            "family": row.row.family, "from": format!("{:?}", row.from), "text": text, "raws": row.raws,
        });
        file += &format!("{line}\n");
    }
    Ok(std::fs::write(path, file)?)
}
