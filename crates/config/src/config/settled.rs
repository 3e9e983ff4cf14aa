//! A text whose references were followed already, as those of a profile that is taken out of its file.
//!
//! **Threat.** A value that was looked up once may look like a reference itself. Followed again, what stands in a variable or in a
//! file with a secret would decide which other file is read, and sent to the host that the secret is for.

use super::{Config, Environment, Locks, read_text_where};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::expand::keep;

impl Config {
    /// Checks a text in which every value stands as it is meant: nothing is looked up but `${workspace}`, and `$${` is `${`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn settled(
        text: &str,
        name: &str,
        environment: &Environment,
    ) -> Result<(Config, Vec<Diagnostic>), Diagnostics> {
        read_text_where(text, name, environment, Locks::in_directory(&environment.directory), keep)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Upstream;

    #[test]
    fn what_looks_like_a_reference_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let other = directory.path().join("other");
        std::fs::write(&other, "somebody else's\n").unwrap();
        for value in
            [format!("file:{}", other.display()), "keyring:x".to_owned(), "plain".to_owned(), "$${HOME}".to_owned()]
        {
            let text = format!(
                "[server.x]\ncommand = [\"true\"]\n[server.x.sandbox]\nfs.rw = [\"${{workspace}}/w\"]\n\
                 net.allow = [\"api.example:443\"]\n\
                 secrets.T = {{value = \"{value}\", host = \"api.example\"}}\n"
            );
            let environment = Environment::of_process(Path::new("/srv"));
            let (mut config, warnings) = Config::settled(&text, "settled", &environment).unwrap();
            let Some(Upstream::Command(command)) = config.servers.remove("x").map(|server| server.upstream) else {
                panic!()
            };
            let secret = command.sandbox.secrets.first().unwrap();
            assert_eq!(secret.value.expose(), value.replace("$$", "$"));
            assert!(!warnings.iter().any(|one| one.message.contains("stands in the file")), "{warnings:?}");
        }
    }
}
