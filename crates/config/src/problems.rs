//! Gathers what is wrong with a file while it is read.

use crate::diagnostic::{Diagnostic, Diagnostics, Problem, Severity, Source};
use crate::tree::Place;

/// What is wrong so far, and what must not be shown while saying so.
#[derive(Default)]
pub(crate) struct Problems {
    found: Vec<Problem>,
    /// Texts that no message may hold.
    secrets: Vec<String>,
    /// Paths of entries that were left out because they are wrong, so that nobody calls them missing.
    removed: Vec<Vec<String>>,
    /// Where values stand that are not known, as what they refer to is not there.
    unknown: Vec<Place>,
    /// What was said of these, which is not true of what they would be.
    untrue: Vec<Problem>,
    /// What is wrong with other files that this one names.
    elsewhere: Vec<Diagnostic>,
}

impl Problems {
    pub(crate) fn error(&mut self, place: Place, message: impl Into<String>) -> &mut Problem {
        self.add(Severity::Error, place, message.into())
    }

    pub(crate) fn warn(&mut self, place: Place, message: impl Into<String>) -> &mut Problem {
        self.add(Severity::Warning, place, message.into())
    }

    fn add(&mut self, severity: Severity, place: Place, message: String) -> &mut Problem {
        let is_untrue = self.unknown.iter().any(|held| held.start <= place.start && place.end <= held.end);
        let list = if is_untrue { &mut self.untrue } else { &mut self.found };
        let end = list.len();
        list.push(Problem { severity, place, message, help: None });
        #[expect(clippy::indexing_slicing, reason = "pushed in the line above")]
        &mut list[end]
    }

    /// A problem of another file, which has a name and lines of its own.
    pub(crate) fn in_file(&mut self, problem: Diagnostic) {
        self.elsewhere.push(problem);
    }

    /// How many errors there are so far.
    pub(crate) fn errors(&self) -> usize {
        self.found.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    /// Has nothing more said of a value there: why it is not known has been said.
    pub(crate) fn unknown(&mut self, place: Place) {
        self.unknown.push(place);
    }

    /// Keeps a text out of all messages. Short ones are words that would only make messages unreadable.
    pub(crate) fn hide(&mut self, secret: &str) {
        if secret.chars().count() >= 4 {
            self.secrets.push(secret.to_owned());
        }
    }

    /// The text without what is to be kept out of messages.
    pub(crate) fn censored(&self, text: &str) -> String {
        let mut secrets: Vec<_> = self.secrets.iter().collect();
        // Longer ones first, so that none is left half shown.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "…"))
    }

    pub(crate) fn leave_out(&mut self, path: Vec<String>) {
        self.removed.push(path);
    }

    /// Whether the entry at this path, or one in it, was wrong and is left out.
    pub(crate) fn is_broken(&self, path: &[&str]) -> bool {
        self.removed.iter().any(|removed| {
            let common = removed.len().min(path.len());
            removed.iter().zip(path).take(common).all(|(a, b)| a == b)
        })
    }

    pub(crate) fn has_errors(&self) -> bool {
        let elsewhere = self.elsewhere.iter().map(|problem| problem.severity);
        self.found.iter().map(|problem| problem.severity).chain(elsewhere).any(|severity| severity == Severity::Error)
    }

    /// Everything in the order of the file; warnings apart if there are no errors.
    pub(crate) fn into_result(self, excerpts: &Source<'_>) -> Result<Vec<Diagnostic>, Diagnostics> {
        let failed = self.has_errors();
        let Problems { mut found, mut secrets, elsewhere, .. } = self;
        // Longer ones first, so that none is left half shown.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        found.sort_by_key(|problem| (problem.place.start, problem.place.end));
        // What several servers have from one profile is said once.
        let mut said = std::collections::HashSet::new();
        found.retain(|problem| said.insert((problem.place.clone(), problem.message.clone())));
        let shown = found.into_iter().map(|problem| excerpts.show(censor(problem, &secrets)));
        let shown: Vec<_> = shown.chain(elsewhere).collect();
        if failed { Err(Diagnostics(shown)) } else { Ok(shown) }
    }
}

fn censor(mut problem: Problem, secrets: &[String]) -> Problem {
    for secret in secrets {
        for form in [secret.clone(), secret.escape_debug().to_string()] {
            problem.message = problem.message.replace(&form, "…");
            problem.help = problem.help.map(|help| help.replace(&form, "…"));
        }
    }
    problem
}
