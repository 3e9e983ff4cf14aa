//! The approved definitions of all servers: the lock file, and the snapshots that guards read.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError, Weak};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use bartizan_guard::flow::Nature;
use bartizan_guard::{DefinitionKind, Fact, Labelled, Pin, Pins, ServerProfile};
use bartizan_mcp::Digest;
use bartizan_trust::{Approved, Definition, Labels, Lock, LockError, ServerPins};
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::abilities::Abilities;
use crate::admit::Kept;
use crate::server::Server;

/// Approved definitions, by server. Clones are the same.
///
/// Whoever writes the file holds the lock while it waits for the disk and for other processes. So it is only taken where
/// waiting stops nobody else; messages are judged and let through by snapshots.
#[derive(Debug, Clone)]
pub struct Approvals {
    lock: Arc<Mutex<Held>>,
    /// Those whose snapshots follow the file.
    servers: Arc<Mutex<Vec<Weak<Server>>>>,
    /// Those of which something waits for a decision.
    waiting: Arc<ArcSwap<HashSet<String>>>,
    /// Told when the file was gone.
    alarm: Arc<OnceLock<Alarm>>,
}

/// Records that the lock file was gone.
struct Alarm(Box<dyn Fn(&Path) + Send + Sync>);

impl fmt::Debug for Alarm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Alarm")
    }
}

#[derive(Debug)]
struct Held {
    lock: Lock,
    /// What has been noted as waiting, so that each listing does not write the file again.
    noted: HashSet<(String, String, String, String)>,
    /// Of the file when it was looked at last.
    stamp: Option<Stamp>,
    /// That it could not be read the last time.
    unreadable: Option<Unreadable>,
}

/// A lock file that could not be read.
#[derive(Debug)]
struct Unreadable {
    /// Of the file then, so that it is logged once.
    stamp: Option<Stamp>,
    why: String,
}

/// When a file was written and how large it is.
type Stamp = (SystemTime, u64);

/// What is noted as waiting, at most; beyond it some is noted twice, which changes nothing.
const NOTED: usize = 100_000;

