//! What a runner of packages (`npx`, `uvx`) would fetch at each start is installed once, before the first one.
//!
//! Threat: such a command runs whatever a registry has under a name today, as the user, with the network and the server's
//! secrets. So there are two phases. To *install*, the user's own npm or uv runs in a sandbox that reaches the registries, has none
//! of the server's variables, and can write to one directory of Bartizan's. To *run*, the program sees that directory, cannot change
//! it, and reaches no registry. A digest of what was installed is kept beside it and held against it before each start, so what changes
//! there is noticed and not started. A version that floats stays what was installed until somebody asks for another.

mod held;
mod phase;
mod tree;

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_config::{Install, Installer, Packages, Sandbox};
use bartizan_sandbox::{Launch, Prepare};
use rustix::fs::{FlockOperation, flock};
use serde_json::json;

pub use self::held::Held;
use super::programs::base_of;
use crate::recorder::Recorder;
use crate::server::Complain;

/// Where packages are, in Bartizan's own directory: a directory for each server, and in it one for each thing it may be asked to run.
const PLACE: &str = "packages";
/// What holds a directory while something is installed there.
const LOCK: &str = "lock";

/// What is to be installed for one server, and where.
struct Order {
    server: String,
    install: Install,
    packages: Packages,
    /// Those of the whole command, of which some are the program's own.
    arguments: usize,
    directory: PathBuf,
    /// The command that fetches it, for people.
    command: String,
}

/// Who installs it.
pub struct Job {
    order: Arc<Order>,
    /// What the installer sees of the user's variables: no more than any server without `env`.
    path: Option<OsString>,
    recorder: Arc<Recorder>,
    /// Who is told that it takes a while, if the log is not what they see.
    tell: Option<Complain>,
}

/// Where packages are kept.
pub(crate) fn place() -> Option<PathBuf> {
    bartizan_config::bartizan_home(|name| std::env::var(name).ok()).map(|home| home.join(PLACE))
}

/// Has what `launch` would fetch installed before it starts, if its sandbox says so.
///
/// # Errors
/// If the command is none of a runner, or nothing says where packages are to be.
pub(crate) fn attach(
    server: &str,
    sandbox: &Sandbox,
    launch: &mut Launch,
    recorder: &Arc<Recorder>,
    tell: Option<Complain>,
) -> io::Result<()> {
    let Some(job) = Job::of(server, sandbox, launch, recorder)? else { return Ok(()) };
    let job = Arc::new(Job { tell, ..job });
    launch.prepare = Some(Prepare::new(move |launch| {
        let job = Arc::clone(&job);
        Box::pin(async move {
            // In a task of its own: whoever waits for the first start may give up, and the next one is to find it done.
            let prepared = tokio::spawn(async move { job.prepare(launch).await }).await;
            prepared.unwrap_or_else(|error| Err(error.to_string()))
        })
    }));
    Ok(())
}

impl Order {
    /// What has to be installed for what `launch` starts; none if its sandbox does not say so.
    ///
    /// # Errors
    /// If the command is none of a runner, or nothing says where packages are to be.
    fn of(server: &str, sandbox: &Sandbox, launch: &Launch) -> io::Result<Option<Order>> {
        let Some(install) = &sandbox.install else { return Ok(None) };
        let words: Vec<_> = launch.args.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let packages =
            Packages::of(install.with, &launch.program.to_string_lossy(), &words).map_err(io::Error::other)?;
        let home = "nothing says where packages are to be; set HOME or BARTIZAN_HOME";
        let place = place().ok_or_else(|| io::Error::other(home))?;
        let directory = place.join(server).join(key(install, &packages));
        let command = std::iter::once(install.with.runner()).chain(words.iter().map(String::as_str));
        Ok(Some(Order {
            server: server.to_owned(),
            install: install.clone(),
            packages,
            arguments: launch.args.len(),
            directory,
            command: command.collect::<Vec<_>>().join(" "),
        }))
    }

    /// Why what is there is not what was installed; none if it is.
    fn changed(&self, held: &Held) -> Result<Option<String>, String> {
        let tree = held.tree(&self.directory);
        tree::check(&tree)?;
        Ok(match tree::digest(&tree, self.install.size) {
            Ok(found) if found.digest == held.digest => None,
            Ok(_) => Some("it is not what was installed".to_owned()),
            Err(error) => Some(error.to_string()),
        })
    }

