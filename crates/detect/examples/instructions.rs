//! How many instructions each layer takes for a KiB of text, which is the same in each run however busy a machine is:
//! `cargo run --release -p bartizan-detect --example instructions -- FILE…`. It runs itself under valgrind, which it needs.
//!
//! A layer works through a text once and three times; what two times more take is counted. Beside the files there are texts that it
//! makes: logs, dense records, JSON and small results.

use std::hint::black_box;
use std::io::{Error, Result, Write};
use std::process::Command;

use bartizan_detect::decode::Views;
use bartizan_detect::personal::Personal;
use bartizan_detect::secrets::Scanner;
use bartizan_detect::{Engine, Kind};

/// What is counted; the readings of a text are made before the layers that look at them.
const LAYERS: [&str; 4] = ["reading", "detection", "secrets", "personal"];

/// Bytes that are made of each kind of text.
const MADE: usize = 64 << 10;

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [count, layer, rounds, text] = arguments.as_slice()
        && count == "--count"
    {
        work(layer, rounds.parse().map_err(Error::other)?, &read(text)?);
        return Ok(());
    }
    let mut out = std::io::stdout().lock();
    write!(out, "| instructions per KiB | KiB |")?;
    LAYERS.iter().try_for_each(|layer| write!(out, " {layer} |"))?;
    writeln!(out, "\n|---|--:|{}", "--:|".repeat(LAYERS.len()))?;
    let made = KINDS.iter().map(|(name, _)| (*name).to_owned());
    for text in arguments.iter().cloned().chain(made) {
        let bytes = read(&text)?.len();
        write!(out, "| {} | {} |", text.rsplit('/').next().unwrap_or(&text), bytes >> 10)?;
        for layer in LAYERS {
            let more = count(layer, 3, &text)?.saturating_sub(count(layer, 1, &text)?);
            write!(out, " {:.0} |", more as f64 / 2.0 / (bytes as f64 / 1024.0))?;
            out.flush()?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// The instructions of one run of this program.
fn count(layer: &str, rounds: u32, text: &str) -> Result<u64> {
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["--count", layer, &rounds.to_string(), text])
        .output()?;
    let said = String::from_utf8_lossy(&run.stderr);
    let counted = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    counted.ok_or_else(|| Error::other(format!("valgrind counted nothing: {said}")))
}

fn work(layer: &str, rounds: u32, text: &str) {
    let (engine, personal, secrets) = (Engine::new(), Personal::built_in(), Scanner::built_in());
    let views = Views::of(text);
    for _ in 0..rounds {
        match layer {
            "reading" => drop(black_box(Views::of(black_box(text)))),
            "detection" => drop(black_box(engine.look(black_box(text), Kind::ToolResult))),
            "secrets" => drop(black_box(secrets.look(black_box(text), &views, |_| false))),
            _ => drop(black_box(personal.look(black_box(&views)))),
        }
    }
}

/// A text that is made, or that of a file.
fn read(name: &str) -> Result<String> {
    let Some((_, line)) = KINDS.iter().find(|(kind, _)| *kind == name) else { return std::fs::read_to_string(name) };
    let mut made = String::with_capacity(MADE + 512);
    for at in 1.. {
        made.push_str(&line(&mut Draw(at)));
        if made.len() >= MADE {
            break;
        }
    }
    Ok(made)
}

type Line = fn(&mut Draw) -> String;

const KINDS: [(&str, Line); 4] = [("logs", log), ("records", record), ("json", json), ("results", result)];

/// Numbers that look drawn and are the same in each run; one row for each line.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn of(&mut self, all: &[&'static str]) -> &'static str {
        let at = usize::try_from(self.below(all.len() as u64)).unwrap_or(0);
        all.get(at).copied().unwrap_or_default()
    }
}

const GIVEN: &[&str] = &["Anna", "Louis", "Maria", "Jonas", "Clara", "Peter", "Elena", "Tom", "Ingrid", "Paolo"];
const FAMILY: &[&str] = &["Berger", "Moreau", "Novak", "Keller", "Rossi", "Smith", "Jansen", "Silva", "Olsen", "Brown"];
const TOWNS: &[&str] = &["Lyon", "Leeds", "Graz", "Porto", "Bergen", "Utrecht", "Torino", "Denver", "Gdansk", "Cork"];
const STREETS: &[&str] = &["High Street", "Mill Lane", "Station Road", "Park Avenue", "Church Street"];
const PARTS: &[&str] = &["http", "db.pool", "scheduler", "auth::session", "cache", "worker-3", "billing.api"];
const EVENTS: &[&str] = &[
    "request finished",
    "connection was closed by the other side",
    "retrying in a moment",
    "Job queued for later",
    "cache miss, reading from disk",
    "slow query",
];

fn log(draw: &mut Draw) -> String {
    format!(
        "2026-11-{:02}T{:02}:{:02}:{:02}.{:03}Z {} {}: {} id={:016x} took={}ms status={} bytes={}\n",
        1 + draw.below(28),
        draw.below(24),
        draw.below(60),
        draw.below(60),
        draw.below(1000),
        draw.of(&["INFO", "INFO", "DEBUG", "WARN", "ERROR"]),
        draw.of(PARTS),
        draw.of(EVENTS),
        draw.below(u64::MAX),
        draw.below(4000),
        draw.of(&["200", "204", "301", "404", "500"]),
        draw.below(90_000),
    )
}

fn record(draw: &mut Draw) -> String {
    let (given, family) = (draw.of(GIVEN), draw.of(FAMILY));
    format!(
        "{{\"id\": {}, \"name\": \"{given} {family}\", \"mail\": \"{}.{}{}@example.org\", \"phone\": \"+44 20 7946 0{:03}\", \
         \"born\": \"19{}-{:02}-{:02}\", \"street\": \"{} {}\", \"city\": \"{}\", \"card\": \"4{:03} {:04} {:04} {:04}\"}}\n",
        draw.below(100_000),
        given.to_lowercase(),
        family.to_lowercase(),
        draw.below(1000),
        draw.below(1000),
        50 + draw.below(50),
        1 + draw.below(12),
        1 + draw.below(28),
        1 + draw.below(200),
        draw.of(STREETS),
        draw.of(TOWNS),
        draw.below(1000),
        draw.below(10_000),
        draw.below(10_000),
        draw.below(10_000),
    )
}

fn json(draw: &mut Draw) -> String {
    format!(
        "{{\"sku\": \"A{}-{}\", \"title\": \"{} {}\", \"price\": {}.{:02}, \"stock\": {}, \"tags\": [\"new\", \"{}\"], \
         \"updated_at\": 17{:08}, \"active\": {}, \"ratio\": 0.{:06}}}\n",
        draw.below(9000),
        draw.below(90),
        draw.of(&["Blue", "Small", "Folding", "Steel", "Light"]),
        draw.of(&["lamp", "chair", "bottle", "desk", "bag"]),
        draw.below(400),
        draw.below(100),
        draw.below(2000),
        draw.of(&["sale", "home", "garden", "office"]),
        draw.below(100_000_000),
        draw.of(&["true", "false"]),
        draw.below(1_000_000),
    )
}

fn result(draw: &mut Draw) -> String {
    format!(
        "Flight {}{} from {} to {} leaves at {:02}:{:02}, costs {} euros and has {} seats left; the fare can be changed until the day before.\n",
        draw.of(&["LH", "AF", "BA"]),
        100 + draw.below(900),
        draw.of(TOWNS),
        draw.of(TOWNS),
        draw.below(24),
        draw.below(60),
        40 + draw.below(600),
        draw.below(180),
    )
}
