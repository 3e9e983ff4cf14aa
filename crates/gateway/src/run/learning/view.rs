//! What a server sees of the machine while it is looked at what it needs: read-only what its user sees, but for what no
//! server should.
//!
//! Threat: a list of what is shown that is as wide as a machine holds keys. Places that are known to hold some are not
//! shown, whatever way the server takes to them by name; other users' homes, the machine's sockets, devices and temporary
//! files are not either. What it reads all the same it can send to where it may: see `docs/src/sandbox.md`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use bartizan_config::learned::HiddenPlace;
use bartizan_sandbox::Confinement;

/// Entries that are shown one by one.
const MOST: usize = 2_000;
/// What lies in `/` and is not shown: what each sandbox makes for itself, what belongs to the running machine, and homes.
const UNSHOWN: &[&str] = &["boot", "dev", "etc", "home", "lost+found", "proc", "root", "run", "sys", "tmp"];
/// What each sandbox makes for itself.
const MADE: &[&str] = &["group", "hostname", "hosts", "mtab", "nsswitch.conf", "passwd", "resolv.conf"];

/// Has the server see it; returns how many entries there was no room for.
pub(super) fn widen(confinement: &mut Confinement, hidden: &[HiddenPlace], arguments: &[PathBuf]) -> usize {
    let mut view = View { confinement, hidden, left: MOST, unshown: 0 };
    view.entries(Path::new("/"), |name| UNSHOWN.iter().any(|one| name == *one));
    view.entries(Path::new("/etc"), |name| MADE.iter().any(|one| name == *one));
    // Where the home is a link, what lies in it is seen under its own name if it is seen at all.
    let home = view.confinement.home.clone().filter(|home| fs::canonicalize(home).is_ok_and(|real| real == *home));
    if let Some(home) = &home {
        view.entries(home, |_| false);
    }
    let kept = |path: &Path| {
        path.parent().is_none() || ["/tmp", "/var/tmp"].iter().any(|own| Path::new(own).starts_with(path))
    };
    for path in arguments.iter().filter(|path| !kept(path) && !home.as_ref().is_some_and(|home| home.starts_with(path)))
    {
        view.show(path);
    }
    let unshown = view.unshown;
    let places = covered(confinement, hidden);
    confinement.hidden.extend(places);
    unshown
}

/// What is to be shown empty in what is seen.
fn covered(confinement: &Confinement, hidden: &[HiddenPlace]) -> Vec<PathBuf> {
    let is_shown = |path: &Path| confinement.read_only.iter().chain(&confinement.writable).any(|at| at == path);
    let is_below = |path: &Path| path.ancestors().any(is_shown);
    let is_itself = |path: &Path| fs::canonicalize(path).is_ok_and(|real| real == *path);
    let mut places: Vec<PathBuf> = hidden
        .iter()
        .map(|place| place.path.clone())
        // What the user names is meant.
        .filter(|path| is_below(path) && !is_shown(path) && is_itself(path))
        .chain(confinement.hidden.iter().cloned())
        .collect();
    places.sort();
    // What lies in another hidden place is hidden with it, and has nowhere to be mounted.
    places.dedup_by(|next, before| next.starts_with(&*before));
    let mut left = Vec::new();
    while let Some(place) = places.pop() {
        // Where the user names a part of it, what lies beside the way there is hidden instead.
        let parts = confinement.read_only.iter().chain(&confinement.writable);
        if is_shown(&place) || confinement.hidden.contains(&place) {
            continue;
        }
        if parts.into_iter().any(|part| part.starts_with(&place)) {
            places.extend(fs::read_dir(&place).into_iter().flatten().flatten().map(|entry| entry.path()));
            continue;
        }
        left.push(place);
    }
    left
}

