//! The rules that are built in, by theme.

mod concealment;
mod overriding;

use super::{Likely, Rule, Severity};

/// Rules about one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    /// Its name, which is that of its test data as well.
    pub name: &'static str,
    /// What its rules are about, in a sentence or two.
    pub about: &'static str,
    /// Its rules.
    pub rules: &'static [Rule],
}

/// Every theme, in the order in which it is documented.
pub const THEMES: &[Theme] = &[overriding::THEME, concealment::THEME];

/// Each rule with the number of its theme.
pub(super) fn all() -> impl Iterator<Item = (u16, &'static Rule)> {
    (0..).zip(THEMES).flat_map(|(number, theme)| theme.rules.iter().map(move |rule| (number, rule)))
}
