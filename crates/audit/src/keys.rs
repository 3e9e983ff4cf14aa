//! The keys that open a sealed log, and how what they open is kept.
//!
//! **Threat.** A disk is stolen, or a backup of the log is found: what it holds of people, tools and findings is for nobody but
//! whoever may read the log. So each file of the log has a key of its own, which is kept beside it only *wrapped*: sealed with
//! a key that is elsewhere. Whoever has both reads everything, and so does whoever is the user that runs the gateway.

use std::fmt;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_seal::{Key, KeyFile, KeyFileError, KeyId, Named, Unopened, id_of};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::files;

/// How the keys of logs are kept.
const KEYS: KeyFile = KeyFile::LOG;

/// How a file begins that holds something wrapped.
const MARK: &str = "bartizan-wrapped-1 ";
/// Longer files hold something else.
const LONGEST: usize = 1024;

/// The keys that open what is wrapped: the first wraps what is new, and all others open what they once wrapped. None of them
/// means that a log is not sealed.
#[derive(Clone, Default)]
pub struct Keys(Option<Arc<[Named]>>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all().iter().map(|key| key.key.id())).finish()
    }
}

impl Keys {
    /// No key: logs are plain.
    pub const NONE: Keys = Keys(None);

    /// The keys in a file of them, for the log in `dir`. The first one is made if there is no file, but not for a log that is sealed
    /// already: there it would look as if it were the right one.
    ///
    /// # Errors
    /// If it cannot be read or made, others may use it, or it holds something else.
    pub fn kept(path: &Path, dir: &Path) -> Result<Keys, KeyFileError> {
        match KEYS.read(path)? {
            Some(keys) => Ok(Keys::of(keys)),
            None if is_sealed(dir) => Ok(Keys::NONE),
            None => {
                let folder =
                    path.parent().map_or(Ok(()), |folder| DirBuilder::new().recursive(true).mode(0o700).create(folder));
                folder.map_err(|error| KeyFileError::Io { path: path.to_owned(), error })?;
                KEYS.read_or_make(path).map(Keys::of)
            }
        }
    }

    /// The keys in a file of them, if it is there.
    ///
    /// # Errors
    /// As for [`Keys::kept`].
    pub fn read(path: &Path) -> Result<Option<Keys>, KeyFileError> {
        Ok(KEYS.read(path)?.map(Keys::of))
    }

    /// The keys that somebody has, a line each: 64 hexadecimal digits, or a line of a file of keys. `place` says where they are from.
    ///
    /// # Errors
    /// If a line is neither, or there is none.
    pub fn given(text: &str, place: &str) -> Result<Keys, KeyFileError> {
        KEYS.given_lines(text, place).map(Keys::of)
    }

    /// Puts a new key before those in a file, and returns them all; nothing if there is no file, which would look as if it were the
    /// one that was lost.
    ///
    /// # Errors
    /// As for [`Keys::kept`]; then the file is what it was.
    pub fn renew(path: &Path) -> Result<Option<Keys>, KeyFileError> {
        let Some(mut keys) = KEYS.read(path)? else { return Ok(None) };
        keys.insert(0, KEYS.generate()?);
        KEYS.write(path, &keys)?;
        Ok(Some(Keys::of(keys)))
    }

    /// Moves all keys but the first from a file to another one beside it, which is then named: nobody knows of every log and copy that
    /// they open.
    ///
    /// # Errors
    /// As for [`Keys::kept`]; then all keys are still in one of the files.
    pub fn set_aside(path: &Path) -> Result<Option<PathBuf>, KeyFileError> {
        let keys = KEYS.read(path)?.unwrap_or_default();
        let Some((first, old)) = keys.split_first().filter(|(_, old)| !old.is_empty()) else { return Ok(None) };
        let mut aside = path.as_os_str().to_owned();
        aside.push(".old");
        let aside = PathBuf::from(aside);
        let before = KEYS.read(&aside)?.unwrap_or_default();
        KEYS.write(&aside, old.iter().chain(&before))?;
        KEYS.write(path, [first])?;
        Ok(Some(aside))
    }

    fn of(keys: Vec<Named>) -> Keys {
        Keys(Some(keys.into()))
    }

    fn all(&self) -> &[Named] {
        self.0.as_deref().unwrap_or_default()
    }

