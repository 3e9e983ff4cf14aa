//! One wrapped server in this process: start it, carry messages, end it, say how it ended.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use bartizan_config::Config;
use bartizan_guard::Principal;
use bartizan_mcp::Limits;
use bartizan_sandbox::{Environment, ExitStatus, Launch, Signal};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot, watch};

use super::complaints::Complaints;
use super::restart::Restart;
use super::signals::signals;
use super::stdio::{self, Ended};
use super::translated;
use super::turned_away;
use super::wrapping::{Wrapped, pass_on};
use super::{Paths, RunError, Wrap};
use crate::changes;
use crate::control;
use crate::gateway::Gateway;
use crate::in_flight::InFlight;
use crate::labels::Who;
use crate::link::Link;
use crate::program::Program;
use crate::random;
use crate::reload::notes;
use crate::server::{Complain, PROCESSES, Server, Transport};
use crate::setup::{self, SetupError};
use crate::upstream::lines::Lines;
use crate::upstream::{Routing, StdioUpstream, Upstream};
use crate::way_out;

/// Where no limit is meant.
const A_DAY: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// The ends of a wrapped server that lead to its client.
pub(super) struct Ends<I, O> {
    pub(super) input: I,
    pub(super) output: O,
    /// Signals to pass on to the server.
    pub(super) signals: mpsc::Receiver<Signal>,
    /// Comes, or is dropped at the other end, when the client can neither read nor write any more.
    pub(super) gone: oneshot::Receiver<()>,
}

/// Runs the server until either side ends, and returns how it ended. A server that crashes is started again, if the
/// client knows it and `wrap` allows it; of one that does not start at all, the client is told why.
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
    let limits = gateway.policy.load().limits;
    let Ends { input, output, mut signals, mut gone } = ends;
    let mut input = Lines::new(input, limits.bytes);
    let (of, program) = match prepared(gateway, wrap, &complain, limits) {
        Ok(prepared) => prepared,
        Err(error) => return Err(not_started(gateway, wrap, (input, output), (signals, gone), error).await),
    };
    if wrap.bridge {
        let opened = tokio::select! {
            opened = translated::open(&of, &mut input) => opened,
            // There is no server yet to whom this would be passed on.
            Some(signal) = signals.recv() => return Ok(ExitStatus::Signal(signal.number())),
            _ = &mut gone => return Ok(ExitStatus::Code(0)),
        };
        match opened {
            Ok(None) => {}
            Ok(Some(opened)) => {
                if let Err(error) = note_started(&of, &program) {
                    return Err(not_started(gateway, wrap, (input, output), (signals, gone), error.into()).await);
                }
                let status = translated::serve(&of, opened, input, output, (signals, gone)).await;
                return note_ended(&of, status);
            }
            Err(error) => return Err(not_started(gateway, wrap, (input, output), (signals, gone), error).await),
        }
    }
    let child = match StdioUpstream::spawn(&program, Routing::Ordered, limits, move |line| (complain.0)(line)).await {
        Ok(child) => child,
        Err(error) => return Err(not_started(gateway, wrap, (input, output), (signals, gone), error.into()).await),
    };
    if let Err(error) = note_started(&of, &program) {
        child.end().await;
        return Err(not_started(gateway, wrap, (input, output), (signals, gone), error.into()).await);
    }
    let (server, principal, upstream) = (Arc::clone(&of.server), of.principal.clone(), Upstream::Stdio(child));
    let link = ArcSwap::from_pointee(Link::new(Arc::clone(gateway), server, principal, of.session.clone(), upstream));
    let ended = {
        let mut serving = std::pin::pin!(stdio::serve(&link, input, output, limits, &of.restart));
        loop {
            tokio::select! {
                ended = &mut serving => break ended,
                Some(signal) = signals.recv() => pass_on(signal, &link.load(), &of.stop),
                // Whatever the server has still to read, nobody is left for its answers.
                _ = &mut gone => break Ended::ByClient,
            }
        }
    };
    let status = finish(&of, &link.load(), ended).await;
    note_ended(&of, status)
}

/// All that is known of a server before it starts, and its program.
fn prepared<'g>(
    gateway: &'g Arc<Gateway>,
    wrap: &Wrap,
    complain: &Complain,
    limits: Limits,
) -> Result<(Wrapped<'g>, Program), RunError> {
    let program = confined(gateway, wrap, launch(wrap)?, complain)?;
    let (stop, stopped) = watch::channel(false);
    let (principal, session) = (local_user(), random::name());
    let of = Wrapped {
        _conversation: gateway.begin(&session, Who::Starts(&principal, wrap.client)),
        gateway,
        server: server(gateway, wrap, &program, complain)?,
        principal,
        session,
        limits,
        restart: Arc::new(Restart::new(wrap.restart.then(|| program.clone()), limits, complain.clone(), stopped)),
        stop,
    };
    Ok((of, program))
}

