//! Labelled texts of others, and what the whole of the recognisers is worth on them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context as _, Result};
use bartizan_detect::personal::tagger::{KINDS, Tagger, Weights};
use bartizan_detect::personal::{Personal, PersonalKind};
use serde::Deserialize;

use crate::made::Made;

#[derive(Deserialize)]
struct Written {
    text: String,
    spans: Vec<WrittenSpan>,
    template_id: usize,
}

#[derive(Deserialize)]
struct WrittenSpan {
    start: usize,
    end: usize,
    #[serde(rename = "type")]
    kind: String,
}

/// A text with what stands in it, in bytes.
#[derive(Debug)]
pub(crate) struct Row {
    text: String,
    spans: Vec<(Range<usize>, String)>,
    pub(crate) template: usize,
}

/// The types of these texts, by kind; others are none of it.
fn type_of(kind: PersonalKind) -> &'static str {
    match kind {
        PersonalKind::PersonName => "PERSON",
        PersonalKind::Place => "GPE",
        PersonalKind::Organisation => "ORGANIZATION",
        PersonalKind::PostalAddress => "STREET_ADDRESS",
        PersonalKind::PostalCode => "ZIP_CODE",
        PersonalKind::Title => "TITLE",
        PersonalKind::Age => "AGE",
        PersonalKind::Nationality => "NRP",
        PersonalKind::Date | PersonalKind::DateOfBirth => "DATE_TIME",
        PersonalKind::Email => "EMAIL_ADDRESS",
        PersonalKind::Phone => "PHONE_NUMBER",
        PersonalKind::PaymentCard => "CREDIT_CARD",
        PersonalKind::Iban => "IBAN_CODE",
        PersonalKind::NationalId => "US_SSN",
        PersonalKind::DrivingLicence => "US_DRIVER_LICENSE",
        PersonalKind::IpAddress => "IP_ADDRESS",
        PersonalKind::Url => "DOMAIN_NAME",
        other => other.as_str(),
    }
}

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<Vec<Row>> {
    let file = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut rows = Vec::new();
    for line in file.split('\n').filter(|line| !line.is_empty()) {
        let written: Written = serde_json::from_str(line)?;
        let mut places: Vec<usize> = written.text.char_indices().map(|(at, _)| at).collect();
        places.push(written.text.len());
        let spans = written.spans.into_iter().map(|span| (places[span.start]..places[span.end], span.kind)).collect();
        rows.push(Row { text: written.text, spans, template: written.template_id });
    }
    Ok(rows)
}

/// The texts of a folder, in order.
pub(crate) fn plain(folder: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    let mut paths: Vec<_> = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            texts.extend(plain(&path)?);
        } else if path.extension().is_some_and(|end| end == "rs" || end == "md" || end == "toml" || end == "py") {
            texts.push(std::fs::read_to_string(&path)?);
        }
    }
    Ok(texts)
}

impl Row {
    /// As the tagger learns from it: with what it has labels for.
    pub(crate) fn as_made(&self) -> Made {
        let label = |kind: &str| KINDS.iter().position(|held| held.is_some_and(|held| type_of(held) == kind));
        let spans = self.spans.iter().filter_map(|(span, kind)| Some((span.clone(), label(kind)? as u8)));
        Made { text: self.text.clone(), spans: spans.collect() }
    }
}

/// By type: how many there are, how many of them were found, how many were said, and how many of those rightly.
#[derive(Debug, Default)]
pub(crate) struct Score(BTreeMap<String, [usize; 4]>);

impl Score {
    /// Adds what weights make of rows.
    pub(crate) fn add<'r>(&mut self, weights: Weights, rows: impl Iterator<Item = &'r Row>, least: u16, wrong: bool) {
        let personal = Personal::with_tagger(Tagger::with(weights));
        for row in rows {
            let found = personal.look_text(&row.text);
            let said: Vec<(Range<usize>, &str)> = found
                .iter()
                .filter(|found| found.confidence >= least)
                .flat_map(|found| {
                    std::iter::once(&found.span).chain(&found.also).map(|span| (span.clone(), type_of(found.kind)))
                })
                .collect();
            let meets = |one: &Range<usize>, other: &Range<usize>| one.start < other.end && other.start < one.end;
            for (span, kind) in &self.count(row, &said) {
                let here =
                    said.iter().filter(|(other, _)| meets(span, other)).map(|(_, kind)| *kind).collect::<Vec<_>>();
                if wrong {
                    println!("missed {kind} {:?} as {here:?} in {:?}", &row.text[span.clone()], row.text);
                }
            }
            if wrong {
                for (span, kind) in said
                    .iter()
                    .filter(|(span, kind)| !row.spans.iter().any(|(other, held)| held == kind && meets(span, other)))
                {
                    println!("wrong {kind} {:?} in {:?}", &row.text[span.clone()], row.text);
                }
            }
        }
    }

    /// Counts one row and tells what is missed in it.
    fn count(&mut self, row: &Row, said: &[(Range<usize>, &str)]) -> Vec<(Range<usize>, String)> {
        let meets = |one: &Range<usize>, other: &Range<usize>| one.start < other.end && other.start < one.end;
        let mut missed = Vec::new();
        for (span, kind) in &row.spans {
            let found = said.iter().any(|(other, said)| said == kind && meets(span, other));
            let counts = self.0.entry(kind.clone()).or_default();
            counts[0] += 1;
            counts[1] += usize::from(found);
            if !found {
                missed.push((span.clone(), kind.clone()));
            }
        }
        for (span, kind) in said {
            let right = row.spans.iter().any(|(other, held)| held == kind && meets(span, other));
            let counts = self.0.entry((*kind).to_owned()).or_default();
            counts[2] += 1;
            counts[3] += usize::from(right);
        }
        missed
    }

    pub(crate) fn print(&self) {
        let mut all = [0; 4];
        println!("| type | there | found | precision | recall | F |\n|---|--:|--:|--:|--:|--:|");
        let line = |name: &str, counts: &[usize; 4]| {
            let [there, found, said, right] = counts.map(|count| count as f32);
            let (precision, recall) = (right / said.max(1.0), found / there.max(1.0));
            let both = 2.0 * precision * recall / (precision + recall).max(1e-6);
            println!("| {name} | {there} | {found} | {precision:.3} | {recall:.3} | {both:.3} |");
        };
        for (name, counts) in &self.0 {
            line(name, counts);
            all.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        line("all", &all);
    }
}
