//! `bartizan run`: wraps one stdio server in place.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use bartizan_config::{AUTO, Config, UNCONFINED, plain_path};
use bartizan_gateway::run::{self, Confined, Isolation, Paths, RunError, Wrap};
use bartizan_sandbox::Environment;
use clap::Args;

use crate::common;
use crate::outcome::{Failure, Outcome, say};
use crate::text::printable;

const EXAMPLES: &str = "\
Examples:
  bartizan run --name git --profile git -- mcp-server-git --repository ~/project
  bartizan run --name notes --rw ~/notes -- mcp-server-filesystem ~/notes
  bartizan run --name tickets --pass-env TICKETS_TOKEN -- npx -y tickets-mcp

  In the client's list of servers that is:
    \"command\": \"bartizan\",
    \"args\": [\"run\", \"--name\", \"time\", \"--\", \"uvx\", \"mcp-server-time\"]";

/// Wraps one stdio server in place: put `bartizan run --` in front of its command
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Name of the server in approvals and records; by default made from the command
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Judges in this process, with a log of its own, instead of in the user's bartizan
    #[arg(long)]
    standalone: bool,
    /// The configuration file [default: bartizan.toml in the user's configuration directory, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Hands this environment variable on to the server, beside those that carry no secret by their nature; repeatable
    #[arg(long, value_name = "NAME")]
    pass_env: Vec<OsString>,
    /// Ends with the server instead of starting it again if it crashes
    #[arg(long)]
    no_restart: bool,
    /// Translates between eras of the protocol if the client and the server have no common revision
    #[arg(long)]
    bridge: bool,
    /// Confines the server by what the other options say alone, and by no profile: without them it sees the system's programs
    /// and itself, and reaches nothing
    #[arg(long, conflicts_with = "profile")]
    sandbox: bool,
    /// Lets the server read this file or directory; repeatable
    #[arg(long, value_name = "PATH")]
    ro: Vec<String>,
    /// Lets the server change this file or directory; repeatable
    #[arg(long, value_name = "PATH")]
    rw: Vec<String>,
    /// Lets the server reach this host, such as api.example.com:443; repeatable
    #[arg(long, value_name = "HOST:PORT")]
    allow: Vec<String>,
    /// Lets the server use this much memory, such as 4GiB, in place of what its profile says
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// Confines the server so far: with `container` or `vm` a runtime that is installed does so as well; with `none`, which
    /// takes `--allow-unconfined` too, not at all
    #[arg(long, value_name = "LEVEL", value_parser = ["process", "container", "vm", UNCONFINED])]
    level: Option<String>,
    /// Lets the server run unconfined, with `--level none` or where the configuration has `default = "none"`
    #[arg(long, conflicts_with_all = ["sandbox", "ro", "rw", "allow", "memory", "profile", "runtime"])]
    allow_unconfined: bool,
    /// The runtime that gives the level, by name or path [default: runc for container, runsc for vm]
    #[arg(long, value_name = "PROGRAM", requires = "level")]
    runtime: Option<String>,
    /// Confines the server as this profile says [default: what the configuration has for servers without a table, else `auto`,
    /// which fits the command]; `bartizan sandbox profiles` lists those that are built in
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// The server's command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        let standalone = self.standalone;
        match self.prepared() {
            Ok(prepared) => prepared.run(standalone),
            Err(failure) => {
                turn_away(&failure.to_string());
                Err(failure)
            }
        }
    }

    /// All that is found out before anything is read from the client.
    fn prepared(self) -> Result<Prepared, Failure> {
        let paths = common::paths()?;
        // The user's bartizan starts elsewhere, and compares the name.
        let config = self.config.as_deref().map(|file| {
            let unread = |error| format!("the configuration file {} cannot be read: {error}", file.display());
            std::fs::canonicalize(file).map_err(|error| Failure::usage(unread(error)))
        });
        let config = config.transpose()?;
        let env = self.environment()?;
        let (by_default, profile) = self.profile_named(config.as_deref())?;
        let isolation = self.isolation(config.as_deref(), profile.as_deref())?;
        let wrap = Wrap {
            name: self.name,
            command: self.command,
            directory: std::env::current_dir().unwrap_or_default(),
            env: env.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            restart: !self.no_restart,
            bridge: self.bridge,
            isolation,
            by_default,
            config: config.clone().or_else(common::user_config_place),
            client: std::os::unix::process::parent_id(),
        };
        common::check_name(&wrap.server_name())?;
        let confined =
            wrap.confined().map_err(|why| Failure::usage(format!("the server cannot be confined so: {why}")))?;
        // A client reads only MCP from us, so nothing but warnings is said, on standard error.
        common::log_to_stderr("warn", false);
        announce(&wrap.server_name(), &confined, &env);
        // The one that is started for the user says what is wrong with its configuration where nobody looks. A file that is
        // named is read all the same: the one that is there may have another.
        let is_served = !self.standalone && self.config.is_none() && run::is_served(&paths);
        let in_force = if is_served { None } else { Some(common::user_config(config.as_deref())?) };
        Ok(Prepared { paths, wrap, config, in_force })
    }
}