/// What the gateway knows of the server.
fn server(
    gateway: &Arc<Gateway>,
    wrap: &Wrap,
    program: &Program,
    complain: &Complain,
) -> Result<Arc<Server>, SetupError> {
    let name: Arc<str> = wrap.server_name().into();
    let server = Arc::new(Server {
        profile: ArcSwap::from_pointee(crate::approvals::unknown(&name)),
        profiles: ArcSwap::default(),
        identified: AtomicBool::new(false),
        // A client may keep what is said, and where files are is not its business.
        lock_option: if gateway.lock_option.is_empty() { "" } else { " --lock FILE" }.into(),
        name,
        transport: Transport::Wrapped(Box::new(program.clone()), complain.clone()),
        // One client and its own server: how long to wait is the client's to decide, and it can cancel.
        timeout: A_DAY,
        longest: A_DAY,
        notices: crate::notices::Notices::default(),
        processes: Arc::new(tokio::sync::Semaphore::new(PROCESSES)),
        starts: Arc::default(),
        places: InFlight::new(256),
        bridge: crate::eras::Bridging::new(wrap.bridge),
    });
    setup::follow(gateway, &server)?;
    Ok(server)
}

fn note_started(of: &Wrapped<'_>, program: &Program) -> Result<(), SetupError> {
    let launch = &program.launch;
    let program = launch.program.to_string_lossy();
    let mut started = json!({"server": of.server.name, "program": program, "isolation": launch.level().to_string()});
    if let (Some(fields), false) = (started.as_object_mut(), of.server.exposed().is_empty()) {
        fields.insert("exposed".to_owned(), of.server.exposed().into());
    }
    of.gateway.recorder.note("server.started", &started).map(drop).map_err(SetupError::Audit)
}

fn note_ended(of: &Wrapped<'_>, status: ExitStatus) -> Result<ExitStatus, RunError> {
    let ended = json!({"server": of.server.name, "status": status.shell_code()});
    of.gateway.recorder.note("server.ended", &ended).map_err(SetupError::Audit)?;
    Ok(status)
}

/// Records that there is no server, and tells the client why, as long as it is there.
async fn not_started<I: AsyncRead + Unpin>(
    gateway: &Gateway,
    wrap: &Wrap,
    (input, output): (Lines<I>, impl AsyncWrite + Unpin),
    (mut signals, gone): (mpsc::Receiver<Signal>, oneshot::Receiver<()>),
    error: RunError,
) -> RunError {
    let name = wrap.server_name();
    let failed = json!({"server": name, "why": error.to_string()});
    if let Err(unwritten) = gateway.recorder.note("server.failed", &failed) {
        tracing::error!(server = %name, "that it did not start cannot be recorded: {unwritten}");
    }
    tokio::select! {
        () = turned_away::from(input, output, &error) => {}
        Some(_) = signals.recv() => {}
        _ = gone => {}
    }
    error
}

async fn finish(of: &Wrapped<'_>, link: &Link, ended: Ended) -> ExitStatus {
    let restart = &of.restart;
    if ended == Ended::ByServer
        && let Some(status) = restart.ended()
    {
        of.say_end(status);
    }
    match (&link.upstream, ended, restart.ended()) {
        (Upstream::Stdio(_), Ended::ByServer, Some(status)) => status,
        (Upstream::Stdio(child), _, _) => child.end().await,
        (Upstream::Http(_) | Upstream::Shared(_), _, _) => ExitStatus::Code(0),
    }
}

/// Why a program is not wrapped that would be confined by what its file says.
fn other_default(in_force: &str) -> String {
    format!(
        "servers without a table are confined by `{in_force}` in the configuration that is in force, and its file does not say so \
         now; put the file in order"
    )
}

/// The program, confined if that is wished, with its way out.
fn confined(gateway: &Gateway, wrap: &Wrap, mut launch: Launch, complain: &Complain) -> Result<Program, RunError> {
    let name = wrap.server_name();
    let policy = gateway.policy.load();
    if wrap.by_default.as_ref().is_some_and(|default| *default != policy.default_profile) {
        return Err(RunError::Sandbox(other_default(&policy.default_profile)));
    }
    let config = gateway.config.borrow().clone();
    let writable = setup::confine::changes(config.as_deref(), &wrap.directory).map_err(SetupError::Given)?;
    let say = |of: Option<String>| of.into_iter().for_each(|said| (complain.0)(&format!("bartizan: {name}: {said}")));
    let Some(sandbox) = wrap.confined().map_err(RunError::Sandbox)?.sandbox else {
        say(setup::confine::unconfined(&mut launch, &wrap.directory, &writable));
        return Ok(launch.into());
    };
    // Where the client happens to be is where the server starts only if it sees that.
    launch.cwd = None;
    for (name, value) in &sandbox.exposed {
        launch.env.set(name, value.expose());
    }
    say(setup::confine::confine(&mut launch, &sandbox, &wrap.directory, &writable));
    setup::confine::remember(&launch).map_err(SetupError::Given)?;
    if let Some((path, within)) = config.and_then(|config| setup::confine::exposed(&launch, &config)) {
        return Err(SetupError::Exposed { server: name, path, within }.into());
    }
    let way_out = way_out::of_told(&name, &sandbox, &gateway.recorder, refusals(&name, complain));
    let way_out = way_out.map_err(|why| SetupError::Egress { server: name.clone(), why })?;
    setup::install::attach(&name, &sandbox, &mut launch, &gateway.recorder, Some(complain.clone()))
        .map_err(|why| SetupError::Install { server: name, why })?;
    Ok(Program::new(launch, way_out).exposing(sandbox.exposed.into_keys()))
}

