//! How a local program is confined: the table of a server, checked.

pub(crate) mod defaults;
mod level;
mod near;
mod net;
mod reach;
mod secrets;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::expand::WORKSPACE_REFERENCE;
use crate::install::{self, Install, InstallTable};
use crate::paths;
use crate::problems::Problems;
use crate::secret::Secret;
use crate::tree::{self, Node, Place};
use crate::units::Size;

pub use defaults::{AUTO, UNCONFINED, runner};
pub use level::Level;
use net::NetTable;
pub use net::{NetLimits, Reachable};
pub(crate) use reach::{check as check_reach, reaches};
pub use secrets::BoundSecret;
use secrets::SecretTable;
pub(crate) use secrets::beside;

/// How databases' names end, beside which their journals are written.
pub const DATABASES: &[&str] = &["db", "db3", "sqlite", "sqlite3"];

/// The program runs confined, in namespaces of its own: it sees the files that are named here and those of the system
/// that programs need, and nothing else of the machine. Linux only.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SandboxTable {
    /// What this begins with: a built-in profile, or a table `[profile.NAME]`. Lists here follow those of the profile, and
    /// everything else here counts in the place of the profile's.
    pub(crate) profile: Option<String>,
    /// How far it is kept apart: `process`, in a `container`, with a kernel of its own (`vm`), or not at all (`none`).
    pub(crate) level: Level,
    /// The program that gives the level: `runc` or `crun` for `container`, `runsc` for `vm`, or the path of one of these.
    pub(crate) runtime: Option<String>,
    /// Which files it sees.
    pub(crate) fs: FilesTable,
    /// What it can reach.
    pub(crate) net: NetTable,
    /// Secrets that it uses, by the environment variable in which it has a placeholder for each.
    pub(crate) secrets: BTreeMap<String, SecretTable>,
    /// How much of the machine it may use.
    pub(crate) limits: LimitsTable,
    /// Environment variables of the program, unless `env` or `pass_env` of the server gives them.
    pub(crate) variables: BTreeMap<String, String>,
    /// How what the command would fetch is installed before it starts.
    pub(crate) install: Option<InstallTable>,
    /// What is let through although it widens what the program can try.
    pub(crate) allow: Vec<Allowed>,
    /// What this machine has to offer for the program to be started at all: `landlock>=N`; `memory_limit`, `pids_limit` and
    /// `cpu_limit`, kept by control groups; `userns`, `netns` and `seccomp`; `own_kernel`.
    pub(crate) require: Vec<String>,
}

/// Files and directories, relative to the configuration file; `${workspace}` is the directory in which Bartizan was
/// started.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FilesTable {
    /// May be read and executed; what is missing is left out.
    pub(crate) ro: Vec<PathBuf>,
    /// May be changed as well; has to exist.
    pub(crate) rw: Vec<PathBuf>,
    /// What becomes of directories and databases that are arguments of the command.
    pub(crate) arguments: Arguments,
    /// Names in each directory of `rw` that may not be changed, nor made where they are missing; one that ends with `/`
    /// is a directory.
    pub(crate) deny: Vec<String>,
    /// Seen empty, although something above it may be seen.
    pub(crate) hide: Vec<PathBuf>,
    /// Files that are only in the sandbox: what stands in each, by its path there. None may lie in a directory that is shown.
    pub(crate) files: BTreeMap<String, String>,
    /// Room for `/tmp`, `/var/tmp`, `/dev/shm` and the home directory together, in memory; all of it goes with the program.
    pub(crate) tmp: Size,
}

/// What people's own programs run or trust when they find it in a directory: hooks, servers and tasks that start by
/// themselves, and instructions to assistants.
pub(crate) const DENY: &[&str] =
    &[".git/", ".gitmodules", ".mcp.json", ".vscode/", ".idea/", ".claude/", ".cursor/", ".envrc"];

