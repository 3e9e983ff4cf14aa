//! Measures how fast hidden text is looked for, in MB of text per second, anywhere and in definitions:
//! `cargo run --release --example hidden_cost`.

use std::hint::black_box;
use std::time::Instant;

use bartizan_detect::hidden::{find, find_in_definition};

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for (name, piece) in [
        ("plain", "The quick brown fox jumps over the lazy dog, {\"again\": [1, 2]}.\n"),
        ("CRLF", "The quick brown fox jumps over the lazy dog, again and again.\r\n"),
        ("markup", "<p class=\"a\">The quick <b>brown</b> fox</p>\n"),
        ("code", "Use `Vec<String>` or <path to a file>, see [the docs](https://example.org \"Docs\"), <b>now</b>.\n"),
        ("French", "Le cœur déçu mais l'âme plutôt naïve, Louÿs rêva de crapaüter.\n"),
        ("Chinese", "天地玄黃宇宙洪荒日月盈昃辰宿列張\n"),
        ("colours", "\u{1b}[32mok\u{1b}[0m test passes with some text after it\n"),
    ] {
        let text = piece.repeat((1 << 20) / piece.len());
        let (anywhere, definition) =
            (speed(&text, |text| find(text).len()), speed(&text, |text| find_in_definition(text).len()));
        std::io::Write::write_fmt(&mut out, format_args!("{name:8} {anywhere:8.0} {definition:8.0} MB/s\n"))?;
    }
    Ok(())
}

fn speed(text: &str, find: impl Fn(&str) -> usize) -> f64 {
    let (start, rounds) = (Instant::now(), 100u32);
    for _ in 0..rounds {
        black_box(find(black_box(text)));
    }
    text.len() as f64 * f64::from(rounds) / start.elapsed().as_secs_f64() / 1e6
}
