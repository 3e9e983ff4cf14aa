//! A file that was read, before it is known what it says.

use std::path::{Path, PathBuf};

use super::{Environment, MAX_FILE_BYTES};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::paths;
use crate::suggest::COMMAND;

/// A file that was read, and what is known before what it says is.
pub(super) struct Beginning {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) environment: Environment,
    pub(super) locks: Locks,
}

/// The lock file of a configuration that names none, and others that may be meant then.
#[derive(Clone)]
pub(super) struct Locks {
    pub(super) lock: PathBuf,
    pub(super) others: Vec<PathBuf>,
    pub(super) is_users: bool,
}

impl Locks {
    pub(super) fn in_directory(directory: &Path) -> Self {
        Locks { lock: paths::lock_in(directory), others: Vec::new(), is_users: false }
    }
}

impl Beginning {
    pub(super) fn of(path: &Path) -> Result<Self, Diagnostics> {
        let name = path.display().to_string();
        let text = text_of(path).map_err(|why| {
            let problem = Diagnostic::of_file(&name, why);
            let begin = format!("to begin one, write [server.NAME] and {COMMAND}");
            Diagnostics(vec![if path.exists() { problem } else { problem.with_help(begin) }])
        })?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // So that paths still mean the same after a change of directory.
        let directory = std::path::absolute(parent).unwrap_or_else(|_| parent.to_owned());
        let environment = Environment::of_process(&directory);
        // The user's own file is in two places if one is a link; it is the same for whoever names it either way.
        let own = user_config_place().filter(|own| paths::is_same_file(path, own));
        let home = own.is_some().then(|| environment.home()).flatten();
        let locks = match home {
            Some(home) => {
                let beside = own.iter().filter_map(|own| own.parent()).chain([directory.as_path()]);
                let (lock, others) = paths::lock_of_user(&home, beside);
                Locks { lock, others, is_users: true }
            }
            None => Locks::in_directory(&directory),
        };
        Ok(Beginning { name, text, environment, locks })
    }
}

pub(super) fn user_config_place() -> Option<PathBuf> {
    paths::user_config_place(|name| std::env::var_os(name))
}

fn text_of(path: &Path) -> Result<String, String> {
    let meta = std::fs::metadata(path).map_err(|error| format!("cannot read it: {error}"))?;
    if !meta.is_file() {
        return Err("not a regular file".to_owned());
    }
    if meta.len() > MAX_FILE_BYTES {
        return Err(format!("larger than {MAX_FILE_BYTES} bytes, so surely no configuration"));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("cannot read it: {error}"))?;
    String::from_utf8(bytes).map_err(|error| format!("not UTF-8 from byte {} on", error.utf8_error().valid_up_to()))
}
