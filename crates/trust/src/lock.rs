//! The lock file, open.
//!
//! Beside `mcp.lock` there is a directory `mcp.lock.d`. It holds the texts of definitions, each in a file named after
//! its digest, and `pending.json`, the list of what waits for a decision. Texts are only for people: what is approved
//! stands in `mcp.lock` alone, and a text that does not match its name counts as not kept.
//!
//! Every change takes an exclusive lock, reads the files again, changes what it finds there and replaces them. So
//! several processes may share one lock file, and none loses what another wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use crate::entry::{Candidate, Key};
use crate::labels::Letters;
use crate::{
    Approved, Change, Definition, Forgotten, Labels, LockError, ServerPins, TextCheck, What, disk, format, time,
};

/// A lock file, as it was when it was last read or written.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    state: State,
    /// Whether it was gone and has been written again, until somebody asks.
    restored: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct State {
    /// Whether there is a file.
    there: bool,
    servers: BTreeMap<String, ServerPins>,
    pending: BTreeMap<Key, Candidate>,
}

/// What a tool does with information, by whoever says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelling {
    /// The server.
    pub server: String,
    /// The tool.
    pub name: String,
    /// The digest of its definition.
    pub sha256: String,
    /// What it does.
    pub labels: Labels,
    /// Whether it is guessed from its definition, and so counts only where nothing is approved yet.
    pub is_guess: bool,
}

/// The kind of definition that has labels.
const TOOL: &str = "tool";

impl Lock {
    /// Definitions that are kept of one server, and as many candidates.
    pub const MAX_DEFINITIONS: usize = 20_000;
    /// Bytes that one server may take in the lock file, and as many in the list of candidates. Both are read as a whole
    /// and up to 64 MiB: no server may fill them for the others.
    pub const MAX_SHARE: usize = 8 * 1024 * 1024;
    /// Text of one definition that is kept for people to read.
    pub const MAX_TEXT: usize = 1024 * 1024;
    /// Bytes of all texts that are kept.
    pub const MAX_TEXTS: u64 = 256 * 1024 * 1024;

    /// Opens a lock file; one that does not exist is empty.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or comes from a later version.
    pub fn open(path: impl Into<PathBuf>) -> Result<Lock, LockError> {
        let path = path.into();
        // Behind a link, the file itself is replaced, not the link.
        let path = path.canonicalize().or_else(|_| std::path::absolute(&path)).unwrap_or(path);
        let state = State::read(&path)?;
        Ok(Lock { path, state, restored: false })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The servers in it.
    pub fn servers(&self) -> impl Iterator<Item = &str> {
        self.state.servers.keys().map(String::as_str)
    }

    /// What is approved of a server; `None` if it was never seen.
    #[must_use]
    pub fn pins(&self, server: &str) -> Option<&ServerPins> {
        self.state.servers.get(server)
    }

    /// Reads it again; whether anything is different.
    ///
    /// A file that is gone is written again as it was: taken for an empty one, it would have whatever is seen next
    /// approved. Nothing of this program removes it, not even when the last server is forgotten.
    ///
    /// # Errors
    /// As for [`Lock::open`], or if a file that is gone cannot be written; what was read before is kept.
    pub fn refresh(&mut self) -> Result<bool, LockError> {
        let state = State::read(&self.path)?;
        if self.is_gone(&state) {
            self.update(&[], |_| Ok(()))?;
            return Ok(false);
        }
        let changed = state != self.state;
        self.state = state;
        Ok(changed)
    }

    /// Whether the file was gone and has been written again since this was asked last.
    pub fn take_restored(&mut self) -> bool {
        std::mem::take(&mut self.restored)
    }

    /// Whether somebody removed the file, of which that was found in its place.
    fn is_gone(&self, found: &State) -> bool {
        !found.there && !self.state.servers.is_empty()
    }

    /// States what a server is: its command line or URL.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn set_identity(&mut self, server: &str, identity: &str) -> Result<(), LockError> {
        self.update(&[], |state| {
            state.servers.entry(server.to_owned()).or_default().identity = identity.to_owned();
            Ok(())
        })
    }

