//! What to run and how: the description a caller fills in.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Child, Confinement, Environment, Prepare, Runtime, SpawnError, Watch, platform};

/// How much a server is kept apart from the rest of the machine.
///
/// The further down, the more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The server may do whatever the user may do; only its end is enforced.
    #[default]
    None,
    /// The server runs in namespaces of its own, sees what its profile names, and reaches what that allows.
    Process,
    /// The same, in a container that a runtime makes inside of that.
    Container,
    /// The same, with a kernel of its own.
    Vm,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Process => "process",
            Self::Container => "container",
            Self::Vm => "vm",
        })
    }
}

/// Describes one local server to start.
#[derive(Clone, Debug)]
pub struct Launch {
    /// A path, or a name that is looked up in the `PATH` of [`Launch::env`].
    pub program: OsString,
    /// The arguments after the program's name.
    pub args: Vec<OsString>,
    /// All the variables the server sees, and no other.
    pub env: Environment,
    /// Where the server starts; the gateway's own directory if there is none.
    pub cwd: Option<PathBuf>,
    /// What the server may touch; everything its user may if there is none.
    pub confinement: Option<Confinement>,
    /// What is done before each start, which may change what is started.
    pub prepare: Option<Prepare>,
    /// How long the server and what it left behind may take to end before they are killed.
    pub grace: Duration,
}

impl Launch {
    /// Describes `program` without arguments, with the allowed part of this process's environment.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Environment::inherited(),
            cwd: None,
            confinement: None,
            prepare: None,
            grace: Duration::from_secs(5),
        }
    }

    /// Starts the server and returns once it runs, or says why it does not.
    ///
    /// Dropping the future ends whatever was started so far.
    pub async fn spawn(&self) -> Result<Child, SpawnError> {
        let launch = self.prepared().await?;
        platform::start(&*launch.found()?).await
    }

    /// Starts the server with these as its stdin, stdout and stderr, of which its handle has no ends then.
    ///
    /// Dropping the future ends whatever was started so far.
    pub async fn spawn_with(&self, stdio: [OwnedFd; 3]) -> Result<Child, SpawnError> {
        let launch = self.prepared().await?;
        platform::start_with(&*launch.found()?, stdio).await
    }

    /// The same, and notes in `watch` what the server asks the system for, without tracing it: each call that names a path, an
    /// address or a kind of socket waits until it was looked at. What is let through and what is not stays as it is.
    ///
    /// Only for a confined server at [`Level::Process`], and not of a thread that may end before the server does.
    pub async fn spawn_watched(&self, stdio: [OwnedFd; 3], watch: &Watch) -> Result<Child, SpawnError> {
        let launch = self.prepared().await?;
        if launch.level() != Level::Process {
            return Err(SpawnError::Invalid {
                what: "only a server that is confined at the level `process` is watched".into(),
            });
        }
        platform::start_watched(&launch, stdio, watch.clone()).await
    }

    /// Does all that a start does but for running the program and what is done before, and says what a start would fail with.
    ///
    /// Everything is put up and taken down again: namespaces, mounts, control groups, a runtime and, for a moment,
    /// placeholders. What the program itself needs beyond what it is run by only the program knows.
    pub async fn try_out(&self) -> Result<(), SpawnError> {
        self.check()?;
        platform::try_out(&*self.found()?).await
    }

    /// What is started once all is done before that has to be.
    async fn prepared(&self) -> Result<Cow<'_, Launch>, SpawnError> {
        let launch = match &self.prepare {
            Some(prepare) => Cow::Owned(prepare.run(self.clone()).await?),
            None => Cow::Borrowed(self),
        };
        launch.check()?;
        Ok(launch)
    }

    /// The same with the file of its runtime.
    fn found(&self) -> Result<Cow<'_, Launch>, SpawnError> {
        let runtime = self.confinement.as_ref().and_then(|confinement| confinement.runtime.as_ref());
        let Some(runtime) = runtime.map(Runtime::found).transpose()? else { return Ok(Cow::Borrowed(self)) };
        let mut launch = self.clone();
        launch.confinement.iter_mut().for_each(|confinement| confinement.runtime = Some(runtime.clone()));
        launch.check()?;
        Ok(Cow::Owned(launch))
    }

    /// How much the server is kept apart.
    pub fn level(&self) -> Level {
        let Some(confinement) = &self.confinement else { return Level::None };
        confinement.runtime.as_ref().map_or(Level::Process, |runtime| runtime.kind.level())
    }

    /// Refuses what the operating system has no way to express.
    fn check(&self) -> Result<(), SpawnError> {
        let nul = |text: &OsStr| text.as_bytes().contains(&0);
        if self.program.is_empty() || nul(&self.program) {
            return Err(SpawnError::Invalid { what: "the program's name is empty or contains a NUL byte".into() });
        }
        if self.args.iter().any(|arg| nul(arg)) {
            return Err(SpawnError::Invalid { what: "an argument contains a NUL byte".into() });
        }
        if self.cwd.as_ref().is_some_and(|cwd| nul(cwd.as_os_str())) {
            return Err(SpawnError::Invalid { what: "the directory's name contains a NUL byte".into() });
        }
        let name = |name: &OsStr| name.is_empty() || nul(name) || name.as_bytes().contains(&b'=');
        if self.env.iter().any(|(key, value)| name(key) || nul(value)) {
            return Err(SpawnError::Invalid {
                what: "an environment variable has an impossible name or a NUL byte".into(),
            });
        }
        match self.confinement.as_ref().map(Confinement::check) {
            Some(Err(what)) => Err(SpawnError::Invalid { what }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_launches_are_refused_before_anything_starts() {
        let check = |change: fn(&mut Launch), expected: &str| {
            let mut launch = Launch::new("true");
            change(&mut launch);
            let refusal = launch.check().unwrap_err().to_string();
            assert!(refusal.contains(expected), "{refusal} lacks {expected}");
        };
        assert!(Launch::new("true").check().is_ok());
        check(|l| l.program.clear(), "program");
        check(|l| l.program.push("\0"), "program");
        check(|l| l.args.push("a\0b".into()), "argument");
        check(|l| l.cwd = Some("/tmp\0".into()), "directory");
        check(|l| _ = l.env.set("A=B", "1"), "variable");
        check(|l| _ = l.env.set("", "1"), "variable");
        check(|l| _ = l.env.set("A", "1\0"), "variable");
    }
}
