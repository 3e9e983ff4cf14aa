//! Whose a master key is that lies where other stores may have theirs.
//!
//! **Threat.** Two stores are told to use one name in the keyring, or a store is copied or moved, and a new key for the one takes
//! the place of the key that the other needs: what is sealed there is lost. So a key there says which store it is of, by an id that
//! the store has from the beginning, and where and which file that store was last. What is of another one, or says nothing, is
//! left alone, and nothing is sealed under it, which would be lost with the next change by whoever has it; whoever only
//! reads may open with it, as nothing is lost by that.
//!
//! That nothing is found where the other one was says little: its disk may not be mounted. A store that was moved is told
//! from a copy by being the very file, and where that cannot be told, somebody has to say so.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::SealError;

/// How the line begins that says it.
const MARK: &str = "store:";
/// How the word begins in it that says which file that store is. No path begins so: they are whole.
const FILE: &str = "file:";

/// A store that has a master key somewhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whose<'a> {
    /// Where it is now, whatever links led there.
    pub(crate) path: &'a Path,
    /// What it is called wherever it is.
    pub(crate) id: &'a str,
}

impl Whose<'_> {
    /// The line of this store, without its end.
    pub(super) fn line(&self) -> String {
        let file = self.file().map(|file| format!(" {file}")).unwrap_or_default();
        format!("{MARK}{}{file} {}", self.id, shown(self.path))
    }

    /// Which file it is.
    fn file(&self) -> Option<String> {
        file_at(self.path)
    }
}

/// What the place of a master key says of whose it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// It is the place of one store and of no other.
    Place,
    /// The store of that id, which was at that path when this was written, and that file.
    Store {
        id: String,
        file: Option<String>,
        path: String,
    },
    /// The store at that path: so it was written before stores had ids.
    Path(String),
    Unsaid,
}

impl Owner {
    /// The store that it names, for people.
    pub(super) fn store(&self) -> Option<String> {
        match self {
            Owner::Store { id, path, .. } => Some(format!("{id}, {path}")),
            Owner::Path(path) => Some(path.clone()),
            Owner::Place | Owner::Unsaid => None,
        }
    }

    /// What that text says in its first line, and the other lines.
    pub(super) fn read(text: &str) -> (Owner, impl Iterator<Item = &str>) {
        let owner = text.lines().next().and_then(|line| line.strip_prefix(MARK)).map(|said| {
            let is_id = |word: &str| word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            match said.split_once(' ').filter(|(id, _)| is_id(id)) {
                Some((id, rest)) => {
                    let file = rest.split_once(' ').filter(|(file, _)| file.starts_with(FILE));
                    let (file, path) = file.map_or((None, rest), |(file, path)| (Some(file.to_owned()), path));
                    Owner::Store { id: id.to_owned(), file, path: path.to_owned() }
                }
                None => Owner::Path(said.to_owned()),
            }
        });
        let lines = text.lines().skip(usize::from(owner.is_some()));
        (owner.unwrap_or(Owner::Unsaid), lines)
    }

    /// Refuses what is not of this store, or cannot be told to be; `opens` says whether a key there opens what is sealed in it.
    /// Otherwise whether the line is to be written anew.
    pub(super) fn check(&self, whose: Whose<'_>, opens: bool, place: &str) -> Result<bool, SealError> {
        let here = shown(whose.path);
        match self {
            Owner::Place => Ok(false),
            // Put back from a backup it is another file, and devices have other numbers after a start.
            Owner::Store { id, file, path } if *id == whose.id && *path == here => Ok(*file != whose.file()),
            Owner::Store { id, file: Some(file), path } if *id == whose.id && was_moved(file, path, whose) => Ok(true),
            Owner::Path(path) if *path == here && opens => Ok(true),
            _ => Err(match (place.to_owned(), self.store()) {
                (place, Some(owner)) => SealError::Others { place, owner, here },
                (place, None) => SealError::Unowned { place, here },
            }),
        }
    }
}

/// A path on one line.
fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}

/// What tells a file from all others, its copies included, whatever it is called: where it lies, and since when.
fn file_at(path: &Path) -> Option<String> {
    let meta = path.metadata().ok()?;
    // Numbers of files are used again, and are alike on disks that were filled alike.
    let made = meta.created().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{FILE}{:x}.{:x}.{:x}", meta.dev(), meta.ino(), made.as_nanos()))
}

/// Whether this store is the file that was at that path, and nothing else is there now.
fn was_moved(file: &str, path: &str, whose: Whose<'_>) -> bool {
    whose.file().as_deref() == Some(file) && (is_gone(path) || file_at(Path::new(path)).as_deref() == Some(file))
}

