//! How often something is found in files that hold hardly any personal data, such as source code and logs:
//! `cargo run --release -p bartizan-detect --example personal_alarms -- [-v] FOLDER…`.
//!
//! All `*.rs`, `*.toml`, `*.md`, `*.json`, `*.txt` and `*.log` files below are read. Printed is for each kind how many findings there
//! are in 10,000 lines, of all and of those that are surer than 700 in a thousand; with `-v` also each finding.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use bartizan_detect::personal::Personal;

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let personal = Personal::built_in();
    let shown = std::env::args().any(|argument| argument == "-v");
    let mut files = Vec::new();
    for folder in std::env::args().skip(1).filter(|argument| argument != "-v") {
        gather(Path::new(&folder), &mut files)?;
    }
    let (mut lines, mut counts) = (0_usize, BTreeMap::<&str, [usize; 2]>::new());
    for file in &files {
        let Ok(text) = std::fs::read_to_string(file) else { continue };
        lines += text.lines().count();
        for found in personal.look_text(&text) {
            let [all, sure] = counts.entry(found.kind.as_str()).or_default();
            *all += 1 + found.also.len();
            *sure += if found.confidence >= 700 { 1 + found.also.len() } else { 0 };
            if shown {
                writeln!(out, "{} {} {} {:?}", found.kind.as_str(), found.name, found.confidence, found.value)?;
            }
        }
    }
    writeln!(
        out,
        "{} files, {lines} lines\n\n| kind | in 10,000 lines | of those surer than 0.7 |\n|---|--:|--:|",
        files.len()
    )?;
    for (kind, [all, sure]) in counts {
        let of = |count: usize| count as f64 * 10_000.0 / lines.max(1) as f64;
        writeln!(out, "| `{kind}` | {:.2} | {:.2} |", of(all), of(sure))?;
    }
    Ok(())
}

fn gather(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if path.is_dir() {
        let mut entries: Vec<_> =
            std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
        entries.sort();
        return entries.iter().try_for_each(|entry| gather(entry, files));
    }
    let wanted = ["rs", "toml", "md", "json", "txt", "log"];
    if path.extension().and_then(|end| end.to_str()).is_some_and(|end| wanted.contains(&end)) {
        files.push(path.to_owned());
    }
    Ok(())
}
