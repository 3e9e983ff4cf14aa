//! Names and secrets of the gateway's own making.

use std::sync::OnceLock;

use bartizan_guard::HashKey;

/// 128 random bits as hexadecimal digits.
pub(crate) fn key() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What marks of untrusted content bear in one session: 64 random bits as hexadecimal digits.
pub(crate) fn tag() -> Result<std::sync::Arc<str>, getrandom::Error> {
    key().map(|key| key.chars().take(16).collect::<String>().into())
}

/// A name for what a client was given, which is told from other names by how it begins.
pub(crate) fn name_of_grant() -> Result<String, getrandom::Error> {
    key().map(|key| format!("g-{key}"))
}

/// A name that people type: 60 random bits as digits and letters of which none is taken for another.
pub(crate) fn word() -> Result<String, getrandom::Error> {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut bytes = [0; 12];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte % 32))).map(|letter| char::from(*letter)).collect())
}

/// Seeds what only this process tells apart.
pub(crate) fn seed() -> Result<u64, getrandom::Error> {
    getrandom::u64()
}

/// The key of the digests that stand for what is redacted; none without randomness. It is the same for as long as the process
/// runs, so that digests are when the configuration is read anew.
pub(crate) fn hash_key() -> Option<HashKey> {
    static KEY: OnceLock<Option<HashKey>> = OnceLock::new();
    *KEY.get_or_init(|| {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).ok().map(|()| HashKey(bytes))
    })
}

/// A name for a session in records, where nothing secret depends on it.
pub(crate) fn name() -> String {
    key().map(|key| key.chars().take(16).collect()).unwrap_or_default()
}
