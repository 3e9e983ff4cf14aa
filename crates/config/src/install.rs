//! What `npx` and `uvx` would fetch when they start is installed before: which packages, from where, and which program of theirs.
//!
//! Threat: a package is code that whoever publishes it may change at any time, and a runner that fetches it anew at each start
//! runs the change, with the network and the secrets of the server. So fetching is a step of its own, which has neither, and
//! only what a registry has under a name counts as a package: no address, no repository, no directory.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::problems::Problems;
use crate::sandbox::{Reachable, check_reach as check, reaches};
use crate::tls::HAS_TLS;
use crate::tree::Place;
use crate::units::Size;

/// What the command would fetch is installed before the program starts, in a sandbox of its own; the program then sees it, and
/// cannot change it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InstallTable {
    /// What installs: `npm` for a command that begins with `npx`, `uv` for one that begins with `uvx`.
    with: Installer,
    /// What installing can reach.
    #[serde(default)]
    net: InstallNetTable,
    /// The URL of the registry or index, where that is not the usual one. Its host has to be in `net.allow`.
    #[serde(default)]
    registry: Option<String>,
    /// Whether packages may run scripts of their own while they are installed.
    #[serde(default)]
    scripts: bool,
    /// The most that may lie there in the end.
    #[serde(default = "most")]
    size: Size,
}

/// What installing can reach: registries.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct InstallNetTable {
    /// Hosts and ports, as in `net.allow` of the program itself.
    allow: Vec<String>,
    /// Ranges of private addresses that these names may lead to.
    private: Vec<String>,
}

fn most() -> Size {
    Size(1 << 30)
}

/// What installs packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Installer {
    /// `npm install`, for `npx`.
    Npm,
    /// `uv tool install`, for `uvx`.
    Uv,
}

impl Installer {
    /// The program that fetches and starts in one, whose commands are understood.
    #[must_use]
    pub fn runner(self) -> &'static str {
        match self {
            Installer::Npm => "npx",
            Installer::Uv => "uvx",
        }
    }
}

/// How what a command would fetch is installed.
#[derive(Debug, Clone, PartialEq)]
pub struct Install {
    /// With what.
    pub with: Installer,
    /// Hosts and ports that it reaches.
    pub hosts: Vec<Reachable>,
    /// Ranges of private addresses that their names may lead to.
    pub private: Vec<String>,
    /// The registry, if it is not the usual one.
    pub registry: Option<String>,
    /// Whether packages run scripts.
    pub scripts: bool,
    /// Bytes that may lie there in the end.
    pub size: u64,
}

/// What a command of a runner fetches and starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packages {
    /// The packages, as their installer takes them; the first one is the main one.
    pub names: Vec<String>,
    /// The program of theirs that runs, if the command says which.
    pub program: Option<String>,
    /// At which argument those of the program begin.
    pub rest: usize,
}

/// The checked table.
pub(crate) fn install(
    table: &InstallTable,
    command: Option<&[String]>,
    place: impl Fn(&[&str]) -> Place,
    problems: &mut Problems,
) -> Install {
    let hosts: Vec<_> = table.net.allow.iter().map(|host| Reachable::whole(host)).collect();
    check(&hosts, &table.net.private, &place, problems);
    if !HAS_TLS {
        problems
            .error(place(&[]), "this bartizan is built without TLS, and cannot tell what installing reaches")
            .help("use one that is built with the feature `tls`, as released ones are");
    }
    let url = table.registry.as_deref().map(|url| (url, url.strip_prefix("https://")));
    match url {
        // What is shown of the line may not be the password.
        Some((_, Some(rest))) if rest.split(['/', '?', '#']).next().is_some_and(|host| host.contains('@')) => {
            let start = place(&["registry"]).start;
            problems
                .error(start..start, "a registry is named without a user or a password, which what installs would see")
                .help("use a registry that this machine reaches without one, or a mirror of it");
        }
        Some((_, None)) => {
            problems.error(place(&["registry"]), "a registry is an https URL").help("such as https://npm.example.com/");
        }
        Some((_, Some(rest))) => {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let host = if host.contains(':') { host.to_owned() } else { format!("{host}:443") };
            if !reaches(&hosts, &host) {
                problems
                    .warn(place(&["registry"]), format!("what installs does not reach the registry, {host}"))
                    .help(format!("install.net.allow = [\"{host}\"]"));
            }
        }
        None => {}
    }
    if let Some((program, arguments)) = command.and_then(|command| command.split_first())
        && let Err(why) = Packages::of(table.with, program, arguments)
    {
        problems.error(place(&[]), why);
    }
    Install {
        with: table.with,
        hosts,
        private: table.net.private.clone(),
        registry: table.registry.clone(),
        scripts: table.scripts,
        size: table.size.0,
    }
}

