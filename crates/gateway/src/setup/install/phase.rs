//! The phase in which packages are installed: the user's own installer, in a sandbox that reaches registries and nothing else.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_config::{Arguments, Installer, NetLimits, Sandbox, SandboxLevel};
use bartizan_sandbox::{Environment, Launch, StderrTail};
use tokio::io::AsyncReadExt as _;

use super::Job;
use super::held::{CACHE, TREE};
use crate::setup::confine;
use crate::setup::programs::interpreter_of;
use crate::way_out::{self, Seen};

/// What takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// Lines of what the installer complained about that are handed on.
const WORDS: usize = 8;
/// What `UV_SYSTEM_CERTS` was called before.
const OLD_NAME: &str = "UV_NATIVE_TLS";
/// Hosts that are named of those that it was kept from.
const HOSTS: usize = 8;
/// Where uv has its tools, in the tree.
pub(super) const TOOLS: &str = "tools";

/// Installs what `job` names below `place`.
pub(super) async fn run(job: &Job, place: &Path) -> Result<(), String> {
    for name in [TREE, CACHE] {
        std::fs::create_dir(place.join(name)).map_err(|error| error.to_string())?;
    }
    let launch = match job.order.install.with {
        Installer::Npm => npm(job, place),
        Installer::Uv => uv(job, place),
    };
    confined(job, place, launch, &sandbox(job, place)).await?;
    if job.order.install.with == Installer::Uv {
        compile(job, place).await;
    }
    super::tree::remove(&place.join(CACHE)).map_err(|error| error.to_string())
}

/// Runs it in such a sandbox to its end.
async fn confined(job: &Job, place: &Path, mut launch: Launch, sandbox: &Sandbox) -> Result<(), String> {
    // The installer itself may be looked for where a server has laid another one.
    let changes = confine::changes(None, place).map_err(|error| error.to_string())?;
    let program = launch.program.to_string_lossy().into_owned();
    confine::confine(&mut launch, sandbox, place, &changes);
    launch.cwd = Some(place.join(TREE));
    let refused = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = noting(&refused);
    let way_out = way_out::open_to_install(&job.order.server, sandbox, &mut launch, &job.recorder, seen);
    let _way_out = way_out.map_err(|error| error.to_string())?;
    let mut child = launch.spawn().await.map_err(|error| error.to_string())?;
    drop(child.stdin.take());
    let words = child.stderr.take().map(|stderr| StderrTail::follow(stderr, Vec::new(), |_| ()));
    let stdout = child.stdout.take();
    let reading = tokio::spawn(async move {
        let (mut stdout, mut chunk) = (stdout?, [0; 4096]);
        while stdout.read(&mut chunk).await.is_ok_and(|read| read > 0) {}
        Some(())
    });
    let ended = tokio::time::timeout(PATIENCE, child.wait()).await;
    reading.abort();
    let mut said = words.map(|words| words.lines()).unwrap_or_default();
    said.retain(|line| !line.contains(OLD_NAME));
    let said = said.get(said.len().saturating_sub(WORDS)..).unwrap_or_default().join("\n");
    let refused = kept_from(&refused);
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} {status}{refused}{}{said}", if said.is_empty() { "" } else { ":\n" })),
        Err(_) => {
            child.shutdown().await;
            Err(format!("{program} took longer than {} minutes{refused}", PATIENCE.as_secs() / 60))
        }
    }
}

/// Keeps each host that is refused.
fn noting(refused: &Arc<Mutex<BTreeSet<String>>>) -> Seen {
    let refused = Arc::clone(refused);
    Arc::new(move |asked| {
        let mut refused = refused.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reason) = asked.refused.filter(|_| refused.len() < HOSTS) {
            refused.insert(format!("{}:{} ({reason})", asked.host, asked.port).escape_debug().to_string());
        }
    })
}

/// What is to be said of them.
fn kept_from(refused: &Mutex<BTreeSet<String>>) -> String {
    let refused = refused.lock().unwrap_or_else(PoisonError::into_inner);
    if refused.is_empty() {
        return String::new();
    }
    let hosts: Vec<_> = refused.iter().map(String::as_str).collect();
    let remedy = if hosts.iter().any(|host| host.ends_with("(egress.not_allowed)")) {
        ", as `install.net.allow` of its profile or `sandbox` does not name it"
    } else {
        ""
    };
    format!("; installing was kept from {}{remedy}", hosts.join(", "))
}

