//! What of the configuration has no effect, as no server has such a tool.

use bartizan_config::{Config, Diagnostic, Tools};
use bartizan_guard::guards::personal_data;
use bartizan_trust::Lock;

/// Warns of tools that policies or `entitled` of `personal_data` name and that are not in the lock file, though others of their servers are: most often a
/// mistake in writing, which opens what it should guard.
#[must_use]
pub fn check(config: &Config) -> Vec<Diagnostic> {
    let names_any = config.settings.policies.is_some() || config.settings.guards.contains_key(personal_data::SPEC.name);
    if !names_any || !config.lock.is_file() {
        return Vec::new();
    }
    // What is wrong with the lock file is said by whoever needs it.
    let Ok(lock) = Lock::open(config.lock.clone()) else { return Vec::new() };
    let mut tools = Tools::new();
    for server in lock.servers() {
        let names = lock.pins(server).into_iter().flat_map(|pins| pins.definitions.keys());
        let names = names.filter(|(kind, _)| kind == "tool").map(|(_, name)| name.clone());
        let names: Vec<_> = names.collect();
        if !names.is_empty() {
            tools.entry(server.to_owned()).or_default().extend(names);
        }
    }
    config.without_tools(&tools)
}
