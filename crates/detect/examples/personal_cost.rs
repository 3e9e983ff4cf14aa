//! What looking for personal data in a KiB of text costs, beside a plain search for a few words in the same bytes:
//! `cargo run --release -p bartizan-detect --example personal_cost -- FILE…`.
//!
//! Views are made beforehand. Then come texts made to cost as much as they can, of one size and of four times that, and how much
//! more a KiB of the longer one costs: 1 is in proportion. Each figure is the least of several rounds, in µs per KiB.

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use bartizan_detect::decode::Views;
use bartizan_detect::personal::Personal;
use memchr::memmem::Finder;

const HOSTILE: [(&str, &str); 16] = [
    ("@", "@"),
    ("a@", "a@"),
    ("a@b.", "a@b."),
    ("digits", "7"),
    ("digits, spaced", "7 "),
    ("groups", "4111 "),
    ("groups with points", "123.456.789-09 "),
    ("colons", ":"),
    ("hex and colons", "ab:"),
    ("capitals", "A"),
    ("names", "Anna Becker "),
    ("capitals, spaced", "A B "),
    ("phone", "phone +44 20 7946 0958 "),
    ("separators", "-./() "),
    ("<<", "<<"),
    ("username", "username: "),
];

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let personal = Personal::built_in();
    writeln!(out, "{:28} {:>8} {:>8} {:>8} {:>8}", "µs per KiB", "KiB", "search", "personal", "found")?;
    for path in std::env::args().skip(1) {
        let content = std::fs::read_to_string(&path)?;
        let rows = content.split('\n').filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let texts: Vec<String> = if path.ends_with(".jsonl") {
            rows.filter_map(|row| Some(row.get("text")?.as_str()?.to_owned()))
                .filter(|text| text.len() >= 200)
                .collect()
        } else {
            vec![content]
        };
        measure(&mut out, &personal, path.rsplit('/').next().unwrap_or(&path), &texts)?;
    }
    for (name, piece) in HOSTILE {
        let costs = [64, 256].map(|kib| {
            measure(&mut out, &personal, &format!("{name} ({kib} KiB)"), &[piece.repeat((kib << 10) / piece.len())])
        });
        let [short, long] = costs;
        writeln!(out, "{name:28} {:.2} x", long? / short?)?;
    }
    Ok(())
}

fn measure(out: &mut impl Write, personal: &Personal, name: &str, texts: &[String]) -> std::io::Result<f64> {
    let views: Vec<_> = texts.iter().map(|text| Views::of(text)).collect();
    let bytes: usize = texts.iter().map(String::len).sum();
    let finders = ["social security", "passport", "credit card"].map(Finder::new);
    let search = cost(bytes, || {
        let found = |text: &String| finders.iter().filter(|finder| finder.find(text.as_bytes()).is_some()).count();
        texts.iter().map(found).sum()
    });
    let all = |views: &Vec<Views<'_>>| views.iter().map(|views| personal.look(views).len()).sum::<usize>();
    let looking = cost(bytes, || all(&views));
    writeln!(out, "{name:28} {:8} {search:8.2} {looking:8.2} {:8}", bytes >> 10, all(&views))?;
    Ok(looking)
}

/// The least of several rounds, in µs per KiB.
fn cost(bytes: usize, mut work: impl FnMut() -> usize) -> f64 {
    let rounds = ((8 << 20) / bytes.max(1)).clamp(3, 40);
    let least = (0..rounds).map(|_| {
        let start = Instant::now();
        black_box(work());
        start.elapsed().as_secs_f64()
    });
    least.fold(f64::MAX, f64::min) * 1e6 / (bytes.max(1) as f64 / 1024.0)
}
