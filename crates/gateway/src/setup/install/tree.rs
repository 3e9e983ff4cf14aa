//! What was installed: its digest, and what it says of itself.
//!
//! Threat: what a package put there is read by a process that is not confined. So no link is followed, nothing but files,
//! directories and links counts, and there are bounds.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bartizan_config::Packages;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use serde_json::Value;

/// More than any program is of.
const MOST_FILES: u64 = 400_000;
/// A larger description of a package is none.
const MOST_DESCRIPTION: u64 = 4 << 20;

/// What a directory holds.
#[derive(Debug)]
pub(super) struct Found {
    /// Of every name, of what it is and of what is in it.
    pub(super) digest: String,
    pub(super) bytes: u64,
    pub(super) files: u64,
}

/// Refuses what is no directory itself: a package may have put a link in its place.
pub(super) fn check(root: &Path) -> Result<(), String> {
    match fs::symlink_metadata(root) {
        Ok(meta) if meta.is_dir() => Ok(()),
        Ok(_) => Err(format!("{} is no directory any more", root.display())),
        Err(error) => Err(format!("{} cannot be read: {error}", root.display())),
    }
}

/// Removes all of it, also directories that whoever made them has closed, or put so far into each other that no path leads there.
/// Nothing may run any more that could change it.
pub(super) fn remove(root: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(root)?.is_dir() {
        return fs::remove_file(root);
    }
    let mut open = vec![root.to_owned()];
    let mut next = 0_u64;
    let mut emptied = Vec::new();
    while let Some(directory) = open.pop() {
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                fs::remove_file(entry.path())?;
                continue;
            }
            // One that is closed cannot be moved. It is none of the moved ones: those lie in `root` only.
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o700))?;
            if directory == root {
                open.push(entry.path());
                continue;
            }
            let moved = loop {
                let free = root.join(format!("removed-{next}"));
                next = next.saturating_add(1);
                if fs::symlink_metadata(&free).is_err() {
                    break free;
                }
            };
            fs::rename(entry.path(), &moved)?;
            open.push(moved);
        }
        emptied.push(directory);
    }
    // The root, which was the first, is the last.
    emptied.into_iter().rev().try_for_each(fs::remove_dir)
}

/// Looks at all of a directory, of at most so many bytes.
pub(super) fn digest(root: &Path, most: u64) -> io::Result<Found> {
    let mut found = Found { digest: String::new(), bytes: 0, files: 0 };
    let mut hasher = blake3::Hasher::new_derive_key("bartizan 2026-11-29 installed packages");
    let mut open = vec![PathBuf::new()];
    while let Some(directory) = open.pop() {
        let mut names = fs::read_dir(root.join(&directory))?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        for name in names {
            let path = directory.join(name);
            found.files += 1;
            if found.files > MOST_FILES {
                return Err(io::Error::other(format!("it is of more than {MOST_FILES} files")));
            }
            let meta = fs::symlink_metadata(root.join(&path))?;
            add(&mut hasher, path.as_os_str().as_bytes());
            if meta.is_symlink() {
                add(&mut hasher, b"link");
                add(&mut hasher, fs::read_link(root.join(&path))?.as_os_str().as_bytes());
            } else if meta.is_dir() {
                add(&mut hasher, b"directory");
                open.push(path);
            } else if meta.is_file() {
                found.bytes = found.bytes.saturating_add(meta.len());
                if found.bytes > most {
                    return Err(io::Error::other(format!(
                        "it is more than {most} bytes; `install.size` of its sandbox says how much may lie there"
                    )));
                }
                add(&mut hasher, if meta.permissions().mode() & 0o111 == 0 { b"file" } else { b"program" });
                hasher.update(&meta.len().to_le_bytes());
                io::copy(&mut beneath(root, &path)?.take(meta.len().saturating_add(1)), &mut hasher)?;
            } else {
                return Err(io::Error::other(format!("{} is neither a file nor a directory", path.display())));
            }
        }
    }
    found.digest = hasher.finalize().to_hex().to_string();
    Ok(found)
}

