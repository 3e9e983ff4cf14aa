//! `bartizan audit export`: entries as files for somebody else, and `audit verify --export`.
//!
//! **Threat.** Whoever hands out a part of a log can change it, or leave out what does not suit them. What is handed out as it
//! was recorded comes with hashes that lead from each entry to a signed checkpoint; of all files the digests are signed with the
//! key of the log. What was not asked for is not among it, which the signed list of what was asked for shows.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bartizan_audit::{
    AuditError, Checkpoint, Evidence, LogKey, MAX_ENTRY_BYTES, Record, gather, iter, newest, open_note, rfc3339, sign,
    to_hex,
};
use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::log;
use super::filter::Filter;
use super::formats::{self, Format};
use super::proof;
use crate::outcome::{Failure, Outcome, say};
use crate::output;
use crate::stored::now;
use crate::text::inline;

/// What is exported, and as what.
#[derive(Args)]
pub(super) struct Arguments {
    /// The directory for the files, which must not be there yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The form of the entries; `jsonl` is as they were recorded and can be proven entry by entry
    #[arg(long, value_enum, value_name = "FORM", default_value_t = Format::Jsonl)]
    format: Format,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    place: log::Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// What is signed: which files there are.
const MANIFEST: &str = "manifest";
/// What leads from the entries to the checkpoint.
const EVIDENCE: &str = "evidence";
/// The most that is read of a manifest, and of evidence.
const MOST: (u64, u64) = (1 << 20, 1 << 30);

/// What is handed out, as its manifest says it.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Export {
    #[schemars(extend("const" = Export::FORMAT))]
    format: String,
    /// The log, by the name of its key.
    log: String,
    /// When it was made, in UTC.
    at: String,
    /// The version of Bartizan that made it.
    version: String,
    /// Which entries were asked for, by the names of the options; none for all.
    asked: BTreeMap<String, String>,
    /// How many entries there are.
    entries: u64,
    /// The number of the first of them.
    first: u64,
    /// The number of the last.
    last: u64,
    /// Entries of the log that were looked at: all under its checkpoint.
    of: u64,
    /// The files beside the manifest.
    files: Vec<Exported>,
}

/// One file.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Exported {
    /// Its name.
    name: String,
    /// How long it is, in bytes.
    bytes: u64,
    /// Its SHA-256, hexadecimal.
    sha256: String,
}

impl Export {
    pub(in super::super) const FORMAT: &str = "bartizan.audit.export/1";
}

