//! Policies, roles and groups, read and checked together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_guard::{Action, GuardSettings, Settings};
use bartizan_policy::{
    Approver, Grant, Group, Policies, Principal, Problem, Role, Roles, Scope, Scopes, Source, Ways, meant,
};

use crate::file::{File, Otherwise};
use crate::guards;
use crate::paths;
use crate::problems::Problems;
use crate::tree::{self, Node, Place};

/// Larger files are no policies.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// The policies of a file; none if it says nothing about who may do what.
pub(crate) fn policies(
    file: &File,
    root: &Node<'_>,
    directory: &Path,
    problems: &mut Problems,
) -> Option<Arc<Policies>> {
    let tables = ["policy", "role", "group", "tool_group"];
    let there = tables.into_iter().filter(|table| tree::get(root, &[table]).is_some());
    if there.count() == 0 {
        return None;
    }
    let roles = Reading { root, problems }.roles(file);
    let texts: Vec<_> = file
        .policy
        .files
        .iter()
        .enumerate()
        .filter_map(|(index, path)| text(&paths::beside(directory, path), index, root, problems))
        .collect();
    if problems.has_errors() {
        return None;
    }
    let sources: Vec<_> = texts.iter().map(|(name, text)| Source { name, text }).collect();
    let otherwise = match file.policy.default {
        Otherwise::Deny => bartizan_policy::Otherwise::Deny,
        Otherwise::Permit => bartizan_policy::Otherwise::Permit,
    };
    match Policies::new(&sources, roles, otherwise) {
        Ok(policies) => Some(Arc::new(policies)),
        Err(found) => {
            for problem in found {
                problems.error(place(&problem, &file.policy.files, directory, root), problem.to_string());
            }
            None
        }
    }
}

/// Where a file names the policies in which there is a problem.
fn place(problem: &Problem, files: &[PathBuf], directory: &Path, root: &Node<'_>) -> Place {
    let is_of = |path: &PathBuf| paths::beside(directory, path).display().to_string() == problem.source;
    match files.iter().position(is_of) {
        Some(index) => tree::place(root, &["policy", "files", &index.to_string()]),
        None => tree::place(root, &["role"]),
    }
}

/// Warns of what is asked for that nobody can ever give, which whoever wrote it will not have meant.
pub(crate) fn check_answerable(
    (settings, approvers, ways): (&Settings, &[Approver], Ways),
    (files, directory): (&[PathBuf], &Path),
    root: &Node<'_>,
    problems: &mut Problems,
) {
    let policies = settings.policies.as_deref();
    for problem in policies.iter().flat_map(|policies| policies.never_met(ways)) {
        problems
            .warn(place(&problem, files, directory, root), problem.to_string())
            .help("so it refuses always; if that is meant, leave out `@challenge`");
    }
    if let Some(why) = policies.and_then(Policies::shuts_all) {
        let help = "so no tool is listed to anybody; add a `permit`, or say default = \"permit\" in [policy]";
        problems.warn(tree::place(root, &["policy"]), format!("nobody may do anything: {why}")).help(help);
    }
    if !policies.is_some_and(Policies::asks_for_approval) && !settings.guards.values().any(asks) {
        return;
    }
    let none = Roles::default();
    if let Some(why) = policies.map_or(&none, Policies::roles).nobody_of(approvers, ways) {
        let place = tree::place(root, &["approval", "approvers"]);
        problems
            .warn(place, format!("nobody can ever approve what asks for that: {why}"))
            .help("so it is refused always; name somebody who can, or leave this out for whoever asks");
    }
}

/// Whether a guard is set to have somebody agree, anywhere.
fn asks(guard: &GuardSettings) -> bool {
    let everywhere = guard.action.iter().chain(guard.rules.values()).chain(guard.parts.values());
    let of_servers = guard.servers.values();
    let of_servers = of_servers.flat_map(|own| own.action.iter().chain(own.rules.values()).chain(own.tools.values()));
    everywhere.chain(of_servers).any(|&action| action == Action::Approve)
}

