//! Formats read from TOML: those that are built in, and those of an operator.

use serde::Deserialize;
use toml::Spanned;

use super::check::Check;
use super::format::{Format, Group, Piece, SHORTEST, Severity, Shape};
use crate::rules::Problem;

/// The formats that are built in.
const BUILT_IN: &str = include_str!("formats.toml");
/// The longest text that is read.
const MAX_TEXT: usize = 256 * 1024;
const MAX_FORMATS: usize = 500;
const MAX_SHAPES: usize = 64;
const MAX_NEAR: usize = 32;
const PREFIX: &str = "custom.";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BuiltIn {
    format: Vec<Known>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    id: String,
    name: String,
    issuer: String,
    #[serde(default = "token")]
    group: Group,
    #[serde(default)]
    severity: Severity,
    check: Option<Check>,
    #[serde(default)]
    near: Vec<String>,
    named: Option<String>,
    shapes: Vec<String>,
}

fn token() -> Group {
    Group::Token
}

/// Those that are built in; a test holds that they can be read.
pub(super) fn built_in() -> Vec<Format> {
    toml::from_str::<BuiltIn>(BUILT_IN)
        .map(|held| held.format.into_iter().map(Known::format).collect())
        .unwrap_or_default()
}

impl Known {
    fn format(self) -> Format {
        let shapes = self.shapes.iter().filter_map(|written| Shape::parse(written).ok()).collect();
        Format {
            id: self.id,
            name: self.name,
            issuer: self.issuer,
            group: self.group,
            severity: self.severity,
            is_own: false,
            check: self.check,
            near: self.near,
            named: self.named,
            shapes,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    format: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: Spanned<String>,
    name: Spanned<String>,
    #[serde(default)]
    severity: Severity,
    near: Option<Spanned<Vec<String>>>,
    shapes: Spanned<Vec<Spanned<String>>>,
}

/// Reads the formats of an operator.
pub(super) fn own(text: &str) -> Result<Vec<Format>, Problem> {
    let problem = |at: usize, what: &str, help: &str| Problem::at(text, at, what, help);
    if text.len() > MAX_TEXT {
        return Err(problem(MAX_TEXT, &format!("more than {} KiB of formats", MAX_TEXT / 1024), "leave some out"));
    }
    let file: File = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let help = "a format is `[[format]]` with `id`, `name`, `shapes` and perhaps `near` and `severity`";
        problem(at, error.message(), help)
    })?;
    let mut formats: Vec<Format> = Vec::new();
    for written in file.format {
        let at = written.id.span().start;
        if formats.len() == MAX_FORMATS {
            return Err(problem(at, &format!("more than {MAX_FORMATS} formats"), "leave some out"));
        }
        if formats.iter().any(|other| other.id == *written.id.get_ref()) {
            let what = format!("there are two formats `{}`", written.id.get_ref());
            return Err(problem(at, &what, "call one of them otherwise"));
        }
        formats.push(check(text, written)?);
    }
    Ok(formats)
}

