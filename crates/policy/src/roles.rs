//! Who may do what in plain lists, for those who write no policies: translated into policies that people can read.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use thiserror::Error;

use crate::near::meant;
use crate::place;
use crate::{Approver, Kind, Scope, ScopeError, Scopes};

/// Roles, groups of people and groups of tools, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles {
    /// What each role may do, and who has it.
    pub roles: BTreeMap<String, Role>,
    /// Who belongs together.
    pub groups: BTreeMap<String, Group>,
    /// What belongs together.
    pub tool_groups: BTreeMap<String, Scopes>,
}

/// A role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Role {
    /// What it may do.
    pub allow: Vec<Grant>,
    /// What it may not, whatever else says so.
    pub deny: Vec<Grant>,
    /// What it may do once somebody agrees.
    pub approve: Vec<Grant>,
    /// Who has it, by their names.
    pub members: Vec<String>,
}

/// A group of people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Who is in it, by their names.
    pub members: Vec<String>,
    /// The roles that all of them have.
    pub roles: Vec<String>,
}

/// Something that a role may do, or may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// What a scope names.
    Scope(Scope),
    /// All of a tool group.
    ToolGroup(String),
}

/// Why roles make no policy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RolesError {
    /// A grant is neither a scope nor a tool group.
    #[error("{0}, and group:NAME for a tool group")]
    Scope(#[from] ScopeError),
    /// A name has characters that names have not.
    #[error("`{0}` is no name: 1 to 64 of a-z, 0-9, - and _")]
    Name(String),
    /// A tool group that is not there.
    #[error("there is no tool group `{0}`")]
    ToolGroup(String),
    /// A role that is not there.
    #[error("there is no role `{0}`")]
    Role(String),
}

/// What somebody is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// The roles.
    pub roles: BTreeSet<String>,
    /// The groups.
    pub groups: BTreeSet<String>,
}

impl Grant {
    /// Reads a grant: a scope, or `group:NAME` for a tool group.
    ///
    /// # Errors
    /// If the text is neither.
    pub fn parse(text: &str) -> Result<Grant, RolesError> {
        match text.strip_prefix("group:") {
            Some(name) => Ok(Grant::ToolGroup(checked(name)?.to_owned())),
            None => Ok(Grant::Scope(Scope::parse(text)?)),
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Grant::Scope(scope) => scope.fmt(f),
            Grant::ToolGroup(name) => write!(f, "group:{name}"),
        }
    }
}

/// A name of a role or a group.
fn checked(name: &str) -> Result<&str, RolesError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    if (1..=64).contains(&name.len()) && name.bytes().all(plain) {
        Ok(name)
    } else {
        Err(RolesError::Name(name.chars().take(80).collect()))
    }
}

impl Roles {
    /// Whether names are names, and lead somewhere.
    ///
    /// # Errors
    /// At the first one that does not.
    pub fn check(&self) -> Result<(), RolesError> {
        for name in self.roles.keys().chain(self.groups.keys()).chain(self.tool_groups.keys()) {
            checked(name)?;
        }
        for role in self.roles.values() {
            for grant in role.allow.iter().chain(&role.deny).chain(&role.approve) {
                if let Grant::ToolGroup(name) = grant
                    && !self.tool_groups.contains_key(name)
                {
                    return Err(RolesError::ToolGroup(name.clone()));
                }
            }
        }
        // Roles that only policies know of are defined by these.
        let unknown = |role: &&String| !self.roles.contains_key(*role);
        match self.groups.values().flat_map(|group| &group.roles).find(unknown) {
            Some(role) => Err(RolesError::Role(role.clone())),
            None => Ok(()),
        }
    }

    /// What somebody is who brings some roles and groups along.
    #[must_use]
    pub fn held_by(&self, who: &str, brought: &[Box<str>], groups: &[Box<str>]) -> Held {
        let is_in = |members: &[String]| members.iter().any(|member| member == who);
        let mut held = Held::default();
        held.roles.extend(brought.iter().map(|role| role.to_string()));
        held.roles.extend(self.roles.iter().filter(|(_, role)| is_in(&role.members)).map(|(name, _)| name.clone()));
        held.groups.extend(groups.iter().map(|group| group.to_string()));
        for (name, group) in &self.groups {
            if is_in(&group.members) {
                held.groups.insert(name.clone());
            } else if !held.groups.contains(name) {
                continue;
            }
            held.roles.extend(group.roles.iter().cloned());
        }
        held
    }

    /// Whether an approver leads anywhere. Roles may be brought along by a key, groups may not.
    ///
    /// # Errors
    /// If it names a group that is not there.
    pub fn check_approver(&self, approver: &Approver) -> Result<(), String> {
        match approver {
            Approver::Group(name) if !self.groups.contains_key(&**name) => {
                Err(format!("there is no group `{name}`{}", meant(name, self.groups.keys().map(String::as_str))))
            }
            _ => Ok(()),
        }
    }