impl Arguments {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let directory = match self.place.directories()?.as_slice() {
            [one] => one.clone(),
            several => {
                let several: Vec<_> = several.iter().map(|place| place.display().to_string()).collect();
                return Err(Failure::usage(format!(
                    "there are several logs; name one with --log: {}",
                    several.join(", ")
                )));
            }
        };
        let failed = |error| Failure::incomplete(format!("{} cannot be made: {error}", self.out.display()));
        fs::DirBuilder::new().mode(0o700).create(&self.out).map_err(failed)?;
        match self.export(&directory) {
            Ok(export) => {
                self.tell(&export)?;
                Ok(Outcome::Clean)
            }
            Err(failure) => {
                // What is not whole is nothing to hand out.
                fs::remove_dir_all(&self.out).ok();
                Err(failure)
            }
        }
    }

    fn export(&self, directory: &Path) -> Result<Export, Failure> {
        let unreadable = |fault| match fault {
            fault if log::is_unreadable(&fault) => log::unreadable(directory, &fault),
            fault => broken(directory, &fault),
        };
        let Checkpoint { size, .. } = newest(directory).map_err(unreadable)?;
        let name = self.format.file();
        let mut file = Written::create(&self.out, name)?;
        let known = self.write(directory, size, &mut file)?;
        let mut files = vec![file.finish()?];
        let (Some((first, _)), Some((last, _))) = (known.first(), known.last()) else {
            return Err(Failure::incomplete("no entry under the checkpoint of the log is asked for"));
        };
        if self.format == Format::Jsonl {
            let evidence = gather(directory, &known).map_err(unreadable)?;
            let mut file = Written::create(&self.out, EVIDENCE)?;
            file.write(evidence.to_string().as_bytes())?;
            files.push(file.finish()?);
        }
        let mut export = Export {
            format: Export::FORMAT.to_owned(),
            log: String::new(),
            at: rfc3339(now().0),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            asked: self.filter.asked().into_iter().map(|(name, given)| (name.to_owned(), given.to_owned())).collect(),
            entries: known.len() as u64,
            first: *first,
            last: *last,
            of: size,
            files,
        };
        self.sign(directory, &mut export)?;
        Ok(export)
    }

    /// Writes the entries that are asked for; their numbers and hashes.
    fn write(&self, directory: &Path, size: u64, file: &mut Written) -> Result<Vec<(u64, [u8; 32])>, Failure> {
        let wanted = self.filter.wanted()?;
        let mut records = iter(directory).map_err(|fault| log::unreadable(directory, &fault))?;
        let mut known = Vec::new();
        formats::head(self.format, file)?;
        for record in records.by_ref().take_while(|record| record.as_ref().is_ok_and(|record| record.seq <= size)) {
            let record = record.map_err(|fault| broken(directory, &fault))?;
            if wanted.has(&record) {
                formats::entry(self.format, &record, file)?;
                known.push((record.seq, record.leaf()));
            }
        }
        match records.broken() {
            Some(fault) => Err(broken(directory, fault)),
            None => Ok(known),
        }
    }

    fn sign(&self, directory: &Path, export: &mut Export) -> Result<(), Failure> {
        let note = sign(directory, |key| {
            export.log = key.name().to_owned();
            // Plain texts and numbers are JSON whatever they are.
            format!("{}\n{}\n", Export::FORMAT, serde_json::to_string(export).unwrap_or_default())
        });
        let unsigned = |error: AuditError| Failure::incomplete(format!("the files cannot be signed: {error}"));
        let note = note.map_err(unsigned)?;
        let mut file = Written::create(&self.out, MANIFEST)?;
        file.write(note.as_bytes())?;
        file.finish().map(drop)
    }

    fn tell(&self, export: &Export) -> Result<(), Failure> {
        if self.json {
            return output::print_json(export);
        }
        output::print(&inline(&sentence(export)))?;
        let out = self.out.display();
        say(&inline(&format!("`bartizan audit verify --export {out} --key KEY` checks it, wherever it is")));
        Ok(())
    }
}

fn broken(directory: &Path, fault: &bartizan_audit::Fault) -> Failure {
    let place = directory.display();
    Failure::incomplete(format!(
        "the log in {place} is broken, and nothing is handed out of it: {fault}; see `bartizan audit verify`"
    ))
}

fn sentence(export: &Export) -> String {
    let Export { log, entries, first, last, of, at, .. } = export;
    let many = if *entries == 1 { "entry" } else { "entries" };
    format!("{entries} {many} ({first} to {last}) of the first {of} of the log {log}, handed out {at}")
}

/// A file that is written, with its digest.
pub(super) struct Written {
    name: String,
    file: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
    path: PathBuf,
}

impl Written {
    fn create(folder: &Path, name: &str) -> Result<Self, Failure> {
        let path = folder.join(name);
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path);
        let file =
            file.map_err(|error| Failure::incomplete(format!("{} cannot be written: {error}", path.display())))?;
        Ok(Self { name: name.to_owned(), file: BufWriter::new(file), hash: Sha256::new(), bytes: 0, path })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        Failure::incomplete(format!("{} cannot be written: {error}", self.path.display()))
    }

    fn finish(mut self) -> Result<Exported, Failure> {
        self.file.flush().and_then(|()| self.file.get_ref().sync_data()).map_err(|error| self.failed(&error))?;
        Ok(Exported { name: self.name, bytes: self.bytes, sha256: to_hex(&self.hash.finalize()) })
    }
}

