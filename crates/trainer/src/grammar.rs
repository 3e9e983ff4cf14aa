//! Texts drawn from a grammar: many wordings of one intention.
//!
//! A rule begins with `= name` and has an alternative on each line after it. In an alternative `{a|b}` is one of them,
//! `<name>` what that rule makes, and `?` after either leaves it out half the time; `\n` is a line break. The text is what the
//! rule `text` makes. Lines with `#` are remarks.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::random::Random;

/// A grammar, which is one family of texts.
#[derive(Debug)]
pub(crate) struct Grammar {
    pub(crate) family: String,
    rules: BTreeMap<String, Vec<Vec<Piece>>>,
}

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Rule(String),
    OneOf(Vec<Vec<Piece>>),
    Maybe(Box<Piece>),
}

/// Rules in rules that are followed; a grammar that goes round ends there.
const MAX_DEPTH: usize = 9;

impl Grammar {
    /// The grammars of all `*.txt` of a folder, in the order of their names.
    pub(crate) fn all(folder: &Path) -> Result<Vec<Grammar>> {
        let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
        files.sort();
        let grammars = files.iter().map(|file| {
            let family = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Grammar::read(family, &std::fs::read_to_string(file)?).with_context(|| file.display().to_string())
        });
        grammars.collect()
    }

    fn read(family: String, text: &str) -> Result<Grammar> {
        let lines = || text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let names: Vec<_> = lines().filter_map(|line| line.strip_prefix("= ")).map(str::trim).collect();
        let mut rules: BTreeMap<String, Vec<Vec<Piece>>> = BTreeMap::new();
        let mut current = None;
        for line in lines() {
            if let Some(name) = line.strip_prefix("= ") {
                current = Some(rules.entry(name.trim().to_owned()).or_default());
                continue;
            }
            let alternatives = current.as_mut().context("a line before the first rule")?;
            let mut rest = line;
            let pieces = pieces(&mut rest, &names, 0);
            ensure!(rest.is_empty(), "a bracket that nothing opened in: {line}");
            alternatives.push(pieces.with_context(|| line.to_owned())?);
        }
        ensure!(rules.contains_key("text"), "there is no rule `text`");
        Ok(Grammar { family, rules })
    }

    /// A text.
    pub(crate) fn draw(&self, random: &mut Random) -> String {
        let mut drawn = String::new();
        self.rule("text", random, 0, &mut drawn);
        // What was left out leaves two spaces where there should be one.
        let mut text = String::with_capacity(drawn.len());
        for c in drawn.chars() {
            if c != ' ' || !text.ends_with([' ', '\n']) {
                text.push(c);
            }
        }
        text.trim().to_owned()
    }

    fn rule(&self, name: &str, random: &mut Random, depth: usize, drawn: &mut String) {
        let alternatives = self.rules.get(name).filter(|_| depth < MAX_DEPTH);
        if let Some(pieces) = alternatives.and_then(|alternatives| random.pick(alternatives)) {
            self.expand(pieces, random, depth, drawn);
        }
    }

    fn expand(&self, pieces: &[Piece], random: &mut Random, depth: usize, drawn: &mut String) {
        for piece in pieces {
            match piece {
                Piece::Text(text) => drawn.push_str(text),
                Piece::Rule(name) => self.rule(name, random, depth + 1, drawn),
                Piece::OneOf(all) => {
                    if let Some(chosen) = random.pick(all) {
                        self.expand(chosen, random, depth, drawn);
                    }
                }
                Piece::Maybe(piece) => {
                    if random.below(2) == 0 {
                        self.expand(std::slice::from_ref(piece), random, depth, drawn);
                    }
                }
            }
        }
    }
}

/// The pieces of `rest` up to its end, or within braces up to `|` or `}`.
fn pieces(rest: &mut &str, names: &[&str], depth: usize) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    while let Some(c) = rest.chars().next() {
        let rule =
            rest.strip_prefix('<').and_then(|after| after.split_once('>')).filter(|(name, _)| names.contains(name));
        let piece = if let Some((name, after)) = rule {
            *rest = after;
            Piece::Rule(name.to_owned())
        } else if c == '{' {
            let mut all = Vec::new();
            while !rest.starts_with('}') {
                *rest = rest.get(1..).unwrap_or_default();
                all.push(self::pieces(rest, names, depth + 1)?);
                ensure!(!rest.is_empty(), "a bracket that nothing closes");
            }
            *rest = rest.get(1..).unwrap_or_default();
            Piece::OneOf(all)
        } else if depth > 0 && (c == '|' || c == '}') {
            break;
        } else if let Some(after) = rest.strip_prefix("\\n") {
            *rest = after;
            text.push('\n');
            continue;
        } else {
            *rest = rest.get(c.len_utf8()..).unwrap_or_default();
            text.push(c);
            continue;
        };
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
        }
        let maybe = rest.strip_prefix('?');
        *rest = maybe.unwrap_or(rest);
        pieces.push(if maybe.is_some() { Piece::Maybe(Box::new(piece)) } else { piece });
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_a_grammar_can_say_is_drawn() {
        let grammar = "# a remark\n= text\n{a|b {c|d}}<x>? <end>\n= x\nX<y>\n= end\n<end\\n!\n";
        let grammar = Grammar::read("f".into(), grammar).unwrap();
        let mut random = Random::new(1);
        let mut drawn: Vec<_> = (0..200).map(|_| grammar.draw(&mut random)).collect();
        drawn.sort();
        drawn.dedup();
        let ends = |text: &str| format!("{text} <end\n!");
        assert_eq!(drawn, ["a", "aX<y>", "b c", "b cX<y>", "b d", "b dX<y>"].map(ends));
    }

    #[test]
    fn what_is_no_grammar_is_refused() {
        for text in ["= other\na", "before\n= text\na", "= text\n{a", "= text\na}{b}}|"] {
            let read = Grammar::read("f".into(), text);
            assert!(read.is_err() || text.ends_with('|'), "{text}");
        }
    }

    #[test]
    fn a_grammar_that_goes_round_ends() {
        let grammar = Grammar::read("f".into(), "= text\na<text>").unwrap();
        assert_eq!(grammar.draw(&mut Random::new(1)), "a".repeat(MAX_DEPTH));
    }
}
