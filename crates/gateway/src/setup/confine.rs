//! What a confined program sees beside what its configuration names: the system's programs and libraries, the program
//! itself, and a home directory with nothing in it.
//!
//! Threat: a list that grows to make programs start ends by showing what a stranger's program has no business with. So
//! of the user's own files nothing is shown that the configuration does not name, but for the program and the
//! installation it is part of, where that can be told from a directory in which other things lie.

use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use bartizan_config::{
    Allowed, Arguments, Command, Config, DATABASES, Installer, Required, Sandbox, SandboxLevel, Upstream, plain_path,
};
use bartizan_sandbox::{
    Confinement, Exceptions, Guarantee, Launch, Level, Limits, Network, Protected, Runtime, RuntimeKind,
};

use super::laid;

/// Programs and libraries, and of the settings of the system those that programs need to find and to trust things.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/locale.alias",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/crypto-policies",
    "/etc/pki/ca-trust/extracted",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/openssl.cnf",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
];
/// Variables that name a file or a directory of certificates.
const CERTIFICATES: &[&str] =
    &["CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"];
/// Variables that name places which a confined program does not see.
const ELSEWHERE: &[&str] =
    &["TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"];
/// By these an installation of an interpreter is known, in which nothing else lies.
const INSTALLATIONS: &[&str] = &["lib/node_modules", "pyvenv.cfg", "lib/python3", "lib64/python3", "include/node"];
/// How names lead anywhere, for a program in the network of the machine.
const NAMES: &[&str] = &["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf"];
/// Where a program without a `HOME` is at home.
const HOME: &str = "/home/sandbox";

/// Confines what `launch` starts, unless the configuration says that it is not to be.
///
/// `others` are directories that servers may write to: no link in one of these, or where this program may write, is followed.
pub(crate) fn confine(launch: &mut Launch, sandbox: &Sandbox, workspace: &Path, others: &[PathBuf]) {
    if sandbox.level == SandboxLevel::None {
        return;
    }
    for (name, value) in &sandbox.variables {
        if launch.env.get(name).is_none() {
            launch.env.set(name, value);
        }
    }
    let Files { read_only, writable, refused } = files(launch, sandbox, workspace, others);
    for name in ELSEWHERE {
        launch.env.remove(name);
    }
    let home = launch.env.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute() && home != Path::new("/"));
    let home = home.unwrap_or_else(|| HOME.into());
    launch.env.set("HOME", &home);
    let seen = |path: &Path| read_only.iter().chain(&writable).any(|one| path.starts_with(one));
    if launch.cwd.is_none() && seen(workspace) {
        launch.cwd = Some(workspace.to_owned());
    }
    // What lies in a directory that may be written to is the user's, their home directory included.
    let home = Some(home).filter(|home| !writable.iter().any(|path| home.starts_with(path)));
    let confinement = Confinement {
        read_only,
        writable,
        protected: protected(sandbox),
        hidden: sandbox.hidden.iter().map(|path| in_workspace(path, workspace)).collect(),
        files: sandbox.files.iter().map(|(path, text)| (path.clone(), text.clone())).collect(),
        links: Vec::new(),
        home,
        scratch: sandbox.scratch,
        // Where hosts are named, a way to them is added.
        network: if sandbox.host_network { Network::Host } else { Network::None },
        limits: limits(sandbox),
        exceptions: exceptions(sandbox),
        runtime: runtime(sandbox),
        require: sandbox.require.iter().filter_map(guarantee).collect(),
    };
    let mut confinement = confinement.resolved();
    confinement.writable.extend(refused);
    launch.confinement = Some(confinement);
}

/// What of the machine a program sees.
struct Files {
    read_only: Vec<PathBuf>,
    writable: Vec<PathBuf>,
    /// Named to be written to, and led elsewhere since. It cannot be mounted, so nothing starts.
    refused: Vec<PathBuf>,
}

