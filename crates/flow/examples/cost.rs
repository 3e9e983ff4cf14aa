//! What following values costs: `cargo run --release -p bartizan-flow --example cost`.
//!
//! For results and calls of several sizes, and at the end of a session of 10,000 calls, each figure is the least of several rounds, in
//! µs, beside a plain search for one word in the same bytes.

use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use bartizan_flow::{Bounds, Brought, Key, Memory, Source, ToolLabel};
use bartizan_mcp::{Limits, Message};

/// A result of about so many bytes: rows of a mailbox.
fn result(bytes: usize, turn: usize) -> String {
    let row = |n: usize| {
        format!(
            r#"{{"id":"m{turn}-{n}","from":"person{n}@corp{turn}.example","subject":"Offer {n}","body":"Dear all, the offer number {n} of turn {turn} is attached, please look at it before Monday and tell me what you think of the price."}}"#
        )
    };
    let mut rows = Vec::new();
    let mut length = 0;
    while length < bytes {
        rows.push(row(rows.len()));
        length += rows.last().map_or(0, String::len);
    }
    format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"structuredContent":[{}]}}}}"#, rows.join(","))
}

fn least(rounds: usize, mut work: impl FnMut()) -> f64 {
    (0..rounds)
        .map(|_| {
            let begun = Instant::now();
            work();
            begun.elapsed().as_secs_f64() * 1e6
        })
        .fold(f64::INFINITY, f64::min)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    let nothing = |_: &str| Vec::new();
    let source = || {
        let labels = [ToolLabel::UntrustedContent, ToolLabel::PrivateData].into_iter().collect();
        Source::of(&Arc::from("mail"), Some(&Arc::from("read")), labels)
    };
    writeln!(out, "| µs | search | a result is read | it is remembered | a call is traced |\n|---|--:|--:|--:|--:|")?;
    let mut row = |name: &str, text: &str, memory: &mut Memory| -> Result<(), Box<dyn std::error::Error>> {
        let message = Message::parse(text.to_owned(), &Limits::AGAIN)?;
        let content = message.result().ok_or("no result")?;
        let rounds = (20_000_000 / text.len()).clamp(3, 2_000);
        let search = least(rounds, || {
            black_box(memchr::memmem::find(text.as_bytes(), b"arguments"));
        });
        let read = least(rounds, || drop(black_box(Brought::of(memory.key(), content, true, &nothing))));
        let brought = Brought::of(memory.key(), content, true, &nothing);
        let joined = least(3, || {
            memory.bring(source(), &brought);
        });
        let trace = least(rounds, || drop(black_box(memory.trace(("s", "send"), content, &nothing))));
        writeln!(out, "| {name} | {search:.2} | {read:.1} | {joined:.1} | {trace:.1} |")?;
        Ok(())
    };
    for (name, bytes) in [("1 KiB", 1 << 10), ("100 KiB", 100 << 10), ("5 MB", 5_000_000)] {
        row(name, &result(bytes, 0), &mut Memory::new(Key::new(7), Bounds::default()))?;
    }
    let mut memory = Memory::new(Key::new(7), Bounds::default());
    for turn in 0..10_000 {
        let message = Message::parse(result(1 << 10, turn), &Limits::AGAIN)?;
        let brought = Brought::of(memory.key(), message.result().ok_or("no result")?, true, &nothing);
        memory.bring(source(), &brought);
    }
    row("1 KiB after 10,000 results", &result(1 << 10, 10_001), &mut memory)?;
    writeln!(
        out,
        "\n10,000 results of 1 KiB take {} KiB; is more forgotten: {}",
        memory.bytes() >> 10,
        memory.forgets()
    )?;
    Ok(())
}
