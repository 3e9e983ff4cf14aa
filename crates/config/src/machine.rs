//! What a server needs and this machine does not have. Only warnings: the file may be for another machine.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::Environment;
use crate::expand::WORKSPACE_REFERENCE;
use crate::paths::{is_path, plain as plain_path};
use crate::problems::Problems;
use crate::sandbox::{Arguments, DATABASES, Level, Sandbox, runner};
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
    if let Some((text, help)) = fetches(command) {
        problems.warn(tree::place(root, &path("command")), text).help(help);
    }
    check_sandbox(name, &command.sandbox, root, environment, problems);
    check_arguments(name, command, root, environment, problems);
    check_variables(name, command, root, environment, problems);
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

/// What is to be said of a command that fetches packages in a form that is not known as that: it would do so at each start, with
/// the server's secrets.
fn fetches(command: &Command) -> Option<(String, String)> {
    let words: Vec<&str> =
        std::iter::once(command.program.as_str()).chain(command.arguments.iter().map(String::as_str)).collect();
    let (words, more) = match after_env(&words) {
        Some(words) => (words, ", and what `env` sets as variables of the server"),
        None => (words.as_slice(), ""),
    };
    let (program, arguments) = words.split_first()?;
    let program = program.rsplit('/').next().unwrap_or_default();
    // What comes first may be the value of an option.
    let first: Vec<&str> = arguments.iter().copied().filter(|word| !word.starts_with('-')).take(2).collect();
    let has = |word: &str| first.contains(&word);
    let (words, runner) = match program {
        "uv" if first == ["tool", "run"] => ("uv tool run", "uvx"),
        "uv" if has("run") && arguments.iter().any(|word| word.starts_with("--with")) => ("uv run --with", "uvx"),
        "npm" if has("exec") || has("x") => ("npm exec", "npx"),
        "pnpm" | "yarn" if has("dlx") => ("dlx", "npx"),
        "bun" if has("x") => ("bun x", "npx"),
        "bunx" => ("bunx", "npx"),
        "pnpx" => ("pnpx", "npx"),
        "pipx" if has("run") => ("pipx run", "uvx"),
        "sh" | "bash" | "dash" | "zsh" => {
            let named = arguments.iter().find_map(|word| runner(word.split_whitespace().next()?))?;
            (named, named)
        }
        named if !more.is_empty() => (runner(named)?, runner(named)?),
        _ => return None,
    };
    let text = format!("what `{words}` fetches at each start it cannot fetch confined, unless it reaches a registry");
    let help = format!("write `{runner} PACKAGE` as the command, which is installed first and kept{more}");
    (command.sandbox.level != Level::None && command.sandbox.hosts.is_empty()).then_some((text, help))
}

/// What follows `env`, its options and what it sets; none if it is not what is run.
fn after_env<'a, 'w>(words: &'a [&'w str]) -> Option<&'a [&'w str]> {
    let (program, mut rest) = words.split_first()?;
    if program.rsplit('/').next() != Some("env") {
        return None;
    }
    loop {
        rest = match rest {
            ["-u" | "--unset" | "-C" | "--chdir", _, after @ ..] => after,
            [word, after @ ..] if word.starts_with('-') || word.contains('=') => after,
            _ => return Some(rest),
        };
    }
}

/// What a sandbox names that is not there: what is to be read would be left out silently, and without what is to be
/// written nothing starts.
fn check_sandbox(name: &str, sandbox: &Sandbox, root: &Node<'_>, environment: &Environment, problems: &mut Problems) {
    for (key, paths) in [("ro", &sandbox.read_only), ("rw", &sandbox.writable), ("hide", &sandbox.hidden)] {
        for (index, path) in paths.iter().enumerate() {
            let place = || tree::place(root, &["server", name, "sandbox", "fs", key, &index.to_string()]);
            if path.is_absolute() && matches!(path.try_exists(), Ok(false)) {
                let help =
                    if key == "rw" { "make it, or name the directory that it is to be in" } else { "it is left out" };
                problems.warn(place(), format!("there is no {}", path.display())).help(help);
            } else if key != "hide" && path == Path::new("/") {
                problems.warn(place(), "the program sees the whole machine").help(NAME_LESS);
            } else if key != "hide" && holds_home(path, environment) {
                problems.warn(place(), ALL_OF_HOME).help(NAME_LESS);
            }
        }
    }
}