impl Approvals {
    /// Reads the lock file at `path`; one that is not there is empty.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn open(path: &Path) -> Result<Approvals, String> {
        let lock = Lock::open(path).map_err(|error| error.to_string())?;
        let held = Held { stamp: stamp(path), lock, noted: HashSet::new(), unreadable: None };
        let (lock, servers, waiting, alarm) =
            (Arc::new(Mutex::new(held)), Arc::default(), Arc::default(), Arc::default());
        let approvals = Approvals { lock, servers, waiting, alarm };
        approvals.publish();
        Ok(approvals)
    }

    /// Has `record` told when the file, whose place it is given, was gone and has been written again.
    pub(crate) fn on_gone(&self, record: impl Fn(&Path) + Send + Sync + 'static) {
        self.alarm.set(Alarm(Box::new(record))).ok();
    }

    /// Says so if the file was gone. Whoever removed it may have meant that all of it is to be approved anew, or wants us
    /// to believe that.
    fn complain_if_gone(&self, held: &mut Held) {
        if held.lock.take_restored() {
            let path = held.lock.path();
            tracing::error!(
                lock = %path.display(),
                "the lock file was gone; it is written again as it was known here, and nothing in it is approved anew. \
                 To have a server approved anew: bartizan lock forget"
            );
            self.alarm.get().inspect(|alarm| (alarm.0)(path));
        }
    }

    /// Keeps the snapshot of `server` up to date from now on; says so if it is not what it was when it was approved. What
    /// it is is kept when it has listed something: before that, nobody knows whether it can be started.
    ///
    /// # Errors
    /// If the lock file cannot be written.
    pub fn follow(&self, server: &Arc<Server>) -> Result<Option<String>, String> {
        match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(|| self.follow_now(server)),
            _ => self.follow_now(server),
        }
    }

    fn follow_now(&self, server: &Arc<Server>) -> Result<Option<String>, String> {
        let identity = server.identity();
        let before = {
            let mut held = lock(&self.lock);
            if held.lock.pins(&server.name).is_none() {
                held.lock.set_identity(&server.name, "").map_err(|error| error.to_string())?;
                self.complain_if_gone(&mut held);
            }
            // What was approved of nothing may have been a mistake in the command, which never started.
            let approved = held.lock.pins(&server.name).filter(|pins| is_anything_approved(pins));
            approved.map(|pins| pins.identity.clone()).unwrap_or_default()
        };
        server.identified.store(before == identity, Ordering::Relaxed);
        lock(&self.servers).push(Arc::downgrade(server));
        self.publish();
        Ok((!before.is_empty() && before != identity).then_some(before))
    }

    /// Has the file read again soon, in case `bartizan lock update` or another gateway has changed it.
    pub fn refresh(&self) {
        let approvals = self.clone();
        tokio::task::spawn_blocking(move || approvals.refresh_now());
    }

    /// Why the lock file cannot be read, if so. What was read of it before is in force then.
    pub(crate) async fn trouble(&self) -> Option<String> {
        let approvals = self.clone();
        let look = move || {
            approvals.refresh_now();
            lock(&approvals.lock).unreadable.as_ref().map(|unreadable| unreadable.why.clone())
        };
        tokio::task::spawn_blocking(look).await.ok().flatten()
    }

    fn refresh_now(&self) {
        let changed = {
            let mut held = match self.lock.try_lock() {
                Ok(held) => held,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                // Whoever writes reads it as well; what changes after that is seen the next time.
                Err(TryLockError::WouldBlock) => return,
            };
            let stamp = stamp(held.lock.path());
            if held.stamp == stamp {
                // It is what was read, maybe again.
                held.unreadable = None;
                return;
            }
            let changed = held.lock.refresh();
            self.complain_if_gone(&mut held);
            match &changed {
                Ok(changed) => {
                    (held.stamp, held.unreadable) = (stamp, None);
                    // Of a server that was forgotten nothing is noted any more.
                    if *changed {
                        held.noted.clear();
                    }
                }
                // What was read before stays in force; nothing new is approved by a file that cannot be read.
                Err(error) => {
                    if held.unreadable.as_ref().is_none_or(|before| before.stamp != stamp) {
                        tracing::error!(%error, "the lock file cannot be read");
                    }
                    held.unreadable = Some(Unreadable { stamp, why: error.to_string() });
                }
            }
            changed
        };
        if changed.is_ok_and(|changed| changed) {
            self.publish();
        }
    }

    /// Stores what a message taught about a server's definitions.
    pub(crate) async fn keep(&self, server: &Server, by: Abilities, facts: &[Fact]) -> Result<Kept, String> {
        let work = Work::of(facts, by);
        let pins = server.profile.load().pins.clone();
        let waits = self.waiting.load().contains(&*server.name);
        let matching = if waits { matching(facts, &pins) } else { Vec::new() };
        let is_identified = server.identified.load(Ordering::Relaxed) || pins.iter().next().is_none();
        if work.is_empty() && matching.is_empty() && is_identified {
            return Ok(Kept::Done);
        }
        let identity = server.identity();
        let (approvals, name) = (self.clone(), server.name.to_string());
        let first_seen = work.first_seen.clone();
        let write = move || {
            let written = {
                let mut held = lock(&approvals.lock);
                let written = work.write(&mut held, &name, &matching);
                let identified = written.is_ok() && identify(&mut held.lock, &name, &identity);
                approvals.complain_if_gone(&mut held);
                written.map(|()| identified)
            };
            approvals.publish();
            written
        };
        let identified = tokio::task::spawn_blocking(write).await.map_err(|error| error.to_string())??;
        server.identified.store(identified, Ordering::Relaxed);
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
        let waiting = held.lock.servers().filter(|server| held.lock.has_pending(server));
        self.waiting.store(Arc::new(waiting.map(str::to_owned).collect()));
        let all: Vec<_> = servers.iter().map(|server| Arc::new(pins_of(held.lock.pins(&server.name)))).collect();
        // One list for all: a server that has many tools would otherwise take their place once for every other server.
        let tools = servers.iter().zip(&all).flat_map(|(server, pins)| {
            let tools = pins.iter().filter(|(kind, ..)| *kind == DefinitionKind::Tool);
            tools.map(|(_, tool, _)| (Box::from(tool), Arc::clone(&server.name)))
        });
        let mut everywhere: Vec<_> = tools.collect();
        everywhere.sort();
        everywhere.dedup();
        let everywhere: Arc<[_]> = everywhere.into();
        for (server, pins) in servers.iter().zip(all) {
            let (name, elsewhere) = (Arc::clone(&server.name), Arc::clone(&everywhere));
            let whole = ServerProfile { name, pins, elsewhere };
            server.profiles.store(Arc::new(by_abilities(&whole, held.lock.pins(&server.name))));
            server.profile.store(Arc::new(whole));
        }
    }
}

