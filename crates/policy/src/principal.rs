//! On whose behalf a client acts.

use std::fmt;
use std::sync::Arc;

use crate::Scopes;

/// On whose behalf a client acts, and what it showed for that. Two are equal if they may do the same for the same reason,
/// so what one of them began the other may go on with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    /// A stable name, such as `ann`, `uid:1000` or `anonymous`.
    pub id: Arc<str>,
    /// The roles it has, sorted.
    pub roles: Arc<[Box<str>]>,
    /// What its credential is good for at most, whatever else it may do.
    pub scopes: Scopes,
}

impl Principal {
    /// Who did not sign in.
    pub const ANONYMOUS: &str = "anonymous";

    /// The principal of that name, without roles, whom no credential limits.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Principal { id: id.into(), roles: Arc::default(), scopes: Scopes::all() }
    }

    /// Whoever did not sign in.
    #[must_use]
    pub fn anonymous() -> Self {
        Principal::new(Principal::ANONYMOUS)
    }

    /// Whether it did not sign in.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        &*self.id == Principal::ANONYMOUS
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}
