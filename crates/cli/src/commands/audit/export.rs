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
    Checkpoint, Evidence, Fault, LogKey, MAX_ENTRY_BYTES, Problem, Record, Records, gather, iter, newest, open_note,
    rfc3339, sign, to_hex,
};
use clap::{Args, ValueEnum as _};
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
use crate::text::{inline, shell_word};

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

/// The entries that are handed out, by their numbers and hashes, and what else there is.
struct Found {
    known: Vec<(u64, [u8; 32])>,
    /// Those that are asked for and so new that they are under no checkpoint.
    newer: u64,
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
        let out = self.out.display();
        if fs::symlink_metadata(&self.out).is_ok() {
            return Err(Failure::incomplete(format!("{out} is there already, and nothing is written over it")));
        }
        // What is not whole is nothing to hand out: it gets its name when it is.
        let mut part = self.out.as_os_str().to_owned();
        part.push(format!(".part-{}", std::process::id()));
        let part = PathBuf::from(part);
        let failed = |error| Failure::incomplete(format!("{out} cannot be made: {error}"));
        fs::DirBuilder::new().mode(0o700).create(&part).map_err(failed)?;
        let made = self.export(&directory, &part);
        match made.and_then(|made| fs::rename(&part, &self.out).map(|()| made).map_err(failed)) {
            Ok((export, newer)) => {
                self.tell(&export, newer)?;
                Ok(Outcome::Clean)
            }
            Err(failure) => {
                fs::remove_dir_all(&part).ok();
                Err(failure)
            }
        }
    }

    fn export(&self, directory: &log::Directory, part: &Path) -> Result<(Export, u64), Failure> {
        let refused = |fault| refused(directory, &fault);
        // First whether it is there at all, so that one that is not is called that.
        iter(directory).map_err(refused)?;
        let Checkpoint { size, .. } = newest(directory).map_err(refused)?;
        // The files that there are now have all that the checkpoint is about.
        let mut records = iter(directory).map_err(refused)?;
        let mut file = Written::create(part, self.format.file())?;
        let Found { known, newer } = self.write(directory, &mut records, size, &mut file)?;
        let mut files = vec![file.finish()?];
        let (Some((first, _)), Some((last, _))) = (known.first(), known.last()) else {
            return Err(Failure::incomplete(match newer {
                0 => "the log has no entry that is asked for".to_owned(),
                newer => format!("the log has {newer} entries that are asked for, and all are {SO_NEW}"),
            }));
        };
        // Whatever the form: what is signed was in the tree.
        let evidence = gather(directory, &known).map_err(refused)?;
        if self.format == Format::Jsonl {
            let mut file = Written::create(part, EVIDENCE)?;
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
        sign_manifest(directory, part, &mut export)?;
        Ok((export, newer))
    }

    /// Writes the entries that are asked for and among the first `size`, all of which have to be there.
    fn write(
        &self,
        directory: &log::Directory,
        records: &mut Records,
        size: u64,
        file: &mut Written,
    ) -> Result<Found, Failure> {
        let wanted = self.filter.wanted()?;
        let (mut found, mut reached) = (Found { known: Vec::new(), newer: 0 }, 0);
        formats::head(self.format, file)?;
        for record in records.by_ref() {
            let record = record.map_err(|fault| refused(directory, &fault))?;
            reached = record.seq;
            if !wanted.has(&record) {
                continue;
            }
            if record.seq > size {
                found.newer += 1;
                continue;
            }
            formats::entry(self.format, &record, file)?;
            found.known.push((record.seq, record.leaf()));
        }
        if reached < size {
            let problem = Problem::Shorter { expected: size, found: reached };
            return Err(refused(directory, &Fault { file: "checkpoint".to_owned(), line: 0, offset: 0, problem }));
        }
        records.broken().map_or(Ok(found), |fault| Err(refused(directory, fault)))
    }

    fn tell(&self, export: &Export, newer: u64) -> Result<(), Failure> {
        if newer > 0 {
            say(&format!("{newer} newer entries that are asked for are left out: they are {SO_NEW}"));
        }
        if self.json {
            return output::print_json(export);
        }
        output::print(&inline(&sentence(export)))?;
        let out = shell_word(&self.out.display().to_string());
        say(&inline(&format!("`bartizan audit verify --export {out} --key KEY` checks it, wherever it is")));
        Ok(())
    }
}

/// Why an entry is not handed out.
const SO_NEW: &str = "under no checkpoint yet. One is made each second while the log is open, and `bartizan audit seal` makes one \
                      where a Bartizan was killed";

