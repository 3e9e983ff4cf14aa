//! What a server needs and this machine does not have. Only warnings: the file may be for another machine.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::Environment;
use crate::paths::plain as plain_path;
use crate::problems::Problems;
use crate::sandbox::{Arguments, DATABASES, Level, Sandbox};
use crate::servers::{Command, Server, Upstream};
use crate::suggest;
use crate::tree::{self, Node};

/// Warns of what would keep the servers' programs from starting here, or leave them without a variable.
pub(crate) fn check(
    servers: &BTreeMap<String, Server>,
    root: &Node<'_>,
    environment: &Environment,
    problems: &mut Problems,
) {
    for (name, server) in servers {
        if let Upstream::Command(command) = &server.upstream {
            check_command(name, command, root, environment, problems);
        }
    }
}

fn check_command(name: &str, command: &Command, root: &Node<'_>, environment: &Environment, problems: &mut Problems) {
    let path = |key| ["server", name, key];
    if let Some(why) = command.cwd.as_deref().and_then(no_directory) {
        problems.warn(tree::place(root, &path("cwd")), why).help("the program is started in this directory");
    } else if let Some((why, help)) = no_program(command, environment) {
        problems.warn(tree::place(root, &path("command")), why).help(help);
    }
    check_sandbox(name, &command.sandbox, root, problems);
    check_arguments(name, command, &environment.directory, root, problems);
    check_variables(name, command, root, problems);
    for (index, variable) in command.pass_env.iter().enumerate() {
        // What holds a value is an error elsewhere, and not to be shown.
        if !environment.variables.contains_key(variable) && !variable.contains('=') {
            let place = tree::place(root, &["server", name, "pass_env", &index.to_string()]);
            let known = environment.variables.keys().map(String::as_str);
            let help = match suggest::nearest(variable, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "the program is started without it".to_owned(),
            };
            problems.warn(place, format!("the environment variable `{variable}` is not set here")).help(help);
        }
    }
}

/// What a sandbox names that is not there: what is to be read would be left out silently, and without what is to be
/// written nothing starts.
fn check_sandbox(name: &str, sandbox: &Sandbox, root: &Node<'_>, problems: &mut Problems) {
    for (key, paths) in [("ro", &sandbox.read_only), ("rw", &sandbox.writable), ("hide", &sandbox.hidden)] {
        for (index, path) in paths.iter().enumerate() {
            let place = || tree::place(root, &["server", name, "sandbox", "fs", key, &index.to_string()]);
            if path.is_absolute() && matches!(path.try_exists(), Ok(false)) {
                let help =
                    if key == "rw" { "make it, or name the directory that it is to be in" } else { "it is left out" };
                problems.warn(place(), format!("there is no {}", path.display())).help(help);
            } else if path == Path::new("/") {
                problems.warn(place(), "the program sees the whole machine").help("name what it needs");
            }
        }
    }
}

/// What programs see of a machine whatever their sandbox names.
const SYSTEM: &[&str] =
    &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/dev", "/proc", "/etc/ssl", "/etc/pki"];

/// Whether a program sees this path, by what its sandbox names.
fn is_named(sandbox: &Sandbox, path: &Path) -> bool {
    let named = sandbox.read_only.iter().chain(&sandbox.writable).map(PathBuf::as_path);
    let own = sandbox.files.keys().map(PathBuf::as_path);
    SYSTEM.iter().map(Path::new).chain(named).chain(own).any(|seen| path.starts_with(seen))
}

/// Whether this is a path of the machine that a program does not see, so that what it writes there is lost when it ends.
fn is_unseen(sandbox: &Sandbox, value: &str) -> bool {
    let path = Path::new(value);
    let is_there = |path: &Path| matches!(path.try_exists(), Ok(true));
    let is_meant = || is_there(path) || path.parent().is_some_and(|above| above.parent().is_some() && is_there(above));
    sandbox.level != Level::None
        && path.is_absolute()
        && path.parent().is_some()
        && !is_named(sandbox, path)
        && is_meant()
}

/// What to do about it.
pub const NAME_IT: &str =
    "name it, or the directory that it is to be in, in `fs.ro` or `fs.rw` (with `run`: --ro, --rw)";

/// Variables that name places which a sandbox has of its own, or shows.
const SHOWN: &[&str] = &[
    "CURL_CA_BUNDLE",
    "HOME",
    "NODE_EXTRA_CA_CERTS",
    "PATH",
    "PWD",
    "REQUESTS_CA_BUNDLE",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
];

/// Whether a variable of this name and value names such a path.
#[must_use]
pub fn names_unseen(sandbox: &Sandbox, variable: &str, value: &str) -> bool {
    !SHOWN.contains(&variable) && !variable.starts_with("XDG_") && is_unseen(sandbox, value)
}