/// Tells the client that has started us why there is no server; whoever looks at standard error is told there.
pub(crate) fn turn_away(why: &str) {
    let telling = async {
        run::turn_away(why).await;
        Ok::<_, RunError>(())
    };
    common::block_on_one(telling).ok();
}

/// A server that can be wrapped.
struct Prepared {
    paths: Paths,
    wrap: Wrap,
    /// The file that was named.
    config: Option<PathBuf>,
    /// What it says, or the user's own does; none where somebody has read it already.
    in_force: Option<Config>,
}

impl Prepared {
    fn run(self, standalone: bool) -> Result<Outcome, Failure> {
        let Prepared { paths, wrap, config, in_force } = self;
        if let Some(in_force) = in_force.filter(|_| standalone) {
            return common::block_on(run::standalone(&in_force, &paths, &wrap)).map(status);
        }
        let program = std::env::current_exe().map_err(Failure::ours)?;
        let mut arguments: Vec<&OsStr> = vec![OsStr::new("daemon")];
        if let Some(config) = &config {
            arguments.extend([OsStr::new("--config"), config.as_os_str()]);
        }
        common::block_on_one(run::bridge(&paths, &wrap, &program, &arguments)).map(status)
    }
}

impl Arguments {
    /// The table of the server's sandbox that begins with a profile, or with nothing; or that it is meant to have none.
    fn isolation(&self, config: Option<&Path>, profile: Option<&str>) -> Result<Isolation, Failure> {
        match (profile == Some(UNCONFINED), self.allow_unconfined) {
            (_, true) if self.level.as_deref().is_some_and(|level| level != UNCONFINED) => {
                return Err(Failure::usage("`--allow-unconfined` is for no level but `none`"));
            }
            (true, true) => return Ok(Isolation::Unconfined),
            (false, false) => {}
            (true, false) if self.level.is_none() && self.profile.is_none() => {
                return Err(Failure::usage(
                    "the configuration leaves servers unconfined (`default` under [sandbox]), and that takes \
                     `--allow-unconfined` here as well",
                ));
            }
            _ => {
                return Err(Failure::usage(
                    "a server runs unconfined with both `--level none` and `--allow-unconfined`",
                ));
            }
        }
        let (ro, rw) = (without_steps_up(&self.ro), without_steps_up(&self.rw));
        let mut table = lists([("fs.ro", &ro), ("fs.rw", &rw), ("net.allow", &self.allow)])?;
        for (key, value) in [("level", &self.level), ("runtime", &self.runtime), ("limits.memory", &self.memory)] {
            let Some(value) = value else { continue };
            let value = serde_json::to_string(&value.replace("${", "$${")).map_err(Failure::ours)?;
            table.push_str(&format!("{key} = {value}\n"));
        }
        let table = match profile {
            Some(profile) => super::sandbox::table_with(profile, config, &table)?,
            None => table,
        };
        Ok(Isolation::Table(table))
    }

    /// What servers without a table have, if nothing else was asked for; and the profile that the server is confined by, if
    /// there is one.
    fn profile_named(&self, config: Option<&Path>) -> Result<(Option<String>, Option<String>), Failure> {
        if self.level.as_deref() == Some(UNCONFINED) {
            return Ok((None, Some(UNCONFINED.to_owned())));
        }
        if self.profile.is_some() || self.sandbox {
            return Ok((None, self.profile.clone()));
        }
        let default = super::sandbox::own(config)?.default;
        if default == UNCONFINED && self.level.is_some() {
            return Ok((None, Some(AUTO.to_owned())));
        }
        Ok((Some(default.clone()), Some(default)))
    }

    /// What the server sees.
    fn environment(&self) -> Result<Environment, Failure> {
        let mut env = Environment::inherited();
        for name in &self.pass_env {
            if name.as_encoded_bytes().contains(&b'=') {
                return Err(Failure::usage(
                    "--pass-env takes the name of a variable and no value; the value comes from the environment",
                ));
            }
            match std::env::var_os(name) {
                Some(value) => drop(env.set(name, value)),
                None => say(&format!("bartizan: --pass-env {}: it is not set", printable(&name.to_string_lossy()))),
            }
        }
        Ok(env)
    }
}

/// Says how the server is confined, and what it lacks by that.
fn announce(name: &str, confined: &Confined, env: &Environment) {
    match confined.sandbox {
        Some(_) => say(&format!(
            "bartizan: server {name}, isolation level {}: it sees and reaches what is named, and no more",
            confined.level()
        )),
        None => say(&format!("bartizan: server {name}, isolation level none: it runs as you, unconfined")),
    }
    for warning in &confined.warnings {
        say(&format!("bartizan: {name}: {}", printable(warning)));
    }
    // For these it has a placeholder.
    let bound = |name: &OsString| {
        confined.sandbox.iter().flat_map(|sandbox| &sandbox.secrets).any(|secret| name == secret.name.as_str())
    };
    let variables = std::env::vars_os().map(|(name, _)| name).filter(|name| !bound(name));
    let withheld = withheld(variables, env);
    if !withheld.is_empty() {
        say(&format!("bartizan: {name} does not see {}; --pass-env NAME hands a variable on", printable(&withheld)));
    }
}

