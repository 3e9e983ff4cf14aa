//! `bartizan user`: the people who sign in on the gateway's pages.

mod report;

use std::io::{self, IsTerminal};
use std::time::Duration;

use bartizan_guard::Timestamp;
use bartizan_identity::password;
use bartizan_store::people::{Given, Invitation, Person};
use bartizan_store::{Store, StoreError};
use clap::{Args, Subcommand};
use sha2::{Digest, Sha256};

pub(super) use self::report::{Changed, Invited, Listed};
use super::key::check_principal;
use crate::ask;
use crate::outcome::{Failure, Outcome, say};
use crate::output;
use crate::stored::{self, Place, change, now};
use crate::text::inline;

const EXAMPLES: &str = "\
Examples:
  bartizan user add ann                    prints a link with which ann chooses a password and a second factor
  bartizan user add bea --password < file  with the first line of that file as the password
  bartizan user list
  bartizan user disable ann
  bartizan user enable ann
  bartizan user reset ann
  bartizan user remove ann

Whoever signs in as ann is the principal `ann`, as whoever shows a key made by `bartizan key create ann` is.";

/// The longest life of an invitation.
const LONGEST: Duration = Duration::from_hours(24 * 30);

/// Adds, lists, disables, resets and removes the people who sign in
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Adds a person, who then chooses a password and a second factor on a page
    Add(Give),
    /// Lists the people
    List(List),
    /// Has a person sign in no more, and be signed in nowhere
    Disable(One),
    /// Has a person who was disabled sign in again
    Enable(One),
    /// Takes from a person all they sign in with, and has them choose it anew
    Reset(Give),
    /// Removes a person; keys of that name stay
    Remove(One),
}

#[derive(Args)]
struct Give {
    /// The person: a name of 1 to 64 of the letters a to z, digits, `-`, `_`, `.` and `@`
    name: String,
    /// Asks for a password, or reads it from the first line of standard input, instead of printing a link
    #[arg(long)]
    password: bool,
    /// When the link ends: a duration such as `3d`, or a date; 30 days at most
    #[arg(long, value_name = "WHEN", default_value = "3d", conflicts_with = "password")]
    expires: String,
    #[command(flatten)]
    place: Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct One {
    /// The person
    name: String,
    #[command(flatten)]
    place: Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct List {
    #[command(flatten)]
    place: Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        match self.command {
            Command::Add(give) => give.add(),
            Command::List(list) => list.run(),
            Command::Disable(one) => one.switch(true),
            Command::Enable(one) => one.switch(false),
            Command::Reset(give) => give.reset(),
            Command::Remove(one) => one.remove(),
        }
    }
}

impl Give {
    fn add(self) -> Result<Outcome, Failure> {
        check_name(&self.name)?;
        let now = now();
        let (given, link) = self.given(now)?;
        let mut handle = [0; 32];
        random(&mut handle)?;
        let person = Person::new(&self.name, handle, now.0);
        let add = async |store: &Store| store.add_person(&person, &given, &change(now)).await.map_err(is_there);
        self.place.with_all(true, add)?;
        let done = self.handed_out("added", link.as_deref(), &given);
        if !self.place.has_sign_in() {
            let name = inline(&self.name);
            say(&format!(
                "warning: nobody signs in here, so {name} cannot until the configuration has a table [sign_in]"
            ));
        }
        done
    }

    fn reset(self) -> Result<Outcome, Failure> {
        let now = now();
        let (given, link) = self.given(now)?;
        self.place.with(false, async |store| store.reset_person(&self.name, &given, &change(now)).await)?;
        self.handed_out("reset", link.as_deref(), &given)
    }

    /// What the person gets, and the link if it is one.
    fn given(&self, now: Timestamp) -> Result<(Given, Option<String>), Failure> {
        if self.password {
            let chosen = read_password()?;
            password::check_fit(&chosen, &self.name).map_err(Failure::usage)?;
            let mut salt = [0; 16];
            random(&mut salt)?;
            let hashed = password::hash(&chosen, &salt).map_err(Failure::ours)?;
            return Ok((Given { password: Some(hashed), invitation: None }, None));
        }
        let expires_at = ends(&self.expires, now)?.0;
        let mut secret = [0; 32];
        random(&mut secret)?;
        let secret: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let digest = Sha256::digest(secret.as_bytes()).into();
        let link = format!("{}/bartizan/invite?token={secret}", self.place.public()?);
        Ok((Given { password: None, invitation: Some(Invitation { digest, expires_at }) }, Some(link)))
    }

