//! `bartizan`: a security gateway for MCP.

mod ask;
mod commands;
mod common;
mod logged;
mod outcome;
mod output;
mod stored;
mod text;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::{ContextKind, ContextValue};

/// What holds for every command.
const AROUND: &str = "\
To begin with:
  bartizan demo                        see what it stops, and what passes
  bartizan run --name NAME -- COMMAND  in front of a server that a client starts
  bartizan serve                       for the servers of a bartizan.toml, over HTTP
  bartizan audit tail --denied         what was refused; `bartizan why ID` says why

Exit status:
  0  clean
  1  something was found: a difference, a broken chain
  2  wrong usage or configuration
  3  incomplete: a file or an entry is not there or not readable
  4  a fault of Bartizan itself, or something could not be started
  `run` ends as the server that it wraps.

Environment:
  BARTIZAN_HOME  Bartizan's own directory
  BARTIZAN_LOG   level of the log: error, warn, info, debug, trace or off
  NO_COLOR       no colours

Files:
  ~/.local/state/bartizan
    Bartizan's own directory; XDG_STATE_HOME moves it
  ~/.config/bartizan/bartizan.toml
    configuration of `run`; XDG_CONFIG_HOME moves it
  bartizan.toml
    configuration of `serve`, where it is started
  mcp.lock
    approvals: of `run` in Bartizan's directory, of `serve` beside its file";

/// A security gateway for the Model Context Protocol: every message between clients and servers is judged, recorded and
/// only then passed on.
#[derive(Parser)]
#[command(name = "bartizan", version, max_term_width = 100, after_long_help = AROUND)]
struct Program {
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    // Before anything else: the launcher of a server is this very program, started again, and so is the relay beside it.
    bartizan_sandbox::set_relay_program(bartizan_gateway::relay);
    bartizan_sandbox::init_if_asked();
    match Program::try_parse() {
        Ok(program) => outcome::exit(common::check_home().and_then(|()| program.command.run())),
        Err(error) => {
            let words: Vec<_> = std::env::args_os().collect();
            let hint = without_dashes(&error, &words)
                .or_else(|| without_option(&error, &words))
                .or_else(|| without_id(&error, &words));
            // What help and versions are, it prints as that.
            error.print().ok();
            hint.iter().for_each(|hint| outcome::say(hint));
            if error.use_stderr() && words.get(1).is_some_and(|command| command == "run") {
                commands::turn_away(without_help(hint.as_deref()));
            }
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}

/// What a client is told of a command line that is wrong: of its words some may be tokens.
fn without_help(hint: Option<&str>) -> &str {
    let hint = hint.and_then(|hint| hint.trim_start().strip_prefix("= help: "));
    hint.unwrap_or("its command line is not understood; standard error says why")
}

/// Commands that take a file or a directory as an option, and that option.
const PLACES: [(&[&str], &str); 4] =
    [(&["serve"], "--config"), (&["daemon"], "--config"), (&["audit", "tail"], "--log"), (&["why"], "--log")];

/// Where the id of a decision is found, if a command was given none.
const IDS: &str = "\n  = help: the id stands at the end of the error that the client got; the last ones: bartizan audit tail --denied";

fn without_id(error: &clap::Error, words: &[OsString]) -> Option<String> {
    let named = match error.get(ContextKind::InvalidArg)? {
        ContextValue::Strings(names) => names.iter().any(|name| name == "<ID>"),
        ContextValue::String(name) => name == "<ID>",
        _ => false,
    };
    (named && words.get(1)? == "why").then(|| IDS.to_owned())
}

/// What to type instead, if all that is wrong is that a place stands by itself and not behind its option.
fn without_option(error: &clap::Error, words: &[OsString]) -> Option<String> {
    let Some(ContextValue::String(unexpected)) = error.get(ContextKind::InvalidArg) else { return None };
    let given = words.get(1..)?;
    let (command, option) = PLACES.iter().find(|(command, _)| {
        given.len() > command.len() && given.iter().zip(*command).all(|(given, name)| given == name)
    })?;
    let at = words.iter().skip(command.len() + 1).position(|word| *word == **unexpected)? + command.len() + 1;
    let mut tried = words.to_vec();
    tried.insert(at, option.into());
    Program::try_parse_from(tried).ok()?;
    let place = text::shell_word(unexpected);
    Some(format!("\n  = help: say it as an option: bartizan {} {option} {place}", command.join(" ")))
}

/// What to type instead, if all that is wrong is a `--` that is missing in front of a server's command. Of that only the
/// first word is shown: others may be tokens, and clients keep what is said here.
fn without_dashes(error: &clap::Error, words: &[OsString]) -> Option<String> {
    let Some(ContextValue::String(unexpected)) = error.get(ContextKind::InvalidArg) else { return None };
    if words.get(1)? != "run" || unexpected.starts_with('-') {
        return None;
    }
    // An option may have the same word for its value.
    let mut places = (2..words.len()).filter(|at| words.get(*at).is_some_and(|word| *word == **unexpected));
    let at = places.find(|at| {
        let mut tried = words.to_vec();
        tried.insert(*at, "--".into());
        Program::try_parse_from(tried).is_ok()
    })?;
    let options = if at > 2 { "OPTIONS " } else { "" };
    let more = if at + 1 < words.len() { " …" } else { "" };
    let command = text::shell_word(unexpected);
    Some(format!("\n  = help: the server's command stands behind `--`: bartizan run {options}-- {command}{more}"))
}
