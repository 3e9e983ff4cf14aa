//! `bartizan subject`: what is kept about somebody under pseudonyms, for who answers when they ask.

mod find;
mod report;

use std::io::{self, IsTerminal};

use bartizan_pseudonym::Kind;
use bartizan_store::Store;
use bartizan_store::pseudonyms::{Pseudonym, Reading, Subject};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use self::find::Whom;
pub(super) use self::report::{Erased, Exported, Listed, Shown};
use crate::ask;
use crate::outcome::{Failure, Outcome, say};
use crate::output::{self, Paint};
use crate::stored::{Place, change, failure, now};
use crate::text::{count, inline};

const EXAMPLES: &str = "\
Examples:
  bartizan subject list
  bartizan subject show --value-from-stdin < address.txt
  bartizan subject show person_xrvjxaftcf9j1akq4pag@pseudonym.invalid --reveal
  bartizan subject export xrvjxaftcf9j1akq4pag > answer.json
  bartizan subject erase xrvjxaftcf9j1akq4pag

An address or a name of a person is no argument: other users see arguments, and shells keep
them. What is revealed, exported, looked up or erased is in the log, with who did it.";

/// What is left of somebody, as nobody should promise more than was done.
const LEFT: &str = "\
what is left:
  - the tokens, where they were written: conversations, tickets, logs. Here they stand for nothing any more
  - backups of the database from before, which the master key opens until they are gone
  - the key that tokens are made with: with it one can try whether a token is that of an address
  - if the same is seen again, it is kept again, under another key";

/// What to do while the bytes of a key are still in a file.
const NOT_GONE: &str = "the key is destroyed, and its bytes are still in the log that the database writes ahead (its file that \
    ends in `-wal`), as somebody was reading for too long\n  = help: `fuser` says which process has the database open; once it \
    has ended or reads no more, have the log emptied: bartizan subject erase --finish";

/// Lists, shows, hands out and erases what is kept about somebody under pseudonyms
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists about whom something is kept, and never what it is
    List(List),
    /// Shows the tokens of somebody, and what they stand for only with --reveal
    Show(Show),
    /// Hands out all that is kept about somebody, as JSON
    Export(Export),
    /// Destroys the key of somebody, and with it all that is kept about them
    Erase(Erase),
}