/// Whether nothing is at that path, as far as that can be told of one that was written on a line.
fn is_gone(path: &str) -> bool {
    !path.contains(['\\', char::REPLACEMENT_CHARACTER]) && matches!(Path::new(path).try_exists(), Ok(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00112233445566778899aabbccddeeff";
    const OTHER: &str = "ffeeddccbbaa99887766554433221100";

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a b.db");
        let read = |path: &Path| {
            let text = format!("{}\nfirst\nsecond\n", Whose { path, id: ID }.line());
            let (owner, lines) = Owner::read(&text);
            assert_eq!(lines.collect::<Vec<_>>(), ["first", "second"]);
            owner
        };
        let said = |file| Owner::Store { id: ID.to_owned(), file, path: path.display().to_string() };
        assert_eq!(read(&path), said(None), "no file, and nothing of it");
        std::fs::write(&path, "").unwrap();
        assert!(file_at(&path).is_some_and(|file| file.starts_with(FILE) && !file.contains(' ')));
        assert_eq!(read(&path), said(file_at(&path)));
        let (owner, lines) = Owner::read("store:/old place/state.db\nfirst\n");
        assert_eq!((owner, lines.count()), (Owner::Path("/old place/state.db".to_owned()), 1));
        let (owner, lines) = Owner::read("first\n");
        assert_eq!((owner, lines.count()), (Owner::Unsaid, 1));
    }

    #[test]
    fn only_what_is_of_this_store_is_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let [here, there, gone] = ["here.db", "there.db", "gone.db"].map(|name| directory.path().join(name));
        [&here, &there].iter().for_each(|path| std::fs::write(path, "").unwrap());
        let whose = Whose { path: &here, id: ID };
        let check = |owner: &str, opens| Owner::read(owner).0.check(whose, opens, "a place");
        let line = |path: &Path, id: &str| Whose { path, id }.line();
        let earlier = |path: &Path| format!("{MARK}{}", path.display());
        for (owner, expected) in [
            (line(&here, ID), [Some(false); 2]),
            // As it was before the file was put back from a backup, and before the line said which file.
            (line(&there, ID).replace("there.db", "here.db"), [Some(true); 2]),
            (format!("{MARK}{ID} {}", here.display()), [Some(true); 2]),
            // One that is there, and one of which nothing is to be seen.
            (line(&there, ID), [None; 2]),
            (line(&gone, ID), [None; 2]),
            // Of another one, and be it in the same place before.
            (line(&here, OTHER), [None; 2]),
            (line(&gone, OTHER), [None; 2]),
            (earlier(&here), [None, Some(true)]),
            (earlier(&there), [None; 2]),
            (earlier(&gone), [None; 2]),
            (format!("{MARK}{ID}"), [None; 2]),
            (MARK.to_owned(), [None; 2]),
            ("bartizan-master-key-1:00".to_owned(), [None; 2]),
            (String::new(), [None; 2]),
        ] {
            assert_eq!([check(&owner, false).ok(), check(&owner, true).ok()], expected, "{owner}");
        }
        assert!(matches!(check("", true), Err(SealError::Unowned { .. })));
        assert!(matches!(check(&line(&there, ID), true), Err(SealError::Others { .. })));
    }

    #[test]
    fn what_was_moved_is_the_very_file_and_a_copy_is_not() {
        type Way = fn(&Path, &Path);
        let ways: [(&str, Way, Option<bool>); 6] = [
            ("moved", |from, to| std::fs::rename(from, to).unwrap(), Some(true)),
            (
                "moved, with a link where it was",
                |from, to| {
                    std::fs::rename(from, to).unwrap();
                    std::os::unix::fs::symlink(to, from).unwrap();
                },
                Some(true),
            ),
            (
                "moved, with another one where it was",
                |from, to| {
                    std::fs::rename(from, to).unwrap();
                    std::fs::write(from, "").unwrap();
                },
                None,
            ),
            ("copied", |from, to| assert!(std::fs::copy(from, to).unwrap() > 0), None),
            (
                "copied with its times, and removed",
                |from, to| {
                    std::fs::copy(from, to).unwrap();
                    let times = std::fs::FileTimes::new().set_modified(from.metadata().unwrap().modified().unwrap());
                    std::fs::File::options().write(true).open(to).unwrap().set_times(times).unwrap();
                    std::fs::remove_file(from).unwrap();
                },
                None,
            ),
            (
                "copied, and out of sight like what is on a disk that is not mounted",
                |from, to| {
                    std::fs::copy(from, to).unwrap();
                    let directory = from.parent().unwrap();
                    std::fs::rename(directory, directory.with_file_name("elsewhere")).unwrap();
                },
                None,
            ),
        ];
        for (way, change, expected) in ways {
            let directory = tempfile::tempdir().unwrap();
            let from = directory.path().join("own/state.db");
            let to = directory.path().join("state.db");
            std::fs::create_dir(from.parent().unwrap()).unwrap();
            std::fs::write(&from, "what it holds").unwrap();
            let line = Whose { path: &from, id: ID }.line();
            change(&from, &to);
            let found = Owner::read(&line).0.check(Whose { path: &to, id: ID }, true, "a place");
            assert_eq!(found.ok(), expected, "{way}");
        }
    }

    #[test]
    fn a_path_that_does_not_stand_there_as_it_is_counts_as_one_that_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let [from, to] = ["no\nwhere.db", "state.db"].map(|name| directory.path().join(name));
        std::fs::write(&from, "").unwrap();
        let line = Whose { path: &from, id: ID }.line();
        std::fs::rename(&from, &to).unwrap();
        assert!(Owner::read(&line).0.check(Whose { path: &to, id: ID }, true, "a place").is_err(), "{line}");
    }
}
