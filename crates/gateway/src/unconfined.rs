//! Which servers may run as the user, by the command line that Bartizan was started with.
//!
//! Threat: whoever can change the configuration takes the sandbox off a server. So the file alone does not.

/// The servers that may run unconfined where the configuration says so as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unconfined {
    /// These.
    Named(Vec<String>),
    /// Whichever they are.
    All,
}

impl Unconfined {
    pub(crate) fn has(&self, server: &str) -> bool {
        match self {
            Self::Named(names) => names.iter().any(|name| name == server),
            Self::All => true,
        }
    }
}
