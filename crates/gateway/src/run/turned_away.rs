//! What a client is told whose server is not started.
//!
//! Clients show people what an error says, and little or nothing of what a process writes to standard error. So whoever asks
//! first gets the reason; without this, a misspelt path and a server that may not run look alike, as one that "disconnected".

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

use bartizan_mcp::{Id, Kind, Limits, is_unseen, quote};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::RunError;
use crate::admit::CODE_OURS;
use crate::upstream::Reply;
use crate::upstream::lines::{self, Lines};

/// How long a client may take to ask something. It does so as soon as it has started us.
const PATIENCE: Duration = Duration::from_secs(2);

/// Characters of a reason that are told; people find all of it on standard error.
const LONGEST: usize = 600;

/// Tells the client at our standard input and output why there is no server, if it asks anything; nothing may have been read
/// from there before.
pub async fn turn_away(why: &str) {
    // People read standard error, where it stands as well.
    if !std::io::stdin().is_terminal() {
        answer(&mut Lines::new(tokio::io::stdin(), Limits::default().bytes), tokio::io::stdout(), why).await;
    }
}

/// The same with an error of ours, which it gives back.
pub(super) async fn with(error: RunError) -> RunError {
    turn_away(&reason(&error)).await;
    error
}

/// Tells the client at these ends.
pub(super) async fn from(mut input: Lines<impl AsyncRead + Unpin>, output: impl AsyncWrite + Unpin, error: &RunError) {
    answer(&mut input, output, &reason(error)).await;
}

/// What of an error is the reason, its first line.
fn reason(error: &RunError) -> String {
    match error {
        // It has logged before it failed, and what else it said names files.
        RunError::NotStarted { said, log } => match said.lines().rfind(|line| line.starts_with("error: ")) {
            Some(line) => format!("the user's bartizan could not be started: {}", without_error(line)),
            None => format!("the user's bartizan could not be started; {} may say why", log.display()),
        },
        RunError::Refused(sentence) => {
            let said = ["Stopped by bartizan: ", "Blocked by bartizan: "];
            said.iter().find_map(|said| sentence.strip_prefix(said)).unwrap_or(sentence).to_owned()
        }
        other => other.to_string(),
    }
}

fn without_error(line: &str) -> &str {
    line.strip_prefix("error: ").unwrap_or(line)
}

async fn answer(input: &mut Lines<impl AsyncRead + Unpin>, mut output: impl AsyncWrite + Unpin, why: &str) {
    let Ok(Some(id)) = tokio::time::timeout(PATIENCE, first_asked(input)).await else { return };
    let (id, text) = (id.to_json(), quote(&sentence(why)));
    let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{CODE_OURS},"message":{text}}}}}"#) + "\n";
    // A client that does not read it has gone.
    if output.write_all(line.as_bytes()).await.is_ok() {
        output.flush().await.ok();
    }
}

/// The id of the first request.
async fn first_asked(input: &mut Lines<impl AsyncRead + Unpin>) -> Option<Id> {
    while let Ok(Some(line)) = input.next().await {
        if let Reply::Message(message, _) = lines::read(line, &Limits::default())
            && message.kind() == Kind::Request
        {
            return message.id().cloned();
        }
    }
    None
}

/// The first line of a reason: those after it show lines of files, which are nothing for a model.
fn sentence(why: &str) -> String {
    let why = without_error(why);
    let mut told = "bartizan has not started the server: ".to_owned();
    let line = why.lines().find(|line| !line.trim().is_empty()).unwrap_or("standard error says why");
    for character in line.chars().take(LONGEST) {
        if is_unseen(character) {
            // Writing to a text cannot fail.
            let _ = write!(told, "{}", character.escape_unicode());
        } else {
            told.push(character);
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(input: &str, why: &str) -> String {
        let mut output = Vec::new();
        answer(&mut Lines::new(input.as_bytes(), 10_000), &mut output, why).await;
        String::from_utf8(output).unwrap()
    }

    #[tokio::test]
    async fn whoever_asks_first_is_told_why() {
        let note = r#"{"jsonrpc":"2.0","method":"notifications/x"}"#;
        let ask = r#"{"jsonrpc":"2.0","id":"a\"b","method":"initialize"}"#;
        let expected = concat!(
            r#"{"jsonrpc":"2.0","id":"a\"b","error":{"code":-31004,"#,
            r#""message":"bartizan has not started the server: no \"x\"\\u{1b} here"}}"#,
            "\n"
        );
        let why = "error: no \"x\"\u{1b} here\n 3 | token = \"hidden\"";
        for input in [format!("{ask}\n"), format!("no json\n{note}\n{ask}\n{ask}\n")] {
            assert_eq!(told(&input, why).await, expected, "{input}");
        }
        for input in [String::new(), format!("{note}\n"), "no json\n".to_owned(), format!("{}\n", "x".repeat(20_000))] {
            assert_eq!(told(&input, why).await, "", "{input}");
        }
        assert!(told(&format!("{ask}\n"), &"x".repeat(10_000)).await.len() < 1_000);
    }

    #[test]
    fn of_what_went_wrong_the_reason_is_told() {
        let not_started = |said: &str| RunError::NotStarted { said: said.to_owned(), log: "/log".into() };
        let refused = |said: &str| RunError::Refused(said.to_owned());
        for (error, expected) in [
            (
                not_started("INFO begins\nerror: old\nINFO a\nerror: no key `x`\n 3 | token = \"hidden\""),
                "the user's bartizan could not be started: no key `x`",
            ),
            (not_started("killed"), "the user's bartizan could not be started; /log may say why"),
            (
                refused("Stopped by bartizan: it is gone (upstream.start). Decision 1."),
                "it is gone (upstream.start). Decision 1.",
            ),
            (refused("Blocked by bartizan: no."), "no."),
            (refused("no place is left"), "no place is left"),
            (RunError::NoCommand, "there is no command to run"),
        ] {
            assert_eq!(reason(&error), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_asks_nothing_is_not_waited_for() {
        let (_silent, input) = tokio::io::duplex(64);
        let mut output = Vec::new();
        answer(&mut Lines::new(input, 64), &mut output, "none").await;
        assert!(output.is_empty());
    }
}
