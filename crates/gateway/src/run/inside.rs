//! The sandbox of a server, without the server: for somebody who looks around in it, or has its packages installed.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use bartizan_config::{Config, Sandbox, SandboxLevel, Upstream};
use bartizan_sandbox::{Child, ExitStatus, Launch, Network};

use super::{Paths, RunError, Wrap};
use super::{signals, wrapped};
use crate::gateway::Gateway;
use crate::setup::install::{Held, Job};
use crate::setup::{self, SetupError};
use crate::way_out::{self, Way};

/// The sandbox that one server gets.
pub struct Inside {
    pub(super) gateway: Arc<Gateway>,
    pub(super) name: String,
    pub(super) sandbox: Sandbox,
    pub(super) launch: Launch,
}

impl Inside {
    /// That of a server of the configuration; `workspace` is what `${workspace}` stands for.
    ///
    /// # Errors
    /// If there is none of that name, it is not confined, or it cannot be.
    pub fn of_server(config: &Config, paths: &Paths, name: &str, workspace: &Path) -> Result<Inside, RunError> {
        let Some(server) = config.servers.get(name) else {
            let near = bartizan_config::nearest(name, config.servers.keys().map(String::as_str));
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(RunError::Sandbox(format!("the configuration has no server `{name}`{near}")));
        };
        let Upstream::Command(command) = &server.upstream else {
            return Err(RunError::Sandbox(format!("`{name}` is no local program")));
        };
        if command.sandbox.level == SandboxLevel::None {
            return Err(RunError::Sandbox(format!("`{name}` is of the level `none`: it runs as you, unconfined")));
        }
        let writable = setup::confine::changes(Some(config), workspace).map_err(SetupError::Given)?;
        let launch = setup::launch(command, workspace, &writable);
        Self::new(config, paths, name.to_owned(), (*command.sandbox).clone(), launch)
    }

    /// That of a server that would be wrapped so.
    ///
    /// # Errors
    /// As for [`Inside::of_server`].
    pub fn of_command(config: &Config, paths: &Paths, wrap: &Wrap) -> Result<Inside, RunError> {
        let (sandbox, launch) = Self::held(config, wrap)?;
        Self::new(config, paths, wrap.server_name(), sandbox, launch)
    }

    /// How a server that is wrapped so is confined and would be started.
    pub(super) fn held(config: &Config, wrap: &Wrap) -> Result<(Sandbox, Launch), RunError> {
        let none = || RunError::Sandbox("nothing says how it is to be confined".to_owned());
        let sandbox = wrap.confined().map_err(RunError::Sandbox)?.sandbox.ok_or_else(none)?;
        let mut launch = wrapped::launch(wrap)?;
        launch.cwd = None;
        let writable = setup::confine::changes(Some(config), &wrap.directory).map_err(SetupError::Given)?;
        setup::confine::confine(&mut launch, &sandbox, &wrap.directory, &writable);
        Ok((sandbox, launch))
    }

    fn new(config: &Config, paths: &Paths, name: String, sandbox: Sandbox, launch: Launch) -> Result<Inside, RunError> {
        if let Some((path, within)) = setup::confine::exposed(&launch, config) {
            return Err(SetupError::Exposed { server: name, path, within }.into());
        }
        setup::confine::remember(&launch).map_err(SetupError::Given)?;
        let mut config = config.clone();
        // A log has one writer, which may be running.
        config.audit.directory = paths.standalone_audit(&format!("sandbox-{name}"));
        paths.prepare()?;
        if let Some(parent) = config.audit.directory.parent() {
            let failed = |source| RunError::Path { path: parent.to_owned(), source };
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        Ok(Inside { gateway: setup::gateway(&config)?, name, sandbox, launch })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is seen in it and reached from it, on one line.
    #[must_use]
    pub fn about(&self) -> String {
        let Some(confinement) = &self.launch.confinement else { return "nothing is held back".to_owned() };
        let paths = |paths: &[std::path::PathBuf]| match paths {
            [] => "nothing".to_owned(),
            paths => paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" "),
        };
        let own: Vec<_> = confinement.read_only.iter().filter(|path| !is_of_the_system(path)).cloned().collect();
        let reached = match (&confinement.network, self.sandbox.hosts.as_slice()) {
            (Network::Host, _) => "all that this machine reaches".to_owned(),
            (_, []) => "nothing".to_owned(),
            (_, hosts) => hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        };
        format!("sees the system and {}; may change {}; reaches {reached}", paths(&own), paths(&confinement.writable))
    }

    /// Has what the server's command would fetch installed, anew if `update` says so; none if it fetches nothing.
    ///
    /// # Errors
    /// If it cannot be.
    pub async fn install(&self, update: bool) -> Result<Option<Held>, RunError> {
        let Some(job) = self.job()? else { return Ok(None) };
        let (held, _lock) = job.installed(update).await.map_err(RunError::Sandbox)?;
        Ok(Some(held))
    }

    /// Starts something else in the place of the server, or the server's own command, with these as its stdin, stdout and stderr;
    /// what is given back with it is its way out.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn start(
        &self,
        command: Option<&[OsString]>,
        stdio: [OwnedFd; 3],
    ) -> Result<(Child, Option<Way>), RunError> {
        let mut launch = self.launch.clone();
        let way_out = way_out::open(&self.name, &self.sandbox, &mut launch, &self.gateway.recorder)
            .map_err(|why| SetupError::Egress { server: self.name.clone(), why })?;
        if let Some(job) = self.job()? {
            launch = job.prepare(launch).await.map_err(RunError::Sandbox)?;
        }
        if let Some((program, arguments)) = command.and_then(|command| command.split_first()) {
            launch.program = program.clone();
            launch.args = arguments.to_vec();
        }
        Ok((launch.spawn_with(stdio).await?, way_out))
    }

    pub(super) fn job(&self) -> Result<Option<Job>, RunError> {
        let job = Job::of(&self.name, &self.sandbox, &self.launch, &self.gateway.recorder);
        Ok(job.map_err(|why| SetupError::Install { server: self.name.clone(), why })?)
    }
}

/// Passes on what is signalled to this process, and waits for the end of what was started.
pub async fn attend(child: &Child) -> ExitStatus {
    let mut signals = signals::signals();
    loop {
        tokio::select! {
            status = child.wait() => return status,
            Some(signal) = signals.recv() => child.signal(signal),
        }
    }
}

/// What every confined program sees.
fn is_of_the_system(path: &Path) -> bool {
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/nix/store"]
        .iter()
        .any(|system| path.starts_with(system))
}
