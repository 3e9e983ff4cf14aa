//! How a command ends: its exit status, and what it says on stderr if it fails.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::text::printable;

/// How a command that did its work ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing to report.
    Clean,
    /// Something was found: a difference, a broken chain.
    Found,
    /// As the wrapped server ended.
    Status(u8),
}

/// Why a command could not do its work. The text is printed as it is, so it has to be printable.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Wrong usage or configuration.
    Usage(String),
    /// A file or server could not be looked at.
    Incomplete(String),
    /// A fault of Bartizan itself.
    Ours(String),
    /// Nobody reads the output any more, so there is nobody to tell.
    Closed,
}

impl Failure {
    pub(crate) fn usage(why: impl fmt::Display) -> Self {
        Failure::Usage(format!("error: {}", printable(&why.to_string())))
    }

    pub(crate) fn incomplete(why: impl fmt::Display) -> Self {
        Failure::Incomplete(format!("error: {}", printable(&why.to_string())))
    }

    /// The same, which happened after something else was done.
    pub(crate) fn after(self, done: &str) -> Self {
        let say = |why: String| format!("error: {done}: {}", why.strip_prefix("error: ").unwrap_or(&why));
        match self {
            Failure::Usage(why) => Failure::Usage(say(why)),
            Failure::Incomplete(why) => Failure::Incomplete(say(why)),
            Failure::Ours(why) => Failure::Ours(say(why)),
            Failure::Closed => Failure::Closed,
        }
    }

    pub(crate) fn ours(why: impl fmt::Display) -> Self {
        Failure::Ours(format!("error: {}", printable(&why.to_string())))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(why) | Failure::Incomplete(why) | Failure::Ours(why) => f.write_str(why),
            Failure::Closed => Ok(()),
        }
    }
}

/// What is wrong with a configuration is shown beside its lines, which holds nothing that is not printable.
impl From<bartizan_config::Diagnostics> for Failure {
    fn from(found: bartizan_config::Diagnostics) -> Self {
        Failure::Usage(found.to_string())
    }
}

/// The end of the program.
pub(crate) fn exit(result: Result<Outcome, Failure>) -> ExitCode {
    let (status, why) = match result {
        Ok(Outcome::Clean) | Err(Failure::Closed) => (0, None),
        Ok(Outcome::Found) => (1, None),
        Ok(Outcome::Status(status)) => (status, None),
        Err(Failure::Usage(why)) => (2, Some(why)),
        Err(Failure::Incomplete(why)) => (3, Some(why)),
        Err(Failure::Ours(why)) => (4, Some(why)),
    };
    if let Some(why) = why {
        say(&why);
    }
    ExitCode::from(status)
}

/// A line for the person at the terminal, beside the output.
pub(crate) fn say(text: &str) {
    // Where stderr is closed nobody can be told.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
