//! Examples of what rules find and pass over; shared by tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// Examples of one rule. In those that it finds, brackets show what at least.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Examples {
    /// Texts in which the rule finds what is in brackets.
    pub(crate) found: Vec<String>,
    /// Texts in which it finds nothing.
    pub(crate) passed: Vec<String>,
}

/// The examples of the rules of a theme.
pub(crate) fn of_theme(name: &str) -> BTreeMap<String, Examples> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/rules/{name}.json"));
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}
