//! The way out of a confined server, to the hosts that its configuration names.
//!
//! One for each start of its program: a socket in a directory of its own, a token, an authority and placeholders, all of which go with
//! what was started, so that nothing of one is good for another. Every connection and every refusal is in the log, and what
//! cannot be recorded does not leave.

mod addresses;
mod log;
mod place;
mod trust;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bartizan_config::learned::HostUse;
use bartizan_config::{BoundSecret, Sandbox};
use bartizan_egress::{
    Egress, Listening, Parts, Policy, Rule, Secret, Settings, Sink, System, Timeouts, Token, native_tls,
    trusting_nobody,
};
use bartizan_sandbox::{Launch, Network, Relay};
use http::HeaderName;
use zeroize::Zeroizing;

use self::log::{Log, Nobody, Told};
use self::place::Place;
use crate::recorder::Recorder;

/// Who is told of each host that is asked for.
pub(crate) type Seen = Arc<dyn Fn(HostUse) + Send + Sync>;

/// Where the relay listens for programs that know of proxies.
const PROXY: &str = "http://127.0.0.1:3128";
const PROXY_VARIABLES: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];

/// What each start of one server may reach, and those that are open.
pub(crate) struct WayOut {
    server: String,
    parts: Parts,
    state: Mutex<State>,
}

struct State {
    policy: Policy,
    secrets: Vec<BoundSecret>,
    /// Ports to listen at besides the usual ones.
    ports: Vec<String>,
    open: BTreeMap<u64, Open>,
    opened: u64,
    /// Those of configurations before, with which something may still run.
    before: Vec<Weak<WayOut>>,
}

/// One start that goes on.
struct Open {
    egress: Egress,
    /// Whether it trusts what ends its TLS.
    trusts: bool,
    /// Secrets for which it has placeholders.
    held: Vec<String>,
}

/// The way out of one start, open for as long as this lives.
pub struct Way {
    of: Arc<WayOut>,
    number: u64,
    task: tokio::task::JoinHandle<()>,
    _place: Place,
}

impl std::fmt::Debug for WayOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WayOut").field("server", &self.server).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Way").field("of", &self.of).field("number", &self.number).finish_non_exhaustive()
    }
}

/// The way out that `sandbox` describes, if it does.
///
/// # Errors
/// If the system trusts no authorities.
pub(crate) fn of(server: &str, sandbox: &Sandbox, recorder: &Arc<Recorder>) -> io::Result<Option<Arc<WayOut>>> {
    reported_to(server, sandbox, Arc::new(Log::of_server(recorder)))
}

/// The same, of which `seen` is told each host that is asked for.
///
/// # Errors
/// As those of [`of`].
pub(crate) fn of_told(
    server: &str,
    sandbox: &Sandbox,
    recorder: &Arc<Recorder>,
    seen: Seen,
) -> io::Result<Option<Arc<WayOut>>> {
    reported_to(server, sandbox, Arc::new(Told { log: Log::of_server(recorder), seen }))
}

/// Opens one for a single start.
///
/// # Errors
/// As those of [`of`] and [`WayOut::open`].
pub(crate) fn open(
    server: &str,
    sandbox: &Sandbox,
    launch: &mut Launch,
    recorder: &Arc<Recorder>,
) -> io::Result<Option<Way>> {
    of(server, sandbox, recorder)?.map(|way_out| way_out.open(launch)).transpose()
}

/// Opens one for what installs a server's packages, where `seen` is told each host that is asked for.
///
/// # Errors
/// As those of [`of`] and [`WayOut::open`].
pub(crate) fn open_to_install(
    server: &str,
    sandbox: &Sandbox,
    launch: &mut Launch,
    recorder: &Arc<Recorder>,
    seen: Seen,
) -> io::Result<Option<Way>> {
    let way_out = reported_to(server, sandbox, Arc::new(Told { log: Log::of_installing(recorder), seen }))?;
    way_out.map(|way_out| way_out.open(launch)).transpose()
}

/// Opens one of which nothing is recorded, so that nothing leaves: to see whether it can be.
///
/// # Errors
/// As those of [`of`] and [`WayOut::open`].
pub(crate) fn try_open(server: &str, sandbox: &Sandbox, launch: &mut Launch) -> io::Result<Option<Way>> {
    let way_out = reported_to(server, sandbox, Arc::new(Nobody))?;
    way_out.map(|way_out| way_out.open(launch)).transpose()
}