fn sign_manifest(directory: &log::Directory, part: &Path, export: &mut Export) -> Result<(), Failure> {
    let note = sign(directory, |key| {
        export.log = key.name().to_owned();
        // Plain texts and numbers are JSON whatever they are.
        format!("{}\n{}\n", Export::FORMAT, serde_json::to_string(export).unwrap_or_default())
    });
    let note = note.map_err(|error| Failure::incomplete(format!("the files cannot be signed: {error}")))?;
    let mut file = Written::create(part, MANIFEST)?;
    file.write(note.as_bytes())?;
    file.finish().map(drop)
}

/// Why nothing is handed out of a log.
fn refused(directory: &log::Directory, fault: &Fault) -> Failure {
    if log::is_unreadable(fault) {
        return log::unreadable(directory, fault);
    }
    // What leads from entries to the checkpoint does not where the entries are others: the log says by itself which it is.
    let found = matches!(fault.problem, Problem::Tile).then(|| bartizan_audit::verify(directory, None).err()).flatten();
    let (place, fault) = (directory.display(), found.as_ref().unwrap_or(fault));
    Failure::incomplete(format!(
        "the log in {place} is broken, and nothing is handed out of it: {fault}; see `bartizan audit verify`"
    ))
}

fn sentence(export: &Export) -> String {
    let Export { log, entries, first, last, of, at, asked, files, .. } = export;
    let many = if *entries == 1 { "entry" } else { "entries" };
    let asked: Vec<_> = asked.iter().map(|(name, given)| format!("--{name} {}", shell_word(given))).collect();
    let asked = if asked.is_empty() { String::new() } else { format!(" ({})", asked.join(" ")) };
    let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
    let how = if is_proven(export) { "each of them proven" } else { "signed, and not each of them proven" };
    format!(
        "{entries} {many} ({first} to {last}) of the first {of} of the log {log}{asked}, handed out {at} in {}, {how}",
        names.join(" and ")
    )
}

/// Whether what proves each entry is among it.
fn is_proven(export: &Export) -> bool {
    export.files.iter().any(|file| file.name == Format::Jsonl.file())
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
        Ok(export) => {
            output::print(&inline(&format!("ok: {}", sentence(&export))))?;
            warn_of_others(folder, &export);
        }
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

/// Says which files are beside those that were signed: nobody vouches for them.
fn warn_of_others(folder: &Path, export: &Export) {
    let names = fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.file_name()));
    let is_signed = |name: &str| name == MANIFEST || export.files.iter().any(|file| file.name == name);
    for name in names.filter(|name| name.to_str().is_none_or(|name| !is_signed(name))) {
        say(&inline(&format!("{} is not among what was signed", name.display())));
    }
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
        if listed.name.contains('/') || !is_file_of(listed, folder)? {
            return Ok(Err(format!("{}: it is not the file that was signed", listed.name)));
        }
    }
    let names: Vec<_> = export.files.iter().map(|file| file.name.as_str()).collect();
    match names.as_slice() {
        [entries, evidence] if (*entries, *evidence) == (Format::Jsonl.file(), EVIDENCE) => {
            Ok(check_entries(folder, key, &export)?.map(|()| export))
        }
        [entries]
            if Format::value_variants().iter().any(|form| form.file() == *entries)
                && *entries != Format::Jsonl.file() =>
        {
            Ok(Ok(export))
        }
        _ => Ok(Err(format!("{MANIFEST}: it is none"))),
    }
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
    let checkpoint = match evidence.check(key, &known) {
        Ok(checkpoint) => checkpoint,
        Err(why) => return Ok(Err(format!("{EVIDENCE}: {why}"))),
    };
    let Export { entries, first, last, of, asked, .. } = export;
    let (seen_first, seen_last) = (known.first().map(|(seq, _)| seq), known.last().map(|(seq, _)| seq));
    let is_all = line.is_empty() && known.len() as u64 == *entries;
    let is_right =
        is_all && seen_first == Some(first) && seen_last == Some(last) && last <= of && *of <= checkpoint.size;
    // Whoever asks for nothing gets everything, so that nothing can be left out.
    let is_whole = !asked.is_empty() || entries == of;
    let wrong = || format!("{MANIFEST}: its numbers are not those of {name}");
    Ok(if is_right && is_whole { Ok(()) } else { Err(wrong()) })
}

/// Whether a file is the one that was signed. What is none is not waited for.
fn is_file_of(listed: &Exported, folder: &Path) -> Result<bool, Failure> {
    let file = folder.join(&listed.name);
    let failed = |error| Failure::incomplete(format!("{} cannot be read: {error}", file.display()));
    let about = fs::symlink_metadata(&file).map_err(failed)?;
    Ok(about.is_file() && about.len() == listed.bytes && digest(&file)? == listed.sha256)
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