impl Default for FilesTable {
    fn default() -> Self {
        FilesTable {
            ro: Vec::new(),
            rw: Vec::new(),
            arguments: Arguments::default(),
            deny: DENY.iter().map(|name| (*name).to_owned()).collect(),
            hide: Vec::new(),
            files: BTreeMap::new(),
            tmp: Size(64 << 20),
        }
    }
}

/// What becomes of what is named by arguments of the command, also in the form `--option=PATH`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arguments {
    /// It is not seen.
    #[default]
    Unseen,
    /// Directories may be read.
    Ro,
    /// Directories may be changed.
    Rw,
    /// Directories may be changed, and those in which a file lies that ends in `.db`, `.db3`, `.sqlite` or `.sqlite3`.
    Databases,
}

/// Limits of a program and all that it starts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsTable {
    /// Of memory. What uses more is ended, and said to have done so.
    pub(crate) memory: Size,
    /// Of processes and threads at a time.
    pub(crate) pids: u64,
    /// Of processors; unlimited unless set.
    pub(crate) cpu: Option<f64>,
    /// Of open files in each process.
    pub(crate) nofile: u64,
    /// Of the length of each file that it writes.
    pub(crate) fsize: Size,
}

impl Default for LimitsTable {
    fn default() -> Self {
        LimitsTable { memory: Size(1 << 30), pids: 256, cpu: None, nofile: 1024, fsize: Size(256 << 20) }
    }
}

/// What is let through on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Allowed {
    /// Sockets between its own processes, and any Unix socket in a directory of `fs.ro` or `fs.rw`, such as one that
    /// the user's own programs made there; those elsewhere stay out of reach, and so do abstract ones, with `net.host`
    /// from Landlock 6 on.
    UnixSockets,
    /// Asking the kernel for network interfaces and routes.
    NetlinkRoute,
    /// User namespaces of its own, as the sandboxes of browsers need.
    Namespaces,
}

/// How a program is confined.
#[derive(Debug, Clone, PartialEq)]
pub struct Sandbox {
    /// The profile that it began with.
    pub profile: Option<String>,
    /// What becomes of directories among the command's arguments.
    pub arguments: Arguments,
    /// Variables that the program sees.
    pub variables: BTreeMap<String, String>,
    /// How what it would fetch is installed before.
    pub install: Option<Install>,
    /// How far it is kept apart.
    pub level: Level,
    /// The program that gives the level; none where none is needed.
    pub runtime: Option<PathBuf>,
    /// May be read and executed. `${workspace}` in this and the other paths stands for a directory that is known later.
    pub read_only: Vec<PathBuf>,
    /// May be changed as well.
    pub writable: Vec<PathBuf>,
    /// Names below what is writable that stay as they are, and whether each is a directory.
    pub protected: Vec<(PathBuf, bool)>,
    /// Seen empty.
    pub hidden: Vec<PathBuf>,
    /// Files that are only there, and what stands in them.
    pub files: BTreeMap<PathBuf, String>,
    /// Bytes for temporary files.
    pub scratch: u64,
    /// Whether it is in the network of the machine.
    pub host_network: bool,
    /// Hosts that it reaches where it is not.
    pub hosts: Vec<Reachable>,
    /// Whether what it asks for is recorded also where there are none.
    pub report: bool,
    /// Ranges of private addresses that their names may lead to.
    pub private: Vec<String>,
    /// How much it may do there.
    pub net_limits: NetLimits,
    /// Secrets that it uses and never has.
    pub secrets: Vec<BoundSecret>,
    /// Secrets that it is given, by the names of environment variables.
    pub exposed: BTreeMap<String, Secret>,
    /// Bytes of memory.
    pub memory: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Thousandths of a processor.
    pub cpu: Option<u64>,
    /// Open files.
    pub nofile: u64,
    /// Bytes of a file.
    pub fsize: u64,
    /// What is let through.
    pub allow: Vec<Allowed>,
    /// What the machine has to offer.
    pub require: Vec<Required>,
}

