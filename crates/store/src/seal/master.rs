//! Where the master key comes from.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::SealError;
use super::envelope::{Key, KeyId};
use crate::{Result, StoreError};

/// How a line of the file begins.
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
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            MasterKey::Beside => "Beside",
            MasterKey::Given(_) => "Given",
        })
    }
}

impl MasterKey {
    /// What is given, else the file beside.
    #[must_use]
    pub fn given(key: Option<&str>) -> MasterKey {
        key.map_or(MasterKey::Beside, |key| MasterKey::Given(Zeroizing::new(key.to_owned())))
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
pub(super) fn random() -> Result<Zeroizing<[u8; 32]>, SealError> {
    let mut bytes = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice()).map_err(|_| SealError::Failed)?;
    Ok(bytes)
}

/// The master keys that are to be had for a database: more than one only if a change of it was broken off.
pub(super) struct Found {
    pub(super) place: String,
    pub(super) keys: Vec<Master>,
}

impl Found {
    /// The one that is called so.
    pub(super) fn find(&self, id: KeyId) -> Result<&Master, SealError> {
        self.keys.iter().find(|master| master.key.id == id).ok_or_else(|| {
            let found: Vec<_> = self.keys.iter().map(|master| master.key.id.to_string()).collect();
            SealError::Wrong { place: self.place.clone(), found: found.join(" and "), wanted: id.to_string() }
        })
    }
}

impl MasterKey {
    /// The keys that are there for the database at `database`; none if there is a place for one and it is empty.
    pub(super) fn find(&self, database: &Path) -> Result<Option<Found>> {
        match self {
            MasterKey::Beside => {
                let path = beside(database);
                let place = path.display().to_string();
                Ok(read(&path)?.map(|keys| Found { place, keys }))
            }
            MasterKey::Given(text) => {
                let place = "the master key that is set".to_owned();
                let unfit = |why: &str| SealError::Unfit { place: place.clone(), why: why.to_owned() };
                let bytes = unhex(text.trim()).ok_or_else(|| unfit("it has to be 64 hexadecimal digits"))?;
                Ok(Some(Found { place: place.clone(), keys: vec![Master::new(bytes)?] }))
            }
        }
    }

    /// What the keys of a database that has sealed content are missing from.
    pub(super) fn missing(&self, database: &Path) -> SealError {
        SealError::Missing(beside(database))
    }

    /// Has the file hold these keys and no others. It is there whole or as it was, whenever the process or the machine ends.
    pub(super) fn put(&self, database: &Path, keys: &[&Master]) -> Result<()> {
        match self {
            MasterKey::Beside => write(&beside(database), keys),
            MasterKey::Given(_) => Ok(()),
        }
    }
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
    let keys = text.lines().enumerate().map(|(number, line)| {
        let bytes = line.strip_prefix(MARK).and_then(unhex);
        let bytes =
            bytes.ok_or_else(|| unfit(format!("line {} holds no master key; put back a whole file", number + 1)))?;
        Ok(Master::new(bytes)?)
    });
    let keys = keys.collect::<Result<Vec<_>>>()?;
    if keys.is_empty() {
        return Err(unfit("the file is empty; put back the one that was there".to_owned()).into());
    }
    Ok(Some(keys))
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
