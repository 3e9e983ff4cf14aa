//! What names a message in the log without telling what is in it.
//!
//! **Threat.** Whoever reads the log, or steals the disk that it is on, guesses what a message said and compares: so the
//! digest has a key, new with each start and kept nowhere.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Up to here HMAC-SHA-256 takes half as long as BLAKE3, which needs several KiB at once for its vectors and then is the
/// faster one by far. As equal messages are equally long, they still have equal digests.
const SMALL: usize = 4 * 1024;
/// Bytes of a digest: 128 bits name the messages of one run.
const BYTES: usize = 16;

/// Makes digests under one key.
pub(crate) struct Digests {
    /// Before the first byte.
    small: Hmac<Sha256>,
    large: blake3::Hasher,
}

impl Digests {
    /// Under this key.
    pub(crate) fn new(key: &[u8; 32]) -> Digests {
        // The other key is derived, so that neither says anything about the other.
        Digests { small: Hmac::new(&derive(key).into()), large: blake3::Hasher::new_keyed(key) }
    }

    /// The digest of a message, as 32 hexadecimal digits.
    pub(crate) fn of(&self, bytes: &[u8]) -> String {
        if bytes.len() <= SMALL {
            return hex(&self.small.clone().chain_update(bytes).finalize().into_bytes());
        }
        hex(self.large.clone().update(bytes).finalize().as_bytes())
    }
}

/// A block of SHA-256 as the key.
fn derive(key: &[u8; 32]) -> [u8; 64] {
    let mut derived = [0; 64];
    let mut hasher = blake3::Hasher::new_derive_key("bartizan 2026-11-26 digests of small messages in the audit log");
    hasher.update(key).finalize_xof().fill(&mut derived);
    derived
}

fn hex(digest: &[u8]) -> String {
    bartizan_audit::to_hex(digest.get(..BYTES).unwrap_or(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_messages_have_equal_digests_under_one_key_only() {
        let (one, other) = (Digests::new(&[1; 32]), Digests::new(&[2; 32]));
        for length in [0, 1, 64, SMALL - 1, SMALL, SMALL + 1, 100_000] {
            let message = vec![b'x'; length];
            let digest = one.of(&message);
            assert!(digest.len() == 32 && digest.bytes().all(|digit| digit.is_ascii_hexdigit()), "{digest}");
            assert_eq!(digest, one.of(&message));
            assert_ne!(digest, other.of(&message));
            let mut changed = message;
            changed.push(b'x');
            assert_ne!(digest, one.of(&changed), "{length}");
        }
    }

    #[test]
    fn small_ones_are_hmac_sha_256_as_rfc_2104_has_it() {
        use sha2::Digest;
        let digests = Digests::new(&[7; 32]);
        let pad = |with: u8| derive(&[7; 32]).map(|byte| byte ^ with);
        let inner = Sha256::new().chain_update(pad(0x36)).chain_update(b"message").finalize();
        let outer = Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize();
        assert_eq!(digests.of(b"message"), hex(&outer));
    }
}