fn is_anything_approved(pins: &ServerPins) -> bool {
    !pins.definitions.is_empty() || !pins.complete.is_empty()
}

/// Keeps what a server is of which something is approved; whether that is what is kept. It approves nothing, so that it
/// cannot be written withholds nothing.
fn identify(lock: &mut Lock, server: &str, identity: &str) -> bool {
    let Some(pins) = lock.pins(server).filter(|pins| is_anything_approved(pins)) else { return false };
    if pins.identity == identity {
        return true;
    }
    let kept = lock.set_identity(server, identity);
    if let Err(error) = &kept {
        tracing::error!(%server, %error, "what the server is cannot be kept in the lock file");
    }
    kept.is_ok()
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
                Fact::Withheld(pin, _) | Fact::Relabelled(pin) => work.withheld.push(definition(pin)),
                Fact::Gone(kind, name) => work.gone.push((kind.as_str(), name.to_string())),
                Fact::SeenInFull(kind) => work.complete.push(by.seen(kind.as_str())),
            }
        }
        work
    }

    fn is_empty(&self) -> bool {
        self.first_seen.is_empty() && self.withheld.is_empty() && self.gone.is_empty() && self.complete.is_empty()
    }

    fn write(&self, held: &mut Held, server: &str, matching: &[(String, String)]) -> Result<(), String> {
        self.approve(&mut held.lock, server).map_err(|error| format!("the lock file cannot be written: {error}"))?;
        if let Err(error) = self.note(held, server, matching) {
            tracing::error!(%server, %error, "what waits for a decision cannot be noted in the lock file");
        }
        Ok(())
    }

    /// What has to be on disk before the message passes: without it, the next start would take for first seen what
    /// was seen now.
    fn approve(&self, lock: &mut Lock, server: &str) -> Result<(), LockError> {
        // Meanwhile another client may have seen all of a kind; then it is not the first sight of what is new.
        let seen = complete_for(lock.pins(server), self.by);
        let first = |definition: &&Definition| !seen.iter().any(|kind| kind.as_str() == definition.kind);
        let first_seen: Vec<_> = self.first_seen.iter().filter(first).cloned().collect();
        if !first_seen.is_empty() {
            lock.record_first_seen(server, &first_seen, SystemTime::now())?;
        }
        self.complete.iter().try_for_each(|kind| lock.set_complete(server, kind))
    }

    /// What people are to decide about. It approves nothing, so that it cannot be written must not withhold what is
    /// approved; the next listing tries again.
    fn note(&self, held: &mut Held, server: &str, matching: &[(String, String)]) -> Result<(), LockError> {
        let key = |kind: &str, name: &str, digest: &str| {
            (server.to_owned(), kind.to_owned(), name.to_owned(), digest.to_owned())
        };
        let key_of = |definition: &Definition| key(&definition.kind, &definition.name, &definition.sha256);
        let Held { lock, noted, .. } = held;
        if noted.len() > NOTED {
            noted.clear();
        }
        let withheld: Vec<_> =
            self.withheld.iter().filter(|definition| !noted.contains(&key_of(definition))).cloned().collect();
        if !withheld.is_empty() {
            lock.note_pending(server, &withheld)?;
            noted.extend(withheld.iter().map(key_of));
        }
        let gone = self.gone.iter().filter(|(kind, name)| !noted.contains(&key(kind, name, "")));
        let gone: Vec<_> = gone.map(|(kind, name)| (*kind, &**name)).collect();
        if !gone.is_empty() {
            lock.note_gone(server, &gone)?;
            noted.extend(gone.iter().map(|(kind, name)| key(kind, name, "")));
        }
        if !matching.is_empty() {
            let names: Vec<_> = matching.iter().map(|(kind, name)| (&**kind, &**name)).collect();
            lock.withdraw(server, &names)?;
            // What is withdrawn may come again, and is news then.
            noted.retain(|(of, kind, name, _)| {
                of != server || !matching.iter().any(|(listed, called)| listed == kind && called == name)
            });
        }
        Ok(())
    }
}

