//! Settings of guards that do nothing as they are written: about servers that the file does not have, behind an entry that takes all of theirs,
//! or about what is made of findings of which nothing is made.

use std::collections::BTreeMap;

use bartizan_guard::guards::{flow, minimise, personal_data};
use bartizan_guard::{Action, GuardSettings, How, fits, guards};
use serde_json::Value;

use crate::guards::known_servers;
use crate::problems::Problems;
use crate::suggest;
use crate::tree::{self, Node};

/// Warns of all of them.
pub(crate) fn check(root: &Node<'_>, settings: &BTreeMap<String, GuardSettings>, problems: &mut Problems) {
    if let Some(held) = settings.get(flow::SPEC.name) {
        names_of_flow(&held.options, root, problems);
    }
    for (guard, table, keys) in [
        (flow::SPEC.name, "tool", &["name"][..]),
        (flow::SPEC.name, "resource", &["uri"]),
        (minimise::SPEC.name, "tool", &["server", "tool"]),
    ] {
        let options = settings.get(guard).map(|held| &held.options);
        options.into_iter().for_each(|options| unreached(options, (guard, table, keys), root, problems));
    }
    settings.iter().for_each(|(name, held)| unused_how(name, held, root, problems));
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(options: &'v Value, key: &str) -> impl Iterator<Item = (usize, &'v Value)> {
    options.get(key).and_then(Value::as_array).into_iter().flatten().enumerate()
}

/// What `server/tool` names stand in the tables of the guard `flow`.
fn names_of_flow(options: &Value, root: &Node<'_>, problems: &mut Problems) {
    let place = |path: &[&str]| tree::place(root, &[&["guard", flow::SPEC.name], path].concat());
    for (at, pattern) in list(options, "trusted") {
        // A server alone is trusted as a whole.
        let server = pattern.as_str().unwrap_or_default().split('/').next().unwrap_or_default();
        known_servers(server, place(&["trusted", &at.to_string()]), root, problems);
    }
    for table in ["tool", "path"] {
        for (at, entry) in list(options, table) {
            let Some(name) = entry.get("name").and_then(Value::as_str) else { continue };
            let place = place(&[table, &at.to_string(), "name"]);
            match name.split_once('/') {
                Some((server, _)) => known_servers(server, place, root, problems),
                None if name.ends_with('*') => known_servers(name, place, root, problems),
                None => {
                    let message = format!("no tool is called `{name}`: names are `server/tool`");
                    problems.warn(place, message).help(format!("write `{name}/*` for all tools of a server"));
                }
            }
        }
    }
}

/// Tables behind one that takes all that they are about: of several that fit the first counts.
fn unreached(options: &Value, (guard, table, keys): (&str, &str, &[&str]), root: &Node<'_>, problems: &mut Problems) {
    let all: Vec<_> = list(options, table).map(|(_, entry)| entry).collect();
    let takes = |first: &Value, later: &Value| {
        let only = first.get("where").filter(|only| only.as_object().is_some_and(|only| !only.is_empty()));
        keys.iter().all(|key| fits(text(first, key), text(later, key)))
            && (only.is_none() || only == later.get("where"))
    };
    for (at, later) in all.iter().enumerate() {
        if let Some(before) = all.iter().take(at).position(|first| takes(first, later)) {
            let place = tree::place(root, &["guard", guard, table, &at.to_string(), keys.first().unwrap_or(&table)]);
            let called: Vec<_> =
                all.get(before).map(|first| keys.iter().map(|key| text(first, key)).collect()).unwrap_or_default();
            let message = format!("this table does nothing: `{}` before it takes all of its calls", called.join(" "));
            problems
                .warn(place, message)
                .help("of several tables that fit, the first counts; put this one before that one");
        }
    }
}

/// What says how something is redacted where nothing is, or who gets back what nobody hides.
fn unused_how(name: &str, held: &GuardSettings, root: &Node<'_>, problems: &mut Problems) {
    let Some(spec) = guards::ALL.iter().find(|spec| spec.name == name) else { return };
    if !spec.actions.contains(&Action::Redact) || !held.enabled {
        return;
    }
    let nothing = "nothing is redacted by this guard";
    let possible = suggest::list(["action = \"redact\"", "\"…\" = \"redact\" in `rules`"]);
    for (at, place) in
        held.places.iter().enumerate().filter(|(_, place)| place.how.is_some() && place.action != Action::Redact)
    {
        let at = tree::place(root, &["guard", name, "where", &at.to_string(), "how"]);
        problems
            .warn(at, format!("`how` does nothing where the action is `{}`", place.action.as_str()))
            .help("say action = \"redact\"");
    }
    let redacts = redacts(spec, held);
    if tree::get(root, &["guard", name, "how"]).is_some() && !redacts {
        let place = tree::key_place(root, &["guard", name, "how"]);
        problems
            .warn(place, format!("`how` does nothing: {nothing}"))
            .help(format!("have something redacted: {possible}"));
    }
    let names =
        redacts && std::iter::once(held.how).chain(held.places.iter().filter_map(|place| place.how)).any(How::names);
    let is_entitled = name == personal_data::SPEC.name && list(&held.options, "entitled").next().is_some();
    if is_entitled && !names {
        let place = tree::key_place(root, &["guard", name, "entitled"]);
        let message = "`entitled` gives back what nobody hides: no pseudonym is made";
        problems
            .warn(place, message)
            .help(format!("say how = \"pseudonymise\", and have something redacted: {possible}"));
    }
}

/// Whether a guard redacts anything, by any of its settings.
fn redacts(spec: &bartizan_guard::GuardSpec, held: &GuardSettings) -> bool {
    // What only bears on what was hidden before hides nothing by itself.
    let defaults = spec.rules.iter().filter(|rule| !rule.by_name && !held.rules.contains_key(rule.id));
    let mut defaults =
        defaults.flat_map(|rule| std::iter::once(&rule.default).chain(rule.by_kind.iter().map(|(_, action)| action)));
    let by_rule = held.action.is_none() && defaults.any(|action| *action == Action::Redact);
    let everywhere = held.action.iter().chain(held.rules.values()).chain(held.parts.values());
    let of_servers = held.servers.values();
    let of_servers = of_servers.flat_map(|own| own.action.iter().chain(own.rules.values()).chain(own.tools.values()));
    let of_places = held.places.iter().map(|place| &place.action);
    by_rule || everywhere.chain(of_servers).chain(of_places).any(|action| *action == Action::Redact)
}
