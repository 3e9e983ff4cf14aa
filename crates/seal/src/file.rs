//! Files with keys in them, a line each, and keys as such lines.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{Key, KeyId, Unopened};

/// Larger files hold something else.
const MAX_BYTES: u64 = 16 << 10;

/// A key with its bytes, so that it can be kept.
pub struct Named {
    /// What it seals with.
    pub key: Key,
    bytes: Zeroizing<[u8; 32]>,
}

/// What the lines of a kind of keys are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFile {
    /// How a line with a key begins.
    pub mark: &'static str,
    /// What the names of such keys are made with, and what one is called in messages: `master key`.
    pub kind: &'static str,
}

/// Why keys cannot be read or kept.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// The file cannot be made, opened or read.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others than its owner can read or replace it.
    #[error("{}: others than its owner may use it; chmod go= {}", .0.display(), .0.display())]
    Exposed(PathBuf),
    /// It holds something else.
    #[error("{place}: {why}")]
    Unfit {
        /// Where it comes from.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// Cryptography itself failed.
    #[error("no key can be made: {0}")]
    Failed(#[from] Unopened),
}

impl KeyFile {
    /// Master keys of audit logs.
    pub const LOG: KeyFile = KeyFile { mark: "bartizan-log-key-1:", kind: "master key of the log" };

    /// A new key.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn generate(self) -> Result<Named, Unopened> {
        self.named(random()?)
    }

    /// The key that is given as 64 hexadecimal digits; `place` is where they come from.
    ///
    /// # Errors
    /// If they are none.
    pub fn given(self, text: &str, place: &str) -> Result<Named, KeyFileError> {
        let unfit =
            || KeyFileError::Unfit { place: place.to_owned(), why: "it has to be 64 hexadecimal digits".to_owned() };
        Ok(self.named(unhex(text.trim()).ok_or_else(unfit)?)?)
    }

    /// The keys that are given a line each: 64 hexadecimal digits, or a line of a file of keys.
    ///
    /// # Errors
    /// If a line is neither, or there is none.
    pub fn given_lines(self, text: &str, place: &str) -> Result<Vec<Named>, KeyFileError> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let given = lines.map(|line| self.given(line.strip_prefix(self.mark).unwrap_or(line), place));
        let keys = given.collect::<Result<Vec<_>, _>>()?;
        let none = || KeyFileError::Unfit { place: place.to_owned(), why: "it holds no key".to_owned() };
        if keys.is_empty() { Err(none()) } else { Ok(keys) }
    }

    fn named(self, bytes: Zeroizing<[u8; 32]>) -> Result<Named, Unopened> {
        Ok(Named { key: Key::new(KeyId::of(self.kind, &bytes), &bytes)?, bytes })
    }

    /// The line that says which key it is, with its end.
    #[must_use]
    pub fn line(self, key: &Named) -> Zeroizing<String> {
        let mut line = Zeroizing::new(String::with_capacity(self.mark.len() + 65));
        line.push_str(self.mark);
        line.push_str(&hex(&key.bytes));
        line.push('\n');
        line
    }

    /// The keys in these lines, one in each; `place` is where they come from.
    ///
    /// # Errors
    /// If a line holds none, or there is no line.
    pub fn parse<'a>(self, lines: impl Iterator<Item = &'a str>, place: &str) -> Result<Vec<Named>, KeyFileError> {
        let unfit = |why: String| KeyFileError::Unfit { place: place.to_owned(), why };
        let keys = lines.enumerate().map(|(number, line)| {
            let bytes = line.strip_prefix(self.mark).and_then(unhex);
            let none = || unfit(format!("line {} holds no {}; put back all of it", number + 1, self.kind));
            Ok(self.named(bytes.ok_or_else(none)?)?)
        });
        let keys = keys.collect::<Result<Vec<Named>, KeyFileError>>()?;
        if keys.is_empty() { Err(unfit("it is empty; put back what was there".to_owned())) } else { Ok(keys) }
    }

    /// The keys in a file, if it is there.
    ///
    /// # Errors
    /// If it cannot be read, others may use it, or it holds something else.
    pub fn read(self, path: &Path) -> Result<Option<Vec<Named>>, KeyFileError> {
        let unfit = |why: String| KeyFileError::Unfit { place: path.display().to_string(), why };
        let failed = |error| KeyFileError::Io { path: path.to_owned(), error };
        let mut options = OpenOptions::new();
        // Neither a link, which somebody else may have made, nor a pipe that has no other end.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        options.read(true).custom_flags(i32::try_from(flags).unwrap_or_default());
        let file = match options.open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let meta = file.metadata().map_err(failed)?;
        if !meta.is_file() {
            return Err(unfit(format!("the {} is a regular file", self.kind)));
        }
        if meta.mode() & 0o077 != 0 {
            return Err(KeyFileError::Exposed(path.to_owned()));
        }
        let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES as usize));
        file.take(MAX_BYTES).read_to_string(&mut text).map_err(failed)?;
        self.parse(text.lines(), &path.display().to_string()).map(Some)
    }

    /// The keys in a file; a first one is made if it is not there. Of several processes that do this at once one makes it, and all have
    /// the same.
    ///
    /// # Errors
    /// As for [`KeyFile::read`], and if the file cannot be made.
    pub fn read_or_make(self, path: &Path) -> Result<Vec<Named>, KeyFileError> {
        if let Some(keys) = self.read(path)? {
            return Ok(keys);
        }
        let failed = |error| KeyFileError::Io { path: path.to_owned(), error };
        // Others that do this have a name of their own.
        let number = random()?.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let mut own = path.as_os_str().to_owned();
        own.push(format!(".new.{number:016x}"));
        let own = PathBuf::from(own);
        let made = self.generate()?;
        let linked = self.put(&own, [&made]).and_then(|()| match fs::hard_link(&own, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
        fs::remove_file(&own).ok();
        linked.and_then(|()| sync_folder(path)).map_err(failed)?;
        self.read(path)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
    }

    /// Writes a new file of keys, and puts it on disk.
    fn put<'a>(self, path: &Path, keys: impl IntoIterator<Item = &'a Named>) -> io::Result<()> {
        // One that is there was left by a process that was killed.
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        for key in keys {
            file.write_all(self.line(key).as_bytes())?;
        }
        file.sync_all()
    }

    /// Has a file hold these keys and no others: all of them, or what was there before, whenever the process or the machine ends.
    /// Whoever calls this is alone in doing so.
    ///
    /// # Errors
    /// If that fails; then the file is what it was.
    pub fn write<'a>(self, path: &Path, keys: impl IntoIterator<Item = &'a Named>) -> Result<(), KeyFileError> {
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        let written = self.put(&new, keys).and_then(|()| fs::rename(&new, path)).and_then(|()| sync_folder(path));
        written.map_err(|error| {
            fs::remove_file(&new).ok();
            KeyFileError::Io { path: path.to_owned(), error }
        })
    }
}