fn files(launch: &mut Launch, sandbox: &Sandbox, workspace: &Path, others: &[PathBuf]) -> Files {
    let here = |paths: &[PathBuf]| paths.iter().map(|path| in_workspace(path, workspace)).collect::<Vec<_>>();
    let start = launch.cwd.clone().unwrap_or_else(|| workspace.to_owned());
    let mut named = named(&launch.args, sandbox.arguments, &start);
    named.leave(&here(&sandbox.read_only));
    if launch.cwd.is_none() && (named.relative || is_named_from_here(launch, &start)) {
        launch.cwd = Some(workspace.to_owned());
    }
    let explicit = here(&sandbox.writable);
    let own: Vec<PathBuf> = explicit.iter().chain(&named.writable).map(|path| real(path)).collect();
    let changes: Vec<PathBuf> = own.iter().chain(others).cloned().collect();
    let is_followed = |path: &PathBuf| match laid::laid(path, &changes) {
        None => true,
        Some(link) => {
            let what = "a link where a confined server may write is not followed: what it leads to is not shown";
            tracing::warn!(?path, ?link, "{what}");
            false
        }
    };
    let (mut writable, refused): (Vec<_>, Vec<_>) = explicit.into_iter().partition(is_followed);
    for path in named.writable.into_iter().filter(is_followed).map(|path| real(&path)) {
        if !writable.iter().any(|writable| real(writable) == path) {
            writable.push(path);
        }
    }
    let system = SYSTEM.iter().chain(NAMES.iter().filter(|_| sandbox.host_network)).map(PathBuf::from);
    let mut read_only: Vec<PathBuf> = system.chain(here(&sandbox.read_only)).chain(named.read_only).collect();
    // A program that can be changed by itself would choose what is seen with it.
    let changeable = |path: &PathBuf| own.iter().any(|place| real(path).starts_with(place) || path.starts_with(place));
    for files in [program(launch, &start), script(launch, &start)] {
        if !files.iter().any(changeable) && files.iter().all(is_followed) {
            read_only.extend(files);
        }
    }
    if sandbox.install.as_ref().is_some_and(|install| install.with == Installer::Uv) {
        read_only.extend(python(launch, &start));
    }
    read_only.extend(CERTIFICATES.iter().filter_map(|name| launch.env.get(name).map(PathBuf::from)));
    read_only.retain(|path| path.is_absolute() && is_followed(path));
    Files { read_only, writable, refused }
}

fn protected(sandbox: &Sandbox) -> Vec<Protected> {
    let names = sandbox.protected.iter();
    names.map(|(name, directory)| Protected { name: name.clone(), directory: *directory }).collect()
}

fn limits(sandbox: &Sandbox) -> Limits {
    Limits {
        memory: Some(sandbox.memory),
        pids: Some(sandbox.pids),
        cpu: sandbox.cpu,
        nofile: Some(sandbox.nofile),
        fsize: Some(sandbox.fsize),
    }
}

fn exceptions(sandbox: &Sandbox) -> Exceptions {
    Exceptions {
        unix_sockets: sandbox.allow.contains(&Allowed::UnixSockets),
        netlink_route: sandbox.allow.contains(&Allowed::NetlinkRoute),
        namespaces: sandbox.allow.contains(&Allowed::Namespaces),
    }
}

/// The directories that servers of a configuration may write to.
pub(crate) fn writable_of(config: &Config, workspace: &Path) -> Vec<PathBuf> {
    let of = |command: &Command| {
        let Some(sandbox) = &command.sandbox else { return Vec::new() };
        let start = command.cwd.clone().unwrap_or_else(|| workspace.to_owned());
        let explicit = sandbox.writable.iter().map(|path| in_workspace(path, workspace));
        let mut named = named(&super::arguments(command, workspace), sandbox.arguments, &start);
        named.leave(&sandbox.read_only.iter().map(|path| in_workspace(path, workspace)).collect::<Vec<_>>());
        explicit.chain(named.writable).map(|path| real(&path)).collect()
    };
    let commands = config.servers.values().filter_map(|server| match &server.upstream {
        Upstream::Command(command) => Some(command),
        Upstream::Http(_) => None,
    });
    commands.flat_map(of).collect()
}

/// Where a path leads now; what is missing stays as it is named.
fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Something of Bartizan's own that a program could change, and where it may write: then it could take off its own sandbox.
pub(crate) fn exposed(launch: &Launch, config: &Config) -> Option<(PathBuf, PathBuf)> {
    let confinement = launch.confinement.as_ref()?;
    let writable: Vec<PathBuf> = confinement.writable.iter().map(|path| real(path)).collect();
    let own = own(config).into_iter();
    // Also where it is found, if that is a link: whoever can replace that needs not change the file.
    let found = |path: &Path| Some(real(path.parent()?).join(path.file_name()?));
    own.flat_map(|path| [Some(real(&path)), found(&path)]).flatten().find_map(|own| {
        let within = writable.iter().find(|path| own.starts_with(path) || path.starts_with(&own))?;
        Some((own, within.clone()))
    })
}

/// What is Bartizan's own on this machine, by a configuration: files, and directories that hold nothing else.
pub(crate) fn own(config: &Config) -> Vec<PathBuf> {
    let files = [config.file.as_deref(), Some(&config.lock), Some(&config.audit.directory), config.store.as_deref()];
    let text = |name: &str| std::env::var(name).ok();
    // The program itself, all that it keeps, and the file that it reads where none is named.
    let usual = [
        std::env::current_exe().ok(),
        bartizan_config::bartizan_home(text),
        bartizan_config::user_config_place(|name| std::env::var_os(name)),
    ];
    let own = files.into_iter().flatten().chain(config.policy_files.iter().map(PathBuf::as_path));
    own.chain(usual.iter().flatten().map(PathBuf::as_path)).map(Path::to_owned).collect()
}

