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

/// Where `path` leads, or the first link on the way that lies in one of these directories, which are real ones.
///
/// What it gives is made of the steps that were looked at, so that it is nothing else if one of them is exchanged meanwhile: who
/// mounts it follows no link any more.
///
/// # Errors
/// That link, or the one with which there are more than the kernel follows.
pub fn resolve(path: &Path, writable: &[PathBuf]) -> Result<PathBuf, PathBuf> {
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
            return Err(next);
        }
        if target.is_absolute() {
            real = PathBuf::from("/");
        }
        for step in steps(&target).into_iter().rev() {
            pending.push_front(step);
        }
    }
    Ok(real)
}

/// Whether a server that may write to these directories, which are real ones, may have laid what a path leads to, or have led it
/// there.
#[must_use]
pub fn may_be_laid(path: &Path, writable: &[PathBuf]) -> bool {
    resolve(path, writable).map_or(true, |real| writable.iter().any(|directory| real.starts_with(directory)))
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
            ("work", Ok("work")),
            ("work/sub", Ok("work/sub")),
            ("work/absent", Ok("work/absent")),
            ("home/secret", Ok("home/secret")),
            // The user's own link leads to what may be written to, and from there it goes on as the server likes.
            ("other/mine", Ok("work")),
            ("other/mine/sub/..", Ok("work")),
            ("other/mine/planted", Err("work/planted")),
            ("work/planted", Err("work/planted")),
            ("work/sub/../planted/id", Err("work/planted")),
            ("work/sub/up/secret", Err("work/sub/up")),
            ("other/loop", Err("other/loop")),
        ] {
            let expected = expected.map(|path| root.join(path)).map_err(|link| root.join(link));
            assert_eq!(resolve(&root.join(path), &writable), expected, "{path}");
        }
        assert_eq!(resolve(&root.join("work/planted"), &[]), Ok(root.join("home/secret")));
        for (path, laid) in [
            ("work/sub", true),
            ("other/mine", true),
            ("work/planted", true),
            ("work/sub/up/secret", true),
            ("home/secret", false),
        ] {
            assert_eq!(may_be_laid(&root.join(path), &writable), laid, "{path}");
        }
    }
}
