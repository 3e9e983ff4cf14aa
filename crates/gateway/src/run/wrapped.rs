//! One wrapped server in this process: start it, carry messages, end it, say how it ended.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bartizan_config::Config;
use bartizan_guard::Principal;
use bartizan_sandbox::{Environment, ExitStatus, Launch, Level, Signal};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use super::{Paths, RunError, Wrap};
use crate::gateway::Gateway;
use crate::link::Link;
use crate::server::{Server, Transport};
use crate::setup::{self, SetupError};
use crate::stdio::{self, Ended};
use crate::upstream::{Routing, StdioUpstream, Upstream};

/// The ends of a wrapped server that lead to its client.
pub(super) struct Ends<I, O> {
    pub(super) input: I,
    pub(super) output: O,
    /// Signals to pass on to the server.
    pub(super) signals: mpsc::Receiver<Signal>,
}

/// Runs the server until either side ends, and returns how it ended.
pub(super) async fn wrapped<I, O>(
    gateway: &Arc<Gateway>,
    wrap: &Wrap,
    mut ends: Ends<I, O>,
    on_stderr: impl FnMut(&str) + Send + 'static,
) -> Result<ExitStatus, RunError>
where
    I: AsyncRead + Unpin + Send + 'static,
    O: AsyncWrite + Unpin + Send + 'static,
{
    let launch = launch(wrap)?;
    let limits = gateway.policy.load().limits;
    let name: Arc<str> = wrap.server_name().into();
    let child = StdioUpstream::spawn(&launch, Routing::Ordered, limits, on_stderr).await?;
    let started = json!({"server": name, "program": launch.program.to_string_lossy(), "isolation": Level::None.to_string()});
    gateway.recorder.note("server.started", &started).map_err(SetupError::Audit)?;
    let server = Arc::new(Server {
        profile: ArcSwap::from_pointee(crate::approvals::unknown(&name)),
        name: Arc::clone(&name),
        transport: Transport::Command(Box::new(launch)),
        timeout: std::time::Duration::from_secs(60),
    });
    setup::follow(gateway, &server)?;
    let session = crate::edge::random_name();
    let upstream = Upstream::Stdio(child);
    let link = Arc::new(Link::new(Arc::clone(gateway), server, local_user(), session, upstream));
    let status = {
        let serving = stdio::serve(Arc::clone(&link), ends.input, ends.output, limits);
        let mut serving = std::pin::pin!(serving);
        loop {
            tokio::select! {
                ended = &mut serving => break finish(&link, ended).await,
                Some(signal) = ends.signals.recv() => {
                    if let Upstream::Stdio(child) = &link.upstream {
                        child.signal(signal);
                    }
                }
            }
        }
    };
    let ended = json!({"server": name, "status": status.shell_code()});
    gateway.recorder.note("server.ended", &ended).map_err(SetupError::Audit)?;
    Ok(status)
}

async fn finish(link: &Link, ended: Ended) -> ExitStatus {
    match (&link.upstream, ended) {
        (Upstream::Stdio(child), Ended::ByServer) => child.ended().await,
        (Upstream::Stdio(child), Ended::ByClient) => child.end().await,
        (Upstream::Http(_), _) => ExitStatus::Code(0),
    }
}

fn launch(wrap: &Wrap) -> Result<Launch, RunError> {
    let (program, args) = wrap.command.split_first().ok_or(RunError::NoCommand)?;
    let mut launch = Launch::new(program);
    launch.args = args.to_vec();
    launch.cwd = (!wrap.directory.as_os_str().is_empty()).then(|| wrap.directory.clone());
    launch.env = Environment::empty();
    for (name, value) in &wrap.env {
        launch.env.set(name, value);
    }
    Ok(launch)
}

/// Over stdio the client is whoever started it.
fn local_user() -> Principal {
    Principal::new(&format!("uid:{}", rustix::process::getuid().as_raw()))
}

/// Wraps a server in this process, with a log of its own.
///
/// # Errors
/// If the gateway cannot be set up or the server cannot be started.
pub async fn standalone(config: &Config, paths: &Paths, wrap: &Wrap) -> Result<i32, RunError> {
    let mut config = config.clone();
    config.audit.directory = paths.standalone_audit(&wrap.server_name());
    paths.prepare()?;
    if let Some(parent) = config.audit.directory.parent() {
        let failed = |source| RunError::Path { path: parent.to_owned(), source };
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    let gateway = setup::gateway(&config)?;
    tracing::info!(audit = %config.audit.directory.display(), "isolation level none: the server runs as you, unconfined");
    let ends = Ends { input: tokio::io::stdin(), output: tokio::io::stdout(), signals: super::bridge::signals() };
    let status = wrapped(&gateway, wrap, ends, super::bridge::to_stderr).await?;
    Ok(status.shell_code())
}
