//! `bartizan sandbox`: shows profiles, learns new ones, installs what confined servers run, and looks around in a sandbox.

mod learn;

use std::ffi::OsString;
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use bartizan_config::{AUTO, Config, OwnProfiles, PROFILES, built_in, nearest};
use bartizan_gateway::run::{Inside, Isolation, Wrap, attend};
use bartizan_sandbox::Environment;
use clap::{Args, Subcommand};

use crate::common;
use crate::outcome::{Failure, Outcome, say};
use crate::output;
use crate::text::printable;

const EXAMPLES: &str = "\
Examples:
  bartizan sandbox profiles                      what profiles there are
  bartizan sandbox profiles git                  what one says
  bartizan sandbox shell notes                   looks around where the server `notes` would run
  bartizan sandbox shell --profile strict        the same for a profile
  bartizan sandbox shell notes -- ls -la /       one command instead
  bartizan sandbox install tickets --update      has the newest version of what `tickets` runs
  bartizan sandbox learn --try -- notes-server ~/notes
                                                 what that server needs to start, as a profile to be read";

/// Shows the profiles of confined servers and learns new ones, installs what they run, and looks around in a sandbox
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists the built-in profiles, or prints one
    Profiles {
        /// The one to print
        name: Option<String>,
    },
    /// Installs what a server's command would fetch, as its first start would
    Install {
        #[command(flatten)]
        whose: Whose,
        /// Installs it anew: the newest version that the command allows takes the place of the one that is there
        #[arg(long)]
        update: bool,
    },
    /// Runs a server to see what it needs, and writes the smallest profile that fits, to be read before it is used
    ///
    /// The server is confined, and sees your files all the same, read-only, but for places of secrets. Put it in the place of
    /// the server's command in a client, and use the server as you would; the profile is written when it ends.
    Learn(Box<learn::Arguments>),
    /// Starts a shell, or a command, in the sandbox that a server would get
    Shell {
        #[command(flatten)]
        whose: Whose,
    },
}

/// Which sandbox.
#[derive(Args)]
struct Whose {
    /// The server, as the configuration names it
    #[arg(required_unless_present = "profile", conflicts_with = "profile")]
    server: Option<String>,
    /// A profile instead: a built-in one, or one of the configuration
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// With a profile, the name that the server has, if it is given one
    #[arg(long, value_name = "NAME", requires = "profile")]
    name: Option<String>,
    /// The configuration file [default: bartizan.toml, or with a profile that of the user]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A command with its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        common::log_to_stderr("warn", false);
        match self.command {
            Command::Profiles { name: None } => list(),
            Command::Profiles { name: Some(name) } => show(&name),
            Command::Install { whose, update } => install(&whose, update),
            Command::Learn(arguments) => arguments.run(),
            Command::Shell { whose } => shell(&whose),
        }
    }
}

fn list() -> Result<Outcome, Failure> {
    let line = |name: &str, about: &str| output::print(&format!("{name:<11} {about}"));
    line(
        AUTO,
        "What counts where nothing else is named: `npx` or `uvx` for commands that begin so and `filesystem` for others, and a \
         host that is refused is said.",
    )?;
    for profile in PROFILES {
        line(profile.name, &profile.about())?;
    }
    Ok(Outcome::Clean)
}

fn show(name: &str) -> Result<Outcome, Failure> {
    if name == AUTO {
        return Err(Failure::usage("`auto` stands for `npx`, `uvx` or `filesystem`, as fits the command of a server"));
    }
    let profile = built_in(name).ok_or_else(|| unknown(name, &[]))?;
    output::print(profile.text.trim_end())?;
    Ok(Outcome::Clean)
}

fn unknown(name: &str, own: &[String]) -> Failure {
    let known = || PROFILES.iter().map(|profile| profile.name).chain(own.iter().map(String::as_str));
    let help = match nearest(name, known()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", known().collect::<Vec<_>>().join(", ")),
    };
    Failure::usage(format!("there is no profile `{name}`; {help}"))
}

