//! What several subcommands need: configuration, logs, the runtime, exit codes.

use std::future::Future;
use std::path::{Path, PathBuf};

use bartizan_audit::AuditError;
use bartizan_config::{Config, Diagnostic, LogFormat};
use bartizan_gateway::run::{Paths, RunError};
use bartizan_gateway::setup::SetupError;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::logged::Quoted;
use crate::outcome::{Failure, say};

/// The state directory, and the places in it.
pub(crate) fn paths() -> Result<Paths, Failure> {
    home().map(Paths::new)
}

/// The state directory.
pub(crate) fn home() -> Result<PathBuf, Failure> {
    bartizan_config::bartizan_home(|name| std::env::var(name).ok())
        .ok_or_else(|| Failure::usage("neither BARTIZAN_HOME nor HOME names a directory"))
}

/// Refuses a directory of which it depends on where a command is started what it is: what one has kept there, another
/// would not find.
pub(crate) fn check_home() -> Result<(), Failure> {
    match std::env::var_os("BARTIZAN_HOME").map(PathBuf::from) {
        Some(home) if home.is_relative() && !home.as_os_str().is_empty() => {
            let home = home.display();
            Err(Failure::usage(format!("BARTIZAN_HOME is `{home}`, and has to be a path that begins with `/`")))
        }
        _ => Ok(()),
    }
}

/// Reads a configuration file; warnings go to standard error.
pub(crate) fn load(path: &Path) -> Result<Config, Failure> {
    let (config, warnings) = Config::load(path)?;
    warnings.iter().for_each(|warning| say(&warning.to_string()));
    Ok(config)
}

/// The configuration for wrapped servers: the named file, else the user's own, else the defaults.
pub(crate) fn user_config(named: Option<&Path>) -> Result<Config, Failure> {
    match named.map(Path::to_owned).or_else(user_config_file) {
        Some(path) => load(&path),
        None => Config::without_file().map_err(Failure::from),
    }
}

/// The user's own configuration file, if there is one.
pub(crate) fn user_config_file() -> Option<PathBuf> {
    // Whatever is there is meant to be one: what it is instead is said where it is read.
    user_config_place().filter(|path| path.symlink_metadata().is_ok())
}

/// Where the user's own configuration file is, or would be.
pub(crate) fn user_config_place() -> Option<PathBuf> {
    bartizan_config::user_config_place(|name| std::env::var_os(name))
}

/// Refuses names that would not fit into a configuration file.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = !name.is_empty() && name.len() <= 24 && name.bytes().all(plain) && !name.starts_with('-');
    if fits { Ok(()) } else { Err(Failure::usage("a name has 1 to 24 lower-case letters, digits and hyphens")) }
}

/// Logs as the configuration says.
pub(crate) fn log_as(log: &bartizan_config::Log) -> Notices {
    let json = log.format == LogFormat::Json;
    log_to_stderr(&format!("{:?}", log.level).to_lowercase(), json);
    Notices { json }
}

/// Lines for the person at the terminal that come whatever the level of the log is, in its format.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Notices {
    json: bool,
}

/// What they are logged as, which no level leaves out.
const NOTICE: &str = "bartizan::notice";

impl Notices {
    pub(crate) fn say(self, text: &str) {
        if self.json { tracing::info!(target: NOTICE, "{text}") } else { say(text) }
    }

    pub(crate) fn warn(self, warning: &str) {
        if self.json { tracing::warn!(target: NOTICE, "{warning}") } else { say(warning) }
    }
}

impl Notices {
    /// A problem of a file; for programs, what is known of it is in fields.
    pub(crate) fn problem(self, problem: &Diagnostic) {
        if !self.json {
            return say(&problem.to_string());
        }
        let Diagnostic { file, line, column, message, help, .. } = problem;
        tracing::warn!(target: NOTICE, file, line, column, suggestion = help.as_deref(), "{message}");
    }
}

/// Logs to standard error; `BARTIZAN_LOG` overrides the level.
pub(crate) fn log_to_stderr(level: &str, json: bool) {
    let wanted = std::env::var_os("BARTIZAN_LOG").filter(|wanted| !wanted.is_empty());
    let wanted = wanted.map(|wanted| wanted.to_string_lossy().into_owned());
    let filter = wanted.as_deref().and_then(log_filter);
    let unknown = wanted.filter(|_| filter.is_none()).map(|wanted| crate::text::inline(&wanted));
    let mut filter = filter.unwrap_or_else(|| EnvFilter::new(level));
    if json && let Ok(always) = format!("{NOTICE}=info").parse() {
        filter = filter.add_directive(always);
    }
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let colour = std::env::var_os("NO_COLOR").is_none() && std::io::IsTerminal::is_terminal(&std::io::stderr());
    // A second call has nothing to add to the first.
    let set = if json {
        builder.json().try_init()
    } else {
        builder.fmt_fields(Quoted).with_ansi(colour).with_target(false).try_init()
    };
    set.ok();
    if let Some(wanted) = unknown {
        let known = "error, warn, info, debug, trace or off";
        Notices { json }.warn(&format!("warning: BARTIZAN_LOG is `{wanted}` and not {known}; logging at {level}"));
    }
}

/// Levels, each for all of the program or as `TARGET=LEVEL`. A word that is neither would be taken for the one target that
/// may log, which switches everything else off.
fn log_filter(wanted: &str) -> Option<EnvFilter> {
    let is_known = |part: &str| part.contains(['=', '[']) || part.parse::<LevelFilter>().is_ok();
    if wanted.split(',').map(str::trim).all(is_known) { EnvFilter::try_new(wanted).ok() } else { None }
}

/// Runs to the end on all cores.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, impl Into<Stop>>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::ours)?;
    bartizan_sandbox::adopt_orphans();
    let outcome = runtime.block_on(async {
        survive_file_size_limit();
        work.await
    });
    // A read of standard input that will never return must not keep the process.
    runtime.shutdown_background();
    outcome.map_err(|stop| stop.into().0)
}

/// Has a write beyond the limit for the size of files (`ulimit -f`) fail like one to a full disk, which stops messages,
/// instead of ending the process, which would stop everything.
fn survive_file_size_limit() {
    use tokio::signal::unix::{SignalKind, signal};
    /// `SIGXFSZ`, which has this number on every system that we build for.
    const TOO_LARGE: i32 = 25;
    // Where it cannot be caught, the limit ends us as it ends others.
    signal(SignalKind::from_raw(TOO_LARGE)).ok();
}

/// Runs to the end on one core, for what only carries bytes.
pub(crate) fn block_on_one<T>(work: impl Future<Output = Result<T, impl Into<Stop>>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::ours)?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_background();
    outcome.map_err(|stop| stop.into().0)
}

/// A failure, however it is said.
pub(crate) struct Stop(Failure);

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop(failure)
    }
}

impl From<RunError> for Stop {
    fn from(error: RunError) -> Self {
        let help = match &error {
            RunError::Setup(setup) if is_log_taken(setup) => {
                "\n  = help: stop that process, or set BARTIZAN_HOME to another directory"
            }
            _ => "",
        };
        Stop(Failure::ours(format!("{error}{help}")))
    }
}

/// Whether all that is wrong is that another Bartizan writes to the log.
pub(crate) fn is_log_taken(error: &SetupError) -> bool {
    matches!(error, SetupError::Audit(AuditError::Locked { .. }))
}