impl Packages {
    /// What the command of a runner would fetch.
    ///
    /// # Errors
    /// In words, if it is none, or not known to be one.
    pub fn of(with: Installer, program: &str, arguments: &[String]) -> Result<Packages, String> {
        let runner = with.runner();
        if program.rsplit('/').next() != Some(runner) {
            return Err(format!(
                "what is installed is what `{runner}` would fetch, and the command is not `{runner} PACKAGE`; leave the profile out \
                 for a program that is installed"
            ));
        }
        let mut read = Reading { with, names: Vec::new(), more: Vec::new() };
        let mut at = 0;
        while let Some(word) = arguments.get(at) {
            at += 1;
            match read.word(word, arguments.get(at))? {
                Word::Alone => {}
                Word::WithValue => at += 1,
                Word::End => {
                    let main = arguments.get(at).ok_or_else(|| format!("`{runner}` is given no package"))?;
                    return read.packages(main, at + 1);
                }
                Word::Main => return read.packages(word, at),
            }
        }
        Err(format!("`{runner}` is given no package"))
    }
}

/// What a word of the command is.
enum Word {
    /// An option by itself.
    Alone,
    /// An option, and the next word is its value.
    WithValue,
    /// The end of options.
    End,
    /// The package, or where that is named by an option, the program.
    Main,
}

struct Reading {
    with: Installer,
    names: Vec<String>,
    /// Packages beside the main one, as `uvx --with` has them.
    more: Vec<String>,
}

impl Reading {
    fn word(&mut self, word: &str, next: Option<&String>) -> Result<Word, String> {
        let (alone, named): (&[&str], &[(&str, bool)]) = match self.with {
            Installer::Npm => {
                (&["-y", "--yes", "-q", "--quiet", "-s", "--silent"], &[("-p", true), ("--package", true)])
            }
            Installer::Uv => (&["-q", "--quiet", "--no-progress"], &[("--from", true), ("--with", false)]),
        };
        if word == "--" {
            return Ok(Word::End);
        }
        if !word.starts_with('-') {
            return Ok(Word::Main);
        }
        if alone.contains(&word) {
            return Ok(Word::Alone);
        }
        let (option, value) = word.split_once('=').map_or((word, None), |(option, value)| (option, Some(value)));
        let Some((_, main)) = named.iter().find(|(name, _)| *name == option) else {
            let known = alone.iter().copied().chain(named.iter().map(|(name, _)| *name));
            return Err(format!(
                "the option `{option}` of {} is not known here, only {}; with others, install the package yourself and start its program",
                self.with.runner(),
                crate::suggest::list(known)
            ));
        };
        let taken = value.or(next.map(String::as_str)).ok_or_else(|| format!("`{option}` has no value"))?;
        let name = name(self.with, taken)?;
        if *main {
            self.names.push(name);
        } else {
            self.more.push(name);
        }
        Ok(if value.is_some() { Word::Alone } else { Word::WithValue })
    }

    fn packages(self, main: &str, rest: usize) -> Result<Packages, String> {
        let Reading { with, mut names, more } = self;
        let program = if names.is_empty() {
            names.push(name(with, main)?);
            // npm's programs have names of their own; uv looks for one of the package's.
            (with == Installer::Uv).then(|| main.split(['@', '=', '[']).next().unwrap_or(main).to_owned())
        } else {
            Some(main.to_owned())
        };
        let plain = |name: &String| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            !name.is_empty() && name.chars().all(plain) && !name.starts_with(['-', '.'])
        };
        match program {
            Some(program) if !plain(&program) => Err(format!("`{program}` is no name of a program")),
            program => {
                names.extend(more);
                Ok(Packages { names, program, rest })
            }
        }
    }
}

/// How files of packages end.
const ARCHIVES: &[&str] = &[".tgz", ".tar", ".gz", ".bz2", ".xz", ".zst", ".zip", ".whl", ".egg"];

