//! The approved definitions of all servers: the lock file, and the snapshots that guards read.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use bartizan_guard::{Definition as Listed, DefinitionKind, Fact, Pin, Pins, ServerProfile};
use bartizan_mcp::Digest;
use bartizan_trust::{Definition, Lock, ServerPins};

use crate::abilities::Abilities;
use crate::server::Server;

/// Approved definitions, by server.
#[derive(Debug)]
pub struct Approvals {
    /// Shared with the threads that write; a write waits for the disk.
    lock: Arc<Mutex<Held>>,
    /// Those whose snapshots follow the file.
    servers: Mutex<Vec<Weak<Server>>>,
}

#[derive(Debug)]
struct Held {
    lock: Lock,
    /// What has been noted as waiting, so that each listing does not write the file again.
    noted: HashSet<(String, String, String, String)>,
    /// Of the file when it was looked at last.
    stamp: Option<(SystemTime, u64)>,
}

/// What came of keeping facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// They are on disk.
    Done,
    /// Somebody else saw something different first: the message has to be judged again.
    JudgeAgain,
}

impl Approvals {
    /// Reads the lock file at `path`; one that is not there is empty.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn open(path: &Path) -> Result<Approvals, String> {
        let lock = Lock::open(path).map_err(|error| error.to_string())?;
        let held = Held { stamp: stamp(path), lock, noted: HashSet::new() };
        Ok(Approvals { lock: Arc::new(Mutex::new(held)), servers: Mutex::default() })
    }

    /// Keeps the snapshot of `server` up to date from now on; says so if it is not what it was when it was approved.
    ///
    /// # Errors
    /// If the lock file cannot be written.
    pub fn follow(&self, server: &Arc<Server>) -> Result<Option<String>, String> {
        let identity = server.identity();
        let before = {
            let mut held = lock(&self.lock);
            let before = held.lock.pins(&server.name).map(|pins| pins.identity.clone()).unwrap_or_default();
            if before != identity {
                held.lock.set_identity(&server.name, &identity).map_err(|error| error.to_string())?;
            }
            before
        };
        lock(&self.servers).push(Arc::downgrade(server));
        self.publish();
        Ok((!before.is_empty() && before != identity).then_some(before))
    }

    /// Reads the file again, in case `bartizan lock update` or another gateway has changed it.
    pub fn refresh(&self) {
        let changed = {
            let mut held = lock(&self.lock);
            let stamp = stamp(held.lock.path());
            if std::mem::replace(&mut held.stamp, stamp) == stamp {
                return;
            }
            held.lock.refresh()
        };
        match changed {
            Ok(true) => self.publish(),
            Ok(false) => {}
            // What was read before stays in force; nothing new is approved by a file that cannot be read.
            Err(error) => tracing::error!(%error, "the lock file cannot be read"),
        }
    }

    /// Stores what a message taught about a server's definitions.
    pub(crate) async fn keep(&self, server: &Server, by: Abilities, facts: &[Fact]) -> Result<Kept, String> {
        let work = Work::of(facts, by);
        let pins = server.profile.load().pins.clone();
        let waits = lock(&self.lock).lock.has_pending(&server.name);
        let matching = if waits { matching(facts, &pins) } else { Vec::new() };
        if work.is_empty() && matching.is_empty() {
            return Ok(Kept::Done);
        }
        let (held, name) = (Arc::clone(&self.lock), server.name.to_string());
        let first_seen = work.first_seen.clone();
        let written = tokio::task::spawn_blocking(move || work.write(&mut lock(&held), &name, &matching)).await;
        written.map_err(|error| error.to_string())??;
        self.publish();
        let pins = server.profile.load().pins.clone();
        let ours = |definition: &Definition| {
            let kind = DefinitionKind::from_name(&definition.kind)?;
            Some(pins.get(kind, &definition.name)?.to_hex() == definition.sha256)
        };
        let all_ours = first_seen.iter().all(|definition| ours(definition) == Some(true));
        Ok(if all_ours { Kept::Done } else { Kept::JudgeAgain })
    }

    /// Gives every server that is followed a snapshot of what is approved now.
    fn publish(&self) {
        let mut servers = lock(&self.servers);
        servers.retain(|server| server.strong_count() > 0);
        let servers: Vec<Arc<Server>> = servers.iter().filter_map(Weak::upgrade).collect();
        let held = lock(&self.lock);
        let all: Vec<_> = servers.iter().map(|server| Arc::new(pins_of(held.lock.pins(&server.name)))).collect();
        for (server, pins) in servers.iter().zip(&all) {
            let others = servers.iter().zip(&all).filter(|(other, _)| other.name != server.name);
            let tools = others.flat_map(|(other, pins)| {
                let tools = pins.iter().filter(|(kind, ..)| *kind == DefinitionKind::Tool);
                tools.map(|(_, tool, _)| (Box::from(tool), Arc::clone(&other.name)))
            });
            let mut elsewhere: Vec<_> = tools.collect();
            elsewhere.sort();
            let name = Arc::clone(&server.name);
            let whole = ServerProfile { name, pins: Arc::clone(pins), elsewhere: elsewhere.into() };
            server.profiles.store(Arc::new(by_abilities(&whole, held.lock.pins(&server.name))));
            server.profile.store(Arc::new(whole));
        }
    }
}

