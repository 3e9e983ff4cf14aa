//! The directory of a capture: names, order and permissions.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use thiserror::Error;

use crate::form::FileId;

/// A directory in which nobody else can put files in the place of others.
#[derive(Debug, Clone)]
pub struct Prepared(pub(crate) PathBuf);

impl Prepared {
    /// Whether it still is one.
    pub(crate) fn check(&self) -> Result<(), Unfit> {
        let Prepared(directory) = self;
        let refuse = |why| Err(Unfit::Insecure { path: directory.clone(), why });
        // Links were followed when it was prepared, so one that is there now was put there since.
        let meta = fs::symlink_metadata(directory).map_err(|why| Unfit::Io { path: directory.clone(), why })?;
        let user = rustix::process::geteuid().as_raw();
        if !meta.is_dir() {
            return refuse("something else is in the place of the directory");
        }
        if meta.uid() != user && meta.uid() != 0 {
            return refuse("the directory belongs to another user");
        }
        if meta.mode() & 0o022 != 0 {
            return refuse("others may write to the directory; set its mode to 0700");
        }
        Ok(())
    }
}

/// Why a directory is none for captures.
#[derive(Debug, Error)]
pub enum Unfit {
    /// It cannot be made or looked at.
    #[error("{}: {why}", .path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
    /// Others could put their files there.
    #[error("{}: {why}", .path.display())]
    Insecure {
        /// Which one.
        path: PathBuf,
        /// Why.
        why: &'static str,
    },
}

/// Makes the directory, or checks one that is there.
///
/// # Errors
/// If it cannot be made, or belongs to somebody else, or others may write to it.
pub fn prepare(directory: &Path) -> Result<Prepared, Unfit> {
    let failed = |why| Unfit::Io { path: directory.to_owned(), why };
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    let prepared = Prepared(fs::canonicalize(directory).map_err(failed)?);
    prepared.check()?;
    Ok(prepared)
}

/// The files of captures in a directory, oldest first; nothing else that is there.
///
/// # Errors
/// If it cannot be read.
pub fn all_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(listed(directory)?.into_iter().map(|(_, path)| path).collect())
}

/// The same, each with the moment when it was begun.
pub(crate) fn listed(directory: &Path) -> io::Result<Vec<(i64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let created = name.to_str().and_then(created_of);
        found.extend(created.map(|created| (created, directory.join(name))));
    }
    found.sort_unstable();
    Ok(found)
}

/// Twenty digits, so names sort as moments do.
pub(crate) fn name(created: i64, id: FileId) -> String {
    format!("capture-{:020}-{id}.sealed", created.max(0))
}

/// Whether that is the name which the writer gave this file.
pub(crate) fn is_name(path: &Path, created: i64, id: FileId) -> bool {
    path.file_name().and_then(|own| own.to_str()) == Some(&name(created, id))
}

fn created_of(name: &str) -> Option<i64> {
    let (created, id) = name.strip_prefix("capture-")?.strip_suffix(".sealed")?.split_once('-')?;
    let plain = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (plain(created, 20) && plain(id, 32)).then(|| created.parse().ok()).flatten()
}

/// Creates an empty file for its owner only.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(no_follow()).open(path)
}

/// Opens a file for reading. Neither a link, which somebody else may have made, nor a pipe that has no other end.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(no_follow()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

fn no_follow() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_names_that_the_writer_makes_are_files_of_a_capture() {
        let id = FileId([7; 16]);
        assert_eq!(created_of(&name(5, id)), Some(5));
        assert_eq!(created_of(&name(i64::MAX, id)), Some(i64::MAX));
        let good = name(5, id);
        for other in [
            "capture-5-07.sealed",
            "notes.sealed",
            &good.replace("capture", "x"),
            &good.replace(".sealed", ""),
            &good.replace("-07", "-g7"),
            &good.replace("0005-", "+005-"),
        ] {
            assert_eq!(created_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (good, open) = (directory.path().join("a/b"), directory.path().join("open"));
        prepare(&good).unwrap();
        assert_eq!(fs::metadata(&good).unwrap().mode() & 0o777, 0o700);
        prepare(&good).unwrap();
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(prepare(&open), Err(Unfit::Insecure { .. })));
        fs::write(directory.path().join("file"), "").unwrap();
        assert!(matches!(prepare(&directory.path().join("file")), Err(Unfit::Io { .. })));
    }
}
