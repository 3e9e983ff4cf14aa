//! Prints what the log costs beside the disk that it is on: a bare file that is appended to and synced, SQLite (WAL,
//! synchronous FULL), and the log, with as many bytes and records in turns in the same run on the same disk.
//!
//! `cargo run --release -p bartizan-audit --example durable_rate -- DIR`, where DIR is on the disk that is meant. Records/s are
//! of what is on disk, medians of the rounds, and each ratio is one of the same round.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bartizan_audit::{Entry, Id, Keys, Log, Options};
use rusqlite::Connection;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Rounds of which the median counts.
const ROUNDS: usize = 5;
/// How long each cell takes.
const LENGTH: Duration = Duration::from_secs(1);

/// Bytes of a record.
const SIZES: [usize; 2] = [400, 1024];
/// Records that are put on disk together.
const BATCHES: [usize; 4] = [1, 16, 256, 4096];

/// Something that records are written to.
trait Store {
    /// Writes so many records and puts them on disk.
    fn write(&mut self, count: usize) -> Result<()>;
}

struct Bare {
    file: File,
    bytes: Vec<u8>,
}

impl Store for Bare {
    fn write(&mut self, count: usize) -> Result<()> {
        let all: Vec<u8> = self.bytes.iter().copied().cycle().take(count * self.bytes.len()).collect();
        self.file.write_all(&all)?;
        Ok(self.file.sync_data()?)
    }
}

struct Sqlite {
    connection: Connection,
    bytes: Vec<u8>,
}

impl Store for Sqlite {
    fn write(&mut self, count: usize) -> Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare("INSERT INTO records (body) VALUES (?)")?;
            for _ in 0..count {
                insert.execute([&self.bytes])?;
            }
        }
        Ok(transaction.commit()?)
    }
}

#[derive(Serialize)]
struct Fields<'a> {
    decision: &'a str,
    text: &'a str,
}

struct Ours {
    log: Log,
    padding: String,
    number: u128,
}

impl Ours {
    fn append(&mut self) -> Result<bartizan_audit::Receipt> {
        self.number += 1;
        let at_micros = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros() as i64;
        let fields = Fields { decision: "allow", text: &self.padding };
        Ok(self.log.append(&Entry { id: Id::from(self.number), at_micros, kind: "message", fields: &fields })?)
    }
}

impl Store for Ours {
    fn write(&mut self, count: usize) -> Result<()> {
        let mut last = self.append()?;
        for _ in 1..count {
            last = self.append()?;
        }
        self.log.make_durable(last).wait()?;
        Ok(())
    }
}

/// What is before and behind the padding of a line of the log whose number has five digits.
const AROUND: usize = 204;

fn stores(dir: &Path, size: usize) -> Result<[Box<dyn Store>; 3]> {
    let bytes = vec![b'x'; size];
    let bare = Bare { file: File::create(dir.join("bare"))?, bytes: bytes.clone() };
    let connection = Connection::open(dir.join("sqlite"))?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE records (id INTEGER PRIMARY KEY, body BLOB)",
    )?;
    let (log, _) = Log::open((&*dir.join("log"), &keys()?), &Options::default())?;
    let ours = Ours { log, padding: "x".repeat(size - AROUND), number: 0 };
    Ok([Box::new(bare), Box::new(Sqlite { connection, bytes }), Box::new(ours)])
}

/// Records a second, and how long each batch took, in microseconds.
fn cell(store: &mut dyn Store, batch: usize) -> Result<(f64, Vec<f64>)> {
    let start = Instant::now();
    let (mut records, mut took) = (0, Vec::new());
    while start.elapsed() < LENGTH {
        let before = Instant::now();
        store.write(batch)?;
        took.push(before.elapsed().as_secs_f64() * 1e6);
        records += batch;
    }
    Ok((records as f64 / start.elapsed().as_secs_f64(), took))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn p99(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() * 99 / 100).copied().unwrap_or(f64::NAN)
}

fn measure(place: &Path, size: usize, batch: usize, out: &mut impl std::io::Write) -> Result<()> {
    let (mut rates, mut tails) = ([const { Vec::new() }; 3], [const { Vec::new() }; 3]);
    for _ in 0..ROUNDS {
        let dir = tempfile::tempdir_in(place)?;
        for (mut store, (rates, tails)) in stores(dir.path(), size)?.into_iter().zip(rates.iter_mut().zip(&mut tails)) {
            let (rate, took) = cell(&mut *store, batch)?;
            rates.push(rate);
            tails.push(p99(took));
        }
    }
    let [bare, sqlite, log] = &rates;
    let ratio = |of: &[f64], to: &[f64]| median(of.iter().zip(to).map(|(of, to)| of / to).collect());
    let [bare_tail, _, log_tail] = &tails;
    writeln!(
        out,
        "| {size} B | {batch} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} |",
        median(bare.clone()),
        median(sqlite.clone()),
        median(log.clone()),
        ratio(log, sqlite),
        ratio(log, bare),
        ratio(log_tail, bare_tail),
    )?;
    Ok(())
}

/// A master key: the log is encrypted, as it is by default.
fn keys() -> Result<Keys> {
    Ok(Keys::given(&"07".repeat(32), "a benchmark")?)
}

/// Records a second that one core appends, without waiting for the disk.
fn by_processor(place: &Path, size: usize, keys: &Keys) -> Result<f64> {
    const RECORDS: u32 = 100_000;
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let dir = tempfile::tempdir_in(place)?;
        let (log, _) = Log::open((dir.path(), keys), &Options::default())?;
        let mut ours = Ours { log, padding: "x".repeat(size - AROUND), number: 0 };
        let before = clock_gettime(ClockId::ThreadCPUTime);
        for _ in 0..RECORDS {
            ours.append()?;
        }
        let after = clock_gettime(ClockId::ThreadCPUTime);
        let seconds = (after.tv_sec - before.tv_sec) as f64 + (after.tv_nsec - before.tv_nsec) as f64 / 1e9;
        rates.push(f64::from(RECORDS) / seconds);
    }
    Ok(median(rates))
}

fn main() -> Result<()> {
    let place = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    fs::create_dir_all(&place)?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "| record | on disk together | bare file, records/s | SQLite | log | log over SQLite | log over the bare file | p99 of a wait over the bare file's |"
    )?;
    writeln!(out, "|---|--:|--:|--:|--:|--:|--:|--:|")?;
    for size in SIZES {
        for batch in BATCHES {
            measure(&place, size, batch, &mut out)?;
        }
    }
    for size in SIZES {
        let (encrypted, plain) = (by_processor(&place, size, &keys()?)?, by_processor(&place, size, &Keys::NONE)?);
        writeln!(
            out,
            "\n{size} B: {encrypted:.0} records a second of processor time of one core, {plain:.0} if the log is plain"
        )?;
    }
    Ok(())
}
