//! The book's page on secrets names the formats that there are.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use bartizan_detect::secrets::{Format, Group, Scanner};

/// What stands before the table.
const HEAD: &str = include_str!("secrets/page.txt");

#[test]
fn the_books_page_on_secrets_is_up_to_date() {
    let held = fs::read_to_string(path()).unwrap_or_default();
    assert!(
        held == page(),
        "docs/src/secrets.md is out of date: write it with `cargo test -p bartizan-detect --test secrets_page -- --ignored`"
    );
}

#[test]
#[ignore = "writes the page"]
fn write_the_books_page_on_secrets() {
    fs::write(path(), page()).unwrap();
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/secrets.md")
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    writeln!(page, "| rule | what | issuer | looks like | checked |\n|---|---|---|---|---|").unwrap();
    for format in Scanner::built_in().formats() {
        let checked = if format.check.is_some() { "yes" } else { "" };
        writeln!(page, "| `{}` | {} | {} | {} | {checked} |", rule(format), format.name, format.issuer, shapes(format))
            .unwrap();
    }
    page
}

fn rule(format: &Format) -> String {
    match format.group {
        Group::Token => format!("secrets.token.{}", format.id),
        Group::PrivateKey => "secrets.private_key".to_owned(),
        Group::Jwt => "secrets.jwt".to_owned(),
        Group::ConnectionString => "secrets.connection_string".to_owned(),
        Group::Authorization => "secrets.authorization".to_owned(),
        Group::Credential => "secrets.credential".to_owned(),
    }
}

fn shapes(format: &Format) -> String {
    const SHOWN: usize = 3;
    let mut shapes: Vec<_> = format.shapes.iter().take(SHOWN).map(|shape| format!("`{}`", shape.written)).collect();
    if format.shapes.len() > SHOWN {
        shapes.push(format!("{} more", format.shapes.len() - SHOWN));
    }
    match &format.named {
        Some(name) => format!("{}, named as in `{name}`", shapes.join(", ")),
        None => shapes.join(", "),
    }
}
