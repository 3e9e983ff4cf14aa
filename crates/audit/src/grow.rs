//! Finds the tree of a log that is opened: from its checkpoint and the tiles, and the entries since.
//!
//! After a clean end that is all of it. After a kill there is about a second of entries behind the checkpoint. Where the
//! checkpoint or a tile is missing or unreadable, the tree is made anew from all entries.

use std::collections::VecDeque;
use std::io::{Seek, SeekFrom};
use std::path::Path;

use crate::chain::Head;
use crate::error::AuditError;
use crate::fault::{Fault, Problem};
use crate::files::{self, Source};
use crate::heads::{self, CHECKPOINT};
use crate::line::Line;
use crate::lines::{Lines, Step};
use crate::note::{Checkpoint, Signer};
use crate::recover::{self, End};
use crate::tiles::Tiles;
use crate::tree::{self, Edge, Hash};
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

/// Finds the tree of the log in `dir`, which ends with `end`. Without a `signer` there is no key that could have signed a
/// checkpoint.
///
/// # Errors
/// If the log has fewer entries than its checkpoint or others, or cannot be read.
pub(crate) fn tree(dir: &Path, signer: Option<&Signer>, end: Option<&End>) -> Result<Grown, AuditError> {
    let entries = end.map_or(0, |end| end.head.seq);
    let (checkpoint, without) = match signer.map(|signer| heads::checkpoint(dir, signer.public())) {
        None => (None, "its key was not there"),
        Some(Ok(None)) => (None, "its checkpoint was not there"),
        Some(Ok(Some(checkpoint))) => (Some(checkpoint), "a tile was not there or another one"),
        Some(Err(Fault { problem: Problem::Checkpoint(_), .. })) => (None, "its checkpoint was none"),
        Some(Err(fault)) => return Err(damaged(fault)),
    };
    if let Some(Checkpoint { size, .. }) = checkpoint.as_ref().filter(|checkpoint| checkpoint.size > entries) {
        return Err(about(Problem::Shorter { expected: *size, found: entries }));
    }
    let tiles = Tiles::of(dir);
    let kept = checkpoint.as_ref().and_then(|checkpoint| {
        let edge = Edge::restore(checkpoint.size, |level, index, width| tiles.read(level, index, width)).ok()?;
        (edge.root() == checkpoint.root).then_some(edge)
    });
    let anew = kept.is_none().then_some(without);
    let kept = match kept {
        Some(kept) => kept,
        None => {
            tiles.clear().map_err(|source| AuditError::Io { action: "tidy up", path: dir.join("tile"), source })?;
            Edge::default()
        }
    };
    let edge = with_entries(dir, &kept, entries, checkpoint.as_ref())?;
    // What the last entry ties together is what the tree has: the chain in it is over all before.
    let last = edge.size().checked_sub(1).map(|last| last_leaf(dir, &edge, last)).transpose()?;
    if last != end.map(|end| end.leaf) {
        return Err(about(Problem::Root { size: edge.size() }));
    }
    Ok(Grown { kept, edge, anew })
}

/// The tree with the entries behind those that it has, up to `entries`; what is full of it is written on the way.
fn with_entries(dir: &Path, kept: &Edge, entries: u64, checkpoint: Option<&Checkpoint>) -> Result<Edge, AuditError> {
    let mut edge = kept.clone();
    if edge.size() == entries {
        return Ok(edge);
    }
    let tiles = Tiles::of(dir);
    let mut lines = lines_from(dir, kept.size())?;
    let mut walk = Walk::default();
    while edge.size() < entries {
        let step = lines.advance().map_err(damaged)?;
        if step != Step::Line {
            return Err(damaged(lines.fault(Problem::Unfinished)));
        }
        let line = Line::parse(lines.bytes()).map_err(|problem| damaged(lines.fault(problem)))?;
        if line.seq <= kept.size() {
            // What is under the checkpoint is not looked at again; the next one has to follow from the last of these.
            if line.seq == kept.size() && tree::leaf(lines.bytes()) != last_leaf(dir, kept, line.seq - 1)? {
                return Err(about(Problem::Root { size: line.seq }));
            }
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
        written.map_err(|source| AuditError::Io { action: "write", path: dir.join("tile"), source })?;
        if checkpoint.is_some_and(|checkpoint| checkpoint.size == edge.size() && checkpoint.root != edge.root()) {
            return Err(about(Problem::Root { size: edge.size() }));
        }
    }
    Ok(edge)
}

/// The hash of the last entry of a tree.
fn last_leaf(dir: &Path, edge: &Edge, last: u64) -> Result<Hash, AuditError> {
    if let Some((0, _, row)) = edge.partial().next() {
        return Ok(row.last().copied().unwrap_or_default());
    }
    // It is in a tile that is full.
    let read = Tiles::of(dir).hashes(edge.size(), 0, last, 1);
    let read = read.map_err(|source| AuditError::Io { action: "read", path: dir.join("tile"), source })?;
    Ok(read.first().copied().unwrap_or_default())
}

/// The lines of the files from the one on that has the entry `seq`.
fn lines_from(dir: &Path, seq: u64) -> Result<Lines, AuditError> {
    let failed = |source| AuditError::Io { action: "read", path: dir.to_owned(), source };
    let mut sources: VecDeque<Source> = files::snapshot(dir).map_err(failed)?.into();
    while let Some(next) = sources.get_mut(1) {
        let first = match next.first_seq {
            Some(first) => first,
            None => {
                let first = recover::first_seq(&next.name, &next.file);
                next.file.seek(SeekFrom::Start(0)).map_err(failed)?;
                // It has no whole line yet, or what is wrong with it is found where it is read.
                let Ok(first) = first else { break };
                first
            }
        };
        if first > seq {
            break;
        }
        sources.pop_front();
    }
    // Whoever wrote them may not have come to that, and a checkpoint says that they are there.
    sources.iter().try_for_each(|source| source.file.sync_data()).map_err(failed)?;
    Ok(Lines::of(sources))
}

fn about(problem: Problem) -> AuditError {
    damaged(Fault { file: CHECKPOINT.to_owned(), line: 0, offset: 0, problem })
}

fn damaged(fault: Fault) -> AuditError {
    AuditError::Damaged(Box::new(fault))
}