/// Puts the name of a file on disk, before anything is sealed with what is in it.
fn sync_folder(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

/// 32 bytes that nobody knows.
///
/// # Errors
/// If there is no randomness.
pub fn random() -> Result<Zeroizing<[u8; 32]>, Unopened> {
    let mut bytes = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice()).map_err(|_| Unopened::Failed)?;
    Ok(bytes)
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const KEYS: KeyFile = KeyFile { mark: "test-key-1:", kind: "test key" };

    #[test]
    fn what_is_written_is_read_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        assert!(KEYS.read(&path).unwrap().is_none());
        let (first, second) = (KEYS.generate().unwrap(), KEYS.generate().unwrap());
        KEYS.write(&path, [&first, &second]).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let read = KEYS.read(&path).unwrap().unwrap();
        let ids: Vec<_> = read.iter().map(|key| key.key.id()).collect();
        assert_eq!(ids, [first.key.id(), second.key.id()]);
        let sealed = first.key.seal("purpose", "owner", b"content").unwrap();
        assert_eq!(read[0].key.unseal("purpose", "owner", &sealed).unwrap().as_slice(), b"content");
        assert_eq!(read[1].key.unseal("purpose", "owner", &sealed), Err(Unopened::Form));
        assert_eq!(read[0].key.unseal("purpose", "other", &sealed), Err(Unopened::Broken));
    }

    #[test]
    fn of_several_that_make_it_all_have_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let ids: Vec<_> = std::thread::scope(|scope| {
            let make = || KEYS.read_or_make(&path).unwrap().iter().map(|key| key.key.id()).collect::<Vec<_>>();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|found| found.len() == 1 && *found == ids[0]), "{ids:?}");
    }

    #[test]
    fn what_is_no_file_of_keys_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let line = KEYS.line(&KEYS.generate().unwrap());
        for text in ["", "x\n", "test-key-1:00\n", &format!("{}more\n", &*line), &line.replace("test", "rest")] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(KEYS.read(&path), Err(KeyFileError::Unfit { .. })), "{text:?}");
        }
        fs::write(&path, &*line).unwrap();
        KEYS.read(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(KEYS.read(&path), Err(KeyFileError::Exposed(_))));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(KEYS.read(&link), Err(KeyFileError::Io { .. })));
    }
}
