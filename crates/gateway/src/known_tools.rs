//! What of the configuration has no effect, as no server has such a tool.

use bartizan_config::{Config, Diagnostic, Tools};
use bartizan_guard::guards::{flow, minimise, personal_data};
use bartizan_trust::Lock;

/// Warns of tools that policies, `entitled` of `personal_data` or tables of `flow` and `minimise` name and that are not in the lock file, though others of their servers are: most often a
/// mistake in writing, which opens what it should guard.
#[must_use]
pub fn check(config: &Config) -> Vec<Diagnostic> {
    let names_any = {
        let guards = [personal_data::SPEC.name, flow::SPEC.name, minimise::SPEC.name];
        config.settings.policies.is_some() || guards.iter().any(|guard| config.settings.guards.contains_key(*guard))
    };
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
