//! `bartizan grant`: what people let clients have, in their browsers.

mod report;

use std::collections::BTreeSet;

use bartizan_store::Store;
use bartizan_store::grants::Which;
use clap::{Args, Subcommand};

pub(super) use self::report::{Listed, Revoked};
use crate::outcome::{Failure, Outcome, say};
use crate::output::{self, Paint};
use crate::stored::{Place, change, now};
use crate::text::inline;

const EXAMPLES: &str = "\
Examples:
  bartizan grant list
  bartizan grant revoke g-1f0c2b7e9d3a45c6b8e0f1a2d3c4b5a6
  bartizan grant revoke --person ann
  bartizan grant revoke --client https://app.example/client.json
  bartizan grant revoke --all

A client gets a grant when somebody lets it in. What is revoked is refused at once, and people are asked again.";

/// Lists and ends what people let clients have
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists what clients have: whose, which client, where, and until when
    List(List),
    /// Ends it: from now on it is refused
    Revoke(Revoke),
}

#[derive(Args)]
struct List {
    /// Also what has expired or was ended
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    place: Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Revoke {
    #[command(flatten)]
    which: These,
    #[command(flatten)]
    place: Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct These {
    /// The one that is called so
    id: Option<String>,
    /// All of a person
    #[arg(long, value_name = "NAME")]
    person: Option<String>,
    /// All of a client, by its id
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// All
    #[arg(long)]
    all: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        match self.command {
            Command::List(list) => list.run(),
            Command::Revoke(revoke) => revoke.run(),
        }
    }
}

impl List {
    fn run(self) -> Result<Outcome, Failure> {
        let now = now().0;
        let read = async |store: &Store| Ok((store.grants().await?, store.people().await?));
        let (mut grants, people) = self.place.with(false, read)?;
        let disabled = people.into_iter().filter(|one| one.person.disabled_at.is_some());
        let disabled: BTreeSet<_> = disabled.map(|one| one.person.name).collect();
        if !self.all {
            grants.retain(|grant| grant.ended.is_none() && grant.expires_at > now);
        }
        if self.json {
            output::print_json(&Listed::of(&grants, now, &disabled))?;
        } else if grants.is_empty() {
            say(if self.all {
                "no client was given anything"
            } else {
                "no client has anything; --all lists what is over"
            });
        } else {
            let paint = Paint::for_stdout();
            grants.iter().try_for_each(|grant| output::print(&report::lines(grant, now, &disabled, paint)))?;
        }
        Ok(Outcome::Clean)
    }
}

impl Revoke {
    fn run(self) -> Result<Outcome, Failure> {
        let These { id, person, client, all: _ } = self.which;
        let one = id.clone();
        let which = match (id, person, client) {
            (Some(id), ..) => Which::One(id),
            (_, Some(person), _) => Which::Person(person),
            (.., Some(client)) => Which::Client(client),
            _ => Which::All,
        };
        if let Which::Person(name) = &which {
            let read = async |store: &Store| Ok((store.person(name).await?, store.grants().await?));
            let (person, grants) = self.place.with(false, read)?;
            if person.is_none() && !grants.iter().any(|grant| grant.terms.person == *name) {
                let name = inline(name);
                return Err(Failure::usage(format!(
                    "there is nobody `{name}`; `bartizan grant list` shows whose grants there are"
                )));
            }
        }
        let ended = self.place.with(false, async |store| store.revoke_grants(&which, &change(now())).await)?;
        if let Some(id) = one.filter(|_| ended.is_empty()) {
            let known = self.place.with(false, async |store| store.grants().await)?;
            if !known.iter().any(|grant| grant.id == id) {
                return Err(Failure::usage(format!("there is no grant `{id}`; `bartizan grant list` shows them")));
            }
        }
        if self.json {
            output::print_json(&Revoked::of(ended))?;
        } else if ended.is_empty() {
            say("there was nothing to end");
        } else {
            ended.iter().try_for_each(|id| output::print(&format!("revoked: {id}")))?;
        }
        Ok(Outcome::Clean)
    }
}
