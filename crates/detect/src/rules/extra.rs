//! Rules of an operator, read from TOML.

use std::fmt;

use serde::Deserialize;
use toml::Spanned;

use super::pattern::{self, Slot};
use super::{Likely, Severity};

/// Why the rules of an operator cannot be used, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// From 1 on.
    pub line: usize,
    /// From 1 on, in characters.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub help: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}; {}", self.line, self.column, self.what, self.help)
    }
}

impl std::error::Error for Problem {}

/// One of them.
#[derive(Debug)]
pub(super) struct Extra {
    pub(super) id: String,
    pub(super) severity: Severity,
    pub(super) says: String,
    pub(super) likely: Likely,
    pub(super) patterns: Vec<Vec<Slot>>,
}

/// The longest text that is read.
const MAX_TEXT: usize = 256 * 1024;
const MAX_RULES: usize = 500;
const MAX_PATTERNS: usize = 64;
const MAX_PATTERN: usize = 2048;
/// Of all patterns together, what is kept with each text.
const MAX_PIECES: usize = 20_000;
const PREFIX: &str = "custom.";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rule: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: Spanned<String>,
    severity: Spanned<String>,
    says: Spanned<String>,
    #[serde(default)]
    likely: WrittenLikely,
    patterns: Spanned<Vec<Spanned<String>>>,
}

/// In percent; what an operator looks for is wrong wherever it stands, unless they say otherwise.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLikely {
    tool_description: Option<Spanned<u8>>,
    tool_result: Option<Spanned<u8>>,
    document: Option<Spanned<u8>>,
    user_prompt: Option<Spanned<u8>>,
    argument: Option<Spanned<u8>>,
}

/// How likely a rule is taken to be right that does not say.
const LIKELY: u8 = 80;

/// Reads the rules of an operator.
pub(super) fn read(text: &str) -> Result<Vec<Extra>, Problem> {
    let problem = |at: usize, what: &str, help: &str| Problem::at(text, at, what, help);
    if text.len() > MAX_TEXT {
        return Err(problem(MAX_TEXT, &format!("more than {} KiB of rules", MAX_TEXT / 1024), "leave some out"));
    }
    let file: File = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let help = "a rule is `[[rule]]` with `id`, `severity`, `says`, `patterns` and perhaps `likely`";
        problem(at, error.message(), help)
    })?;
    let mut extra: Vec<Extra> = Vec::new();
    let mut pieces = 0;
    for rule in file.rule {
        if extra.len() == MAX_RULES {
            return Err(problem(rule.id.span().start, &format!("more than {MAX_RULES} rules"), "leave some out"));
        }
        let twice = extra.iter().any(|other| other.id == *rule.id.get_ref());
        let rule = check(text, rule)?;
        if twice {
            let what = format!("there are two rules `{}`", rule.extra.id);
            return Err(problem(rule.at, &what, "call one of them otherwise"));
        }
        let of_slot = |slot: &Slot| slot.alternatives.iter().map(Vec::len).sum::<usize>();
        pieces += rule.extra.patterns.iter().flatten().map(of_slot).sum::<usize>();
        if pieces > MAX_PIECES {
            return Err(problem(rule.at, "too many words in all patterns together", "leave some out"));
        }
        extra.push(rule.extra);
    }
    Ok(extra)
}

struct Checked {
    extra: Extra,
    at: usize,
}

