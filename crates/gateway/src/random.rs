//! Names and secrets of the gateway's own making.

/// 128 random bits as hexadecimal digits.
pub(crate) fn key() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A name for what a client was given, which is told from other names by how it begins.
pub(crate) fn name_of_grant() -> Result<String, getrandom::Error> {
    key().map(|key| format!("g-{key}"))
}

/// A name for a session in records, where nothing secret depends on it.
pub(crate) fn name() -> String {
    key().map(|key| key.chars().take(16).collect()).unwrap_or_default()
}