/// What has to be looked for; without the others nothing starts confined.
fn guarantee(required: &Required) -> Option<Guarantee> {
    match required {
        Required::Landlock(version) => Some(Guarantee::Landlock(*version)),
        Required::MemoryLimit => Some(Guarantee::MemoryLimit),
        Required::PidsLimit => Some(Guarantee::PidsLimit),
        Required::CpuLimit => Some(Guarantee::CpuLimit),
        Required::OwnNetwork => Some(Guarantee::OwnNetwork),
        Required::OwnKernel => Some(Guarantee::OwnKernel),
        Required::UserNamespace | Required::Filter => None,
    }
}

/// What gives the level; none where nothing is needed. Whatever the configuration holds, it is nothing of a lower level.
fn runtime(sandbox: &Sandbox) -> Option<Runtime> {
    let level = match sandbox.level {
        SandboxLevel::Process | SandboxLevel::None => return None,
        SandboxLevel::Container => Level::Container,
        SandboxLevel::Vm => Level::Vm,
    };
    let named = sandbox.runtime.as_deref();
    let fits = |kind: &RuntimeKind| kind.level() == level;
    let kind = named.and_then(RuntimeKind::of).filter(fits).or_else(|| RuntimeKind::ALL.into_iter().find(fits));
    let kind = kind.unwrap_or(RuntimeKind::Runsc);
    Some(Runtime { kind, program: named.map_or_else(|| kind.name().into(), Path::to_owned) })
}

fn in_workspace(path: &Path, workspace: &Path) -> PathBuf {
    match path.strip_prefix("${workspace}") {
        Ok(below) => workspace.join(below),
        Err(_) => path.to_owned(),
    }
}

/// What the command's arguments name.
#[derive(Default)]
struct Named {
    read_only: Vec<PathBuf>,
    writable: Vec<PathBuf>,
    /// Whether some of it is named from where the program starts.
    relative: bool,
}

impl Named {
    /// What is named to be read as well is not written to.
    fn leave(&mut self, read_only: &[PathBuf]) {
        let read_only: Vec<_> = read_only.iter().map(|path| real(path)).collect();
        self.writable.retain(|path| !read_only.contains(&real(path)));
    }
}

/// The directories that the command's arguments name, in as far as they are to be seen.
fn named(words: &[OsString], arguments: Arguments, start: &Path) -> Named {
    let mut named = Named::default();
    if arguments == Arguments::Unseen {
        return named;
    }
    for path in words.iter().filter_map(|word| value(word)) {
        let is_database = path.extension().and_then(OsStr::to_str).is_some_and(|kind| DATABASES.contains(&kind));
        let full = start.join(path);
        let leads_away = |at: &Path| path.is_relative() && !stays(at, start);
        if !is_path(path) && !is_database || leads_away(&full) {
            continue;
        }
        let directory = match (full.is_dir(), arguments) {
            (true, _) => Some(full),
            (false, Arguments::Databases) if is_database => {
                full.parent().filter(|parent| parent.is_dir()).map(Path::to_owned)
            }
            _ => None,
        };
        // Of a database that is not there yet it is known by its directory.
        let Some(directory) = directory.filter(|directory| !leads_away(directory)) else { continue };
        named.relative |= path.is_relative();
        match arguments {
            // All of the machine is not a directory among others.
            Arguments::Ro if real(&directory) == Path::new("/") => {}
            Arguments::Ro => named.read_only.push(directory),
            _ if named.writable.contains(&directory) => {}
            _ => named.writable.push(directory),
        }
    }
    named
}

/// Existing paths that the words of a command mean, as they are without links.
pub(crate) fn meant(words: &[OsString], start: &Path) -> Vec<PathBuf> {
    let paths = words.iter().filter_map(|word| value(word)).filter(|path| is_path(path));
    let full = paths.map(|path| (path.is_absolute(), start.join(path)));
    let full = full.filter(|(is_absolute, full)| *is_absolute || stays(full, start));
    full.filter_map(|(_, full)| std::fs::canonicalize(full).ok()).collect()
}

/// What a word says by itself, or as the value of an option such as `--option=PATH`.
fn value(word: &OsString) -> Option<&Path> {
    let word = word.to_str()?;
    let value = if word.starts_with('-') { word.split_once('=').map(|(_, value)| value) } else { Some(word) };
    value.map(Path::new)
}

