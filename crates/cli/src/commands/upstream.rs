//! `bartizan upstream`: signing in to servers that want to know who asks.

use std::path::PathBuf;
use std::process::{Command as Program, Stdio};
use std::time::Duration;

use bartizan_config::{Config, Credential, Http, Oauth, OneServer, Upstream};
use bartizan_gateway::credentials::{Login, LoginError, logout};
use bartizan_store::upstream_tokens::{EVERYBODY, UpstreamToken};
use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::Serialize;

use crate::outcome::{Failure, Outcome, say};
use crate::output;
use crate::stored::{Place, change, failure, now};
use crate::text::inline;

const EXAMPLES: &str = "\
Examples:
  bartizan upstream login tickets --user ann
  bartizan upstream list
  bartizan upstream logout tickets --user ann";

/// How long somebody may take to sign in.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Signs in to servers that want to know who asks, and out again
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Signs in to a server in the browser; the gateway then asks it on that person's behalf
    Login(SignIn),
    /// Lists who has signed in where
    List(List),
    /// Forgets the tokens of somebody for a server
    Logout(SignOut),
}

#[derive(Args)]
struct SignIn {
    /// The server, as the configuration calls it
    name: String,
    /// Who signs in: the name that their keys are for
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Opens no browser: the address is printed in any case
    #[arg(long)]
    no_browser: bool,
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "bartizan.toml")]
    config: PathBuf,
}

#[derive(Args)]
struct List {
    #[command(flatten)]
    place: Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct SignOut {
    /// The server
    name: String,
    /// Who; without it the one sign-in that is for all
    #[arg(long, value_name = "NAME", default_value = EVERYBODY, hide_default_value = true)]
    user: String,
    #[command(flatten)]
    place: Place,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        match self.command {
            Command::Login(login) => login.run(),
            Command::List(list) => list.run(),
            Command::Logout(logout) => logout.run(),
        }
    }
}

impl SignIn {
    fn run(self) -> Result<Outcome, Failure> {
        // What is wrong with other servers is for whoever starts the gateway.
        let found = Config::one_server(&self.config, &self.name)?;
        found.warnings.iter().for_each(|warning| say(&warning.to_string()));
        let (http, oauth) = target(&found, &self.name)?;
        let who = self.who(oauth)?;
        let place = Place::of(self.config.clone());
        let held = place.with_all(true, async |store| {
            let login = Login::begin(store, (&self.name, who), http, oauth).await.map_err(refused)?;
            // Before anything is opened: what a server has named may not be where somebody means to sign in.
            say(&format!("the authorization server is {}", inline(login.issuer())));
            say(&match login.scopes() {
                [] => "it is asked for whatever it gives".to_owned(),
                scopes => format!("it is asked for {}", inline(&scopes.join(" "))),
            });
            say(&format!("sign in at {}, as whoever {} is there:", inline(&login.host()), inline(&self.shown(who))));
            // No control character may reach a terminal by way of an address that a server has chosen.
            output::print(&inline(login.url()))?;
            if !self.no_browser {
                open(login.url());
            }
            login.finish(store, PATIENCE, &change(now())).await.map_err(refused)
        })?;
        let scope = if held.scope.is_empty() { String::new() } else { format!(", for {}", inline(&held.scope)) };
        say(&format!("signed in to {} for {}{scope}", self.name, inline(&self.shown(who))));
        Ok(Outcome::Clean)
    }

    fn who<'a>(&'a self, oauth: &Oauth) -> Result<&'a str, Failure> {
        match (&self.user, oauth.shared) {
            (None, true) => Ok(EVERYBODY),
            (Some(_), true) => {
                Err(Failure::usage("that server has one sign-in for all (`shared = true`): leave out --user"))
            }
            (Some(user), false) if is_somebody(user) => Ok(user),
            (Some(_), false) => Err(Failure::usage("--user is the name of somebody who signs in to the gateway")),
            (None, false) => Err(Failure::usage("say for whom: --user NAME, the name that their keys are for")),
        }
    }

    fn shown(&self, who: &str) -> String {
        if who == EVERYBODY { "everybody".to_owned() } else { who.to_owned() }
    }
}

/// A name as principals have them, and not that of all who showed nothing.
fn is_somebody(name: &str) -> bool {
    let plain = !name.is_empty() && name.len() <= 512 && name.chars().all(|c| !c.is_control() && !c.is_whitespace());
    plain && name != EVERYBODY && !name.eq_ignore_ascii_case(bartizan_policy::Principal::ANONYMOUS)
}