/// Something that a machine may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Required {
    /// Landlock of this version at least.
    Landlock(u32),
    /// A limit of memory that the kernel keeps.
    MemoryLimit,
    /// A limit of processes that the kernel keeps.
    PidsLimit,
    /// A limit of processor time.
    CpuLimit,
    /// User namespaces, which each level but `none` has.
    UserNamespace,
    /// A filter of system calls, which each level but `none` has.
    Filter,
    /// A network of its own.
    OwnNetwork,
    /// A kernel of its own.
    OwnKernel,
}

/// The smallest room in which a program of any kind starts.
const LEAST_MEMORY: u64 = 4 << 20;
/// More processors than any machine has.
const MOST_CPU: f64 = 4096.0;

/// Whether a system can hold a program at this level.
fn may_be(level: Level, is_linux: bool) -> bool {
    is_linux || level == Level::None
}

/// The checked table that stands at `path`, of a server with this command, or of a profile.
pub(crate) fn sandbox(
    table: &SandboxTable,
    (root, directory): (&Node<'_>, &Path),
    (path, command): (&[&str], Option<&[String]>),
    problems: &mut Problems,
) -> Sandbox {
    let name = path.get(1).copied().unwrap_or_default();
    let place = |keys: &[&str]| tree::place(root, &[path, keys].concat());
    if !may_be(table.level, cfg!(target_os = "linux")) {
        let place = tree::key_place(root, path);
        let help = "give it `level = \"none\"` and nothing else, and `serve` its name with --allow-unconfined, if you trust the program";
        problems.error(place, "programs can be confined on Linux only").help(help);
    }
    // Where the file was named by way of `..`.
    let directory = &std::fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    let paths = |paths: &[PathBuf]| paths.iter().map(|path| resolve(directory, path)).collect::<Vec<_>>();
    check_paths(&table.fs, place, problems);
    check_files(&table.fs.files, root, path, problems);
    let (protected, require) =
        (protected(&table.fs.deny, place, problems), requirements(&table.require, place, problems));
    check_limits(table, place, problems);
    let limits = &table.limits;
    let is_written = |keys: &[&str]| tree::get(root, &[path, keys].concat()).is_some();
    let (hosts, net_limits) = net::net(&table.net, place, is_written, problems);
    let (secrets, exposed) = secrets::secrets(&table.secrets, &hosts, place, problems);
    for (index, held) in hosts.iter().enumerate() {
        if let Some((text, help)) = near::warning(&held.host, !table.net.private.is_empty()) {
            problems.warn(place(&["net", "allow", &index.to_string()]), text).help(help);
        }
    }
    check_variables(&table.variables, root, path, problems);
    let install = table.install.as_ref().map(|install| {
        let place = |keys: &[&str]| place(&[&["install"], keys].concat());
        install::install(install, command, place, problems)
    });
    if let Some(command) = command {
        warn_of_use(table, (name, command), hosts.is_empty(), place, problems);
    }
    if table.net.host {
        let place = place(&["net", "host"]);
        problems
            .warn(place, format!("`{name}` reaches all that this machine reaches, the machine itself included"))
            .help("leave it out if the program needs no network");
    }
    level::alone(table.level, &tree::keys(root, path), place, problems);
    Sandbox {
        profile: table.profile.clone(),
        arguments: table.fs.arguments,
        variables: table.variables.clone(),
        install,
        level: table.level,
        runtime: level::runtime(table.level, table.runtime.as_deref(), place, problems),
        read_only: paths(&table.fs.ro),
        writable: paths(&table.fs.rw),
        protected,
        hidden: paths(&table.fs.hide),
        files: table.fs.files.iter().map(|(path, text)| (PathBuf::from(path), text.clone())).collect(),
        scratch: table.fs.tmp.0,
        host_network: table.net.host,
        hosts,
        report: table.net.report && !table.net.host,
        private: table.net.private.clone(),
        net_limits,
        secrets,
        exposed,
        memory: limits.memory.0,
        pids: limits.pids,
        cpu: limits.cpu.map(thousandths),
        nofile: limits.nofile,
        fsize: limits.fsize.0,
        allow: table.allow.clone(),
        require,
    }
}

/// Profiles of servers that do nothing without a host to reach.
const FOR_HOSTS: &[&str] = &["browser", "fetch"];

/// Warns of a table that a server of this command can do nothing with.
fn warn_of_use(
    table: &SandboxTable,
    (name, command): (&str, &[String]),
    reaches_nothing: bool,
    place: impl Fn(&[&str]) -> Place,
    problems: &mut Problems,
) {
    let profile = table.profile.as_deref().filter(|profile| FOR_HOSTS.contains(profile));
    if let Some(profile) = profile.filter(|_| reaches_nothing && !table.net.host) {
        let text = format!("`{name}` reaches nothing, and the profile `{profile}` is for servers that do");
        problems.warn(place(&["profile"]), text).help("name the hosts that it needs in `net.allow`");
    }
    if let Some(client) = asks_a_daemon(command).filter(|_| table.level != Level::None) {
        let text = format!("`{client}` has its servers started outside of any sandbox, and cannot do that from within");
        problems
            .warn(place(&[]), text)
            .help("confine the program itself, or write `level = \"none\"` and start with `--allow-unconfined` (with `run`: --level none --allow-unconfined)");
    }
}

/// The program of a command, if all that it does is to have somebody else start something.
fn asks_a_daemon(command: &[String]) -> Option<&str> {
    let program = command.first()?.rsplit('/').next()?;
    ["docker", "podman", "nerdctl"].contains(&program).then_some(program)
}

/// Names that stay as they are, and whether each is a directory.
fn protected(names: &[String], place: impl Fn(&[&str]) -> Place, problems: &mut Problems) -> Vec<(PathBuf, bool)> {
    let mut protected = Vec::new();
    for (index, name) in names.iter().enumerate() {
        match relative(name) {
            Some(name) => protected.push(name),
            None => {
                problems
                    .error(place(&["fs", "deny", &index.to_string()]), format!("`{name}` is no name below a directory"))
                    .help("such as \".git/config\", or \".vscode/\" for a directory");
            }
        }
    }
    protected
}

fn requirements(texts: &[String], place: impl Fn(&[&str]) -> Place, problems: &mut Problems) -> Vec<Required> {
    let mut require = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match required(text) {
            Some(one) => require.push(one),
            None => {
                problems
                    .error(place(&["require", &index.to_string()]), format!("`{text}` is nothing that can be required"))
                    .help("landlock>=N, memory_limit, pids_limit, cpu_limit, userns, netns, seccomp or own_kernel");
            }
        }
    }
    require
}

