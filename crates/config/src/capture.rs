//! Sealed capture of traffic, to be held against other policies later.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bartizan_policy::{Scope, Scopes};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::paths;
use crate::problems::Problems;
use crate::tree::{self, Node};
use crate::units::{Size, Span};

/// What clients ask of servers is recorded with its content, sealed, as soon as this table is there, for `policy test
/// --replay`. It is another thing than the audit log, which holds no content.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["path"]))]
pub(crate) struct CaptureTable {
    /// The directory of its files, which nobody else may write to.
    pub(crate) path: Option<PathBuf>,
    /// Of what: scopes such as `server:tickets` or `tool:files/read_*`; of everything without any. What is asked of no
    /// tool, resource or prompt is recorded where a whole server is named.
    pub(crate) only: Vec<String>,
    /// Whether results of tools are recorded as well, for `bartizan init --learn`. They hold more than what is asked.
    pub(crate) results: bool,
    /// A file that would grow beyond this is closed and the next one begun: 1 MiB at least. What is larger is not recorded.
    pub(crate) max_file_bytes: Size,
    /// What all files may take together, at least twice that; the oldest are removed for it.
    pub(crate) max_bytes: Size,
    /// What is older is removed.
    pub(crate) keep: Span,
}

impl Default for CaptureTable {
    fn default() -> Self {
        CaptureTable {
            path: None,
            only: Vec::new(),
            results: false,
            max_file_bytes: Size(64 << 20),
            max_bytes: Size(1 << 30),
            keep: Span::seconds(7 * 24 * 3_600),
        }
    }
}

/// Which traffic is recorded where, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// The directory.
    pub path: PathBuf,
    /// Of what.
    pub only: Scopes,
    /// Whether with what tools bring.
    pub results: bool,
    /// The size at which a file is closed.
    pub max_file_bytes: u64,
    /// What all files may take together.
    pub max_bytes: u64,
    /// How long it is kept.
    pub keep: Duration,
}

/// The checked table; none if there is none, or something is wrong with it.
pub(crate) fn capture(
    table: Option<&CaptureTable>,
    (root, directory): (&Node<'_>, &Path),
    store: Option<&Path>,
    problems: &mut Problems,
) -> Option<Capture> {
    let table = table?;
    let place = |key: &str| tree::place(root, &["capture", key]);
    if store.is_none() {
        problems
            .error(tree::key_place(root, &["capture"]), "nothing says where the key is that seals what is captured")
            .help("set `path` in [store], or the environment variable HOME or BARTIZAN_HOME");
    }
    let (file, all) = (table.max_file_bytes.0, table.max_bytes.0);
    if !(1 << 20..=1 << 30).contains(&file) {
        let why = format!("`max_file_bytes` is {file}, and has to be from 1 MiB to 1 GiB");
        problems.error(place("max_file_bytes"), why);
    }
    if all < file.saturating_mul(2) {
        let why = format!("`max_bytes` is {all}, and has to be at least twice `max_file_bytes`");
        problems.error(place("max_bytes"), why);
    }
    let mut scopes = Vec::new();
    for (index, text) in table.only.iter().enumerate() {
        let place = || tree::place(root, &["capture", "only", &index.to_string()]);
        match Scope::parse(text) {
            Ok(scope) => {
                if let Scope::Server(server) | Scope::Thing(_, server, _) = &scope {
                    crate::guards::known_server(server, place(), root, problems);
                }
                scopes.push(scope);
            }
            Err(error) => drop(problems.error(place(), error.to_string())),
        }
    }
    let only = if table.only.is_empty() { Scopes::all() } else { Scopes::of(scopes) };
    let Some(path) = table.path.as_deref().filter(|path| !path.as_os_str().is_empty()) else {
        problems
            .error(tree::key_place(root, &["capture"]), "nothing says where what is captured is to be")
            .help("set `path`, the directory of its files");
        return None;
    };
    Some(Capture {
        path: paths::beside(directory, path),
        only,
        results: table.results,
        max_file_bytes: file,
        max_bytes: all,
        keep: table.keep.0,
    })
}
