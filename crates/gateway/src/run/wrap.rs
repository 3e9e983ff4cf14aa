//! What is to be wrapped, and what it is called.

use std::ffi::OsString;
use std::path::PathBuf;

use bartizan_config::{Config, Diagnostic, Environment, NAME_IT, Sandbox, SandboxLevel, Upstream, name_unseen};
use bartizan_sandbox::Level;

/// What to wrap.
#[derive(Debug, Clone)]
pub struct Wrap {
    /// The server's name; without one, it is made from the command.
    pub name: Option<String>,
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// Where it starts.
    pub directory: PathBuf,
    /// The variables that it may see.
    pub env: Vec<(OsString, OsString)>,
    /// Whether it is started again if it crashes.
    pub restart: bool,
    /// Whether it is translated for a client of the other era.
    pub bridge: bool,
    /// How it is confined.
    pub isolation: Isolation,
    /// What the configuration has for servers without a table, if that is where its isolation comes from.
    pub by_default: Option<String>,
    /// The configuration file that has to be in force, or would be if it were there; none if there is no place for one.
    pub config: Option<PathBuf>,
    /// The process that wants it wrapped: what it wraps is one conversation.
    pub client: u32,
}

/// How a program that is wrapped is confined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Isolation {
    /// As this table says: that of a server, as a configuration has it. Empty is a table as well: the strictest.
    Table(String),
    /// Not at all, which somebody asked for in so many words.
    Unconfined,
}

/// A table that was read, for one program.
#[derive(Debug)]
pub struct Confined {
    /// What it says; none if the program is unconfined.
    pub sandbox: Option<Sandbox>,
    /// What the program would lack, on a line each with what to do.
    pub warnings: Vec<String>,
}

impl Confined {
    /// How far the program is kept apart.
    #[must_use]
    pub fn level(&self) -> Level {
        match self.sandbox.as_ref().map(|sandbox| sandbox.level) {
            None | Some(SandboxLevel::None) => Level::None,
            Some(SandboxLevel::Process) => Level::Process,
            Some(SandboxLevel::Container) => Level::Container,
            Some(SandboxLevel::Vm) => Level::Vm,
        }
    }
}

impl Wrap {
    /// How it is confined, read as a configuration is.
    ///
    /// # Errors
    /// What is wrong with its table.
    pub fn confined(&self) -> Result<Confined, String> {
        let table = match &self.isolation {
            Isolation::Unconfined => return Ok(Confined { sandbox: None, warnings: Vec::new() }),
            Isolation::Table(table) => table,
        };
        let (sandbox, mut warnings) = self.read(table)?;
        let variables = self.env.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
        let words = self.command.iter().skip(1).filter_map(|word| word.to_str());
        let unseen = name_unseen(&sandbox, words, &self.directory, variables).into_iter();
        warnings.extend(unseen.map(|name| {
            format!("it does not see what `{name}` names; what it writes there is lost when it ends; {NAME_IT}")
        }));
        Ok(Confined { sandbox: Some(sandbox), warnings })
    }

    fn read(&self, table: &str) -> Result<(Sandbox, Vec<String>), String> {
        // As in a file, where a variable would be looked up. What TOML and JSON write alike.
        let command: Vec<_> = self.command.iter().map(|word| word.to_string_lossy().replace("${", "$${")).collect();
        let command = serde_json::to_string(&command).map_err(|error| error.to_string())?;
        let name = self.server_name();
        let key = serde_json::to_string(&name).map_err(|error| error.to_string())?;
        let text = format!("[server.{key}]\ncommand = {command}\n[server.{key}.sandbox]\n{table}");
        let environment = Environment::of_process(&self.directory);
        // What a profile refers to was looked up where its file was read.
        let read = Config::settled(&text, "the sandbox", &environment).map_err(|wrong| {
            let said: Vec<_> = wrong.0.iter().map(|one| one.message.clone()).collect();
            said.join("; ")
        });
        let (mut config, warnings) = read?;
        let server = config.servers.remove(&name).map(|server| server.upstream);
        let Some(Upstream::Command(command)) = server else { return Err("there is no program".to_owned()) };
        let sandbox = *command.sandbox;
        if sandbox.level == SandboxLevel::None {
            return Err("the level `none` confines nothing; a server runs unconfined where nothing asks for a sandbox"
                .to_owned());
        }
        Ok((sandbox, warnings.iter().map(line).collect()))
    }

