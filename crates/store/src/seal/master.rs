//! Where the master key comes from.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bartizan_keyring::{Kind, Name};
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::SealError;
use super::envelope::{Key, KeyId};
use super::owner::{Owner, Whose};
use crate::{Result, StoreError};

/// How a line with a key begins.
const MARK: &str = "bartizan-master-key-1:";
/// Larger files hold something else.
const MAX_BYTES: u64 = 4096;

/// Where the master key of a store comes from.
#[derive(Clone, Default)]
pub enum MasterKey {
    /// A file beside the database, `state.key` for `state.db`, made when it is first needed.
    #[default]
    Beside,
    /// Whoever opens the store has it: 64 hexadecimal digits.
    Given(Zeroizing<String>),
    /// The keyring of the user has it under this name; it is made there when it is first needed.
    Keyring(Name),
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            MasterKey::Beside => "Beside",
            MasterKey::Given(_) => "Given",
            MasterKey::Keyring(_) => "Keyring",
        })
    }
}

impl MasterKey {
    /// What is given, else what the keyring has under that name, else the file beside.
    #[must_use]
    pub fn of(given: Option<&str>, keyring: Option<&Name>) -> MasterKey {
        match (given, keyring) {
            (Some(key), _) => MasterKey::Given(Zeroizing::new(key.to_owned())),
            (None, Some(name)) => MasterKey::Keyring(name.clone()),
            (None, None) => MasterKey::Beside,
        }
    }
}

/// A master key as it is.
pub(super) struct Master {
    pub(super) key: Key,
    bytes: Zeroizing<[u8; 32]>,
}

impl Master {
    pub(super) fn new(bytes: Zeroizing<[u8; 32]>) -> Result<Master, SealError> {
        Ok(Master { key: Key::new(KeyId::of(&bytes), &bytes)?, bytes })
    }

    pub(super) fn generate() -> Result<Master, SealError> {
        Master::new(random()?)
    }

    /// The line that says which it is.
    fn line(&self) -> Zeroizing<String> {
        let mut line = Zeroizing::new(String::with_capacity(MARK.len() + 65));
        line.push_str(MARK);
        line.push_str(&hex(&self.bytes));
        line.push('\n');
        line
    }
}

/// 32 bytes that nobody knows.
pub(crate) fn random() -> Result<Zeroizing<[u8; 32]>, SealError> {
    let mut bytes = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice()).map_err(|_| SealError::Failed)?;
    Ok(bytes)
}

/// The master keys that are to be had for a database: more than one only if a change of it was broken off.
pub(super) struct Found {
    pub(super) place: String,
    pub(super) keys: Vec<Master>,
    /// The store that they are of, where their place could be that of any.
    owner: Owner,
}

impl Found {
    /// One that was made just now.
    pub(super) fn made(key: Master) -> Found {
        Found { place: String::new(), keys: vec![key], owner: Owner::Place }
    }

    /// The one that is called so.
    pub(super) fn find(&self, id: KeyId) -> Result<&Master, SealError> {
        self.keys.iter().find(|master| master.key.id == id).ok_or_else(|| {
            let found: Vec<_> = self.keys.iter().map(|master| master.key.id.to_string()).collect();
            SealError::Wrong { place: self.place.clone(), found: found.join(" and "), wanted: id.to_string() }
        })
    }

    /// Refuses what is not of this store; otherwise says whether its place is to say anew that it is. `opens` is whether one
    /// of the keys opens what is sealed in it.
    pub(super) fn check_owner(&self, whose: Whose<'_>, opens: bool) -> Result<bool, SealError> {
        self.owner.check(whose, opens, &self.place)
    }

    /// The store that they are of, as far as that is said; none at all where their place is that of one store.
    pub(super) fn said_owner(&self) -> Option<Option<String>> {
        (self.owner != Owner::Place).then(|| self.owner.store())
    }

    /// Has their place, which is where they were found, say that they are of this store.
    pub(super) fn own(&self, place: &MasterKey, whose: Whose<'_>) -> Result<()> {
        place.put(whose, &self.keys.iter().collect::<Vec<_>>())
    }
}

impl MasterKey {
    /// The keys that are there for this store; none if there is a place for one and it is empty.
    pub(super) fn find(&self, whose: Whose<'_>) -> Result<Option<Found>> {
        let database = whose.path;
        let place = self.place(database);
        match self {
            MasterKey::Beside => Ok(read(&beside(database))?.map(|keys| Found { place, keys, owner: Owner::Place })),
            MasterKey::Given(text) => {
                let unfit = |why: &str| SealError::Unfit { place: place.clone(), why: why.to_owned() };
                let bytes = unhex(text.trim()).ok_or_else(|| unfit("it has to be 64 hexadecimal digits"))?;
                Ok(Some(Found { place: place.clone(), keys: vec![Master::new(bytes)?], owner: Owner::Place }))
            }
            MasterKey::Keyring(name) => {
                let Some(text) = in_keyring(name, |name| bartizan_keyring::read(Kind::MasterKey, name))? else {
                    return Ok(None);
                };
                let (owner, lines) = Owner::read(&text);
                let keys = parse(lines, &place)?;
                Ok(Some(Found { place, keys, owner }))
            }
        }
    }

