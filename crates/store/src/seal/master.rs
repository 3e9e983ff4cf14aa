//! Where the master key comes from.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bartizan_keyring::{Kind, Name};
use bartizan_seal::{KeyFile, KeyId, Named};
use zeroize::Zeroizing;

use super::SealError;
use super::owner::{Owner, Whose};
use crate::{Result, StoreError};

/// How master keys are kept.
pub(super) const KEYS: KeyFile = KeyFile { mark: "bartizan-master-key-1:", kind: "master key" };

/// A master key as it is.
pub(super) type Master = Named;

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
        self.keys.iter().find(|master| master.key.id() == id).ok_or_else(|| {
            let found: Vec<_> = self.keys.iter().map(|master| master.key.id().to_string()).collect();
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
                let key = KEYS.given(text, &place)?;
                Ok(Some(Found { place, keys: vec![key], owner: Owner::Place }))
            }
            MasterKey::Keyring(name) => {
                let Some(text) = in_keyring(name, |name| bartizan_keyring::read(Kind::MasterKey, name))? else {
                    return Ok(None);
                };
                let (owner, lines) = Owner::read(&text);
                let keys = KEYS.parse(lines, &place)?;
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
            MasterKey::Beside => Ok(KEYS.write(&beside(whose.path), keys.iter().copied())?),
            MasterKey::Given(_) => Ok(()),
            MasterKey::Keyring(name) => {
                let mut text = Zeroizing::new(String::with_capacity(4096));
                text.push_str(&whose.line());
                text.push('\n');
                keys.iter().for_each(|master| text.push_str(&KEYS.line(master)));
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
    Ok(KEYS.read(path)?)
}
