//! A file that is read again while a gateway runs.
//!
//! **Threat.** Editors and deployments empty a file before they write it. Taken as a configuration, a file of no bytes would end
//! every server for that moment, and with its rules everything that they hold back.

use std::path::Path;

use super::{Beginning, Config, read_text};
use crate::diagnostic::{Diagnostic, Diagnostics};

/// What is said of a file without a byte.
const EMPTY: &str = "the file is empty, as while something else is writing it";

/// The configuration of a file whose text is there.
pub(super) fn begun(path: &Path, beginning: Beginning) -> Result<(Config, Vec<Diagnostic>), Diagnostics> {
    let Beginning { name, text, environment, locks } = beginning;
    let (config, warnings) = read_text(&text, &name, &environment, locks)?;
    let file = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Ok((Config { file: Some(file), ..config }, warnings))
}

impl Config {
    /// As [`Config::load`], for a gateway that runs with another configuration: a file of no bytes is none.
    ///
    /// # Errors
    /// Everything that is wrong with it, or that nothing is in it.
    pub fn load_again(path: &Path) -> Result<(Config, Vec<Diagnostic>), Diagnostics> {
        let beginning = Beginning::of(path)?;
        if beginning.text.is_empty() {
            let help = "to have no servers, write a comment into it, such as `# none`";
            return Err(Diagnostics(vec![Diagnostic::of_file(&beginning.name, EMPTY.to_owned()).with_help(help)]));
        }
        begun(path, beginning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_no_bytes_is_a_configuration_at_a_start_only() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("bartizan.toml");
        for (text, again) in [("", false), ("\n", true), ("# none", true), ("mode = \"observe\"", true)] {
            std::fs::write(&file, text).unwrap();
            assert!(Config::load(&file).is_ok(), "{text:?}");
            let loaded = Config::load_again(&file);
            assert_eq!(loaded.is_ok(), again, "{text:?}");
            if let Err(found) = loaded {
                assert!(found.to_string().contains(EMPTY) && found.to_string().contains("# none"), "{found}");
            }
        }
    }
}