/// What programs see of a machine whatever their sandbox names.
const SYSTEM: &[&str] =
    &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/dev", "/proc", "/etc/ssl", "/etc/pki"];

/// What a program sees of a machine, as far as its sandbox and its command name it.
struct Seen<'a> {
    sandbox: &'a Sandbox,
    /// The directories among its arguments, where these are shown.
    given: Vec<PathBuf>,
}

impl<'a> Seen<'a> {
    /// By what stands among the arguments of a program that starts there.
    fn new<'w>(sandbox: &'a Sandbox, arguments: impl Iterator<Item = &'w str>, start: &Path) -> Self {
        let words = arguments.filter(|word| !word.starts_with('-') && sandbox.arguments != Arguments::Unseen);
        let given = words.map(|word| plain_path(&start.join(word))).filter(|path| path.is_dir()).collect();
        Seen { sandbox, given }
    }

    /// Whether it sees this path, under whichever of its names.
    fn holds(&self, path: &Path) -> bool {
        let named = self.sandbox.read_only.iter().chain(&self.sandbox.writable).chain(self.sandbox.files.keys());
        let named = named.chain(&self.given).map(PathBuf::as_path);
        let path = plain_path(path);
        let paths = [real(&path), path];
        SYSTEM.iter().map(Path::new).chain(named).any(|seen| {
            let is_below = |path: &PathBuf| path.starts_with(seen) || path.starts_with(real(seen));
            paths.iter().any(|path| is_below(path) || may_be_below(seen, path))
        })
    }
}

/// The path without links, as far as it is there.
fn real(path: &Path) -> PathBuf {
    let above = || Some(real(path.parent()?).join(path.file_name()?));
    path.canonicalize().ok().or_else(above).unwrap_or_else(|| path.to_owned())
}

/// Whether `path` may lie where a name says that begins where the server is started, which is not known yet.
fn may_be_below(named: &Path, path: &Path) -> bool {
    named.strip_prefix(WORKSPACE_REFERENCE).is_ok_and(|rest| path.ancestors().any(|above| above.ends_with(rest)))
}

/// Whether this is a path of the machine that a program does not see, so that what it writes there is lost when it ends.
fn is_unseen(seen: &Seen<'_>, value: &str) -> bool {
    let path = Path::new(value);
    let is_there = |path: &Path| matches!(path.try_exists(), Ok(true));
    let is_meant = || is_there(path) || path.parent().is_some_and(|above| above.parent().is_some() && is_there(above));
    seen.sandbox.level != Level::None
        && path.is_absolute()
        && path.parent().is_some()
        && !seen.holds(path)
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

/// Those of these variables that name such a path, where a program with these arguments starts in this directory.
pub fn name_unseen<'v>(
    sandbox: &Sandbox,
    arguments: impl Iterator<Item = &'v str>,
    start: &Path,
    variables: impl Iterator<Item = (&'v str, &'v str)>,
) -> Vec<&'v str> {
    let seen = Seen::new(sandbox, arguments, start);
    let is_own = |variable: &str| SHOWN.contains(&variable) || variable.starts_with("XDG_");
    variables.filter(|(name, value)| !is_own(name) && is_unseen(&seen, value)).map(|(name, _)| name).collect()
}

/// Values of variables that are paths, which the program does not see.
fn check_variables(name: &str, command: &Command, root: &Node<'_>, environment: &Environment, problems: &mut Problems) {
    let variables = command.env.iter().map(|(variable, value)| (variable.as_str(), value.expose()));
    let words = command.arguments.iter().map(String::as_str);
    for variable in name_unseen(&command.sandbox, words, start(command, environment), variables) {
        let text =
            format!("the program does not see what `{variable}` names; what it writes there is lost when it ends");
        problems.warn(tree::place(root, &["server", name, "env", variable]), text).help(NAME_IT);
    }
}

