//! The smallest profile that fits what one run of a server was seen to do, as a text to be read before it is used.
//!
//! **Threat.** The server that is looked at writes this file with its own deeds: it names paths with line breaks in them, reads
//! thousands of files so that nobody reads the list, opens `/` once, or asks for keys, in the hope that a profile gives it
//! what nobody meant, or it asks for what it is refused so as to have it the next time. So what is given is decided by rules that a server's deeds only fulfil: nothing that was not
//! shown to it, nothing wide, nothing that holds secrets, nothing in masses; and whatever it named is written as a quoted text or in a comment that has one line.
//!
//! What lies on the machine is looked at (whether a path is there, what it leads to); nothing is started or changed.

mod give;
mod hosts;
mod known;
mod places;
mod text;

use std::path::{Path, PathBuf};

pub use places::{HiddenPlace, hidden};

use crate::Allowed;
use crate::paths::plain;

/// What a program did with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// It looked whether it is there.
    Look,
    /// It read it.
    Read,
    /// It listed it.
    List,
    /// It ran it.
    Execute,
    /// It changed or made it, or tried to.
    Change,
}

/// A path that was named, and by which program first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathUse {
    /// What was done.
    pub deed: Deed,
    /// The path, as it was named.
    pub path: PathBuf,
    /// The program's file name.
    pub by: String,
}

/// A host that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostUse {
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Why it was refused; none if it was reached.
    pub refused: Option<String>,
}

/// What else was asked for and refused, and by which program first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Other {
    /// In words.
    pub what: String,
    /// The program's file name.
    pub by: String,
}

/// One run of a server: how it was held, and what was seen of it.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// What the profile is called.
    pub name: String,
    /// What it begins with.
    pub profile: Option<String>,
    /// The command, for whoever reads the profile.
    pub command: Vec<String>,
    /// Seen by every server of this command, whatever its profile says.
    pub shown_anyway: Vec<PathBuf>,
    /// Changed by every server of this command, whatever its profile says.
    pub changed_anyway: Vec<PathBuf>,
    /// Made for the server, and gone with it.
    pub scratch: Vec<PathBuf>,
    /// The server's home directory, which is made for it as well.
    pub home: Option<PathBuf>,
    /// What the user named to be read.
    pub read_only: Vec<PathBuf>,
    /// What the user named to be changed.
    pub writable: Vec<PathBuf>,
    /// Names in these that stay as they are.
    pub protected: Vec<PathBuf>,
    /// What is not shown to any server that is looked at, and not given.
    pub hidden: Vec<HiddenPlace>,
    /// What of the machine was shown in that run; what lies elsewhere was not there.
    pub shown: Vec<PathBuf>,
    /// What of that was shown empty.
    pub covered: Vec<PathBuf>,
    /// Existing paths among the words of the command.
    pub arguments: Vec<PathBuf>,
    /// What was let through.
    pub allowed: Vec<Allowed>,
    /// What of that is let through by what the profile begins with.
    pub allowed_anyway: Vec<Allowed>,
    /// What was named.
    pub paths: Vec<PathUse>,
    /// Hosts that were asked for.
    pub hosts: Vec<HostUse>,
    /// What else was refused.
    pub others: Vec<Other>,
    /// Calls that could not be read.
    pub unread: u64,
    /// Names, and hosts, for which there was no room.
    pub left_out: u64,
    /// Whether the watch ended before the server.
    pub lost: bool,
    /// The most memory in use, and how much there was to be had.
    pub memory: (u64, u64),
    /// The most processes and threads, and how many there could be.
    pub pids: (u64, u64),
    /// Whether only lists were asked for.
    pub only_lists: bool,
}

impl Run {
    /// The profile as a table of a configuration, with what was asked for and not given as comments.
    #[must_use]
    pub fn profile(&self) -> String {
        text::written(self, &give::given(self), &hosts::given(self))
    }
}

/// What a path leads to; none if there is nothing.
fn real(path: &Path) -> Option<PathBuf> {
    std::fs::canonicalize(path).ok()
}

/// Where a path leads, also where its end is not there yet.
fn leads(path: &Path) -> PathBuf {
    let there = path.ancestors().find_map(|at| Some((at, real(at)?)));
    match there.and_then(|(at, real)| Some((real, path.strip_prefix(at).ok()?))) {
        Some((real, rest)) if rest.as_os_str().is_empty() => real,
        Some((real, rest)) => real.join(rest),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests;
