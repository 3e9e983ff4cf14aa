//! Names that differ only in case: one person to whoever wrote them, and two to whatever compares them.

use std::collections::HashMap;

use cedar_policy::EntityUid;

use crate::names::USER;
use crate::rule::{Rule, offset};
use crate::{Approver, Principal, Problem, Roles, Source};

/// The names of people that policies, roles and groups speak of, each by what it is but for case.
#[derive(Debug, Default)]
pub(crate) struct Spellings(HashMap<String, String>);

impl Spellings {
    /// Those of some roles and rules.
    ///
    /// # Errors
    /// Where a name is written in two ways: one of the two would not be meant, and what is denied to the one be allowed to the
    /// other.
    pub(crate) fn of(roles: &Roles, rules: &[Rule], sources: &[Source<'_>]) -> Result<Spellings, Vec<Problem>> {
        let mut known = Spellings::default();
        let mut problems = Vec::new();
        let members = roles.roles.values().flat_map(|role| &role.members);
        for name in members.chain(roles.groups.values().flat_map(|group| &group.members)) {
            if let Err(why) = known.add(name) {
                problems.extend(sources.first().map(|source| Problem::at(source, 0, why)));
            }
        }
        for rule in rules {
            let literals = rule.policy.entity_literals();
            let users = literals.iter().filter(|uid| *uid.type_name() == *USER).map(EntityUid::id);
            let users: Vec<_> = users.map(|id| id.unescaped().to_owned()).collect();
            let approvers = rule.reason.asks.iter().flat_map(|asks| asks.approvers.iter());
            let approvers = approvers.filter_map(|approver| match approver {
                Approver::User(name) => Some(&**name),
                _ => None,
            });
            for name in users.iter().map(String::as_str).chain(approvers) {
                if let Err(why) = known.add(name) {
                    let at = |source| Problem::at(source, offset(&rule.policy), format!("`{}`: {why}", rule.reason.id));
                    problems.extend(sources.get(rule.source).map(at));
                }
            }
        }
        problems.dedup();
        if problems.is_empty() { Ok(known) } else { Err(problems) }
    }

    fn add(&mut self, name: &str) -> Result<(), String> {
        let Some(folded) = Principal::folded(name) else { return Ok(()) };
        let held = self.0.entry(folded).or_insert_with(|| name.to_owned());
        if held == name {
            Ok(())
        } else {
            Err(format!("`{name}` differs from `{held}` only in case; write one of them"))
        }
    }

    /// How a name is written that differs from this one only in case.
    pub(crate) fn other(&self, name: &str) -> Option<&str> {
        let held = self.0.get(&Principal::folded(name)?)?;
        (held != name).then_some(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Circumstances, Grant, Hints, Labels, Otherwise, Outcome, Policies, Purpose, Role, Use};

    fn policies(members: &[&str], cedar: &str) -> Result<Policies, Vec<Problem>> {
        let deny = vec![Grant::parse("tool:bank/pay").unwrap()];
        let members = members.iter().map(|name| (*name).to_owned()).collect();
        let roles = [("barred".to_owned(), Role { deny, members, ..Role::default() })].into();
        Policies::new(&[Source { name: "p", text: cedar }], Roles { roles, ..Roles::default() }, Otherwise::Permit)
    }

    #[test]
    fn nobody_escapes_a_policy_by_writing_their_name_in_another_case() {
        let cedar = "forbid(principal == Mcp::User::\"Bea\", action, resource);
            forbid(principal, action, resource) when { principal == Mcp::User::\"carl\" };
            @challenge(\"approval\") @approvers(\"user:dora\") forbid(principal == Mcp::User::\"fay\", action, resource);
            forbid(principal == Mcp::User::\"corp:eve\", action, resource);";
        let policies = policies(&["ann", "corp:gil"], cedar).unwrap();
        let decide = |who: &str, tool: &str| {
            let circumstances = Circumstances { now: 0, arguments: None, labels: Labels::NONE };
            let of = Use::Call(tool, None, Hints::default());
            policies.decide_once(&Principal::new(who), ("bank", of), Purpose::Use, circumstances)
        };
        for who in ["Ann", "ANN", "bea", "Carl", "Dora", "FAY"] {
            let decision = decide(who, "see");
            assert_eq!(decision.outcome, Outcome::Deny, "{who}");
            assert!(decision.failed.unwrap().contains("only in case"), "{who}");
        }
        for (who, tool, outcome) in [
            ("ann", "pay", Outcome::Deny),
            ("ann", "see", Outcome::Allow),
            ("dora", "see", Outcome::Allow),
            ("Zoe", "see", Outcome::Allow),
            // An issuer tells the case of its names apart.
            ("corp:Gil", "pay", Outcome::Allow),
            ("corp:gil", "pay", Outcome::Deny),
            ("corp:Eve", "see", Outcome::Allow),
        ] {
            let decision = decide(who, tool);
            assert_eq!((decision.outcome, decision.failed), (outcome, None), "{who} {tool}");
        }
    }

    #[test]
    fn a_name_that_is_written_in_two_ways_is_refused() {
        let found = policies(&["ann", "Ann"], "").unwrap_err();
        assert!(found[0].message.contains("`Ann` differs from `ann` only in case"), "{found:?}");
        let found = policies(&["ann"], "\nforbid(principal == Mcp::User::\"ANN\", action, resource);").unwrap_err();
        assert_eq!((found[0].source.as_str(), found[0].line), ("p", 2), "{found:?}");
        policies(&["corp:ann", "corp:Ann", "ann"], "forbid(principal == Mcp::User::\"ann\", action, resource);")
            .unwrap();
    }
}
