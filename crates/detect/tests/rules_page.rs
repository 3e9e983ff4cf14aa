//! The book's page on the rules says what the rules say.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod examples;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use bartizan_detect::Kind;
use bartizan_detect::rules::{Rule, THEMES};
use examples::{Examples, of_theme};

/// What stands before the rules.
const HEAD: &str = include_str!("rules/page.txt");

#[test]
fn the_books_page_on_rules_is_up_to_date() {
    let held = fs::read_to_string(path()).unwrap_or_default();
    assert!(
        held == page(),
        "docs/src/rules.md is out of date: write it with `cargo test -p bartizan-detect --test rules_page -- --ignored`"
    );
}

#[test]
#[ignore = "writes the page"]
fn write_the_books_page_on_rules() {
    fs::write(path(), page()).unwrap();
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/rules.md")
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for theme in THEMES {
        let mut examples = of_theme(theme.name);
        writeln!(page, "\n## {}\n\n{}", theme.name.replace('_', " "), theme.about).unwrap();
        for rule in theme.rules {
            page.push_str(&section(rule, &examples.remove(rule.id).unwrap()));
        }
    }
    page
}

fn section(rule: &Rule, examples: &Examples) -> String {
    let mut out =
        format!("\n### {}\n\n**{}** {} Severity: {}.\n\n", rule.id, rule.says, rule.about, rule.severity.as_str());
    let likely = Kind::ALL.into_iter().map(|kind| match rule.likely.of(kind) {
        0 => format!("{}: not applied", kind.as_str()),
        percent => format!("{}: {percent}%", kind.as_str()),
    });
    writeln!(out, "{}\n", likely.collect::<Vec<_>>().join(", ")).unwrap();
    for (what, texts) in [("Found:", &examples.found), ("Passed over:", &examples.passed)] {
        let shown: Vec<_> = texts.iter().map(|text| text.replace('\n', " ⏎ ")).collect();
        writeln!(out, "{what}\n\n~~~text\n{}\n~~~\n", shown.join("\n")).unwrap();
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}
