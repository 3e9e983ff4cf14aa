//! A second wall behind the mounts: what may be written, and whom one may signal.
//!
//! Threat: an error in the making of mounts, or a hole in the kernel's handling of them. Landlock is another mechanism
//! with another history, so it is told the same again: everything that is seen may be read, and only what the profile
//! makes writable may be changed. It also keeps the server from signalling the sandbox's own first process.

use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
    RulesetError, Scope,
};

use crate::Confinement;
use crate::linux::sys;

type Rule = PathBeneath<PathFd>;

/// The newest version whose rights are asked for; of an older kernel as many as it has.
const NEWEST: ABI = ABI::V6;
/// Written to whatever the profile says; each is a mount of its own.
const ALWAYS: &[&str] = &["/tmp", "/var/tmp", "/dev"];

/// The version this kernel has; none if it has none, or it is switched off.
pub(in crate::linux) fn version() -> Option<u32> {
    sys::landlock_version()
}

/// Puts the rules on this process and all that it starts.
pub(super) fn restrict(confinement: &Confinement) -> io::Result<()> {
    let always = ALWAYS.iter().map(PathBuf::from);
    // A browser writes the maps of its own namespaces; the mount is read-only for all others.
    let nested = confinement.exceptions.namespaces.then(|| PathBuf::from("/proc"));
    let named = confinement.writable.iter().chain(&confinement.home).cloned();
    let mut rules = vec![rule(Path::new("/"), AccessFs::from_read(NEWEST))?];
    for path in always.chain(nested).chain(named) {
        let rights = if path.is_dir() { AccessFs::from_all(NEWEST) } else { AccessFs::from_file(NEWEST) };
        rules.push(rule(&path, rights)?);
    }
    enforce(rules).map_err(io::Error::other)
}

fn enforce(rules: Vec<Rule>) -> Result<(), RulesetError> {
    let ruleset =
        Ruleset::default().handle_access(AccessFs::from_all(NEWEST))?.scope(Scope::from_all(NEWEST))?.create()?;
    ruleset.add_rules(rules.into_iter().map(Ok::<_, RulesetError>))?.restrict_self()?;
    Ok(())
}

fn rule(path: &Path, rights: BitFlags<AccessFs>) -> io::Result<Rule> {
    Ok(PathBeneath::new(PathFd::new(path).map_err(io::Error::other)?, rights))
}
