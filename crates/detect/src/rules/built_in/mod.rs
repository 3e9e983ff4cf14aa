//! The rules that are built in, by theme.

mod access;
mod addressed;
mod as_user_wish;
mod concealment;
mod conditional;
mod destructive;
mod exfiltration;
mod fake_end;
mod fake_role;
mod judgement;
mod languages;
mod obfuscation;
mod overriding;
mod parameters;
mod payment;
mod persistence;
mod persona;
mod preference;
mod pressure;
mod prompt_leak;
mod secrets;
mod shadowing;
mod supply_chain;

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
pub const THEMES: &[Theme] = &[
    overriding::THEME,
    fake_role::THEME,
    fake_end::THEME,
    addressed::THEME,
    concealment::THEME,
    exfiltration::THEME,
    secrets::THEME,
    parameters::THEME,
    shadowing::THEME,
    preference::THEME,
    persistence::THEME,
    pressure::THEME,
    persona::THEME,
    prompt_leak::THEME,
    destructive::THEME,
    payment::THEME,
    access::THEME,
    supply_chain::THEME,
    as_user_wish::THEME,
    conditional::THEME,
    judgement::THEME,
    obfuscation::THEME,
    languages::THEME,
];

/// Each rule with the number of its theme.
pub(super) fn all() -> impl Iterator<Item = (u16, &'static Rule)> {
    (0..).zip(THEMES).flat_map(|(number, theme)| theme.rules.iter().map(move |rule| (number, rule)))
}
