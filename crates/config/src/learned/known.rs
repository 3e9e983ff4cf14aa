//! The places of a run, found by the ancestors of a path: a server names as many paths as are kept, and each is looked up in
//! as many steps as it has directories above.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::places::OWN_PLACE;
use super::{HiddenPlace, Run, real};

/// Directories whose entries have nothing to do with each other.
const COLLECTIONS: &[&str] =
    &["/home", "/media", "/mnt", "/opt", "/srv", "/var", "/var/lib", "/var/log", "/var/cache", "/etc"];

/// Places, as they are named and as what that leads to.
#[derive(Debug, Default)]
pub(super) struct Places {
    named: BTreeMap<PathBuf, PathBuf>,
    real: BTreeMap<PathBuf, PathBuf>,
}

impl Places {
    pub(super) fn new<'a>(paths: impl Iterator<Item = &'a Path>) -> Places {
        let mut places = Places::default();
        for path in paths {
            places.named.entry(path.to_owned()).or_insert_with(|| path.to_owned());
            if let Some(real) = real(path) {
                places.real.entry(real).or_insert_with(|| path.to_owned());
            }
        }
        places
    }

    /// The one that holds a path, which leads to `found`.
    pub(super) fn holding(&self, path: &Path, found: Option<&Path>) -> Option<&Path> {
        let named = path.ancestors().find_map(|at| self.named.get(at));
        let place = named.or_else(|| found?.ancestors().find_map(|at| self.real.get(at)));
        place.map(PathBuf::as_path)
    }
}

/// What there is to know of a run's places.
pub(super) struct Known<'a> {
    pub(super) run: &'a Run,
    pub(super) read_only: Places,
    pub(super) writable: Places,
    pub(super) changed_anyway: Places,
    /// As `HOME` names it, and what that leads to.
    homes: Vec<PathBuf>,
    hidden: BTreeMap<&'a Path, &'a HiddenPlace>,
    above_hidden: HashSet<&'a Path>,
    shown: HashSet<&'a Path>,
    above_shown: HashSet<&'a Path>,
    covered: HashSet<&'a Path>,
    anyway: HashSet<&'a Path>,
}

impl<'a> Known<'a> {
    pub(super) fn new(run: &'a Run) -> Known<'a> {
        let places = |paths: &[PathBuf]| Places::new(paths.iter().map(PathBuf::as_path));
        let mut hidden = BTreeMap::new();
        for place in &run.hidden {
            hidden.entry(place.path.as_path()).or_insert(place);
        }
        let home = run.home.as_deref();
        Known {
            run,
            read_only: places(&run.read_only),
            writable: places(&run.writable),
            changed_anyway: places(&run.changed_anyway),
            homes: home.map(Path::to_owned).into_iter().chain(home.and_then(real)).collect(),
            above_hidden: hidden.keys().flat_map(|path| path.ancestors()).collect(),
            hidden,
            shown: run.shown.iter().map(PathBuf::as_path).collect(),
            above_shown: run.shown.iter().flat_map(|path| path.ancestors()).collect(),
            covered: run.covered.iter().map(PathBuf::as_path).collect(),
            anyway: run.shown_anyway.iter().chain(&run.changed_anyway).map(PathBuf::as_path).collect(),
        }
    }

    /// The hidden place that a path lies in, unless the user named that path.
    pub(super) fn hidden_place(&self, path: &Path, found: Option<&Path>) -> Option<&'a HiddenPlace> {
        let mut places =
            [Some(path), found].into_iter().flatten().flat_map(Path::ancestors).filter_map(|at| self.hidden.get(at));
        // Who names what lies there means it, unless it is Bartizan's own.
        let is_meant = |place: &HiddenPlace| {
            let named = [&self.read_only, &self.writable].into_iter().filter_map(|list| list.holding(path, found));
            place.why != OWN_PLACE && named.into_iter().any(|at| at.starts_with(&place.path))
        };
        places.find(|place| !is_meant(place)).copied()
    }

    /// Whether every server of this command sees it.
    pub(super) fn is_shown_anyway(&self, path: &Path) -> bool {
        path.ancestors().any(|at| self.anyway.contains(at))
    }

    /// Whether what a path leads to was there in that run.
    pub(super) fn was_there(&self, found: &Path) -> bool {
        self.is_seen(found) || self.above_shown.contains(found)
    }

    /// Whether all of a directory was shown in that run, and not only a part of what lies in it.
    pub(super) fn was_shown(&self, directory: &Path) -> bool {
        real(directory).is_some_and(|found| self.is_seen(&found))
    }

    fn is_seen(&self, found: &Path) -> bool {
        let nearest = found.ancestors().find(|at| self.shown.contains(at) || self.covered.contains(at));
        nearest.is_some_and(|at| !self.covered.contains(at))
    }

    /// Whether more lies there than a few uses may open: all of a user's, all of the machine's, or what is hidden.
    pub(super) fn is_wide(&self, directory: &Path) -> bool {
        let is_collection = COLLECTIONS.iter().any(|place| directory == Path::new(place));
        let in_a_collection =
            ["/home", "/media", "/mnt"].iter().any(|place| directory.parent() == Some(Path::new(place)));
        let of_the_user = self.homes.iter().any(|home| directory.parent() == Some(home));
        let is_high = directory.components().count() <= 2;
        is_high || is_collection || in_a_collection || of_the_user || self.holds_too_much(directory)
    }

    /// Whether a directory that the command names may be given as that.
    pub(super) fn is_narrow(&self, directory: &Path) -> bool {
        directory.components().count() > 2 && !self.holds_too_much(directory) && self.was_shown(directory)
    }

    /// Whether it holds what nobody means who names a directory, by this name or by what it leads to.
    fn holds_too_much(&self, directory: &Path) -> bool {
        let found = real(directory);
        [Some(directory), found.as_deref()].into_iter().flatten().any(|directory| {
            directory.parent().is_none()
                || self.homes.iter().any(|home| home.starts_with(directory))
                || self.above_hidden.contains(directory)
        })
    }
}
