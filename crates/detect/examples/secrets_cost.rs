//! What looking for secrets costs, beside a plain search for a few words in the same bytes:
//! `cargo run --release -p bartizan-detect --example secrets_cost -- FILE…`. The least of several rounds, in µs per KiB.

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use bartizan_detect::decode::Views;
use bartizan_detect::secrets::Scanner;
use memchr::memmem::Finder;

/// What is made to be read again and again.
const HOSTILE: [&str; 18] = [
    "ghp_",
    "sk-",
    "eyJ",
    "eyJ.",
    "=",
    "://",
    "a://b:",
    "-----BEGIN ",
    "-----BEGIN PRIVATE KEY-----\n",
    "password=",
    "token:\"",
    "AKIA",
    "AAAA",
    "aGVsbG8gd29ybGQ",
    "xoxb-1234567890-",
    "bearer ",
    ":AA",
    "sk-abcdefghijklmnopqrstuvwxyz ",
];

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:32} {:>8} {:>8} {:>8} {:>8}", "µs per KiB", "KiB", "search", "scan", "reading")?;
    for path in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&path)?;
        measure(&mut out, path.rsplit('/').next().unwrap_or(&path), &text)?;
    }
    for piece in HOSTILE {
        measure(&mut out, &format!("{piece:?}, 10 MiB"), &piece.repeat((10 << 20) / piece.len()))?;
    }
    Ok(())
}

fn measure(out: &mut impl Write, name: &str, text: &str) -> std::io::Result<()> {
    let scanner = Scanner::built_in();
    let finders = ["api_key", "password", "ghp_"].map(Finder::new);
    let search = cost(text.len(), || finders.iter().map(|finder| finder.find_iter(text.as_bytes()).count()).sum());
    let scan = cost(text.len(), || scanner.look_at(text).len());
    let reading = cost(text.len(), || Views::of(text).iter().count());
    writeln!(out, "{name:32} {:8} {search:8.2} {scan:8.2} {reading:8.2}", text.len() >> 10)
}

fn cost(bytes: usize, mut work: impl FnMut() -> usize) -> f64 {
    let rounds = ((16 << 20) / bytes.max(1)).clamp(2, 40);
    let least = (0..rounds).map(|_| {
        let start = Instant::now();
        black_box(work());
        start.elapsed().as_secs_f64()
    });
    least.fold(f64::MAX, f64::min) * 1e6 / (bytes.max(1) as f64 / 1024.0)
}