/// Where that server is, and how people sign in to it.
fn target<'a>(found: &'a OneServer, name: &str) -> Result<(&'a Http, &'a Oauth), Failure> {
    let server = found.server.as_ref().ok_or_else(|| {
        if found.names.iter().any(|known| known == name) {
            return Failure::usage(format!("the server `{name}` is switched off in the configuration"));
        }
        let names = if found.names.is_empty() { "none".to_owned() } else { found.names.join(", ") };
        Failure::usage(format!("there is no server `{name}` in the configuration; there are {names}"))
    })?;
    match &server.upstream {
        Upstream::Http(http) => match &http.credential {
            Some(Credential::Oauth(oauth)) => Ok((http, oauth)),
            _ => Err(Failure::usage(format!("nobody signs in to `{name}`: it has no [server.{name}.auth.oauth]"))),
        },
        Upstream::Command(_) => Err(Failure::usage(format!("nobody signs in to `{name}`: it is a program"))),
    }
}

impl List {
    fn run(self) -> Result<Outcome, Failure> {
        let held = self.place.with(false, async |store| store.upstream_tokens().await)?;
        if self.json {
            output::print_json(&Listed::of(&held))?;
        } else if held.is_empty() {
            say("nobody has signed in to a server; `bartizan upstream login` does it");
        } else {
            held.iter().try_for_each(|held| {
                let who = if held.principal == EVERYBODY { "everybody".to_owned() } else { inline(&held.principal) };
                let state = match held.ended_at {
                    Some(at) => format!("ended {}", moment(at)),
                    None => format!("signed in {}", moment(held.obtained_at)),
                };
                let (issuer, scope) = (inline(&held.issuer), inline(&held.scope));
                output::print(&format!("{}  {who}, {state}\n  {issuer} {scope}", held.server))
            })?;
        }
        Ok(Outcome::Clean)
    }
}

impl SignOut {
    fn run(self) -> Result<Outcome, Failure> {
        let (name, user) = (&*self.name, &*self.user);
        let found = self.place.server(name);
        let server = found.as_ref().and_then(|found| target(found, name).ok());
        let told = self.place.with(false, async |store| logout(store, (name, user), server, &change(now())).await)?;
        output::print(&format!("signed out of {}", inline(name)))?;
        if !told {
            say("its authorization server was not told, and its tokens may be good until they end");
        }
        Ok(Outcome::Clean)
    }
}

/// What `upstream list --json` prints.
#[derive(Serialize, JsonSchema)]
pub(super) struct Listed<'a> {
    #[schemars(extend("const" = Listed::FORMAT))]
    format: &'static str,
    /// Who has signed in where.
    tokens: Vec<One<'a>>,
}

/// One sign-in. Moments are of RFC 3339.
#[derive(Serialize, JsonSchema)]
struct One<'a> {
    /// The server, as the configuration calls it.
    server: &'a str,
    /// On whose behalf it is asked; `*` for everybody.
    principal: &'a str,
    /// Who gave the tokens.
    issuer: &'a str,
    /// What they are for.
    resource: &'a str,
    /// What they are good for there.
    scope: &'a str,
    /// When somebody signed in.
    obtained_at: String,
    /// When the present access token ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// When it turned out that they are good for nothing any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
}

impl<'a> Listed<'a> {
    pub(super) const FORMAT: &'static str = "bartizan.upstream.list/1";

    fn of(held: &'a [UpstreamToken]) -> Self {
        let one = |held: &'a UpstreamToken| One {
            server: &held.server,
            principal: &held.principal,
            issuer: &held.issuer,
            resource: &held.resource,
            scope: &held.scope,
            obtained_at: moment(held.obtained_at),
            expires_at: held.expires_at.map(moment),
            ended_at: held.ended_at.map(moment),
        };
        Listed { format: Self::FORMAT, tokens: held.iter().map(one).collect() }
    }
}

fn moment(at: i64) -> String {
    bartizan_audit::rfc3339(at - at.rem_euclid(1_000_000)).replace(".000000", "")
}

/// Whose fault it is that nobody could sign in.
fn refused(error: LoginError) -> Failure {
    match error {
        LoginError::Store(error) => failure(error),
        LoginError::Ours(_) => Failure::ours(error),
        _ => Failure::incomplete(error),
    }
}

/// Has the browser open that, if there is one. The address holds nothing secret yet.
fn open(url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut browser = Program::new(program);
    browser.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if browser.spawn().is_err() {
        say("no browser could be opened; open the address above");
    }
}