    /// Whether somebody who brings some roles along is one of these.
    #[must_use]
    pub fn is_one_of(&self, who: &str, brought: &[Box<str>], approvers: &[Approver]) -> bool {
        let held = self.held_by(who, brought, &[]);
        approvers.iter().any(|approver| match approver {
            Approver::User(name) => **name == *who,
            Approver::Role(name) => held.roles.contains(&**name),
            Approver::Group(name) => held.groups.contains(&**name),
        })
    }

    /// The tool groups that something of a server is in; without a kind, the server itself.
    pub(crate) fn tool_groups_of<'a>(
        &'a self,
        server: &'a str,
        kind: Option<Kind>,
        name: &'a str,
    ) -> impl Iterator<Item = &'a str> {
        self.tool_groups
            .iter()
            .filter(move |(_, scopes)| scopes.hold(server, kind, name))
            .map(|(group, _)| group.as_str())
    }

    /// The policies that the lists stand for.
    #[must_use]
    pub fn to_cedar(&self) -> String {
        let mut text = String::new();
        for (name, role) in &self.roles {
            for (list, grants, head) in [
                ("allow", &role.allow, "permit"),
                ("deny", &role.deny, "forbid"),
                ("approve", &role.approve, "@challenge(\"approval\")\nforbid"),
            ] {
                // A list may name something twice, a policy set may not.
                let unique: BTreeMap<_, _> = grants.iter().map(|grant| (grant.to_string(), grant)).collect();
                for (words, grant) in unique {
                    // Writing to a text does not fail.
                    let _ = writeln!(text, "@id(\"role.{name}.{list} {words}\")\n{head}({};\n", scope(name, grant));
                }
            }
        }
        text
    }
}

/// Who, what and on what, in the words of Cedar.
fn scope(role: &str, grant: &Grant) -> String {
    let who = format!("principal in Mcp::Role::\"{role}\"");
    let (kind, server, name) = match grant {
        Grant::Scope(Scope::All) => return format!("{who}, action, resource)"),
        Grant::Scope(Scope::Server(server)) => return format!("{who}, action, resource in Mcp::Server::\"{server}\")"),
        Grant::ToolGroup(group) => return format!("{who}, action, resource in Mcp::ToolGroup::\"{group}\")"),
        Grant::Scope(Scope::Thing(kind, server, name)) => (*kind, server, name),
    };
    let (action, of) = match kind {
        Kind::Tool => ("action in Mcp::Action::\"call\"", "Tool"),
        Kind::Resource => ("action == Mcp::Action::\"read\"", "Resource"),
        Kind::Prompt => ("action == Mcp::Action::\"get\"", "Prompt"),
    };
    let is_uri = kind == Kind::Resource;
    match name.strip_suffix('*') {
        None => {
            let name =
                if is_uri { place::canonical(name).unwrap_or(Cow::Borrowed(name)) } else { Cow::Borrowed(&**name) };
            format!("{who}, {action}, resource == Mcp::{of}::\"{server}/{name}\")")
        }
        Some("") => format!("{who}, {action}, resource in Mcp::Server::\"{server}\")"),
        Some(beginning) => {
            let beginning = if is_uri { place::beginning(beginning) } else { Cow::Borrowed(beginning) };
            // One that was encoded is a letter like others.
            let beginning = beginning.replace('*', "\\*");
            format!(
                "{who}, {action}, resource is Mcp::{of} in Mcp::Server::\"{server}\")\nwhen {{ resource.name like \"{beginning}*\" }}"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_translated_into_policies() {
        let role = Role {
            allow: ["mcp", "server:a", "tool:a/b", "tool:a/b", "group:g"]
                .map(|text| Grant::parse(text).unwrap())
                .into(),
            deny: vec![Grant::parse("resource:a/file:///etc/*").unwrap()],
            approve: vec![Grant::parse("prompt:a/*").unwrap()],
            members: Vec::new(),
        };
        let roles = Roles { roles: [("dev".to_owned(), role)].into(), ..Roles::default() };
        assert_eq!(roles.to_cedar(), include_str!("../tests/roles.cedar"));
    }

    #[test]
    fn what_is_no_grant_and_what_leads_nowhere_is_refused() {
        for text in ["", "group:", "group:A", "group:a b", "tool:a", "role:a"] {
            assert!(Grant::parse(text).is_err(), "{text}");
        }
        let named = |name: &str, role: Role| Roles { roles: [(name.to_owned(), role)].into(), ..Roles::default() };
        assert_eq!(named("dev", Role::default()).check(), Ok(()));
        assert!(named("De\"v", Role::default()).check().is_err());
        let lost = Role { allow: vec![Grant::ToolGroup("g".to_owned())], ..Role::default() };
        assert_eq!(named("dev", lost).check(), Err(RolesError::ToolGroup("g".to_owned())));
        let group = Group { members: Vec::new(), roles: vec!["ops".to_owned()] };
        let mut roles = named("dev", Role::default());
        roles.groups.insert("g".to_owned(), group);
        assert_eq!(roles.check(), Err(RolesError::Role("ops".to_owned())));
    }
}