/// Listed definitions that are what was approved, so that nothing older waits under their names.
fn matching(facts: &[Fact], pins: &Pins) -> Vec<(String, String)> {
    let listed = facts.iter().flat_map(|fact| match fact {
        Fact::Listed(definitions) => definitions.as_slice(),
        _ => &[],
    });
    listed
        .filter(|listed| pins.agrees(listed))
        .map(|listed| (listed.kind.as_str().to_owned(), listed.name.to_string()))
        .collect()
}

fn definition(pin: &Pin) -> Definition {
    Definition {
        kind: pin.kind.as_str().to_owned(),
        name: pin.name.to_string(),
        sha256: pin.digest.to_hex(),
        body: pin.body.map(|body| body.to_hex()),
        labels: pin.labels.and_then(|labels| Labels::of(labels.guessed.words()).ok()),
        json: pin.json.to_string(),
    }
}

/// What is approved of a server, as guards read it.
#[must_use]
pub fn pins_of(held: Option<&ServerPins>) -> Pins {
    let mut pins = Pins::default();
    let Some(held) = held else { return pins };
    for ((kind, name), approved) in &held.definitions {
        // What the lock file holds of a kind we do not know concerns a later version.
        let Some(kind) = DefinitionKind::from_name(kind) else { continue };
        let Some(digest) = Digest::from_hex(&approved.sha256) else { continue };
        let body = approved.body.as_deref().and_then(Digest::from_hex);
        let labels = labels_of(approved).filter(|_| kind == DefinitionKind::Tool);
        pins.insert(Pin { kind, name: name.as_str().into(), digest, body, labels, json: "".into() });
    }
    for (kind, _) in held.complete.iter().filter_map(|seen| Abilities::read(seen)) {
        pins.set_complete(kind);
    }
    pins
}

