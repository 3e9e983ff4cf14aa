//! Links that a confined server may have laid.
//!
//! Threat: what a server leaves in a directory that it may write to is there when it starts again. If its sandbox is made from a
//! path that leads through such a directory, a link in the place of one of the steps would have the next start show it, or let
//! it change, whatever that link leads to; its own next start, or that of another server.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows on one way.
const MOST: usize = 40;

/// The first link on the way to `path` that lies in one of these directories, which are real ones.
pub(super) fn laid(path: &Path, writable: &[PathBuf]) -> Option<PathBuf> {
    let mut real = PathBuf::from("/");
    let mut pending: VecDeque<OsString> = steps(path);
    let mut links = 0;
    while let Some(step) = pending.pop_front() {
        if step == ".." {
            real.pop();
            continue;
        }
        let next = real.join(step);
        let Ok(target) = std::fs::read_link(&next) else {
            real = next;
            continue;
        };
        links += 1;
        if links > MOST || writable.iter().any(|directory| next != *directory && next.starts_with(directory)) {
            return Some(next);
        }
        if target.is_absolute() {
            real = PathBuf::from("/");
        }
        for step in steps(&target).into_iter().rev() {
            pending.push_front(step);
        }
    }
    None
}

fn steps(path: &Path) -> VecDeque<OsString> {
    let named = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::ParentDir);
    path.components().filter(|part| named(*part)).map(|part| part.as_os_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_links_where_a_server_may_write_are_laid() {
        let root = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(root.path()).unwrap();
        for directory in ["work/sub", "home/secret", "other"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        symlink(root.join("home/secret"), root.join("work/planted")).unwrap();
        symlink("../home", root.join("work/sub/up")).unwrap();
        symlink(root.join("work"), root.join("other/mine")).unwrap();
        symlink("loop", root.join("other/loop")).unwrap();
        let writable = [root.join("work")];
        for (path, expected) in [
            ("work", None),
            ("work/sub", None),
            ("work/absent", None),
            ("home/secret", None),
            // The user's own link leads to what may be written to, and from there it goes on as the server likes.
            ("other/mine", None),
            ("other/mine/planted", Some("work/planted")),
            ("work/planted", Some("work/planted")),
            ("work/sub/../planted/id", Some("work/planted")),
            ("work/sub/up/secret", Some("work/sub/up")),
            ("other/loop", Some("other/loop")),
        ] {
            assert_eq!(laid(&root.join(path), &writable), expected.map(|link| root.join(link)), "{path}");
        }
        assert_eq!(laid(&root.join("work/planted"), &[]), None);
    }
}
