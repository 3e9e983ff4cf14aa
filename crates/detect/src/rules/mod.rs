//! Phrases and structures that speak to the assistant in a text that should not, each as a rule with a stable id.

/// How bad it is if what a rule says is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Unusual.
    Low,
    /// Could be part of an attack.
    Medium,
    /// An attack, most likely.
    High,
    /// An attack with consequences.
    Critical,
}