/// What a tool was approved to do with information.
fn labels_of(approved: &Approved) -> Option<Labelled> {
    let nature = |labels: Labels| Nature::of_words(labels.words());
    Some(Labelled { nature: nature(approved.labels?)?, guessed: nature(approved.taken_for()?)? })
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
fn stamp(path: &Path) -> Option<Stamp> {
    let about = std::fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use bartizan_config::{Config, Environment};
    use bartizan_guard::{Definition as Listed, Timestamp};

    use super::*;
    use crate::setup;

    /// A lock file, and one server that follows it.
    fn followed(directory: &Path) -> (Approvals, Arc<Server>) {
        followed_at(directory, 1)
    }

    /// The same, of a server at that port.
    fn followed_at(directory: &Path, port: u16) -> (Approvals, Arc<Server>) {
        let text = format!(
            "[lock]\npath = \"{0}/mcp.lock\"\n[audit]\ndirectory = \"{0}/audit\"\n[server.s]\nurl = \"http://127.0.0.1:{port}/\"\n",
            directory.display()
        );
        let environment = Environment { variables: [].into(), directory: directory.to_owned(), now: Timestamp(0) };
        let (config, _) = Config::parse(&text, "test.toml", &environment).unwrap();
        let gateway = setup::gateway(&config).unwrap();
        let servers = setup::servers(&config, &gateway, directory).unwrap();
        // Whoever asks is told of what would be recorded.
        let approvals = Approvals { alarm: Arc::default(), ..gateway.approvals.clone() };
        (approvals, servers.into_values().next().unwrap())
    }

    fn pin(name: &str, digest: u8) -> Pin {
        let digest = Digest([digest; 32]);
        Pin { kind: DefinitionKind::Tool, name: name.into(), digest, body: None, labels: None, json: "{}".into() }
    }

    #[test]
    fn a_list_of_what_is_approved_waits_for_nobody_who_writes() {
        let directory = tempfile::tempdir().unwrap();
        let (approvals, server) = followed(directory.path());
        let (done, finished) = mpsc::channel();
        let writing = lock(&approvals.lock);
        let other = approvals.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            done.send(runtime.block_on(other.keep(&server, Abilities::default(), &[Fact::Listed(Vec::new())])))
        });
        let kept = finished.recv_timeout(Duration::from_secs(60)).expect("it waits for the one who writes");
        assert_eq!(kept, Ok(Kept::Done));
        drop(writing);
    }

    #[tokio::test]
    async fn what_is_listed_as_approved_again_waits_no_longer() {
        let directory = tempfile::tempdir().unwrap();
        let (approvals, server) = followed(directory.path());
        let waits = || lock(&approvals.lock).lock.has_pending("s");
        let first = [Fact::FirstSeen(pin("a", 1)), Fact::SeenInFull(DefinitionKind::Tool)];
        assert_eq!(approvals.keep(&server, Abilities::default(), &first).await, Ok(Kept::Done));
        assert_eq!(
            approvals
                .keep(&server, Abilities::default(), &[Fact::Withheld(pin("a", 2), bartizan_guard::Fate::Stopped)])
                .await,
            Ok(Kept::Done)
        );
        assert!(waits());
        let text = r#"{"jsonrpc":"2.0","id":1,"result":{"name":"a"}}"#;
        let message = bartizan_mcp::Message::parse(text, &bartizan_mcp::Limits::default()).unwrap();
        let mut listed = Listed::read(DefinitionKind::Tool, message.result().unwrap()).unwrap();
        listed.digest = Digest([1; 32]);
        approvals.keep(&server, Abilities::default(), &[Fact::Listed(vec![Arc::new(listed)])]).await.unwrap();
        assert!(!waits());
    }

    /// A tool that is taken to do this with information, and had been taken for the same.
    fn does(name: &str, digest: u8, words: &[&'static str]) -> Pin {
        let nature = Nature::of_words(words.iter().copied()).unwrap();
        Pin { labels: Some(nature.into()), ..pin(name, digest) }
    }

    #[tokio::test]
    async fn what_a_tool_is_taken_to_do_is_kept_and_what_was_approved_counts() {
        let directory = tempfile::tempdir().unwrap();
        let (approvals, server) = followed(directory.path());
        let keep = async |fact: Fact| {
            assert_eq!(approvals.keep(&server, Abilities::default(), &[fact]).await, Ok(Kept::Done));
        };
        let counts = || {
            let labels = server.profile.load().pins.labels("a").unwrap().1;
            labels.nature.words().collect::<Vec<_>>().join(" ")
        };
        let waits = || lock(&approvals.lock).lock.has_pending("s");
        keep(Fact::FirstSeen(does("a", 1, &["private_data", "reads"]))).await;
        assert_eq!((counts(), waits()), ("private_data reads".to_owned(), false));
        keep(Fact::Relabelled(does("a", 1, &["reads"]))).await;
        assert_eq!((counts(), waits()), ("private_data reads".to_owned(), true));

        let mut other = Lock::open(directory.path().join("mcp.lock")).unwrap();
        let seen = other.diff().unwrap();
        other.accept(&seen, SystemTime::now()).unwrap();
        approvals.refresh_now();
        assert_eq!((counts(), waits()), ("reads".to_owned(), false));
    }

    #[test]
    fn the_lock_file_has_the_words_of_guards_and_no_others() {
        let words = Labels::WORDS.map(|(_, word)| word);
        let nature = Nature::of_words(words.into_iter()).unwrap();
        assert_eq!(nature.words().collect::<Vec<_>>(), words);
        assert!(
            words.into_iter().all(|word| Labels::of(Nature::of_words([word].into_iter()).unwrap().words()).is_ok())
        );
    }

    #[tokio::test]
    async fn that_the_file_cannot_be_read_is_known_until_it_can() {
        let directory = tempfile::tempdir().unwrap();
        let (approvals, _server) = followed(directory.path());
        assert_eq!(approvals.trouble().await, None);
        let place = directory.path().join("mcp.lock");
        let (good, other) = (std::fs::read_to_string(&place).unwrap(), directory.path().join("other"));
        std::fs::rename(&place, &other).unwrap();
        for bad in ["<<<<<<< ours\n", "<<<<<<< theirs\n"] {
            std::fs::write(&place, format!("{bad}{good}")).unwrap();
            for _ in 0..2 {
                assert!(approvals.trouble().await.is_some_and(|why| why.contains("mcp.lock:1:")));
            }
        }
        // The very file that was read before, and one that is written anew.
        std::fs::rename(&other, &place).unwrap();
        assert_eq!(approvals.trouble().await, None);
        std::fs::write(&place, format!("{good}\n")).unwrap();
        assert_eq!(approvals.trouble().await, None);
    }

    #[test]
    fn what_could_not_be_read_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let (approvals, server) = followed(directory.path());
        let digest = || server.profile.load().pins.get(DefinitionKind::Tool, "a").map(|digest| digest.0);
        lock(&approvals.lock).lock.note_pending("s", &[definition(&pin("a", 1))]).unwrap();
        approvals.refresh_now();
        // Somebody accepts what waits, and at that moment the files cannot be read.
        let mut other = Lock::open(directory.path().join("mcp.lock")).unwrap();
        let seen = other.diff().unwrap();
        other.accept(&seen, SystemTime::now()).unwrap();
        let pending = directory.path().join("mcp.lock.d/pending.json");
        let text = std::fs::read(&pending).unwrap();
        std::fs::write(&pending, "[").unwrap();
        approvals.refresh_now();
        assert_eq!(digest(), None);
        std::fs::write(&pending, text).unwrap();
        approvals.refresh_now();
        assert_eq!(digest(), Some([1; 32]));
    }

    #[tokio::test]
    async fn a_server_that_somebody_forgets_is_new_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let (approvals, server) = followed(directory.path());
        let first = |digest| [Fact::FirstSeen(pin("a", digest)), Fact::SeenInFull(DefinitionKind::Tool)];
        let withheld = [Fact::Withheld(pin("a", 3), bartizan_guard::Fate::Stopped)];
        let keep = async |facts: &[Fact]| approvals.keep(&server, Abilities::default(), facts).await;
        assert_eq!(keep(&first(1)).await, Ok(Kept::Done));
        assert_eq!(keep(&withheld).await, Ok(Kept::Done));
        Lock::open(directory.path().join("mcp.lock")).unwrap().forget("s").unwrap();
        approvals.refresh_now();
        assert_eq!(server.profile.load().pins.get(DefinitionKind::Tool, "a"), None);
        assert_eq!(keep(&first(2)).await, Ok(Kept::Done));
        assert_eq!(server.profile.load().pins.get(DefinitionKind::Tool, "a"), Some(Digest([2; 32])));
        // What waited before waits again when it comes again.
        assert_eq!(keep(&withheld).await, Ok(Kept::Done));
        assert!(lock(&approvals.lock).lock.has_pending("s"));
    }

    #[tokio::test]
    async fn a_lock_file_that_is_removed_has_nothing_approved_anew() {
        for by_listing in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let (approvals, server) = followed(directory.path());
            let told = Arc::new(Mutex::new(0));
            let telling = Arc::clone(&told);
            approvals.on_gone(move |_| *lock(&telling) += 1);
            let keep = async |facts: &[Fact]| approvals.keep(&server, Abilities::default(), facts).await;
            let digest = |name: &str| server.profile.load().pins.get(DefinitionKind::Tool, name).map(|digest| digest.0);
            let first = [Fact::FirstSeen(pin("a", 1)), Fact::SeenInFull(DefinitionKind::Tool)];
            assert_eq!(keep(&first).await, Ok(Kept::Done));
            approvals.refresh_now();
            assert_eq!(*lock(&told), 0);
            let file = directory.path().join("mcp.lock");
            std::fs::remove_file(&file).unwrap();
            if by_listing {
                let listed = [Fact::FirstSeen(pin("a", 2)), Fact::FirstSeen(pin("b", 1))];
                assert_eq!(keep(&listed).await, Ok(Kept::JudgeAgain));
            }
            approvals.refresh_now();
            approvals.refresh_now();
            assert_eq!((digest("a"), digest("b"), *lock(&told)), (Some([1; 32]), None, 1));
            assert_eq!(Lock::open(&file).unwrap().pins("s").unwrap().definitions.len(), 1);
        }
    }

    #[tokio::test]
    async fn a_server_is_known_from_what_it_listed_and_not_from_a_mistake_in_its_command() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path();
        let held = || Lock::open(directory.join("mcp.lock")).unwrap().pins("s").unwrap().identity.clone();
        let first = [Fact::FirstSeen(pin("a", 1)), Fact::SeenInFull(DefinitionKind::Tool)];
        // One that never lists anything, and then another in its place.
        let (approvals, mistaken) = followed_at(directory, 1);
        assert_eq!((approvals.follow(&mistaken), held()), (Ok(None), String::new()));
        let (approvals, right) = followed_at(directory, 2);
        assert_eq!(approvals.follow(&right), Ok(None));
        approvals.keep(&right, Abilities::default(), &first).await.unwrap();
        assert_eq!(held(), right.identity());
        // Now something is approved, and a mistake still changes nothing about the one that it is approved of.
        let (approvals, mistaken) = followed_at(directory, 1);
        assert_eq!((approvals.follow(&mistaken), held()), (Ok(Some(right.identity())), right.identity()));
        let (approvals, right) = followed_at(directory, 2);
        assert_eq!(approvals.follow(&right), Ok(None));
        // Another one that lists is known from then on.
        let (approvals, other) = followed_at(directory, 3);
        assert_eq!(approvals.follow(&other), Ok(Some(right.identity())));
        approvals.keep(&other, Abilities::default(), &[Fact::Listed(Vec::new())]).await.unwrap();
        assert_eq!((held(), approvals.follow(&other)), (other.identity(), Ok(None)));
        assert_eq!(approvals.follow(&right), Ok(Some(other.identity())));
    }

    #[tokio::test]
    async fn what_could_not_be_noted_is_noted_the_next_time() {
        let directory = tempfile::tempdir().unwrap();
        let (approvals, server) = followed(directory.path());
        let pending = directory.path().join("mcp.lock.d/pending.json");
        std::fs::create_dir(&pending).unwrap();
        let withheld = [Fact::Withheld(pin("a", 1), bartizan_guard::Fate::Stopped)];
        assert_eq!(
            approvals.keep(&server, Abilities::default(), &withheld).await,
            Ok(Kept::Done),
            "withheld it is in any case"
        );
        std::fs::remove_dir(&pending).unwrap();
        approvals.keep(&server, Abilities::default(), &withheld).await.unwrap();
        assert!(lock(&approvals.lock).lock.has_pending("s"));
    }
}