/// Opens one for a single start of a program of which it is to be found out what it reaches: to every public host at the
/// usual ports, or only to those that are named, each of which is told to `seen` as well.
///
/// # Errors
/// As those of [`of`] and [`WayOut::open`].
pub(crate) fn open_to_see(
    server: &str,
    (sandbox, hosts): (&Sandbox, Option<&[String]>),
    launch: &mut Launch,
    recorder: &Arc<Recorder>,
    seen: Seen,
) -> io::Result<Option<Way>> {
    let usual = [Rule::any(443), Rule::any(80)];
    let named = |hosts: &[String]| hosts.iter().map(|host| Rule::parse(host).map_err(io::Error::other)).collect();
    let rules: Vec<Rule> = hosts.map_or_else(|| Ok(usual.into()), named)?;
    let limits = *sandbox.policy().map_err(io::Error::other)?.limits();
    let ports = hosts.into_iter().flatten().filter_map(|host| host.rsplit_once(':')).map(|(_, port)| port.to_owned());
    let sink = Arc::new(Told { log: Log::of_server(recorder), seen });
    let policy = Policy::new(rules, limits);
    made(server, policy, sandbox.secrets.clone(), ports.collect(), sink)?.open(launch).map(Some)
}

fn reported_to(server: &str, sandbox: &Sandbox, sink: Arc<dyn Sink>) -> io::Result<Option<Arc<WayOut>>> {
    if !sandbox.report && sandbox.hosts.is_empty() {
        return Ok(None);
    }
    let ports = sandbox.hosts.iter().filter_map(|held| held.host.rsplit_once(':')).map(|(_, port)| port.to_owned());
    let mut ports: Vec<String> = ports.collect();
    ports.sort_unstable();
    ports.dedup();
    let policy = sandbox.policy().map_err(io::Error::other)?;
    made(server, policy, sandbox.secrets.clone(), ports, sink).map(Some)
}

fn made(
    server: &str,
    policy: Policy,
    secrets: Vec<BoundSecret>,
    ports: Vec<String>,
    sink: Arc<dyn Sink>,
) -> io::Result<Arc<WayOut>> {
    // Where nothing leaves, nobody has to be trusted, and the system's list of authorities need not be read.
    let tls = if policy.is_empty() { trusting_nobody()? } else { native_tls()? };
    let state = State { policy, secrets, ports, open: BTreeMap::new(), opened: 0, before: Vec::new() };
    // Rather now than at the first start.
    bound(&state.secrets)?;
    let parts = Parts { resolver: Arc::new(System::default()), sink, tls };
    Ok(Arc::new(WayOut { server: server.to_owned(), parts, state: Mutex::new(state) }))
}

/// Secrets with placeholders of their own.
fn bound(secrets: &[BoundSecret]) -> io::Result<Vec<Secret>> {
    let one = |held: &BoundSecret| {
        let header = |name: &String| HeaderName::try_from(name).map_err(io::Error::other);
        let mut places = held.hosts.iter().flat_map(|host| held.headers.iter().map(move |name| (host, name)));
        let (host, name) = places.next().ok_or(io::ErrorKind::InvalidInput)?;
        let value = Zeroizing::new(held.value.expose().to_owned());
        let first = Secret::new(&held.name, host, header(name)?, value).map_err(io::Error::other)?;
        places.try_fold(first, |secret, (host, name)| secret.also(host, header(name)?).map_err(io::Error::other))
    };
    secrets.iter().map(one).collect()
}

/// Whether TLS is ended for any host.
fn ends_tls(policy: &Policy, secrets: &[BoundSecret]) -> bool {
    policy.looks_at_requests() || !secrets.is_empty()
}

