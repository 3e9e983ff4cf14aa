//! `bartizan secret`: what the keyring of the user keeps for configurations, and digests of secrets that may pass.

mod digest;

use std::io::{self, IsTerminal, Read};

use bartizan_keyring::{KeyringError, Kind, MAX_BYTES, Name};
use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::Serialize;

use crate::ask;
use crate::outcome::{Failure, Outcome, say};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  bartizan secret set github-token           asks for it, twice and unseen
  bartizan secret set github-token < file    takes what the file holds
  bartizan secret list
  bartizan secret remove github-token
  bartizan secret digest --config bartizan.toml < file   for `allow` under [guard.secrets]

A configuration refers to it as \"keyring:github-token\", wherever it may have \"file:PATH\". It is in the keyring of the
user who runs this, and each program of that user may read it while the keyring is unlocked.";

/// Puts secrets for the configuration into the keyring, lists their names and removes them; makes digests of those that may pass
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Puts a secret there, in the place of one of that name
    Set(One),
    /// Lists the names of the secrets, and shows none of them
    List(List),
    /// Removes a secret
    Remove(One),
    /// Prints the digest by which the guard `secrets` lets a secret pass
    Digest(digest::Arguments),
}

#[derive(Args)]
struct One {
    /// What it is called: 1 to 128 letters, digits and -_.@/
    #[arg(value_parser = name)]
    name: Name,
}

#[derive(Args)]
struct List {
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// What `secret list --json` prints.
#[derive(Serialize, JsonSchema)]
pub(super) struct Listed<'a> {
    #[schemars(extend("const" = Listed::FORMAT))]
    format: &'static str,
    /// The names of the secrets that the keyring has for configurations.
    secrets: Vec<&'a str>,
}

impl Listed<'_> {
    pub(super) const FORMAT: &'static str = "bartizan.secret.list/1";
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        match self.command {
            Command::Set(one) => set(&one.name),
            Command::List(list) => list.run(),
            Command::Remove(one) => remove(&one.name),
            Command::Digest(arguments) => arguments.run(),
        }
    }
}

fn set(name: &Name) -> Result<Outcome, Failure> {
    // Before anybody types something in vain.
    if !bartizan_keyring::IS_BUILT {
        return Err(failure(&KeyringError::NotBuilt));
    }
    let secret = read_secret()?;
    if secret.is_empty() {
        return Err(Failure::usage("there is no secret on standard input"));
    }
    bartizan_keyring::write(Kind::Secret, name, &secret).map_err(|error| failure(&error))?;
    output::print(&format!("the keyring has it: {name}"))?;
    say(&format!(
        "a configuration refers to it as \"keyring:{name}\"; a gateway that runs reads it with its next reload"
    ));
    Ok(Outcome::Clean)
}

fn remove(name: &Name) -> Result<Outcome, Failure> {
    if !bartizan_keyring::remove(Kind::Secret, name).map_err(|error| failure(&error))? {
        return Err(Failure::usage(format!(
            "the keyring has no secret `{name}`; `bartizan secret list` names those it has"
        )));
    }
    output::print(&format!("removed: {name}"))?;
    Ok(Outcome::Clean)
}

impl List {
    fn run(self) -> Result<Outcome, Failure> {
        let names = bartizan_keyring::list(Kind::Secret).map_err(|error| failure(&error))?;
        if self.json {
            let secrets = names.iter().map(Name::as_str).collect();
            output::print_json(&Listed { format: Listed::FORMAT, secrets })?;
        } else if names.is_empty() {
            say("the keyring has no secrets for configurations; `bartizan secret set NAME` puts one there");
        } else {
            names.iter().try_for_each(|name| output::print(name.as_str()))?;
        }
        Ok(Outcome::Clean)
    }
}

/// What somebody types, or all that another program writes, without the blanks around.
fn read_secret() -> Result<String, Failure> {
    // Who reads it trims it, so that a blank at an end would be lost there.
    Ok(read()?.trim().to_owned())
}

/// What somebody types, or all that another program writes.
fn read() -> Result<String, Failure> {
    if io::stdin().is_terminal() {
        return ask::twice("Secret: ", "the two differ");
    }
    let mut text = String::new();
    let unread = |error| Failure::usage(format!("standard input cannot be read: {error}"));
    io::stdin().lock().take(MAX_BYTES as u64 + 1).read_to_string(&mut text).map_err(unread)?;
    if text.len() > MAX_BYTES {
        return Err(Failure::usage(format!("a secret has at most {MAX_BYTES} bytes")));
    }
    Ok(text)
}

fn name(text: &str) -> Result<Name, &'static str> {
    Name::parse(text).ok_or("a name has 1 to 128 letters, digits and -_.@/")
}

fn failure(error: &KeyringError) -> Failure {
    match error {
        KeyringError::NotBuilt => Failure::usage(error),
        _ => Failure::incomplete(error),
    }
}