/// Refuses what no program could live with.
fn check_limits(table: &SandboxTable, place: impl Fn(&[&str]) -> Place, problems: &mut Problems) {
    let limits = &table.limits;
    let least = [("memory", limits.memory.0, LEAST_MEMORY), ("pids", limits.pids, 1), ("nofile", limits.nofile, 16)];
    for (key, value, least) in least {
        if value < least {
            problems.error(place(&["limits", key]), format!("`{key}` is less than {least}, with which nothing starts"));
        }
    }
    for (keys, size) in [(["limits", "fsize"], limits.fsize), (["fs", "tmp"], table.fs.tmp)] {
        if size.0 == 0 {
            problems.error(place(&keys), format!("`{}` is nothing at all", keys[1]));
        }
    }
    if limits.cpu.is_some_and(|cpu| !(0.01..=MOST_CPU).contains(&cpu)) {
        problems.error(place(&["limits", "cpu"]), "`cpu` is a number of processors, from 0.01 on");
    }
}

fn check_variables(variables: &BTreeMap<String, String>, root: &Node<'_>, path: &[&str], problems: &mut Problems) {
    for (variable, value) in variables {
        if variable.is_empty() || variable.contains(['=', '\0']) || value.contains('\0') {
            let place = tree::key_place(root, &[path, &["variables", variable]].concat());
            problems.error(place, format!("`{variable}` cannot be an environment variable of that value"));
        }
    }
}

