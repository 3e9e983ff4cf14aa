//! Shows what the rules find in texts: `cargo run --example rules_found -- FILE.jsonl...`, where each line has a `text` and a
//! `kind`. With `-q`, only how many lines of each file and how often each rule.

use std::collections::BTreeMap;
use std::io::Write;

use bartizan_detect::{Engine, Kind};

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let engine = Engine::new();
    let quiet = std::env::args().any(|argument| argument == "-q");
    let mut by_rule: BTreeMap<String, usize> = BTreeMap::new();
    for path in std::env::args().skip(1).filter(|argument| argument != "-q") {
        let (mut lines, mut hits, mut sure) = (0, 0, 0);
        for line in std::fs::read_to_string(&path)?.split('\n').filter(|line| !line.is_empty()) {
            let row: serde_json::Value = serde_json::from_str(line)?;
            let field = |name: &str| row.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
            let text = field("text");
            let kind = Kind::named(field("kind")).unwrap_or(Kind::Document);
            let look = engine.look(text, kind);
            lines += 1;
            hits += usize::from(!look.found.is_empty());
            sure += usize::from(look.score >= 0.5);
            for found in &look.found {
                *by_rule.entry(found.rule.to_owned()).or_default() += 1;
                if !quiet {
                    let place = text.get(found.span.clone()).unwrap_or_default();
                    writeln!(out, "{} {:.2} {} {:?}", field("id"), found.score, found.rule, place)?;
                }
            }
        }
        writeln!(out, "{path}: {lines} texts, {hits} with a finding, {sure} at 0.5 and more")?;
    }
    for (rule, count) in by_rule {
        writeln!(out, "{count:6} {rule}")?;
    }
    Ok(())
}