/// Values of variables that are paths, which the program does not see.
fn check_variables(name: &str, command: &Command, root: &Node<'_>, problems: &mut Problems) {
    for (variable, value) in &command.env {
        if names_unseen(&command.sandbox, variable, value.expose()) {
            let text =
                format!("the program does not see what `{variable}` names; what it writes there is lost when it ends");
            problems.warn(tree::place(root, &["server", name, "env", variable]), text).help(NAME_IT);
        }
    }
}

/// Files and directories among the arguments that the program does not see.
fn check_arguments(name: &str, command: &Command, here: &Path, root: &Node<'_>, problems: &mut Problems) {
    let sandbox = &command.sandbox;
    if sandbox.arguments == Arguments::Unseen {
        return;
    }
    let is_database = |path: &Path| {
        let kind = path.extension().and_then(OsStr::to_str);
        sandbox.arguments == Arguments::Databases && kind.is_some_and(|kind| DATABASES.contains(&kind))
    };
    let script = command.arguments.iter().position(|argument| !argument.starts_with('-'));
    for (index, argument) in command.arguments.iter().enumerate() {
        let is_script = script == Some(index) && Path::new(argument).is_file();
        let value =
            argument.split_once('=').filter(|_| argument.starts_with('-')).map_or(&**argument, |(_, value)| value);
        // What begins with `./` or `../` is meant from where the program starts.
        let is_path = value.starts_with("./") || value.starts_with("../");
        let full = is_path.then(|| plain_path(&command.cwd.as_deref().unwrap_or(here).join(value)));
        let full = full.as_deref().and_then(Path::to_str).unwrap_or(value);
        let path = Path::new(full);
        // On a line of its own, as whoever wrote the command is not whoever reads it.
        let shown: String = value.chars().map(|sign| if sign.is_control() { '\u{fffd}' } else { sign }).collect();
        let place = || tree::place(root, &["server", name, "command", &(index + 1).to_string()]);
        // A file is made by the program, a directory is not.
        if path.is_absolute() && path.extension().is_none() && matches!(path.try_exists(), Ok(false)) {
            problems
                .warn(place(), format!("there is no {shown}, so the program does not see it"))
                .help("make it before the program starts, if it is a directory that it is to work with");
        } else if !is_script && !path.is_dir() && !is_database(path) && is_unseen(sandbox, full) {
            let text = format!("the program does not see {shown}; what it writes there is lost when it ends");
            problems.warn(place(), text).help(NAME_IT);
        }
    }
}

fn no_directory(path: &Path) -> Option<String> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some(format!("{} is no directory", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Some(format!("there is no directory {}", path.display())),
        // Whoever starts the gateway may see what whoever checks the file does not.
        Err(_) => None,
    }
}

/// Why the program would not be found or not be started, and what to do. Looked for as it is when it is started: from
/// its directory, and in the `PATH` that it will have.
fn no_program(command: &Command, environment: &Environment) -> Option<(String, String)> {
    let program = &command.program;
    let start = command.cwd.clone().unwrap_or_else(|| PathBuf::from("."));
    if program.contains('/') {
        return match look(&start.join(program)) {
            Found::Executable => None,
            Found::Otherwise => Some(not_executable(program)),
            Found::Nothing => Some((format!("there is no program `{program}`"), elsewhere())),
        };
    }
    let own = command.env.get("PATH").map(|path| path.expose());
    let path = own.or_else(|| environment.variables.get("PATH").map(String::as_str))?;
    // An empty entry means the directory in which it is started.
    let found: Vec<_> = std::env::split_paths(path).map(|entry| start.join(entry).join(program)).collect();
    if found.iter().any(|file| matches!(look(file), Found::Executable)) {
        return None;
    }
    match found.iter().find(|file| matches!(look(file), Found::Otherwise)) {
        Some(file) => Some(not_executable(&file.display().to_string())),
        None => Some((format!("no directory of PATH has a program `{program}`"), elsewhere())),
    }
}

fn not_executable(file: &str) -> (String, String) {
    (format!("`{file}` is there but not executable"), format!("chmod +x {file}"))
}

fn elsewhere() -> String {
    "install it or write its whole path, unless the file is for another machine".to_owned()
}

enum Found {
    Executable,
    Otherwise,
    Nothing,
}

fn look(path: &Path) -> Found {
    match fs::metadata(path) {
        Ok(file) if file.is_file() && file.permissions().mode() & 0o111 != 0 => Found::Executable,
        Ok(_) => Found::Otherwise,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Found::Otherwise,
        Err(_) => Found::Nothing,
    }
}
