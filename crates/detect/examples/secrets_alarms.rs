//! How often secrets are found in texts: `cargo run --release -p bartizan-detect --example secrets_alarms -- [--show] FILE…`.
//!
//! Of each format how often, and how many that is in 10,000 lines. With `--show` the lines themselves are printed, to be looked at:
//! so use it on texts that may be shown.

use std::collections::BTreeMap;
use std::io::Write;

use bartizan_detect::decode::Views;
use bartizan_detect::secrets::{Scanner, Sure};

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let scanner = Scanner::built_in();
    let is_shown = std::env::args().any(|argument| argument == "--show");
    let (mut lines, mut files) = (0, 0);
    let mut counts: BTreeMap<(String, Sure), usize> = BTreeMap::new();
    for path in std::env::args().skip(1).filter(|argument| argument != "--show") {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        (lines, files) = (lines + text.lines().count(), files + 1);
        for found in scanner.look(&text, &Views::of(&text), |_| false) {
            *counts.entry((found.format.id.clone(), found.sure)).or_default() += 1;
            if is_shown {
                let start = text.floor_char_boundary(found.span.start.saturating_sub(60));
                let end = text.ceil_char_boundary((found.span.end + 30).min(found.span.start + 160).min(text.len()));
                let around = text.get(start..end).unwrap_or_default().replace('\n', "⏎");
                writeln!(out, "{path}: {} {:?} {:?}: {around}", found.format.id, found.sure, found.how)?;
            }
        }
    }
    for ((id, sure), count) in &counts {
        writeln!(out, "{id:24} {sure:?} {count}")?;
    }
    let all: usize = counts.values().sum();
    let share = all as f64 * 10_000.0 / f64::from(u32::try_from(lines.max(1)).unwrap_or(u32::MAX));
    writeln!(out, "{all} in {lines} lines of {files} files: {share:.3} in 10,000 lines")
}