fn text(path: &Path, index: usize, root: &Node<'_>, problems: &mut Problems) -> Option<(String, String)> {
    match paths::text(path, MAX_FILE_BYTES) {
        Ok(text) => Some((path.display().to_string(), text)),
        Err(why) => {
            let place = tree::place(root, &["policy", "files", &index.to_string()]);
            problems.error(place, format!("cannot read the policies in {}: {why}", path.display()));
            None
        }
    }
}

struct Reading<'a, 'p> {
    root: &'a Node<'a>,
    problems: &'p mut Problems,
}

impl Reading<'_, '_> {
    fn roles(&mut self, file: &File) -> Roles {
        let mut roles = Roles::default();
        for (name, table) in &file.tool_group {
            self.name("tool_group", name);
            let members = self.each(&["tool_group", name, "members"], &table.members, |text| {
                Scope::parse(text).map_err(|error| error.to_string())
            });
            for (index, text) in table.members.iter().enumerate() {
                if let Ok(Scope::Server(server) | Scope::Thing(_, server, _)) = Scope::parse(text) {
                    let place = tree::place(self.root, &["tool_group", name, "members", &index.to_string()]);
                    guards::known_server(&server, place, self.root, self.problems);
                }
            }
            roles.tool_groups.insert(name.clone(), Scopes::of(members));
        }
        for (name, table) in &file.role {
            self.name("role", name);
            let mut grants = |list: &str, texts: &[String]| {
                self.each(&["role", name, list], texts, |text| {
                    let grant = Grant::parse(text).map_err(|error| error.to_string())?;
                    match &grant {
                        Grant::ToolGroup(group) if !file.tool_group.contains_key(group) => {
                            let meant = meant(group, file.tool_group.keys().map(String::as_str));
                            Err(format!("there is no tool group `{group}`{meant}"))
                        }
                        _ => Ok(grant),
                    }
                })
            };
            let allow = grants("allow", &table.allow);
            let deny = grants("deny", &table.deny);
            let approve = grants("approve", &table.approve);
            roles.roles.insert(name.clone(), Role { allow, deny, approve, members: table.members.clone() });
        }
        for (name, table) in &file.group {
            self.name("group", name);
            let held = self.each(&["group", name, "roles"], &table.roles, |role| {
                if file.role.contains_key(role) {
                    return Ok(role.to_owned());
                }
                let meant = meant(role, file.role.keys().map(String::as_str));
                Err(format!("there is no role `{role}`{meant}"))
            });
            roles.groups.insert(name.clone(), Group { members: table.members.clone(), roles: held });
        }
        self.spellings(file);
        roles
    }

    /// Refuses members whose names differ only in case: what is denied to the one would be allowed to the other.
    fn spellings(&mut self, file: &File) {
        let mut known = BTreeMap::new();
        let of_roles = file.role.iter().map(|(name, table)| ("role", name, &table.members));
        let of_groups = file.group.iter().map(|(name, table)| ("group", name, &table.members));
        for (table, of, members) in of_roles.chain(of_groups) {
            for (index, name) in members.iter().enumerate() {
                let Some(folded) = Principal::folded(name) else { continue };
                let written = *known.entry(folded).or_insert(name);
                if written != name {
                    let place = tree::place(self.root, &[table, of, "members", &index.to_string()]);
                    let message = format!("`{name}` differs from the member `{written}` only in case");
                    self.problems.error(place, message).help("write the name as it comes in; case tells nobody apart");
                }
            }
        }
    }

    fn name(&mut self, table: &str, name: &str) {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        if !(1..=64).contains(&name.len()) || !name.bytes().all(plain) {
            let place = tree::key_place(self.root, &[table, name]);
            self.problems.error(place, format!("`{name}` is no name")).help("use 1 to 64 of a-z, 0-9, - and _");
        }
    }

    /// What the texts of a list mean, as far as they mean anything.
    fn each<T>(&mut self, path: &[&str], texts: &[String], read: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let mut found = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            match read(text) {
                Ok(value) => found.push(value),
                Err(why) => {
                    let number = index.to_string();
                    let path: Vec<_> = path.iter().copied().chain([number.as_str()]).collect();
                    self.problems.error(tree::place(self.root, &path), why);
                }
            }
        }
        found
    }
}
