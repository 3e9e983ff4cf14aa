//! The file that a profile is written to.
//!
//! Threat: the server that the profile is about runs until it is written. If it may change the place where that happens, it
//! has the profile written elsewhere by a link, or writes one of its own. So the directory is opened before the server
//! starts, has to lie outside of all that the server may change, and is never looked up by its name again.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, linkat, openat, renameat, renameat_with, unlinkat};
use rustix::io::Errno;

use crate::outcome::Failure;

/// A directory that entries are made in needs not be read.
#[cfg(target_os = "linux")]
const OPENED: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const OPENED: OFlags = OFlags::RDONLY;

/// A place for a file, which is made beside it and takes it once it is whole.
#[derive(Debug)]
pub(super) struct Out {
    shown: PathBuf,
    directory: OwnedFd,
    name: OsString,
    beside: OsString,
    file: File,
    force: bool,
}

impl Out {
    /// Takes the place before anything starts, so that what would fail in the end fails now.
    pub(super) fn open(out: &Path, force: bool, changeable: &[PathBuf]) -> Result<Out, Failure> {
        if !force && std::fs::symlink_metadata(out).is_ok() {
            return Err(Failure::usage(format!("{} is there already; --force replaces it", out.display())));
        }
        if std::fs::symlink_metadata(out).is_ok_and(|found| found.is_dir()) {
            return Err(Failure::usage(format!("{} is a directory", out.display())));
        }
        let name = out.file_name().ok_or_else(|| Failure::usage(format!("{} names no file", out.display())))?;
        let above = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = |error: io::Error| Failure::usage(format!("cannot write to {}: {error}", above.display()));
        let place = std::fs::canonicalize(above).map_err(failed)?;
        let is_the_servers = |path: &PathBuf| {
            std::fs::canonicalize(path).is_ok_and(|path| place.starts_with(&path) || place.join(name) == path)
        };
        if changeable.iter().any(is_the_servers) {
            return Err(Failure::usage("the profile cannot lie where the server may write: it could change it"));
        }
        // Nothing has started yet, so this is what was looked at.
        let flags = OPENED | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = openat(CWD, &place, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        let mut beside = OsString::from(".");
        beside.push(name);
        beside.push(format!(".{}.new", std::process::id()));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&directory, &beside, flags, Mode::RUSR | Mode::WUSR).map_err(|error| failed(error.into()))?;
        let (shown, name) = (out.to_owned(), name.to_owned());
        Ok(Out { shown, directory, name, beside, file: file.into(), force })
    }

    /// Writes it whole or not at all, for its owner only; a link in its place is replaced and not followed.
    pub(super) fn write(mut self, text: &str) -> Result<(), Failure> {
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_all());
        let written = written.and_then(|()| self.take_its_name().map_err(io::Error::from));
        written.map_err(|error| Failure::ours(format!("cannot write {}: {error}", self.shown.display())))
    }

    fn take_its_name(&self) -> rustix::io::Result<()> {
        let Out { directory, name, beside, .. } = self;
        if self.force {
            return renameat(directory, beside, directory, name);
        }
        // It fails where the name is taken meanwhile.
        match linkat(directory, beside, directory, name, AtFlags::empty()) {
            // A file system without second names, such as those of sticks.
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {
                renameat_with(directory, beside, directory, name, RenameFlags::NOREPLACE)
            }
            done => done,
        }
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        // It has its name, or is not to be.
        unlinkat(&self.directory, &self.beside, AtFlags::empty()).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn it_is_written_where_it_was_opened_whatever_takes_that_name_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let (place, other) = (folder.path().join("place"), folder.path().join("other"));
        fs::create_dir(&place).unwrap();
        fs::create_dir(&other).unwrap();
        let out = Out::open(&place.join("x.toml"), false, std::slice::from_ref(&other)).unwrap();
        fs::rename(&place, folder.path().join("moved")).unwrap();
        symlink(&other, &place).unwrap();
        out.write("text").unwrap();
        let written = folder.path().join("moved/x.toml");
        assert_eq!(fs::read_to_string(&written).unwrap(), "text");
        assert_eq!(fs::metadata(&written).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(names(&other).is_empty() && names(&folder.path().join("moved")) == ["x.toml"]);
    }

    #[test]
    fn what_is_there_is_replaced_only_if_that_is_asked_for_and_never_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "kept").unwrap();
        symlink(&file, &link).unwrap();
        for path in [&file, &link] {
            Out::open(path, false, &[]).unwrap_err();
        }
        // Also what came while the server ran.
        let out = Out::open(&folder.path().join("late"), false, &[]).unwrap();
        fs::write(folder.path().join("late"), "kept").unwrap();
        out.write("text").unwrap_err();
        Out::open(&link, true, &[]).unwrap().write("text").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
        assert_eq!(fs::read_to_string(folder.path().join("late")).unwrap(), "kept");
        assert_eq!(fs::read_to_string(&link).unwrap(), "text");
        assert_eq!(names(folder.path()), ["file", "late", "link"]);
    }

    #[test]
    fn it_lies_nowhere_that_the_server_may_change() {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().join("work");
        fs::create_dir_all(work.join("deep")).unwrap();
        symlink(&work, folder.path().join("link")).unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let changeable = [work.clone(), folder.path().join("file"), folder.path().join("none")];
        for name in ["work/x", "work/deep/x", "link/x", "file"] {
            Out::open(&folder.path().join(name), true, &changeable).unwrap_err();
        }
        for name in ["none/x", "work", ".."] {
            Out::open(&folder.path().join(name), true, &[]).unwrap_err();
        }
        drop(Out::open(&folder.path().join("x"), false, &changeable).unwrap());
        assert_eq!(names(folder.path()), ["file", "link", "work"]);
    }
}