/// What guards know of a server before anything was read.
#[must_use]
pub(crate) fn unknown(name: &Arc<str>) -> ServerProfile {
    ServerProfile { name: Arc::clone(name), pins: Arc::default(), elsewhere: Arc::from([]) }
}

/// What has to be written because of one message.
struct Work {
    first_seen: Vec<Definition>,
    withheld: Vec<Definition>,
    gone: Vec<(&'static str, String)>,
    complete: Vec<String>,
    /// What the client can do that they were listed to.
    by: Abilities,
}

impl Work {
    fn of(facts: &[Fact], by: Abilities) -> Work {
        let mut work =
            Work { first_seen: Vec::new(), withheld: Vec::new(), gone: Vec::new(), complete: Vec::new(), by };
        for fact in facts {
            match fact {
                Fact::Listed(_) => {}
                Fact::FirstSeen(pin) => work.first_seen.push(definition(pin)),
                Fact::Withheld(pin) => work.withheld.push(definition(pin)),
                Fact::Gone(kind, name) => work.gone.push((kind.as_str(), name.to_string())),
                Fact::SeenInFull(kind) => work.complete.push(by.seen(kind.as_str())),
            }
        }
        work
    }

    fn is_empty(&self) -> bool {
        self.first_seen.is_empty() && self.withheld.is_empty() && self.gone.is_empty() && self.complete.is_empty()
    }