    /// The link goes to stdout and to nowhere else.
    fn handed_out(&self, done: &str, link: Option<&str>, given: &Given) -> Result<Outcome, Failure> {
        let until = given.invitation.as_ref().map(|invitation| invitation.expires_at);
        if self.json {
            output::print_json(&Invited::of(&self.name, link, until))?;
            return Ok(Outcome::Clean);
        }
        let name = inline(&self.name);
        if let (Some(link), Some(until)) = (link, until) {
            output::print(link)?;
            say(&format!("{done}: {name}; the link is good once, until {}, for whoever has it", report::moment(until)));
        } else {
            output::print(&format!("{done}: {name}"))?;
        }
        Ok(Outcome::Clean)
    }
}

impl One {
    fn switch(self, is_disabled: bool) -> Result<Outcome, Failure> {
        let work = async |store: &Store| store.set_person_disabled(&self.name, is_disabled, &change(now())).await;
        let changed = self.place.with(false, work)?;
        self.report(if is_disabled { "disabled" } else { "enabled" }, changed)
    }

    fn remove(self) -> Result<Outcome, Failure> {
        self.place.with(false, async |store| store.remove_person(&self.name, &change(now())).await)?;
        self.report("removed", true)
    }

    fn report(&self, done: &str, changed: bool) -> Result<Outcome, Failure> {
        if self.json {
            output::print_json(&Changed::of(&self.name, done, changed))?;
        } else {
            let before = if changed { "" } else { "was before: " };
            output::print(&format!("{before}{done}: {}", inline(&self.name)))?;
        }
        Ok(Outcome::Clean)
    }
}

impl List {
    fn run(self) -> Result<Outcome, Failure> {
        let people = self.place.with(false, async |store| store.people().await)?;
        if self.json {
            output::print_json(&Listed::of(&people, now().0))?;
        } else if people.is_empty() {
            say("there is nobody; `bartizan user add NAME` adds somebody");
        } else {
            people.iter().try_for_each(|one| output::print(&report::line(one, now().0)))?;
        }
        Ok(Outcome::Clean)
    }
}

/// What to do about somebody who cannot be added because they are there.
fn is_there(error: StoreError) -> Failure {
    match error {
        StoreError::State(why) => {
            Failure::usage(format!("{why}; `bartizan user reset NAME` prints a new link for them"))
        }
        error => stored::failure(error),
    }
}

/// A name of a principal, without the colon that those have who come in otherwise.
fn check_name(name: &str) -> Result<(), Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    if !(1..=64).contains(&name.len()) || !name.chars().all(plain) {
        return Err(Failure::usage(
            "the name of a person has 1 to 64 of the letters a to z, digits, `-`, `_`, `.` and `@`",
        ));
    }
    check_principal(name)
}

fn ends(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let end = bartizan_config::end(text, now)
        .ok_or_else(|| Failure::usage("--expires is neither a duration such as 3d nor a date such as 2027-01-31"))?;
    if end <= now {
        return Err(Failure::usage("--expires is in the past"));
    }
    if end.0.saturating_sub(now.0) > i64::try_from(LONGEST.as_micros()).unwrap_or(i64::MAX) {
        return Err(Failure::usage("--expires is more than 30 days from now; whoever finds the link can use it"));
    }
    Ok(end)
}

fn random(bytes: &mut [u8]) -> Result<(), Failure> {
    getrandom::fill(bytes).map_err(|error| Failure::ours(format!("no random bytes: {error}")))
}

/// A password that somebody types, twice and unseen, or that another program writes.
fn read_password() -> Result<String, Failure> {
    if io::stdin().is_terminal() { ask::twice("Password: ", "the two passwords differ") } else { ask::read_line() }
}
