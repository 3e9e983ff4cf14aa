//! What is wrong with a policy, and where.

use std::fmt;

use miette::Diagnostic;

/// One thing that is wrong, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The text it is in.
    pub source: String,
    /// The line, from 1; 0 if it is in none that somebody wrote.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// What it is.
    pub message: String,
    /// What may help.
    pub help: Option<String>,
}

/// What operators do not do.
const DECIMAL: &str = "a `number` is a decimal, and compared by `.lessThan(decimal(\"5.0\"))`, `.lessThanOrEqual(…)`, `.greaterThan(…)` or \
    `.greaterThanOrEqual(…)`";

impl Problem {
    pub(crate) fn new(source: &Source<'_>, error: &dyn Diagnostic) -> Problem {
        let at = error.labels().and_then(|mut labels| labels.next()).map_or(0, |label| label.offset());
        let mut message = error.to_string();
        // What the parser says in its label is the more telling half.
        if let Some(label) =
            error.labels().and_then(|mut labels| labels.next()).and_then(|one| one.label().map(str::to_owned))
        {
            message = format!("{message}: {label}");
        }
        let help = error.help().map(|help| help.to_string());
        let is_number =
            ["expected Long but saw decimal", "expected decimal but saw Long"].iter().any(|of| message.contains(of));
        let help = help.or_else(|| is_number.then(|| DECIMAL.to_owned()));
        Problem { help, ..Problem::at(source, at, message) }
    }

    pub(crate) fn at(source: &Source<'_>, offset: usize, message: String) -> Problem {
        let before = source.text.get(..offset).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Problem { source: source.name.to_owned(), line, column, message, help: None }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.source, self.message)?,
            line => write!(f, "{}:{line}:{}: {}", self.source, self.column, self.message)?,
        }
        self.help.iter().try_for_each(|help| write!(f, " ({help})"))
    }
}

/// A text with policies.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// What it is called, such as the name of its file.
    pub name: &'a str,
    /// The policies.
    pub text: &'a str,
}
