//! In the place of `service.rs` where the program was built without the feature `keyring`: every use is refused.

use zeroize::Zeroizing;

use crate::{KeyringError, Kind, Name, Result};

pub(crate) const IS_BUILT: bool = false;

pub(crate) fn read(_: Kind, _: &Name) -> Result<Option<Zeroizing<String>>> {
    Err(KeyringError::NotBuilt)
}

pub(crate) fn write(_: Kind, _: &Name, _: &str) -> Result<()> {
    Err(KeyringError::NotBuilt)
}

pub(crate) fn remove(_: Kind, _: &Name) -> Result<bool> {
    Err(KeyringError::NotBuilt)
}

pub(crate) fn list(_: Kind) -> Result<Vec<Name>> {
    Err(KeyringError::NotBuilt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_use_is_refused_with_what_helps() {
        let name = Name::parse("x").unwrap();
        let refusals = [
            read(Kind::Secret, &name).map(drop),
            write(Kind::Secret, &name, "y"),
            remove(Kind::Secret, &name).map(drop),
            list(Kind::Secret).map(drop),
        ];
        for refusal in refusals {
            assert!(refusal.unwrap_err().to_string().contains("without the feature `keyring`"));
        }
    }
}