    /// What is said where that is so.
    fn refusal(&self, why: &str) -> String {
        format!(
            "{}: what is kept in {} was changed, and is not started: {why}. `bartizan sandbox install {} --update` installs it \
             anew; for `bartizan run` it is `bartizan sandbox install --profile {} --name {} --update -- {}`",
            self.packages.names.join(" "),
            self.directory.display(),
            self.server,
            self.install.with.runner(),
            self.server,
            self.command,
        )
    }

    /// What is started: the installed program, which sees where it is.
    fn started(&self, mut launch: Launch, held: &Held) -> Launch {
        let tree = held.tree(&self.directory);
        launch.program = tree.join(&held.program).into();
        let given = self.arguments.min(launch.args.len());
        launch.args.drain(..self.packages.rest.min(given));
        if let Some(confinement) = &mut launch.confinement {
            confinement.read_only.push(std::fs::canonicalize(&tree).unwrap_or_else(|_| tree.clone()));
            // The interpreter that it was installed for, which need not be the one that is found first now.
            confinement.read_only.extend(interpreters(&tree));
            // Under the name by which it is started, too, if that leads there by way of a link.
            launch.confinement = launch.confinement.take().map(|confinement| with_link(confinement, &tree));
        }
        launch
    }
}

/// Has `launch` start what is installed for it, and says whether that is there, or nothing is needed; installs nothing.
///
/// # Errors
/// In words, if it would not be started.
pub(super) fn look(server: &str, sandbox: &Sandbox, launch: &mut Launch) -> Result<bool, String> {
    let order = Order::of(server, sandbox, launch).map_err(|error| error.to_string())?;
    let Some(order) = order else { return Ok(true) };
    let Some(held) = Held::read(&order.directory)? else { return Ok(false) };
    if let Some(why) = order.changed(&held)? {
        return Err(order.refusal(&why));
    }
    *launch = order.started(launch.clone(), &held);
    Ok(true)
}

impl Job {
    /// Who installs what `launch` starts; none if its sandbox does not say so.
    ///
    /// # Errors
    /// As for [`attach`].
    pub(crate) fn of(
        server: &str,
        sandbox: &Sandbox,
        launch: &Launch,
        recorder: &Arc<Recorder>,
    ) -> io::Result<Option<Job>> {
        let Some(order) = Order::of(server, sandbox, launch)? else { return Ok(None) };
        let path = launch.env.get("PATH").map(OsString::from);
        Ok(Some(Job { order: Arc::new(order), path, recorder: Arc::clone(recorder), tell: None }))
    }

    /// The launch of what is installed; it is installed first if it is not.
    pub(crate) async fn prepare(&self, launch: Launch) -> Result<Launch, String> {
        let (held, _lock) = self.installed(false).await?;
        let order = Arc::clone(&self.order);
        let looked = tokio::task::spawn_blocking(move || order.changed(&held).map(|changed| (changed, held))).await;
        let (changed, held) = looked.map_err(|error| error.to_string())??;
        let Some(why) = changed else { return Ok(self.order.started(launch, &held)) };
        let fields = json!({"server": self.order.server, "packages": self.order.packages.names, "why": why});
        self.recorder.note("server.packages_changed", &fields).map_err(|error| error.to_string())?;
        Err(self.order.refusal(&why))
    }

    /// What is installed, with the lock that keeps it there; installed anew if it is not there or `update` asks for it.
    ///
    /// # Errors
    /// In words.
    pub(crate) async fn installed(&self, update: bool) -> Result<(Held, std::fs::File), String> {
        if !update {
            let lock = self.lock(FlockOperation::LockShared).await?;
            if let Some(held) = Held::read(&self.order.directory)? {
                return Ok((held, lock));
            }
        }
        let lock = self.lock(FlockOperation::LockExclusive).await?;
        match Held::read(&self.order.directory) {
            // Somebody else was first.
            Ok(Some(held)) if !update => Ok((held, lock)),
            Err(why) if !update => Err(why),
            _ => Ok((self.install_now().await?, lock)),
        }
    }

    async fn lock(&self, how: FlockOperation) -> Result<std::fs::File, String> {
        let directory = self.order.directory.clone();
        let locked = tokio::task::spawn_blocking(move || -> io::Result<std::fs::File> {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
            let path = directory.join(LOCK);
            let file = std::fs::File::options().create(true).append(true).mode(0o600).open(path)?;
            flock(&file, how)?;
            Ok(file)
        });
        let locked = locked.await.map_err(|error| error.to_string())?;
        locked.map_err(|error| format!("cannot use {}: {error}", self.order.directory.display()))
    }

