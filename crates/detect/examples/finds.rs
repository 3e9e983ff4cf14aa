//! Prints all that is found in texts, with every place and number, so that two versions can be compared to the byte:
//! `cargo run --release -p bartizan-detect --example finds -- FILE… > found`, once with each, and `cmp`.
//!
//! Of a file of JSON lines each `text` or `full_text` is looked at by itself; of another file, all of it.

use std::io::{BufWriter, Write};

use bartizan_detect::decode::Views;
use bartizan_detect::personal::Personal;
use bartizan_detect::secrets::Scanner;
use bartizan_detect::{Engine, Kind};

fn main() -> std::io::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let (engine, personal, secrets) = (Engine::new(), Personal::built_in(), Scanner::built_in());
    for path in std::env::args().skip(1) {
        let Ok(content) = std::fs::read_to_string(&path) else { continue };
        for (number, text) in texts(&path, content).iter().enumerate() {
            writeln!(out, "{path} {number}")?;
            let views = Views::of(text);
            for view in views.iter() {
                writeln!(
                    out,
                    "view {:?} {} {:?}",
                    view.how,
                    view.text().len(),
                    views.original(view, 0..view.text().len())
                )?;
            }
            for found in personal.look(&views) {
                writeln!(out, "personal {found:?}")?;
            }
            for found in secrets.look(text, &views, |_| false) {
                writeln!(out, "secret {} {:?} {:?} {:?}", found.format.id, found.span, found.sure, found.how)?;
            }
            for kind in Kind::ALL {
                writeln!(out, "{} {:?}", kind.as_str(), engine.look(text, kind))?;
            }
        }
    }
    out.flush()
}

fn texts(path: &str, content: String) -> Vec<String> {
    if !path.ends_with(".jsonl") {
        return vec![content];
    }
    let rows = content.split('\n').filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let text = |row: serde_json::Value| {
        let held = ["text", "full_text"].iter().find_map(|name| row.get(*name)?.as_str());
        held.map(str::to_owned)
    };
    rows.filter_map(text).collect()
}