    /// What the keys are called, the one in use first.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.all().iter().map(|key| key.key.id().to_string())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.all().is_empty()
    }

    fn find(&self, id: KeyId) -> Option<&Key> {
        self.all().iter().map(|key| &key.key).find(|key| key.id() == id)
    }
}

/// Where a log is, and the keys that open it where it is sealed.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// Its directory.
    pub dir: &'a Path,
    /// What opens it.
    pub keys: &'a Keys,
}

/// Whether any file of the log in `dir` is sealed. What cannot be looked at is found out by whoever opens the log.
#[must_use]
pub fn is_sealed(dir: &Path) -> bool {
    files::names(dir).is_ok_and(|names| names.iter().any(|name| files::is_sealed(name)))
}

/// A log that is plain.
impl<'a> From<&'a Path> for At<'a> {
    fn from(dir: &'a Path) -> Self {
        At { dir, keys: &Keys::NONE }
    }
}

/// A log that is plain.
impl<'a> From<&'a PathBuf> for At<'a> {
    fn from(dir: &'a PathBuf) -> Self {
        At::from(dir.as_path())
    }
}

impl<'a> From<(&'a Path, &'a Keys)> for At<'a> {
    fn from((dir, keys): (&'a Path, &'a Keys)) -> Self {
        At { dir, keys }
    }
}

/// Why something that is wrapped does not open.
#[derive(Debug, thiserror::Error)]
pub enum Closed {
    /// There is no key for it.
    #[error(
        "{place} is encrypted with the master key {wanted}, and {}; put that key back, or say where it is (`key` under [audit], or --master-key)",
        said(found)
    )]
    Key {
        /// What does not open.
        place: String,
        /// The key that opens it.
        wanted: String,
        /// Those that are there.
        found: Vec<String>,
    },
    /// It is not what was written.
    #[error("{place}: {error}")]
    Changed {
        /// What does not open.
        place: String,
        /// Why.
        error: Unopened,
    },
    /// It cannot be read or written.
    #[error("{place}: {error}")]
    Io {
        /// What does not open.
        place: String,
        /// Why.
        error: io::Error,
    },
}

fn said(found: &[String]) -> String {
    match found {
        [] => "there is none here".to_owned(),
        found => format!("here is {}", found.join(" and ")),
    }
}

/// Keeps `plain` wrapped with the newest key, in a file of the log, on disk. `what` is what it is: it opens as nothing else.
pub(crate) fn wrap(path: &Path, keys: &Keys, what: &str, plain: &[u8]) -> Result<(), Closed> {
    let changed = |error| Closed::Changed { place: shown(path), error };
    let key = keys.all().first().ok_or_else(|| changed(Unopened::Failed))?;
    let sealed = key.key.seal(PURPOSE, what, plain).map_err(changed)?;
    let text = format!("{MARK}{}\n", STANDARD.encode(sealed));
    files::replace(path, text.as_bytes()).map_err(|error| Closed::Io { place: shown(path), error })
}

const PURPOSE: &str = "log";

/// What is kept wrapped in a file.
pub(crate) fn unwrap(path: &Path, keys: &Keys, what: &str) -> Result<Zeroizing<Vec<u8>>, Closed> {
    let text = files::read(path, LONGEST).map_err(|error| Closed::Io { place: shown(path), error })?;
    let sealed = sealed(&text).ok_or_else(|| Closed::Changed { place: shown(path), error: Unopened::Form })?;
    open(path, keys, what, &sealed)
}

/// What is sealed in the text of such a file, if it is one.
pub(crate) fn sealed(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_prefix(MARK.as_bytes())?.strip_suffix(b"\n")?;
    STANDARD.decode(text).ok()
}

/// What was sealed as that.
pub(crate) fn open(path: &Path, keys: &Keys, what: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Closed> {
    let changed = |error| Closed::Changed { place: shown(path), error };
    let id = id_of(sealed).map_err(changed)?;
    let key = keys.find(id).ok_or_else(|| Closed::Key {
        place: shown(path),
        wanted: id.to_string(),
        found: keys.names().collect(),
    })?;
    key.unseal(PURPOSE, what, sealed).map_err(changed)
}

/// Whether what is wrapped in a file is so with the newest key.
pub(crate) fn is_newest(path: &Path, keys: &Keys) -> bool {
    let id = files::read(path, LONGEST).ok().and_then(|text| id_of(&sealed(&text)?).ok());
    id.is_some() && id == keys.all().first().map(|key| key.key.id())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
