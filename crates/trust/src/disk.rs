//! Files on disk: replaced whole or not at all, and one writer at a time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::LockError;

/// Larger than any lock file that a person could still review.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Keeps other writers out until it is dropped, in this process and in others.
#[derive(Debug)]
pub(crate) struct Exclusive(#[expect(dead_code, reason = "held for the lock that closing it gives up")] File);

impl Exclusive {
    /// Waits until no other writer is at work.
    pub(crate) fn take(path: &Path) -> Result<Exclusive, LockError> {
        let failed = |error| LockError::Io { action: "lock", path: path.to_owned(), error };
        let options = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).to_owned();
        let file = options.open(path).map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(Exclusive(file))
    }
}

/// Makes a directory that only its owner can enter; fine if it is there.
pub(crate) fn make_dir(path: &Path) -> Result<(), LockError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| LockError::Io { action: "make", path: path.to_owned(), error })
}

/// The text of a file; `None` if there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<String>, LockError> {
    let failed = |error| LockError::Io { action: "read", path: path.to_owned(), error };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(failed(too_large()));
    }
    Ok(Some(text))
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 64 MiB")
}

/// Replaces a file such that at any moment, and after a power failure, either the old or the new text is there.
/// The caller holds the [`Exclusive`] lock, so no one else uses the temporary name.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), LockError> {
    let temporary = sibling(path, ".new");
    let failed = |error| LockError::Io { action: "write", path: path.to_owned(), error };
    if text.len() as u64 > MAX_BYTES {
        // It would never be read again.
        return Err(failed(too_large()));
    }
    let written = write_new(&temporary, text).and_then(|()| {
        step("rename")?;
        fs::rename(&temporary, path)
    });
    if let Err(error) = written {
        // Left over, it would only be in the way; that it cannot be removed changes nothing.
        let _ = fs::remove_file(&temporary);
        return Err(failed(error));
    }
    step("sync directory").and_then(|()| File::open(parent(path))?.sync_all()).map_err(failed)
}

/// Writes a file whose content can be checked by its name, so a torn one after a power failure does no harm.
pub(crate) fn write_addressed(path: &Path, text: &str) -> Result<(), LockError> {
    let written =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).and_then(|mut file| {
            step("write")?;
            file.write_all(text.as_bytes())
        });
    written.map_err(|error| LockError::Io { action: "write", path: path.to_owned(), error })
}

/// Bytes of all files of a directory.
pub(crate) fn size_of(directory: &Path) -> Result<u64, LockError> {
    let failed = |error| LockError::Io { action: "read", path: directory.to_owned(), error };
    let entries = fs::read_dir(directory).map_err(failed)?;
    // One that another process takes away meanwhile takes nothing.
    Ok(entries.flatten().filter_map(|entry| Some(entry.metadata().ok()?.len())).sum())
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> Result<(), LockError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(LockError::Io { action: "clear", path: path.to_owned(), error })
        }
        _ => Ok(()),
    }
}

/// Removes the files of a directory that `keep` does not name.
pub(crate) fn remove_others(directory: &Path, keep: impl Fn(&str) -> bool) -> Result<(), LockError> {
    let failed = |error| LockError::Io { action: "clear", path: directory.to_owned(), error };
    for entry in fs::read_dir(directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if name.to_str().is_some_and(|name| !keep(name)) {
            fs::remove_file(directory.join(name)).map_err(failed)?;
        }
    }
    Ok(())
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    // What an interrupted write left behind, or a link that leads elsewhere.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    step("create")?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    step("write")?;
    file.write_all(text.as_bytes())?;
    step("sync")?;
    file.sync_all()
}

/// `path` with something behind its file name.
pub(crate) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "in tests any step can fail")]
fn step(_: &'static str) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(crate) use fault::step;

#[cfg(test)]
pub(crate) mod fault {
    //! Lets a test make one step fail.

    use std::cell::Cell;
    use std::io;

    thread_local! {
        static COUNTDOWN: Cell<Option<usize>> = const { Cell::new(None) };
    }

    /// Makes the step after `steps` more fail, once.
    pub(crate) fn after(steps: Option<usize>) {
        COUNTDOWN.set(steps);
    }

    pub(crate) fn step(_: &'static str) -> io::Result<()> {
        match COUNTDOWN.get() {
            Some(0) => {
                COUNTDOWN.set(None);
                Err(io::ErrorKind::StorageFull.into())
            }
            left => {
                COUNTDOWN.set(left.map(|steps| steps - 1));
                Ok(())
            }
        }
    }

    pub(crate) fn pending() -> bool {
        COUNTDOWN.take().is_some()
    }
}
