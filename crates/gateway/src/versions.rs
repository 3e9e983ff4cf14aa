//! Which policies are in force, for the record.

use std::sync::Arc;

use bartizan_config::Config;
use bartizan_guard::Policies;
use serde_json::json;

use crate::clock;
use crate::database::Database;

/// Keeps the policies of a configuration that is in force from now on, so that it can be told later by what a decision was
/// made. They decide whether that succeeds or not.
pub(crate) async fn keep(database: Arc<Database>, policies: Option<Arc<Policies>>, cause: &'static str) {
    // Whoever never had policies has no store because of them.
    if policies.is_none() && database.is_absent() {
        return;
    }
    let (version, content) = match &policies {
        Some(policies) => (policies.version().to_owned(), content(policies)),
        None => ("none".to_owned(), "{}".to_owned()),
    };
    let kept = async {
        let Some(store) = database.open().await? else { return Ok(()) };
        store.note_policies(&version, clock::now().0, cause, &content).await
    };
    if let Err(error) = kept.await {
        tracing::warn!(%error, version, "the policies that are in force could not be kept in the store");
    }
}

/// All that policies consist of.
fn content(policies: &Policies) -> String {
    let roles = policies.roles();
    let members = |members: &Vec<String>| json!(members);
    json!({
        "default": if policies.permits_otherwise() { "permit" } else { "deny" },
        "sources": policies.texts().map(|(name, text)| json!({"name": name, "text": text})).collect::<Vec<_>>(),
        "roles": roles.roles.iter().map(|(name, role)| (name.clone(), members(&role.members))).collect::<serde_json::Map<_, _>>(),
        "groups": roles.groups.iter().map(|(name, group)| (name.clone(), json!({"members": group.members, "roles": group.roles}))).collect::<serde_json::Map<_, _>>(),
        "tool_groups": roles.tool_groups.iter().map(|(name, scopes)| (name.clone(), json!(scopes.to_string()))).collect::<serde_json::Map<_, _>>(),
    })
    .to_string()
}

/// The version of the policies of a configuration, for the log.
pub(crate) fn of(config: &Config) -> Option<&str> {
    config.settings.policies.as_deref().map(Policies::version)
}
