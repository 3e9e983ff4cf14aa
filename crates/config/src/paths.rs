//! Where things are kept unless the configuration says otherwise.

use std::path::{Path, PathBuf};

/// The directory for Bartizan's own state: `$BARTIZAN_HOME`, else `$XDG_STATE_HOME/bartizan`, else
/// `~/.local/state/bartizan`. A relative path counts as not set. None if nothing says where the user's home is.
#[must_use]
pub fn bartizan_home(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let directory = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    directory("BARTIZAN_HOME")
        .or_else(|| directory("XDG_STATE_HOME").map(|state| state.join("bartizan")))
        .or_else(|| directory("HOME").map(|home| home.join(".local/state/bartizan")))
}

/// The path as seen from `directory`, without `.` in front.
pub(crate) fn beside(directory: &Path, path: &Path) -> PathBuf {
    directory.join(path.strip_prefix(".").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_absolute_directory_wins() {
        for (set, expected) in [
            (&[("BARTIZAN_HOME", "/b"), ("HOME", "/h")][..], Some("/b")),
            (&[("XDG_STATE_HOME", "/x"), ("HOME", "/h")], Some("/x/bartizan")),
            (&[("HOME", "/h"), ("XDG_STATE_HOME", "x")], Some("/h/.local/state/bartizan")),
            (&[("BARTIZAN_HOME", ""), ("HOME", "/h")], Some("/h/.local/state/bartizan")),
            (&[], None),
        ] {
            let variable = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            assert_eq!(bartizan_home(variable), expected.map(PathBuf::from), "{set:?}");
        }
    }
}