/// Whether a directory is there for the server, so that it can start in it.
pub(super) fn is_seen(confinement: &Confinement, directory: &Path) -> bool {
    let is_shown = |path: &Path| confinement.read_only.iter().chain(&confinement.writable).any(|at| at == path);
    let nearest = directory.ancestors().find(|at| is_shown(at) || confinement.hidden.iter().any(|place| place == at));
    confinement.home.as_deref() == Some(directory)
        || nearest.is_some_and(|at| !confinement.hidden.iter().any(|place| place == at))
}

struct View<'a> {
    confinement: &'a mut Confinement,
    hidden: &'a [HiddenPlace],
    left: usize,
    unshown: usize,
}

impl View<'_> {
    /// Shows what lies in a directory, entry by entry.
    fn entries(&mut self, directory: &Path, is_left_out: impl Fn(&OsStr) -> bool) {
        let mut entries: Vec<_> = fs::read_dir(directory).into_iter().flatten().flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries.into_iter().filter(|entry| !is_left_out(&entry.file_name())) {
            let path = entry.path();
            if self.is_hidden(&path) || self.holds_a_file(&path) {
                continue;
            }
            match entry.file_type() {
                // As a link: what it leads to is shown, or not, by its own name.
                Ok(kind) if kind.is_symlink() => {
                    if let Ok(target) = fs::read_link(&path) {
                        self.confinement.links.push((path, target));
                    }
                }
                Ok(kind) if kind.is_dir() || kind.is_file() => self.show(&path),
                // Sockets, pipes and devices belong to those who listen there.
                _ => {}
            }
        }
    }

    fn show(&mut self, path: &Path) {
        if self.is_hidden(path)
            || self.holds_a_file(path)
            || self.confinement.read_only.iter().chain(&self.confinement.writable).any(|at| at == path)
        {
            return;
        }
        if self.left == 0 {
            self.unshown += 1;
            return;
        }
        self.left -= 1;
        self.confinement.read_only.push(path.to_owned());
    }

    /// Whether the profile puts a file of its own there: what lies on the machine is not seen then.
    fn holds_a_file(&self, path: &Path) -> bool {
        self.confinement.files.iter().any(|(file, _)| file.starts_with(path))
    }

    fn is_hidden(&self, path: &Path) -> bool {
        self.hidden.iter().any(|place| path.starts_with(&place.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_shown_but_for_what_is_hidden() {
        let root = tempfile::tempdir_in("/var/tmp").unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        let home = root.join("home");
        for name in [".ssh", ".config/gcloud", "project", "x"] {
            fs::create_dir_all(home.join(name)).unwrap();
        }
        fs::write(home.join(".netrc"), "").unwrap();
        std::os::unix::fs::symlink(home.join(".ssh"), home.join("link")).unwrap();
        let hidden = bartizan_config::learned::hidden(std::slice::from_ref(&home), &[home.join("x")], |_| None);
        let files = vec![(home.join("kept/settings"), String::new())];
        fs::create_dir(home.join("kept")).unwrap();
        let mut confinement = Confinement { home: Some(home.clone()), files, ..Confinement::default() };
        let named = [root.clone(), "/".into(), "/tmp".into(), home.join("project"), home.join(".ssh")];
        assert_eq!(widen(&mut confinement, &hidden, &named), 0);
        let shown = |path: &Path| confinement.read_only.iter().any(|at| at == path);
        assert!(shown(Path::new("/usr")) && shown(&home.join("project")) && shown(&home.join(".config")));
        for path in [
            home.join(".ssh"),
            home.join(".netrc"),
            home.join("x"),
            home.join("kept"),
            home.join("link"),
            root,
            "/".into(),
            "/tmp".into(),
            "/proc".into(),
            "/root".into(),
            "/etc".into(),
            "/etc/passwd".into(),
            "/etc/shadow".into(),
        ] {
            assert!(!shown(&path), "{path:?}");
        }
        assert!(
            confinement.hidden.contains(&home.join(".config/gcloud"))
                && !confinement.hidden.contains(&home.join(".ssh"))
        );
        assert!(confinement.links.contains(&(home.join("link"), home.join(".ssh"))));
    }
}
