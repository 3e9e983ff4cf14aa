//! Content that is of use to whoever reads the database only together with a key that is not in it.
//!
//! **Threat.** The database is copied, or a backup of it is found: what it holds of secrets opens other people's servers.
//! So secrets in it are sealed. Each purpose has a key of its own, a *data key*, which is in the database as well, sealed
//! with the *master key*, and that one is in a file beside the database, in the keyring of the user, or comes from elsewhere
//! ([`MasterKey`]). Whoever has both, or is the user who runs the gateway, reads everything.
//!
//! A master key is made only for a database that has no data keys. If one is missing, or another is there, nothing is
//! opened and nothing is written: a new one in its place would make what was sealed unreadable for ever.

mod claim;
mod keys;
mod master;
mod owner;
mod rotate;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bartizan_keyring::KeyringError;
use bartizan_seal::{Key, KeyFileError, KeyId, Unopened, id_of};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::StoreError;

pub use self::claim::Claimed;
pub(crate) use self::keys::Held;
pub use self::master::MasterKey;
pub(crate) use self::owner::Whose;
pub use self::rotate::{Resealed, Rotated};

/// What content is sealed for. Each has a data key of its own.
pub const PURPOSES: [&str; 8] = [
    "totp",      // Second factors of people.
    "signing",   // Keys that the gateway signs with.
    "token",     // What upstream authorization servers gave.
    "secret",    // Secrets that operators keep here.
    "approval",  // What waits for somebody's approval.
    "capture",   // Recorded traffic.
    "pseudonym", // What names of personal data are made with.
    "subject",   // The keys of those whom personal data is about.
];

/// Seals and unseals content of the store. Ask the store for it each time ([`Store::sealer`](crate::Store::sealer)): what
/// one holds from before may not know of keys that are newer.
pub struct Sealer {
    in_use: HashMap<String, Arc<Key>>,
    all: HashMap<KeyId, Arc<Key>>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

impl Sealer {
    /// Seals `plain`, so that it opens only for the same purpose, which is one of [`PURPOSES`], and the same owner: a text
    /// that says whose it is, such as the key of its row.
    ///
    /// # Errors
    /// If there is no such purpose.
    pub fn seal(&self, purpose: &str, owner: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let key = self.in_use.get(purpose).ok_or_else(|| SealError::Purpose(purpose.to_owned()))?;
        Ok(key.seal(purpose, owner, plain)?)
    }

    /// Opens what was sealed for this purpose and owner.
    ///
    /// # Errors
    /// If it was sealed for another, was changed, or its key is not there.
    pub fn unseal(&self, purpose: &str, owner: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let id = id_of(sealed)?;
        let key = self.all.get(&id).ok_or_else(|| SealError::Key(id.to_string()))?;
        Ok(key.unseal(purpose, owner, sealed)?)
    }
}

/// What to do about a master key that is not known to be of this store.
const REMEDY: &str = "if the one here was sealed with it and there is no other, as after a move or from a backup, say so with \
    `bartizan key claim-master`; else give it a key of its own: with another `keyring` under [store] if nothing is sealed yet, \
    or with `bartizan key rotate-master --to keyring:NAME`";

/// Why something cannot be sealed or opened.
#[derive(Debug, Error)]
pub enum SealError {
    /// The master key is gone.
    #[error(
        "{0}: the master key is not there, and the store has content that only it opens; put it back from a backup, or say \
         under [store] where it is"
    )]
    Missing(String),
    /// The master key is another one.
    #[error(
        "{place}: this is master key {found}, and the store was sealed with {wanted}; nothing was opened or changed; put \
         that key back, or say under [store] where it is"
    )]
    Wrong {
        /// Where it comes from.
        place: String,
        /// Which one it is.
        found: String,
        /// Which one it has to be.
        wanted: String,
    },
    /// The keyring that has the master key cannot be used.
    #[error("the master key `{name}` in the keyring: {error}")]
    Keyring {
        /// What it is called there.
        name: String,
        /// Why.
        error: KeyringError,
    },
    /// The keyring has a master key under that name which is that of another store.
    #[error(
        "{place}: this is the master key of the store {owner}, and the one here is {here}: neither would open what it seals once \
         the other one changes the key; {}",
        REMEDY
    )]
    Others {
        /// Where it is.
        place: String,
        /// Whose it is.
        owner: String,
        /// Who asks for it.
        here: String,
    },
    /// The keyring has a master key under that name which does not say of which store it is.
    #[error(
        "{place}: nothing says of which store this master key is, so it is not taken for the one here, {here}; {}",
        REMEDY
    )]
    Unowned {
        /// Where it is.
        place: String,
        /// Who asks for it.
        here: String,
    },
    /// There are no keys, and whoever only reads makes none.
    #[error(
        "{0}: nothing has been sealed in this store yet, so it opens nothing; say under [store] where the one is in which it \
         was sealed"
    )]
    Nothing(String),
    /// The file of the master key, or what is set as one, is none.
    #[error("{place}: {why}")]
    Unfit {
        /// Where it comes from.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing is sealed for such a purpose.
    #[error("nothing is sealed for `{0}`")]
    Purpose(String),
    /// It was sealed with a data key that is not there.
    #[error("it was sealed with the data key {0}, which the store does not have")]
    Key(String),
    /// What a key says of it.
    #[error(transparent)]
    Unopened(#[from] Unopened),
}

impl From<Unopened> for StoreError {
    fn from(error: Unopened) -> StoreError {
        SealError::from(error).into()
    }
}

impl From<KeyFileError> for StoreError {
    fn from(error: KeyFileError) -> StoreError {
        match error {
            KeyFileError::Io { path, error } => StoreError::File { path, error },
            KeyFileError::Exposed(path) => StoreError::Exposed(path),
            KeyFileError::Unfit { place, why } => SealError::Unfit { place, why }.into(),
            KeyFileError::Failed(error) => error.into(),
        }
    }
}