#[derive(Args)]
struct List {
    /// Only those of this tenant
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Show {
    /// What they are called here, or a token of theirs as it stands in a text
    #[arg(required_unless_present = "value_from_stdin", conflicts_with = "value_from_stdin")]
    subject: Option<String>,
    /// Reads an address, a number or a name from standard input, and shows whose tokens stand for it
    #[arg(long)]
    value_from_stdin: bool,
    /// What that is, such as `email`; without it all that it may be is tried
    #[arg(long, conflicts_with = "subject", value_parser = kinds())]
    kind: Option<String>,
    /// Shows what the tokens stand for as well, which is recorded
    #[arg(long)]
    reveal: bool,
    /// Whose data it is, where several have some
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Export {
    /// What they are called here, or a token of theirs as it stands in a text
    subject: String,
    /// Whose data it is, where several have some
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
struct Erase {
    /// What they are called here, or a token of theirs as it stands in a text
    #[arg(required_unless_present = "finish")]
    subject: Option<String>,
    /// Erases without asking back
    #[arg(long)]
    yes: bool,
    /// Has the bytes of keys that were destroyed be gone from the files, where that could not be done at once
    #[arg(long, conflicts_with_all = ["subject", "yes", "tenant", "json"])]
    finish: bool,
    /// Whose data it is, where several have some
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// Somebody, and what is kept about them.
struct Held {
    tenant: String,
    subject: Subject,
    tokens: Vec<Token>,
}

/// A token, and what it stands for if that was asked for.
struct Token {
    pseudonym: Pseudonym,
    value: Option<String>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        match self.command {
            Command::List(list) => list.run(),
            Command::Show(show) => show.run(),
            Command::Export(export) => export.run(),
            Command::Erase(erase) => erase.run(),
        }
    }
}

impl List {
    fn run(self) -> Result<Outcome, Failure> {
        let all = self.place.with_all(false, async |store| {
            let mut all = Vec::new();
            for tenant in find::tenants(store, self.tenant.as_deref()).await? {
                let subjects = store.subjects(&tenant, now().0).await.map_err(failure)?;
                all.extend(subjects.into_iter().map(|subject| (tenant.clone(), subject)));
            }
            Ok(all)
        })?;
        if self.json {
            output::print_json(&Listed::of(&all))?;
        } else if all.is_empty() {
            say("nothing is kept about anybody");
        } else {
            let paint = Paint::for_stdout();
            all.iter().try_for_each(|(tenant, subject)| output::print(&report::line(tenant, subject, paint)))?;
        }
        Ok(Outcome::Clean)
    }
}

impl Show {
    fn run(self) -> Result<Outcome, Failure> {
        // Before the store is opened, as somebody may type for long.
        let value = if self.value_from_stdin { Some(read_value()?) } else { None };
        let all = self.place.with_all(false, async |store| {
            let tenants = find::tenants(store, self.tenant.as_deref()).await?;
            let found = match (&value, &self.subject) {
                (Some(value), _) => find::by_value(store, tenants, value, self.kind.as_deref()).await?,
                (None, Some(text)) => vec![find::one(store, tenants, text, now().0).await?],
                (None, None) => Vec::new(),
            };
            let mut all = Vec::new();
            for whom in found {
                all.push(Held::of(store, whom, self.reveal.then_some(Reading::Look)).await?);
            }
            Ok(all)
        })?;
        if self.json {
            output::print_json(&Shown::of(&all))?;
        } else if all.is_empty() {
            say("no token stands for that: nothing is kept about it, or not any more");
        } else {
            let paint = Paint::for_stdout();
            all.iter().try_for_each(|held| output::print(&report::lines(held, paint)))?;
        }
        Ok(Outcome::Clean)
    }
}

impl Export {
    fn run(self) -> Result<Outcome, Failure> {
        let at = now().0;
        let held = self.place.with_all(false, async |store| {
            let tenants = find::tenants(store, self.tenant.as_deref()).await?;
            let whom = find::one(store, tenants, &self.subject, at).await?;
            Held::of(store, whom, Some(Reading::Export)).await
        })?;
        output::print_json(&Exported::of(&held, at))?;
        Ok(Outcome::Clean)
    }
}

impl Erase {
    fn run(self) -> Result<Outcome, Failure> {
        let Some(text) = &self.subject else { return self.finish() };
        if self.json && !self.yes {
            return Err(Failure::usage("with --json nobody is shown what they erase; say --yes as well"));
        }
        let whom = self.place.with_all(false, async |store| {
            let tenants = find::tenants(store, self.tenant.as_deref()).await?;
            // Also what has expired and was not swept yet.
            find::one(store, tenants, text, i64::MIN).await
        })?;
        if !self.yes {
            say(&report::line(&whom.tenant, &whom.subject, Paint::none()));
            if !ask::yes("destroy all of this? It cannot be taken back", "to erase")? {
                say("nothing was erased");
                return Ok(Outcome::Found);
            }
        }
        let Whom { tenant, subject } = &whom;
        let erase = async |store: &Store| store.subject_erase(tenant, &subject.id, &change(now())).await;
        let erased = self.place.with(false, erase)?;
        if self.json {
            output::print_json(&Erased::of(&whom, erased))?;
        } else {
            let tokens = count(usize::try_from(erased.pseudonyms).unwrap_or_default(), "token");
            output::print(&format!("erased: {} of {}, {tokens}", inline(&subject.id), inline(tenant)))?;
            say(LEFT);
        }
        if erased.is_overwritten { Ok(Outcome::Clean) } else { Err(Failure::incomplete(NOT_GONE)) }
    }

    fn finish(&self) -> Result<Outcome, Failure> {
        if !self.place.with(false, async |store| store.empty_log().await)? {
            return Err(Failure::incomplete(NOT_GONE));
        }
        output::print("nothing of what was erased is in the files of the database any more")?;
        Ok(Outcome::Clean)
    }
}

impl Held {
    /// What is kept about them, in the clear only if somebody reads it.
    async fn of(store: &Store, whom: Whom, reading: Option<Reading>) -> Result<Held, Failure> {
        let Whom { tenant, subject } = whom;
        let change = change(now());
        let tokens = match reading {
            Some(reading) => {
                let opened = store.subject_open(&tenant, &subject.id, reading, &change).await.map_err(failure)?;
                let with = |value: &str| Some(value.to_owned());
                opened.into_iter().map(|one| Token { value: with(&one.value), pseudonym: one.pseudonym }).collect()
            }
            None => {
                let held = store.subject_pseudonyms(&tenant, &subject.id, change.at).await.map_err(failure)?;
                held.into_iter().map(|pseudonym| Token { pseudonym, value: None }).collect()
            }
        };
        Ok(Held { tenant, subject, tokens })
    }
}

fn kinds() -> PossibleValuesParser {
    PossibleValuesParser::new(Kind::all().map(Kind::as_str))
}

/// What somebody types, or all of standard input, without the blanks around.
fn read_value() -> Result<String, Failure> {
    let text = if io::stdin().is_terminal() { ask::seen("Address, number or name: ")? } else { ask::read_all()? };
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::usage("there is no value on standard input"));
    }
    Ok(text.to_owned())
}
