//! Turns the launcher's next child into the server.

mod interpreter;

use std::ffi::{CStr, CString, OsStr};
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::Access;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, getpid, getppid};

use super::wire::{Failure, Plan, Stdio};
use super::{confine, sys};

/// Where to look when there is no `PATH`, as the C library does.
pub(super) const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// What a file without a known format is run by, if it is a text.
const SHELL: &CStr = c"/bin/sh";

/// Starts the server in a session of its own. The pipes are its alone afterwards, so that their ends are seen.
/// A confined one is looked at by whoever `watch` leads to, if it leads to anybody.
pub(super) fn start(mut plan: Plan, stdio: Stdio, watch: Option<OwnedFd>) -> Result<(Pid, PathBuf), Failure> {
    if let Some(cwd) = &plan.cwd {
        rustix::process::chdir(cwd).map_err(|error| Failure::Directory { error: error.raw_os_error() })?;
    }
    let program = find(&plan.program, plan.path())?;
    let (confinement, trial) = (plan.confinement.take(), plan.trial);
    let image = Image::new(&program, plan).map_err(|error| Failure::Setup { error: raw(&error) })?;
    if trial && let Some(error) = interpreter::missing(&program) {
        return Err(Failure::Exec { program, error });
    }
    let launcher = getpid();
    let [stdin, stdout, stderr] = stdio;
    let mut command = Command::new(&program);
    command.stdin(stdin).stdout(stdout).stderr(stderr);
    sys::before_exec(&mut command, move || {
        prepare(launcher)?;
        match (&confinement, &watch) {
            (Some(confinement), Some(watch)) => confine::seal_watched(confinement, watch)?,
            (Some(confinement), None) => confine::seal(confinement)?,
            (None, _) => {}
        }
        if trial {
            std::process::exit(0)
        }
        Err(image.execute())
    });
    match command.spawn() {
        Ok(server) => {
            let pid = i32::try_from(server.id()).ok().and_then(Pid::from_raw);
            Ok((pid.ok_or(Failure::Silent)?, program))
        }
        Err(error) => Err(Failure::Exec { program, error: raw(&error) }),
    }
}

/// Runs in the new process, between fork and exec.
pub(super) fn prepare(launcher: Pid) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The launcher may have died before that took hold.
    if getppid() != Some(launcher) {
        return Err(Errno::SRCH.into());
    }
    rustix::process::setsid()?;
    sys::reset_signals()
}

/// A program with its arguments and environment, in the system's form.
pub(super) struct Image {
    program: CString,
    args: Vec<CString>,
    vars: Vec<CString>,
}

impl Image {
    pub(super) fn new(program: &Path, plan: Plan) -> io::Result<Self> {
        let args = [plan.program].into_iter().chain(plan.args);
        let vars = plan.vars.into_iter().map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            name
        });
        Ok(Self {
            program: CString::new(program.as_os_str().as_bytes())?,
            args: args.map(|arg| CString::new(arg.into_vec())).collect::<Result<_, _>>()?,
            vars: vars.map(|var| CString::new(var.into_vec())).collect::<Result<_, _>>()?,
        })
    }

    /// Becomes the program. A text that does not name its interpreter is given to the shell, as most ways
    /// to start a program do; a binary for another machine is refused.
    pub(super) fn execute(&self) -> io::Error {
        let error = sys::execute(&self.program, &self.args, &self.vars);
        if Errno::from_io_error(&error) != Some(Errno::NOEXEC) || !self.is_text() {
            return error;
        }
        let script = [SHELL.to_owned(), self.program.clone()].into_iter();
        let args: Vec<CString> = script.chain(self.args.iter().skip(1).cloned()).collect();
        sys::execute(SHELL, &args, &self.vars)
    }

    fn is_text(&self) -> bool {
        let mut start = [0; 256];
        let file = std::fs::File::open(OsStr::from_bytes(self.program.as_bytes()));
        let read = file.and_then(|mut file| file.read(&mut start)).unwrap_or(0);
        start.get(..read).is_some_and(|start| !start.is_empty() && !start.contains(&0))
    }
}

/// Finds the file as a shell would, but tells a missing one from one that may not be executed.
pub(super) fn find(program: &OsStr, path: Option<&OsStr>) -> Result<PathBuf, Failure> {
    if program.as_bytes().contains(&b'/') {
        return executable(Path::new(program));
    }
    let mut refused = Failure::NotFound;
    for directory in std::env::split_paths(path.unwrap_or(OsStr::new(DEFAULT_PATH))) {
        // An empty entry means the current directory.
        match executable(&Path::new(".").join(directory).join(program)) {
            Ok(found) => return Ok(found),
            Err(failure) if refused == Failure::NotFound => refused = failure,
            Err(_) => {}
        }
    }
    Err(refused)
}

fn executable(file: &Path) -> Result<PathBuf, Failure> {
    let file = std::path::absolute(file).map_err(|error| Failure::Setup { error: raw(&error) })?;
    let refused = |error: Errno| Failure::NotExecutable { program: file.clone(), error: error.raw_os_error() };
    match file.metadata() {
        Ok(found) if found.is_dir() => Err(refused(Errno::ISDIR)),
        Ok(found) if !found.is_file() => Err(refused(Errno::ACCESS)),
        Ok(_) => match rustix::fs::access(&file, Access::EXEC_OK) {
            Ok(()) => Ok(file),
            Err(error) => Err(refused(error)),
        },
        Err(error) => match Errno::from_io_error(&error) {
            None | Some(Errno::NOENT | Errno::NOTDIR) => Err(Failure::NotFound),
            Some(error) => Err(refused(error)),
        },
    }
}

fn raw(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(Errno::IO.raw_os_error())
}
