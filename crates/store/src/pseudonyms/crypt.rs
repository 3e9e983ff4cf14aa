//! The keys of subjects, and values under them.

use std::collections::HashMap;
use std::mem::take;

use bartizan_seal::{Key, KeyId, Unopened, random};
use zeroize::{Zeroize, Zeroizing};

use super::rows::Value;
use super::{NAMES, SUBJECT, Scope};
use crate::{SealError, Sealer};

/// What values are encrypted for. Nothing else is encrypted with the key of a subject.
const VALUE: &str = "value";

/// The key of a subject.
pub(super) struct SubjectKey(Key);

impl SubjectKey {
    /// A new one, and how it is kept.
    pub(super) fn make(sealer: &Sealer, tenant: &str, subject: &str) -> Result<(SubjectKey, Vec<u8>), SealError> {
        let bytes = random()?;
        let sealed = sealer.seal(SUBJECT, &subject_owner(tenant, subject), bytes.as_slice())?;
        Ok((SubjectKey::new(&bytes)?, sealed))
    }

    /// The one that is kept so.
    pub(super) fn open(sealer: &Sealer, tenant: &str, subject: &str, sealed: &[u8]) -> Result<SubjectKey, SealError> {
        let bytes = sealer.unseal(SUBJECT, &subject_owner(tenant, subject), sealed)?;
        SubjectKey::new(bytes.as_slice().try_into().map_err(|_| Unopened::Form)?)
    }

    fn new(bytes: &[u8; 32]) -> Result<SubjectKey, SealError> {
        Ok(SubjectKey(Key::new(KeyId::of("master key", bytes), bytes)?))
    }

    pub(super) fn seal(&self, scope: Scope<'_>, token: &str, value: &str) -> Result<Vec<u8>, SealError> {
        Ok(self.0.seal(VALUE, &value_owner(scope, token), value.as_bytes())?)
    }

    pub(super) fn unseal(&self, scope: Scope<'_>, token: &str, value: &[u8]) -> Result<Zeroizing<String>, SealError> {
        let mut plain = self.0.unseal(VALUE, &value_owner(scope, token), value)?;
        let text = String::from_utf8(take(&mut *plain)).map_err(|error| {
            error.into_bytes().zeroize();
            Unopened::Form
        })?;
        Ok(Zeroizing::new(text))
    }
}

/// What values there are, by their tokens. If one does not open, none is.
pub(super) fn open_values<'a>(
    sealer: &Sealer,
    scope: Scope<'_>,
    found: &'a mut [Value],
) -> Result<HashMap<&'a str, Zeroizing<String>>, SealError> {
    let mut keys = HashMap::new();
    let mut values = HashMap::new();
    for row in found.iter() {
        if !keys.contains_key(&*row.subject) {
            keys.insert(&*row.subject, SubjectKey::open(sealer, scope.tenant, &row.subject, &row.sealed)?);
        }
        let key = keys.get(&*row.subject).ok_or(Unopened::Failed)?;
        values.insert(&*row.token, key.unseal(scope, &row.token, &row.value)?);
    }
    Ok(values)
}

/// A new key that names are made with, as it is kept.
pub(super) fn make_names(sealer: &Sealer, tenant: &str) -> Result<Vec<u8>, SealError> {
    sealer.seal(NAMES, tenant, random()?.as_slice())
}

/// The key that names are made with.
pub(super) fn open_names(sealer: &Sealer, tenant: &str, sealed: &[u8]) -> Result<Zeroizing<[u8; 32]>, SealError> {
    let bytes = sealer.unseal(NAMES, tenant, sealed)?;
    let mut key = Zeroizing::new([0; 32]);
    if bytes.len() != key.len() {
        return Err(Unopened::Form.into());
    }
    key.copy_from_slice(&bytes);
    Ok(key)
}

/// Whose a key is, as `seal/rotate.rs` reads it from the row.
fn subject_owner(tenant: &str, subject: &str) -> String {
    [tenant, subject].join("\n")
}

fn value_owner(scope: Scope<'_>, token: &str) -> String {
    [scope.tenant, scope.purpose, token].join("\n")
}