/// Whether a word is meant as a path: what else it may be, such as a command or the name of a package, might be the name of a
/// directory too, in a place that somebody else filled.
fn is_path(word: &Path) -> bool {
    matches!(word.components().next(), Some(Component::RootDir | Component::CurDir | Component::ParentDir))
}

/// Whether what is named from where the program starts is there, or below, once all links are followed; or has none. Whoever
/// filled that place may have laid one to somewhere else.
fn stays(full: &Path, start: &Path) -> bool {
    let (Ok(found), Ok(start)) = (std::fs::canonicalize(full), std::fs::canonicalize(start)) else { return true };
    found.starts_with(&start) || found == plain_path(full)
}

/// The interpreter that tools in Python are installed for: the first one that is a program, and no script that looks for one.
fn python(launch: &Launch, start: &Path) -> Vec<PathBuf> {
    let Some(path) = launch.env.get("PATH") else { return Vec::new() };
    let home = launch.env.get("HOME").map(PathBuf::from);
    let found = std::env::split_paths(path)
        .map(|entry| start.join(entry).join("python3"))
        .find(|file| file.is_file() && interpreter(file, None, start).is_none());
    let real = found.as_deref().and_then(|file| std::fs::canonicalize(file).ok());
    let files: Vec<_> = [found, real].into_iter().flatten().collect();
    let installations: Vec<_> = files.iter().filter_map(|file| installation(file, home.as_deref())).collect();
    files.into_iter().chain(installations).collect()
}

/// The program's file, what it is run by if it is a script, and the installations they belong to.
fn program(launch: &Launch, start: &Path) -> Vec<PathBuf> {
    let path = launch.env.get("PATH");
    let home = launch.env.get("HOME").map(PathBuf::from);
    let mut next = find(&launch.program, path, start);
    let mut paths = Vec::new();
    // A script may be run by a script, but not for ever.
    for _ in 0..4 {
        let Some(file) = next.take() else { break };
        let real = std::fs::canonicalize(&file).ok();
        paths.extend(real.as_deref().and_then(packages));
        next = real.as_deref().and_then(|file| interpreter(file, path, start));
        let before = paths.len();
        let files = [Some(file), real.clone()].into_iter().flatten();
        paths.extend(files.clone().filter_map(|file| installation(&file, home.as_deref())));
        if paths.len() == before {
            paths.extend(real.as_deref().and_then(|file| project(file, home.as_deref())));
        }
        paths.extend(files);
    }
    paths
}

/// What an interpreter is to run, which is named by whoever wrote the command.
fn script(launch: &Launch, start: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let home = launch.env.get("HOME").map(PathBuf::from);
    let named = first_word(launch).map(|script| (script.is_absolute(), start.join(script)));
    let named = named.and_then(|(absolute, named)| (absolute || stays(&named, start)).then_some(named));
    let found = named.as_deref().and_then(|named| std::fs::canonicalize(named).ok()).filter(|file| file.is_file());
    if let Some((named, found)) = named.zip(found) {
        let project = || is_interpreter(&launch.program).then(|| project(&found, home.as_deref())).flatten();
        paths.extend(packages(&found).or_else(project));
        // Also as it is named: a link in the way may be the program's own.
        paths.extend([found, named]);
    }
    paths
}

/// The first of the arguments that is no option: the script, if the program is an interpreter.
fn first_word(launch: &Launch) -> Option<PathBuf> {
    launch.args.iter().find(|word| !word.as_encoded_bytes().starts_with(b"-")).map(PathBuf::from)
}

/// Whether the program, or the script that it runs, is named from where it starts.
fn is_named_from_here(launch: &Launch, start: &Path) -> bool {
    let program = Some(PathBuf::from(&launch.program)).filter(|program| program.components().nth(1).is_some());
    let relative = [program, first_word(launch)].into_iter().flatten().filter(|path| path.is_relative());
    relative.map(|path| start.join(path)).any(|full| full.is_file() && stays(&full, start))
}

/// What a directory is known by that holds one program's files and no others.
const PROJECTS: &[&str] = &["package.json", "pyproject.toml"];
/// How far above a program's file that directory is looked for.
const ABOVE: usize = 4;

/// Programs whose first argument is what they run; what others work with is no program.
const INTERPRETERS: &[&str] =
    &["bash", "bun", "dash", "deno", "node", "nodejs", "perl", "php", "python", "ruby", "sh", "tsx", "zsh"];

