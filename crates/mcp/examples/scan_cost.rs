//! What reading one message costs, beside what `serde_json` costs for the same bytes.
//!
//! `cargo run --release -p bartizan-mcp --example scan_cost`
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a measurement run by hand")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bartizan_mcp::{Limits, Message};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The least that somebody who only routes would read.
#[derive(Deserialize)]
#[expect(dead_code, reason = "only the cost of reading it counts")]
struct Borrowed<'a> {
    jsonrpc: &'a str,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<&'a str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

fn main() {
    println!("{:<24}{:>10}{:>14}{:>14}{:>16}", "message", "bytes", "bartizan µs", "Value µs", "RawValue µs");
    let cases = [
        ("tools/call, 1 KiB", call()),
        ("tools/list, 50 tools", list()),
        ("result, 1 MB of ASCII", content("The quick brown fox jumps over the lazy dog. ")),
        ("result, 1 MB of Greek", content("Ο γρήγορος αλεπού πηδά πάνω από το σκυλί. ")),
        (
            "result, 1 MB of prose",
            content(
                "The report says that \\\"net revenue\\\" rose by 4.2 percent.\\nIt was read by the whole team on Monday, and each of them left a comment about the forecast for next year.\\n",
            ),
        ),
        ("result, 1 MB escaped", content("fn main() {\\n\\tprintln!(\\\"x\\\");\\n}\\n")),
    ];
    for (name, message) in cases {
        let bytes = Bytes::from(message);
        let limits = Limits::default();
        let ours = cost(|| {
            black_box(Message::parse(bytes.clone(), &limits).expect("a message"));
        });
        let value = cost(|| {
            black_box(serde_json::from_slice::<serde_json::Value>(&bytes).expect("JSON"));
        });
        let raw = cost(|| {
            black_box(serde_json::from_slice::<Borrowed<'_>>(&bytes).expect("an envelope"));
        });
        println!("{name:<24}{:>10}{ours:>14.2}{value:>14.2}{raw:>16.2}", bytes.len());
    }
}

/// Microseconds per run: the best of several rounds, so that a busy machine does not matter.
fn cost(mut run: impl FnMut()) -> f64 {
    let mut best = Duration::MAX;
    let mut rounds = 1;
    for _ in 0..30 {
        let start = Instant::now();
        for _ in 0..rounds {
            run();
        }
        let took = start.elapsed();
        best = best.min(took / rounds);
        rounds = (Duration::from_millis(10).as_nanos() / best.as_nanos().max(1)).clamp(1, 100_000) as u32;
    }
    best.as_secs_f64() * 1e6
}

fn call() -> String {
    let query = "SELECT name, total FROM orders WHERE region = 'north' AND total > 100 ORDER BY total DESC. ".repeat(8);
    format!(
        r#"{{"jsonrpc":"2.0","id":42,"method":"tools/call","params":{{"name":"query_database","arguments":{{"database":"sales","query":"{query}","limit":50,"offset":0,"format":"table","columns":["name","total","region"],"options":{{"timeout":30.5,"dryRun":false,"explain":null}}}},"_meta":{{"progressToken":"progress-42"}}}}}}"#
    )
}

fn list() -> String {
    let tools: Vec<String> = (0..50)
        .map(|number| {
            format!(
                r#"{{"name":"tool_{number}","title":"Tool {number}","description":"Reads the records that match a filter and returns them as a table, newest first, at most as many as asked for.","inputSchema":{{"type":"object","properties":{{"filter":{{"type":"string","description":"What to look for"}},"limit":{{"type":"integer","minimum":1,"maximum":100}},"fields":{{"type":"array","items":{{"type":"string"}}}}}},"required":["filter"],"additionalProperties":false}},"annotations":{{"readOnlyHint":true,"openWorldHint":false}}}}"#
            )
        })
        .collect();
    format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{}]}}}}"#, tools.join(","))
}

fn content(sentence: &str) -> String {
    let text = sentence.repeat(1_000_000 / sentence.len());
    format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#)
}