/// Paths as a table takes them: those that climb are named by where they lead from here.
fn without_steps_up(paths: &[String]) -> Vec<String> {
    let one = |path: &String| {
        if !Path::new(path).components().any(|part| part == Component::ParentDir) {
            return path.clone();
        }
        let full = std::env::current_dir().unwrap_or_default().join(path);
        let real = std::fs::canonicalize(&full).unwrap_or_else(|_| plain_path(&full));
        real.into_os_string().into_string().unwrap_or_else(|_| path.clone())
    };
    paths.iter().map(one).collect()
}

/// What a table of a sandbox lists.
fn lists(lists: [(&str, &Vec<String>); 3]) -> Result<String, Failure> {
    let mut table = String::new();
    for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        // What TOML and JSON write alike. A variable would be looked up by whoever reads it.
        let list: Vec<_> = list.iter().map(|one| one.replace("${", "$${")).collect();
        let list = serde_json::to_string(&list).map_err(Failure::ours)?;
        table.push_str(&format!("{key} = {list}\n"));
    }
    Ok(table)
}

/// The variables that look like credentials and are not among those that the server sees, on one line.
fn withheld(names: impl Iterator<Item = OsString>, seen: &Environment) -> String {
    const SHOWN: usize = 5;
    let seen: Vec<_> = seen.iter().map(|(name, _)| name).collect();
    let mut names: Vec<_> = names
        .filter(|name| !seen.contains(&name.as_os_str()))
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| is_credential(name))
        .collect();
    names.sort();
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    let listed = names.join(", ");
    if more > 0 { format!("{listed} and {more} more") } else { listed }
}

/// Whether a variable of this name is likely to hold something that a server needs to be let in somewhere. A server may
/// need others as well, but naming all that a session has would bury these.
fn is_credential(name: &str) -> bool {
    const WORDS: [&str; 12] = [
        "APIKEY",
        "CREDENTIAL",
        "CREDENTIALS",
        "DSN",
        "KEY",
        "PASS",
        "PASSPHRASE",
        "PASSWD",
        "PASSWORD",
        "PAT",
        "SECRET",
        "TOKEN",
    ];
    name.split(['_', '-', '.']).any(|word| WORDS.iter().any(|known| word.eq_ignore_ascii_case(known)))
}

/// The server's exit code is ours.
fn status(code: i32) -> Outcome {
    Outcome::Status(u8::try_from(code).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn variables_that_look_like_credentials_are_named_if_they_are_withheld() {
        let names = |all: &[&str]| all.iter().map(OsString::from).collect::<Vec<_>>().into_iter();
        let mut seen = Environment::empty();
        seen.set("GIVEN_TOKEN", "x");
        let check = |all: &[&str], expected: &str| assert_eq!(withheld(names(all), &seen), expected);
        check(&["GITHUB_TOKEN", "EDITOR", "GIVEN_TOKEN", "AWS_ACCESS_KEY_ID"], "AWS_ACCESS_KEY_ID, GITHUB_TOKEN");
        check(&["SSH_AUTH_SOCK", "KEYBOARD", "PATH", "DISPLAY", "TOKENIZERS_PARALLELISM"], "");
        check(
            &["A_KEY", "B_KEY", "C_KEY", "D_KEY", "E_KEY", "F_KEY", "G_KEY"],
            "A_KEY, B_KEY, C_KEY, D_KEY, E_KEY and 2 more",
        );
    }

    #[test]
    fn options_become_a_table() {
        let table = |options: &[&str]| {
            let words = ["bartizan", "run", "--sandbox"].iter().chain(options).chain(&["--", "x"]);
            let Ok(crate::Program { command: super::super::Command::Run(arguments) }) =
                crate::Program::try_parse_from(words)
            else {
                panic!("{options:?}")
            };
            match arguments.isolation(None, None) {
                Ok(Isolation::Table(table)) => table,
                _ => panic!("{options:?}"),
            }
        };
        assert_eq!(table(&[]), "");
        assert_eq!(table(&["--memory", "4GiB"]), "limits.memory = \"4GiB\"\n");
        let expected = "fs.ro = [\"/a\"]\nnet.allow = [\"x:1\",\"y:2\"]\nlevel = \"vm\"\nlimits.memory = \"$${M}\"\n";
        let options = ["--ro", "/a", "--allow", "x:1", "--allow", "y:2", "--level", "vm", "--memory", "${M}"];
        assert_eq!(table(&options), expected);
    }
}