/// A package of a registry, as its installer takes it.
fn name(with: Installer, text: &str) -> Result<String, String> {
    let wrong = || {
        format!(
            "`{text}` is no package of a registry, such as `name` or `name@1.2.3`; install another one yourself and start its program"
        )
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "@/._~^<>=!*+-[],".contains(c);
    // A version that begins with a dot is a directory to npm, and a name that ends so a file to both.
    let is_file = || ARCHIVES.iter().any(|end| text.to_ascii_lowercase().ends_with(end));
    if text.is_empty()
        || !text.chars().all(plain)
        || text.starts_with(['-', '.', '/', '~'])
        || text.contains("@.")
        || is_file()
    {
        return Err(wrong());
    }
    match with {
        Installer::Npm => {
            let slashes = text.matches('/').count();
            let scoped = text.starts_with('@') && slashes == 1;
            if scoped || slashes == 0 && !text.starts_with('@') { Ok(text.to_owned()) } else { Err(wrong()) }
        }
        Installer::Uv if text.contains('/') || text.starts_with('@') => Err(wrong()),
        Installer::Uv => Ok(match text.split_once('@') {
            Some((name, "latest")) => name.to_owned(),
            Some((name, version)) => format!("{name}=={version}"),
            None => text.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(with: Installer, command: &str) -> Result<(String, Option<String>, usize), String> {
        let words: Vec<_> = command.split(' ').map(str::to_owned).collect();
        let read = Packages::of(with, &words[0], &words[1..])?;
        Ok((read.names.join(" "), read.program, read.rest))
    }

    #[test]
    fn commands_say_what_is_fetched_and_where_its_arguments_begin() {
        use Installer::{Npm, Uv};
        let some = |name: &str| Some(name.to_owned());
        for (with, command, names, program, rest) in [
            (Npm, "npx -y @scope/server-x /srv", "@scope/server-x", None, 2),
            (Npm, "/usr/bin/npx server@1.2 --flag", "server@1.2", None, 1),
            (Npm, "npx --yes -p a --package=@b/c@^2 tool -y", "a @b/c@^2", some("tool"), 5),
            (Npm, "npx -- server -p x", "server", None, 2),
            (Uv, "uvx mcp-server-git --repository /x", "mcp-server-git", some("mcp-server-git"), 1),
            (Uv, "uvx tool@1.0", "tool==1.0", some("tool"), 1),
            (Uv, "uvx tool@latest", "tool", some("tool"), 1),
            (Uv, "uvx --from pkg[cli]>=2 --with extra tool x", "pkg[cli]>=2 extra", some("tool"), 5),
        ] {
            assert_eq!(read(with, command), Ok((names.to_owned(), program, rest)), "{command}");
        }
    }

    #[test]
    fn what_is_no_package_of_a_registry_is_refused() {
        use Installer::{Npm, Uv};
        for (with, command, said) in [
            (Npm, "node server.js", "not `npx PACKAGE`"),
            (Npm, "npx -y", "no package"),
            (Npm, "npx --", "no package"),
            (Npm, "npx -p", "no value"),
            (Npm, "npx -c evil", "`-c` of npx is not known"),
            (Npm, "npx --registry=https://x y", "not known"),
            (Npm, "npx ./here", "no package of a registry"),
            (Npm, "npx someone/repository", "no package of a registry"),
            (Npm, "npx https://example.com/x.tgz", "no package of a registry"),
            (Npm, "npx github:a/b", "no package of a registry"),
            (Npm, "npx a@..", "no package of a registry"),
            (Npm, "npx a@.", "no package of a registry"),
            (Npm, "npx a.tgz", "no package of a registry"),
            (Npm, "npx -p a@b.TAR.gz c", "no package of a registry"),
            (Uv, "uvx --from a.whl b", "no package of a registry"),
            (Npm, "npx -p a ../b", "no name of a program"),
            (Uv, "uvx git+https://example.com/x", "no package of a registry"),
            (Uv, "uvx --from ./x y", "no package of a registry"),
            (Uv, "uvx --python 3.9 y", "not known"),
            (Uv, "npx y", "not `uvx PACKAGE`"),
        ] {
            let why = read(with, command).unwrap_err();
            assert!(why.contains(said), "{command}: {why}");
        }
    }
}
