//! The phase in which packages are installed: the user's own installer, in a sandbox that reaches registries and nothing else.

use std::path::Path;
use std::time::Duration;

use bartizan_config::{Arguments, Installer, NetLimits, Sandbox, SandboxLevel};
use bartizan_sandbox::{Environment, Launch, StderrTail};
use tokio::io::AsyncReadExt as _;

use super::Job;
use super::held::{CACHE, TREE};
use crate::setup::confine;
use crate::way_out;

/// What takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// Lines of what the installer complained about that are handed on.
const WORDS: usize = 8;

/// Installs what `job` names below `place`.
pub(super) async fn run(job: &Job, place: &Path) -> Result<(), String> {
    for name in [TREE, CACHE] {
        std::fs::create_dir(place.join(name)).map_err(|error| error.to_string())?;
    }
    let mut launch = match job.install.with {
        Installer::Npm => npm(job, place),
        Installer::Uv => uv(job, place),
    };
    let sandbox = sandbox(job, place);
    confine::confine(&mut launch, &sandbox, place, &[]);
    launch.cwd = Some(place.join(TREE));
    let way_out = way_out::open(&job.server, &sandbox, &mut launch, &job.recorder);
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
    let said = words.map(|words| words.lines()).unwrap_or_default();
    let said = said.get(said.len().saturating_sub(WORDS)..).unwrap_or_default().join("\n");
    match ended {
        Ok(status) if status.success() => super::tree::remove(&place.join(CACHE)).map_err(|error| error.to_string()),
        Ok(status) => Err(format!("{} {status}{}{said}", installer(job), if said.is_empty() { "" } else { ":\n" })),
        Err(_) => {
            child.shutdown().await;
            Err(format!("{} took longer than {} minutes", installer(job), PATIENCE.as_secs() / 60))
        }
    }
}

fn installer(job: &Job) -> &'static str {
    match job.install.with {
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
        install: Some(job.install.clone()),
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
        hosts: job.install.hosts.clone(),
        private: job.install.private.clone(),
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
    arguments.push(format!("--ignore-scripts={}", !job.install.scripts));
    arguments.push(format!("--prefix={}", place.join(TREE).display()));
    arguments.push(format!("--cache={}", place.join(CACHE).display()));
    arguments.extend(job.install.registry.iter().map(|registry| format!("--registry={registry}")));
    arguments.push("--".to_owned());
    arguments.extend(job.packages.names.iter().cloned());
    launch(job, arguments, &[])
}

fn uv(job: &Job, place: &Path) -> Launch {
    let mut arguments: Vec<String> = ["tool", "install", "--no-config", "--no-progress"].map(str::to_owned).into();
    if !job.install.scripts {
        // What is no wheel is built by code of its own.
        arguments.push("--no-build".to_owned());
    }
    arguments.extend(job.install.registry.iter().map(|registry| format!("--default-index={registry}")));
    let mut names = job.packages.names.iter().cloned();
    let main = names.next();
    arguments.extend(names.map(|name| format!("--with={name}")));
    arguments.push("--".to_owned());
    arguments.extend(main);
    let tree = place.join(TREE);
    let on = || std::ffi::OsString::from("1");
    let variables = [
        ("UV_TOOL_DIR", tree.join("tools").into()),
        ("UV_TOOL_BIN_DIR", tree.join("bin").into()),
        ("UV_CACHE_DIR", place.join(CACHE).into()),
        ("UV_PYTHON_DOWNLOADS", "never".into()),
        ("UV_LINK_MODE", "copy".into()),
        // What runs cannot write there.
        ("UV_COMPILE_BYTECODE", on()),
        ("UV_NATIVE_TLS", on()),
    ];
    launch(job, arguments, &variables)
}
