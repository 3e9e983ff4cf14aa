//! What a confined program sees beside what its configuration names: the system's programs and libraries, the program
//! itself, and a home directory with nothing in it.
//!
//! Threat: a list that grows to make programs start ends by showing what a stranger's program has no business with. So
//! of the user's own files nothing is shown that the configuration does not name, but for the program and the
//! installation it is part of, where that can be told from a directory in which other things lie.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use bartizan_config::{
    Allowed, Arguments, Command, Config, DATABASES, Installer, Required, Sandbox, SandboxLevel, Upstream, is_path,
};
use bartizan_sandbox::{
    Confinement, Exceptions, Guarantee, Launch, Level, Limits, Network, Protected, Runtime, RuntimeKind, resolve,
};

use super::given;
use super::programs::{
    Search, base_of_environment, interpreter_behind, is_named_from_here, lay_last, program, python, script, stays,
    tokens,
};
use crate::authorities;

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
/// Variables that name places which a confined program does not see.
const ELSEWHERE: &[&str] =
    &["TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"];
/// How names lead anywhere, for a program in the network of the machine.
const NAMES: &[&str] = &["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf"];
/// Where a program without a `HOME` is at home.
const HOME: &str = "/home/sandbox";

/// Confines what `launch` starts, unless the configuration says that it is not to be.
///
/// `others` are directories that servers may write to: no link in one of these, or where this program may write, is followed,
/// and no program there comes before another one of that name. What is to be said of the latter is returned.
pub(crate) fn confine(launch: &mut Launch, sandbox: &Sandbox, workspace: &Path, others: &[PathBuf]) -> Option<String> {
    if sandbox.level == SandboxLevel::None {
        return unconfined(launch, workspace, others);
    }
    for (name, value) in &sandbox.variables {
        if launch.env.get(name).is_none() {
            launch.env.set(name, value);
        }
    }
    let Files { read_only, writable, hidden, links, changes, passed_over } = files(launch, sandbox, workspace, others);
    for name in ELSEWHERE {
        launch.env.remove(name);
    }
    let home = launch.env.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute() && home != Path::new("/"));
    let home = home.unwrap_or_else(|| HOME.into());
    launch.env.set("HOME", &home);
    let seen = |path: &Path| read_only.iter().chain(&writable).any(|one| real(path).starts_with(one));
    if launch.cwd.is_none() && seen(workspace) {
        launch.cwd = Some(workspace.to_owned());
    }
    // What lies in a directory that may be written to is the user's, their home directory included.
    let home = Some(home).filter(|home| !writable.iter().any(|path| real(home).starts_with(path)));
    let confinement = Confinement {
        read_only,
        writable,
        protected: protected(sandbox),
        hidden,
        files: sandbox.files.iter().map(|(path, text)| (path.clone(), text.clone())).collect(),
        links,
        home,
        scratch: sandbox.scratch,
        // Where hosts are named, a way to them is added.
        network: if sandbox.host_network { Network::Host } else { Network::None },
        limits: limits(sandbox),
        exceptions: exceptions(sandbox),
        runtime: runtime(sandbox, changes),
        require: sandbox.require.iter().filter_map(guarantee).collect(),
        place: None,
    };
    launch.confinement = Some(confinement);
    passed_over
}

/// The same of what runs as the user: what others may have laid is not what starts so.
pub(crate) fn unconfined(launch: &mut Launch, workspace: &Path, others: &[PathBuf]) -> Option<String> {
    let start = launch.cwd.clone().unwrap_or_else(|| workspace.to_owned());
    lay_last(launch, &start, others).map(passed_over)
}

/// What is to be said of a program that may have been laid, and of the one that is started in its place.
fn passed_over((laid, instead): (PathBuf, PathBuf)) -> String {
    tracing::warn!(?laid, ?instead, "a program that lies where a server may write does not come before another one");
    format!(
        "{} lies where a server may write, so {} is started; name it by its path if it is meant",
        laid.display(),
        instead.display()
    )
}

/// What of the machine a program sees.
struct Files {
    read_only: Vec<PathBuf>,
    writable: Vec<PathBuf>,
    hidden: Vec<PathBuf>,
    /// What is named above and is a link, and where that leads.
    links: Vec<(PathBuf, PathBuf)>,
    /// Where servers may have laid something.
    changes: Vec<PathBuf>,
    /// What is to be said of a program that may have been.
    passed_over: Option<String>,
}

/// Paths as they are without links, each looked up once.
struct Lookup {
    /// Where servers may write: no link there is followed.
    changes: Vec<PathBuf>,
    /// The user's home directory.
    home: Option<PathBuf>,
    links: Vec<(PathBuf, PathBuf)>,
}

impl Lookup {
    /// Where it leads; none, with a warning, if a server may have led it there.
    fn led(&mut self, path: PathBuf) -> Option<PathBuf> {
        let found = resolve(&path, &self.changes);
        self.taken(path, found)
    }