    /// The name under which the server is pinned and recorded.
    ///
    /// Made from the command if none was given: its program or package, and a digest of all of it, so that two
    /// commands never share one name.
    #[must_use]
    pub fn server_name(&self) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        let mut hasher = blake3::Hasher::new();
        for word in &self.command {
            hasher.update(word.as_encoded_bytes());
            hasher.update(&[0]);
        }
        let digest: String = hasher.finalize().to_hex().chars().take(6).collect();
        let words: Vec<_> = self.command.iter().map(|word| word.to_string_lossy()).collect();
        let base = telling(&words).unwrap_or("server");
        let plain =
            |character: char| if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { '-' };
        let base: String = base.chars().map(plain).take(16).collect();
        format!("{}-{digest}", base.trim_matches('-'))
    }
}

/// A warning on one line.
fn line(warning: &Diagnostic) -> String {
    let help = warning.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
    format!("{}{help}", warning.message)
}

/// Programs that run another, which the words after them name.
const RUNNERS: [&str; 14] =
    ["bash", "bun", "bunx", "deno", "docker", "env", "node", "npm", "npx", "pnpm", "podman", "sh", "uv", "uvx"];
/// What stands between such a program and the name of what it runs.
const VERBS: [&str; 5] = ["dlx", "exec", "run", "tool", "x"];

/// The word of a command that says what runs: the program, or what a runner of programs runs.
fn telling<'a>(words: &'a [std::borrow::Cow<'_, str>]) -> Option<&'a str> {
    let (program, rest) = words.split_first()?;
    let program = last_piece(program);
    let is_version = |rest: &str| rest.chars().all(|character| character.is_ascii_digit() || character == '.');
    let runs = |name: &str| RUNNERS.contains(&name) || name.strip_prefix("python").is_some_and(is_version);
    if !program.is_some_and(runs) {
        return program;
    }
    let is_name = |word: &&str| !word.starts_with('-') && !word.contains(['=', ' ']) && !VERBS.contains(word);
    let mut named = rest.iter().map(|word| &**word).filter(is_name);
    named.find_map(|word| last_piece(word).filter(|piece| !runs(piece))).or(program)
}

/// Of a path or the name of a package, what it is called without its version.
fn last_piece(word: &str) -> Option<&str> {
    let is_name = |piece: &&str| piece.starts_with(|first: char| first.is_alphabetic());
    let of_path = word.rsplit(['/', '\\']).find_map(|piece| piece.split(['@', ':']).find(is_name));
    of_path.or_else(|| word.split(|c: char| !c.is_alphanumeric()).find(is_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(command: &[&str]) -> String {
        let command = command.iter().map(OsString::from).collect();
        let (directory, env) = (PathBuf::new(), Vec::new());
        let wrap = Wrap {
            name: None,
            command,
            directory,
            env,
            restart: true,
            bridge: false,
            isolation: Isolation::Unconfined,
            by_default: None,
            config: None,
            client: 1,
        };
        let name = wrap.server_name();
        name.rsplit_once('-')
            .map(|(base, digest)| (base.to_owned(), digest.len()))
            .filter(|(_, length)| *length == 6)
            .unwrap()
            .0
    }

    #[test]
    fn names_are_made_from_the_command() {
        assert_eq!(name(&["npx", "-y", "@modelcontextprotocol/server-filesystem", "/srv"]), "server-filesyste");
        assert_eq!(name(&["mcp-server-git", "--repository", "/home/ann/proj"]), "mcp-server-git");
        assert_eq!(name(&["uvx", "mcp-server-git@2.1", "--repository", "/home/ann/proj"]), "mcp-server-git");
        assert_eq!(name(&["docker", "run", "-i", "--rm", "ghcr.io/github/mcp-server:1.2"]), "mcp-server");
        assert_eq!(name(&["npm", "exec", "--", "@scope/calc@latest", "x"]), "calc");
        assert_eq!(name(&["/opt/venv/bin/python3.11", "/srv/calc.py"]), "calc-py");
        assert_eq!(name(&["python3"]), "python3");
        assert_eq!(name(&["python-mcp", "words"]), "python-mcp");
        assert_eq!(name(&["sh", "-c", "exec calc --deep"]), "sh");
        assert_eq!(name(&["npx", "-y", "@modelcontextprotocol/server-memory"]), "server-memory");
        assert_eq!(name(&["/usr/bin/python3", "-m", "mcp_server_git"]), "mcp-server-git");
        assert_eq!(name(&["./my server"]), "my-server");
        assert_eq!(name(&["-"]), "server");
    }
}
