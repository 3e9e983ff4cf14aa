//! Which rules could bear on a decision. Cedar asks every policy of a set; here a decision gets a set of its own.

use std::collections::{HashMap, HashSet};

use cedar_policy::{ActionConstraint, Effect, EntityUid, PolicySet, PrincipalConstraint, ResourceConstraint};

use crate::Roles;
use crate::names::{RESOURCE, TOOL_GROUP};
use crate::policies::Purpose;
use crate::reads::Argument;
use crate::rule::Rule;
use crate::subject::{Subject, Target};

/// Rules by whom they name.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Each name in rules, by a number.
    names: HashMap<EntityUid, u32>,
    by_principal: HashMap<u32, Vec<usize>>,
    for_anybody: Vec<usize>,
}

/// All that tells one slice from another: what the rules name of who asks and of what they ask for.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    who: Box<[u32]>,
    what: Box<[u32]>,
    kind: Box<str>,
    /// Whether what is asked for can be read as several things.
    is_unclear: bool,
    purpose: Purpose,
}

/// The rules whose scope fits.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) hard: PolicySet,
    pub(crate) challenge: PolicySet,
    pub(crate) rules: HashSet<usize>,
    pub(crate) reads_session: bool,
    /// The arguments that they read.
    pub(crate) input: Vec<Argument>,
}

impl Index {
    pub(crate) fn new(rules: &[Rule]) -> Index {
        let mut index = Index::default();
        for (number, rule) in rules.iter().enumerate() {
            match &rule.principal {
                PrincipalConstraint::Any | PrincipalConstraint::Is(_) => index.for_anybody.push(number),
                PrincipalConstraint::In(uid) | PrincipalConstraint::Eq(uid) | PrincipalConstraint::IsIn(_, uid) => {
                    let name = index.name(uid);
                    index.by_principal.entry(name).or_default().push(number);
                }
            }
            let actions = match &rule.action {
                ActionConstraint::Any => &[],
                ActionConstraint::Eq(uid) => std::slice::from_ref(uid),
                ActionConstraint::In(uids) => uids.as_slice(),
            };
            for uid in actions {
                index.name(uid);
            }
            if let ResourceConstraint::In(uid) | ResourceConstraint::Eq(uid) | ResourceConstraint::IsIn(_, uid) =
                &rule.resource
            {
                index.name(uid);
            }
        }
        index
    }

    fn name(&mut self, uid: &EntityUid) -> u32 {
        let next = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        *self.names.entry(uid.clone()).or_insert(next)
    }

    fn known<'a>(&self, uids: impl Iterator<Item = &'a EntityUid>) -> Box<[u32]> {
        let mut names: Vec<_> = uids.filter_map(|uid| self.names.get(uid).copied()).collect();
        names.sort_unstable();
        names.into()
    }

    pub(crate) fn key(&self, subject: &Subject, target: &Target, purpose: Purpose) -> Key {
        Key {
            who: self.known(subject.within.iter()),
            what: self.known(target.within.iter().chain(&target.actions)),
            kind: target.kind.basename().into(),
            is_unclear: target.unclear.is_some(),
            purpose,
        }
    }

    pub(crate) fn slice(&self, rules: &[Rule], key: &Key, target: &Target) -> Slice {
        let named = key.who.iter().filter_map(|name| self.by_principal.get(name)).flatten();
        let fitting = named.chain(&self.for_anybody).filter_map(|&number| Some((number, rules.get(number)?)));
        let mut slice = Slice {
            hard: PolicySet::new(),
            challenge: PolicySet::new(),
            rules: HashSet::new(),
            reads_session: false,
            input: Vec::new(),
        };
        for (number, rule) in fitting.filter(|(_, rule)| fits(rule, target) && !trusts_name(rule, target)) {
            let policy = match key.purpose {
                Purpose::Use => Some(&rule.policy),
                Purpose::List => rule.listing.as_ref(),
            };
            let Some(policy) = policy else { continue };
            let set = if rule.reason.asks.is_some() { &mut slice.challenge } else { &mut slice.hard };
            // Ids are unique among all rules, and no rule is named twice by one subject.
            if slice.rules.insert(number) && set.add(policy.clone()).is_ok() && key.purpose == Purpose::Use {
                slice.reads_session |= rule.reads.session;
                slice.input.extend(rule.reads.input.iter().cloned());
            }
        }
        slice
    }
}

/// Whether a rule would permit something for how it is called, although that says nothing.
fn trusts_name(rule: &Rule, target: &Target) -> bool {
    target.unclear.is_some() && rule.reads.name && rule.policy.effect() == Effect::Permit
}

