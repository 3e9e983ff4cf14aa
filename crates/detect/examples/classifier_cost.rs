//! What the classifier costs for a KiB, beside a search for a few words in the same bytes: `classifier_cost FILE…`.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::time::Instant;

use bartizan_detect::Kind;
use bartizan_detect::classifier::{Classifier, Head, Model, Scale};
use bartizan_detect::normal::Normal;

fn main() -> std::io::Result<()> {
    let texts = std::env::args().skip(1).map(std::fs::read_to_string).collect::<Result<Vec<_>, _>>()?;
    let lines: Vec<&str> = texts.iter().flat_map(|text| text.lines()).collect();
    let bytes: usize = lines.iter().map(|line| line.len()).sum();
    let head = Head { bias: 0.0, largest: 1.0, weights: (0..1 << 20).map(|at: i32| (at % 251) as u8).collect() };
    let scale = Scale { head: 0, spread: 0.0, slope: 1.0, offset: 0.0, wary: 0.9, sure: 0.9 };
    let classifier = Classifier::new(Model { bits: 20, scales: [scale; 5], heads: vec![head] });
    let per_kib = |name: &str, look: &dyn Fn(&str) -> usize| {
        let mut best = f64::MAX;
        let mut sum = 0;
        for _ in 0..5 {
            let start = Instant::now();
            sum = lines.iter().map(|line| look(line)).sum();
            best = best.min(start.elapsed().as_secs_f64());
        }
        println!("{name:<12} {:.2} us/KiB ({sum})", best * 1e6 / (bytes as f64 / 1024.0));
    };
    per_kib("find", &|line| {
        usize::from(line.contains("ignore previous")) + usize::from(line.contains("system prompt"))
    });
    per_kib("normal", &|line| Normal::of(line).text().len());
    per_kib("views", &|line| bartizan_detect::decode::Views::of(line).iter().count());
    per_kib("classifier", &|line| classifier.windows(line, Kind::ToolResult).len());
    Ok(())
}
