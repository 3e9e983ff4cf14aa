//! Secrets in the keyring of the user's desktop: what GNOME Keyring, KWallet or KeePassXC keeps and offers as the *Secret
//! Service* on the session bus.
//!
//! **Threat.** A file with a secret is copied: into a backup, into a repository, to another machine. What is in a keyring
//! is encrypted with the user's password wherever the file of the keyring goes. It is no answer to programs of the same
//! user: while the keyring is unlocked, each of them may ask for everything that is in it.
//!
//! A use of it ends after [`PATIENCE`], whatever is at the other end, and nobody is asked to unlock anything: the gateway
//! runs where nobody may be looking. No error quotes what a keyring holds or says.
//!
//! Every function blocks until it is done. In a runtime with several threads, others take over what the thread would have
//! done meanwhile.

#[cfg_attr(not(feature = "keyring"), path = "no_service.rs")]
mod service;

use std::fmt;
use std::time::Duration;

use thiserror::Error;
use zeroize::Zeroizing;

/// Whether this program can speak to a keyring.
pub const IS_BUILT: bool = service::IS_BUILT;

/// So long a use of the keyring may take. Most are over in a few milliseconds; a keyring that has to be started first
/// takes a second.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Larger values are no secrets of ours.
pub const MAX_BYTES: usize = 64 << 10;

/// The longest name of a secret.
const MAX_NAME: usize = 128;

/// What a secret is called in the keyring.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// The name in that text; nothing if it is none: 1 to 128 letters, digits and `-_.@/`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Name> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@/".contains(c);
        ((1..=MAX_NAME).contains(&text.len()) && text.chars().all(plain)).then(|| Name(text.to_owned()))
    }

    /// It as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a secret is for. A name of one kind is another one than the same name of the other, so that nobody who puts in a
/// password writes over the key that opens a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What a configuration refers to.
    Secret,
    /// The master key of a store.
    MasterKey,
}

#[cfg_attr(not(feature = "keyring"), expect(dead_code, reason = "read by what speaks to a keyring"))]
impl Kind {
    /// What its items have as their attribute `service`.
    fn service(self) -> &'static str {
        match self {
            Kind::Secret => "bartizan",
            Kind::MasterKey => "bartizan-master-key",
        }
    }

    /// What people see in the program that shows the keyring.
    fn label(self, name: &Name) -> String {
        match self {
            Kind::Secret => format!("Bartizan: {name}"),
            Kind::MasterKey => format!("Bartizan, master key: {name}"),
        }
    }
}

/// Why the keyring was of no use.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyringError {
    /// This program cannot speak to one.
    #[error(
        "this bartizan was built without the feature `keyring` (cargo build --release -p bartizan-cli --features keyring has it); or use \"file:PATH\" or \"${{VARIABLE}}\""
    )]
    NotBuilt,
    /// There is no session bus, or nothing on it keeps secrets.
    #[error(
        "no keyring can be reached ({0}); it belongs to the session of a user, with the bus that DBUS_SESSION_BUS_ADDRESS \
         names; where there is none, use a file or a variable instead"
    )]
    Unreachable(String),
    /// There are keyrings, and none is the one to use.
    #[error(
        "there is no default keyring; make one with the program that shows keyrings, or log in to the desktop once"
    )]
    NoDefault,
    /// It is locked.
    #[error("the keyring is locked; unlock it, such as by logging in to the desktop, and try again")]
    Locked,
    /// It took too long.
    #[error("the keyring gave no answer in {} seconds; see whether it asks something in a window, and try again", PATIENCE.as_secs())]
    Slow,
    /// Several items go by the name.
    #[error("the keyring has several items under the name `{0}`; remove those that are not meant")]
    Several(Name),
    /// What is there is no text, or too long.
    #[error("what the keyring has under the name `{0}` is no text of at most {MAX_BYTES} bytes")]
    Unfit(Name),
    /// What was written cannot be read back.
    #[error("the keyring took `{0}` and does not give it back; nothing relies on it")]
    NotKept(Name),
    /// Something else.
    #[error("the keyring refuses: {0}")]
    Failed(String),
}

/// The result of what uses the keyring.
pub type Result<T> = std::result::Result<T, KeyringError>;

/// What the keyring has under that name; nothing if there is no such item.
///
/// # Errors
/// If the keyring cannot be used, or has no single text under that name.
pub fn read(kind: Kind, name: &Name) -> Result<Option<Zeroizing<String>>> {
    service::read(kind, name)
}

/// Has the keyring keep `secret` under that name, in the place of what is there. It was read back once this is done.
///
/// # Errors
/// If the keyring cannot be used. Then it has what it had, or, after [`KeyringError::Slow`] and
/// [`KeyringError::NotKept`], either.
pub fn write(kind: Kind, name: &Name, secret: &str) -> Result<()> {
    if secret.len() > MAX_BYTES {
        return Err(KeyringError::Unfit(name.clone()));
    }
    service::write(kind, name, secret)
}

/// Removes what the keyring has under that name, and says whether there was something.
///
/// # Errors
/// If the keyring cannot be used.
pub fn remove(kind: Kind, name: &Name) -> Result<bool> {
    service::remove(kind, name)
}

/// The names of all secrets of that kind, in order.
///
/// # Errors
/// If the keyring cannot be used.
pub fn list(kind: Kind) -> Result<Vec<Name>> {
    service::list(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_word_that_is_safe_everywhere() {
        for good in ["a", "github-token", "team/prod.key", "ann@example.com", &"x".repeat(128)] {
            assert_eq!(Name::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", " ", "a b", "a\n", "ä", "a:b", "${A}", "a\u{202e}b", &"x".repeat(129)] {
            assert_eq!(Name::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn no_two_kinds_share_a_place() {
        assert_ne!(Kind::Secret.service(), Kind::MasterKey.service());
    }
}