fn is_interpreter(program: &OsStr) -> bool {
    let name = Path::new(program).file_name().and_then(OsStr::to_str).unwrap_or_default();
    INTERPRETERS.contains(&name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.'))
}

/// The directory of the program that a file is part of, if it can be told from a directory in which other things lie.
fn project(file: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let home = home?;
    let above = file.ancestors().skip(1).take(ABOVE);
    let mut own = above.take_while(|at| at.parent().is_some() && !home.starts_with(at));
    own.find(|at| PROJECTS.iter().any(|name| at.join(name).is_file())).map(Path::to_owned)
}

/// All packages that one of node's lies among: it is nothing without them, and nothing else is there.
fn packages(file: &Path) -> Option<PathBuf> {
    file.ancestors().filter(|at| at.file_name() == Some(OsStr::new("node_modules"))).last().map(Path::to_owned)
}

/// What the first line of a script says that it is run by: `#!/path`, `#!/usr/bin/env name` or `#!/usr/bin/env -S name`.
///
/// Whoever wrote the script wrote that line: what `env` does with other options is not guessed, and what is no program is not
/// what runs it.
fn interpreter(script: &Path, path: Option<&OsStr>, start: &Path) -> Option<PathBuf> {
    let mut head = Vec::new();
    std::fs::File::open(script).ok()?.take(256).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let mut words = str::from_utf8(line).ok()?.split_ascii_whitespace();
    let program = words.next()?;
    let found = if Path::new(program).file_name() == Some(OsStr::new("env")) {
        let name = words.next()?;
        let name = if name == "-S" { words.next()? } else { name };
        let is_name = !name.starts_with('-') && !name.contains(['=', '"', '\'', '\\', '$']);
        is_name.then(|| find(OsStr::new(name), path, start)).flatten()
    } else {
        Some(program.into())
    };
    found.filter(|found: &PathBuf| found.is_absolute() && is_executable(found))
}

fn is_executable(file: &Path) -> bool {
    let found = std::fs::metadata(file);
    found.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// The directory above the `bin` that a program lies in, if it is that of an interpreter and not one of the user's.
fn installation(program: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let root = program.ancestors().skip(1).find(|at| at.file_name() == Some(OsStr::new("bin")))?.parent()?;
    let of_the_user = home.is_some_and(|home| home.starts_with(root) || root == home.join(".local"));
    let holds = |name: &str| match name.rsplit_once('/') {
        // Such as `lib/python3.12`.
        Some((directory, start)) => std::fs::read_dir(root.join(directory))
            .into_iter()
            .flatten()
            .flatten()
            .any(|entry| entry.file_name().to_str().is_some_and(|entry| entry.starts_with(start))),
        None => root.join(name).exists(),
    };
    (root != Path::new("/") && !of_the_user && INSTALLATIONS.iter().any(|name| holds(name))).then(|| root.to_owned())
}

fn find(program: &OsStr, path: Option<&OsStr>, start: &Path) -> Option<PathBuf> {
    if program.as_encoded_bytes().contains(&b'/') {
        return Some(start.join(program));
    }
    std::env::split_paths(path?).map(|entry| start.join(entry).join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_sandbox::Environment;

    fn sandbox() -> Sandbox {
        Sandbox {
            level: SandboxLevel::Process,
            runtime: None,
            profile: None,
            arguments: Arguments::Unseen,
            variables: [("GIVEN".to_owned(), "by the profile".to_owned())].into(),
            install: None,
            read_only: vec!["/srv/data".into()],
            writable: vec!["${workspace}".into()],
            files: [("/etc/x".into(), "y".to_owned())].into(),
            protected: vec![(".git/hooks".into(), true)],
            hidden: vec!["${workspace}/.env".into()],
            scratch: 1 << 20,
            host_network: false,
            report: false,
            hosts: Vec::new(),
            private: Vec::new(),
            net_limits: bartizan_config::NetLimits::default(),
            secrets: Vec::new(),
            exposed: std::collections::BTreeMap::new(),
            memory: 1 << 30,
            pids: 64,
            cpu: Some(500),
            nofile: 256,
            fsize: 1 << 20,
            allow: vec![Allowed::NetlinkRoute],
            require: vec![Required::Landlock(2)],
        }
    }

    #[test]
    fn a_level_has_its_runtime_and_never_a_lower_one() {
        let check = |level, named: Option<&str>, expected: Level, program: &str| {
            let mut launch = Launch::new("true");
            confine(
                &mut launch,
                &Sandbox { level, runtime: named.map(Into::into), ..sandbox() },
                Path::new("/work"),
                &[],
            );
            assert_eq!(launch.level(), expected, "{level:?} {named:?}");
            let runtime = launch.confinement.and_then(|confinement| confinement.runtime);
            assert_eq!(runtime.map_or(PathBuf::new(), |runtime| runtime.program), PathBuf::from(program));
        };
        check(SandboxLevel::None, None, Level::None, "");
        check(SandboxLevel::Process, None, Level::Process, "");
        check(SandboxLevel::Container, None, Level::Container, "runc");
        check(SandboxLevel::Container, Some("/opt/crun"), Level::Container, "/opt/crun");
        check(SandboxLevel::Container, Some("/opt/other"), Level::Container, "/opt/other");
        check(SandboxLevel::Vm, None, Level::Vm, "runsc");
        check(SandboxLevel::Vm, Some("/opt/runc"), Level::Vm, "/opt/runc");
    }

    /// A directory in which servers have laid links out of it, and what they lead to.
    fn with_links() -> (tempfile::TempDir, PathBuf) {
        let held = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(held.path()).unwrap();
        for directory in ["ws/sub", "ws/other", "secret/node_modules/x"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        std::fs::write(root.join("secret/id"), "key").unwrap();
        std::fs::write(root.join("ws/plain.db"), "").unwrap();
        for (name, target) in [("ws/planted", "secret"), ("ws/data.db", "secret/id"), ("mine", "ws/sub")] {
            std::os::unix::fs::symlink(root.join(target), root.join(name)).unwrap();
        }
        (held, root)
    }

    /// What a server leaves where it may write decides nothing when it, or another one, starts again.
    #[test]
    fn links_that_a_server_may_have_laid_are_not_followed() {
        let (_held, root) = with_links();
        let place = |name: &str| root.join(name);
        let sees = |arguments, args: &[&str], own: &[&str], others: &[&str]| {
            let paths = |names: &[&str]| names.iter().map(|name| place(name)).collect::<Vec<_>>();
            let sandbox =
                Sandbox { arguments, read_only: Vec::new(), writable: paths(own), hidden: Vec::new(), ..sandbox() };
            let mut launch = Launch::new("/usr/bin/true");
            launch.env = Environment::empty();
            launch.args = args.iter().map(|name| place(name).into()).collect();
            confine(&mut launch, &sandbox, &place("ws"), &paths(others));
            let confinement = launch.confinement.unwrap();
            let all = confinement.read_only.iter().chain(&confinement.writable);
            let secret = all.clone().any(|path| path.starts_with(place("secret")));
            (secret, all.filter(|path| path.starts_with(&root)).cloned().collect::<Vec<_>>())
        };
        use Arguments::{Databases, Ro, Rw, Unseen};
        // Arguments, what else may be written to, by this server and by others.
        for (arguments, args, own, others) in [
            (Rw, &["ws", "ws/planted"][..], &[][..], &[][..]),
            (Rw, &["ws/planted"], &["ws"], &[]),
            (Rw, &["ws/planted"], &[], &["ws"]),
            (Ro, &["ws/planted"], &["ws"], &[]),
            (Databases, &["ws/data.db"], &[], &[]),
            (Databases, &["ws/planted/x.db"], &["ws"], &[]),
            (Unseen, &["ws/data.db"], &["ws"], &[]),
            (Unseen, &["ws/data.db"], &[], &["ws"]),
        ] {
            let (secret, seen) = sees(arguments, args, own, others);
            assert!(!secret, "{arguments:?} {args:?} {own:?} {others:?}: {seen:?}");
        }
        // What the table itself names is not mounted by way of such a link, and nothing starts.
        assert_eq!(sees(Unseen, &[], &["ws/planted"], &["ws"]), (false, vec![place("ws/planted")]));
        // The user's own links are followed, and so is whatever no server may change.
        for (arguments, args, own, others, expected) in [
            (Rw, &["mine"][..], &[][..], &[][..], "ws/sub"),
            (Rw, &["ws/sub"], &[], &[], "ws/sub"),
            (Rw, &["ws/planted"], &[], &["ws/sub"], "secret"),
            (Databases, &["ws/plain.db"], &[], &[], "ws"),
            (Unseen, &["ws/data.db"], &[], &[], "secret/id"),
            (Unseen, &[], &["mine"], &[], "ws/sub"),
        ] {
            let (_, seen) = sees(arguments, args, own, others);
            assert!(seen.contains(&place(expected)), "{arguments:?} {args:?}: {seen:?}");
        }
    }

    #[test]
    fn words_that_are_relative_to_a_place_that_somebody_else_filled_lead_nowhere_else() {
        use Arguments::{Databases, Rw};
        let (_held, root) = with_links();
        let place = |name: &str| root.join(name);
        for (word, expected) in [
            (".", Some("ws")),
            ("./sub", Some("ws/sub")),
            ("../ws/sub", Some("ws/../ws/sub")),
            ("--at=./sub", Some("ws/./sub")),
            ("sub", None),
            ("./planted", None),
            ("./sub/../planted", None),
            ("planted/node_modules", None),
            ("", None),
        ] {
            let found = named(&[word.into()], Rw, &place("ws")).writable;
            let found: Vec<_> = found.iter().map(|path| real(path)).collect();
            assert_eq!(found, expected.map(|name| real(&place(name))).into_iter().collect::<Vec<_>>(), "{word}");
        }
        for (word, expected) in [("plain.db", Some("ws")), ("./planted/x.db", None), ("planted/x.db", None)] {
            let found = named(&[word.into()], Databases, &place("ws")).writable;
            assert_eq!(
                found.iter().map(|path| real(path)).collect::<Vec<_>>(),
                expected.map(place).into_iter().collect::<Vec<_>>(),
                "{word}"
            );
        }
        let words = ["./sub", "./planted", "sub", "--at=.", "/usr"].map(OsString::from);
        assert_eq!(meant(&words, &place("ws")), [place("ws/sub"), place("ws"), "/usr".into()]);
    }

    #[test]
    fn what_bartizan_is_and_keeps_is_no_servers_to_change() {
        let config = Config::parse("", "none", &bartizan_config::Environment::of_process(Path::new("/srv"))).unwrap().0;
        let exposes = |writable: &Path| {
            let mut launch = Launch::new("/usr/bin/true");
            launch.confinement = Some(Confinement { writable: vec![writable.to_owned()], ..Confinement::default() });
            exposed(&launch, &config).is_some()
        };
        let program = std::env::current_exe().unwrap();
        let home = bartizan_config::bartizan_home(|name| std::env::var(name).ok()).unwrap();
        let own = bartizan_config::user_config_place(|name| std::env::var_os(name)).unwrap();
        for path in [program.parent().unwrap(), &home, &home.join("run"), own.parent().unwrap(), &own] {
            assert!(exposes(path), "{path:?}");
        }
        let elsewhere = tempfile::tempdir().unwrap();
        assert!(!exposes(elsewhere.path()), "the twin");
    }

    #[test]
    fn a_script_shows_what_runs_it_and_nothing_else_that_it_names() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name).display().to_string();
        for (name, mode) in [("bin/python", 0o755), ("home/id", 0o600)] {
            std::fs::create_dir_all(root.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(at(name), "").unwrap();
            std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let (bin, home, id) = (at("bin"), at("home"), at("home/id"));
        for (line, shown) in [
            (format!("{bin}/python"), true),
            (format!(" {bin}/python -u"), true),
            ("/usr/bin/env python".to_owned(), true),
            ("/usr/bin/env -S python -u".to_owned(), true),
            (format!("/usr/bin/env -S {bin}/python"), true),
            (format!("/usr/bin/env -S -u {home} python"), false),
            (format!("/usr/bin/env -u {home} python"), false),
            (format!("/usr/bin/env -C {home} python"), false),
            (format!("/usr/bin/env --unset {home} python"), false),
            ("/usr/bin/env A=b python".to_owned(), false),
            ("/usr/bin/env".to_owned(), false),
            (format!("/usr/bin/env {home}"), false),
            (home, false),
            (id, false),
            ("../bin/python".to_owned(), false),
        ] {
            std::fs::write(at("script"), format!("#!{line}\n")).unwrap();
            let found = interpreter(&root.path().join("script"), Some(OsStr::new(&bin)), root.path());
            assert_eq!(found, shown.then(|| root.path().join("bin/python")), "{line}");
        }
    }

    #[test]
    fn a_program_comes_with_its_project_where_that_is_known() {
        let root = tempfile::tempdir().unwrap();
        let place = |name: &str| root.path().join(name);
        for file in ["home/app/dist/server.js", "home/app/package.json", "home/server.js", "home/a/b/c/d/e/server.js"] {
            std::fs::create_dir_all(place(file).parent().unwrap()).unwrap();
            std::fs::write(place(file), "").unwrap();
        }
        let of = |file: &str| project(&place(file), Some(&place("home")));
        assert_eq!(of("home/app/dist/server.js"), Some(place("home/app")));
        assert_eq!(of("home/server.js"), None, "no project");
        std::fs::write(place("home/package.json"), "").unwrap();
        std::fs::write(place("pyproject.toml"), "").unwrap();
        assert_eq!(of("home/server.js"), None, "the home directory is no project, nor is what it lies in");
        std::fs::write(place("home/a/package.json"), "").unwrap();
        assert_eq!(of("home/a/b/c/d/e/server.js"), None, "too far above");
        assert_eq!(of("home/a/b/c/server.js"), Some(place("home/a")));
        for (program, runs) in
            [("node", true), ("/usr/bin/python3.12", true), ("sh", true), ("cat", false), ("pythonic", false)]
        {
            assert_eq!(is_interpreter(OsStr::new(program)), runs, "{program}");
        }
        // An installation is known by more, and what it lies in is another's.
        std::fs::create_dir_all(place("home/app/.venv/bin")).unwrap();
        for file in ["home/app/.venv/bin/tool", "home/app/.venv/pyvenv.cfg"] {
            std::fs::write(place(file), "").unwrap();
        }
        let mut launch = Launch::new(place("home/app/.venv/bin/tool"));
        launch.env = Environment::empty();
        launch.env.set("HOME", place("home"));
        let seen = program(&launch, root.path());
        assert!(seen.contains(&place("home/app/.venv")) && !seen.contains(&place("home/app")), "{seen:?}");
    }

    #[test]
    fn a_program_sees_the_system_its_own_installation_and_what_is_named() {
        let root = tempfile::tempdir().unwrap();
        let place = |name: &str| root.path().join(name);
        for directory in
            ["home/node/bin", "home/node/lib/node_modules/npm", "home/.local/bin", "home/.local/lib/python3.12"]
        {
            std::fs::create_dir_all(place(directory)).unwrap();
        }
        let npx = place("home/node/lib/node_modules/npm/npx.js");
        std::fs::write(&npx, "").unwrap();
        std::fs::set_permissions(&npx, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("../lib/node_modules/npm/npx.js", place("home/node/bin/npx")).unwrap();
        std::fs::write(place("home/.local/bin/tool"), format!("#!{} -x\n", place("home/node/bin/npx").display()))
            .unwrap();
        std::fs::write(place("home/.local/bin/other"), "#!/usr/bin/env -S npx --flag\n").unwrap();
        let path = std::env::join_paths([place("home/node/bin"), place("home/.local/bin")]).unwrap();
        let confined = |program: &str| {
            let mut launch = Launch::new(program);
            launch.env = Environment::empty();
            launch.env.set("PATH", &path).set("HOME", place("home")).set("TMPDIR", "/x").set("SSL_CERT_FILE", "/c.pem");
            confine(&mut launch, &sandbox(), &place("home/work"), &[]);
            launch
        };
        let launch = confined("npx");
        let confinement = launch.confinement.unwrap();
        for seen in [place("home/node"), place("home/node/bin/npx"), "/usr".into(), "/srv/data".into(), "/c.pem".into()]
        {
            let by_link = confinement.links.iter().any(|(link, _)| *link == seen);
            assert!(by_link || confinement.read_only.contains(&seen), "{seen:?}");
        }
        assert_eq!(
            (&confinement.writable, &confinement.hidden),
            (&vec![place("home/work")], &vec![place("home/work/.env")])
        );
        assert_eq!((confinement.home, launch.cwd), (Some(place("home")), Some(place("home/work"))));
        assert_eq!(confinement.files, [("/etc/x".into(), "y".to_owned())]);
        assert_eq!(launch.env.get("TMPDIR"), None);
        assert!(confinement.exceptions.netlink_route && !confinement.exceptions.unix_sockets);
        std::fs::create_dir_all(place("home/app/node_modules/server/dist")).unwrap();
        std::fs::write(place("home/app/node_modules/server/dist/index.js"), "").unwrap();
        let script = place("home/app/node_modules/server/dist/index.js");
        let mut launch = Launch::new("npx");
        launch.env = Environment::empty();
        launch.env.set("PATH", &path);
        launch.args = vec!["--flag".into(), script.clone().into(), place("home/.local/bin/tool").into()];
        confine(&mut launch, &sandbox(), &place("home/work"), &[]);
        let seen = launch.confinement.unwrap().read_only;
        assert!(seen.contains(&script) && seen.contains(&place("home/app/node_modules")));
        assert!(!seen.contains(&place("home/.local/bin/tool")) && !seen.contains(&place("home/app")));
        // A program that it could change itself would choose what is seen with it.
        let mut launch = Launch::new("tool");
        launch.env = Environment::empty();
        launch.env.set("PATH", &path);
        let changed = Sandbox { writable: vec![place("home/.local")], ..sandbox() };
        confine(&mut launch, &changed, &place("home/work"), &[]);
        assert!(!launch.confinement.unwrap().read_only.iter().any(|path| path.starts_with(place("home/node"))));
        // What lies beside a program in the user's own directories stays unseen.
        let confinement = confined("tool").confinement.unwrap();
        assert!(confinement.read_only.contains(&place("home/.local/bin/tool")));
        assert!(!confinement.read_only.contains(&place("home/.local")));
        // A script comes with what it is run by.
        assert!(confinement.read_only.contains(&place("home/node")));
        assert!(confined("other").confinement.unwrap().read_only.contains(&place("home/node")));
        // Neither a home directory nor the whole machine is ever taken for an installation.
        assert_eq!(installation(Path::new("/bin/sh"), None), None);
        std::fs::create_dir_all(place("home/bin")).unwrap();
        std::fs::create_dir_all(place("home/lib/python3.12")).unwrap();
        assert_eq!(installation(&place("home/bin/python"), Some(&place("home"))), None);
    }
}