/// Where the program starts, as far as it is known.
fn start<'a>(command: &'a Command, environment: &'a Environment) -> &'a Path {
    command.cwd.as_deref().unwrap_or(&environment.directory)
}

/// Files and directories among the arguments that the program does not see, and such as hold more than it is meant to see.
fn check_arguments(name: &str, command: &Command, root: &Node<'_>, environment: &Environment, problems: &mut Problems) {
    let start = start(command, environment);
    let seen = Seen::new(&command.sandbox, command.arguments.iter().map(String::as_str), start);
    let is_option = |word: &str| word.starts_with('-');
    let first = command.arguments.iter().position(|word| !is_option(word));
    for (index, word) in command.arguments.iter().enumerate() {
        let value = word.split_once('=').filter(|_| is_option(word)).map_or(&**word, |(_, value)| value);
        let full = plain_path(&start.join(value));
        let found = if !is_path(Path::new(value)) {
            // The first one is what a runner runs, or what the program is to do.
            if first == Some(index) { None } else { other_name(&command.sandbox, value, &full) }
        } else if first == Some(index) && full.is_file() {
            // It is what runs.
            None
        } else {
            argument(&seen, &shown(value), &full, environment)
        };
        if let Some((text, help)) = found {
            let place = tree::place(root, &["server", name, "command", &(index + 1).to_string()]);
            problems.warn(place, text).help(help);
        }
    }
}

/// On a line of its own, as whoever wrote a command is not whoever reads what is said of it.
fn shown(word: &str) -> String {
    word.chars().map(|sign| if sign.is_control() { '\u{fffd}' } else { sign }).collect()
}

/// What is to be said of a path among the arguments, and what to do.
fn argument(seen: &Seen<'_>, shown: &str, full: &Path, environment: &Environment) -> Option<(String, String)> {
    let sandbox = seen.sandbox;
    let is_given = sandbox.level != Level::None && sandbox.arguments != Arguments::Unseen;
    let is_database = || {
        let kind = full.extension().and_then(OsStr::to_str);
        sandbox.arguments == Arguments::Databases && kind.is_some_and(|kind| DATABASES.contains(&kind))
    };
    // A file is made by the program, a directory is not.
    if is_given && full.extension().is_none() && matches!(full.try_exists(), Ok(false)) {
        let help = "make it before the program starts, if it is a directory that it is to work with";
        return Some((format!("there is no {shown}, so the program does not see it"), help.to_owned()));
    }
    if is_given && full.is_dir() {
        return holds_home(full, environment).then(|| (ALL_OF_HOME.to_owned(), NAME_LESS.to_owned()));
    }
    let is_lost = !(is_given && is_database()) && full.to_str().is_some_and(|full| is_unseen(seen, full));
    let text = || format!("the program does not see {shown}; what it writes there is lost when it ends");
    is_lost.then(|| (text(), NAME_IT.to_owned()))
}

/// What is to be said of a word that may mean a directory and is not written as one.
fn other_name(sandbox: &Sandbox, word: &str, full: &Path) -> Option<(String, String)> {
    let is_given = sandbox.level != Level::None && sandbox.arguments != Arguments::Unseen;
    (is_given && !word.is_empty() && full.is_dir()).then(|| {
        let word = shown(word);
        let text = format!("there is a directory {word}, and the program does not see it");
        (text, format!("write `./{word}` if it is the one that is meant"))
    })
}

/// Whether a directory is the user's home, or that is in it; all of the machine is another matter.
fn holds_home(directory: &Path, environment: &Environment) -> bool {
    let home = environment.variables.get("HOME").map(Path::new);
    directory.parent().is_some() && home.is_some_and(|home| home.starts_with(directory))
}

const ALL_OF_HOME: &str = "the program sees all of your home directory, with the keys and passwords that lie there";
const NAME_LESS: &str = "name what it needs";

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