fn check(text: &str, rule: Written) -> Result<Checked, Problem> {
    let problem = |at: usize, what: &str, help: &str| Err(Problem::at(text, at, what, help));
    let at = rule.id.span().start;
    let id = rule.id.into_inner();
    let is_name = |name: &str| {
        (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    if !id.strip_prefix(PREFIX).is_some_and(is_name) {
        let what = "the id is none of an operator's rule";
        return problem(at, what, "write `custom.` and a name of small letters, digits and underscores");
    }
    let Some(severity) = Severity::ALL.into_iter().find(|severity| severity.as_str() == rule.severity.get_ref()) else {
        let what = "there is no such severity";
        return problem(rule.severity.span().start, what, "write `low`, `medium`, `high` or `critical`");
    };
    let says_at = rule.says.span().start;
    let says = rule.says.into_inner();
    if says.trim().is_empty() || says.len() > 300 || says.chars().any(char::is_control) {
        return problem(says_at, "this is no sentence", "say in one line what the text does");
    }
    let likely = likely(text, rule.likely)?;
    let patterns_at = rule.patterns.span().start;
    let written = rule.patterns.into_inner();
    if written.is_empty() || written.len() > MAX_PATTERNS {
        return problem(patterns_at, "no pattern, or too many", "write from 1 to 64 of them");
    }
    let mut patterns = Vec::new();
    for pattern in written {
        let at = pattern.span().start;
        if pattern.get_ref().len() > MAX_PATTERN {
            return problem(at, "the pattern is too long", "make several of it");
        }
        match pattern::parse(pattern.get_ref()) {
            Ok(slots) => patterns.push(slots),
            Err(bad) => {
                let before = pattern.get_ref().get(..bad.at).map_or(0, |before| before.chars().count());
                let what = format!("character {} of the pattern: {}", before + 1, bad.what);
                return problem(at, &what, "the book's page on rules has the language of patterns");
            }
        }
    }
    Ok(Checked { extra: Extra { id, severity, says, likely, patterns }, at })
}

fn likely(text: &str, written: WrittenLikely) -> Result<Likely, Problem> {
    let one = |percent: Option<Spanned<u8>>| match percent {
        None => Ok(LIKELY),
        Some(percent) if *percent.get_ref() <= 99 => Ok(percent.into_inner()),
        Some(percent) => {
            let what = "nothing is that certain";
            Err(Problem::at(text, percent.span().start, what, "write a number from 0 to 99, in percent"))
        }
    };
    Ok(Likely {
        tool_description: one(written.tool_description)?,
        tool_result: one(written.tool_result)?,
        document: one(written.document)?,
        user_prompt: one(written.user_prompt)?,
        argument: one(written.argument)?,
    })
}

/// A message without line ends or other signs that steer a terminal.
fn one_line(message: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    message.chars().map(plain).take(300).collect::<String>().trim_end().to_owned()
}

impl Problem {
    /// One at a byte of `text`.
    pub(crate) fn at(text: &str, at: usize, what: &str, help: &str) -> Problem {
        let before = text.get(..at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        Problem { line, column, what: one_line(what), help: help.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[[rule]]\nid = \"custom.names\"\nseverity = \"high\"\nsays = \"Names a project.\"\npatterns = [\"project {hazel|juniper}\"]\n";

    #[test]
    fn rules_of_an_operator_are_read() {
        let rules = read(&format!("{GOOD}likely = {{ tool_result = 90, user_prompt = 0 }}\n")).unwrap();
        let [rule] = rules.as_slice() else { panic!("{rules:?}") };
        assert_eq!((&*rule.id, rule.severity, &*rule.says), ("custom.names", Severity::High, "Names a project."));
        assert_eq!((rule.likely.tool_result, rule.likely.user_prompt, rule.likely.document), (90, 0, LIKELY));
        assert_eq!(rule.patterns.len(), 1);
        assert_eq!(read("").unwrap().len(), 0);
    }

    #[test]
    fn what_is_wrong_with_them_is_told_with_its_place() {
        for (from, to, place, what) in [
            ("custom.names", "prompt_injection.x", (2, 6), "none of an operator's"),
            ("custom.names", "custom.", (2, 6), "none of an operator's"),
            ("custom.names", "custom.A", (2, 6), "none of an operator's"),
            ("\"high\"", "\"huge\"", (3, 12), "no such severity"),
            ("\"high\"", "7", (3, 12), "invalid type"),
            ("Names a project.", "", (4, 8), "no sentence"),
            ("says =", "sais =", (4, 1), "unknown field `sais`"),
            ("[\"project {hazel|juniper}\"]", "[]", (5, 12), "no pattern"),
            ("|juniper}", "", (5, 13), "character 9 of the pattern: `{` is not closed"),
            ("project {", "project $none {", (5, 13), "no list `none`"),
            ("patterns", "likely = { page = 1 }\npatterns", (5, 12), "unknown field `page`"),
            ("patterns", "likely = { document = 100 }\npatterns", (5, 23), "that certain"),
            ("[[rule]]", "[[rule]", (1, 8), ""),
            ("[[rule]]", "[rule]", (1, 1), "expected"),
            ("[[rule]]", "version = 1\n[[rule]]", (1, 1), "unknown field `version`"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD);
            let problem = read(&text).unwrap_err();
            assert!(problem.what.contains(what), "{text}: {problem}");
            assert_eq!((problem.line, problem.column), place, "{text}: {problem}");
            assert!(!problem.help.is_empty());
        }
        let twice = read(&format!("{GOOD}{GOOD}")).unwrap_err();
        assert!(twice.what.contains("two rules") && twice.line == 7, "{twice}");
    }

    #[test]
    fn there_is_an_end_to_their_number_and_size() {
        let many: String = (0..=MAX_RULES).map(|number| GOOD.replace("names", &format!("n{number}"))).collect();
        assert!(read(&many).unwrap_err().what.contains("500 rules"));
        let words: Vec<_> = (0..200).map(|number| format!("w{number}")).collect();
        let wide = format!("\"{{{0}}} {{{0}}}\"", words.join("|"));
        let wide = vec![wide; 60].join(", ");
        assert!(read(&GOOD.replace("\"project {hazel|juniper}\"", &wide)).unwrap_err().what.contains("too many words"));
        let long = GOOD.replace("juniper", &"x".repeat(MAX_PATTERN));
        assert!(read(&long).unwrap_err().what.contains("too long"));
        assert!(read(&"#".repeat(MAX_TEXT + 1)).unwrap_err().what.contains("256 KiB"));
    }
}
