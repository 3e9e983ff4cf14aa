//! What of the files a profile gives, and what it does not.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::places::OWN_PLACE;
use super::{Deed, HiddenPlace, PathUse, Run, plain, real};

/// As many files of one directory as stand by themselves; of more the directory is given.
const SIBLINGS: usize = 4;
/// Entries of a list that somebody reads.
pub(super) const READABLE: usize = 48;
/// Lines about what is not given, of each kind but of what is hidden.
const FEW: usize = 16;
/// Directories whose entries have nothing to do with each other.
const COLLECTIONS: &[&str] =
    &["/home", "/media", "/mnt", "/opt", "/srv", "/var", "/var/lib", "/var/log", "/var/cache", "/etc"];
/// In these packages of one program lie, and nothing else.
const PACKAGES: &[&str] = &["node_modules", "site-packages", "dist-packages"];
/// What the system makes for each sandbox; the machine's is not needed.
const MADE: &[&str] =
    &["/etc/group", "/etc/hostname", "/etc/hosts", "/etc/nsswitch.conf", "/etc/passwd", "/etc/resolv.conf"];
/// What each sandbox has of its own.
const OWN: &[&str] = &["/proc", "/dev"];

/// What the files of a profile are.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// To be read, each with why.
    pub(super) read_only: BTreeMap<PathBuf, String>,
    /// To be changed.
    pub(super) writable: BTreeMap<PathBuf, String>,
    /// Hidden in what is given.
    pub(super) hidden: BTreeMap<PathBuf, String>,
    /// What was asked for and is not given, and why.
    pub(super) refused: Refused,
}

/// Lines, as many as are read, and how many more there would be.
#[derive(Debug, Default)]
pub(super) struct Refused {
    pub(super) lines: BTreeSet<(String, PathBuf, String)>,
    pub(super) more: usize,
}

impl Refused {
    fn add(&mut self, what: &str, path: &Path, why: String) {
        if self.lines.iter().any(|(known, at, _)| known == what && at == path) {
            return;
        }
        // Of hidden places there are few, each is said once, and none is lost among others.
        if what == "hidden" || self.lines.iter().filter(|(known, ..)| known == what).count() < FEW {
            self.lines.insert((what.to_owned(), path.to_owned(), why));
        } else {
            self.more = self.more.saturating_add(1);
        }
    }
}

/// What was read and is not seen anyway.
#[derive(Debug, Default)]
struct Wanted {
    /// Files, each with who read it.
    files: BTreeMap<PathBuf, String>,
    /// Directories that were listed.
    listed: BTreeMap<PathBuf, String>,
    /// What was looked at only.
    looked: BTreeMap<PathBuf, String>,
}

pub(super) fn given(run: &Run) -> Given {
    let mut given = Given::default();
    let mut wanted = Wanted::default();
    let (mut changed, mut read) = (BTreeMap::new(), BTreeMap::new());
    for one in &run.paths {
        let path = plain(&one.path);
        let named = |list: &[PathBuf]| list.iter().find(|at| is_in(&path, at)).cloned();
        match sort(run, one, &path) {
            Sorted::Nothing => {}
            Sorted::Hidden(place, why) => given.refused.add("hidden", &place, why),
            Sorted::Held(why) => given.refused.add("change", &path, why),
            Sorted::Changed => drop(named(&run.writable).map(|at| changed.entry(at).or_insert_with(|| one.by.clone()))),
            Sorted::Named => {
                let at = named(&run.writable).or_else(|| named(&run.read_only));
                at.map(|at| read.entry(at).or_insert_with(|| one.by.clone()));
            }
            Sorted::Wanted => wanted.add(one, path, run),
            Sorted::Unshown => given.refused.add("unshown", &path, format!("by {}", one.by)),
        }
    }
    for at in &run.writable {
        match (changed.get(at), read.get(at)) {
            (Some(by), _) => drop(given.writable.insert(at.clone(), format!("changed by {by}"))),
            (None, Some(by)) => {
                given.read_only.insert(at.clone(), format!("named to be changed, and only read, by {by}"));
            }
            (None, None) => given.refused.add("unused", at, "named to be changed, and not used".to_owned()),
        }
    }
    for at in &run.read_only {
        match read.get(at) {
            Some(by) => drop(given.read_only.insert(at.clone(), format!("named, and read by {by}"))),
            None => given.refused.add("unused", at, "named to be read, and not used".to_owned()),
        }
    }
    wanted.give(run, &mut given);
    hide(run, &mut given);
    given
}