    /// Approves definitions that were seen for the first time.
    ///
    /// If another process has meanwhile seen something else under that name, or has seen all of that kind, a
    /// definition becomes a candidate instead: nothing that is approved is ever overwritten by being seen.
    ///
    /// # Errors
    /// If the file cannot be read or written, or the server brings more than [`Lock::MAX_DEFINITIONS`] or
    /// [`Lock::MAX_SHARE`].
    pub fn record_first_seen(
        &mut self,
        server: &str,
        definitions: &[Definition],
        at: SystemTime,
    ) -> Result<(), LockError> {
        self.update(definitions, |state| {
            let pins = state.servers.entry(server.to_owned()).or_default();
            let mut late = Vec::new();
            for definition in definitions {
                let key = (definition.kind.clone(), definition.name.clone());
                match pins.definitions.get(&key) {
                    Some(held) if held.sha256 == definition.sha256 => {}
                    Some(_) => late.push(definition),
                    None if pins.complete.contains(&definition.kind) => late.push(definition),
                    None => drop(pins.definitions.insert(key, definition.approved(at))),
                }
            }
            late.into_iter().for_each(|definition| state.wait(definition.candidate(server)));
            Ok(())
        })
    }

    /// States that all definitions of a kind have been seen.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn set_complete(&mut self, server: &str, kind: &str) -> Result<(), LockError> {
        self.update(&[], |state| {
            state.servers.entry(server.to_owned()).or_default().complete.insert(kind.to_owned());
            Ok(())
        })
    }

    /// Keeps definitions that were withheld until somebody decides.
    ///
    /// # Errors
    /// As for [`Lock::record_first_seen`].
    pub fn note_pending(&mut self, server: &str, definitions: &[Definition]) -> Result<(), LockError> {
        self.update(definitions, |state| {
            definitions.iter().for_each(|definition| state.wait(definition.candidate(server)));
            Ok(())
        })
    }

    /// Keeps in mind that approved definitions, by kind and name, are not listed any more.
    ///
    /// # Errors
    /// As for [`Lock::record_first_seen`].
    pub fn note_gone(&mut self, server: &str, names: &[(&str, &str)]) -> Result<(), LockError> {
        self.update(&[], |state| {
            for (kind, name) in names {
                let (server, kind, name) = (server.to_owned(), (*kind).to_owned(), (*name).to_owned());
                state.wait(Candidate { server, kind, name, sha256: None, body: None, labels: None });
            }
            Ok(())
        })
    }

    /// Whether anything of a server waits for a decision.
    #[must_use]
    pub fn has_pending(&self, server: &str) -> bool {
        self.state.pending.values().any(|candidate| candidate.server == server)
    }

    /// Forgets what waits under these kinds and names, because the server lists what was approved again.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn withdraw(&mut self, server: &str, names: &[(&str, &str)]) -> Result<(), LockError> {
        self.update(&[], |state| {
            for (kind, name) in names {
                state.pending.remove(&(server.to_owned(), (*kind).to_owned(), (*name).to_owned()));
            }
            Ok(())
        })
    }

    /// What waits for a decision, sorted by server, kind and name.
    ///
    /// # Errors
    /// If a text cannot be read.
    pub fn diff(&self) -> Result<Vec<Change>, LockError> {
        self.state.pending.values().map(|candidate| self.change(candidate)).collect()
    }

    /// Accepts what somebody has looked at; what waits under the same name and is something else goes on waiting. Says what
    /// was accepted.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn accept(&mut self, seen: &[Change], at: SystemTime) -> Result<Vec<Change>, LockError> {
        let mut accepted = Vec::new();
        self.update(&[], |state| {
            // Again from the start where another process was faster.
            accepted.clear();
            for change in seen {
                let waits = |held: &&Candidate| change.is_about(held);
                if let Some(candidate) = state.pending.values().find(waits).cloned() {
                    state.accept(&candidate, change.labels, at);
                    accepted.push(change.clone());
                }
            }
            Ok(())
        })?;
        self.sweep()?;
        Ok(accepted)
    }

    /// Says of approved tools what they do with information, in the place of what was approved: an operator knows it better. Of those that are not
    /// approved as what they were when the operator looked, nothing is said. How many it was said of.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn label(&mut self, tools: &[Labelling]) -> Result<usize, LockError> {
        let mut labelled = 0;
        self.update(&[], |state| {
            labelled = 0;
            for Labelling { server, name, sha256, labels, is_guess } in tools {
                let key = (TOOL.to_owned(), name.clone());
                let held = state.servers.get_mut(server).and_then(|pins| pins.definitions.get_mut(&key));
                let Some(held) = held.filter(|held| held.sha256 == *sha256) else { continue };
                // A guess is for what has none.
                if *is_guess && held.labels.is_some() {
                    continue;
                }
                let taken_for = held.taken_for().filter(|taken_for| !is_guess && taken_for != labels);
                (held.labels, held.guessed) = (Some(*labels), taken_for);
                labelled += 1;
            }
            Ok(())
        })?;
        Ok(labelled)
    }

    /// Takes a server out, with what was approved of it and what waits: from then on it was never seen.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn forget(&mut self, server: &str) -> Result<Forgotten, LockError> {
        let mut forgotten = Forgotten::default();
        self.update(&[], |state| {
            let before = state.pending.len();
            state.pending.retain(|_, candidate| candidate.server != server);
            let pins = state.servers.remove(server);
            forgotten.approved = pins.map_or(0, |pins| pins.definitions.len());
            forgotten.waiting = before - state.pending.len();
            Ok(())
        })?;
        Ok(forgotten)
    }

    /// The text of an approved definition, if it was kept and is the one that was approved.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn approved_text(&self, server: &str, kind: &str, name: &str) -> Result<Option<String>, LockError> {
        let pins = self.state.servers.get(server);
        let approved = pins.and_then(|pins| pins.definitions.get(&(kind.to_owned(), name.to_owned())));
        approved.map_or(Ok(None), |approved| self.text(&approved.sha256))
    }

    /// Holds what is approved of a server against the texts that are kept of it.
    ///
    /// # Errors
    /// If a text is there and cannot be read.
    pub fn check_texts(&self, server: &str) -> Result<TextCheck, LockError> {
        let mut found = TextCheck::default();
        let pins = self.state.servers.get(server);
        for ((_, name), approved) in pins.iter().flat_map(|pins| &pins.definitions) {
            let path = directory(&self.path).join(file_name(&approved.sha256));
            match disk::read(&path) {
                Ok(Some(text)) if digest(&text) == approved.sha256 => {}
                Ok(None) => found.missing.push(name.clone()),
                Ok(Some(_)) => found.changed.push(name.clone()),
                Err(LockError::Io { error, .. }) if error.kind() == io::ErrorKind::InvalidData => {
                    found.changed.push(name.clone());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    fn change(&self, candidate: &Candidate) -> Result<Change, LockError> {
        let pins = self.state.servers.get(&candidate.server);
        let key = (candidate.kind.clone(), candidate.name.clone());
        let held = pins.and_then(|pins| pins.definitions.get(&key));
        let former = pins.and_then(|pins| self.state.former(pins, candidate));
        let what = match (held, &candidate.sha256, former) {
            (_, None, _) => What::Removed,
            (Some(held), Some(sha256), _) if held.sha256 == *sha256 => What::Relabelled,
            (Some(_), Some(_), _) => What::Changed,
            (None, Some(_), Some((name, _))) => What::Renamed(name.to_owned()),
            (None, Some(_), None) => What::Added,
        };
        let old = held.or(former.map(|(_, approved)| approved));
        Ok(Change {
            server: candidate.server.clone(),
            kind: candidate.kind.clone(),
            name: candidate.name.clone(),
            what,
            old: old.map_or(Ok(None), |held| self.text(&held.sha256))?,
            new: candidate.sha256.as_deref().map_or(Ok(None), |sha256| self.text(sha256))?,
            sha256: candidate.sha256.clone(),
            old_labels: old.and_then(|held| held.labels),
            by_hand: old.and_then(Approved::by_hand),
            labels: candidate.labels.map(|labels| labels.0),
        })
    }

    /// The text with that digest, if it was kept and is whole.
    fn text(&self, sha256: &str) -> Result<Option<String>, LockError> {
        let text = disk::read(&directory(&self.path).join(file_name(sha256)))?;
        Ok(text.filter(|text| digest(text) == sha256))
    }

    /// Changes the files as one, under the exclusive lock.
    fn update(
        &mut self,
        texts: &[Definition],
        change: impl FnOnce(&mut State) -> Result<(), LockError>,
    ) -> Result<(), LockError> {
        // Written, it would make the file unreadable.
        let digests =
            texts.iter().flat_map(|definition| [Some(&definition.sha256), definition.body.as_ref()]).flatten();
        if let Some(wrong) = digests.into_iter().find(|text| !format::is_digest(text)) {
            return Err(LockError::NoDigest(wrong.clone()));
        }
        let directory = directory(&self.path);
        disk::make_dir(&directory)?;
        let _exclusive = disk::Exclusive::take(&directory.join("lock"))?;
        let before = State::read(&self.path)?;
        let gone = self.is_gone(&before);
        let known = if gone { self.state.with_pending(&before) } else { before.clone() };
        let mut after = known.clone();
        change(&mut after)?;
        after.settle();
        after.check_size(&known)?;
        let named: BTreeSet<&str> = after.digests().collect();
        // Texts first: the lists must not name what is not there. Without a text `lock diff` has only the digest to show.
        let wanted: Vec<_> = texts.iter().filter(|definition| named.contains(&*definition.sha256)).collect();
        let mut room = if wanted.is_empty() { 0 } else { Self::MAX_TEXTS.saturating_sub(disk::size_of(&directory)?) };
        for definition in wanted {
            if let Some(left) = room.checked_sub(definition.json.len() as u64) {
                keep(&directory, definition)?;
                room = left;
            }
        }
        let writes = gone || after.servers != before.servers;
        if writes {
            disk::replace(&self.path, &format::write(&after.servers))?;
            self.restored |= gone;
        }
        if after.pending != before.pending {
            disk::replace(&directory.join(PENDING), &pending_text(&after.pending))?;
        }
        // A server that changes a definition with each listing leaves one text behind, not all of them.
        for sha256 in before.digests().filter(|sha256| !named.contains(sha256)) {
            disk::remove(&directory.join(file_name(sha256)))?;
        }
        drop(named);
        after.there = before.there || writes;
        self.state = after;
        Ok(())
    }

    /// Removes texts that nothing names any more.
    fn sweep(&mut self) -> Result<(), LockError> {
        let directory = directory(&self.path);
        let _exclusive = disk::Exclusive::take(&directory.join("lock"))?;
        let state = State::read(&self.path)?;
        let named: BTreeSet<String> = state.digests().map(file_name).collect();
        disk::remove_others(&directory, |name| {
            !name.strip_suffix(".json").is_some_and(format::is_digest) || named.contains(name)
        })
    }
}

const PENDING: &str = "pending.json";

fn directory(path: &Path) -> PathBuf {
    disk::sibling(path, ".d")
}

fn file_name(sha256: &str) -> String {
    format!("{sha256}.json")
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn keep(directory: &Path, definition: &Definition) -> Result<(), LockError> {
    if definition.json.len() > Lock::MAX_TEXT || digest(&definition.json) != definition.sha256 {
        return Ok(());
    }
    let path = directory.join(file_name(&definition.sha256));
    if disk::read(&path).is_ok_and(|text| text.as_ref() == Some(&definition.json)) {
        return Ok(());
    }
    disk::write_addressed(&path, &definition.json)
}

fn pending_text(pending: &BTreeMap<Key, Candidate>) -> String {
    // Strings and nothing else: this cannot fail.
    serde_json::to_string_pretty(&pending.values().collect::<Vec<_>>()).unwrap_or_default()
}

impl Definition {
    fn approved(&self, at: SystemTime) -> Approved {
        let (sha256, body) = (self.sha256.clone(), self.body.clone());
        Approved { sha256, body, labels: self.labels, guessed: None, first_seen: time::format(at) }
    }

    fn candidate(&self, server: &str) -> Candidate {
        Candidate {
            server: server.to_owned(),
            kind: self.kind.clone(),
            name: self.name.clone(),
            sha256: Some(self.sha256.clone()),
            body: self.body.clone(),
            labels: self.labels.map(Letters),
        }
    }
}

impl State {
    fn read(path: &Path) -> Result<State, LockError> {
        let text = disk::read(path)?;
        let there = text.is_some();
        let servers = text.map_or(Ok(BTreeMap::new()), |text| format::parse(path, &text))?;
        let list = directory(path).join(PENDING);
        let pending = match disk::read(&list)? {
            Some(text) => serde_json::from_str::<Vec<Candidate>>(&text).map_err(|error| LockError::Corrupt {
                path: list,
                line: error.line(),
                column: error.column(),
                message: error.to_string(),
            })?,
            None => Vec::new(),
        };
        let pending = pending.into_iter().map(|candidate| (candidate.key(), candidate)).collect();
        Ok(State { there, servers, pending })
    }

    /// This, with what waits `elsewhere` as well.
    fn with_pending(&self, elsewhere: &State) -> State {
        let mut all = self.clone();
        all.pending.extend(elsewhere.pending.iter().map(|(key, candidate)| (key.clone(), candidate.clone())));
        all
    }

    /// Adds a candidate in the place of what waited under its name before.
    fn wait(&mut self, candidate: Candidate) {
        self.pending.insert(candidate.key(), candidate);
    }

    /// Refuses what takes more than one server may; what did so `before` is no reason to refuse anything else.
    fn check_size(&self, before: &State) -> Result<(), LockError> {
        let changed = self.servers.iter().filter(|(server, pins)| before.servers.get(*server) != Some(*pins));
        let approved = changed.map(|(server, pins)| (&**server, (pins.definitions.len(), format::size(server, pins))));
        let waited = before.waiting();
        let waiting = self.waiting().into_iter().filter(|(server, now)| waited.get(server) != Some(now));
        for (server, (count, bytes)) in approved.chain(waiting) {
            let server = || server.to_owned();
            if count > Lock::MAX_DEFINITIONS {
                return Err(LockError::TooMany { server: server(), limit: Lock::MAX_DEFINITIONS });
            }
            if bytes > Lock::MAX_SHARE {
                return Err(LockError::TooLarge { server: server(), limit: Lock::MAX_SHARE });
            }
        }
        Ok(())
    }

    /// How many candidates each server has, and how many bytes they take.
    fn waiting(&self) -> BTreeMap<&str, (usize, usize)> {
        let mut waiting = BTreeMap::<&str, (usize, usize)>::new();
        for candidate in self.pending.values() {
            let (count, bytes) = waiting.entry(&candidate.server).or_default();
            (*count, *bytes) = (*count + 1, *bytes + candidate.size());
        }
        waiting
    }

    fn accept(&mut self, candidate: &Candidate, labels: Option<Labels>, at: SystemTime) {
        let by_hand = self.before(candidate).and_then(Approved::by_hand);
        let former = self.servers.get(&candidate.server).and_then(|pins| self.former(pins, candidate));
        let former = former.map(|(name, _)| (candidate.kind.clone(), name.to_owned()));
        let pins = self.servers.entry(candidate.server.clone()).or_default();
        let key = (candidate.kind.clone(), candidate.name.clone());
        let Some(sha256) = candidate.sha256.clone() else {
            pins.definitions.remove(&key);
            return;
        };
        if let Some(former) = former.filter(|_| !pins.definitions.contains_key(&key)) {
            pins.definitions.remove(&former);
        }
        let (body, first_seen) = (candidate.body.clone(), time::format(at));
        // What an operator has added stays, as it was about more than its wording; what they have taken away was about what it was.
        let added = by_hand.map(|(added, _)| added).unwrap_or_default();
        let kept = labels.map(|labels| labels.with_added(added));
        let guessed = labels.filter(|labels| kept != Some(*labels));
        pins.definitions.insert(key, Approved { sha256, body, labels: kept, guessed, first_seen });
    }

    /// What was approved in the place of a candidate, under its name or the one that it had.
    fn before(&self, candidate: &Candidate) -> Option<&Approved> {
        let pins = self.servers.get(&candidate.server)?;
        let held = pins.definitions.get(&(candidate.kind.clone(), candidate.name.clone()));
        held.or_else(|| self.former(pins, candidate).map(|(_, approved)| approved))
    }

    /// The approved definition that a new one is a renaming of: the same but for the name, and gone.
    fn former<'a>(&self, pins: &'a ServerPins, candidate: &Candidate) -> Option<(&'a str, &'a Approved)> {
        let body = candidate.body.as_ref()?;
        let gone = |name: &str| {
            let key = (candidate.server.clone(), candidate.kind.clone(), name.to_owned());
            self.pending.get(&key).is_some_and(|held| held.sha256.is_none())
        };
        pins.definitions
            .iter()
            .find(|((kind, name), held)| *kind == candidate.kind && held.body.as_ref() == Some(body) && gone(name))
            .map(|((_, name), held)| (name.as_str(), held))
    }

    /// Drops candidates that nothing has to be decided about any more.
    fn settle(&mut self) {
        let servers = &self.servers;
        self.pending.retain(|_, candidate| {
            let pins = servers.get(&candidate.server);
            let held = pins.and_then(|pins| pins.definitions.get(&(candidate.kind.clone(), candidate.name.clone())));
            let is_same = held.map(|held| &held.sha256) == candidate.sha256.as_ref();
            // What was approved before there were labels is nothing that they could differ from.
            let is_taken = |labels: Letters| held.and_then(Approved::taken_for).is_none_or(|held| held == labels.0);
            !is_same || !candidate.labels.is_none_or(is_taken)
        });
    }

    fn digests(&self) -> impl Iterator<Item = &str> {
        let approved = self.servers.values().flat_map(|pins| pins.definitions.values()).map(|held| &*held.sha256);
        approved.chain(self.pending.values().filter_map(|candidate| candidate.sha256.as_deref()))
    }
}

#[cfg(test)]
mod tests;
