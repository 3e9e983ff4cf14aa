//! Passkeys (WebAuthn): adding one, and showing one.

use super::Web;
use super::trouble::Trouble;

impl Web {
    /// Whether there can be passkeys: browsers have them for names, over https or on the same machine.
    pub(super) fn takes_passkeys(&self) -> bool {
        false
    }

    pub(super) async fn has_passkey(&self, name: &str) -> Result<bool, Trouble> {
        Ok(!self.store().await?.passkeys_of(name).await?.is_empty())
    }
}