/// The table of a sandbox that begins with a profile, and with it the profile's own if it is one of the configuration.
pub(super) fn table_with(profile: &str, config: Option<&Path>, more: &str) -> Result<String, Failure> {
    let named = serde_json::to_string(profile).map_err(Failure::ours)?;
    let table = format!("profile = {named}\n{more}");
    if profile == AUTO || built_in(profile).is_some() {
        return Ok(table);
    }
    let own = own(config)?.tables;
    if !own.contains_key(profile) {
        return Err(unknown(profile, &own.into_keys().collect::<Vec<_>>()));
    }
    // It may begin with another one of the file.
    Ok(own.into_iter().fold(table, |table, (_, text)| format!("{table}\n{text}")))
}

/// The profiles of the configuration, or of the user's.
pub(super) fn own(config: Option<&Path>) -> Result<OwnProfiles, Failure> {
    let file = config.map(Path::to_owned).or_else(common::user_config_file);
    Ok(file.as_deref().map(Config::profiles).transpose()?.unwrap_or_default())
}

impl Whose {
    fn inside(&self, otherwise: &[OsString]) -> Result<Inside, Failure> {
        let paths = common::paths()?;
        let here = std::env::current_dir().unwrap_or_default();
        let Some(profile) = &self.profile else {
            let file = self.config.clone().unwrap_or_else(|| "bartizan.toml".into());
            let server = self.server.as_deref().unwrap_or_default();
            let inside = Inside::of_server(&common::load(&file)?, &paths, server, &here);
            return inside.map_err(Failure::usage);
        };
        let command = if self.command.is_empty() { otherwise.to_vec() } else { self.command.clone() };
        let wrap = Wrap {
            name: self.name.clone(),
            command,
            directory: here,
            env: Environment::inherited().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            restart: false,
            bridge: false,
            isolation: Isolation::Table(table_with(profile, self.config.as_deref(), "")?),
            by_default: None,
            config: None,
            client: std::process::id(),
        };
        common::check_name(&wrap.server_name())?;
        let config = common::user_config(self.config.as_deref())?;
        Inside::of_command(&config, &paths, &wrap).map_err(Failure::usage)
    }
}

fn install(whose: &Whose, update: bool) -> Result<Outcome, Failure> {
    if whose.profile.is_some() && whose.command.is_empty() {
        return Err(Failure::usage("name the command after `--`, as the client has it: -- npx -y PACKAGE"));
    }
    let held = common::block_on(async {
        let inside = whose.inside(&[])?;
        let held = inside.install(update).await.map_err(Failure::ours)?;
        Ok::<_, Failure>(held.map(|held| (inside.name().to_owned(), held)))
    })?;
    let Some((name, held)) = held else {
        return Err(Failure::usage("the command of this server fetches nothing, so there is nothing to install"));
    };
    let version = held.version.map(|version| format!(" {version}")).unwrap_or_default();
    let line = format!(
        "{name}: {}{version} is installed, {} files, {} bytes, digest {}",
        held.packages.join(" "),
        held.files,
        held.bytes,
        held.digest
    );
    output::print(&printable(&line))?;
    Ok(Outcome::Clean)
}

/// The user's shell, if every sandbox has it.
fn users_shell() -> OsString {
    let shell = std::env::var_os("SHELL").filter(|shell| Path::new(shell).is_file());
    let seen = |shell: &OsString| ["/bin", "/usr"].iter().any(|system| Path::new(shell).starts_with(system));
    shell.filter(seen).unwrap_or_else(|| "/bin/sh".into())
}

fn shell(whose: &Whose) -> Result<Outcome, Failure> {
    let shell = [users_shell()];
    let command = if whose.command.is_empty() { &shell[..] } else { &whose.command };
    common::block_on(async {
        let inside = whose.inside(command)?;
        say(&format!("bartizan: in the sandbox of {}: it {}", inside.name(), printable(&inside.about())));
        std::io::stderr().flush().ok();
        let (child, _way_out) = inside.start(Some(command), stdio()?).await.map_err(Failure::ours)?;
        let status = attend(&child).await.shell_code();
        Ok::<_, Failure>(Outcome::Status(u8::try_from(status).unwrap_or(1)))
    })
}

fn stdio() -> Result<[OwnedFd; 3], Failure> {
    let own = |fd: std::io::Result<OwnedFd>| {
        fd.map_err(|error| Failure::ours(format!("cannot pass on the terminal: {error}")))
    };
    Ok([
        own(std::io::stdin().as_fd().try_clone_to_owned())?,
        own(std::io::stdout().as_fd().try_clone_to_owned())?,
        own(std::io::stderr().as_fd().try_clone_to_owned())?,
    ])
}
