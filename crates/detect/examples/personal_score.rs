//! How much of the personal data in labelled texts is found, and how much is found that is none:
//! `cargo run --release -p bartizan-detect --example personal_score -- FILE.jsonl…`.
//!
//! Of each row `text` and `spans` are read, of these `start`, `end` and `type`; places are in bytes, or in characters if the row
//! has a `template_id`, as rows of presidio-research do. What was found counts if it overlaps a span of the same type, and each
//! span counts once. Printed is a table in Markdown, with what is no personal data by itself and without.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;

use bartizan_detect::decode::Views;
use bartizan_detect::personal::{Personal, PersonalKind};

/// What presidio-research calls what we do; all others are called as we do.
const TYPES: [(PersonalKind, &str); 17] = [
    (PersonalKind::PersonName, "PERSON"),
    (PersonalKind::Place, "GPE"),
    (PersonalKind::Organisation, "ORGANIZATION"),
    (PersonalKind::PostalAddress, "STREET_ADDRESS"),
    (PersonalKind::PostalCode, "ZIP_CODE"),
    (PersonalKind::Title, "TITLE"),
    (PersonalKind::Age, "AGE"),
    (PersonalKind::Nationality, "NRP"),
    (PersonalKind::Date, "DATE_TIME"),
    (PersonalKind::Email, "EMAIL_ADDRESS"),
    (PersonalKind::Phone, "PHONE_NUMBER"),
    (PersonalKind::PaymentCard, "CREDIT_CARD"),
    (PersonalKind::Iban, "IBAN_CODE"),
    (PersonalKind::NationalId, "US_SSN"),
    (PersonalKind::DrivingLicence, "US_DRIVER_LICENSE"),
    (PersonalKind::IpAddress, "IP_ADDRESS"),
    (PersonalKind::Url, "DOMAIN_NAME"),
];

/// What is there, what of it was found, what was said, and what of that was right.
type Counts = [usize; 4];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let personal = Personal::built_in();
    let mut counts: BTreeMap<String, Counts> = BTreeMap::new();
    for path in std::env::args().skip(1) {
        let file = std::fs::read_to_string(&path)?;
        for line in file.split('\n').filter(|line| !line.trim().is_empty()) {
            let row: serde_json::Value = serde_json::from_str(line)?;
            count(&personal, &row, &mut counts).ok_or("a row has no `text` or `spans`")?;
        }
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "| type | there | found | precision | recall | F |\n|---|--:|--:|--:|--:|--:|")?;
    for (kind, counts) in &counts {
        write_line(&mut out, kind, counts)?;
    }
    let weak = |kind: &str| {
        let kind = TYPES.iter().find(|(_, name)| *name == kind).map(|(kind, _)| *kind).or(PersonalKind::named(kind));
        kind.is_some_and(|kind| !kind.by_itself())
    };
    let sum = |all: &mut dyn Iterator<Item = (&String, &Counts)>| {
        all.fold([0; 4], |sum: Counts, (_, counts)| {
            std::array::from_fn(|at| sum.get(at).unwrap_or(&0) + counts.get(at).unwrap_or(&0))
        })
    };
    write_line(&mut out, "**personal by themselves**", &sum(&mut counts.iter().filter(|(kind, _)| !weak(kind))))?;
    write_line(&mut out, "**all**", &sum(&mut counts.iter()))?;
    Ok(())
}

fn count(personal: &Personal, row: &serde_json::Value, counts: &mut BTreeMap<String, Counts>) -> Option<()> {
    let text = row.get("text")?.as_str()?;
    let in_characters = row.get("template_id").is_some();
    let mut places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    places.push(text.len());
    let place = |value: &serde_json::Value| {
        let place = usize::try_from(value.as_u64()?).ok()?;
        if in_characters { places.get(place).copied() } else { Some(place) }
    };
    let mut wanted: Vec<(Range<usize>, &str)> = Vec::new();
    for span in row.get("spans")?.as_array()? {
        wanted.push((place(span.get("start")?)?..place(span.get("end")?)?, span.get("type")?.as_str()?));
    }
    let name = |kind: PersonalKind| match (in_characters, kind) {
        (true, PersonalKind::DateOfBirth) => "DATE_TIME",
        (true, kind) => TYPES.iter().find(|(held, _)| *held == kind).map_or(kind.as_str(), |(_, name)| name),
        (false, kind) => kind.as_str(),
    };
    let views = Views::of(text);
    let found = personal.look(&views);
    let said: Vec<(Range<usize>, &str)> = found
        .iter()
        .flat_map(|found| std::iter::once(&found.span).chain(&found.also).map(|span| (span.clone(), name(found.kind))))
        .collect();
    tally(&wanted, &said, 1, counts);
    tally(&said, &wanted, 3, counts);
    Some(())
}

/// Counts spans at one place of the counts and the next: all of them, and those that the others have too.
fn tally(
    spans: &[(Range<usize>, &str)],
    others: &[(Range<usize>, &str)],
    at: usize,
    counts: &mut BTreeMap<String, Counts>,
) {
    for (span, kind) in spans {
        let met = others.iter().any(|(other, held)| held == kind && other.start < span.end && span.start < other.end);
        if let Some([all, both]) = counts.entry((*kind).to_owned()).or_default().get_mut(at - 1..=at) {
            *all += 1;
            *both += usize::from(met);
        }
    }
}

fn write_line(out: &mut impl Write, kind: &str, counts: &Counts) -> std::io::Result<()> {
    let [there, found, said, right] = counts.map(|count| count as f64);
    let (precision, recall) = (right / said.max(1.0), found / there.max(1.0));
    let both = 2.0 * precision * recall / (precision + recall).max(1e-9);
    writeln!(out, "| {kind} | {there} | {found} | {precision:.3} | {recall:.3} | {both:.3} |")
}