impl WayOut {
    /// Opens it for one start, and has what `launch` starts use it.
    ///
    /// # Errors
    /// If there can be no socket, or what the program trusts cannot be read.
    pub(crate) fn open(self: &Arc<Self>, launch: &mut Launch) -> io::Result<Way> {
        let place = Place::make()?;
        let listening = Listening::bind(&place.socket())?;
        // Held until it is among those that are open, so that each other policy meets it.
        let mut state = self.state();
        let secrets = bound(&state.secrets)?;
        for secret in &secrets {
            launch.env.set(secret.name(), secret.placeholder());
        }
        let held = state.secrets.iter().map(|secret| secret.name.clone()).collect();
        let trusts = ends_tls(&state.policy, &state.secrets);
        let settings = Settings {
            server: self.server.clone(),
            policy: state.policy.clone(),
            secrets,
            own: addresses::own(),
            timeouts: Timeouts::default(),
        };
        let egress = Egress::new(settings, self.parts.clone()).map_err(io::Error::other)?;
        let seen = if trusts {
            let authority = egress.authority_pem().map_err(io::Error::other)?;
            trust::hand_over(launch, &place, &authority)?
        } else {
            Vec::new()
        };
        for name in PROXY_VARIABLES {
            launch.env.set(name, PROXY);
        }
        launch.env.set("NO_PROXY", "localhost,127.0.0.1,::1");
        let confinement = launch.confinement.as_mut().ok_or(io::ErrorKind::InvalidInput)?;
        confinement.read_only.extend(seen);
        let told = [egress.token().expose()].into_iter().chain(state.ports.iter().map(String::as_str));
        let told = told.collect::<Vec<_>>().join(" ");
        confinement.network = Network::Relay(Relay { socket: place.socket(), told });
        confinement.place = Some(place.directory().to_owned());
        let serving = egress.clone();
        let task = tokio::spawn(async move { serving.serve(listening.listener()).await });
        let number = state.opened;
        state.opened += 1;
        state.open.insert(number, Open { egress, trusts, held });
        drop(state);
        Ok(Way { of: Arc::clone(self), number, task, _place: place })
    }

    /// Whether nothing leaves by it.
    pub(crate) fn only_reports(&self) -> bool {
        self.state().policy.is_empty()
    }

    /// Values that no line of the program may show, with names for them.
    pub(crate) fn private(&self) -> Vec<(String, String)> {
        self.state().secrets.iter().map(|held| (held.name.clone(), held.value.expose().to_owned())).collect()
    }

    /// Has what still runs with this one reach no more than what is started with `now`, and use its secrets; what is open and no
    /// longer allowed is closed.
    pub(crate) fn follow(self: &Arc<Self>, now: Option<&Arc<WayOut>>) {
        let (policy, secrets) = match now {
            Some(now) => {
                let state = now.state();
                (state.policy.clone(), state.secrets.clone())
            }
            None => Default::default(),
        };
        let mut before: Vec<_> = self.state().before.iter().filter_map(Weak::upgrade).collect();
        before.push(Arc::clone(self));
        for one in &before {
            one.take(&policy, &secrets);
        }
        if let Some(now) = now {
            now.state().before.extend(before.iter().map(Arc::downgrade));
        }
    }

    /// Puts these in force for what is open, and for what is started from now on.
    fn take(&self, policy: &Policy, secrets: &[BoundSecret]) {
        let mut state = self.state();
        let ends = ends_tls(policy, secrets);
        let lacks =
            |open: &Open| ends && !open.trusts || secrets.iter().any(|secret| !open.held.contains(&secret.name));
        for open in state.open.values() {
            open.egress.replace(policy.clone());
            let secrets = bound(secrets).unwrap_or_else(|error| {
                tracing::error!(server = %self.server, %error, "what runs of it has no secrets any more");
                Vec::new()
            });
            open.egress.replace_secrets(&secrets);
        }
        if state.open.values().any(lacks) {
            tracing::warn!(
                server = %self.server,
                "what runs of it was started without what the new configuration gives it, and has to be started again for that"
            );
        }
        state.policy = policy.clone();
        state.secrets = secrets.to_vec();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.of.state().open.remove(&self.number);
        self.task.abort();
    }
}

/// The relay beside a confined server; see [`bartizan_sandbox::set_relay_program`].
///
/// # Errors
/// If it cannot listen.
pub fn relay(socket: &Path, told: &str) -> io::Result<Box<dyn FnOnce()>> {
    use bartizan_egress::inner::{Addresses, Relay};
    let mut words = told.split(' ');
    let token = words.next().and_then(Token::parse).ok_or(io::ErrorKind::InvalidInput)?;
    let ports: Vec<u16> = words.filter_map(|port| port.parse().ok()).collect();
    let relay = Relay::bind(socket, token, &Addresses::usual(&ports))?;
    Ok(Box::new(move || drop(relay.run())))
}

#[cfg(test)]
mod tests;
