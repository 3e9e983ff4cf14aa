//! What is found of the personal data in documents of our own, in several languages, stays above a floor.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use bartizan_detect::decode::Views;
use bartizan_detect::personal::{Personal, PersonalKind};
use serde_json::Value;

/// How many documents there are, and F over all of them, as `docs/src/personal-data.md` says and rounds it. What is better is to be
/// written there.
const PUBLISHED: (usize, &str) = (361, "0.78");

/// Places with their types, in bytes.
type Spans = Vec<(Range<usize>, String)>;

/// The documents: text, language, and what stands in each.
fn documents() -> Vec<(String, String, Spans)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/personal");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "jsonl"));
    paths.sort();
    let files = paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect::<Vec<_>>();
    let lines = files.iter().flat_map(|file| file.split('\n')).filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            let string = |name: &str| row.get(name).and_then(Value::as_str).unwrap().to_owned();
            let number = |span: &Value, name: &str| usize::try_from(span.get(name).unwrap().as_u64().unwrap()).unwrap();
            let spans = row.get("spans").and_then(Value::as_array).unwrap();
            let spans = spans.iter().map(|span| {
                let kind = span.get("type").and_then(Value::as_str).unwrap();
                (number(span, "start")..number(span, "end"), ours(kind).to_owned())
            });
            (string("text"), string("lang"), spans.collect())
        })
        .collect()
}

/// What we call what the documents are marked with. A number of the tax office is that of the person in some countries.
fn ours(marked: &str) -> &'static str {
    match marked {
        "PERSON" => "person_name",
        "EMAIL" => "email",
        "PHONE" => "phone",
        "IBAN" => "iban",
        "CARD" => "payment_card",
        "NATIONAL_ID" | "TAX_ID" => "national_id",
        "PASSPORT" => "passport",
        "IP" => "ip_address",
        "MAC" => "mac_address",
        "DATE_OF_BIRTH" => "date_of_birth",
        "ADDRESS" => "postal_address",
        "HEALTH_ID" => "health_id",
        "BANK_ID" => "bank_id",
        "DRIVING_LICENCE" => "driving_licence",
        _ => panic!("{marked}"),
    }
}

/// The same of what is found.
fn folded(kind: PersonalKind) -> &'static str {
    match kind.as_str() {
        "tax_id" => "national_id",
        "bank_account" => "bank_id",
        other => other,
    }
}

/// What is there, what of it was found, what was said, and what of that was right.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    there: usize,
    found: usize,
    said: usize,
    right: usize,
}

impl Counts {
    fn add(&mut self, more: Counts) {
        self.there += more.there;
        self.found += more.found;
        self.said += more.said;
        self.right += more.right;
    }

    /// Of what was said the share that is right, and of what is there the share that was found.
    fn shares(self) -> (f64, f64) {
        let share = |part: usize, all: usize| part as f64 / (all.max(1)) as f64;
        (share(self.right, self.said), share(self.found, self.there))
    }

    fn f(self) -> f64 {
        let (precision, recall) = self.shares();
        2.0 * precision * recall / (precision + recall).max(1e-9)
    }

    /// A row of the published table.
    fn row(self, name: &str) -> String {
        let ((precision, recall), f) = (self.shares(), self.f());
        format!("| {name} | {} | {} | {precision:.2} | {recall:.2} | {f:.2} |", self.there, self.found)
    }
}

/// The table in `docs/src/personal-data.md`: each type, each language, and all.
fn table(counts: &BTreeMap<String, Counts>) -> String {
    let is_type = |name: &str| PersonalKind::named(name).is_some();
    let row = |(name, counts): (&String, &Counts)| {
        counts.row(&if is_type(name) { format!("`{name}`") } else { name.clone() })
    };
    let types = counts.iter().filter(|(name, _)| is_type(name)).map(row);
    let others = counts.iter().filter(|(name, _)| !is_type(name) && *name != "all").map(row);
    let all = counts.iter().filter(|(name, _)| *name == "all").map(row);
    let head = "| found | there | of it found | precision | recall | F |\n|---|--:|--:|--:|--:|--:|".to_owned();
    std::iter::once(head).chain(types).chain(others).chain(all).collect::<Vec<_>>().join("\n")
}

#[test]
fn documents_of_our_own_are_as_good_as_is_published() {
    let personal = Personal::built_in();
    let mut counts: BTreeMap<String, Counts> = BTreeMap::new();
    let documents = documents();
    for (text, lang, spans) in &documents {
        // Only types that we know count, and of what is found only those that the documents are marked with.
        assert!(spans.iter().all(|(span, _)| text.get(span.clone()).is_some_and(|span| !span.is_empty())), "{text}");
        let found = personal.look(&Views::of(text));
        let said: Spans = found
            .iter()
            .filter(|found| found.kind.by_itself() || spans.iter().any(|(_, kind)| kind == folded(found.kind)))
            .flat_map(|found| {
                std::iter::once(&found.span)
                    .chain(&found.also)
                    .map(|span| (span.clone(), folded(found.kind).to_owned()))
            })
            .collect();
        let has = |spans: &Spans, wanted: &(Range<usize>, String)| {
            spans.iter().any(|(span, kind)| *kind == wanted.1 && span.start < wanted.0.end && wanted.0.start < span.end)
        };
        let mut add = |kind: &str, more: Counts| {
            for name in [kind, lang, "all"] {
                counts.entry(name.to_owned()).or_default().add(more);
            }
        };
        for span in spans {
            add(&span.1, Counts { there: 1, found: usize::from(has(&said, span)), ..Counts::default() });
        }
        for span in &said {
            add(&span.1, Counts { said: 1, right: usize::from(has(spans, span)), ..Counts::default() });
        }
    }
    let all = counts.get("all").copied().unwrap_or_default();
    assert_eq!((documents.len(), &*format!("{:.2}", all.f())), PUBLISHED, "F {:.3} {all:?}", all.f());
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/personal-data.md");
    let table = table(&counts);
    assert!(std::fs::read_to_string(page).unwrap().contains(&table), "the page has another table than\n{table}");
}

#[test]
fn every_kind_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<_> = PersonalKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(names.len(), PersonalKind::ALL.len());
    assert!(PersonalKind::ALL.iter().all(|kind| PersonalKind::named(kind.as_str()) == Some(*kind)));
    assert_eq!(PersonalKind::named("none"), None);
}
