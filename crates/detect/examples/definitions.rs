//! Counts texts in which something is found as in a definition, by what it is; the figures of decision 0027 are from it.
//!
//! `cargo run --release -p bartizan-detect --example definitions < TEXTS`, where a byte 0 stands between two texts. With
//! `--show` also where.

use std::error::Error;
use std::io::{Read, Write, stdin, stdout};

use bartizan_detect::hidden::{Kind, find_in_definition};

fn main() -> Result<(), Box<dyn Error>> {
    let show = std::env::args().any(|argument| argument == "--show");
    let mut bytes = Vec::new();
    stdin().read_to_end(&mut bytes)?;
    let all = String::from_utf8_lossy(&bytes);
    let texts: Vec<&str> = all.split('\0').collect();
    let mut out = stdout().lock();
    let mut counts = Kind::ALL.map(|kind| (kind, 0_usize));
    for text in &texts {
        let found = find_in_definition(text);
        for (kind, count) in &mut counts {
            let Some(first) = found.iter().find(|hidden| hidden.kind == *kind) else { continue };
            *count += 1;
            if show {
                let place = text.get(first.span.clone()).unwrap_or_default();
                writeln!(out, "{kind:?} {:?}", place.chars().take(160).collect::<String>())?;
            }
        }
    }
    writeln!(out, "{} texts", texts.len())?;
    for (kind, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        writeln!(out, "{count:8} {kind:?}")?;
    }
    Ok(())
}
