//! What somebody types, seen or unseen.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use bartizan_store::pseudonyms::LONGEST_VALUE;
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

/// What somebody types at the terminal, and sees.
pub(crate) fn seen(question: &str) -> Result<String, Failure> {
    let mut out = io::stderr().lock();
    write!(out, "{question}").and_then(|()| out.flush()).map_err(Failure::ours)?;
    read_line()
}

/// Asks back at the terminal; `to_do` is what would be done. Where there is none, nobody has seen what they would agree to.
pub(crate) fn yes(question: &str, to_do: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        let why = format!("nobody can be asked back without a terminal; {to_do} without, say --yes");
        return Err(Failure::usage(why));
    }
    let answer = seen(&format!("{question} [y/N] "))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// All of standard input, which may not be more than a value may be.
pub(crate) fn read_all() -> Result<String, Failure> {
    let mut text = String::new();
    let unread = |error| Failure::usage(format!("standard input cannot be read: {error}"));
    io::stdin().lock().take(LONGEST_VALUE as u64 + 1).read_to_string(&mut text).map_err(unread)?;
    if text.len() > LONGEST_VALUE {
        return Err(Failure::usage(format!("a value has at most {LONGEST_VALUE} bytes")));
    }
    Ok(text)
}

/// The first line of standard input.
pub(crate) fn read_line() -> Result<String, Failure> {
    let mut line = String::new();
    let mut input = io::stdin().lock().take(4096);
    input.read_line(&mut line).map_err(|error| Failure::usage(format!("standard input cannot be read: {error}")))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
