//! How far a local program is kept apart: the level of its sandbox, and the runtime that gives it.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::problems::Problems;
use crate::tree::Place;

/// How far a program is kept apart from the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// In namespaces of its own, on this kernel.
    #[default]
    Process,
    /// The same, in a container that another program makes inside of that.
    Container,
    /// The same, with a kernel of its own.
    Vm,
    /// Not at all. That also has to be said where Bartizan is started, with `--allow-unconfined`.
    None,
}

impl Level {
    /// As the file has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Container => "container",
            Self::Vm => "vm",
            Self::None => "none",
        }
    }
}

/// The programs that give a level, the usual one first.
const RUNTIMES: &[(Level, &[&str])] = &[(Level::Container, &["runc", "crun"]), (Level::Vm, &["runsc"])];

/// The program that gives `level`; none if none is needed, or what is named gives another one.
pub(super) fn runtime(
    level: Level,
    named: Option<&str>,
    place: impl Fn(&[&str]) -> Place,
    problems: &mut Problems,
) -> Option<PathBuf> {
    let fitting = RUNTIMES.iter().find(|(gives, _)| *gives == level).map_or(&[][..], |(_, names)| names);
    let Some(named) = named else { return fitting.first().map(PathBuf::from) };
    let program = Path::new(named);
    let gives = RUNTIMES.iter().find(|(_, names)| names.iter().any(|name| is(program, name)));
    let problem = match gives {
        _ if fitting.is_empty() => format!("the level `{}` needs no runtime", level.as_str()),
        None => format!("`{named}` is no runtime that is known here"),
        Some((gives, _)) if *gives != level => {
            format!("`{named}` gives the level `{}`, not `{}`", gives.as_str(), level.as_str())
        }
        Some(_) if program.components().count() > 1 && !program.is_absolute() => {
            format!("`{named}` is neither the name of a program nor its whole path")
        }
        Some(_) => return Some(program.to_owned()),
    };
    problems
        .error(place(&["runtime"]), problem)
        .help("runc or crun for `container`, runsc for `vm`: the name, or the whole path of such a program");
    None
}

/// Whether a program is that one by its name, such as `/opt/runc-1.3`.
fn is(program: &Path, name: &str) -> bool {
    let rest = program.file_name().and_then(|file| file.to_str()).and_then(|file| file.strip_prefix(name));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
}

/// Refuses what would not hold where nothing does.
pub(super) fn alone(level: Level, keys: &[String], place: impl Fn(&[&str]) -> Place, problems: &mut Problems) {
    if level != Level::None {
        return;
    }
    // What a profile brings goes with it.
    let profile = keys.iter().any(|key| key == "profile");
    let stands =
        |key: &&String| if profile { *key == "profile" } else { !["level", "runtime"].contains(&key.as_str()) };
    for key in keys.iter().filter(stands) {
        problems
            .error(place(&[key]), format!("`{key}` does not hold at the level `none`, which confines nothing"))
            .help("leave it out, or choose another level");
    }
}
