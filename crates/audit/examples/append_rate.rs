//! Prints what an append of 400 bytes costs, beside a bare `write` of the same bytes in the same run.
//!
//! `cargo run --release -p bartizan-audit --example append_rate`

use std::error::Error;
use std::fs::{self, File};
use std::io::{Write, stdout};
use std::time::{SystemTime, UNIX_EPOCH};

use bartizan_audit::{Entry, Id, Log, Options};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

const ROUNDS: u32 = 5;
const APPENDS: u32 = 200_000;

/// About what a gateway records of one message.
#[derive(Serialize)]
struct Fields<'a> {
    principal: &'a str,
    server: &'a str,
    method: &'a str,
    tool: &'a str,
    decision: &'a str,
    rules: [&'a str; 2],
    bytes: u64,
    digest: &'a str,
}

fn main() -> Result<(), Box<dyn Error>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros() as i64;
    let dir = std::env::temp_dir().join(format!("append_rate-{}", Id::new(now, [0; 10])));
    let (log, _) = Log::open(&dir, &Options { max_file_bytes: u64::MAX, ..Options::default() })?;
    let fields = Fields {
        principal: "user@example.com",
        server: "files",
        method: "tools/call",
        tool: "read_file",
        decision: "allow",
        rules: ["rate.window", "schema.arguments"],
        bytes: 1024,
        digest: "0123456789abcdef0123456789abcdef",
    };
    let mut bare = File::create(dir.join("bare"))?;
    let mut out = stdout();
    for _ in 0..ROUNDS {
        let before = fs::metadata(dir.join("audit.jsonl"))?.len();
        let append = cost(|number| {
            let id = Id::from(u128::from(number));
            log.append(&Entry { id, at_micros: now + i64::from(number), kind: "message.judged", fields: &fields })?;
            Ok(())
        })?;
        let size = (fs::metadata(dir.join("audit.jsonl"))?.len() - before) / u64::from(APPENDS);
        let line = vec![b'x'; size as usize];
        let write = cost(|_| Ok(bare.write_all(&line)?))?;
        writeln!(
            out,
            "{size} B: append {append:.2} µs CPU, bare write {write:.2} µs CPU, {:.2} µs more",
            append - write
        )?;
    }
    drop(log);
    fs::remove_dir_all(dir)?;
    Ok(())
}

/// Microseconds of CPU that one call takes, on average over many.
fn cost(mut call: impl FnMut(u32) -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let start = cpu_micros();
    for number in 0..APPENDS {
        call(number)?;
    }
    Ok((cpu_micros() - start) / f64::from(APPENDS))
}

fn cpu_micros() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}