    /// What the keys of a database that has sealed content are missing from.
    pub(super) fn missing(&self, database: &Path) -> SealError {
        SealError::Missing(match self {
            // A key that is given is there.
            MasterKey::Beside | MasterKey::Given(_) => beside(database).display().to_string(),
            MasterKey::Keyring(_) => self.place(database),
        })
    }

    /// Where it is, for people.
    pub(super) fn place(&self, database: &Path) -> String {
        match self {
            MasterKey::Beside => beside(database).display().to_string(),
            MasterKey::Given(_) => "the master key that is set".to_owned(),
            MasterKey::Keyring(name) => format!("`{name}` in the keyring"),
        }
    }

    /// Whether it is to be had in the same place.
    pub(super) fn is_where(&self, other: &MasterKey) -> bool {
        match (self, other) {
            (MasterKey::Beside, MasterKey::Beside) => true,
            (MasterKey::Keyring(one), MasterKey::Keyring(other)) => one == other,
            _ => false,
        }
    }

    /// Has its place hold these keys and no others. It is there whole or as it was, whenever the process or the machine ends.
    pub(super) fn put(&self, whose: Whose<'_>, keys: &[&Master]) -> Result<()> {
        match self {
            MasterKey::Beside => write(&beside(whose.path), keys),
            MasterKey::Given(_) => Ok(()),
            MasterKey::Keyring(name) => {
                let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES as usize));
                text.push_str(&whose.line());
                text.push('\n');
                keys.iter().for_each(|master| text.push_str(&master.line()));
                in_keyring(name, |name| bartizan_keyring::write(Kind::MasterKey, name, &text))
            }
        }
    }

    /// Has its place hold no key any more.
    pub(super) fn clear(&self, database: &Path) -> Result<()> {
        match self {
            MasterKey::Beside => {
                let path = beside(database);
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::file(path)(error)),
                    _ => Ok(()),
                }
            }
            MasterKey::Given(_) => Ok(()),
            MasterKey::Keyring(name) => {
                in_keyring(name, |name| bartizan_keyring::remove(Kind::MasterKey, name).map(drop))
            }
        }
    }
}

/// Uses the keyring, under that name.
fn in_keyring<T>(name: &Name, work: impl FnOnce(&Name) -> bartizan_keyring::Result<T>) -> Result<T> {
    Ok(work(name).map_err(|error| SealError::Keyring { name: name.to_string(), error })?)
}

/// The file of the master key for this database.
pub(super) fn beside(database: &Path) -> PathBuf {
    if database.extension().is_some_and(|end| end == "db") {
        return database.with_extension("key");
    }
    // So that no two databases have the same.
    let mut path = database.as_os_str().to_owned();
    path.push(".key");
    path.into()
}

fn read(path: &Path) -> Result<Option<Vec<Master>>> {
    let unfit = |why: String| SealError::Unfit { place: path.display().to_string(), why };
    let mut options = OpenOptions::new();
    // Neither a link, which somebody else may have made, nor a pipe that has no other end.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    options.read(true).custom_flags(i32::try_from(flags).unwrap_or_default());
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::file(path)(error)),
    };
    let meta = file.metadata().map_err(StoreError::file(path))?;
    if !meta.is_file() {
        return Err(unfit("the master key is a regular file".to_owned()).into());
    }
    if meta.mode() & 0o077 != 0 {
        return Err(StoreError::Exposed(path.to_owned()));
    }
    let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES as usize));
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(StoreError::file(path))?;
    Ok(Some(parse(text.lines(), &path.display().to_string())?))
}

/// The keys in these lines, one in each.
fn parse<'a>(lines: impl Iterator<Item = &'a str>, place: &str) -> Result<Vec<Master>, SealError> {
    let unfit = |why: String| SealError::Unfit { place: place.to_owned(), why };
    let keys = lines.enumerate().map(|(number, line)| {
        let bytes = line.strip_prefix(MARK).and_then(unhex);
        let bytes =
            bytes.ok_or_else(|| unfit(format!("line {} holds no master key; put back all of it", number + 1)))?;
        Master::new(bytes)
    });
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() { Err(unfit("it is empty; put back what was there".to_owned())) } else { Ok(keys) }
}

fn write(path: &Path, keys: &[&Master]) -> Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let written = (|| {
        // Whoever holds the lock of the store is alone here, so one that is there was left by a process that was killed.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        for master in keys {
            file.write_all(master.line().as_bytes())?;
        }
        file.sync_all()?;
        fs::rename(&new, path)?;
        // The name as well, before anything is sealed with what is behind it.
        File::open(directory)?.sync_all()
    })();
    written.map_err(|error| {
        fs::remove_file(&new).ok();
        StoreError::file(path)(error)
    })
}

fn hex(bytes: &[u8; 32]) -> Zeroizing<String> {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    let mut text = Zeroizing::new(String::with_capacity(64));
    bytes.iter().for_each(|byte| text.extend([digit(byte >> 4), digit(byte & 15)]));
    text
}

fn unhex(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0; 32]);
    if text.len() != 64 {
        return None;
    }
    for (to, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        let value = |digit: &u8| char::from(*digit).to_digit(16);
        *to = u8::try_from(value(high)? * 16 + value(low)?).ok()?;
    }
    Some(bytes)
}
