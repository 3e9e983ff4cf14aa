//! The log's directory: names, order, permissions, and the lock that keeps a second writer out.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::error::AuditError;

/// The file being written, of a log that is plain and of one that is sealed.
pub(crate) const CURRENT: [&str; 2] = ["audit.jsonl", "audit.sealed"];
/// What becomes the file being written, during rotation.
pub(crate) const NEXT: &str = "audit.next";
const LOCK: &str = "lock";

/// The file being written.
pub(crate) fn current(is_sealed: bool) -> &'static str {
    let [plain, sealed] = CURRENT;
    if is_sealed { sealed } else { plain }
}

/// The name of a file that is full, from the number of its first entry; twenty digits, so names sort as numbers do.
pub(crate) fn closed_name(first_seq: u64, is_sealed: bool) -> String {
    format!("audit-{first_seq:020}.{}", if is_sealed { SEALED } else { "jsonl" })
}

fn closed_seq(name: &str) -> Option<u64> {
    let (seq, _) = name.strip_prefix("audit-")?.split_once('.')?;
    let seq = seq.parse().ok()?;
    (closed_name(seq, is_sealed(name)) == name).then_some(seq)
}

/// How the name of a sealed file ends.
const SEALED: &str = "sealed";

/// Whether a file of that name is sealed.
pub(crate) fn is_sealed(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, end)| end == SEALED)
}

/// One file of the log, open for reading.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    /// The number of its first entry, which only names of closed files tell.
    pub(crate) first_seq: Option<u64>,
    pub(crate) file: File,
}

/// Opens the files as they stand at one moment, oldest first, without disturbing or waiting for the writer.
pub(crate) fn snapshot(dir: &Path) -> io::Result<Vec<Source>> {
    // The current file first: if it is rotated meanwhile, it is found again in the listing and recognised there.
    // The other order could miss the file that was closed between the two steps.
    let mut current = Vec::new();
    for name in CURRENT {
        match open_read(&dir.join(name)) {
            Ok(file) => current.push((identity(&file)?, Source { name: name.to_owned(), first_seq: None, file })),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let mut sources = Vec::new();
    for (first_seq, name) in closed(dir)? {
        let file = open_read(&dir.join(&name))?;
        let own = identity(&file)?;
        sources.push(Source { name, first_seq: Some(first_seq), file });
        if current.iter().any(|(current, _)| *current == own) {
            return Ok(sources);
        }
    }
    // There is one. Where somebody put another beside it, the entries of one of them do not belong where they are.
    sources.extend(current.into_iter().map(|(_, source)| source));
    Ok(sources)
}

/// Closed files by the number of their first entry.
fn closed(dir: &Path) -> io::Result<Vec<(u64, String)>> {
    let names = names(dir)?.into_iter();
    let mut closed: Vec<_> = names.filter_map(|name| Some((closed_seq(&name)?, name))).collect();
    closed.sort_unstable();
    Ok(closed)
}

/// What is in a directory.
pub(crate) fn names(dir: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
    Ok(names.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// What a file is, under whatever name.
pub(crate) fn identity(file: &File) -> io::Result<(u64, u64)> {
    file.metadata().map(|meta| (meta.dev(), meta.ino()))
}

fn open_read(path: &Path) -> io::Result<File> {
    regular(OpenOptions::new().read(true).custom_flags(no_follow()).open(path)?)
}

/// Opens a file of the log for writing, readable by its owner only.
pub(crate) fn open_write(path: &Path) -> io::Result<File> {
    let file = regular(owned().read(true).write(true).open(path)?)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Creates an empty file of the log, readable by its owner only.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    owned().read(true).write(true).create_new(true).open(path)
}

/// Puts a small file of the log in the place of what was there, and on disk: after a crash there is all of it or what was
/// there before.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut next = path.as_os_str().to_owned();
    next.push(".next");
    let next = Path::new(&next);
    remove_if_there(next)?;
    let mut file = create(next)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(next, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes a folder and those that it is in, the names of which are then on disk.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().unwrap_or(folder);
    make_folder(above)?;
    DirBuilder::new().mode(0o700).create(folder)?;
    sync_folder(above)
}

/// Puts the names in a folder on disk, where the file system can do so.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    // Some can not, and say so like this.
    match File::open(folder)?.sync_all() {
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
        done => done,
    }
}

/// Reads a small file of the log.
pub(crate) fn read(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_read(path)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most { Err(io::Error::new(ErrorKind::InvalidData, "larger than it may be")) } else { Ok(bytes) }
}

/// Removes a file, or what a step that stopped halfway left of one.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn owned() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(no_follow());
    options
}

/// A symbolic link in the log's place would send entries elsewhere; a named pipe would block forever.
fn no_follow() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()
}

fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

/// Makes the directory, or checks that nobody else can replace files in one that exists.
///
/// An existing directory keeps its mode: changing that of, say, `/var/log` would break others.
pub(crate) fn prepare(dir: &Path) -> Result<(), AuditError> {
    let failed = |action, source| AuditError::Io { action, path: dir.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| failed("create", error))?;
    let meta = fs::metadata(dir).map_err(|error| failed("read", error))?;
    let refuse = |why| Err(AuditError::Insecure { path: dir.to_owned(), why });
    let user = rustix::process::geteuid().as_raw();
    if meta.uid() != user && meta.uid() != 0 {
        return refuse("the directory belongs to another user");
    }
    if meta.mode() & 0o022 != 0 {
        return refuse("others may write to the directory; set its mode to 0700");
    }
    Ok(())
}

/// Takes the directory for this writer; the lock is gone when the returned file is closed, by whatever end.
pub(crate) fn lock(dir: &Path) -> Result<File, AuditError> {
    let path = dir.join(LOCK);
    let failed = |source| AuditError::Io { action: "lock", path: path.clone(), source };
    let mut file = owned().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let pid = file.read_to_string(&mut pid).ok().and_then(|_| pid.trim().parse().ok());
            return Err(AuditError::Locked { dir: dir.to_owned(), pid });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    // Only for the message above, so it may fail, for instance on a full disk.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_the_writer_makes_are_files_of_the_log() {
        for is_sealed in [false, true] {
            for seq in [7, u64::MAX] {
                assert_eq!(closed_seq(&closed_name(seq, is_sealed)), Some(seq));
                assert_eq!(super::is_sealed(&closed_name(seq, is_sealed)), is_sealed);
            }
        }
        for other in [
            "audit.jsonl",
            "audit.sealed",
            "audit-00000000000000000007.x",
            "audit-00000000000000000007",
            "audit-7.jsonl",
            "audit-old.jsonl",
            "audit-+0000000000000000007.jsonl",
            "x",
        ] {
            assert_eq!(closed_seq(other), None, "{other}");
        }
    }
}