/// What becomes of one use of a path.
enum Sorted {
    /// It is there anyway, or nowhere.
    Nothing,
    Hidden(PathBuf, String),
    /// It would have been changed.
    Held(String),
    /// In a place that the user named to be changed.
    Changed,
    /// In a place that the user named.
    Named,
    Wanted,
    /// A sandbox has no such thing.
    Unshown,
}

fn sort(run: &Run, one: &PathUse, path: &Path) -> Sorted {
    if !path.is_absolute()
        || OWN.iter().any(|own| path.starts_with(own))
        || MADE.iter().any(|made| path == Path::new(made))
    {
        return Sorted::Nothing;
    }
    let found = real(&one.path);
    let both = || [Some(path), found.as_deref()].into_iter().flatten();
    // Who names what lies there means it, unless it is Bartizan's own.
    let is_meant = |place: &HiddenPlace| {
        let named = run.read_only.iter().chain(&run.writable);
        place.why != OWN_PLACE && named.into_iter().any(|at| at.starts_with(&place.path) && is_in(path, at))
    };
    let mut hidden = run.hidden.iter().filter(|place| both().any(|path| path.starts_with(&place.path)));
    let hidden = hidden.find(|place| !is_meant(place));
    if let Some(place) = hidden {
        return Sorted::Hidden(place.path.clone(), format!("{}; by {}", place.why, one.by));
    }
    let is_named = |list: &[PathBuf]| list.iter().any(|at| is_in(path, at));
    if one.deed == Deed::Change {
        if is_named(&run.writable) {
            let below = run.writable.iter().find_map(|at| path.strip_prefix(at).ok());
            let is_held = below.is_some_and(|below| run.protected.iter().any(|name| below.starts_with(name)));
            return if is_held {
                Sorted::Held(format!("kept as it is by fs.deny; by {}", one.by))
            } else {
                Sorted::Changed
            };
        }
        if is_named(&run.changed_anyway) {
            return Sorted::Nothing;
        }
        return if is_scratch(run, path, is_shown_at_home(run, path)) {
            Sorted::Nothing
        } else {
            Sorted::Held(format!("by {}", one.by))
        };
    }
    if is_named(&run.writable) || is_named(&run.read_only) {
        return Sorted::Named;
    }
    if found.is_none() || is_scratch(run, path, true) {
        return Sorted::Nothing;
    }
    if ["/sys", "/run", "/boot"].iter().any(|place| path.starts_with(place)) {
        return if one.deed == Deed::Look { Sorted::Nothing } else { Sorted::Unshown };
    }
    if both().all(|path| is_shown(run, path)) { Sorted::Nothing } else { Sorted::Wanted }
}

/// Whether it is `at`, or lies below.
fn is_in(path: &Path, at: &Path) -> bool {
    path.starts_with(at) || real(path).is_some_and(|path| real(at).is_some_and(|at| path.starts_with(at)))
}

fn is_shown(run: &Run, path: &Path) -> bool {
    run.shown_anyway.iter().chain(&run.changed_anyway).any(|shown| path.starts_with(shown))
}

/// Whether it lies below something that is in the home on the machine, and was shown as it is.
fn is_shown_at_home(run: &Run, path: &Path) -> bool {
    let first = run.home.as_ref().and_then(|home| Some(home.join(path.strip_prefix(home).ok()?.components().next()?)));
    first.is_some_and(|first| std::fs::symlink_metadata(first).is_ok())
}