    /// Installs into a directory of its own, and has it count once all of it is there.
    async fn install_now(&self) -> Result<Held, String> {
        let unusable = |error: io::Error| format!("cannot use {}: {error}", self.order.directory.display());
        let before = Held::read(&self.order.directory).ok().flatten().map(|held| held.generation);
        let generation = held::next(&self.order.directory).map_err(unusable)?;
        let place = self.order.directory.join(generation.to_string());
        std::fs::DirBuilder::new().mode(0o700).create(&place).map_err(unusable)?;
        tracing::info!(server = self.order.server, packages = ?self.order.packages.names, "installing what the server's command would fetch");
        if let Some(tell) = &self.tell {
            (tell.0)(&format!(
                "bartizan: installing {} for {}, once; a client that does not wait finds it when it starts the server again",
                self.order.packages.names.join(" "),
                self.order.server
            ));
        }
        let installed = self.install_into(&place, generation).await;
        match installed {
            Ok(held) => {
                held::sweep(&self.order.directory, generation, before);
                Ok(held)
            }
            Err(why) => {
                let left = tree::remove(&place).err().map(|error| format!("; {} is left: {error}", place.display()));
                let left = left.unwrap_or_default();
                Err(format!("{} cannot be installed: {why}{left}", self.order.packages.names.join(" ")))
            }
        }
    }

    async fn install_into(&self, place: &Path, generation: u64) -> Result<Held, String> {
        phase::run(self, place).await?;
        let (tree, most) = (place.join(held::TREE), self.order.install.size);
        tree::check(&tree)?;
        let program = self.program(&tree)?;
        let version = match self.order.install.with {
            Installer::Npm => tree::npm_version(&tree, &self.order.packages),
            Installer::Uv => None,
        };
        let found = tokio::task::spawn_blocking(move || tree::digest(&tree, most)).await;
        let found = found.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let (packages, digest) = (self.order.packages.names.clone(), found.digest);
        let held = Held { generation, packages, version, program, digest, bytes: found.bytes, files: found.files };
        let fields = json!({
            "server": self.order.server, "packages": held.packages, "version": held.version, "digest": held.digest,
            "bytes": held.bytes, "files": held.files,
        });
        self.recorder.note("server.installed", &fields).map_err(|error| error.to_string())?;
        held.write(&self.order.directory).map_err(|error| error.to_string())?;
        Ok(held)
    }

    /// The program that is started, below what was installed.
    fn program(&self, tree: &Path) -> Result<PathBuf, String> {
        let (below, name) = match self.order.install.with {
            Installer::Npm => ("node_modules/.bin", tree::npm_program(tree, &self.order.packages)?),
            Installer::Uv => ("bin", self.order.packages.program.clone().ok_or("no program is named")?),
        };
        let program = Path::new(below).join(&name);
        match tree.join(&program).symlink_metadata() {
            Ok(_) => Ok(program),
            Err(_) => Err(format!("it has no program `{name}`")),
        }
    }
}

/// What runs the environments that uv has made in a tree.
fn interpreters(tree: &Path) -> Vec<PathBuf> {
    let home = std::env::home_dir();
    let environments = std::fs::read_dir(tree.join(phase::TOOLS)).into_iter().flatten().flatten();
    environments.flat_map(|entry| base_of(&entry.path(), home.as_deref())).collect()
}

/// The confinement in which `path` leads to what it is on the machine.
fn with_link(mut confinement: bartizan_sandbox::Confinement, path: &Path) -> bartizan_sandbox::Confinement {
    if let Ok(real) = std::fs::canonicalize(path)
        && real != path
    {
        confinement.links.push((path.to_owned(), real));
    }
    confinement
}

/// What tells one thing that a server may be asked to run from another.
fn key(install: &Install, packages: &Packages) -> String {
    let mut hasher = blake3::Hasher::new();
    let words = [
        install.with.runner(),
        install.registry.as_deref().unwrap_or_default(),
        if install.scripts { "scripts" } else { "" },
    ];
    let program = packages.program.as_deref().unwrap_or_default();
    for word in words.into_iter().chain([program]).chain(packages.names.iter().map(String::as_str)) {
        hasher.update(word.as_bytes());
        hasher.update(&[0]);
    }
    hasher.finalize().to_hex().chars().take(16).collect()
}