fn add(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

/// A file below a directory, not by way of a link.
fn beneath(root: &Path, path: &Path) -> io::Result<File> {
    let root = File::from(openat2(
        CWD,
        root,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::empty(),
    )?);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    Ok(File::from(openat2(&root, path, flags, Mode::empty(), how)?))
}

/// What the description of the main package says.
fn description(tree: &Path, packages: &Packages) -> Result<(String, Value), String> {
    let spec = packages.names.first().map(String::as_str).unwrap_or_default();
    // The name of a scope begins with an `@`, and a version is behind one.
    let name = match spec.char_indices().skip(1).find(|(_, c)| *c == '@') {
        Some((at, _)) => spec.get(..at).unwrap_or(spec),
        None => spec,
    };
    let path = Path::new("node_modules").join(name).join("package.json");
    let read = || -> io::Result<Value> {
        let mut text = Vec::new();
        beneath(tree, &path)?.take(MOST_DESCRIPTION).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    };
    let described = read().map_err(|error| format!("its package.json cannot be read: {error}"))?;
    Ok((name.to_owned(), described))
}

/// The version of the main package.
pub(super) fn npm_version(tree: &Path, packages: &Packages) -> Option<String> {
    let (_, described) = description(tree, packages).ok()?;
    let version = described.get("version")?.as_str()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-+".contains(c);
    (version.len() <= 64 && version.chars().all(plain)).then(|| version.to_owned())
}

/// Which program runs, as `npx` finds it: the one that the command names, the only one, or the one that is called as the package.
pub(super) fn npm_program(tree: &Path, packages: &Packages) -> Result<String, String> {
    if let Some(program) = &packages.program {
        return Ok(program.clone());
    }
    let (name, described) = description(tree, packages)?;
    let own = name.rsplit('/').next().unwrap_or(&name).to_owned();
    let plain = |name: &&String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        !name.is_empty() && name.chars().all(plain) && !name.starts_with(['-', '.'])
    };
    match described.get("bin") {
        Some(Value::String(_)) => Ok(own),
        Some(Value::Object(programs)) => {
            let mut names = programs.keys().filter(plain);
            let all_one = programs.values().all(|program| Some(program) == programs.values().next());
            match (names.next(), programs.len()) {
                (Some(only), 1) => Ok(only.clone()),
                _ if programs.contains_key(&own) => Ok(own),
                (Some(first), _) if all_one => Ok(first.clone()),
                (Some(_), _) => Err(format!(
                    "it has several programs: name one with `npx -p {name} PROGRAM`; they are {}",
                    programs.keys().filter(plain).take(20).cloned().collect::<Vec<_>>().join(", ")
                )),
                (None, _) => Err("it has no program of a plain name".to_owned()),
            }
        }
        _ => Err("it has no program".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn what_lies_deeper_than_a_path_leads_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let tree = root.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let open = |at: &OwnedFd, name: &str| {
            rustix::fs::mkdirat(at, name, Mode::from_raw_mode(0o700)).unwrap();
            rustix::fs::openat(at, name, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
        };
        let mut at = OwnedFd::from(File::open(&tree).unwrap());
        // What has the name of one that is moved as well.
        open(&at, "removed-0");
        for number in 0..60 {
            let name = format!("{number:0200}");
            let next = open(&at, &name);
            let file = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
            rustix::fs::openat(&next, "file", file, Mode::from_raw_mode(0o400)).unwrap();
            rustix::fs::fchmod(&at, Mode::from_raw_mode(0o100)).unwrap();
            at = next;
        }
        remove(&tree).unwrap();
        assert!(!tree.exists() && root.path().read_dir().unwrap().next().is_none());
    }

    #[test]
    fn what_was_closed_is_removed_and_a_link_in_its_place_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let (tree, other) = (root.path().join("tree"), root.path().join("other"));
        fs::create_dir_all(tree.join("closed/inner")).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(other.join("kept"), "").unwrap();
        std::os::unix::fs::symlink(&other, tree.join("closed/link")).unwrap();
        fs::set_permissions(tree.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
        assert_eq!(check(&tree), Ok(()));
        remove(&tree).unwrap();
        assert!(!tree.exists() && other.join("kept").exists());
        std::os::unix::fs::symlink(&other, &tree).unwrap();
        assert!(check(&tree).unwrap_err().contains("no directory"));
        remove(&tree).unwrap();
        assert!(fs::symlink_metadata(&tree).is_err() && other.join("kept").exists());
    }

    #[test]
    fn every_change_changes_the_digest() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let now = || digest(root.path(), 1 << 20).unwrap().digest;
        fs::create_dir(at("d")).unwrap();
        fs::write(at("d/a"), "one").unwrap();
        std::os::unix::fs::symlink("a", at("d/l")).unwrap();
        let mut seen = vec![now()];
        assert_eq!(now(), seen[0]);
        let changes: [&dyn Fn(); 7] = [
            &|| fs::write(at("d/a"), "two").unwrap(),
            &|| fs::set_permissions(at("d/a"), fs::Permissions::from_mode(0o755)).unwrap(),
            &|| fs::rename(at("d/a"), at("d/b")).unwrap(),
            &|| fs::rename(at("d/b"), at("b")).unwrap(),
            &|| {
                fs::remove_file(at("d/l")).unwrap();
                std::os::unix::fs::symlink("b", at("d/l")).unwrap();
            },
            &|| fs::create_dir(at("e")).unwrap(),
            &|| fs::write(at("e/new"), "").unwrap(),
        ];
        for (index, change) in changes.iter().enumerate() {
            change();
            let digest = now();
            assert!(!seen.contains(&digest), "change {index}");
            seen.push(digest);
        }
        assert!(digest(root.path(), 2).unwrap_err().to_string().contains("install.size"));
        rustix::fs::mknodat(CWD, at("pipe"), rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        assert!(digest(root.path(), 1 << 20).unwrap_err().to_string().contains("pipe is neither"));
    }

    #[test]
    fn the_program_is_the_one_that_npx_would_start() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("node_modules/@scope/name");
        fs::create_dir_all(&place).unwrap();
        let packages = |program: Option<&str>| Packages {
            names: vec!["@scope/name@^1".into()],
            program: program.map(str::to_owned),
            rest: 1,
        };
        let of = |bin: &str, program| {
            fs::write(place.join("package.json"), format!(r#"{{"version":"1.2.3"{bin}}}"#)).unwrap();
            npm_program(root.path(), &packages(program)).map_err(|why| why.chars().take(20).collect::<String>())
        };
        for (bin, program, expected) in [
            (r#","bin":"x.js""#, None, Ok("name")),
            (r#","bin":{"other":"x.js"}"#, None, Ok("other")),
            (r#","bin":{"other":"x.js","name":"y.js"}"#, None, Ok("name")),
            (r#","bin":{"a":"x.js","b":"x.js"}"#, None, Ok("a")),
            (r#","bin":{"b":"x.js","a":"y.js"}"#, None, Err("it has several progr")),
            (r#","bin":{"../../../sh":"x.js"}"#, None, Err("it has no program of")),
            ("", None, Err("it has no program")),
            ("", Some("named"), Ok("named")),
        ] {
            assert_eq!(of(bin, program), expected.map(str::to_owned).map_err(str::to_owned), "{bin}");
        }
        assert_eq!(npm_version(root.path(), &packages(None)), Some("1.2.3".to_owned()));
        // Nothing outside is read by way of a link.
        fs::remove_dir_all(&place).unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("package.json"), r#"{"bin":"x.js"}"#).unwrap();
        std::os::unix::fs::symlink(outside.path(), &place).unwrap();
        assert!(npm_program(root.path(), &packages(None)).unwrap_err().contains("cannot be read"));
    }
}