    /// The same of what is only to be read, for which some links are followed all the same.
    fn shown(&mut self, path: PathBuf) -> Option<PathBuf> {
        let found = resolve(&path, &self.changes).or_else(|link| self.harmless(&path, &link).ok_or(link));
        self.taken(path, found)
    }

    /// Where a link leads that whoever laid it gains nothing by: elsewhere in the directory that they may write to, or from an
    /// environment of Python to an interpreter.
    fn harmless(&self, path: &Path, link: &Path) -> Option<PathBuf> {
        let real = std::fs::canonicalize(path).ok()?;
        // Whoever may write to the smallest of them may have laid it.
        let stays = self.changes.iter().filter(|place| link.starts_with(place)).all(|place| real.starts_with(place));
        if stays { Some(real) } else { interpreter_behind(link, self.home.as_deref()) }
    }

    fn taken(&mut self, path: PathBuf, found: Result<PathBuf, PathBuf>) -> Option<PathBuf> {
        match found {
            Ok(real) => {
                if real != path {
                    self.links.push((path, real.clone()));
                }
                Some(real)
            }
            Err(link) => {
                let what = "a link where a confined server may write is not followed: what it leads to is not shown";
                tracing::warn!(?path, ?link, "{what}");
                None
            }
        }
    }

    /// The same for all of them, or for none.
    fn all(&mut self, paths: Vec<PathBuf>) -> Vec<PathBuf> {
        let count = paths.len();
        let led: Vec<_> = paths.into_iter().map_while(|path| self.shown(path)).collect();
        if led.len() == count { led } else { Vec::new() }
    }
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
    let changes = own.iter().chain(others).cloned().collect();
    let home = launch.env.get("HOME").map(PathBuf::from);
    let mut lookup = Lookup { changes, home, links: Vec::new() };
    // What was named and led elsewhere since stays as it is named: it cannot be mounted, so nothing starts.
    let mut writable: Vec<_> = explicit.into_iter().map(|path| lookup.led(path.clone()).unwrap_or(path)).collect();
    for path in named.writable {
        if let Some(path) = lookup.led(path).filter(|path| !writable.contains(path)) {
            writable.push(path);
        }
    }
    let mut hidden: Vec<_> =
        here(&sandbox.hidden).into_iter().map(|path| lookup.led(path.clone()).unwrap_or(path)).collect();
    let system = SYSTEM.iter().chain(NAMES.iter().filter(|_| sandbox.host_network)).map(PathBuf::from);
    let mut read_only: Vec<PathBuf> = system.chain(here(&sandbox.read_only)).chain(named.read_only).collect();
    // A program that can be changed by itself would choose what is seen with it.
    let changeable = |path: &PathBuf| own.iter().any(|place| real(path).starts_with(place) || path.starts_with(place));
    let passed_over = lay_last(launch, &start, &lookup.changes).map(passed_over);
    let search = Search::new(launch, &start, &lookup.changes);
    let is_uv = sandbox.install.as_ref().is_some_and(|install| install.with == Installer::Uv);
    let of_python = if is_uv { python(&search) } else { Vec::new() };
    let of_program = program(&launch.program, &search);
    for files in [of_program, script(launch, &start)] {
        if !files.iter().any(changeable) {
            let shown = lookup.all(files);
            hidden.extend(tokens(&shown));
            read_only.extend(shown);
        }
    }
    hidden.extend(tokens(&of_python));
    read_only.extend(of_python);
    // Otherwise what keeps such an environment finds it broken, and makes another one in its place.
    read_only.extend(own.iter().filter_map(|directory| base_of_environment(directory, launch)));
    read_only.extend(authorities::variables().filter_map(|name| launch.env.get(name).map(PathBuf::from)));
    let read_only = read_only.into_iter().filter(|path| path.is_absolute());
    let mut known = BTreeSet::new();
    let read_only = read_only.filter_map(|path| lookup.shown(path)).filter(|path| known.insert(path.clone())).collect();
    Files { read_only, writable, hidden, links: lookup.links, changes: lookup.changes, passed_over }
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

/// The directories in which a server may have laid something: those that servers of the configuration may write to, and all that
/// servers were ever let write to.
///
/// # Errors
/// If the latter are not known.
pub(crate) fn changes(config: Option<&Config>, workspace: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut all = given::known()?;
    all.extend(config.into_iter().flat_map(|config| writable_of(config, workspace)));
    Ok(all)
}

/// Keeps where what is started so may write.
///
/// # Errors
/// If that cannot be kept, without which nothing may start.
pub(crate) fn remember(launch: &Launch) -> std::io::Result<()> {
    launch.confinement.as_ref().map_or(Ok(()), |confinement| given::remember(&confinement.writable))
}

/// The directories that servers of a configuration may write to.
fn writable_of(config: &Config, workspace: &Path) -> Vec<PathBuf> {
    let of = |command: &Command| {
        let sandbox = &command.sandbox;
        let start = command.cwd.clone().unwrap_or_else(|| workspace.to_owned());
        let explicit = sandbox.writable.iter().map(|path| in_workspace(path, workspace));
        let mut named = named(&super::arguments(command, workspace), sandbox.arguments, &start);
        named.leave(&sandbox.read_only.iter().map(|path| in_workspace(path, workspace)).collect::<Vec<_>>());
        explicit.chain(named.writable).map(|path| real(&path)).collect::<Vec<_>>()
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
    // Also where a link on the way lies: whoever can replace that needs not change the file.
    let led = |path: PathBuf| resolve(&path, &writable).unwrap_or_else(|link| link);
    own(config).into_iter().map(led).find_map(|own| {
        let within = writable.iter().find(|path| own.starts_with(path) || path.starts_with(&own))?;
        Some((own, within.clone()))
    })
}

/// What is Bartizan's own on this machine, by a configuration: files, also those with its secrets, and directories that hold
/// nothing else.
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
    // What is read anew at a reload, a server that could exchange it would have sent to the host that it is for.
    let captured = config.capture.as_ref().map(|capture| &*capture.path);
    let own = own.chain(config.secret_files()).chain(captured);
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
fn runtime(sandbox: &Sandbox, changes: Vec<PathBuf>) -> Option<Runtime> {
    let level = match sandbox.level {
        SandboxLevel::Process | SandboxLevel::None => return None,
        SandboxLevel::Container => Level::Container,
        SandboxLevel::Vm => Level::Vm,
    };
    let named = sandbox.runtime.as_deref();
    let fits = |kind: &RuntimeKind| kind.level() == level;
    let kind = named.and_then(RuntimeKind::of).filter(fits).or_else(|| RuntimeKind::ALL.into_iter().find(fits));
    let kind = kind.unwrap_or(RuntimeKind::Runsc);
    let program = named.map_or_else(|| kind.name().into(), Path::to_owned);
    Some(Runtime { kind, program, changeable: changes })
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

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
    fn a_link_that_gives_its_server_nothing_is_followed_to_be_read() {
        let (_held, root) = with_links();
        let place = |name: &str| root.join(name);
        for file in ["base/bin/python3.12", "base/lib/python3.12/os.py", "ws/.venv/pyvenv.cfg", "ws/.venv/bin/tool"] {
            std::fs::create_dir_all(place(file).parent().unwrap()).unwrap();
            std::fs::write(place(file), format!("#!{}\n", place("ws/.venv/bin/python").display())).unwrap();
            std::fs::set_permissions(place(file), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        for (name, target) in
            [("ws/.venv/bin/python", "base/bin/python3.12"), ("ws/inner", "ws/sub"), ("ws/sub/out", "ws/other")]
        {
            std::os::unix::fs::symlink(place(target), place(name)).unwrap();
        }
        let seen = |program: &str, arguments, argument: &str, others: &[&str]| {
            let sandbox =
                Sandbox { arguments, read_only: Vec::new(), writable: Vec::new(), hidden: Vec::new(), ..sandbox() };
            let mut launch = Launch::new(place(program));
            launch.env = Environment::empty();
            launch.env.set("HOME", place("home"));
            launch.args = vec![place(argument).into()];
            let others: Vec<_> = others.iter().map(|name| place(name)).collect();
            confine(&mut launch, &sandbox, &place("elsewhere"), &others);
            let confinement = launch.confinement.unwrap();
            let seen = confinement.read_only.iter().chain(&confinement.writable);
            seen.filter_map(|path| path.strip_prefix(&root).ok().map(Path::to_owned)).collect::<Vec<_>>()
        };
        use Arguments::{Ro, Rw, Unseen};
        // An environment's interpreter, named itself or by the first line of a tool of the environment.
        for program in ["ws/.venv/bin/python", "ws/.venv/bin/tool"] {
            let seen = seen(program, Unseen, "x", &["ws"]);
            assert!(seen.contains(&"ws/.venv".into()) && seen.contains(&"base".into()), "{program}: {seen:?}");
        }
        for (arguments, argument, others, expected) in [
            (Ro, "ws/inner", &["ws"][..], Some("ws/sub")),
            // To write there is more: names may be held in one place that are not in the other.
            (Rw, "ws/inner", &["ws"], None),
            (Ro, "ws/planted", &["ws"], None),
            // It may be of a server that may write to less.
            (Ro, "ws/sub/out", &["ws", "ws/sub"], None),
            (Ro, "ws/sub/out", &["ws"], Some("ws/other")),
        ] {
            let seen = seen("absent", arguments, argument, others);
            let found: Vec<_> =
                seen.iter().filter(|path| path.starts_with("ws") || path.starts_with("secret")).collect();
            assert_eq!(
                found,
                expected.map(PathBuf::from).iter().collect::<Vec<_>>(),
                "{arguments:?} {argument} {others:?}"
            );
        }
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
        for script in ["tool", "other"] {
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(place("home/.local/bin").join(script), mode).unwrap();
        }
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
    }
}
