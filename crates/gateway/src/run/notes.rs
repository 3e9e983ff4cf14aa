//! What a bridge is told of the configuration in force, as nothing that its server does would show it.

use std::path::Path;

use bartizan_config::Config;

/// What there is to be known of a configuration, which is from `file`, for servers that are wrapped.
pub(crate) fn notes(config: &Config, file: Option<&Path>) -> Vec<String> {
    let mut notes: Vec<_> = config.settings.mode.notice().map(str::to_owned).into_iter().collect();
    let unused = &config.only_for_serve;
    if let Some(file) = file.filter(|_| !unused.is_empty()) {
        let verb = if unused.len() == 1 { "does" } else { "do" };
        notes.push(format!("`{}` in {} {verb} not apply to `run`", unused.join("`, `"), file.display()));
    }
    notes
}
