//! `bartizan sandbox learn`: runs a server to see what it needs, and writes the smallest profile that fits.

mod out;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use bartizan_config::{built_in, runner};
use bartizan_gateway::run::{Hosts, Isolation, Learned, Learning, Listed, Wrap, learn};
use bartizan_sandbox::Environment;
use clap::Args;

use self::out::Out;
use super::{stdio, table_with};
use crate::common;
use crate::outcome::{Failure, Outcome, say};
use crate::output;
use crate::text::{count, printable, shell_word};

/// What is run, and what it is given meanwhile.
#[derive(Args)]
pub(super) struct Arguments {
    /// What the profile is called, 1 to 24 of a-z, 0-9 and -; by default made from the command
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What the profile begins with: a built-in one, or one of the configuration
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// A directory or file that the server may change; nothing else is. Repeatable
    #[arg(long, value_name = "PATH")]
    write: Vec<PathBuf>,
    /// A directory or file that the profile lets it read if it does. Repeatable
    #[arg(long, value_name = "PATH")]
    ro: Vec<PathBuf>,
    /// A host that it may reach, such as api.example.com:443, instead of all public ones at ports 443 and 80; repeatable
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "offline")]
    net: Vec<String>,
    /// It reaches no host
    #[arg(long)]
    offline: bool,
    /// Lets through what no server needs by itself; repeatable
    #[arg(long, value_name = "WHAT", value_parser = ["unix_sockets", "netlink_route", "namespaces"])]
    allow: Vec<String>,
    /// Hands this environment variable on to the server, beside those that carry no secret by their nature; repeatable
    #[arg(long, value_name = "NAME")]
    pass_env: Vec<OsString>,
    /// Where the profile is written; standard output with --try
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replaces that file if it is there
    #[arg(long, requires = "out")]
    force: bool,
    /// Asks the server for its lists itself, instead of leaving it to a client; so it is where input or output is a terminal
    #[arg(long = "try")]
    tries: bool,
    /// The configuration file [default: that of the user, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The server's command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Arguments {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let tries = self.tries || io::stdin().is_terminal() || io::stdout().is_terminal();
        if self.out.is_none() && !tries {
            return Err(Failure::usage(
                "standard output is the client's; say where the profile is to be written, with --out FILE",
            ));
        }
        let what = self.learning()?;
        let paths = common::paths()?;
        let config = common::user_config(self.config.as_deref())?;
        let changeable = what.changeable(&config).map_err(Failure::usage)?;
        let out = self.out.as_ref().map(|out| Out::open(out, self.force, &changeable)).transpose()?;
        say(&printable(&before(&what, &changeable)));
        let stdio = if tries { None } else { Some(stdio()?) };
        let stdio = stdio.map(|[stdin, stdout, _]| [stdin, stdout]);
        let learned = common::block_on(async { learn(&config, &paths, &what, stdio).await })?;
        match out {
            Some(out) => out.write(&learned.profile)?,
            None => output::print(learned.profile.trim_end())?,
        }
        say(&printable(&self.after(&what, &learned)));
        let is_fine = learned.listed.as_ref().map_or(learned.status.success(), |listed| listed.initialised);
        if is_fine || !tries { Ok(Outcome::Clean) } else { Ok(Outcome::Found) }
    }

    fn learning(&self) -> Result<Learning, Failure> {
        let here = std::env::current_dir().map_err(Failure::ours)?;
        let mut env = Environment::inherited();
        for name in &self.pass_env {
            if let Some(value) = std::env::var_os(name) {
                env.set(name, value);
            }
        }
        // What they fetch is installed first in any case: otherwise it would be the registry that is learnt.
        let program = self.command.first().map(|program| program.to_string_lossy());
        let profile = self.profile.clone().or_else(|| program.as_deref().and_then(runner).map(str::to_owned));
        let plain = match &profile {
            Some(profile) => table_with(profile, self.config.as_deref(), "")?,
            None => String::new(),
        };
        let list = |key: &str, words: &[String]| {
            let words = serde_json::to_string(words).map_err(Failure::ours)?;
            Ok::<_, Failure>(if words == "[]" { String::new() } else { format!("{key} = {words}\n") })
        };
        let more = [
            list("fs.ro", &whole(&here, &self.ro)?)?,
            list("fs.rw", &whole(&here, &self.write)?)?,
            list("allow", &self.allow)?,
        ];
        let more = more.concat();
        let table = match &profile {
            Some(profile) => table_with(profile, self.config.as_deref(), &more)?,
            None => more,
        };
        let wrap = Wrap {
            name: self.name.clone(),
            command: self.command.clone(),
            directory: here,
            env: env.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            restart: false,
            bridge: false,
            isolation: Isolation::Table(table),
            by_default: None,
            config: None,
            client: std::process::id(),
        };
        let name = wrap.server_name();
        common::check_name(&name)?;
        if built_in(&name).is_some() || name == "auto" {
            let what =
                if name == "auto" { "stands for the profile that fits a command" } else { "is a built-in profile" };
            return Err(Failure::usage(format!("`{name}` {what}; give this one another name with --name")));
        }
        let hosts = match (self.offline, &*self.net) {
            (true, _) => Hosts::None,
            (false, []) => Hosts::Public,
            (false, hosts) => Hosts::Named(hosts.to_vec()),
        };
        Ok(Learning { wrap, plain, name, profile, hosts })
    }

    /// What there is to know about what was written, and what to do with it.
    fn after(&self, what: &Learning, learned: &Learned) -> String {
        let mut text = match &learned.listed {
            Some(listed) => format!("bartizan: {}\n", said(listed)),
            None => format!("bartizan: the server ended: {}\n", learned.status),
        };
        let place = self.out.as_ref().map_or_else(|| "above".to_owned(), |out| shell_word(&out.to_string_lossy()));
        if learned.unread || learned.listed.as_ref().is_some_and(|listed| !listed.initialised) {
            text += &format!(
                "bartizan: the profile `{}` is {place}, and says only what it needed until then: do not use it before you have \
                 seen why it did not {}",
                what.name,
                if learned.unread { "read what its client sent" } else { "answer" }
            );
            return text;
        }
        text += &format!(
            "bartizan: the profile `{}` is {place}: read it before you use it, as it says what the server did, ",
            what.name
        );
        text += "also if it should not have.\n";
        text += &format!(
            "bartizan: then copy it into the configuration, and write profile = \"{0}\" into [server.NAME.sandbox], or start it \
             with `bartizan run --profile {0} -- COMMAND`",
            what.name
        );
        text
    }
}

