//! Whose a master key is that lies where other stores may have theirs.
//!
//! **Threat.** Two stores are told to use one name in the keyring, or a store is copied or moved, and a new key for the one takes
//! the place of the key that the other needs: what is sealed there is lost. So a key there says which store it is of, by an id that
//! the store has from the beginning, and where that store was last. What is of another one, or says nothing, is left
//! alone; it may open what is sealed, as nothing is lost by that.

use std::fmt;
use std::path::Path;

use super::SealError;

/// How the line begins that says it.
const MARK: &str = "store:";

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
        format!("{MARK}{} {}", self.id, shown(self.path))
    }
}

/// What the place of a master key says of whose it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// It is the place of one store and of no other.
    Place,
    /// The store of that id, which was at that path when this was written.
    Store {
        id: String,
        path: String,
    },
    /// The store at that path: so it was written before stores had ids.
    Path(String),
    Unsaid,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Store { id, path } => write!(f, "{id}, {path}"),
            Owner::Path(path) => f.write_str(path),
            Owner::Place | Owner::Unsaid => Ok(()),
        }
    }
}

impl Owner {
    /// What that text says in its first line, and the other lines.
    pub(super) fn read(text: &str) -> (Owner, impl Iterator<Item = &str>) {
        let owner = text.lines().next().and_then(|line| line.strip_prefix(MARK)).map(|said| {
            let is_id = |word: &str| word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            match said.split_once(' ').filter(|(id, _)| is_id(id)) {
                Some((id, path)) => Owner::Store { id: id.to_owned(), path: path.to_owned() },
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
            Owner::Store { id, path } if *id == whose.id && *path == here => Ok(false),
            // It was moved. One that is still there was copied, and whichever this is, the other needs the key as well.
            Owner::Store { id, path } if *id == whose.id && is_gone(path) => Ok(true),
            Owner::Path(path) if *path == here && opens => Ok(true),
            Owner::Unsaid => Err(SealError::Unowned(place.to_owned())),
            _ => Err(SealError::Others { place: place.to_owned(), owner: self.to_string() }),
        }
    }
}

/// A path on one line.
fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
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
        let whose = Whose { path: Path::new("/home/a b/state.db"), id: ID };
        let text = format!("{}\nfirst\nsecond\n", whose.line());
        let (owner, lines) = Owner::read(&text);
        assert_eq!(owner, Owner::Store { id: ID.to_owned(), path: "/home/a b/state.db".to_owned() });
        assert_eq!(lines.collect::<Vec<_>>(), ["first", "second"]);
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
            // Moved, and copied.
            (line(&gone, ID), [Some(true); 2]),
            (line(&there, ID), [None; 2]),
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
        assert!(matches!(check("", true), Err(SealError::Unowned(_))));
        assert!(matches!(check(&line(&there, ID), true), Err(SealError::Others { .. })));
    }

    #[test]
    fn a_path_that_does_not_stand_there_as_it_is_counts_as_one_that_is_there() {
        let whose = Whose { path: Path::new("/here/state.db"), id: ID };
        let line = Whose { path: Path::new("/no\nwhere/state.db"), id: ID }.line();
        assert!(Owner::read(&line).0.check(whose, true, "a place").is_err(), "{line}");
    }
}
