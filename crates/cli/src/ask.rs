//! What somebody types that nobody should see.

use std::io::{self, BufRead, Write};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::outcome::Failure;

/// What somebody types at the terminal, unseen, and the same twice.
pub(crate) fn twice(question: &str, differ: &str) -> Result<String, Failure> {
    let first = ask(question)?;
    if first == ask("The same again: ")? { Ok(first) } else { Err(Failure::usage(differ)) }
}

fn ask(question: &str) -> Result<String, Failure> {
    let stdin = io::stdin();
    let shown = tcgetattr(&stdin).map_err(Failure::ours)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    let mut out = io::stderr().lock();
    // Before anybody is asked: what is typed until then is dropped, and would have been seen.
    tcsetattr(&stdin, OptionalActions::Flush, &hidden).map_err(Failure::ours)?;
    write!(out, "{question}").and_then(|()| out.flush()).map_err(Failure::ours)?;
    let read = read_line();
    tcsetattr(&stdin, OptionalActions::Flush, &shown).map_err(Failure::ours)?;
    writeln!(out).map_err(Failure::ours)?;
    read
}

/// The first line of standard input.
pub(crate) fn read_line() -> Result<String, Failure> {
    let mut line = String::new();
    let mut input = io::Read::take(io::stdin().lock(), 4096);
    input.read_line(&mut line).map_err(|error| Failure::usage(format!("standard input cannot be read: {error}")))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
