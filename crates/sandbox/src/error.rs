//! Why a server could not be started, one exact fact each.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;

/// A server did not start.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// There is no such program.
    #[error("{}", not_found(program, path.as_deref()))]
    NotFound {
        /// As the caller wrote it.
        program: OsString,
        /// The directories that were searched; none if the program was given as a path.
        path: Option<OsString>,
    },
    /// The program is there but cannot be run.
    #[error("{program:?} is there but cannot be executed: {source}")]
    NotExecutable {
        /// The file that was found.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The program is there but what it needs to start is not.
    #[error("{program:?} cannot start: the interpreter or loader it names does not exist")]
    NoInterpreter {
        /// The file that was found.
        program: PathBuf,
    },
    /// The directory to start in cannot be entered.
    #[error("the directory {cwd:?} cannot be entered: {source}")]
    Directory {
        /// The directory asked for.
        cwd: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory to start in is there, and the sandbox does not show it.
    #[error(
        "the directory {cwd:?} that it is to start in is not seen in its sandbox: name it in `fs.ro` or `fs.rw`, or \
         start it elsewhere"
    )]
    Unseen {
        /// The directory asked for.
        cwd: PathBuf,
    },
    /// The description holds something no process can be given.
    #[error("{what}")]
    Invalid {
        /// What is wrong with it.
        what: Cow<'static, str>,
    },
    /// What has to be done before a start failed.
    #[error("{why}")]
    Unprepared {
        /// What it said.
        why: String,
    },
    /// Arguments and environment together are larger than the system takes.
    #[error("the arguments and the environment are too large")]
    TooBig,
    /// The machine or the user has no process, memory or file left to give.
    #[error("a resource limit is reached: {source}")]
    Limit {
        /// What the system said.
        source: io::Error,
    },
    /// A wall of the sandbox could not be put up, so nothing was started.
    #[error("the sandbox could not {step}{}", source.as_ref().map(|source| format!(": {source}")).unwrap_or_default())]
    Sandbox {
        /// What was tried.
        step: String,
        /// What the system said; none if `step` says it.
        source: Option<io::Error>,
    },
    /// The profile insists on something this host does not offer, so nothing was started.
    #[error("the sandbox's profile requires {what}")]
    Required {
        /// What is missing, and what to do about it.
        what: String,
    },
    /// The launcher ended without a word.
    #[error("the launcher ended before the server started; does `main` begin with `init_if_asked`?")]
    NoLauncher,
    /// Anything else.
    #[error("could not {step}: {source}")]
    Other {
        /// What was tried.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl SpawnError {
    /// Sorts what the system said while `step` was tried.
    pub(crate) fn system(step: &'static str, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        let error = rustix::io::Errno::from_io_error(&source);
        if error.is_some_and(is_limit) { Self::Limit { source } } else { Self::Other { step, source } }
    }

    /// Sorts what the system said when the file `program` was executed.
    pub(crate) fn exec(program: PathBuf, source: io::Error) -> Self {
        use rustix::io::Errno;
        match Errno::from_io_error(&source) {
            Some(Errno::NOENT) => Self::NoInterpreter { program },
            Some(Errno::TOOBIG) => Self::TooBig,
            Some(Errno::ACCESS | Errno::PERM | Errno::NOEXEC | Errno::ISDIR | Errno::TXTBSY) => {
                Self::NotExecutable { program, source }
            }
            _ => Self::system("execute the program", source),
        }
    }
}

fn is_limit(error: rustix::io::Errno) -> bool {
    use rustix::io::Errno;
    matches!(error, Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE | Errno::NOSPC)
}

fn not_found(program: &OsStr, path: Option<&OsStr>) -> String {
    match path {
        Some(path) => format!("no program named {program:?} in any directory of PATH={path:?}"),
        None => format!("the program {program:?} does not exist"),
    }
}