fn check(text: &str, written: Written) -> Result<Format, Problem> {
    let problem = |at: usize, what: &str, help: &str| Problem::at(text, at, what, help);
    let (id_at, name_at) = (written.id.span().start, written.name.span().start);
    let (id, name) = (written.id.into_inner(), written.name.into_inner());
    let is_id = |name: &str| {
        (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    if !id.strip_prefix(PREFIX).is_some_and(is_id) {
        let help = "write `custom.` and a name of small letters, digits and underscores";
        return Err(problem(id_at, "the id is none of an operator's format", help));
    }
    if name.trim().is_empty()
        || name.len() > 60
        || !name.chars().all(|c| c.is_alphanumeric() || " '&./()-_".contains(c))
    {
        let help = "say in at most 60 letters what it is, as in `key of the payroll`";
        return Err(problem(name_at, "this is no name", help));
    }
    let near_at = written.near.as_ref().map_or(0, |near| near.span().start);
    let near = written.near.map(Spanned::into_inner).unwrap_or_default();
    let near: Vec<_> = near.into_iter().map(|word| word.to_lowercase()).collect();
    if near.len() > MAX_NEAR || near.iter().any(|word| !(2..=40).contains(&word.len())) {
        let help = "write at most 32 words of 2 to 40 letters";
        return Err(problem(near_at, "these are no words that could stand near", help));
    }
    let shapes_at = written.shapes.span().start;
    let written_shapes = written.shapes.into_inner();
    if written_shapes.is_empty() || written_shapes.len() > MAX_SHAPES {
        return Err(problem(shapes_at, "no shape, or too many", "write from 1 to 64 of them"));
    }
    let mut shapes = Vec::new();
    for written in written_shapes {
        let at = written.span().start;
        let help = "a shape is text with runs in it, as in `acme_{alnum:32}`";
        let shape = Shape::parse(written.get_ref()).map_err(|why| problem(at, &why, help))?;
        if shape.anchor.is_empty() {
            let what =
                format!("there is nothing in it by which it could be found: at least {SHORTEST} letters in a row");
            return Err(problem(at, &what, help));
        }
        let letters = |piece: Piece| if let Piece::Run(_, from, _) = piece { from } else { 0 };
        if shape.pieces().map(letters).sum::<usize>() < FEWEST {
            return Err(problem(
                at,
                "what anybody could guess is no secret",
                "let it have at least 8 letters of a set",
            ));
        }
        shapes.push(shape);
    }
    let severity = written.severity;
    let issuer = "you".to_owned();
    Ok(Format { id, name, issuer, group: Group::Token, severity, is_own: true, check: None, near, named: None, shapes })
}

/// The fewest letters of sets that a secret has.
const FEWEST: usize = 8;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_formats_that_are_built_in_can_be_read() {
        let held: BuiltIn = toml::from_str(BUILT_IN).unwrap();
        assert!(held.format.len() >= 120, "{}", held.format.len());
        let mut ids = BTreeSet::new();
        for known in held.format {
            assert!(ids.insert(known.id.clone()), "{} is there twice", known.id);
            assert!(known.near.iter().all(|word| *word == word.to_lowercase()), "{}", known.id);
            for written in &known.shapes {
                let shape = Shape::parse(written).unwrap_or_else(|why| panic!("{written}: {why}"));
                assert_eq!(shape.anchor.is_empty(), known.named.is_some(), "{written}");
                let again: String = shape
                    .pieces()
                    .map(|piece| match piece {
                        Piece::Text(text) => text,
                        Piece::Run(..) => "{}".to_owned(),
                    })
                    .collect();
                assert!(!again.is_empty());
            }
        }
    }

    const GOOD: &str = "[[format]]\nid = \"custom.acme\"\nname = \"key of Acme\"\nshapes = [\"acme_{alnum:20-40}\"]\n";

    #[test]
    fn what_is_wrong_with_formats_of_an_operator_is_told_with_its_place() {
        let [format] = own(GOOD).unwrap().try_into().unwrap();
        assert_eq!(
            (&*format.id, &*format.name, format.shapes.len(), format.is_own),
            ("custom.acme", "key of Acme", 1, true)
        );
        for (from, to, place, what) in [
            ("custom.acme", "github", (2, 6), "none of an operator's"),
            ("key of Acme", "", (3, 8), "no name"),
            ("key of Acme", "a]\\nb", (3, 8), "no name"),
            ("acme_{alnum:20-40}", "{alnum:20-40}", (4, 11), "nothing in it"),
            ("acme_{alnum:20-40}", "acme_{alnum:4}", (4, 11), "could guess"),
            ("acme_{alnum:20-40}", "acme_{none:20}", (4, 11), "no set `none`"),
            ("shapes", "severity = \"huge\"\nshapes", (4, 12), "unknown variant"),
            ("shapes", "near = [\"x\"]\nshapes", (4, 8), "no words"),
            ("shapes", "regex = \"x\"\nshapes", (4, 1), "unknown field"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            let problem = own(&text).unwrap_err();
            assert!(problem.what.contains(what), "{text}: {problem}");
            assert_eq!((problem.line, problem.column), place, "{text}: {problem}");
        }
        assert!(own(&format!("{GOOD}{GOOD}")).unwrap_err().what.contains("two formats"));
    }
}
