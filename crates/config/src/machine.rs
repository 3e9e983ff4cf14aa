//! What a server needs and this machine does not have. Only warnings: the file may be for another machine.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::Environment;
use crate::problems::Problems;
use crate::sandbox::{Arguments, Sandbox};
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
    if let Some(sandbox) = &command.sandbox {
        check_sandbox(name, sandbox, root, problems);
        check_arguments(name, command, root, problems);
    }
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

/// Directories among the arguments that the program would see if they were there.
fn check_arguments(name: &str, command: &Command, root: &Node<'_>, problems: &mut Problems) {
    if command.sandbox.as_ref().is_none_or(|sandbox| sandbox.arguments == Arguments::Unseen) {
        return;
    }
    for (index, argument) in command.arguments.iter().enumerate() {
        let value =
            argument.split_once('=').filter(|_| argument.starts_with('-')).map_or(&**argument, |(_, value)| value);
        let path = Path::new(value);
        // A file is made by the program, a directory is not.
        if path.is_absolute() && path.extension().is_none() && matches!(path.try_exists(), Ok(false)) {
            let place = tree::place(root, &["server", name, "command", &(index + 1).to_string()]);
            problems
                .warn(place, format!("there is no {}, so the program does not see it", path.display()))
                .help("make it before the program starts, if it is a directory that it is to work with");
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