/// Whether what was handed out is what the log of this key gave.
pub(super) fn verify(folder: &Path, key: &LogKey, json: bool) -> Result<Outcome, Failure> {
    match check(folder, key)? {
        Ok(export) if json => output::print_json(&Verified::of(Ok(export)))?,
        Ok(export) => output::print(&inline(&format!("ok: {}", sentence(&export))))?,
        Err(why) => {
            if json {
                output::print_json(&Verified::of(Err(why)))
            } else {
                output::print(&inline(&format!("not proven: {why}")))
            }?;
            return Ok(Outcome::Found);
        }
    }
    Ok(Outcome::Clean)
}

/// What the manifest says, if all of it holds, or what does not.
fn check(folder: &Path, key: &LogKey) -> Result<Result<Export, String>, Failure> {
    let note = proof::read(&folder.join(MANIFEST), MOST.0)?;
    let text = match open_note(&note, key) {
        Ok(text) => text,
        Err(why) => return Ok(Err(format!("{MANIFEST}: {why}"))),
    };
    let export = text.split_once('\n').filter(|(format, _)| *format == Export::FORMAT);
    let export = export.and_then(|(_, json)| serde_json::from_str::<Export>(json).ok());
    let Some(export) = export.filter(|export| export.log == key.name()) else {
        return Ok(Err(format!("{MANIFEST}: it is none")));
    };
    for listed in &export.files {
        // What is signed is ours; a name that leads elsewhere would be read there all the same.
        if listed.name.contains('/') || digest(&folder.join(&listed.name))? != listed.sha256 {
            return Ok(Err(format!("{}: it is not the file that was signed", listed.name)));
        }
    }
    if export.files.iter().any(|file| file.name == Format::Jsonl.file()) {
        return Ok(check_entries(folder, key, &export)?.map(|()| export));
    }
    Ok(Ok(export))
}

/// Whether each of the entries is in the tree of the log.
fn check_entries(folder: &Path, key: &LogKey, export: &Export) -> Result<Result<(), String>, Failure> {
    let evidence = proof::read(&folder.join(EVIDENCE), MOST.1)?;
    let evidence = match Evidence::read(&evidence) {
        Ok(evidence) => evidence,
        Err(why) => return Ok(Err(format!("{EVIDENCE}: {why}"))),
    };
    let name = Format::Jsonl.file();
    let failed = |error| Failure::incomplete(format!("{} cannot be read: {error}", folder.join(name).display()));
    let mut file = BufReader::new(File::open(folder.join(name)).map_err(failed)?);
    let (mut known, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        (&mut file).take(MAX_ENTRY_BYTES as u64).read_until(b'\n', &mut line).map_err(failed)?;
        let Some(text) = line.strip_suffix(b"\n") else { break };
        match Record::parse(text) {
            Ok(record) => known.push((record.seq, record.leaf())),
            Err(problem) => return Ok(Err(format!("{name}: {problem}"))),
        }
    }
    let is_all = line.is_empty() && known.len() as u64 == export.entries;
    Ok(match evidence.check(key, &known) {
        _ if !is_all => Err(format!("{name}: it has other entries than the manifest says")),
        checked => checked.map(drop).map_err(|why| format!("{EVIDENCE}: {why}")),
    })
}

fn digest(file: &Path) -> Result<String, Failure> {
    let failed = |error| Failure::incomplete(format!("{} cannot be read: {error}", file.display()));
    let mut open = File::open(file).map_err(failed)?;
    let (mut hash, mut block) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match open.read(&mut block).map_err(failed)? {
            0 => return Ok(to_hex(&hash.finalize())),
            count => hash.update(block.get(..count).unwrap_or_default()),
        }
    }
}

/// What `audit verify --export DIR --json` prints.
#[derive(Serialize, JsonSchema)]
pub(in super::super) struct Verified {
    #[schemars(extend("const" = Verified::FORMAT))]
    format: &'static str,
    /// Whether it is what the log gave.
    ok: bool,
    /// What was handed out, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    export: Option<Export>,
    /// What is wrong with it, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl Verified {
    pub(in super::super) const FORMAT: &str = "bartizan.audit.verify.export/1";

    fn of(checked: Result<Export, String>) -> Self {
        let (export, problem) = match checked {
            Ok(export) => (Some(export), None),
            Err(problem) => (None, Some(problem)),
        };
        Verified { format: Self::FORMAT, ok: problem.is_none(), export, problem }
    }
}
