//! Finds the tree of a log that is opened: from its checkpoint and the tiles, and the entries since.
//!
//! After a clean end that is all of it. After a kill there is about a second of entries behind the checkpoint. Where the
//! checkpoint or a tile that is needed for this is missing or another one, the tree is made anew from all entries.

use std::collections::VecDeque;

use crate::chain::Head;
use crate::error::AuditError;
use crate::fault::{Fault, Problem};
use crate::files::{self, Source};
use crate::heads::{self, CHECKPOINT, about};
use crate::keys::At;
use crate::line::{self, Line};
use crate::lines::{Lines, Step};
use crate::note::{Checkpoint, Signer};
use crate::recover::{self, End};
use crate::tiles::Tiles;
use crate::tree::{self, Edge};
use crate::verify::Walk;

/// The tree of a log.
pub(crate) struct Grown {
    /// That of the checkpoint.
    pub(crate) kept: Edge,
    /// That of all entries.
    pub(crate) edge: Edge,
    /// Why it was made from all of them, if it was.
    pub(crate) anew: Option<&'static str>,
}

/// Finds the tree of a log, which ends with `end`. Without a `signer` there is no key, and nobody can say whether a
/// checkpoint that is there was signed; what it says has to hold all the same.
///
/// # Errors
/// If the log has fewer entries than its checkpoint or others, or cannot be read.
pub(crate) fn tree(log: At<'_>, signer: Option<&Signer>, end: Option<&End>) -> Result<Grown, AuditError> {
    let dir = log.dir;
    let entries = end.map_or(0, |end| end.head.seq);
    let note =
        heads::read(dir).map_err(|source| AuditError::Io { action: "read", path: dir.join(CHECKPOINT), source })?;
    let (checkpoint, mut anew) = match (note, signer) {
        (None, None) => (None, Some("it had none")),
        (None, Some(_)) => (None, Some("its checkpoint was not there")),
        (Some(note), None) => (Checkpoint::claimed(&note), Some("its key was not there")),
        (Some(note), Some(signer)) => match Checkpoint::open(&note, signer.public()) {
            Ok(checkpoint) => (Some(checkpoint), None),
            Err(_) => (Checkpoint::claimed(&note), Some("its checkpoint was not one of its key")),
        },
    };
    if let Some(Checkpoint { size, .. }) = checkpoint.as_ref().filter(|checkpoint| checkpoint.size > entries) {
        return Err(damaged(about(Problem::Shorter { expected: *size, found: entries })));
    }
    let kept = checkpoint.as_ref().filter(|_| anew.is_none()).map(|checkpoint| kept(log, checkpoint, end));
    let kept = kept.transpose()?.flatten();
    if kept.is_none() {
        anew = anew.or(Some("a tile was not there, or another one"));
    }
    let kept = kept.unwrap_or_default();
    let edge = with_entries(log, &kept, entries, checkpoint.as_ref())?;
    Ok(Grown { kept, edge, anew })
}

/// The tree of a checkpoint, if its tiles are there and lead to it, and what it ends with is what the log has there.
fn kept(log: At<'_>, checkpoint: &Checkpoint, end: Option<&End>) -> Result<Option<Edge>, AuditError> {
    let (tiles, size) = (Tiles::of(log.dir), checkpoint.size);
    let restored = Edge::restore(size, |level, index, width| tiles.read(level, index, width));
    let Ok(edge) = restored else { return Ok(None) };
    if edge.root() != checkpoint.root {
        return Ok(None);
    }
    let Some(last) = size.checked_sub(1) else { return Ok(Some(edge)) };
    let leaf = match end {
        Some(end) if end.head.seq == size => end.leaf,
        _ => match entry(log, size)? {
            Some(line) => tree::leaf(&line),
            None => return Ok(None),
        },
    };
    // The chain in that entry is over all before it. Where the two differ, all entries are looked at.
    let is_there = tiles.hashes(size, 0, last, 1).is_ok_and(|last| last == [leaf]);
    Ok(is_there.then_some(edge))
}

/// The line of the entry `seq`.
fn entry(log: At<'_>, seq: u64) -> Result<Option<Vec<u8>>, AuditError> {
    let mut lines = lines_from(log, seq)?;
    loop {
        match lines.advance().map_err(damaged)? {
            Step::Line if line::seq(lines.bytes()) == Some(seq) => return Ok(Some(lines.bytes().to_vec())),
            Step::Line | Step::Flaw(_) => {}
            Step::Unfinished | Step::End => return Ok(None),
        }
    }
}

/// The tree with the entries behind those that it has, up to `entries`; what is full of it is written on the way.
fn with_entries(log: At<'_>, kept: &Edge, entries: u64, checkpoint: Option<&Checkpoint>) -> Result<Edge, AuditError> {
    let mut edge = kept.clone();
    if edge.size() == entries {
        return Ok(edge);
    }
    let tiles = Tiles::of(log.dir);
    let mut lines = lines_from(log, kept.size())?;
    let mut walk = Walk::default();
    while edge.size() < entries {
        let step = lines.advance().map_err(damaged)?;
        if step != Step::Line {
            return Err(damaged(lines.fault(Problem::Unfinished)));
        }
        let line = Line::parse(lines.bytes()).map_err(|problem| damaged(lines.fault(problem)))?;
        if line.seq <= kept.size() {
            // What is under the checkpoint is not looked at again; the next one has to follow from the last of these.
            walk = Walk::from(Head { seq: line.seq, chain: line.chain });
            continue;
        }
        walk.step(&lines);
        if let Some(fault) = walk.fault.take() {
            return Err(damaged(fault));
        }
        let mut written = Ok(());
        edge.push(tree::leaf(lines.bytes()), |tile| {
            if written.is_ok() {
                written = tiles.write(&tile);
            }
        });
        written.map_err(|source| AuditError::Io { action: "write", path: log.dir.join("tile"), source })?;
        if checkpoint.is_some_and(|checkpoint| checkpoint.size == edge.size() && checkpoint.root != edge.root()) {
            return Err(damaged(about(Problem::Root { size: edge.size() })));
        }
    }
    Ok(edge)
}

/// The lines of the files from the one on that has the entry `seq`.
fn lines_from(log: At<'_>, seq: u64) -> Result<Lines, AuditError> {
    let failed = |source| AuditError::Io { action: "read", path: log.dir.to_owned(), source };
    let mut sources: VecDeque<Source> = files::snapshot(log.dir).map_err(failed)?.into();
    while let Some(next) = sources.get(1) {
        // It has no whole line yet, or what is wrong with it is found where it is read.
        let first = next.first_seq.or_else(|| recover::first_seq(log, next).ok().flatten());
        if first.is_none_or(|first| first > seq) {
            break;
        }
        sources.pop_front();
    }
    // Whoever wrote them may not have come to that, and a checkpoint says that they are there.
    sources.iter().try_for_each(|source| source.file.sync_data()).map_err(failed)?;
    Ok(Lines::of(log, sources))
}

fn damaged(fault: Fault) -> AuditError {
    AuditError::Damaged(Box::new(fault))
}