/// Whether a rule that forbids tells things apart by how they are called, so that it could be meant for this one of which
/// that says nothing.
pub(crate) fn could_be_meant(rule: &Rule, subject: &Subject, target: &Target, roles: &Roles) -> bool {
    let Some(server) = target.unclear.as_deref().filter(|_| rule.policy.effect() == Effect::Forbid) else {
        return false;
    };
    let who = match &rule.principal {
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => true,
        PrincipalConstraint::In(uid) | PrincipalConstraint::Eq(uid) | PrincipalConstraint::IsIn(_, uid) => {
            subject.within.contains(uid)
        }
    };
    let held_by = |uid: &EntityUid| {
        let id = uid.id().unescaped();
        if target.within.contains(uid) {
            return rule.reads.name;
        }
        let names_resources = || roles.tool_groups.get(id).is_some_and(|group| group.name_resources_of(server));
        let is_of_server = || id.split_once('/').is_some_and(|(of, _)| of == server);
        (*uid.type_name() == *TOOL_GROUP && names_resources()) || (*uid.type_name() == *RESOURCE && is_of_server())
    };
    who && is_about(&rule.action, target)
        && match &rule.resource {
            ResourceConstraint::Any => rule.reads.name,
            ResourceConstraint::Is(kind) => rule.reads.name && *kind == target.kind,
            ResourceConstraint::In(uid) | ResourceConstraint::Eq(uid) => held_by(uid),
            ResourceConstraint::IsIn(kind, uid) => *kind == target.kind && held_by(uid),
        }
}

/// Whether a rule could be about that action and that thing.
pub(crate) fn fits(rule: &Rule, target: &Target) -> bool {
    is_about(&rule.action, target)
        && match &rule.resource {
            ResourceConstraint::Any => true,
            ResourceConstraint::Eq(uid) => *uid == target.uid,
            ResourceConstraint::In(uid) => target.within.contains(uid),
            ResourceConstraint::Is(kind) => *kind == target.kind,
            ResourceConstraint::IsIn(kind, uid) => *kind == target.kind && target.within.contains(uid),
        }
}

fn is_about(action: &ActionConstraint, target: &Target) -> bool {
    match action {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => *uid == target.action,
        ActionConstraint::In(uids) => uids.iter().any(|uid| target.actions.contains(uid)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Hints, Principal, Roles, Source, Use, rule};

    /// What a decision costs is what its slice costs; examples/decide.rs shows how much that is.
    #[test]
    fn a_decision_asks_only_what_could_bear_on_it() {
        let mut text = "@id(\"all\") forbid(principal, action, resource) when { resource.name == \"x\" };\n".to_owned();
        for (role, tool) in (0..20).flat_map(|role| (0..20).map(move |tool| (role, tool))) {
            text += &format!(
                "permit(principal in Mcp::Role::\"r{role}\", action == Mcp::Action::\"a/t{tool}\", resource);\n"
            );
        }
        let rules = rule::read(&[Source { name: "p", text: &text }]).unwrap();
        let (index, roles) = (Index::new(&rules), Roles::default());
        let slice = |who: &str, held: &[&str], tool: &str| {
            let held = held.iter().map(|&role| role.into()).collect();
            let subject = Subject::new(&Principal { roles: held, ..Principal::new(who) }, &roles).unwrap();
            let target = Target::new("a", Use::Call(tool, None, Hints::default()), &roles).unwrap();
            let key = index.key(&subject, &target, Purpose::Use);
            (index.slice(&rules, &key, &target).rules.len(), key)
        };
        for (held, tool, expected) in
            [(&[][..], "t1", 1), (&["r1"], "t1", 2), (&["r1", "r2"], "t1", 3), (&["r1"], "t99", 1), (&["r99"], "t1", 1)]
        {
            assert_eq!(slice("ann", held, tool).0, expected, "{held:?} {tool}");
        }
        // People whom no rule names share one, and so do tools.
        assert_eq!(slice("ann", &["r1"], "t1").1, slice("bob", &["r1"], "t1").1);
        assert_eq!(slice("ann", &["r1"], "t98").1, slice("ann", &["r1"], "t99").1);
        assert_ne!(slice("ann", &["r1"], "t1").1, slice("ann", &["r2"], "t1").1);
        assert_ne!(slice("ann", &["r1"], "t1").1, slice("ann", &["r1"], "t2").1);
    }
}
