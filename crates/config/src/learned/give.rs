//! What of the files a profile gives, and what it does not.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::known::{Known, Places};
use super::{Deed, PathUse, Run, leads, plain, real};

/// As many files of one directory as stand by themselves; of more the directory is given.
const SIBLINGS: usize = 4;
/// Entries of a list that somebody reads.
pub(super) const READABLE: usize = 48;
/// Lines about what is not given, of each kind but of what is hidden.
const FEW: usize = 16;
/// Entries below a directory that are looked at before it is given as a whole.
const LOOKED: usize = 20_000;
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
    /// By what was asked for, and of what.
    pub(super) lines: BTreeMap<(&'static str, PathBuf), String>,
    pub(super) more: usize,
    counts: BTreeMap<&'static str, usize>,
}

impl Refused {
    fn add(&mut self, what: &'static str, path: &Path, why: String) {
        let line = (what, path.to_owned());
        if self.lines.contains_key(&line) {
            return;
        }
        let count = self.counts.entry(what).or_default();
        // Of hidden places there are few, each is said once, and none is lost among others.
        if what == "hidden" || *count < FEW {
            *count = count.saturating_add(1);
            self.lines.insert(line, why);
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
    let known = Known::new(run);
    let mut given = Given::default();
    let mut wanted = Wanted::default();
    let (mut changed, mut read) = (BTreeMap::new(), BTreeMap::new());
    for one in &run.paths {
        let path = plain(&one.path);
        let found = real(&one.path);
        match sort(&known, one, &path, found.as_deref()) {
            Sorted::Nothing => {}
            Sorted::Hidden(place, why) => given.refused.add("hidden", &place, why),
            Sorted::Held(why) => given.refused.add("change", &path, why),
            Sorted::Changed(at) => drop(changed.entry(at).or_insert_with(|| one.by.clone())),
            Sorted::Named(at) => drop(read.entry(at).or_insert_with(|| one.by.clone())),
            Sorted::Wanted => wanted.add(one, path, found, &known),
            Sorted::Refused(what) => given.refused.add(what, &path, format!("by {}", one.by)),
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
    wanted.give(&known, &mut given);
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
    /// In this place, which the user named to be changed.
    Changed(PathBuf),
    /// In this place, which the user named.
    Named(PathBuf),
    Wanted,
    /// It was not there in that run, or is nothing that a profile gives.
    Refused(&'static str),
}

fn sort(known: &Known<'_>, one: &PathUse, path: &Path, found: Option<&Path>) -> Sorted {
    let run = known.run;
    if !path.is_absolute()
        || OWN.iter().any(|own| path.starts_with(own))
        || MADE.iter().any(|made| path == Path::new(made))
    {
        return Sorted::Nothing;
    }
    let both = || [Some(path), found].into_iter().flatten();
    if let Some(place) = known.hidden_place(path, found) {
        return Sorted::Hidden(place.path.clone(), format!("{}; by {}", place.why, one.by));
    }
    if one.deed == Deed::Change {
        if let Some(at) = known.writable.holding(path, found) {
            let below = run.writable.iter().find_map(|at| path.strip_prefix(at).ok());
            let is_held = below.is_some_and(|below| run.protected.iter().any(|name| below.starts_with(name)));
            return if is_held {
                Sorted::Held(format!("kept as it is by fs.deny; by {}", one.by))
            } else {
                Sorted::Changed(at.to_owned())
            };
        }
        if known.changed_anyway.holding(path, found).is_some() {
            return Sorted::Nothing;
        }
        return if is_scratch(run, path, is_shown_at_home(run, path)) {
            Sorted::Nothing
        } else {
            Sorted::Held(format!("by {}", one.by))
        };
    }
    if let Some(at) = known.writable.holding(path, found).or_else(|| known.read_only.holding(path, found)) {
        return Sorted::Named(at.to_owned());
    }
    let Some(found) = found.filter(|_| !is_scratch(run, path, true)) else { return Sorted::Nothing };
    if ["/sys", "/run", "/boot"].iter().any(|place| both().any(|path| path.starts_with(place))) {
        return if one.deed == Deed::Look { Sorted::Nothing } else { Sorted::Refused("unshown") };
    }
    match () {
        () if both().all(|path| known.is_shown_anyway(path)) => Sorted::Nothing,
        // What it was refused in that run it is not given by having asked: there may be more than it knew of.
        () if !known.was_there(found) => Sorted::Refused(if one.deed == Deed::Look { "look" } else { "absent" }),
        () if !(found.is_file() || found.is_dir()) => Sorted::Refused("special"),
        () => Sorted::Wanted,
    }
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
    fn add(&mut self, one: &PathUse, path: PathBuf, found: Option<PathBuf>, known: &Known<'_>) {
        // As it was named, and what that leads to: a link in the way is the user's, and both have to be there.
        // With `..` behind a link it is not what it seems, and was not what was used.
        let named = Some(path).filter(|path| real(path) == found);
        let both = [named, found].into_iter().flatten();
        for path in both.filter(|path| !known.is_shown_anyway(path)) {
            let list = match one.deed {
                Deed::Look => &mut self.looked,
                _ if path.is_dir() => &mut self.listed,
                _ => &mut self.files,
            };
            list.entry(path).or_insert_with(|| one.by.clone());
        }
    }

    /// Sorts it into what is given and what is not.
    fn give(mut self, known: &Known<'_>, given: &mut Given) {
        self.with_sources();
        let chosen = self.chosen(known);
        let before = given.read_only.keys().chain(given.writable.keys());
        let all: HashSet<PathBuf> = chosen.keys().chain(before).cloned().collect();
        let is_covered = |path: &Path| path.ancestors().skip(1).any(|at| all.contains(at));
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
        let is_given = |path: &Path| path.ancestors().any(|at| all.contains(at));
        for (path, by) in from_the_top(self.listed).filter(|(path, _)| !is_given(path)) {
            given.refused.add("list", &path, format!("everything below would be seen; by {by}"));
        }
        // What lies above of something that is there is looked at by whoever looks for that.
        let seen = all.iter().chain(&known.run.shown_anyway).chain(&known.run.home);
        let above: HashSet<&Path> = seen.flat_map(|path| path.ancestors()).collect();
        let is_above = |path: &PathBuf| above.contains(path.as_path());
        for (path, by) in from_the_top(self.looked).filter(|(path, _)| !is_given(path) && !is_above(path)) {
            given.refused.add("look", &path, format!("by {by}"));
        }
    }

    /// Adds what compiled modules of Python were made from, if they were looked for: without that they are not read.
    fn with_sources(&mut self) {
        let source = |(file, by): (&PathBuf, &String)| {
            let cache = file.parent().filter(|cache| cache.file_name() == Some(OsStr::new("__pycache__")))?;
            let (module, _) = file.file_name()?.to_str()?.strip_suffix(".pyc")?.split_once('.')?;
            let source = cache.with_file_name(format!("{module}.py"));
            (self.looked.contains_key(&source) && source.is_file()).then(|| (source, by.clone()))
        };
        let sources: Vec<_> = self.files.iter().filter_map(source).collect();
        for (source, by) in sources {
            self.files.entry(source).or_insert(by);
        }
    }

    /// Files, or directories in their place, each with why.
    fn chosen(&self, known: &Known<'_>) -> BTreeMap<PathBuf, String> {
        let mut chosen: BTreeMap<PathBuf, String> = BTreeMap::new();
        let meant = self.meant(known, &mut chosen);
        let mut beside: BTreeMap<PathBuf, Vec<(&PathBuf, &String)>> = BTreeMap::new();
        for (file, by) in &self.files {
            match packages(file).filter(|at| !known.is_wide(at) && known.was_shown(at)) {
                Some(at) => drop(chosen.entry(at).or_insert_with(|| format!("packages, read by {by}"))),
                None => beside.entry(file.parent().unwrap_or(Path::new("/")).to_owned()).or_default().push((file, by)),
            }
        }
        let is_open =
            |directory: &Path| !known.is_wide(directory) && known.was_shown(directory) && !has_secrets(directory);
        for (directory, by) in &self.listed {
            let read = beside.get(directory).map_or(0, Vec::len);
            let is_meant = meant.holding(directory, real(directory).as_deref()).is_some() && known.is_narrow(directory);
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

    /// Directories that the command names and that may be given as that; chooses those that were used.
    fn meant(&self, known: &Known<'_>, chosen: &mut BTreeMap<PathBuf, String>) -> Places {
        let words = known.run.arguments.iter().filter(|word| word.is_dir() && known.is_narrow(word));
        let words: BTreeSet<&Path> = words.map(PathBuf::as_path).collect();
        let mut uses: BTreeMap<&Path, usize> = BTreeMap::new();
        for path in self.files.keys().chain(self.listed.keys()) {
            for word in path.ancestors().filter(|at| words.contains(at)) {
                let count = uses.entry(word).or_default();
                *count = count.saturating_add(1);
            }
        }
        for word in words.iter().filter(|word| !known.is_shown_anyway(word)) {
            let count = uses.get(word).copied().unwrap_or_default();
            let why = match self.looked.get(*word) {
                _ if count >= SIBLINGS => format!("named by the command, {count} uses; everything below is seen"),
                // Whoever is told of a directory and looks whether it is one works in it later.
                Some(by) => format!("named by the command, and looked at by {by}; everything below is seen"),
                None => continue,
            };
            chosen.insert((*word).to_owned(), why);
        }
        Places::new(words.into_iter())
    }
}

/// In the order of how wide they are, so that masses of small ones hide none that is wide.
fn from_the_top(list: BTreeMap<PathBuf, String>) -> impl Iterator<Item = (PathBuf, String)> {
    let mut list: Vec<_> = list.into_iter().collect();
    list.sort_by_cached_key(|(path, _)| path.components().count());
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

/// Whether something in it, or below, looks like a secret; also if it is too much to be looked at.
fn has_secrets(directory: &Path) -> bool {
    let mut open = vec![directory.to_owned()];
    let mut looked = 0_usize;
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            looked = looked.saturating_add(1);
            if looked > LOOKED || looks_secret(&entry.path()) {
                return true;
            }
            let is_packages = PACKAGES.iter().any(|name| entry.file_name() == *name);
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !is_packages {
                open.push(entry.path());
            }
        }
    }
    false
}

fn looks_secret(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let ends = [".pem", ".key", ".p12", ".pfx", ".kdbx", ".keystore", ".jks", ".tfstate"];
    let whole =
        [".git-credentials", ".netrc", ".npmrc", ".pgpass", ".pypirc", ".vault-token", "condarc", "npmrc", "pip.conf"];
    let starts = [".env", "id_rsa", "id_ed25519", "id_ecdsa", "credentials", "secrets", "service_account"];
    whole.contains(&&*name)
        || ends.iter().any(|end| name.ends_with(end))
        || starts.iter().any(|start| name.starts_with(start))
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

/// Names what is to stay hidden in what is given, also what is not there yet.
fn hide(run: &Run, given: &mut Given) {
    let places: BTreeMap<PathBuf, &'static str> =
        run.hidden.iter().map(|place| (leads(&place.path), place.why)).collect();
    let named: Vec<PathBuf> = given.read_only.keys().chain(given.writable.keys()).map(|path| leads(path)).collect();
    let anyway: Vec<PathBuf> = run.shown_anyway.iter().chain(&run.changed_anyway).map(|path| leads(path)).collect();
    let shown = || named.iter().chain(&anyway);
    for (place, why) in &places {
        let is_below = shown().any(|at| place.starts_with(at));
        // With a hidden place in another one nothing starts, and what the user named is meant.
        let in_another = place.ancestors().any(|above| given.hidden.contains_key(above));
        let is_meant = shown().any(|at| at == place);
        if is_below && !in_another && !is_meant && unwritable(place).is_none() {
            given.hidden.insert(place.clone(), (*why).to_owned());
        }
    }
    // What lies in a place that is hidden for the sake of another could not be shown there.
    let hidden: BTreeSet<PathBuf> = given.hidden.keys().cloned().collect();
    let is_lost = |path: &PathBuf| leads(path).ancestors().any(|at| hidden.contains(at));
    let (read_only, writable) = (&mut given.read_only, &mut given.writable);
    for list in [read_only, writable] {
        let lost: Vec<PathBuf> = list.keys().filter(|path| is_lost(path)).cloned().collect();
        for path in lost {
            list.remove(&path);
            given.refused.add("hidden", &path, "named, but in a hidden place of what is given as well".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_found_at_any_depth_but_not_in_packages() {
        let root = tempfile::tempdir().unwrap();
        for (at, expected) in [
            ("src/index.js", false),
            ("node_modules/tls/test/ca.pem", false),
            ("a/b/c/notes.txt", false),
            ("a/b/c/prod.pem", true),
        ] {
            let file = root.path().join(at);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, "").unwrap();
            assert_eq!(has_secrets(root.path()), expected, "{at}");
        }
    }
}
