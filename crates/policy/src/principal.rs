//! On whose behalf a client acts.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::Scopes;

/// On whose behalf a client acts, and what it showed for that. Two are equal if they may do the same for the same reason,
/// so what one of them began the other may go on with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    /// A stable name, such as `ann`, `uid:1000` or `anonymous`.
    pub id: Arc<str>,
    /// The roles that its credential brings, sorted.
    pub roles: Arc<[Box<str>]>,
    /// The groups that its credential says it is in, sorted.
    pub groups: Arc<[Box<str>]>,
    /// The tenant that its credential says it is of.
    pub tenant: Option<Arc<str>>,
    /// How it signed in, as far as its credential says so.
    pub signed_in: Option<Arc<SignedIn>>,
    /// What its credential is good for at most, whatever else it may do.
    pub scopes: Scopes,
}

/// How somebody signed in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct SignedIn {
    /// When they last showed who they are, in microseconds since 1970-01-01 UTC.
    pub at: Option<i64>,
    /// By what: `pwd`, `otp`, `hwk` and the like (RFC 8176), sorted.
    pub methods: Box<[Box<str>]>,
    /// Whether that was with a second factor, as whoever says all this counts it.
    pub second_factor: bool,
}

/// Methods that a thief of a password does not have (RFC 8176), and what this gateway calls a passkey. Those by which a code is
/// sent (`sms`, `tel`) are none: whoever takes over a number has them.
const SECOND_FACTORS: [&str; 6] = ["hwk", "mfa", "otp", "passkey", "sc", "swk"];
/// By how much a clock may be ahead, in microseconds.
const AHEAD: i64 = 60_000_000;

impl SignedIn {
    /// Whether one of these methods is a second factor.
    #[must_use]
    pub fn has_second_factor(methods: &[Box<str>]) -> bool {
        methods.iter().any(|method| SECOND_FACTORS.contains(&&**method))
    }

    /// Whether it was with a second factor, and no longer than `max_age` ago at `now`, in microseconds.
    #[must_use]
    pub fn is_proof(&self, max_age: Duration, now: i64) -> bool {
        let max_age = i64::try_from(max_age.as_micros()).unwrap_or(i64::MAX);
        let is_recent = |at: i64| at <= now.saturating_add(AHEAD) && now.saturating_sub(at) <= max_age;
        self.second_factor && self.at.is_some_and(is_recent)
    }
}

/// What users of this machine are called by, before their number.
const LOCAL: &str = "uid:";

impl Principal {
    /// Who did not sign in.
    pub const ANONYMOUS: &str = "anonymous";

    /// The principal of that name, without roles, whom no credential limits.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Principal {
            id: id.into(),
            roles: Arc::default(),
            groups: Arc::default(),
            tenant: None,
            signed_in: None,
            scopes: Scopes::all(),
        }
    }

    /// A user of this machine, by their number.
    #[must_use]
    pub fn local(uid: u32) -> Self {
        Principal::new(&format!("{LOCAL}{uid}"))
    }

    /// Whether it is one of those.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.id.starts_with(LOCAL)
    }

    /// Whoever did not sign in.
    #[must_use]
    pub fn anonymous() -> Self {
        // Who shows nothing is asked for with each request.
        static NOBODY: LazyLock<Principal> = LazyLock::new(|| Principal::new(Principal::ANONYMOUS));
        NOBODY.clone()
    }

    /// A name as those without a prefix are compared: people who are called so sign in in small letters or capitals. Nothing
    /// for a name with a prefix, such as `corp:aBc`: whoever gives those out tells their case apart.
    #[must_use]
    pub fn folded(name: &str) -> Option<String> {
        (!name.contains(':')).then(|| name.to_ascii_lowercase())
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