/// Whether it lies where the server has room of its own: also in its home, unless it is there on the machine.
fn is_scratch(run: &Run, path: &Path, is_there: bool) -> bool {
    run.scratch.iter().any(|place| path.starts_with(place))
        || run.home.as_ref().is_some_and(|home| path == home || path.starts_with(home) && !is_there)
}

impl Wanted {
    fn add(&mut self, one: &PathUse, path: PathBuf, run: &Run) {
        // As it was named, and what that leads to: a link in the way is the user's, and both have to be there.
        let found = real(&one.path);
        let both = [Some(path), found].into_iter().flatten();
        for path in both.filter(|path| !is_shown(run, path)) {
            let list = match one.deed {
                Deed::Look => &mut self.looked,
                _ if path.is_dir() => &mut self.listed,
                _ => &mut self.files,
            };
            list.entry(path).or_insert_with(|| one.by.clone());
        }
    }

    /// Sorts it into what is given and what is not.
    fn give(self, run: &Run, given: &mut Given) {
        let chosen = self.chosen(run);
        let before = given.read_only.keys().chain(given.writable.keys());
        let all: Vec<PathBuf> = chosen.keys().chain(before).cloned().collect();
        let is_covered = |path: &Path| all.iter().any(|at| path != at && path.starts_with(at));
        let mut count = 0_usize;
        for (path, why) in chosen.into_iter().filter(|(path, _)| !is_covered(path)) {
            if let Some(wrong) = unwritable(&path) {
                given.refused.add("read", &path, wrong.to_owned());
            } else if count < READABLE {
                count = count.saturating_add(1);
                given.read_only.entry(path).or_insert(why);
            } else {
                let why = format!("more than {READABLE} entries are read by nobody; name what they lie in");
                given.refused.add("read", &path, why);
            }
        }
        let is_given = |path: &Path| all.iter().any(|at| path.starts_with(at));
        for (path, by) in from_the_top(self.listed).filter(|(path, _)| !is_given(path)) {
            given.refused.add("list", &path, format!("everything below would be seen; by {by}"));
        }
        // What lies above of something that is there is looked at by whoever looks for that.
        let seen = || all.iter().chain(&run.shown_anyway).chain(&run.home);
        let is_above = |path: &Path| seen().any(|at| at.starts_with(path));
        for (path, by) in from_the_top(self.looked).filter(|(path, _)| !is_given(path) && !is_above(path)) {
            given.refused.add("look", &path, format!("by {by}"));
        }
    }

    /// Files, or directories in their place, each with why.
    fn chosen(&self, run: &Run) -> BTreeMap<PathBuf, String> {
        let mut chosen: BTreeMap<PathBuf, String> = BTreeMap::new();
        let meant: Vec<&PathBuf> = run.arguments.iter().filter(|word| word.is_dir() && is_narrow(run, word)).collect();
        for word in &meant {
            let count = self.files.keys().chain(self.listed.keys()).filter(|path| path.starts_with(word)).count();
            if count >= SIBLINGS && !is_shown(run, word) {
                chosen.insert((*word).clone(), format!("named by the command, {count} uses; everything below is seen"));
            }
        }
        let mut beside: BTreeMap<PathBuf, Vec<(&PathBuf, &String)>> = BTreeMap::new();
        for (file, by) in &self.files {
            match packages(file).filter(|at| !is_wide(run, at)) {
                Some(at) => drop(chosen.entry(at).or_insert_with(|| format!("packages, read by {by}"))),
                None => beside.entry(file.parent().unwrap_or(Path::new("/")).to_owned()).or_default().push((file, by)),
            }
        }
        let is_open = |directory: &Path| !is_wide(run, directory) && !has_secrets(directory);
        for (directory, by) in &self.listed {
            let read = beside.get(directory).map_or(0, Vec::len);
            let is_meant = meant.iter().any(|word| is_in(directory, word)) && !holds_too_much(run, directory);
            if is_meant || read >= 2 && is_open(directory) {
                let why = format!("listed by {by}; everything below is seen");
                chosen.entry(directory.clone()).or_insert(why);
            }
        }
        for (directory, files) in beside {
            if files.len() >= SIBLINGS && is_open(&directory) {
                let (count, by) = (files.len(), files.first().map(|(_, by)| by.as_str()).unwrap_or_default());
                let why = format!("{count} files read, first by {by}; everything below is seen");
                chosen.entry(directory).or_insert(why);
                continue;
            }
            for (file, by) in files {
                let warning = if looks_secret(file) { "; it looks like a secret" } else { "" };
                chosen.insert(file.clone(), format!("read by {by}{warning}"));
            }
        }
        chosen
    }
}