/// Hosts that a client is told of, as one server can ask for any number.
const REFUSED: usize = 100;

/// How names end that lead to no public host.
const LOCAL: &[&str] = &[".localhost", ".local", ".internal", ".lan", ".home.arpa", "."];

/// Says which hosts are refused, each once, and what would allow it.
fn refusals(server: &str, complain: &Complain) -> way_out::Seen {
    let (server, complain, said) = (server.to_owned(), complain.clone(), Mutex::new(BTreeSet::new()));
    Arc::new(move |asked| {
        let Some(reason) = asked.refused else { return };
        let host = format!("{}:{}", asked.host, asked.port).escape_debug().to_string();
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() > REFUSED || !said.insert((host.clone(), reason.clone())) {
            return;
        }
        if said.len() > REFUSED {
            (complain.0)(&format!(
                "bartizan: {server} was kept from more hosts; `bartizan audit tail --denied` has them"
            ));
            return;
        }
        // What is no public name is nobody's to propose.
        let is_public = asked.host.parse::<std::net::IpAddr>().is_err()
            && asked.host.contains('.')
            && !LOCAL.iter().any(|end| asked.host.ends_with(end));
        let remedy = match reason.as_str() {
            "egress.not_allowed" if is_public => format!("; --allow {host} lets it"),
            "egress.address_private" | "egress.address_own" => {
                "; `net.private` in a table `[profile.NAME]` of the configuration, and `run --profile NAME`, let it"
                    .to_owned()
            }
            _ => String::new(),
        };
        (complain.0)(&format!("bartizan: {server} was kept from {host} ({reason}){remedy}"));
    })
}

pub(super) fn launch(wrap: &Wrap) -> Result<Launch, RunError> {
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
    Principal::local(rustix::process::getuid().as_raw())
}

/// Wraps a server in this process, with a log of its own.
///
/// # Errors
/// If the gateway cannot be set up or the server cannot be started. The client has been told then, if it asked for anything.
pub async fn standalone(config: &Config, paths: &Paths, wrap: &Wrap) -> Result<i32, RunError> {
    let mut config = config.clone();
    config.audit.directory = paths.standalone_audit(&wrap.server_name());
    let gateway = match set_up(&config, paths, wrap) {
        Ok(gateway) => gateway,
        Err(error) => return Err(turned_away::with(error).await),
    };
    let _control = control::serve(&gateway);
    // This process goes with its client.
    let (_here, gone) = oneshot::channel();
    let (input, output) = (tokio::io::stdin(), tokio::io::stdout());
    let ends = Ends { input, output, signals: signals(), gone };
    let complaints = Complaints::to_stderr();
    for note in notes(&config, wrap.config.as_deref()) {
        complaints.line(&format!("bartizan: {note}"));
    }
    let status = tokio::select! {
        status = wrapped(&gateway, wrap, ends, Complain(Arc::new(complaints.sink()))) => status,
        never = every_second(&gateway) => match never {},
        never = changes::keep_recording(Arc::clone(&gateway)) => match never {},
    };
    complaints.finish();
    // This process ends before the log is dropped, and nobody goes on with it.
    gateway.recorder.log().settle();
    status.map(ExitStatus::shell_code)
}

fn set_up(config: &Config, paths: &Paths, wrap: &Wrap) -> Result<Arc<Gateway>, RunError> {
    paths.prepare()?;
    if let Some(parent) = config.audit.directory.parent() {
        let failed = |source| RunError::Path { path: parent.to_owned(), source };
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    let gateway = setup::gateway(config)?;
    gateway.config.send_replace(Some(Arc::new(config.clone())));
    let isolation = wrap.confined().map_err(RunError::Sandbox)?.level();
    tracing::info!(audit = %config.audit.directory.display(), %isolation, "wrapping a server");
    Ok(gateway)
}

async fn every_second(gateway: &Gateway) -> std::convert::Infallible {
    let mut second = tokio::time::interval(std::time::Duration::from_secs(1));
    loop {
        second.tick().await;
        gateway.tick();
    }
}