/// Directories for temporary files.
const TEMPORARY: &[&str] = &["/tmp", "/var/tmp", "/dev/shm"];

/// What the server may do in this run.
fn before(what: &Learning, changeable: &[PathBuf]) -> String {
    let changes: Vec<_> = changeable.iter().map(|path| path.display().to_string()).collect();
    let changes = if changes.is_empty() { "nothing".to_owned() } else { changes.join(" ") };
    let reaches = match &what.hosts {
        Hosts::Public => "every public host at ports 443 and 80".to_owned(),
        Hosts::Named(hosts) => hosts.join(" "),
        Hosts::None => "nothing".to_owned(),
    };
    let unseen = if TEMPORARY.iter().any(|place| what.wrap.directory.starts_with(place)) {
        "\nbartizan: not of this directory, as each sandbox has temporary files of its own; learn from another place, or name it with --ro"
    } else {
        ""
    };
    format!(
        "bartizan: learning what {} needs: it sees your files, but for places of secrets, may change {changes}, and reaches {reaches}{unseen}",
        what.name
    )
}

fn said(listed: &Listed) -> String {
    if !listed.initialised {
        return "the server did not answer as one of MCP; what it needs was hardly seen".to_owned();
    }
    let lists = [("tool", listed.tools), ("prompt", listed.prompts), ("resource", listed.resources)];
    let lists: Vec<_> = lists.iter().filter_map(|(what, number)| number.map(|number| count(number, what))).collect();
    format!("it listed {}; what they need when they are called was not seen: have a client use it", lists.join(", "))
}

/// Paths from the root on, as a configuration has them.
fn whole(here: &Path, paths: &[PathBuf]) -> Result<Vec<String>, Failure> {
    let one = |path: &PathBuf| {
        let path = std::fs::canonicalize(here.join(path))
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        path.into_os_string().into_string().map_err(|path| Failure::usage(format!("{path:?} is no UTF-8")))
    };
    paths.iter().map(one).collect()
}