/// In the order of how wide they are, so that masses of small ones hide none that is wide.
fn from_the_top(list: BTreeMap<PathBuf, String>) -> impl Iterator<Item = (PathBuf, String)> {
    let mut list: Vec<_> = list.into_iter().collect();
    list.sort_by_key(|(path, _)| path.components().count());
    list.into_iter()
}

/// The directory of the packages that a file belongs to.
fn packages(file: &Path) -> Option<PathBuf> {
    let at = file
        .ancestors()
        .skip(1)
        .filter(|at| at.file_name().is_some_and(|name| PACKAGES.iter().any(|one| name == OsStr::new(one))));
    at.last().map(Path::to_owned)
}

/// Whether more lies there than a few uses may open: all of a user's, all of the machine's, or what is hidden.
fn is_wide(run: &Run, directory: &Path) -> bool {
    let is_collection = COLLECTIONS.iter().any(|place| directory == Path::new(place));
    let in_a_collection = ["/home", "/media", "/mnt"].iter().any(|place| directory.parent() == Some(Path::new(place)));
    let of_the_user = run.home.as_ref().is_some_and(|home| directory.parent() == Some(home));
    let is_high = directory.components().count() <= 2;
    is_high || is_collection || in_a_collection || of_the_user || holds_too_much(run, directory)
}

/// Whether a directory that the command names may be given as that.
fn is_narrow(run: &Run, directory: &Path) -> bool {
    directory.components().count() > 2 && !holds_too_much(run, directory)
}

/// Whether it holds what nobody means who names a directory.
fn holds_too_much(run: &Run, directory: &Path) -> bool {
    directory.parent().is_none()
        || run.home.as_ref().is_some_and(|home| home.starts_with(directory))
        || run.hidden.iter().any(|place| place.path.starts_with(directory))
}

/// Whether one of its files looks like a secret.
fn has_secrets(directory: &Path) -> bool {
    std::fs::read_dir(directory).into_iter().flatten().flatten().any(|entry| looks_secret(&entry.path()))
}

fn looks_secret(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let ends = [".pem", ".key", ".p12", ".pfx", ".kdbx", ".keystore", ".jks", ".tfstate"];
    let starts = [".env", "id_rsa", "id_ed25519", "id_ecdsa", "credentials", "secrets", "service_account"];
    ends.iter().any(|end| name.ends_with(end)) || starts.iter().any(|start| name.starts_with(start))
}

/// Why a configuration cannot name a path; none if it can.
pub(super) fn unwritable(path: &Path) -> Option<&'static str> {
    match path.to_str() {
        None => Some("its name is no UTF-8, which a configuration is"),
        Some(text) if text.contains(['*', '?', '$']) || text.starts_with('~') => {
            Some("its name has a sign that a configuration does not take in a path")
        }
        Some(_) => None,
    }
}

/// Names what is to stay hidden in what is given.
fn hide(run: &Run, given: &mut Given) {
    let all: Vec<PathBuf> = given.read_only.keys().chain(given.writable.keys()).cloned().collect();
    for place in run.hidden.iter().filter(|place| all.iter().any(|at| place.path.starts_with(at))) {
        if place.path.exists() && unwritable(&place.path).is_none() {
            given.hidden.insert(place.path.clone(), place.why.to_owned());
        }
    }
}
