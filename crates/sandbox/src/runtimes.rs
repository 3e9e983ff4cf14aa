//! Programs that start containers, and machines with a kernel of their own, as this host has them.
//!
//! Each understands bundles of the Open Container Initiative. It is started inside of the walls of
//! [`Level::Process`], and puts its own around the server.

use std::ffi::OsStr;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::laid::may_be_laid;
use crate::{Level, SpawnError};

/// Where system programs are that are not in everybody's `PATH`.
const SYSTEM: &[&str] = &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// How long a program may take to say its version.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of what it says that are read, and characters that are kept.
const SAID: (u64, usize) = (4096, 80);

/// A runtime that this crate knows how to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeKind {
    /// The reference: a container of namespaces.
    Runc,
    /// The same in C.
    Crun,
    /// gVisor: a kernel in a process of its own answers the server's system calls.
    Runsc,
}

impl RuntimeKind {
    /// All of them, the usual one of each level first.
    pub const ALL: [Self; 3] = [Self::Runc, Self::Crun, Self::Runsc];

    /// The name of its program.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Runc => "runc",
            Self::Crun => "crun",
            Self::Runsc => "runsc",
        }
    }

    /// The level that it gives.
    #[must_use]
    pub fn level(self) -> Level {
        match self {
            Self::Runc | Self::Crun => Level::Container,
            Self::Runsc => Level::Vm,
        }
    }

    /// The one that a program is by its name, such as `/opt/runsc` or `runc-1.3`.
    #[must_use]
    pub fn of(program: &Path) -> Option<Self> {
        let name = program.file_name()?.to_str()?;
        Self::ALL.into_iter().find(|kind| {
            name.strip_prefix(kind.name()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
        })
    }
}

/// The runtime between the sandbox's first process and the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// How it is spoken to.
    pub kind: RuntimeKind,
    /// Its program: a path, or a name that is looked up in this process's `PATH` and where system programs are.
    pub program: PathBuf,
    /// Directories, without links, in which a server may have laid a program: one that lies there is no runtime.
    pub changeable: Vec<PathBuf>,
}

impl Runtime {
    /// The usual program of that kind.
    #[must_use]
    pub fn usual(kind: RuntimeKind) -> Self {
        Self { kind, program: kind.name().into(), changeable: Vec::new() }
    }

    /// The same with the path of its file.
    pub(crate) fn found(&self) -> Result<Self, SpawnError> {
        let kind = self.kind;
        let path = std::env::var_os("PATH");
        let mut found = candidates(&self.program, path.as_deref()).peekable();
        let is_there = found.peek().is_some();
        let program = found.find_map(|file| self.trusted(&file));
        let changeable = Vec::new();
        program.map(|program| Self { kind, program, changeable }).ok_or_else(|| SpawnError::Required {
            what: if is_there {
                format!(
                    "the level `{}`, and a server may have changed the program {:?}: it lies where servers may write",
                    kind.level(),
                    self.program
                )
            } else {
                self.missing()
            },
        })
    }

    /// Where a file is without links, if no server can have laid it there.
    fn trusted(&self, file: &Path) -> Option<PathBuf> {
        if may_be_laid(file, &self.changeable) { None } else { std::fs::canonicalize(file).ok() }
    }

    fn missing(&self) -> String {
        let kind = self.kind;
        format!(
            "the level `{}`, and there is no program {:?}; install {} (on Debian and Ubuntu `apt install {}`), or name its \
             file as the `runtime`",
            kind.level(),
            self.program,
            if kind == RuntimeKind::Runsc { "gVisor" } else { kind.name() },
            kind.name(),
        )
    }
}

/// A runtime that is on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundRuntime {
    /// Which.
    pub runtime: Runtime,
    /// The first line of what it says of its version; none if it says nothing.
    pub version: Option<String>,
}

/// The runtimes that would be found here, but in these directories, where a server may have laid one. Each is asked for its
/// version.
#[must_use]
pub fn runtimes(changeable: &[PathBuf]) -> Vec<FoundRuntime> {
    let usual = |kind| Runtime { changeable: changeable.to_vec(), ..Runtime::usual(kind) };
    let found = RuntimeKind::ALL.into_iter().filter_map(|kind| usual(kind).found().ok());
    found.map(|runtime| FoundRuntime { version: version(&runtime.program), runtime }).collect()
}