/// More than any program reads of its settings.
const MAX_FILE: usize = 64 << 10;

fn check_files(files: &BTreeMap<String, String>, root: &Node<'_>, path: &[&str], problems: &mut Problems) {
    for (file, text) in files {
        let place = tree::key_place(root, &[path, &["fs", "files", file]].concat());
        let parts = file.strip_prefix('/').map(|below| below.split('/'));
        let is_plain = parts.is_some_and(|mut parts| parts.all(|part| !["", ".", ".."].contains(&part)));
        let kernels = ["/dev/", "/proc/", "/sys/", "/tmp/", "/var/tmp/"].iter().any(|own| file.starts_with(own));
        if !is_plain || kernels || file.contains('\0') {
            problems
                .error(place, format!("`{file}` is no path of a file that could be there"))
                .help("such as \"/etc/program/settings.json\"");
        } else if text.len() > MAX_FILE {
            problems
                .error(place, format!("more than {MAX_FILE} bytes, which is no setting"))
                .help("show a file of this machine with `fs.ro`");
        }
    }
}

/// Refuses paths that are none, or are more than anybody means.
fn check_paths(files: &FilesTable, place: impl Fn(&[&str]) -> Place, problems: &mut Problems) {
    for (key, list) in [("ro", &files.ro), ("rw", &files.rw), ("hide", &files.hide)] {
        for (index, path) in list.iter().enumerate() {
            let climbs = path.components().any(|part| part == std::path::Component::ParentDir);
            let text = path.to_string_lossy();
            let shell = text.starts_with('~')
                || text.contains(['*', '?'])
                || text.replace(WORKSPACE_REFERENCE, "").contains('$');
            if climbs || path.as_os_str().is_empty() {
                problems.error(place(&["fs", key, &index.to_string()]), "a path here is written without `..`");
            } else if shell {
                problems
                    .error(
                        place(&["fs", key, &index.to_string()]),
                        format!("`{text}` is not a path but a pattern of shells"),
                    )
                    .help("write the path as it is; `${HOME}` stands for a variable");
            } else if key == "rw" && path == Path::new("/") {
                problems.error(place(&["fs", key, &index.to_string()]), "the whole file system cannot be writable");
            }
        }
    }
}

/// A path beside the file, unless it begins with the workspace, which is absolute.
fn resolve(directory: &Path, path: &Path) -> PathBuf {
    if path.starts_with(WORKSPACE_REFERENCE) { path.to_owned() } else { paths::beside(directory, path) }
}

fn relative(name: &str) -> Option<(PathBuf, bool)> {
    // A pattern would be a file of that name, and protect nothing else.
    if name.contains(['*', '?', '~', '$']) {
        return None;
    }
    let path = Path::new(name.trim_end_matches('/'));
    let inside = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    (inside && !path.as_os_str().is_empty() && !name.contains('\0')).then(|| (path.to_owned(), name.ends_with('/')))
}

fn required(text: &str) -> Option<Required> {
    match text {
        "memory_limit" => Some(Required::MemoryLimit),
        "pids_limit" => Some(Required::PidsLimit),
        "cpu_limit" => Some(Required::CpuLimit),
        "userns" => Some(Required::UserNamespace),
        "seccomp" => Some(Required::Filter),
        "netns" => Some(Required::OwnNetwork),
        "own_kernel" => Some(Required::OwnKernel),
        _ => text.strip_prefix("landlock>=")?.parse().ok().filter(|version| *version > 0).map(Required::Landlock),
    }
}

/// Within bounds that were checked.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 10 and four million")]
fn thousandths(cpu: f64) -> u64 {
    (cpu.clamp(0.01, MOST_CPU) * 1000.0) as u64
}
