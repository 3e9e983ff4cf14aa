//! One wrapped server in this process: start it, carry messages, end it, say how it ended.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bartizan_config::Config;
use bartizan_guard::Principal;
use bartizan_sandbox::{Environment, ExitStatus, Launch, Level, Signal};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};

use super::complaints::Complaints;
use super::restart::{Complain, Restart};
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

/// Runs the server until either side ends, and returns how it ended. A server that crashes is started again, if the
/// client knows it and `wrap` allows it.
pub(super) async fn wrapped<I, O>(
    gateway: &Arc<Gateway>,
    wrap: &Wrap,
    ends: Ends<I, O>,
    complain: Complain,
) -> Result<ExitStatus, RunError>
where
    I: AsyncRead + Unpin + Send + 'static,
    O: AsyncWrite + Unpin + Send + 'static,
{
    let launch = launch(wrap)?;
    let limits = gateway.policy.load().limits;
    let name: Arc<str> = wrap.server_name().into();
    let sink = Arc::clone(&complain);
    let child = StdioUpstream::spawn(&launch, Routing::Ordered, limits, move |line| sink(line)).await?;
    let started =
        json!({"server": name, "program": launch.program.to_string_lossy(), "isolation": Level::None.to_string()});
    gateway.recorder.note("server.started", &started).map_err(SetupError::Audit)?;
    let server = Arc::new(Server {
        profile: ArcSwap::from_pointee(crate::approvals::unknown(&name)),
        profiles: ArcSwap::default(),
        name: Arc::clone(&name),
        transport: Transport::Command(Box::new(launch.clone())),
        // One client and its own server: how long to wait is the client's to decide, and it can cancel.
        timeout: std::time::Duration::from_secs(60),
        longest: std::time::Duration::from_secs(300),
        processes: Arc::new(tokio::sync::Semaphore::new(1)),
        places: Arc::new(tokio::sync::Semaphore::new(256)),
        bridge: crate::Bridging::default(),
    });
    setup::follow(gateway, &server)?;
    let session = crate::edge::random_name();
    let upstream = Upstream::Stdio(child);
    let link = ArcSwap::from_pointee(Link::new(Arc::clone(gateway), server, local_user(), session, upstream));
    let (stop, stopped) = watch::channel(false);
    let restart = Restart::new(wrap.restart.then_some(launch), limits, complain, stopped);
    let ended = {
        let mut signals = ends.signals;
        let serving = stdio::serve(&link, ends.input, ends.output, limits, &restart);
        let mut serving = std::pin::pin!(serving);
        loop {
            tokio::select! {
                ended = &mut serving => break ended,
                Some(signal) = signals.recv() => pass_on(signal, &link.load(), &stop),
            }
        }
    };
    let status = finish(&link.load(), ended, &restart).await;
    let ended = json!({"server": name, "status": status.shell_code()});
    gateway.recorder.note("server.ended", &ended).map_err(SetupError::Audit)?;
    Ok(status)
}

/// Passes a signal on to the server, and remembers that it was told to end.
fn pass_on(signal: Signal, link: &Link, stop: &watch::Sender<bool>) {
    if !matches!(signal, Signal::User1 | Signal::User2) {
        stop.send_replace(true);
    }
    if let Upstream::Stdio(child) = &link.upstream {
        child.signal(signal);
    }
}

async fn finish(link: &Link, ended: Ended, restart: &Restart) -> ExitStatus {
    match (&link.upstream, ended, restart.ended()) {
        (Upstream::Stdio(_), Ended::ByServer, Some(status)) => status,
        (Upstream::Stdio(child), _, _) => child.end().await,
        (Upstream::Http(_) | Upstream::Shared(_), _, _) => ExitStatus::Code(0),
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
    let complaints = Complaints::to_stderr();
    let status = wrapped(&gateway, wrap, ends, Arc::new(complaints.sink())).await;
    complaints.finish();
    status.map(ExitStatus::shell_code)
}