fn version(program: &Path) -> Option<String> {
    let mut command = Command::new(program);
    command.arg("--version").env_clear().stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().ok()?;
    let mut said = child.stdout.take()?.take(SAID.0);
    let (answer, heard) = std::sync::mpsc::channel();
    // Whatever bears that name may say nothing for ever.
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        said.read_to_end(&mut bytes).ok();
        answer.send(bytes).ok();
    });
    let said = heard.recv_timeout(PATIENCE);
    child.kill().ok();
    child.wait().ok();
    let said = String::from_utf8_lossy(&said.ok()?).into_owned();
    let line = said.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().filter(|sign| !sign.is_control()).take(SAID.1).collect())
}

/// The files that a path or a name may mean, the first of them first.
fn candidates(program: &Path, path: Option<&OsStr>) -> impl Iterator<Item = PathBuf> {
    let is_path = program.components().count() > 1;
    let itself = Some(program.to_owned()).filter(|_| is_path);
    let path = path.filter(|_| !is_path);
    let named = path.map(|path| std::env::split_paths(path).collect::<Vec<_>>()).unwrap_or_default();
    let system = SYSTEM.iter().filter(|_| !is_path).map(PathBuf::from);
    let found = named.into_iter().chain(system).map(|at| at.join(program)).collect::<Vec<_>>();
    itself.into_iter().chain(found).filter(|file| file.is_absolute() && file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_is_known_by_its_name() {
        let check = |program: &str, expected: Option<RuntimeKind>| {
            assert_eq!(RuntimeKind::of(Path::new(program)), expected, "{program}");
        };
        check("runc", Some(RuntimeKind::Runc));
        check("/usr/sbin/runc", Some(RuntimeKind::Runc));
        check("/opt/runc-1.3.0", Some(RuntimeKind::Runc));
        check("crun.static", Some(RuntimeKind::Crun));
        check("/x/runsc", Some(RuntimeKind::Runsc));
        check("runcible", None);
        check("docker", None);
        check("/", None);
        check("", None);
    }

    #[test]
    fn what_is_missing_is_said_with_what_to_do() {
        let kind = RuntimeKind::Runsc;
        for program in ["no-such-runtime", "/no/such/runsc", "relative/runsc"] {
            let refusal = Runtime { program: program.into(), ..Runtime::usual(kind) }.found().unwrap_err().to_string();
            for part in ["level `vm`", program, "apt install runsc"] {
                assert!(refusal.contains(part), "{refusal} lacks {part}");
            }
        }
    }

    #[test]
    fn a_name_is_looked_up_and_a_path_is_taken() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("runc");
        std::fs::write(&file, "").unwrap();
        let path = std::env::join_paths([Path::new("relative"), place.path()]).unwrap();
        let first = |program: &Path, path: Option<&OsStr>| candidates(program, path).next();
        assert_eq!(first(Path::new("runc"), Some(&path)), Some(file.clone()));
        assert_eq!(first(&file, None), Some(file));
        assert_eq!(first(Path::new("no-such-runtime"), Some(&path)), None);
    }

    #[test]
    fn what_a_server_may_have_laid_is_no_runtime() {
        let place = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(place.path()).unwrap();
        for directory in ["work", "opt", "links"] {
            std::fs::create_dir(root.join(directory)).unwrap();
        }
        for file in ["work/runc", "opt/runc"] {
            std::fs::write(root.join(file), "").unwrap();
        }
        std::os::unix::fs::symlink(root.join("opt/runc"), root.join("work/link")).unwrap();
        std::os::unix::fs::symlink(root.join("work/runc"), root.join("links/runc")).unwrap();
        std::os::unix::fs::symlink(root.join("opt"), root.join("work/bin")).unwrap();
        let found = |program: &str, changeable: &[PathBuf]| {
            let program = root.join(program);
            let runtime = Runtime { program, changeable: changeable.to_vec(), ..Runtime::usual(RuntimeKind::Runc) };
            runtime.found().map(|found| found.program).map_err(|error| error.to_string())
        };
        let work = [root.join("work")];
        assert_eq!(found("opt/runc", &work), Ok(root.join("opt/runc")));
        for program in ["work/runc", "work/link", "links/runc", "work/bin/runc"] {
            assert!(found(program, &work).unwrap_err().contains("it lies where servers may write"), "{program}");
            assert!(found(program, &[]).is_ok(), "the control: {program}");
        }
    }
}