    fn write(self, held: &mut Held, server: &str, matching: &[(String, String)]) -> Result<(), String> {
        let key = |kind: &str, name: &str, digest: &str| {
            (server.to_owned(), kind.to_owned(), name.to_owned(), digest.to_owned())
        };
        let noted = &mut held.noted;
        let new = |definition: &Definition| noted.insert(key(&definition.kind, &definition.name, &definition.sha256));
        let withheld: Vec<_> = self.withheld.into_iter().filter(new).collect();
        let gone: Vec<_> = self.gone.iter().filter(|(kind, name)| held.noted.insert(key(kind, name, ""))).collect();
        let lock = &mut held.lock;
        // Meanwhile another client may have seen all of a kind; then it is not the first sight of what is new.
        let seen = complete_for(lock.pins(server), self.by);
        let first = |definition: &Definition| !seen.iter().any(|kind| kind.as_str() == definition.kind);
        let first_seen: Vec<_> = self.first_seen.into_iter().filter(first).collect();
        let write = || {
            if !first_seen.is_empty() {
                lock.record_first_seen(server, &first_seen, SystemTime::now())?;
            }
            if !withheld.is_empty() {
                lock.note_pending(server, &withheld)?;
            }
            for (kind, name) in gone {
                lock.note_gone(server, kind, name)?;
            }
            for kind in &self.complete {
                lock.set_complete(server, kind)?;
            }
            if !matching.is_empty() {
                let names: Vec<_> = matching.iter().map(|(kind, name)| (&**kind, &**name)).collect();
                lock.withdraw(server, &names)?;
            }
            Ok(())
        };
        let written: Result<(), bartizan_trust::LockError> = write();
        if !matching.is_empty() {
            // What is withdrawn may come again, and is news then.
            held.noted.retain(|(of, kind, name, _)| {
                of != server || !matching.iter().any(|(listed, called)| listed == kind && called == name)
            });
        }
        written.map_err(|error| format!("the lock file cannot be written: {error}"))
    }
}

/// Listed definitions that are what was approved, so that nothing older waits under their names.
fn matching(facts: &[Fact], pins: &Pins) -> Vec<(String, String)> {
    let listed = facts.iter().flat_map(|fact| match fact {
        Fact::Listed(definitions) => definitions.as_slice(),
        _ => &[],
    });
    let approved = |listed: &&Arc<Listed>| pins.get(listed.kind, &listed.name) == Some(listed.digest);
    listed.filter(approved).map(|listed| (listed.kind.as_str().to_owned(), listed.name.to_string())).collect()
}

fn definition(pin: &Pin) -> Definition {
    Definition {
        kind: pin.kind.as_str().to_owned(),
        name: pin.name.to_string(),
        sha256: pin.digest.to_hex(),
        body: pin.body.map(|body| body.to_hex()),
        json: pin.json.to_string(),
    }
}

fn pins_of(held: Option<&ServerPins>) -> Pins {
    let mut pins = Pins::default();
    let Some(held) = held else { return pins };
    for ((kind, name), approved) in &held.definitions {
        // What the lock file holds of a kind we do not know concerns a later version.
        let Some(kind) = DefinitionKind::from_name(kind) else { continue };
        let Some(digest) = Digest::from_hex(&approved.sha256) else { continue };
        let body = approved.body.as_deref().and_then(Digest::from_hex);
        pins.insert(Pin { kind, name: name.as_str().into(), digest, body, json: "".into() });
    }
    for (kind, _) in held.complete.iter().filter_map(|seen| Abilities::read(seen)) {
        pins.set_complete(kind);
    }
    pins
}

/// Of what kinds everything has been seen that a server lists to a client that can do so much, by one that could do as
/// much.
fn complete_for(held: Option<&ServerPins>, able: Abilities) -> Vec<DefinitionKind> {
    let seen = held.into_iter().flat_map(|held| &held.complete).filter_map(|seen| Abilities::read(seen));
    let mut kinds: Vec<_> = seen.filter(|(_, by)| by.cover(able)).map(|(kind, _)| kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// What guards know of a server, for clients of each set of abilities. Most sets have the same in common.
fn by_abilities(whole: &ServerProfile, held: Option<&ServerPins>) -> Vec<Arc<ServerProfile>> {
    let mut made: Vec<(Vec<DefinitionKind>, Arc<ServerProfile>)> = Vec::new();
    let profiles = Abilities::every().map(|able| {
        let kinds = complete_for(held, able);
        if let Some((_, profile)) = made.iter().find(|(of, _)| *of == kinds) {
            return Arc::clone(profile);
        }
        let mut pins = (*whole.pins).clone();
        pins.set_complete_only(&kinds);
        let profile = Arc::new(ServerProfile { pins: Arc::new(pins), ..whole.clone() });
        made.push((kinds, Arc::clone(&profile)));
        profile
    });
    profiles.collect()
}

/// When the file was written and how large it is: enough to see that it is another one, without reading it.
fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let about = std::fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