/// Compiles what uv has installed, as what runs cannot write there. It is only slower without, so nothing depends on it.
///
/// uv would have the environment's own interpreter do so, which runs code of the packages as it begins (`.pth` files). So it is the
/// one that the environment was made from, without what was installed in view, and it reaches nothing.
async fn compile(job: &Job, place: &Path) {
    let tools = place.join(TREE).join(TOOLS);
    let environments = std::fs::read_dir(&tools).into_iter().flatten().flatten().map(|entry| entry.path());
    for environment in environments {
        let Some(interpreter) = interpreter_of(&environment, std::env::home_dir().as_deref()) else { continue };
        let words = ["-I", "-S", "-B", "-m", "compileall", "-q", "-j", "1"].map(str::to_owned);
        let arguments = words.into_iter().chain([environment.join("lib").to_string_lossy().into_owned()]).collect();
        let launch = Launch { program: interpreter.into(), ..launch(job, arguments, &[]) };
        let sandbox = Sandbox { hosts: Vec::new(), private: Vec::new(), install: None, ..sandbox(job, place) };
        if let Err(why) = confined(job, place, launch, &sandbox).await {
            tracing::debug!(server = job.order.server, why, "not all of the packages was compiled");
        }
    }
}

fn installer(job: &Job) -> &'static str {
    match job.order.install.with {
        Installer::Npm => "npm",
        Installer::Uv => "uv",
    }
}

/// Room to unpack, and no way but to the registries.
fn sandbox(job: &Job, place: &Path) -> Sandbox {
    Sandbox {
        profile: None,
        arguments: Arguments::Unseen,
        variables: std::collections::BTreeMap::new(),
        install: Some(job.order.install.clone()),
        read_only: Vec::new(),
        // Neither can be put elsewhere.
        writable: [TREE, CACHE].map(|name| place.join(name)).into(),
        protected: Vec::new(),
        hidden: Vec::new(),
        files: std::collections::BTreeMap::new(),
        scratch: 512 << 20,
        host_network: false,
        report: false,
        level: SandboxLevel::Process,
        runtime: None,
        hosts: job.order.install.hosts.clone(),
        private: job.order.install.private.clone(),
        net_limits: NetLimits::default(),
        secrets: Vec::new(),
        exposed: std::collections::BTreeMap::new(),
        memory: 2 << 30,
        pids: 512,
        cpu: None,
        nofile: 4096,
        fsize: 1 << 30,
        allow: Vec::new(),
        require: Vec::new(),
    }
}

/// An installer with what of the user's variables carries no secret by its nature, and the `PATH` of the server.
fn launch(job: &Job, arguments: Vec<String>, variables: &[(&str, std::ffi::OsString)]) -> Launch {
    let mut launch = Launch::new(installer(job));
    launch.env = Environment::inherited();
    if let Some(path) = &job.path {
        launch.env.set("PATH", path);
    }
    for (name, value) in variables {
        launch.env.set(name, value);
    }
    launch.args = arguments.into_iter().map(Into::into).collect();
    launch
}

fn npm(job: &Job, place: &Path) -> Launch {
    let mut arguments: Vec<String> = [
        "install",
        "--no-audit",
        "--no-fund",
        "--no-update-notifier",
        "--omit=dev",
        "--loglevel=error",
        "--logs-max=0",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(format!("--ignore-scripts={}", !job.order.install.scripts));
    arguments.push(format!("--prefix={}", place.join(TREE).display()));
    arguments.push(format!("--cache={}", place.join(CACHE).display()));
    arguments.extend(job.order.install.registry.iter().map(|registry| format!("--registry={registry}")));
    arguments.push("--".to_owned());
    arguments.extend(job.order.packages.names.iter().cloned());
    launch(job, arguments, &[])
}

fn uv(job: &Job, place: &Path) -> Launch {
    let mut arguments: Vec<String> = ["tool", "install", "--no-config", "--no-progress"].map(str::to_owned).into();
    if !job.order.install.scripts {
        // What is no wheel is built by code of its own.
        arguments.push("--no-build".to_owned());
    }
    arguments.extend(job.order.install.registry.iter().map(|registry| format!("--default-index={registry}")));
    let mut names = job.order.packages.names.iter().cloned();
    let main = names.next();
    arguments.extend(names.map(|name| format!("--with={name}")));
    arguments.push("--".to_owned());
    arguments.extend(main);
    let tree = place.join(TREE);
    let on = || std::ffi::OsString::from("1");
    let variables = [
        ("UV_TOOL_DIR", tree.join(TOOLS).into()),
        ("UV_TOOL_BIN_DIR", tree.join("bin").into()),
        ("UV_CACHE_DIR", place.join(CACHE).into()),
        ("UV_PYTHON_DOWNLOADS", "never".into()),
        ("UV_LINK_MODE", "copy".into()),
        // Of the same by its name now, and the one that older ones know, which newer ones complain of.
        ("UV_SYSTEM_CERTS", on()),
        (OLD_NAME, on()),
    ];
    launch(job, arguments, &variables)
}
